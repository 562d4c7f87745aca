//! Hosts of a mail network without sockets, as they were in the storm of 2005.
//!
//! A [`host::Host`] takes events and gives actions; bytes of SMTP, LMTP and POP3 are all that passes
//! between hosts. No socket, no clock, no randomness but from a seed: whoever runs the hosts gives
//! them the time.

mod clock;
pub mod collector;
mod content;
mod dice;
pub mod faulty_server;
pub mod firm;
#[doc(hidden)]
pub mod fuzz;
pub mod host;
pub mod isp;
mod mail_in;
mod mail_out;
mod names;
pub mod network;
pub mod office;
pub mod offices;
pub mod publisher;
pub mod random;
pub mod relay;
pub mod scenario;
mod text;
pub mod traces;
mod turn;
