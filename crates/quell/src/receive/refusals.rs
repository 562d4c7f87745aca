//! The log lines of refused recipients. Whoever guesses at names can bring about thousands of them a
//! second, and must not fill the disk.

use quell_relay::reception::{NotTheirs, RefusedRecipient};
use quell_storm::facts::Ms;
use tracing::{info, warn};

use crate::deliver::verify::Answer;
use crate::server::log_lines::LogLines;

/// Refused recipients with a line of their own, each second; the others are counted in one line, with
/// the first one of a later second.
const LINES: u64 = 20;

/// How many lines there were lately.
#[derive(Debug)]
pub struct Refusals(LogLines);

impl Refusals {
    /// None yet.
    pub const fn new() -> Self {
        Self(LogLines::new(LINES))
    }

    /// Writes a line, or counts. `answer`: what the next hop said, where it was asked.
    pub fn log(&self, refused: &RefusedRecipient<'_>, answer: Option<&Answer>, at_ms: Ms) {
        let (unsaid, has_line) = self.0.count(at_ms);
        if unsaid > 0 {
            info!(event = "refused", recipients = unsaid, "more recipients were refused within a second");
        }
        if !has_line {
            return;
        }
        let RefusedRecipient { rcpt, reverse_path, source, reply } = *refused;
        let source = source.map(|address| address.to_string());
        let (from, reply, dsn) = (crate::deliver::sender(reverse_path), reply.to_string(), reply.enhanced());
        let (next_hop, asked) = (answer.map(|a| a.next_hop.as_str()), answer.and_then(|a| a.how));
        info!(event = "refused", rcpt, from, source, next_hop, asked, reply, dsn);
    }

    /// The same of a user who wrote under somebody else's address.
    pub fn log_not_theirs(&self, refused: &NotTheirs<'_>, at_ms: Ms) {
        let (unsaid, has_line) = self.0.count(at_ms);
        if unsaid > 0 {
            warn!(event = "not_theirs", messages = unsaid, "more were refused within a second");
        }
        if has_line {
            let source = refused.source.map(|address| address.to_string());
            let (user, reply) = (refused.user, refused.reply.to_string());
            warn!(event = "not_theirs", user, source, reply, "a user wrote under somebody else's address");
        }
    }
}
