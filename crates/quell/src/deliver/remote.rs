//! What all sessions to next hops share, and how they are started and ended.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quell_queue::body::SpoolReader;
use quell_queue::claim::Claim;
use quell_queue::destination::Destination;
use quell_relay::attempt::Sending;
use quell_relay::route::Routes;
use tokio::runtime::Handle as Runtime;
use tokio::sync::watch;
use tokio::time::Instant;

use super::resolver::{Dnssec, Resolver};
use super::session;
use super::slots::Slots;
use super::sts::Policies;
use super::tls::Clients;
use crate::data::random_bytes;
use crate::metrics::Metrics;
use crate::server::desk::Handle;
use crate::server::fresh::FreshBodies;
use crate::server::sessions::{Dispatch, SessionLimits};
use crate::server::time::Timekeeper;

/// What deliveries go by at this moment; a reload replaces it.
pub struct Outward {
    /// Where mail goes.
    pub routes: Arc<Routes>,
    /// How it is sent.
    pub sending: Arc<Sending>,
    /// Names.
    pub resolver: Arc<Resolver>,
    /// What protects connections.
    pub clients: Arc<Clients>,
    /// What domains ask of whoever sends to them.
    pub policies: Arc<Policies>,
    /// Whether the resolver checks signatures.
    pub dnssec: Dnssec,
    /// Which servers the resolver asks: it is kept over a reload that does not change them.
    pub dns: Vec<SocketAddr>,
    /// How many sessions.
    pub limits: SessionLimits,
    /// Connections to one address.
    pub per_address: usize,
    /// So long a connection is kept that has nothing to do.
    pub keep_idle: Duration,
}

/// What is in force.
pub type OutwardNow = Arc<dyn Fn() -> Arc<Outward> + Send + Sync>;

/// Shared by all sessions.
pub struct Remote {
    pub(super) desk: Handle,
    pub(super) bodies: SpoolReader,
    pub(super) fresh: Arc<FreshBodies>,
    pub(super) time: Timekeeper,
    pub(super) metrics: Arc<Metrics>,
    pub(super) slots: Arc<Slots>,
    outward: OutwardNow,
    seed: AtomicU64,
    stop: watch::Sender<Option<Instant>>,
    live: watch::Sender<usize>,
}

/// Whether the server stops, and until when sessions may wait for an answer.
pub(super) struct Stopping {
    told: watch::Receiver<Option<Instant>>,
    /// One wait for all who ask, since it is asked beside every read and write.
    waits: Pin<Box<dyn Future<Output = Instant> + Send + Sync>>,
    by: Option<Instant>,
}

impl Stopping {
    fn new(told: watch::Receiver<Option<Instant>>) -> Self {
        let mut waiting = told.clone();
        let waits = Box::pin(async move {
            let begun = waiting.wait_for(Option::is_some).await.ok().and_then(|by| *by);
            begun.unwrap_or_else(Instant::now)
        });
        Self { told, waits, by: None }
    }

    /// True once it stops.
    pub fn has_begun(&self) -> bool {
        self.told.borrow().is_some()
    }

    /// Waits until it stops; until when answers may be waited for.
    pub async fn begun(&mut self) -> Instant {
        match self.by {
            Some(by) => by,
            None => *self.by.insert(self.waits.as_mut().await),
        }
    }
}

impl Remote {
    /// No session yet. Bodies are read from the store, where they are not among the fresh ones.
    pub fn new(
        desk: Handle,
        (bodies, fresh): (SpoolReader, Arc<FreshBodies>),
        time: Timekeeper,
        metrics: Arc<Metrics>,
        outward: OutwardNow,
    ) -> Arc<Self> {
        // The time serves where the system has no random numbers.
        let seed = random_bytes::<8>().map_or_else(|_| time.now().mono_ms, u64::from_le_bytes);
        Arc::new(Self {
            desk,
            bodies,
            fresh,
            time,
            metrics,
            slots: Arc::default(),
            outward,
            seed: seed.into(),
            stop: watch::Sender::new(None),
            live: watch::Sender::new(0),
        })
    }

    /// What is in force.
    pub fn now(&self) -> Arc<Outward> {
        (self.outward)()
    }

    /// Sessions that have sent the end of a message may wait for its answer until `by`; all others
    /// end at once.
    pub fn stop(&self, by: Instant) {
        self.stop.send_replace(Some(by));
    }

    /// Waits until all sessions have ended.
    pub async fn finished(&self) {
        // The sender lives as long as we do.
        let mut live = self.live.subscribe();
        let _ended = live.wait_for(|live| *live == 0).await;
    }

    pub(super) fn stopping(&self) -> Stopping {
        Stopping::new(self.stop.subscribe())
    }

    /// Shuffles hosts of equal preference, which needs to be even and not to be secret.
    pub(super) fn random(&self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        let mut z = self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn begun(&self) {
        self.live.send_modify(|live| *live += 1);
    }

    pub(super) fn ended(&self) {
        self.live.send_modify(|live| *live = live.saturating_sub(1));
    }
}

/// Starts sessions on the network threads.
pub struct Starter {
    /// What they share.
    pub remote: Arc<Remote>,
    /// Where they run.
    pub runtime: Runtime,
}

impl Dispatch for Starter {
    fn limits(&self) -> SessionLimits {
        let limits = self.remote.now().limits;
        // While the server stops no session begins.
        let most = if self.remote.stop.borrow().is_some() { 0 } else { limits.most };
        SessionLimits { most, ..limits }
    }

    fn start(&self, destination: Destination, claims: Vec<Claim>) {
        self.remote.begun();
        self.runtime.spawn(session::run(Arc::clone(&self.remote), destination, claims));
    }
}
