//! What listens: SMTP, the console, the control socket.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::warn;

use super::ServeError;
use super::handed_in::HandedIn;
use super::parts::{InForce, Parts, current};
use crate::config::Config;
use crate::console::{Console, KnownHosts, TlsNow};
use crate::metrics::{Metrics, TurnedAway};
use crate::ops::{self, Ask};
use crate::receive::limits::TooMany;
use crate::receive::smtp::{self, Entry, Outer};
use crate::sign_in::SignIn;

/// When accepting fails (no descriptors left), it is tried again after this.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Bound sockets.
pub(super) struct Sockets {
    smtp: Vec<(std::net::TcpListener, Entry)>,
    console: Vec<std::net::TcpListener>,
    /// Where the authority looks for answers.
    #[cfg(feature = "acme")]
    pub acme: Vec<std::net::TcpListener>,
}

/// Binds all addresses, but for those whose sockets the service manager has handed in.
pub(super) fn bind(config: &Config) -> Result<Sockets, ServeError> {
    let bind = |address: SocketAddr| {
        let socket = std::net::TcpListener::bind(address).map_err(|e| ServeError::Listen(address, e))?;
        socket.set_nonblocking(true).map_err(|e| ServeError::Listen(address, e))?;
        Ok::<_, ServeError>(socket)
    };
    let mut handed = HandedIn::take()?;
    let mut smtp = Vec::new();
    for (service, addresses, entry) in [
        ("smtp", &config.smtp_listen, Entry { submission: false, tls_first: false }),
        ("smtp-tls", &config.smtp_listen_tls, Entry { submission: false, tls_first: true }),
        ("submission", &config.submission_listen, Entry { submission: true, tls_first: false }),
        ("submissions", &config.submission_listen_tls, Entry { submission: true, tls_first: true }),
    ] {
        let sockets = handed.listeners(service, addresses, bind)?;
        smtp.extend(sockets.into_iter().map(|socket| (socket, entry)));
    }
    let console = handed.listeners("console", &[config.console_listen], bind)?;
    #[cfg(feature = "acme")]
    let acme = match &config.acme {
        Some(acme) => handed.listeners("acme", &[acme.listen], bind)?,
        None => Vec::new(),
    };
    handed.nothing_left()?;
    Ok(Sockets {
        smtp,
        console,
        #[cfg(feature = "acme")]
        acme,
    })
}

/// Descriptors that are neither connections nor sessions to next hops: store, bodies, Maildirs,
/// console, DNS, questions to next hops.
const OTHER_DESCRIPTORS: u64 = 192;

/// Takes as many descriptors as this process may have. Each connection, and each session to a next
/// hop, needs one, and one more for a large message; without them the store could not make its next
/// file.
pub(super) fn raise_descriptors(config: &Config) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let both = config.settings.smtp.max_connections.saturating_add(config.settings.relay.max_sessions);
        let needed = both.saturating_mul(2).saturating_add(OTHER_DESCRIPTORS);
        let wanted = needed.max(soft).min(hard);
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
        Ok((wanted, needed))
    });
    match raised {
        Ok((has, needed)) if has < needed => warn!(
            event = "few_descriptors",
            has,
            needed,
            "fewer open files are allowed than max_connections and max_sessions may need: fewer are taken and made"
        ),
        Ok(_) => {}
        Err(why) => warn!(event = "few_descriptors", reason = %why, "the limit of open files cannot be read"),
    }
}

/// How many there are descriptors for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Possible {
    /// Connections that bring mail.
    pub connections: usize,
    /// Sessions to next hops.
    pub sessions: usize,
}

/// What the descriptors of this process suffice for, with at most `max_sessions` sessions.
pub(super) fn possible(max_sessions: usize) -> Possible {
    use nix::sys::resource::{Resource, getrlimit};
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    shared_out(soft, max_sessions)
}

/// Where descriptors are short, sessions get at most a quarter: a session is used for many messages,
/// and clients that find no connection free are turned away.
fn shared_out(descriptors: u64, max_sessions: usize) -> Possible {
    let pairs = descriptors.saturating_sub(OTHER_DESCRIPTORS) / 2;
    let pairs = usize::try_from(pairs).unwrap_or(usize::MAX);
    let sessions = max_sessions.min(pairs / 4).max(1);
    Possible { connections: pairs.saturating_sub(sessions).max(1), sessions }
}

/// Everything that listens.
pub(super) struct Listening(JoinSet<()>);

impl Listening {
    /// Waits until all sessions have ended.
    pub async fn finished(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

/// Starts to accept.
pub(super) fn start(
    parts: &Parts,
    sockets: Sockets,
    stop: &watch::Receiver<bool>,
) -> Result<Listening, ServeError> {
    let mut tasks = JoinSet::new();
    let io = |what| move |e| ServeError::Io(what, e);
    let ask = ask(parts);
    let control = crate::control::bind(&parts.data).map_err(io("the control socket"))?;
    let control = UnixListener::from_std(control).map_err(io("the control socket"))?;
    tasks.spawn(crate::control::serve(control, Arc::clone(&ask), stop.clone()));
    for socket in sockets.console {
        let socket = TcpListener::from_std(socket).map_err(io("the console's socket"))?;
        tasks.spawn(crate::console::serve(socket, console(parts, &ask), stop.clone()));
    }
    // Last, so that whoever is greeted can also ask by the control socket.
    for (socket, entry) in sockets.smtp {
        let listener = TcpListener::from_std(socket).map_err(io("an SMTP socket"))?;
        let acceptor = Acceptor {
            in_force: Arc::clone(&parts.in_force),
            outer: Arc::clone(&parts.outer),
            metrics: Arc::clone(&parts.metrics),
            stop: stop.clone(),
            sign_in: Arc::clone(&parts.sign_in),
            entry,
        };
        tasks.spawn(acceptor.accept(listener));
    }
    Ok(Listening(tasks))
}

fn console(parts: &Parts, ask: &Ask) -> Console {
    let config = parts.config();
    Console {
        ask: Arc::clone(ask),
        metrics: Arc::clone(&parts.metrics),
        token: parts.token.clone(),
        hosts: KnownHosts::new(config.console_listen, &config.hostname),
        tls: config.settings.console.tls.then(|| tls_now(parts)),
    }
}

fn tls_now(parts: &Parts) -> TlsNow {
    let in_force = Arc::clone(&parts.in_force);
    Box::new(move || current(&in_force).shared.tls.clone())
}

/// The way from the console and the control socket to the desk.
pub(super) fn ask(parts: &Parts) -> Ask {
    let desk = parts.desk.clone();
    let maildirs = Arc::clone(&parts.outer.maildirs);
    let (accounts, time) = (Arc::clone(parts.sign_in.accounts()), parts.outer.time.clone());
    let pickup = Arc::downgrade(&parts.pickup);
    Arc::new(move |request| {
        let desk = desk.clone();
        if let ops::Request::Users { ask } = request {
            let (accounts, now) = (Arc::clone(&accounts), time.now().wall_ms);
            let run = move || ops::users::run(&accounts, &ask, now);
            return Box::pin(async move { tokio::task::spawn_blocking(run).await.ok() });
        }
        if let ops::Request::Pickup { ask } = request {
            let answer = pickup.upgrade().map(|keeper| ops::pickup::run(&keeper, &ask));
            return Box::pin(async move { answer });
        }
        if matches!(request, ops::Request::MailboxesChanged {}) {
            maildirs.forget_listings();
        }
        let changes = request.changes();
        Box::pin(async move {
            let answer = desk.ask(move |door, now| ops::run(door, &request, now)).await?;
            // "Removed" is said when a crash cannot undo it any more.
            if changes && !desk.durable().await {
                let why = "the change could not be written; see the server's log";
                return Some(ops::Response::error(ops::ErrorKind::Away, why));
            }
            Some(answer)
        })
    })
}

struct Acceptor {
    in_force: Arc<RwLock<InForce>>,
    outer: Arc<Outer>,
    metrics: Arc<Metrics>,
    stop: watch::Receiver<bool>,
    sign_in: Arc<SignIn>,
    entry: Entry,
}

impl Acceptor {
    async fn accept(self, listener: TcpListener) {
        let mut sessions = JoinSet::new();
        let mut stop = self.stop.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = sessions.join_next() => continue,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok((stream, peer)) => self.begin(stream, peer, &mut sessions),
                Err(why) => {
                    warn!(event = "accept_failed", reason = %why, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
        drop(listener);
        while sessions.join_next().await.is_some() {}
    }

    fn begin(&self, stream: tokio::net::TcpStream, peer: SocketAddr, sessions: &mut JoinSet<()>) {
        let now = current(&self.in_force);
        match now.connections.enter(peer.ip()) {
            Ok(counted) => {
                self.metrics.connection_opened();
                let metrics = Arc::clone(&self.metrics);
                let session = smtp::serve(
                    stream,
                    (peer, self.entry),
                    now.shared,
                    (Arc::clone(&self.outer), Arc::clone(&self.sign_in)),
                    counted,
                    self.stop.clone(),
                );
                sessions.spawn(async move {
                    session.await;
                    metrics.connection_closed();
                });
            }
            Err(why) => {
                let why = if why == TooMany::InAll { TurnedAway::Connections } else { TurnedAway::Address };
                self.metrics.turned_away(why);
                let hostname = now.shared.policy.hostname.clone();
                // Before a handshake nothing can be said.
                let says = !self.entry.tls_first;
                sessions.spawn(async move {
                    if says {
                        smtp::refuse(stream, &hostname).await
                    }
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_suffice_for_what_may_be_open() {
        for (descriptors, max_sessions, connections, sessions) in [
            (1_000_000, 200, 499_704, 200),
            (2_592, 200, 1_000, 200),
            (1_024, 200, 312, 104),
            (1_024, 10, 406, 10),
            (200, 200, 3, 1),
            (64, 200, 1, 1),
        ] {
            let possible = shared_out(descriptors, max_sessions);
            assert_eq!(possible, Possible { connections, sessions }, "{descriptors}");
        }
    }
}
