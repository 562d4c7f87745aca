//! `quell serve`: start, run, reload, stop.

pub(crate) mod certificate;
mod handed_in;
mod listeners;
mod log;
mod manager;
mod outward;
mod parts;
mod pickup;
pub(crate) mod privileges;
mod reload;
mod watcher;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, oneshot, watch};
use tracing::{error, info, warn};

use self::parts::Parts;
use crate::config::Config;
use crate::data::{self, DataError, Paths};
use crate::deliver::maildir::MaildirStore;
use crate::server::desk::Msg;

/// After SIGTERM, sessions may finish for so long.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Threads that move bytes between sockets, and decide: two, since the committer has its own.
const NETWORK_THREADS: usize = 2;

/// Threads that may wait for the disk in the place of those: more than there are permits to
/// ([`crate::receive::complete::SYNCING`]), so that sockets and signals are always served.
const BLOCKING_THREADS: usize = 512;

/// Why the server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {0}: {1} (does quell, or another mail server, run there already?)")]
    Listen(std::net::SocketAddr, #[source] io::Error),
    /// A socket of the service manager.
    #[error("the service manager has handed in a socket that cannot be used: {0}")]
    HandedIn(String),
    /// `[server] user` is not to be had.
    #[error("cannot become the user {0}: {1}")]
    User(String, String),
    /// Rights cannot be given up, so nothing is served with them.
    #[error("{0}: {1} (nothing is served with rights that are not needed)")]
    Privileges(&'static str, #[source] io::Error),
    /// The data directory.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The ledger.
    #[error("the ledger cannot be opened: {0}")]
    Store(#[from] quell_queue::store::StoreError),
    /// The users' file.
    #[error("the users cannot be opened: {0}")]
    Users(quell_queue::store::StoreError),
    /// What was collected from accounts at providers.
    #[error("what was collected cannot be opened: {0}")]
    Pickups(quell_queue::pickups::PickupError),
    /// The body store.
    #[error("the body store cannot be opened: {0}")]
    Spool(#[from] quell_queue::body::SpoolError),
    /// The system.
    #[error("{0}: {1}")]
    Io(&'static str, #[source] io::Error),
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// [`ServeError`].
pub fn run(config: Config) -> Result<(), ServeError> {
    let (log, lines) = log::start(&config);
    for warning in &config.warnings {
        warn!(event = "configuration", "{warning}");
    }
    listeners::raise_descriptors(&config);
    // Ports first, then the rights they need are given up, then everything else: no thread is there yet
    // that could keep them.
    let sockets = listeners::bind(&config)?;
    privileges::give_up(&config)?;
    look_at_modes(&config)?;
    let _gathering = lines.gather();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(NETWORK_THREADS)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|e| ServeError::Io("the network threads cannot be started", e))?;
    let parts = Parts::start(config, log, runtime.handle())?;
    runtime.block_on(serve(parts, sockets))
}

/// Refuses another user's data directory, and warns of what others may read or write in ours. Where they
/// may not at all (secret, token, writing in the directory), whoever opens it refuses.
fn look_at_modes(config: &Config) -> Result<(), ServeError> {
    let us = nix::unistd::geteuid();
    match data::belongs_to_another(&config.data, us) {
        // Root could, but what it makes there the owner could not read.
        Some(why) if us.is_root() => warn!(event = "data_of_another", "{why}"),
        Some(why) => return Err(why.into()),
        None => {}
    }
    let key = config.tls.as_ref().and_then(|(files, _)| data::check_key_mode(&files.key).err());
    for open in data::open_to_others(&Paths::new(&config.data), &config.secret_file).iter().chain(&key) {
        warn!(event = "open_to_others", "{open}");
    }
    Ok(())
}

async fn serve(mut parts: Parts, mut sockets: listeners::Sockets) -> Result<(), ServeError> {
    let io = |what| move |e| ServeError::Io(what, e);
    let mut terminate = signal(SignalKind::terminate()).map_err(io("no signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io("no signals"))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(io("no signals"))?;
    let (stop, stopping) = watch::channel(false);
    let news = News::default();
    by_acme(&parts, &mut sockets, &news, &stopping)?;
    let listening = listeners::start(&parts, sockets, &stopping)?;
    info!(event = "started", version = env!("CARGO_PKG_VERSION"), smtp = ?parts.config().smtp_listen, smtp_tls = ?parts.config().smtp_listen_tls, submission = ?parts.config().submission_listen, submission_tls = ?parts.config().submission_listen_tls, console = %parts.config().console_listen, "quell is ready");
    let mut certificate = certificate::Watch::default();
    let mut look = tokio::time::interval(certificate::look_every());
    manager::ready();
    let keeping_told = tokio::spawn(manager::keep_told(listeners::ask(&parts), stopping.clone()));
    loop {
        tokio::select! {
            _ = look.tick() => certificate.look(&parts),
            () = news.renewed.notified() => certificate.look(&parts),
            _ = hangup.recv() => {
                manager::reloading();
                reload::reload(&mut parts);
                manager::ready();
                news.asked.notify_one();
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    info!(
        event = "stopping",
        "no new connections; sessions have {} s; messages sent out and not answered are waited for, {} s at most",
        STOP_WITHIN.as_secs(),
        parts.config().outgoing.stop_within.as_secs()
    );
    manager::stopping(parts.config().outgoing.stop_within + 3 * STOP_WITHIN);
    // Set once: there is one stop.
    parts.stop_by.get_or_init(|| Instant::now() + STOP_WITHIN);
    stop.send_replace(true);
    parts.pickup.stop().await;
    let answers_by = tokio::time::Instant::now() + parts.config().outgoing.stop_within;
    parts.remote.stop(answers_by);
    if tokio::time::timeout(STOP_WITHIN, listening.finished()).await.is_err() {
        warn!(
            event = "sessions_cut",
            "some sessions did not finish in time; what they had not been answered for is not lost: their clients send it again"
        );
    }
    // They end by themselves; a disk that hangs must not keep the server for ever.
    if tokio::time::timeout_at(answers_by + STOP_WITHIN, parts.remote.finished()).await.is_err() {
        warn!(
            event = "deliveries_cut",
            "some sessions to next hops did not end in time; what they sent is tried again"
        );
    }
    // It has the way to the desk, which ends when nobody has that any more.
    let _ended = tokio::time::timeout(STOP_WITHIN, keeping_told).await;
    stop_threads(parts).await;
    Ok(())
}

/// Between what keeps a certificate by ACME and the rest.
#[derive(Default)]
struct News {
    /// There is a new certificate.
    renewed: Arc<Notify>,
    /// A person wants the next try now.
    asked: Arc<Notify>,
}

/// Starts what keeps the certificate, if that comes by ACME.
#[cfg(feature = "acme")]
fn by_acme(
    parts: &Parts,
    sockets: &mut listeners::Sockets,
    news: &News,
    stopping: &watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let Some(wanted) = &parts.config().acme else { return Ok(()) };
    let sockets = std::mem::take(&mut sockets.acme).into_iter().map(tokio::net::TcpListener::from_std);
    let sockets = sockets.collect::<io::Result<Vec<_>>>();
    let sockets = sockets.map_err(|e| ServeError::Io("the socket for the authority", e))?;
    let (renewed, asked) = (Arc::clone(&news.renewed), Arc::clone(&news.asked));
    let keeper = crate::acme::Keeper::new(wanted, certificate::look_every(), renewed, asked);
    let mut stopping = stopping.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = keeper.run(sockets) => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    });
    Ok(())
}

#[cfg(not(feature = "acme"))]
fn by_acme(
    _: &Parts,
    _: &mut listeners::Sockets,
    _: &News,
    _: &watch::Receiver<bool>,
) -> Result<(), ServeError> {
    Ok(())
}

/// Workers end first, so that their outcomes still reach the desk; then the desk, which writes
/// what is not written; then the committer, whose channel closes with it.
async fn stop_threads(parts: Parts) {
    let Parts { desk, workers, deciding, threads, sign_in, .. } = parts;
    // The teller ends when nobody can tell it anything any more.
    sign_in.stop();
    desk.send(Msg::Drain);
    let joined = tokio::task::spawn_blocking(move || workers.into_iter().all(|w| w.join().is_ok()));
    if !matches!(joined.await, Ok(true)) {
        error!(event = "worker_died", "a delivery thread ended badly; its rows are tried again");
    }
    let (tx, done) = oneshot::channel();
    desk.send(Msg::Stop(tx));
    // The sender is dropped, not used: either way all that could be written is.
    let _dropped = done.await;
    drop(desk);
    if deciding.await.is_err() {
        error!(event = "thread_died", "the desk ended badly");
    }
    let joined = tokio::task::spawn_blocking(move || threads.into_iter().all(|t| t.join().is_ok()));
    if !matches!(joined.await, Ok(true)) {
        error!(event = "thread_died", "a thread of the server ended badly");
    }
    info!(event = "stopped", "quell has stopped");
}

/// Where it listens, one command line that sends a first mail, and where that mail will lie: for
/// `make run`.
pub fn first_steps(config: &Config) -> String {
    let Some(smtp) = config.smtp_listen.first() else { return String::new() };
    let mut text =
        format!("SMTP listens on {smtp}, the console on http://{}/healthz\n", config.console_listen);
    let Some(mailbox) = config.directory.named_mailboxes().into_iter().next() else { return text };
    let store = MaildirStore::new(config.mail_root(), &config.hostname);
    let path = store.path(&mailbox.domain, &mailbox.mailbox).join("new");
    let shown = path.strip_prefix(std::env::current_dir().unwrap_or_default()).unwrap_or(&path);
    text += &format!(
        "\nSend a first mail from another terminal, in this folder:\n\n    scripts/send-first-mail {} {} {}\n\nIt then lies in {}\n\n",
        mailbox.identity,
        smtp.ip(),
        smtp.port(),
        shown.display()
    );
    text
}
