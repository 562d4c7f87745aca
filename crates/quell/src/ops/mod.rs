//! What a person may ask of the store and what is answered: the same for the running server (by
//! the control socket or the console, through the desk) and for a stopped one (by the command
//! itself, under the lock).
//!
//! Requests and answers are JSON. Times in answers are RFC 3339 in UTC, queue ids are their 16
//! characters, what is not known is null. One request takes the desk a bounded time: whatever goes
//! over many rows handles at most [`SLICE`] of them and returns where to go on.

mod answer;
mod explain;
mod forget;
mod held;
pub mod offline;
pub mod pickup;
mod queue;
mod request;
mod run;
mod storms;
pub mod table;
pub mod time;
pub mod users;

pub use answer::*;
pub use forget::To;
pub use pickup::PickupRequest;
pub use request::*;
pub use run::run;
pub use users::{UserShown, UsersRequest, UsersShown};

/// Rows that one request looks at, at most.
pub const SLICE: usize = 1_000;

/// How the console and the control socket reach the desk. None: the desk is gone or stopping.
pub type Ask = std::sync::Arc<
    dyn Fn(Request) -> std::pin::Pin<Box<dyn Future<Output = Option<Response>> + Send>> + Send + Sync,
>;

/// Text from outside, fit for a message to the operator: in quotes, cut, without control
/// characters.
fn shown(text: &str) -> String {
    const MAX_CHARS: usize = 100;
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let cut = if text.chars().nth(MAX_CHARS).is_some() { "…" } else { "" };
    format!("`{}{cut}`", text.chars().take(MAX_CHARS).map(clean).collect::<String>())
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
