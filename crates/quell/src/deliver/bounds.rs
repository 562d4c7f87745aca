//! How long a message may take up to its dot, and how long a second choice is kept.

use std::time::Duration;

use tokio::time::Instant;

/// So long names, connections, greetings and commands of one message may take, at all its hosts
/// together. It is far more than each of them takes anywhere; the times of RFC 5321 §4.5.3.2 one after
/// the other come to hours, in which a mute domain would hold a session.
const TALK: Duration = Duration::from_secs(30 * 60);
/// And so much more for each recipient: some hosts answer RCPT slowly on purpose.
const FOR_EACH_RECIPIENT: Duration = Duration::from_secs(10);
/// The message itself goes out at least so fast, as it has to come in.
const LEAST_BYTES_PER_SEC: u64 = 100;
/// So long a connection is used that is not the first choice: its betters may be back.
const SECOND_CHOICE: Duration = Duration::from_secs(5 * 60);

/// The time that is left for a message up to its dot. At its end the attempt ends; whoever is not at
/// the dot waits for the next.
#[derive(Debug)]
pub struct ToDot {
    by: Instant,
    talk: Duration,
    body: Duration,
    /// The time for the body counts from its first byte on.
    body_began: bool,
}

impl ToDot {
    /// From now on, for a message of this size to so many recipients.
    pub fn new(size_bytes: u64, recipients: usize) -> Self {
        let recipients = u32::try_from(recipients).unwrap_or(u32::MAX);
        let talk = TALK + FOR_EACH_RECIPIENT.saturating_mul(recipients);
        let body = Duration::from_secs(size_bytes / LEAST_BYTES_PER_SEC);
        Self { by: Instant::now() + talk, talk, body, body_began: false }
    }

    /// The body is about to be sent: at whatever host, its time is added once.
    pub fn body_begins(&mut self) {
        if !std::mem::replace(&mut self.body_began, true) {
            self.by += self.body;
        }
    }

    /// A dot was answered, and others are still to be sent to: it goes on well.
    pub fn renew(&mut self) {
        (self.by, self.body_began) = (Instant::now() + self.talk, false);
    }

    /// What is left; nothing at the end.
    pub fn left(&self) -> Duration {
        self.by.saturating_duration_since(Instant::now())
    }
}

/// Until when further messages go over a connection that was made now: without an end, if it is the
/// first choice.
pub fn kept_until(second_choice: bool) -> Option<Instant> {
    second_choice.then(|| Instant::now() + SECOND_CHOICE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_message_has_its_time() {
        let mut to_dot = ToDot::new(60_000, 6);
        assert_eq!(to_dot.left(), Duration::from_secs(31 * 60));
        tokio::time::advance(Duration::from_secs(30 * 60)).await;
        (0..3).for_each(|_| to_dot.body_begins());
        assert_eq!(to_dot.left(), Duration::from_secs(60 + 600));
        tokio::time::advance(Duration::from_secs(661)).await;
        assert!(to_dot.left().is_zero());
        to_dot.renew();
        to_dot.body_begins();
        assert_eq!(to_dot.left(), Duration::from_secs(41 * 60));
        assert!(!ToDot::new(u64::MAX, usize::MAX).left().is_zero());
    }
}
