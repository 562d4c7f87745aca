//! The stories, one for each kind of world.

mod again;
mod lookalike;
mod quiet;
mod resend;

pub(super) use again::*;
pub(super) use lookalike::*;
pub(super) use quiet::*;
pub(super) use resend::*;
