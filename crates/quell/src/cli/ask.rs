//! What the commands that ask the server share.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use quell_queue::door::DoorSettings;
use quell_storm::facts::Ms;

use super::Failure;
use crate::config::Config;
use crate::control::{Link, LinkError};
use crate::ops::Response;
use crate::ops::table::plain;
use crate::ops::time::{age_text, parse_when};

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The way to the server of `config`, or to its store.
pub(super) fn asker(config: &Config) -> Result<Link, Failure> {
    // The configuration keeps the number within 0 to 255.
    let gateway = u8::try_from(config.settings.server.gateway).unwrap_or_default();
    let settings = DoorSettings { limits: config.limits.clone(), gateway };
    let routes = config.routes.clone();
    let destinations = Box::new(move |identity: &str| routes.of(identity).destination());
    Ok(Link::open(&config.data, Some(&config.secret_file), settings, destinations)?)
}

/// An answer that is none of those that were hoped for.
pub(super) fn refused(answer: Response) -> Failure {
    match answer {
        Response::Error(failed) => Failure::Failed(plain(&failed.message)),
        _ => strange(),
    }
}

pub(super) fn strange() -> Failure {
    Failure::Failed("the server gave a strange answer; is it of another version?".to_owned())
}

/// Prints JSON and a line end.
pub(super) fn json(value: &impl serde::Serialize, out: &mut dyn Write) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::Failed(e.to_string()))?;
    Ok(writeln!(out, "{text}")?)
}

/// The wall clock, in milliseconds since 1970.
pub(super) fn wall_ms() -> Ms {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
    Ms::try_from(since).unwrap_or(Ms::MAX)
}

/// How long ago an RFC 3339 time was.
pub(super) fn ago(time: &str, now: Ms) -> Option<String> {
    Some(age_text(now - parse_when(time, now).ok()?))
}

/// How long until an RFC 3339 time; `now` for one that has passed.
pub(super) fn until(time: &str, now: Ms) -> Option<String> {
    let left = parse_when(time, now).ok()? - now;
    Some(if left < 1000 { "now".to_owned() } else { age_text(left) })
}

pub(super) fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests;
