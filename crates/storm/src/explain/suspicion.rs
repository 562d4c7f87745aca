//! Suspicions in words: which rule, its numbers, the threshold, the evidence, and which setting would
//! change it.

use super::span;
use crate::exceptions::LetPass;
use crate::limits::Limits;
use crate::policy::Policy;
use crate::rhythm::Flood;
use crate::signs::{Again, Leaving, Replies, Reports, Sent, SentWithin, Suspicion, Turns};

impl Suspicion {
    /// For the operator.
    pub(super) fn operator(&self, policy: Policy, limits: &Limits) -> String {
        let class = self.class();
        let done = match policy {
            Policy::Tell => "Passed, and told",
            Policy::Hold => "Held",
            Policy::Refuse => "Refused",
        };
        let why = self.why(limits);
        format!(
            "{done}, by rule {class}: {why} What is done with it: [policy] {class} = \"{}\"; whom the rule is \
             not to look at: [exceptions].",
            policy.name()
        )
    }

    /// For the operator, of what passes all the same.
    pub(super) fn let_pass(&self, by: LetPass, limits: &Limits) -> String {
        let (class, by, why) = (self.class(), by.words(), self.why(limits));
        format!("Passed, since {by}; else rule {class} would suspect it: {why}")
    }

    /// The numbers, the threshold, the evidence, and the settings.
    fn why(&self, limits: &Limits) -> String {
        match self {
            Self::Resent { again, limit } => resent(again, *limit, limits),
            Self::Reinjected(leaving) => reinjected(leaving),
            Self::ReplyAll { replies, limit } => reply_all(replies, *limit, limits),
            Self::AutoReply { turns, limit } => auto_reply(turns, *limit, limits),
            Self::Bounces { reports, of_message, limit } => bounces(reports, *of_message, *limit, limits),
            Self::Flood(flood) => flooded(flood, limits),
            Self::UserLimit { sent, within, limit } => user_limit(sent, *within, *limit),
        }
    }
}

fn resent(again: &Again, limit: u32, limits: &Limits) -> String {
    let by = if again.marked {
        "its header shows that somebody took it from a mailbox and put it back into the stream, and then only \
         the original passes"
            .to_owned()
    } else {
        format!(
            "{limit} pass without a mark of re-injection ([judge] resent_arrivals), of texts of {} words or more \
             ([judge] resent_least_words)",
            limits.resent_least_words
        )
    };
    format!(
        "this content has come before for this recipient, and this copy by servers that the first did not pass. \
         It is arrival {} within {} ([judge] resent_window_hours), {} words long, of what its author has sent {}; {by}. \
         Author, subject, \
         conversation, text and attachments are the same; its identity or its bytes are not.",
        again.arrivals,
        span(limits.resent_window_ms),
        again.words,
        if again.sendings == 1 { "once".to_owned() } else { format!("{} times", again.sendings) }
    )
}

fn reinjected(leaving: &Leaving) -> String {
    let evidence = match (leaving.came_in, leaving.marked) {
        (true, true) => {
            "the same content came in before, and its header shows that it was taken from a mailbox"
        }
        (true, false) => "the same content came in before",
        _ => "its header shows that it was taken from a mailbox and put back into the stream",
    };
    format!(
        "it leaves this house although its author is from outside, {evidence}, and it goes to {} people or more \
         who stand in its own To and Cc: a machine here reads recipients out of the header, which is how the storm \
         of 2005 began. No number changes that; a redirect to one address passes.",
        leaving.addressed
    )
}

fn reply_all(replies: &Replies, limit: u32, limits: &Limits) -> String {
    let list = if replies.list {
        format!(
            ", {} times as many through a mailing list ([judge] reply_all_list_factor)",
            limits.reply_all_list_factor
        )
    } else {
        String::new()
    };
    format!(
        "reply {} to all within {} ([judge] reply_all_window_mins) in a conversation of {} people, by {} authors. \
         {limit} pass: {} ([judge] reply_all_replies) or a {}th of the people ([judge] reply_all_share), whichever \
         is more{list}. It takes {} people ([judge] reply_all_people) and {} authors ([judge] reply_all_authors). A \
         reply to the author alone passes.",
        replies.replies,
        span(limits.reply_all_window_ms),
        replies.people,
        replies.authors,
        limits.reply_all_replies,
        limits.reply_all_share,
        limits.reply_all_people,
        limits.reply_all_authors
    )
}

fn auto_reply(turns: &Turns, limit: u32, limits: &Limits) -> String {
    format!(
        "sender and recipient have written to each other {} times in turn without a pause of {} ([judge] \
         auto_reply_window_hours), and the last {} of these were written by machines: they say so, or say what their \
         sender had said before. {limit} turns pass ([judge] auto_reply_turns).",
        turns.turns,
        span(limits.auto_reply_window_ms),
        turns.by_machines
    )
}

fn bounces(reports: &Reports, of_message: bool, limit: u32, limits: &Limits) -> String {
    if of_message {
        return format!(
            "it is report {} within 24 h of one message, which went from here to {} recipients in 5 days. {limit} \
             pass: {} ([judge] bounces_per_message), or as many as it had recipients.",
            reports.of_message, reports.message_sent, limits.bounces_per_message
        );
    }
    format!(
        "it is report {} within an hour for this recipient of mail that did not go out here, and {limit} pass: {} \
         ([judge] bounces_per_recipient; ten times as many in the first 24 h after a start), or, of reports that do not \
         say of which message they are, as many as recipients were sent to from that address in 5 days ({}).",
        reports.of_recipient, limits.bounces_per_recipient, reports.sent
    )
}

fn flooded(flood: &Flood, limits: &Limits) -> String {
    format!(
        "its source brought {} messages within {}; {} are usual at this hour of the week, and {} would still have \
         passed for usual: {} times as many ([judge] flood_factor) and some for chance, or a least number \
         (flood_least_five_minutes, flood_least_hour, flood_least_day).",
        flood.count,
        flood.window.words(),
        flood.usual,
        flood.threshold,
        limits.flood.factor
    )
}

fn user_limit(sent: &Sent, within: SentWithin, limit: u32) -> String {
    match within {
        SentWithin::Hour => format!(
            "it is message {} within an hour of a user who has signed in, and {limit} pass ([submission] \
             messages_per_hour).",
            sent.hour
        ),
        SentWithin::Day => format!(
            "it is message {} within a day of a user who has signed in, and {limit} pass ([submission] \
             messages_per_day).",
            sent.day
        ),
        SentWithin::NewRecipients => format!(
            "this recipient is number {} within a day whom a user who has signed in had not written to for 30 days, \
             and {limit} pass ([submission] new_recipients_per_day{}).",
            sent.new_recipients.unwrap_or_default(),
            if sent.is_settled { "" } else { "; four times as many in the first 14 days after a start" }
        ),
    }
}
