//! The faulty server.
mod addresses;
mod rewrite;
pub use rewrite::{Habits, Shape};
