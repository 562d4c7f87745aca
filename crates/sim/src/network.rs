//! A network in one process: a virtual clock, a seed, and hosts that pass bytes to each other.
//!
//! The same hosts, added in the same order, and the same seed bring the same events at the same times. A
//! host can be anything that implements [`Host`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::ControlFlow;

use crate::host::{Action, Address, Conn, Event, Host, HostName, Moment, Note};
use crate::random::Random;

/// Bytes that may be under way between hosts; more stop the run ([`Stopped::Full`]).
pub const MAX_BYTES_UNDER_WAY: usize = 256 << 20;

/// A note, whose, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// When, by the network's clock.
    pub at: Moment,
    /// The name of the host.
    pub host: HostName,
    /// What happened.
    pub note: Note,
}

/// Why a run stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The time that it should run until has come.
    Time,
    /// As many events have happened as it should run for.
    Events,
    /// Who looks at the notes has seen enough.
    Enough,
    /// Nothing is under way, and no host wants to be woken.
    Idle,
    /// More than [`MAX_BYTES_UNDER_WAY`].
    Full,
}

/// Hosts, and what is under way between them.
pub struct Network {
    now: Moment,
    random: Random,
    nodes: Vec<Node>,
    names: BTreeMap<HostName, usize>,
    ends: BTreeMap<(usize, Conn), End>,
    due: BinaryHeap<Reverse<Due>>,
    order: u64,
    bytes_under_way: usize,
}

struct Node {
    host: Box<dyn Host>,
    latency_ms: u64,
    wake_at: Option<Moment>,
    accepted: u64,
}

/// One end of a connection.
struct End {
    peer: (usize, Conn),
    /// What is sent next does not arrive before this.
    clear_at: Moment,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Moment,
    /// What was sent first comes first.
    order: u64,
    node: usize,
    what: What,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Start,
    Wake,
    Accepted { conn: Conn, from: usize, address: Address },
    Connected(Conn),
    Failed(Conn),
    Bytes(Conn, Vec<u8>),
    Drained(Conn),
    Closed(Conn),
}

impl Network {
    /// A network without hosts, at this moment.
    pub fn new(seed: u64, start: Moment) -> Self {
        Self {
            now: start,
            random: Random::of(seed, "network"),
            nodes: Vec::new(),
            names: BTreeMap::new(),
            ends: BTreeMap::new(),
            due: BinaryHeap::new(),
            order: 0,
            bytes_under_way: 0,
        }
    }

    /// The present.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Adds a host, which starts now; bytes take `latency_ms` and up to as much again from it into the
    /// network, or back. Of two hosts with one name the second is not found by it.
    pub fn add(&mut self, host: Box<dyn Host>, latency_ms: u64) {
        let node = self.nodes.len();
        self.names.entry(host.place().name.clone()).or_insert(node);
        self.nodes.push(Node { host, latency_ms, wake_at: None, accepted: 0 });
        self.put(self.now, node, What::Start);
    }

    /// Lets things happen up to a time, or so many of them; `see` looks at each note, and can end it.
    pub fn run(
        &mut self,
        until: Moment,
        max_events: u64,
        see: &mut dyn FnMut(Noted) -> ControlFlow<()>,
    ) -> Stopped {
        for _ in 0..max_events {
            match self.due.peek() {
                None => return Stopped::Idle,
                Some(Reverse(due)) if due.at > until => {
                    self.now = until;
                    return Stopped::Time;
                }
                Some(_) => {}
            }
            if self.bytes_under_way > MAX_BYTES_UNDER_WAY {
                return Stopped::Full;
            }
            if self.step(see).is_break() {
                return Stopped::Enough;
            }
        }
        Stopped::Events
    }

    fn put(&mut self, at: Moment, node: usize, what: What) {
        self.order += 1;
        self.due.push(Reverse(Due { at: at.max(self.now), order: self.order, node, what }));
    }

    /// The next thing that happens.
    fn step(&mut self, see: &mut dyn FnMut(Noted) -> ControlFlow<()>) -> ControlFlow<()> {
        let Some(Reverse(Due { at, node, what, .. })) = self.due.pop() else {
            return ControlFlow::Continue(());
        };
        self.now = at;
        if let What::Bytes(_, bytes) = &what {
            self.bytes_under_way -= bytes.len();
        }
        if !self.is_wanted(node, &what) {
            return ControlFlow::Continue(());
        }
        let mut actions = Vec::new();
        if let Some(event) = self.event(&what) {
            self.nodes[node].host.on(event, at, &mut actions);
        }
        actions.into_iter().try_for_each(|action| self.act(node, action, see))
    }

    /// Whether the host still waits for it.
    fn is_wanted(&mut self, node: usize, what: &What) -> bool {
        match what {
            What::Start | What::Failed(_) => true,
            What::Wake => {
                let is_due = self.nodes[node].wake_at == Some(self.now);
                if is_due {
                    self.nodes[node].wake_at = None;
                }
                is_due
            }
            What::Accepted { conn, .. }
            | What::Connected(conn)
            | What::Bytes(conn, _)
            | What::Drained(conn) => self.ends.contains_key(&(node, *conn)),
            What::Closed(conn) => self.ends.remove(&(node, *conn)).is_some(),
        }
    }

    fn event<'a>(&self, what: &'a What) -> Option<Event<'a>> {
        Some(match what {
            What::Start => Event::Start,
            What::Wake => Event::Wake,
            What::Accepted { conn, from, address } => Event::Accepted {
                conn: *conn,
                service: address.service,
                peer: self.nodes.get(*from)?.host.place().ip,
            },
            What::Connected(conn) => Event::Connected { conn: *conn },
            What::Failed(conn) => Event::Failed { conn: *conn },
            What::Bytes(conn, bytes) => Event::Bytes { conn: *conn, bytes },
            What::Drained(conn) => Event::Drained { conn: *conn },
            What::Closed(conn) => Event::Closed { conn: *conn },
        })
    }

    fn act(
        &mut self,
        node: usize,
        action: Action,
        see: &mut dyn FnMut(Noted) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match action {
            Action::Connect { conn, to } => self.connect(node, conn, to),
            Action::Send { conn, bytes } => self.send(node, conn, &bytes),
            Action::Close { conn } => self.close(node, conn),
            Action::WakeAt(at) => {
                let at = at.max(self.now);
                if self.nodes[node].wake_at.is_none_or(|set| at < set) {
                    self.nodes[node].wake_at = Some(at);
                    self.put(at, node, What::Wake);
                }
            }
            Action::Note(note) => {
                let host = self.nodes[node].host.place().name.clone();
                return see(Noted { at: self.now, host, note });
            }
        }
        ControlFlow::Continue(())
    }

    /// How long something takes from one host to the other.
    fn latency_ms(&mut self, a: usize, b: usize) -> u64 {
        let ms = self.nodes[a].latency_ms + self.nodes[b].latency_ms;
        ms + self.random.below(ms + 1)
    }

    fn connect(&mut self, node: usize, conn: Conn, to: Address) {
        let found = self.names.get(&to.host).copied();
        let peer = found.filter(|peer| self.nodes[*peer].host.listens().contains(&to.service));
        let Some(peer) = peer.filter(|_| !self.ends.contains_key(&(node, conn))) else {
            return self.put(self.now.plus_ms(self.nodes[node].latency_ms), node, What::Failed(conn));
        };
        self.nodes[peer].accepted += 1;
        let peer_conn = Conn::accepted(self.nodes[peer].accepted);
        let there = self.now.plus_ms(self.latency_ms(node, peer));
        let back = there.plus_ms(self.latency_ms(node, peer));
        self.ends.insert((node, conn), End { peer: (peer, peer_conn), clear_at: there });
        self.ends.insert((peer, peer_conn), End { peer: (node, conn), clear_at: back });
        self.put(there, peer, What::Accepted { conn: peer_conn, from: node, address: to });
        self.put(back, node, What::Connected(conn));
    }

    /// Cuts the bytes at random places; they arrive one after the other.
    fn send(&mut self, node: usize, conn: Conn, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let cut = match self.random.below(3) {
                0 => 1 + self.random.below(bytes.len() as u64),
                _ => bytes.len() as u64,
            };
            let (piece, rest) = bytes.split_at(usize::try_from(cut).unwrap_or(bytes.len()));
            bytes = rest;
            let Some((at, (peer, peer_conn))) = self.arrival(node, conn) else { return };
            self.bytes_under_way += piece.len();
            self.put(at, peer, What::Bytes(peer_conn, piece.to_vec()));
        }
        if self.ends.contains_key(&(node, conn)) {
            self.put(self.now, node, What::Drained(conn));
        }
    }

    /// When what is sent now arrives, and where.
    fn arrival(&mut self, node: usize, conn: Conn) -> Option<(Moment, (usize, Conn))> {
        let peer = self.ends.get(&(node, conn))?.peer;
        let at = self.now.plus_ms(self.latency_ms(node, peer.0));
        let end = self.ends.get_mut(&(node, conn))?;
        end.clear_at = end.clear_at.max(at);
        Some((end.clear_at, peer))
    }

    fn close(&mut self, node: usize, conn: Conn) {
        if let Some((at, (peer, peer_conn))) = self.arrival(node, conn) {
            self.ends.remove(&(node, conn));
            self.put(at, peer, What::Closed(peer_conn));
        }
    }
}
