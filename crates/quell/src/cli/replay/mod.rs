//! `quell replay`: what quell would have done with mail that already came.
//!
//! ```text
//! args ─ run: Archive::open ─ scan ─ Record of each message (100 bytes) ─ when: its time
//!          ─ in order of time, in portions: headers of what may be a storm, read again
//!          ─ desk: the production door over the store in memory, by a virtual clock
//!          ─ Answer ─ text · --json
//! ```
//!
//! Every message goes through the door: a class that a later rule adds is measured without a line here,
//! but for its [`opportunity::Opportunity`].

mod answer;
mod args;
mod desk;
mod headers;
mod mails;
pub mod opportunity;
mod record;
mod replaying;
mod run;
mod text;
mod when;

pub use args::Args;
pub use run::run;
