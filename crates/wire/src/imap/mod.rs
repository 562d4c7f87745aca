//! IMAP (RFC 9051), as far as a client of somebody else's needs us: [`Opening`] is what is said
//! before TLS, [`Guard`] bounds what the client's parser may come to keep in memory.

mod capability;
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod newlines;
mod opening;

pub use capability::{Ask, Offer};
pub use guard::{Guard, GuardFault, MAX_LISTS, MAX_LITERALS};
pub use newlines::Newlines;
pub use opening::{Fault, MAX_OPENING_LINE_BYTES, MAX_OPENING_LINES, MAX_TEXT_BYTES, Opening, Step, Why};
