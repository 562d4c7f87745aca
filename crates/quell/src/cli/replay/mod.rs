//! `quell replay`: what quell would have done with mail that already came.
//!
//! ```text
//! args ─ run: Archive::open ─ scan ─ Record of each message (100 bytes) ─ when: its time
//!          ─ in order of time, in portions: headers of what may be a storm, read again
//!          ─ desk: the production door over the store in memory, by a virtual clock
//!          ─ Answer ─ text · --json
//! ```
//!
//! A class that a later rule adds is measured once two places here know it: `desk` wants to be told whether
//! it looks at more than the rows of an arrival's own key, and [`opportunity`] what it has to decide on.

mod answer;
mod args;
mod desk;
#[cfg(test)]
mod desk_tests;
mod headers;
pub mod in_memory;
mod mails;
pub mod opportunity;
mod record;
mod replaying;
mod run;
#[cfg(test)]
mod tests;
mod text;
mod when;

pub use args::Args;
pub use run::run;
