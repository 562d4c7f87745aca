//! Hosts of a mail network without sockets, as they were in the storm of 2005.
//!
//! A [`host::Host`] takes events and gives actions; bytes of SMTP, LMTP and POP3 are all that passes
//! between hosts. No socket, no clock, no randomness but from a seed: whoever runs the hosts gives
//! them the time.

mod content;
pub mod host;
mod mail_in;
mod mail_out;
pub mod office;
pub mod publisher;
pub mod random;
pub mod relay;
mod text;
mod turn;
