//! A storm in words: what it is, its numbers, why it opened, what is done, and which settings would change it.

use super::span;
use crate::limits::Limits;
use crate::storm::{Storm, StormState, rfc3339};
use crate::tell::doing;
use crate::verdict::Class;

impl Storm {
    /// For the operator. `held_now`: rows that it holds at this moment, if that is known.
    pub fn operator(&self, held_now: Option<u64>, limits: &Limits) -> String {
        let class = self.class();
        let released = match self.released {
            true => " A person has released it: what still comes of it passes until it has ended.",
            false => "",
        };
        format!(
            "{} {}{released} {} {}",
            class.words(),
            self.numbers(held_now),
            opened(class, limits),
            doing(self)
        )
        .replace('\n', " ")
    }

    fn numbers(&self, held_now: Option<u64>) -> String {
        let class = self.class();
        let what = if self.copies == 1 { class.of_one() } else { class.of_many() };
        let now = held_now.map_or(String::new(), |n| format!(" ({n} now)"));
        let people = self.recipients.map_or(String::new(), |n| format!(", for {n} recipients"));
        let ended = match (self.state, self.closed_ms) {
            (_, Some(at)) => format!("it ended at {}", rfc3339(at)),
            (StormState::Quiet, _) => "it is quiet".to_owned(),
            (StormState::Discarded, _) => "a person has discarded it".to_owned(),
            _ => "it goes on".to_owned(),
        };
        format!(
            "{} {what} from {} to {}{people}; absorbed {}, held {}{now}; {ended}.",
            self.copies,
            rfc3339(self.first_seen_ms),
            rfc3339(self.last_seen_ms),
            self.absorbed,
            self.held
        )
    }
}

/// By which threshold such a storm opens, and when it ends.
fn opened(class: Class, limits: &Limits) -> String {
    let settings = match class {
        Class::Resent => "[judge] resent_arrivals, resent_least_words, resent_window_hours",
        Class::Reinjected => "no threshold of it can be set",
        Class::ReplyAll => {
            "[judge] reply_all_people, reply_all_authors, reply_all_replies, reply_all_share, reply_all_list_factor, \
             reply_all_window_mins"
        }
        Class::AutoReply => "[judge] auto_reply_turns, auto_reply_window_hours",
        Class::Bounces => "[judge] bounces_per_recipient, bounces_per_message",
        Class::Flood => "[judge] flood_factor and the least numbers beside it",
        Class::UserLimit => "[submission] messages_per_hour, messages_per_day, new_recipients_per_day",
        Class::New | Class::Copies | Class::Retry | Class::Loop => "",
    };
    let opened = match class.suspects() {
        true => {
            let policy = limits.policies.of(class).name();
            format!(
                "It opened with the first message over the threshold of rule {class} ({settings}); what is done with \
                 those: [policy] {class} = \"{policy}\"; whom the rule is not to look at: [exceptions]."
            )
        }
        false => format!(
            "Such a storm opens with copy {} for one recipient ([judge] storm_rcpt_copies) or copy {} over all \
             (storm_key_copies) within {}.",
            limits.storm_rcpt_copies,
            limits.storm_key_copies,
            span(limits.window_ms)
        ),
    };
    format!("{opened} It ends when none has come for {}.", span(limits.closed_after_ms))
}
