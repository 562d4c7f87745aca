//! `[tell] command`: a program of the operator's, with the alert on its standard input.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quell_storm::tell::{Alert, AlertKind};

use super::StopBy;

/// A command that takes longer is ended.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// What the service manager says to us and to nobody else (sd_notify(3), sd_listen_fds(3)).
const OF_THE_SERVICE: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"];

/// A program of the operator's, which is no part of the service.
pub(crate) fn of_the_operator(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in OF_THE_SERVICE {
        command.env_remove(name);
    }
    command
}

/// Runs `argv` with the text on standard input, and `QUELL_EVENT` (`opened`, `ended`,
/// `still_held`, of a storm; `maybe_delivered`, of a message; `guessing`, of passwords), `QUELL_STORM` (the storm's id, or nothing), `QUELL_CULPRITS`
/// (`host [address]`, with commas between, or nothing) and `QUELL_SUBJECT` in the environment. It has
/// 30 s, and less when the server stops.
pub(super) fn run(argv: &[String], alert: &Alert, stop_by: &StopBy) -> io::Result<()> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let event = match alert.kind {
        AlertKind::Opened => "opened",
        AlertKind::Ended => "ended",
        AlertKind::MaybeDelivered => "maybe_delivered",
        AlertKind::StillHeld => "still_held",
        AlertKind::ReplyHeld => "reply_held",
        AlertKind::Guessing => "guessing",
        AlertKind::Pickup => "pickup",
    };
    let storm = if alert.storm.is_some() { alert.about.as_str() } else { "" };
    let mut child = of_the_operator(program)
        .args(arguments)
        .env("QUELL_EVENT", event)
        .env("QUELL_STORM", storm)
        .env("QUELL_CULPRITS", alert.culprit_names())
        .env("QUELL_SUBJECT", &alert.subject)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // The text fits into the pipe's buffer. A program that does not read it is no failure.
    let fed = child.stdin.take().map(|mut stdin| stdin.write_all(alert.text.as_bytes()));
    if let Some(Err(why)) = fed
        && why.kind() != io::ErrorKind::BrokenPipe
    {
        return Err(why);
    }
    let began = Instant::now();
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(io::Error::other(format!("it ended with {status}"))),
            None if began.elapsed() > TIME_LIMIT => {
                return end(child, "it took longer than 30 s and was ended");
            }
            None if stop_by.get().is_some_and(|by| Instant::now() > *by) => {
                return end(child, "the server is stopping, and it was ended");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn end(mut child: Child, why: &str) -> io::Result<()> {
    drop(child.kill());
    child.wait()?;
    Err(io::Error::other(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_service_managers_is_not_passed_on() {
        let command = of_the_operator("/bin/true");
        let removed: Vec<_> = command.get_envs().filter(|(_, value)| value.is_none()).collect();
        assert_eq!(removed.len(), OF_THE_SERVICE.len());
        assert!(OF_THE_SERVICE.iter().all(|name| removed.iter().any(|(removed, _)| removed == name)));
    }
}
