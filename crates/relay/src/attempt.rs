//! One message on its way to one destination: the route, the hosts one after the other, the client
//! session, and one outcome per claim. It does nothing itself and knows no time: the caller does
//! what [`Attempt::next`] says and tells what came of it.
//!
//! What holds, whatever the next hops do and wherever it ends:
//!
//! - Each claim comes back once: in [`Step::Settle`], not before its outcome is certain, or in
//!   [`Step::GiveBack`].
//! - Before the dot, whoever has no final outcome goes to the next address or host, while there is
//!   one. A claim that stood at a [`Step::Dot`] goes nowhere else: it is settled with what came of it.
//! - One host at a time; at most [`MAX_TARGETS`] connections for one message.

use std::fmt;
use std::net::SocketAddr;

use quell_queue::claim::Claim;
use quell_queue::ledger;
use quell_queue::store::RowId;
use quell_wire::client::{EightBit, Status, Wait};

use crate::route::Own;
use crate::tls::{Rules, Tls};

#[doc(hidden)]
pub mod fuzz;
mod job;
mod machine;
mod way;

pub use machine::Attempt;

/// Connections that are tried for one message, before it waits for its next attempt.
pub const MAX_TARGETS: usize = 16;
/// Addresses of one host that are tried; the others are left out.
pub const MAX_ADDRESSES_PER_HOST: usize = 8;
/// How long a connection may take to be made. RFC 5321 has no time for it.
pub const CONNECT_SECS: u64 = 30;
/// How long a TLS handshake may take.
pub const HANDSHAKE_SECS: u64 = 60;

/// How we send, for all attempts.
#[derive(Debug, Clone)]
pub struct Sending {
    /// Our name, for EHLO.
    pub our_name: String,
    /// 8-bit content for a host without 8BITMIME.
    pub eightbit: EightBit,
    /// Recipients of one transaction ([`quell_wire::client::Settings::max_recipients`]).
    pub max_recipients: usize,
    /// The port of hosts that DNS names and of address literals: [`crate::route::SMTP_PORT`].
    pub port: u16,
    /// Whether address literals are sent to.
    pub address_literals: bool,
    /// Who we are: no route may lead there.
    pub own: Own,
    /// How connections are to be protected.
    pub tls: Rules,
    /// Domains are asked for their MTA-STS policy (RFC 8461).
    pub mta_sts: bool,
    /// Hosts that MX records name are asked for TLSA records (RFC 7672): only with a resolver that
    /// validates.
    pub dane: bool,
}

/// What must be known of a message before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Its bytes, our own `Received` included.
    pub size_bytes: u64,
    /// It has bytes over 127.
    pub eight_bit: bool,
    /// Its header has bytes over 127 (RFC 6532).
    pub header_non_ascii: bool,
}

/// What to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub address: Address,
    /// The host's name; its address where there is none.
    pub name: String,
    /// LMTP and not SMTP is spoken there.
    pub lmtp: bool,
    /// How the connection is to be protected.
    pub tls: Tls,
}

/// The address of a [`Target`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// The absolute path of a Unix socket.
    Unix(String),
}

impl fmt::Display for Target {
    /// Name, address and port: `mx.example.org[192.0.2.1]:25`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Unix(path) => f.write_str(path),
            Address::Tcp(address) if self.name == address.ip().to_string() => write!(f, "{address}"),
            Address::Tcp(address) => write!(f, "{}[{}]:{}", self.name, address.ip(), address.port()),
        }
    }
}

/// What the caller has to do next. Asked again, [`Attempt::next`] says the same, but for
/// [`Step::Write`], [`Step::Settle`], [`Step::GiveBack`] and [`Step::Disconnect`], which are given out
/// once.
#[derive(Debug)]
pub enum Step {
    /// Find the MTA-STS policy of this domain that is in force ([`crate::tls::sts::in_force`]), then
    /// call [`Attempt::found_policy`].
    FindPolicy(String),
    /// Ask DNS for the TLSA records of this host at [`Sending::port`], proven together with its
    /// addresses and the MX records of the domain, then call [`Attempt::found_tlsa`].
    FindTlsa {
        /// The recipients' domain.
        domain: String,
        /// The host.
        host: String,
    },
    /// Ask DNS for the MX records of this domain, then call [`Attempt::found_mx`].
    FindMx(String),
    /// Ask DNS for the IPv4 and IPv6 addresses of this host, then call
    /// [`Attempt::found_addresses`].
    FindAddresses(String),
    /// Connect within [`CONNECT_SECS`], for implicit TLS with a handshake within [`HANDSHAKE_SECS`], then
    /// call [`Attempt::connected`] (and [`Attempt::secured`]) or [`Attempt::connect_failed`].
    Connect(Target),
    /// Write these bytes, all of them; if it fails, [`Attempt::lost`].
    Write(Vec<u8>),
    /// Read, and call [`Attempt::input`]; after so long without a whole reply
    /// ([`Attempt::replies`]), [`Attempt::lost`].
    NeedInput(Wait),
    /// Begin TLS on the connection within [`HANDSHAKE_SECS`], as [`Target::tls`] says, then call
    /// [`Attempt::secured`] or [`Attempt::tls_failed`]. Nothing is read or written but the handshake.
    StartTls,
    /// Give the message to [`Attempt::body`] from its beginning and write what comes out, then call
    /// [`Attempt::body_end`].
    SendBody,
    /// Write down that the message goes out to these rows, then call [`Attempt::dot_recorded`]; if
    /// that cannot be written, [`Attempt::lost`]. No row stands here twice in an attempt.
    Dot(Vec<RowId>),
    /// Write down what became of a claim.
    Settle(Box<Settled>),
    /// Give a claim back ([`quell_queue::door::Door::give_back`]): for a reason of our own it was not
    /// tried to its end. Nothing was sent to it, and no host has said anything of it.
    GiveBack(Box<GivenBack>),
    /// Close the connection, and ask again.
    Disconnect,
    /// All claims are settled, and the connection can take another message for the same
    /// destination: [`Attempt::begin`], or [`Attempt::quit`]. If it ends meanwhile,
    /// [`Attempt::lost`].
    Done,
    /// All claims are settled, and there is no connection.
    Over,
}

/// What became of a claim.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled {
    /// The claim.
    pub claim: Claim,
    /// For the ledger.
    pub outcome: ledger::Outcome,
    /// Who said so, for the log and for reports: name, address and port of the host; the destination
    /// where there was none.
    pub next_hop: String,
    /// What protected the connection, as [`Attempt::secured`] was told. None: nothing did, or there was
    /// no connection.
    pub tls: Option<String>,
    /// The same as in the outcome, in parts. No reply code: nobody said it, we found it.
    pub status: Status,
}

/// A claim that was not tried.
#[derive(Debug, PartialEq, Eq)]
pub struct GivenBack {
    /// The claim.
    pub claim: Claim,
    /// Why, for the log: enhanced status code and text.
    pub status: Status,
}

/// Whether the destination is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// A host has answered, or all that was found is for good: there is nothing to wait for.
    Yes,
    /// No host got as far as an accepted EHLO, HELO or LHLO: the destination is down, with this
    /// status.
    No(String),
    /// Nobody has said anything of it: the attempt was ended, the connection was declined, or nothing
    /// was to be sent.
    Unclear,
}
