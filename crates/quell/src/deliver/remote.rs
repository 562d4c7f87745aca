//! What all sessions to next hops share, and how they are started and ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quell_queue::body::SpoolReader;
use quell_queue::claim::Claim;
use quell_queue::destination::Destination;
use quell_relay::attempt::Sending;
use quell_relay::route::Routes;
use tokio::runtime::Handle as Runtime;
use tokio::sync::watch;
use tokio::time::Instant;

use super::resolver::Resolver;
use super::session;
use super::slots::Slots;
use crate::data::random_bytes;
use crate::metrics::Metrics;
use crate::server::desk::Handle;
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
    pub(super) time: Timekeeper,
    pub(super) metrics: Arc<Metrics>,
    pub(super) slots: Arc<Slots>,
    outward: OutwardNow,
    stop: watch::Sender<Option<Instant>>,
    live: watch::Sender<usize>,
}

/// Whether the server stops, and until when sessions may wait for an answer.
#[derive(Clone)]
pub(super) struct Stopping(watch::Receiver<Option<Instant>>);

impl Stopping {
    /// True once it stops.
    pub fn has_begun(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until it stops; until when answers may be waited for.
    pub async fn begun(&mut self) -> Instant {
        let begun = self.0.wait_for(Option::is_some).await.ok().and_then(|by| *by);
        begun.unwrap_or_else(Instant::now)
    }
}

impl Remote {
    /// No session yet.
    pub fn new(
        desk: Handle,
        bodies: SpoolReader,
        time: Timekeeper,
        metrics: Arc<Metrics>,
        outward: OutwardNow,
    ) -> Arc<Self> {
        Arc::new(Self {
            desk,
            bodies,
            time,
            metrics,
            slots: Arc::default(),
            outward,
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
        Stopping(self.stop.subscribe())
    }

    /// Shuffles hosts of equal preference; the time serves where the system has no random numbers.
    pub(super) fn random(&self) -> u64 {
        random_bytes::<8>().map_or_else(|_| self.time.now().mono_ms, u64::from_le_bytes)
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
