//! A timer that is kept: a connection waits for many things one after the other, each with a time
//! of its own, which hardly ever comes.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Longer than anything waits.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// One timer of the runtime for many deadlines. It stays at the earliest that it was ever set to, and
/// moves on when that time has come: setting it costs nothing as long as the next deadline is later.
#[derive(Debug)]
pub struct Alarm(Pin<Box<Sleep>>);

impl Default for Alarm {
    /// Not set.
    fn default() -> Self {
        Self(Box::pin(sleep_until(Instant::now() + NEVER)))
    }
}

impl Alarm {
    /// Waits until `by`.
    pub async fn at(&mut self, by: Instant) {
        loop {
            if self.0.is_elapsed() || self.0.deadline() > by {
                self.0.as_mut().reset(by);
            }
            self.0.as_mut().await;
            if Instant::now() >= by {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rings_at_each_deadline_whatever_the_order() {
        let (mut alarm, begun) = (Alarm::default(), Instant::now());
        for secs in [5, 3, 10, 10, 600, 601, 20] {
            let by = begun + Duration::from_secs(secs);
            let waited = Instant::now().max(by);
            alarm.at(by).await;
            let late = Instant::now().saturating_duration_since(waited);
            assert!(late <= Duration::from_millis(1), "{secs}: {late:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_before_leaves_it_as_it_is() {
        let mut alarm = Alarm::default();
        for _ in 0..1_000 {
            let by = Instant::now() + Duration::from_secs(60);
            tokio::select! {
                biased;
                () = alarm.at(by) => panic!("before its time"),
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
        let by = Instant::now() + Duration::from_secs(7);
        alarm.at(by).await;
        assert!(Instant::now() >= by && Instant::now() < by + Duration::from_millis(2));
    }
}
