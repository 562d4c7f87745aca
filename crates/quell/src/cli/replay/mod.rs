//! `quell replay`: what quell would have done with mail that already came.
//!
//! ```text
//! args ─ run: Archive::open ─ scan ─ Record of each message (100 bytes) ─ when: its time
//!          ─ in order of time, in portions, read again: what each says, for the classes of suspicion
//!          ─ desk: the production door over the store in memory, by a virtual clock
//!          ─ Answer ─ text · --json
//! ```
//!
//! A message whose exact key no other has passes by without a row, unless a class suspects it: the answer is
//! the same, ten times as fast. While one portion is judged the next is read.

mod again;
mod answer;
mod args;
mod desk;
#[cfg(test)]
mod desk_tests;
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
