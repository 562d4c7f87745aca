//! `[judge]`, `[policy]`, `[exceptions]`, `[hold]`: what is suspected, and what becomes of it.

use serde::{Deserialize, Serialize};

use super::{Section, Setting, literal};

section! {
    /// When copies of a message are called a storm, and how rows that failed or were discarded
    /// meet further copies.
    Judge, JUDGE, "judge" {
        /// As many `Received` fields as this, or more: refused with 5.4.6 as a loop.
        max_hops: u64 = 100, "", hint "100", 10..=1000;
        /// A storm opens at this many copies for one recipient within 24 hours.
        storm_rcpt_copies: u64 = 5, "", hint "5", 1..=1024;
        /// A storm opens at this many copies of a message over all its recipients within 24 hours.
        storm_key_copies: u64 = 20, "", hint "20", 1..=1024;
        /// A storm is quiet after this time without a copy.
        quiet_after_secs: u64 = 3_600, "seconds", hint "3600", 60..=86400;
        /// A storm is closed after this time without a copy.
        closed_after_secs: u64 = 21_600, "seconds", hint "21600", 120..=604800;
        /// For so long after a permanent failure the same source is refused the same message.
        failed_window_secs: u64 = 1_800, "seconds", hint "1800", 0..=86400;
        /// How often a message that failed is tried anew for a recipient within 24 hours.
        max_lives_per_day: u64 = 8, "", hint "8", 1..=1000;
        /// Copies of a held message that was discarded are absorbed for so long after the end of its storm.
        discarded_window_secs: u64 = 86_400, "seconds", hint "86400", 0..=604800;
        /// An answer later than this counts as late: copies after it are the class `retry`.
        late_answer_secs: u64 = 10, "seconds", hint "10", 1..=600;
        /// `resent`: so many arrivals of one content for one recipient pass, the original included,
        /// if they come by servers that the first did not pass and have no mark of re-injection.
        resent_arrivals: u64 = 2, "", hint "2", 1..=1000;
        /// `resent`: a shorter text is suspected only with a mark of re-injection.
        resent_least_words: u64 = 20, "words", hint "20", 0..=100000;
        /// `resent`, `reinjected`: a content is remembered so long after it last came.
        resent_window_hours: u64 = 48, "hours", hint "48", 1..=720;
        /// `reply_all`: a conversation of fewer people is none of many.
        reply_all_people: u64 = 10, "people", hint "10", 3..=100000;
        /// `reply_all`: so many replies to all pass within the window, or as many as
        /// `reply_all_share` says, whichever is more.
        reply_all_replies: u64 = 10, "", hint "10", 1..=500;
        /// `reply_all`: one reply to all passes for each so many people.
        reply_all_share: u64 = 5, "people", hint "5", 1..=100000;
        /// `reply_all`: with fewer authors it is no storm.
        reply_all_authors: u64 = 5, "authors", hint "5", 2..=1000;
        /// `reply_all`: through a mailing list so many times as many pass.
        reply_all_list_factor: u64 = 2, "", hint "2", 1..=100;
        /// `reply_all`: the window.
        reply_all_window_mins: u64 = 30, "minutes", hint "30", 1..=1440;
        /// `auto_reply`: so many messages in turn pass, if machines write them.
        auto_reply_turns: u64 = 4, "turns", hint "4", 2..=1000;
        /// `auto_reply`: a longer pause ends the turns.
        auto_reply_window_hours: u64 = 12, "hours", hint "12", 1..=720;
        /// `bounces`: so many reports for one recipient pass within an hour, of messages that did not
        /// go out here.
        bounces_per_recipient: u64 = 20, "", hint "20", 1..=1000000;
        /// `bounces`: so many reports of one message for one recipient pass within a day, or as many
        /// as the message had recipients, whichever is more.
        bounces_per_message: u64 = 10, "", hint "10", 1..=1000000;
        /// `flood`: so many times what a source usually brings at this hour of the week is still usual.
        flood_factor: u64 = 7, "", hint "7", 2..=1000;
        /// `flood`: so many messages within 5 minutes are none.
        flood_least_five_minutes: u64 = 150, "", hint "150", 1..=1000000000;
        /// `flood`: so many messages within an hour are none.
        flood_least_hour: u64 = 300, "", hint "300", 1..=1000000000;
        /// `flood`: so many messages within a day are none.
        flood_least_day: u64 = 2_500, "", hint "2500", 1..=1000000000;
        /// `flood`: so long a source is new, and four times as much is usual. It begins anew when
        /// quell starts.
        flood_warm_up_days: u64 = 14, "days", hint "14", 7..=365;
        /// So much may be held for one storm. What comes of it beyond that is answered 452, so that there
        /// is room for other mail.
        held_storm_mib: u64 = 1_024, "MiB", hint "1024", 1..=1048576;
        /// Most entries of the largest table of what came lately; the others have a part of it. At
        /// its end the coldest of whoever brings the most give way. All tables together take about
        /// 300 bytes for each.
        recent_entries: u64 = 524_288, "entries", hint "524288", 1024..=67108864;
    }
}

section! {
    /// What is done with mail that a class suspects: "tell" lets it pass and tells the operator, "hold"
    /// keeps it for a person, "refuse" answers 550 5.7.1. Copies of what the recipient provably has are
    /// absorbed, and loops stopped, whatever stands here: nobody gets a message twice.
    PolicyTable, POLICY, "policy" {
        /// The same content with a new identity or other bytes, by another way than the first. What comes
        /// from others than our own machines is held all the same where this is "refuse": the answer
        /// would tell who has a message.
        resent: String = "hold".to_owned(), "", hint "\"hold\"";
        /// Outgoing, by an author from outside, to people who stand in its To and Cc.
        reinjected: String = "hold".to_owned(), "", hint "\"hold\"";
        /// Many replies to all in one conversation.
        reply_all: String = "hold".to_owned(), "", hint "\"hold\"";
        /// Machines that answer each other.
        auto_reply: String = "hold".to_owned(), "", hint "\"hold\"";
        /// A flood of reports for one recipient or of one message.
        bounces: String = "hold".to_owned(), "", hint "\"hold\"";
        /// Unusual volume of a source against its own past.
        flood: String = "tell".to_owned(), "", hint "\"tell\"";
    }
}

section! {
    /// Mail that no class suspects. It is counted, and its copies are absorbed like any.
    ExceptionsTable, EXCEPTIONS, "exceptions" {
        /// Senders, by the reverse-path or the author: an address, or "@firm.example" for all of a
        /// domain. Whoever forges one is not suspected either.
        senders: Vec<String> = Vec::new(), "", hint "[\"reports@monitor.example\", \"@erp.example\"]";
        /// Mailing lists, by what stands in angle brackets in their List-Id.
        lists: Vec<String> = Vec::new(), "", hint "[\"staff.firm.example\"]";
        /// Hosts and networks that bring it.
        hosts: Vec<String> = Vec::new(), "", hint "[\"10.0.0.7\", \"192.0.2.0/24\"]";
    }
}

section! {
    /// What becomes of held mail that nobody decides on. It is never delivered by itself.
    Hold, HOLD, "hold" {
        /// So long after a message was held it is told in a digest to its recipient, and discarded;
        /// for 30 days more `quell storms release` can deliver it.
        keep_hours: u64 = 48, "hours", hint "48", 1..=720;
        /// So long after a storm has held mail the operator is reminded of it, once each; not after
        /// `keep_hours`.
        remind_hours: Vec<u64> = vec![4, 24], "hours", hint "[4, 24]";
    }
}
