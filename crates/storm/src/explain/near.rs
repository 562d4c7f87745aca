//! What passed, and how near it came to a threshold.

use super::span;
use crate::limits::Limits;
use crate::rules::{bounces, reply_all, resent};
use crate::signs::{Again, Leaving, Replies, Reports, Signs, Turns};

impl Signs {
    /// True if a class had numbers to compare with a threshold.
    pub fn has_numbers(&self) -> bool {
        let turns = self.turns.filter(|turns| turns.turns > 1);
        self.again.is_some()
            || self.leaving.is_some()
            || self.replies.is_some()
            || turns.is_some()
            || self.reports.is_some()
    }

    /// For the operator, of a message that no class suspected: what each class had to compare, and what would
    /// have been too much. Empty: none had anything.
    pub fn near(&self, limits: &Limits) -> Vec<String> {
        let turns = self.turns.filter(|turns| turns.turns > 1);
        [
            self.again.map(|again| of_again(&again, limits)),
            self.leaving.map(|leaving| of_leaving(&leaving)),
            self.replies.map(|replies| of_replies(&replies, limits)),
            turns.map(|turns| of_turns(&turns, limits)),
            self.reports.map(|reports| of_reports(&reports, limits)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn of_again(again: &Again, limits: &Limits) -> String {
    if !again.other_way {
        return "rule resent: this content has come before for this recipient, and this copy by its author's own way, \
                which passes as often as it comes."
            .to_owned();
    }
    let few_words = limits.resent_least_words;
    let unless = match (again.marked, again.same_source) {
        (true, _) => String::new(),
        _ if again.words < few_words => {
            format!(
                "; without a mark a text of under {few_words} words ([judge] resent_least_words) is not suspected"
            )
        }
        (_, false) => "; without a mark the first copy of each network passes".to_owned(),
        _ => String::new(),
    };
    format!(
        "rule resent: arrival {} of this content by another way than its author's within {}, and {} pass ([judge] \
         resent_arrivals){unless}.",
        again.arrivals,
        span(limits.resent_window_ms),
        resent::limit(again, limits)
    )
}

fn of_leaving(leaving: &Leaving) -> String {
    format!(
        "rule reinjected: it leaves this house by an author from outside; its content came in before: {}; it has the \
         mark of a collector: {}; recipients who stand in its To and Cc: {} (2 are too many), this one: {}.",
        yes(leaving.came_in),
        yes(leaving.marked),
        leaving.addressed,
        yes(leaving.stands)
    )
}

fn of_replies(replies: &Replies, limits: &Limits) -> String {
    format!(
        "rule reply_all: reply {} to all within {}, and {} pass; by {} authors, and it takes {} ([judge] \
         reply_all_authors); in a conversation of {} people, and it takes {} ([judge] reply_all_people).",
        replies.replies,
        span(limits.reply_all_window_ms),
        reply_all::limit(replies, limits),
        replies.authors,
        limits.reply_all_authors,
        replies.people,
        limits.reply_all_people
    )
}

fn of_turns(turns: &Turns, limits: &Limits) -> String {
    format!(
        "rule auto_reply: message {} in turn between sender and recipient, and {} pass ([judge] auto_reply_turns); a \
         machine wrote the last {} of them.",
        turns.turns, limits.auto_reply_turns, turns.by_machines
    )
}

fn of_reports(reports: &Reports, limits: &Limits) -> String {
    let [of_message, of_recipient] = bounces::passing(reports, limits);
    let of_one = match reports.of_message {
        0 => "it does not say of which message it is".to_owned(),
        n => format!(
            "report {n} of one message within 24 h, and {of_message} pass ([judge] bounces_per_message)"
        ),
    };
    let for_one = match bounces::is_ours(reports) {
        true => "that message went out here".to_owned(),
        false => format!(
            "report {} for this recipient within an hour, and {of_recipient} pass ([judge] bounces_per_recipient)",
            reports.of_recipient
        ),
    };
    format!("rule bounces: {of_one}; {for_one}.")
}

fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}
