//! Every threshold and bound of the judge and of the storm book, with its default.

use crate::exceptions::Exceptions;
use crate::facts::Ms;
use crate::policy::Policies;
use crate::rhythm::FloodLimits;

/// One minute, in milliseconds.
const MINUTE: Ms = 60_000;
/// One hour, in milliseconds.
const HOUR: Ms = 60 * MINUTE;

/// The settings of the judge and of the storm book (`[judge]` in the configuration). All windows
/// are half open: a thing exactly as old as the window is outside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// A message with this many `Received` fields is refused 5.4.6 (RFC 5321 §6.3 wants at least
    /// 100, so that no honest path is cut).
    pub max_hops: usize,
    /// How long after a permanent failure about the recipient a copy from the same source is
    /// refused.
    pub failed_window_ms: Ms,
    /// New lives a failed row may begin in 24 h; further copies are refused.
    pub max_lives_per_day: u32,
    /// How long after its storm closed a discarded row still absorbs copies.
    pub discarded_window_ms: Ms,
    /// An answer to the final dot later than this counts as late: the same message again from the
    /// same source is then a retry. RFC 5321 §4.5.3.2.6 grants us ten minutes; clients that make
    /// storms give up after seconds.
    pub late_answer_ms: Ms,
    /// The copy for one recipient, within `window_ms`, that opens a storm. 1 to
    /// [`crate::window::MAX_TIMES`].
    pub storm_rcpt_copies: u32,
    /// The copy over all recipients of a key, within `window_ms`, that opens a storm. 1 to
    /// [`crate::window::MAX_TIMES`].
    pub storm_key_copies: u32,
    /// The sliding window in which copies are counted.
    pub window_ms: Ms,
    /// A storm is quiet after this long without a copy.
    pub quiet_after_ms: Ms,
    /// A storm is closed after this long without a copy.
    pub closed_after_ms: Ms,
    /// Storms in memory. At the limit a further one is not opened and
    /// [`crate::book::Book::not_opened`] grows; mail is judged all the same.
    pub max_open_storms: usize,
    /// Header sets in a storm's random sample, beside the first and the last. At most 200.
    pub evidence_samples: usize,
    /// A header set is cut to this many bytes.
    pub evidence_header_bytes: usize,
    /// Evidence over all storms in memory. At the limit the sample takes no more, and the first
    /// and last header set of each storm are cut to 4 KiB.
    pub evidence_book_bytes: usize,
    /// Traces over all storms in memory. At the limit new storms get [`crate::live::NARROW`] ones, and
    /// those whose last copy is the oldest give way, down to none: whom they had named stays named.
    pub trace_book_bytes: usize,
    /// The numbers of one storm are written at most this often.
    pub persist_every_ms: Ms,
    /// `resent`: arrivals of one content for one recipient that pass without a mark of re-injection, the
    /// original included.
    pub resent_arrivals: u32,
    /// `resent`: a content of fewer words is suspected only with a mark.
    pub resent_least_words: u32,
    /// `resent`, `reinjected`: so long a content is remembered after it last came.
    pub resent_window_ms: Ms,
    /// `reply_all`: a conversation of fewer people is none.
    pub reply_all_people: u32,
    /// `reply_all`: so many replies to all within the window pass, or
    pub reply_all_replies: u32,
    /// people divided by this, whichever is more.
    pub reply_all_share: u32,
    /// `reply_all`: by fewer authors it is no storm.
    pub reply_all_authors: u32,
    /// `reply_all`: through a mailing list so many times as many pass: people join those to talk.
    pub reply_all_list_factor: u32,
    /// `reply_all`: the window.
    pub reply_all_window_ms: Ms,
    /// `auto_reply`: messages in turn that pass.
    pub auto_reply_turns: u32,
    /// `auto_reply`: a longer pause ends the turns.
    pub auto_reply_window_ms: Ms,
    /// `bounces`: reports for one recipient within an hour that pass, whatever was sent.
    pub bounces_per_recipient: u32,
    /// `bounces`: reports of one message for one recipient within a day that pass, whatever was sent.
    pub bounces_per_message: u32,
    /// `flood`.
    pub flood: FloodLimits,
    /// `user_limit`.
    pub user: UserLimits,
    /// Bytes that one storm may hold: what comes beyond is answered 452, as for any lack of room, so that
    /// a storm leaves room for other mail.
    pub held_storm_bytes: u64,
    /// What is done with what a class suspects.
    pub policies: Policies,
    /// What none suspects.
    pub exceptions: Exceptions,
    /// Most entries of the table of contents by recipient; the other tables have a fixed part of that.
    pub recent_entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_hops: 100,
            failed_window_ms: 30 * MINUTE,
            max_lives_per_day: 8,
            discarded_window_ms: 24 * HOUR,
            late_answer_ms: 10_000,
            storm_rcpt_copies: 5,
            storm_key_copies: 20,
            window_ms: 24 * HOUR,
            quiet_after_ms: HOUR,
            closed_after_ms: 6 * HOUR,
            max_open_storms: 10_000,
            evidence_samples: 16,
            evidence_header_bytes: 64 << 10,
            evidence_book_bytes: 64 << 20,
            trace_book_bytes: 32 << 20,
            persist_every_ms: MINUTE,
            resent_arrivals: 2,
            resent_least_words: 20,
            resent_window_ms: 48 * HOUR,
            reply_all_people: 10,
            reply_all_replies: 10,
            reply_all_share: 5,
            reply_all_authors: 5,
            reply_all_list_factor: 2,
            reply_all_window_ms: 30 * MINUTE,
            auto_reply_turns: 4,
            auto_reply_window_ms: 12 * HOUR,
            bounces_per_recipient: 20,
            bounces_per_message: 10,
            flood: FloodLimits::default(),
            user: UserLimits::default(),
            held_storm_bytes: 1 << 30,
            policies: Policies::default(),
            exceptions: Exceptions::default(),
            recent_entries: 1 << 19,
        }
    }
}

/// What a user who has signed in may send; more is held (`user_limit`). The defaults fit people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserLimits {
    /// Messages within an hour (counted in parts of 5 minutes).
    pub messages_per_hour: u32,
    /// Messages within a day (counted in parts of an hour).
    pub messages_per_day: u32,
    /// Recipients within a day whom they had not written to for 30 days; four times as many in the first 14 days
    /// that the server knows of them.
    pub new_recipients_per_day: u32,
}

impl Default for UserLimits {
    fn default() -> Self {
        Self { messages_per_hour: 100, messages_per_day: 500, new_recipients_per_day: 100 }
    }
}
