//! What the service manager is told (sd_notify(3)): that the server listens, reads its configuration
//! again, stops; how it is; and that it is alive. Without `NOTIFY_SOCKET` nothing is.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, warn};

use crate::ops::{Ask, Request, Response, Status};

/// How often the state is asked for, at most.
const EVERY: Duration = Duration::from_secs(10);

/// The server listens; or goes on after a reload.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again. [`ready`] must follow.
pub(super) fn reloading() {
    // systemd wants the time in the same message (Type=notify-reload).
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The server stops, and may take so long for it.
pub(super) fn stopping(within: Duration) {
    let micros = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    tell(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(micros),
        NotifyState::Status("stopping: sessions may finish"),
    ]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(why) = sd_notify::notify(states) {
        warn!(event = "manager_not_told", reason = %why, "the service manager cannot be told how the server is");
    }
}

/// Tells how the server is until it stops. The watchdog is fed only when the desk, where everything is
/// decided, has answered: a process whose timers run and whose desk does not is to be started anew.
pub(super) async fn keep_told(ask: Ask, mut stop: watch::Receiver<bool>) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let watchdog = sd_notify::watchdog_enabled().filter(|within| !within.is_zero());
    // Three times within the limit, so that one that comes late is no death.
    let every = watchdog.map_or(EVERY, |within| (within / 3).min(EVERY));
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = String::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let Some(status) = asked(&ask, every).await else {
            warn!(event = "desk_silent", "the desk has not answered in time: the watchdog is not fed");
            continue;
        };
        let changed = (status != last).then(|| status.clone());
        last = status;
        let feed = watchdog.is_some();
        // On a thread that may wait: the manager may be slow to read.
        let told = tokio::task::spawn_blocking(move || beat(feed, changed.as_deref()));
        if let Ok(Err(why)) = told.await {
            debug!(event = "manager_not_told", reason = %why);
        }
    }
}

fn beat(feed: bool, status: Option<&str>) -> std::io::Result<()> {
    let watchdog = feed.then_some(NotifyState::Watchdog);
    let states: Vec<_> = watchdog.into_iter().chain(status.map(NotifyState::Status)).collect();
    if states.is_empty() { Ok(()) } else { sd_notify::notify(&states) }
}

/// The server's state in one line. None: the desk has not answered `within` the time.
async fn asked(ask: &Ask, within: Duration) -> Option<String> {
    match timeout(within, ask(Request::Status {})).await {
        Ok(Some(Response::Status(status))) => Some(line(&status)),
        _ => None,
    }
}

/// Counts alone: whoever may look at the service's state need not see anybody's address.
fn line(status: &Status) -> String {
    if let Some(trouble) = &status.trouble {
        return format!("no mail is taken: {trouble}");
    }
    let count = |state| status.queue.get(state).copied().unwrap_or(0);
    format!(
        "{} waiting, {} on their way, {} held, {} unknown; storms open: {}",
        count("waiting"),
        count("claimed"),
        count("held"),
        count("unknown"),
        status.storms_open
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn a_silent_desk_is_not_alive() {
        let silent: Ask = Arc::new(|_| Box::pin(std::future::pending()));
        assert_eq!(asked(&silent, Duration::from_secs(20)).await, None);
        let gone: Ask = Arc::new(|_| Box::pin(async { None }));
        assert_eq!(asked(&gone, Duration::from_secs(20)).await, None);
        let alive: Ask = Arc::new(|_| Box::pin(async { Some(Response::Status(Status::default())) }));
        assert!(asked(&alive, Duration::from_secs(20)).await.is_some());
    }

    #[test]
    fn the_line_counts_and_names_trouble() {
        let queue = [("waiting".to_owned(), 3), ("held".to_owned(), 1)].into();
        let mut status = Status { queue, storms_open: 2, ..Status::default() };
        assert_eq!(line(&status), "3 waiting, 0 on their way, 1 held, 0 unknown; storms open: 2");
        status.trouble = Some("the disk is full".to_owned());
        assert_eq!(line(&status), "no mail is taken: the disk is full");
    }
}
