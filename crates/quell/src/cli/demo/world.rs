//! The hosts of the demonstration: those of `quell_sim::scenario`, with rhythms for one minute instead
//! of one day.

use std::sync::Arc;

use quell_sim::faulty_server::Shape as Copies;
use quell_sim::host::{Host, HostName, Place};
use quell_sim::relay::{PlainRelay, PlainRelaySettings};
use quell_sim::scenario::{Dublin, GATEWAY, ISP, Shapes};

use super::args::{Args, Shape};

/// A faulty server polls so often; in 2005 every 15 minutes at most. Each poll it sends once.
const POLL_MS: u64 = 100;
/// One message of the office so often.
const OFFICE_EVERY_MS: u64 = 50;
/// The newsletter follows so long after the start, and some other mail comes before it.
const NEWSLETTER_AFTER_MS: u64 = 300;
/// A faulty server fails from so many addresses; with few firms from half of them.
const FAILS_FROM_ADDRESSES: usize = 20;
/// Firms with a faulty server, as in Dublin.
const FAULTY: u32 = 5;
/// Messages that the plain relay keeps in memory: enough for all that the faulty servers send within
/// seconds. More is answered 452.
const RELAY_MESSAGES: usize = 20_000;

/// All hosts but the gateway, and what is to be known of them.
pub struct World {
    /// The ISP among them.
    pub hosts: Vec<Box<dyn Host>>,
    /// Whom the newsletter goes to.
    pub recipients: Vec<Arc<str>>,
    /// The firms' domains.
    pub domains: Vec<String>,
    /// How many of the hosts re-send.
    pub faulty_servers: usize,
}

impl World {
    /// Made by the seed.
    pub fn new(args: &Args, shape: Shape) -> Self {
        let copies = match shape {
            Shape::Trace => Copies::Trace,
            Shape::Identity => Copies::Identity,
        };
        let half = usize::try_from(args.firms / 2).unwrap_or(FAILS_FROM_ADDRESSES);
        let world = Dublin {
            seed: args.seed,
            firms: args.firms,
            faulty: FAULTY,
            shapes: Shapes::All(copies),
            poll_ms: POLL_MS,
            fails_from_addresses: FAILS_FROM_ADDRESSES.min(half),
            newsletter_after_ms: NEWSLETTER_AFTER_MS,
            office_every_ms: OFFICE_EVERY_MS,
            ..Dublin::default()
        }
        .world();
        let recipients = world.recipients.into_iter().map(Arc::from).collect();
        Self { hosts: world.hosts, recipients, domains: world.domains, faulty_servers: world.faulty.len() }
    }
}

/// The name by which hosts connect to what stands at the gateway.
pub fn gateway() -> HostName {
    Arc::from(GATEWAY)
}

/// The name of the ISP.
pub fn isp() -> HostName {
    Arc::from(ISP)
}

/// The plain relay.
pub fn relay() -> Box<dyn Host> {
    let place = Place { name: gateway(), ip: std::net::Ipv4Addr::LOCALHOST.into() };
    Box::new(PlainRelay::new(PlainRelaySettings { place, next_hop: isp(), max_messages: RELAY_MESSAGES }))
}
