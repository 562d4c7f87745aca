//! POP3 (RFC 1939, with CAPA and response codes of RFC 2449), both sides, without the connection:
//! [`server::Session`] keeps a maildrop for others, [`client::Session`] collects from one.
//!
//! Neither side deletes anything by itself. A message that was marked with DELE is deleted when QUIT
//! has been said, and at no other time (RFC 1939 §6): a lost connection deletes nothing.

pub mod client;
#[doc(hidden)]
pub mod fuzz;
mod password;
pub mod server;
mod uidl;

pub use password::{BadPassword, MAX_PASSWORD_BYTES, Password};
pub use uidl::{BadUidl, MAX_UIDL_BYTES, Uidl};
