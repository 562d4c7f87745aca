//! Telling the operator, by a command or a mail: one alert when a storm opens, one when it ends, one
//! when mail is held and nobody decides, one for a message that was given up and may have been delivered;
//! one when somebody guesses passwords; one of an account at a provider that cannot be collected; and
//! one of our own authors, once in a conversation, that his reply to all is held.
//!
//! The mail passes the door like any other, its reverse-path is null, and it can neither be
//! answered nor answer itself. What is told is bounded: [`MAX_PER_HOUR`] alerts, then silence and
//! a line in the log.

mod command;
mod mail;

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use quell_storm::tell::{Alert, AlertKind};
use tracing::{info, warn};

pub(crate) use command::of_the_operator;
pub use mail::Mailer;

use crate::metrics::Metrics;
use crate::server::vital_thread;

/// Alerts in an hour: a firm with more storms than this looks at the console.
const MAX_PER_HOUR: usize = 60;
/// Alerts that wait to be told; one more is dropped, and the log says so.
const MAX_WAITING: usize = 128;
const HOUR_MS: u64 = 3_600_000;

/// When a server that stops must have ended; empty while it runs.
pub type StopBy = Arc<OnceLock<Instant>>;

/// How the operator is told.
pub struct Teller {
    /// `[tell] command`, at the moment.
    pub command: Box<dyn Fn() -> Option<Vec<String>> + Send>,
    /// `[tell] mail`, at the moment, and the way to the door.
    pub mailer: Mailer,
    /// Milliseconds of the monotonic clock.
    pub mono_ms: Box<dyn Fn() -> u64 + Send>,
    /// A command still running then is ended.
    pub stop_by: StopBy,
    /// Numbers for the console.
    pub metrics: Arc<Metrics>,
}

/// Where alerts are put; never blocks.
#[derive(Clone)]
pub struct Outbox(SyncSender<Alert>);

impl Outbox {
    /// Puts an alert in line.
    pub fn put(&self, alert: Alert) {
        if let Err(TrySendError::Full(alert) | TrySendError::Disconnected(alert)) = self.0.try_send(alert) {
            warn!(event = "alert_dropped", about = %alert.about, "too many alerts wait: this one is only in the log");
        }
    }
}

/// An outbox, and what comes out of it.
pub(crate) fn outbox() -> (Outbox, Receiver<Alert>) {
    let (tx, rx) = sync_channel(MAX_WAITING);
    (Outbox(tx), rx)
}

impl Teller {
    /// Starts the thread that tells.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn start(self) -> std::io::Result<(Outbox, JoinHandle<()>)> {
        let (outbox, alerts) = outbox();
        let thread = vital_thread("tell".to_owned(), move || self.run(&alerts))?;
        Ok((outbox, thread))
    }

    fn run(&self, alerts: &Receiver<Alert>) {
        let (mut told, mut told_authors) = (VecDeque::new(), VecDeque::new());
        while let Ok(alert) = alerts.recv() {
            let now = (self.mono_ms)();
            for told in [&mut told, &mut told_authors] {
                told.retain(|at| now - *at < HOUR_MS);
            }
            say(&alert);
            // Each kind has its own ceiling: authors must not silence what the operator is told.
            let told = if alert.to.is_none() { &mut told } else { &mut told_authors };
            if told.len() >= MAX_PER_HOUR {
                warn!(event = "alert_ceiling", about = %alert.about, "{MAX_PER_HOUR} alerts in an hour: this one is only in the log");
                continue;
            }
            told.push_back(now);
            self.tell(&alert);
        }
    }

    /// The mail first: a command may take its time, and the server may be about to stop.
    fn tell(&self, alert: &Alert) {
        match self.mailer.send(alert) {
            Ok(false) => {}
            Ok(true) => self.metrics.alert(true),
            Err(why) => {
                self.metrics.alert(false);
                warn!(event = "tell_mail_failed", about = %alert.about, reason = %why, "the mail of [tell] could not be made");
            }
        }
        // The command is the operator's, and tells nobody else.
        if let Some(argv) = (self.command)().filter(|_| alert.to.is_none()) {
            let told = command::run(&argv, alert, &self.stop_by);
            self.metrics.alert(told.is_ok());
            if let Err(why) = told {
                warn!(event = "tell_command_failed", about = %alert.about, reason = %why, "the command of [tell] failed");
            }
        }
    }
}

/// The alert in the log.
fn say(alert: &Alert) {
    let subject = &alert.subject;
    if alert.kind == AlertKind::StillHeld {
        return warn!(event = "still_held", about = %alert.about, "{subject}");
    }
    if matches!(alert.kind, AlertKind::Guessing | AlertKind::Pickup) {
        // Whoever found it out has said so in the log.
        return;
    }
    if alert.kind == AlertKind::ReplyHeld {
        return info!(event = "author_told", about = %alert.about, "an author is told that a reply to all is held");
    }
    let Some(storm) = &alert.storm else {
        // The row's own line says the rest.
        return warn!(event = "maybe_delivered", id = %alert.about, "{subject}");
    };
    let (copies, class) = (storm.copies, storm.class());
    match alert.kind {
        AlertKind::Ended => info!(event = "storm_ended", storm = %storm.id, %class, copies, "{subject}"),
        _ => warn!(event = "storm_opened", storm = %storm.id, %class, copies, "{subject}"),
    }
}
