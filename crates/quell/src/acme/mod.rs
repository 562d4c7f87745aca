//! A certificate by ACME (RFC 8555): asked for, kept, renewed.
//!
//! ```text
//! keeper ─ when: is one due? ─ order ─ http: the authority's server ─ keep: <data>/acme/
//!                                └ answer: the authority connects to us        └ serve::certificate takes it into use
//! ```

mod answer;
mod http;
mod keep;
mod keeper;
mod order;
mod when;

pub use keeper::Keeper;
