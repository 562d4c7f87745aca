//! What the tests share.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use quell_sim::host::{Action, Event, Host, Moment, Note, Place, Service};
use quell_sim::isp::Isp;
use quell_sim::network::{Network, Noted, Stopped};
use quell_sim::scenario::{Dublin, ISP, World};

/// Sat, 10 Dec 2005 14:03:21 UTC.
pub const START: Moment = Moment { ms: 1_134_223_401_000 };

/// A host that can still be looked at when it is in a network.
pub struct Shared<H> {
    place: Place,
    listens: Vec<Service>,
    host: Arc<Mutex<H>>,
}

impl<H: Host> Shared<H> {
    pub fn new(host: H) -> (Self, Arc<Mutex<H>>) {
        let (place, listens) = (host.place().clone(), host.listens().to_vec());
        let host = Arc::new(Mutex::new(host));
        (Self { place, listens, host: host.clone() }, host)
    }
}

impl<H: Host> Host for Shared<H> {
    fn place(&self) -> &Place {
        &self.place
    }

    fn listens(&self) -> &[Service] {
        &self.listens
    }

    fn on(&mut self, event: Event<'_>, now: Moment, out: &mut Vec<Action>) {
        self.host.lock().unwrap_or_else(PoisonError::into_inner).on(event, now, out);
    }
}

/// A run of the scenario, and what came of it.
pub struct Run {
    pub world: World,
    pub isp: Arc<Mutex<Isp>>,
    pub notes: Vec<Noted>,
    pub stopped: Stopped,
    pub now: Moment,
}

/// Runs the scenario up to so many copies, or so long.
pub fn run(dublin: &Dublin, max_copies: u64, for_ms: u64) -> Run {
    let mut world = dublin.world();
    let mut network = Network::new(dublin.seed, START);
    let (shared, isp) = Shared::new(Isp::new(dublin.isp_settings()));
    network.add(Box::new(shared), 2);
    for host in std::mem::take(&mut world.hosts) {
        if &*host.place().name != ISP {
            network.add(host, 5);
        }
    }
    let (mut notes, mut copies) = (Vec::new(), 0);
    let stopped = network.run(START.plus_ms(for_ms), 20_000_000, &mut |noted| {
        if let Note::CopySent { recipients, .. } = noted.note {
            copies += u64::from(recipients);
        }
        notes.push(noted);
        if copies < max_copies { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    Run { world, isp, notes, stopped, now: network.now() }
}

impl Run {
    /// The messages in the mailbox of the firm with this number.
    pub fn mailbox(&self, firm: usize) -> Vec<Vec<u8>> {
        self.isp.lock().unwrap().messages(&format!("firm{firm}"))
    }

    /// How many messages came in for a recipient.
    pub fn arrivals(&self, recipient: &str) -> u64 {
        self.isp.lock().unwrap().arrivals().get(recipient).copied().unwrap_or(0)
    }

    /// Recipients to whom copies were sent.
    pub fn copies(&self) -> u64 {
        let sent = |noted: &Noted| match noted.note {
            Note::CopySent { recipients, .. } => u64::from(recipients),
            _ => 0,
        };
        self.notes.iter().map(sent).sum()
    }
}
