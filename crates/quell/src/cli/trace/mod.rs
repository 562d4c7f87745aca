//! `quell trace`: from an archive of mail to the servers that make copies.
//!
//! ```text
//! args ─ run: Archive::open ─ passes (scan, compare) ─ batches (trace) ─ Report
//!           ─ output: text · --json · --html FILE · --mbox FILE (evidence)
//! ```
//!
//! The answers begin with [`clean::clean`], so that nothing of mail reaches a terminal or a browser as
//! anything but letters. What leaves the house goes through [`owner::strip`] before that.

mod args;
mod batches;
pub mod clean;
mod evidence;
pub mod html;
mod interrupt;
pub(super) mod json;
pub(super) mod mails;
mod output;
pub mod owner;
mod passes;
mod run;
pub(super) mod screen;
pub mod text;
pub mod words;

pub use args::Args;
pub use run::run;
pub(super) use run::tell_damage;

#[cfg(test)]
mod pipeline_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
