//! How servers talk: bytes in, events and bytes out. No socket, no clock.
//!
//! [`server::Session`] is the receiving side of SMTP (RFC 5321). Command lines are framed by
//! [`line`], content is decoded by [`data`], paths are read by [`path`]; `smtp-proto` parses the
//! rest of a command. What is ours is ours because these three decide what is a command and what is
//! content, and two servers that decide differently are how mail is smuggled.
//! [`client::Session`] is the sending side, [`pop3`] both sides of POP3, [`imap`] what bounds a client of
//! IMAP, [`sasl`] sign-in.

pub mod client;
pub mod data;
#[doc(hidden)]
pub mod fuzz;
pub mod imap;
pub mod line;
mod params;
pub mod path;
pub mod pop3;
mod printable;
pub mod reply;
pub mod sasl;
pub mod server;
mod xtext;

pub use xtext::{MAX_ENVID_BYTES, MAX_ORCPT_BYTES};
