//! The parts of a running server, and how they are put together.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use quell_mail::key::Secret;
use quell_queue::body::{MAX_FRONT_BYTES, Spool, SpoolReader, SpoolSettings};
use quell_queue::clock::Now;
use quell_queue::door::{Door, DoorSettings};
use quell_queue::dots::DotLog;
use quell_queue::reserve::{RESERVE_BYTES, Reserve, Room};
use quell_queue::store::sqlite::{SqliteReader, SqliteStore};
use quell_queue::store::{Batch, Reader, Retention, Store, StoreError};
use quell_queue::users::SqliteUsers;
use quell_relay::reception::{Memory, Policy};
use quell_storm::facts::{Ms, RowState};
use quell_wire::server::{BareNewlines, Settings as Session};
use tokio::runtime::Handle as Runtime;
use tracing::{error, info, warn};

use super::ServeError;
use super::listeners::possible;
use super::log::Log;
use super::outward::{destinations, outward};
use super::watcher::Watcher;
use crate::config::{Config, TlsFiles};
use crate::data::{Data, Token, random_bytes};
use crate::deliver::maildir::MaildirStore;
use crate::deliver::remote::{Outward, OutwardNow, Remote, Starter};
use crate::deliver::verify::Verifier;
use crate::deliver::worker::Worker;
use crate::held::Digester;
use crate::metrics::Metrics;
use crate::pickup::Keeper;
use crate::receive::limits::Connections;
use crate::receive::room::FreeRoom;
use crate::receive::smtp::{Outer, Shared};
use crate::report::Reporter;
use crate::server::committer::{Committer, RetentionNow};
use crate::server::desk::{Desk, Handle, Msg, ServerDoor, channel_to_desk};
use crate::server::fresh::FreshBodies;
use crate::server::time::Timekeeper;
use crate::sign_in::accounts::Accounts;
use crate::sign_in::{Means, SignIn};
use crate::tell::{Mailer, Outbox, StopBy, Teller};
use crate::tls::Certificate;

/// Threads that deliver. Each waits for the disk most of the time, and the disk serves many at once.
const WORKERS: usize = 16;
/// A message longer than this streams to the body store.
const SPILL_BYTES: usize = 256 << 10;

/// What is in force at the moment; a reload replaces it as a whole.
#[derive(Clone)]
pub struct InForce {
    /// The configuration.
    pub config: Arc<Config>,
    /// What SMTP connections go by.
    pub shared: Arc<Shared>,
    /// How many connections there may be.
    pub connections: Arc<Connections>,
    /// What deliveries to next hops go by.
    pub outward: Arc<Outward>,
    /// Something that needs TLS has listened since the start, and does so until the end.
    pub needs_tls: bool,
}

/// A running server.
pub struct Parts {
    /// What is in force.
    pub in_force: Arc<RwLock<InForce>>,
    /// The way to the desk.
    pub desk: Handle,
    /// What connections do with the world.
    pub outer: Arc<Outer>,
    /// Numbers for the console.
    pub metrics: Arc<Metrics>,
    /// The console's token.
    pub token: Token,
    /// The data directory, locked as long as this lives.
    pub data: Data,
    /// Set when the server stops: what runs for the operator must have ended by then.
    pub stop_by: StopBy,
    /// How the log is written.
    pub log: Log,
    /// Sessions to next hops.
    pub remote: Arc<Remote>,
    /// Who may send.
    pub sign_in: Arc<SignIn>,
    /// Accounts at providers.
    pub pickup: Arc<Keeper>,
    /// Delivery threads.
    pub workers: Vec<JoinHandle<()>>,
    /// The desk.
    pub deciding: tokio::task::JoinHandle<()>,
    /// Committer, teller, reporter, digester.
    pub threads: Vec<JoinHandle<()>>,
}

impl Parts {
    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        current(&self.in_force).config
    }

    /// Another certificate, from the next connection on.
    pub fn use_certificate(&self, files: TlsFiles, certificate: Certificate) {
        let old = current(&self.in_force);
        let config = Config { tls: Some((files, certificate)), ..(*old.config).clone() };
        let new = in_force(config, old.shared.policy.secret.clone(), Some(&old));
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// Opens what is kept, recovers it, and starts the threads.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn start(config: Config, log: Log, runtime: &Runtime) -> Result<Self, ServeError> {
        // The resolver's tasks run there.
        let _entered = runtime.enter();
        let thread = |e| ServeError::Io("a thread cannot be started", e);
        let data = Data::open(&config.data)?;
        let given = config.settings.server.secret_file.as_ref().map(|_| &*config.secret_file);
        let (secret, token) = (data.secret(given)?, data.token()?);
        let gateway = u8::try_from(config.settings.server.gateway).unwrap_or(0);
        let mut store = SqliteStore::open(&data.ledger()?)?;
        let reader = store.reader()?;
        let spool = open_spool(&data, &reader)?;
        let kept = reader.bodies_due(Ms::MAX, usize::MAX >> 1)?.len();
        let reserve = open_reserve(&config)?;
        let lived_until_ms = reader.high_water()?;
        let time = Timekeeper::new(gateway, lived_until_ms);
        store_first_mark(&mut store, &time);
        let maildirs = Arc::new(MaildirStore::new(config.mail_root(), &config.hostname));
        make_mailboxes(&config, &maildirs);
        let (desk, inbox) = channel_to_desk();
        let in_force = Arc::new(RwLock::new(in_force(config, secret.clone(), None)));
        let config = current(&in_force).config;
        let (least, at) = (room(), config.data.clone());
        let outer = Arc::new(Outer {
            desk: desk.clone(),
            time: time.clone(),
            large: spool.large_writers(),
            maildirs: Arc::clone(&maildirs),
            verifier: Verifier::new(outward_now(&in_force)),
            room: FreeRoom::new(least, at.clone()),
            metrics: Arc::new(Metrics::new()),
        });
        let mut door = open_door(reader, secret, &current(&in_force), gateway, &time.now())?;
        door.lived_until(lived_until_ms);
        let dots = open_dots(&data, &mut door, &time.now())?;
        recovered(&door, kept);
        let (metrics, bodies, fresh) = (Arc::clone(&outer.metrics), spool.reader(), Arc::default());
        let committer = Committer::new(store, spool, reserve, least, at.clone(), retention_now(&in_force));
        let (answers, stop_by) = (desk.clone(), StopBy::default());
        let (jobs, committing) =
            committer.start(move |done| answers.send(Msg::Done(done))).map_err(thread)?;
        let (outbox, telling) = teller(&in_force, &outer, &stop_by).start().map_err(thread)?;
        let means = || reporter(&in_force, &outer, &bodies, (least, at.clone()));
        let (reporting, reports) = means().start().map_err(thread)?;
        let (digesting, digests) = digester(&in_force, means()).start().map_err(thread)?;
        let sign_in = sign_in(&data, &current(&in_force), &outer, outbox.clone())?;
        let pickup = super::pickup::start(&data, &in_force, &outer, outbox.clone(), runtime)?;
        let watcher = Watcher::new(Arc::clone(&metrics), outbox, (reporting, digesting));
        let (out, stored) = (outward_now(&in_force), (bodies.clone(), Arc::clone(&fresh)));
        let remote = Remote::new(desk.clone(), stored, time.clone(), Arc::clone(&metrics), out);
        let starter = Box::new(Starter { remote: Arc::clone(&remote), runtime: runtime.clone() });
        let deciding =
            Desk::new(door, time, jobs, starter, dots, Arc::clone(&fresh), watcher).start(runtime, inbox);
        let workers = start_workers(&in_force, &outer, (bodies, fresh)).map_err(thread)?;
        Ok(Self {
            in_force,
            desk,
            outer,
            metrics,
            remote,
            sign_in,
            pickup,
            token,
            data,
            workers,
            stop_by,
            log,
            deciding,
            threads: vec![committing, telling, reports, digests],
        })
    }
}

/// Opens the users, and what asks for them.
fn sign_in(
    data: &Data,
    in_force: &InForce,
    outer: &Outer,
    outbox: Outbox,
) -> Result<Arc<SignIn>, ServeError> {
    let users = SqliteUsers::open(&data.users()?).map_err(ServeError::Users)?;
    let means = Means {
        accounts: Arc::new(Accounts::new(users)),
        secret: in_force.shared.policy.secret.clone(),
        time: outer.time.clone(),
        metrics: Arc::clone(&outer.metrics),
        outbox: Some(outbox),
    };
    Ok(SignIn::new(means, in_force.config.sign_in.clone()))
}

fn open_door(
    reader: SqliteReader,
    secret: Secret,
    in_force: &InForce,
    gateway: u8,
    now: &Now,
) -> Result<ServerDoor, StoreError> {
    let settings = DoorSettings { limits: in_force.config.limits.clone(), gateway };
    let to = destinations(&in_force.outward.routes);
    Door::open(reader, secret, settings, to, random(), now)
}

/// Starts the threads that deliver into Maildirs.
fn start_workers(
    in_force: &Arc<RwLock<InForce>>,
    outer: &Outer,
    (bodies, fresh): (SpoolReader, Arc<FreshBodies>),
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let worker = Worker {
        desk: outer.desk.clone(),
        bodies,
        fresh,
        maildirs: Arc::clone(&outer.maildirs),
        policy: policy_now(in_force),
        time: outer.time.clone(),
        metrics: Arc::clone(&outer.metrics),
    };
    (0..WORKERS).map(|n| worker.clone().start(n)).collect()
}

/// Ids stay below a durable mark, so without one the first clients would be told 451.
fn store_first_mark(store: &mut SqliteStore, time: &Timekeeper) {
    time.now();
    let Some(mark) = time.mark_due() else { return };
    match store.commit(&Batch { high_water: Some(mark), ..Batch::default() }) {
        Ok(()) => time.stored(mark),
        // The desk tries again, with the reserve if the disk is full.
        Err(why) => warn!(event = "mark_not_stored", reason = %why, "no mail is taken until it is"),
    }
}

/// What is in force at this moment.
pub fn current(in_force: &RwLock<InForce>) -> InForce {
    in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
}

fn retention_now(in_force: &Arc<RwLock<InForce>>) -> RetentionNow {
    let in_force = Arc::clone(in_force);
    Box::new(move || {
        let days = current(&in_force).config.settings.privacy.evidence_days;
        Retention { evidence_days: u32::try_from(days).unwrap_or(30), ..Retention::default() }
    })
}

pub(super) fn outward_now(in_force: &Arc<RwLock<InForce>>) -> OutwardNow {
    let in_force = Arc::clone(in_force);
    // Asked for often: only what is wanted is taken.
    Arc::new(move || Arc::clone(&in_force.read().unwrap_or_else(PoisonError::into_inner).outward))
}

fn open_reserve(config: &Config) -> Result<Reserve, ServeError> {
    let opened = Reserve::open(&config.data, RESERVE_BYTES);
    opened.map_err(|e| ServeError::Io("the reserve cannot be set aside", e))
}

/// What was at the dot when the last life ended.
fn open_dots(data: &Data, door: &mut ServerDoor, now: &Now) -> Result<DotLog, ServeError> {
    let opened = DotLog::open(data.paths().dir());
    let (dots, left) = opened.map_err(|e| ServeError::Io("the dot log cannot be opened", e))?;
    for place in dots.damaged() {
        warn!(event = "dots_damaged", place, "what was being sent when the server ended is known in part");
    }
    door.restore_dots(left, now);
    Ok(dots)
}

fn policy_now(in_force: &Arc<RwLock<InForce>>) -> crate::deliver::worker::Directory {
    let in_force = Arc::clone(in_force);
    Arc::new(move || Arc::clone(&current(&in_force).shared.policy))
}

/// Says what was found: open rows by state, and bodies that no open row needs any more.
fn recovered(door: &ServerDoor, kept: usize) {
    let rows = |wanted: &[RowState]| -> u64 {
        door.open_rows().filter(|(state, _)| wanted.contains(state)).map(|(_, rows)| rows).sum()
    };
    info!(
        event = "recovered",
        waiting = rows(&[RowState::Waiting, RowState::Dot]),
        unknown = rows(&[RowState::Unknown]),
        held = rows(&[RowState::Held]),
        kept,
        "the queue was read back; kept: messages that nothing waits for, for a retry, a report or a release"
    );
}

fn open_spool(data: &Data, reader: &impl Reader) -> Result<Spool, ServeError> {
    let settings = SpoolSettings {
        // The session minds `max_message_bytes`, which a reload may change; this is its greatest value.
        max_body_bytes: (4 << 30) + MAX_FRONT_BYTES as u64,
        ..SpoolSettings::default()
    };
    let live = reader.bodies()?;
    let spool = Spool::open(&data.paths().spool(), live.iter().map(|k| k.body), settings)?;
    for file in spool.missing() {
        error!(
            event = "body_missing",
            file, "a file of the body store is gone, and with it mail that waited in it"
        );
    }
    Ok(spool)
}

/// Test runs on small disks may ask for less room than a server needs.
fn room() -> Room {
    let wanted = std::env::var("QUELL_LEAST_FREE_BYTES").ok().and_then(|text| text.parse().ok());
    wanted.map_or_else(Room::default, |least_free_bytes| Room { least_free_bytes })
}

/// Maildirs are made for names in the configuration, never by mail.
pub(super) fn make_mailboxes(config: &Config, maildirs: &MaildirStore) {
    // A domain whose folder is missing later has lost its disk: that is no "no such user".
    for domain in config.directory.domains().filter(|domain| domain.maildir) {
        if let Err(why) = maildirs.ensure_domain(&domain.name) {
            warn!(event = "domain_not_made", domain = domain.name, reason = %why, "a domain's folder could not be made");
        }
    }
    for mailbox in config.directory.named_mailboxes() {
        if let Err(why) = maildirs.ensure(&mailbox.domain, &mailbox.mailbox) {
            warn!(event = "mailbox_not_made", mailbox = mailbox.identity, reason = %why, "a mailbox could not be made");
        }
    }
    let cleaned = maildirs.clean_tmp(std::time::SystemTime::now());
    if let Err(why) = cleaned {
        warn!(event = "tmp_not_cleaned", reason = %why, "old files in tmp folders could not be deleted");
    }
}

/// Numbers from the system's random source, drawn out by BLAKE3: they name storms and draw samples.
pub(super) fn random() -> Box<dyn FnMut() -> u64 + Send> {
    let seed = random_bytes::<32>().unwrap_or_else(|why| {
        warn!(event = "no_random", reason = %why, "no random numbers: storms are named after the time");
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        *blake3::hash(&since.as_nanos().to_le_bytes()).as_bytes()
    });
    let mut stream = blake3::Hasher::new_keyed(&seed).finalize_xof();
    Box::new(move || {
        let mut bytes = [0; 8];
        stream.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    })
}

fn reporter(
    in_force: &Arc<RwLock<InForce>>,
    outer: &Outer,
    bodies: &SpoolReader,
    (room, data): (Room, PathBuf),
) -> Reporter {
    let in_force = Arc::clone(in_force);
    Reporter {
        desk: outer.desk.clone(),
        time: outer.time.clone(),
        maildirs: Arc::clone(&outer.maildirs),
        bodies: bodies.clone(),
        policy: Box::new(move || Arc::clone(&current(&in_force).shared.policy)),
        metrics: Arc::clone(&outer.metrics),
        room,
        data,
    }
}

fn digester(in_force: &Arc<RwLock<InForce>>, means: Reporter) -> Digester {
    let in_force = Arc::clone(in_force);
    let now = move || {
        let config = current(&in_force).config;
        (config.hold.clone(), config.settings.tell.mail.clone())
    };
    Digester { means, now: Box::new(now) }
}

fn teller(in_force: &Arc<RwLock<InForce>>, outer: &Outer, stop_by: &StopBy) -> Teller {
    let (for_command, for_mail, time) = (Arc::clone(in_force), Arc::clone(in_force), outer.time.clone());
    let to = move || {
        let now = current(&for_mail);
        (Arc::clone(&now.shared.policy), now.config.settings.tell.mail.clone())
    };
    Teller {
        command: Box::new(move || current(&for_command).config.settings.tell.command.clone()),
        mailer: Mailer {
            desk: outer.desk.clone(),
            time: outer.time.clone(),
            maildirs: Arc::clone(&outer.maildirs),
            to: Box::new(to),
        },
        mono_ms: Box::new(move || time.now().mono_ms),
        stop_by: Arc::clone(stop_by),
        metrics: Arc::clone(&outer.metrics),
    }
}

/// Makes of a configuration what the threads go by. Connections that were open `before`, and the
/// memory they take, go on being counted.
pub(super) fn in_force(config: Config, secret: quell_mail::key::Secret, before: Option<&InForce>) -> InForce {
    let smtp = &config.settings.smtp;
    // A few of the largest headers must fit, or one client could keep them all out.
    let max_memory = clamp(smtp.max_memory_bytes.max(smtp.max_header_bytes.saturating_mul(4)));
    let memory =
        before.map_or_else(|| Memory::new(max_memory), |before| Arc::clone(&before.shared.policy.memory));
    memory.set_max_bytes(max_memory);
    let policy = Policy {
        hostname: config.hostname.clone(),
        secret,
        directory: config.directory.clone(),
        max_header_bytes: clamp(smtp.max_header_bytes),
        spill_bytes: SPILL_BYTES,
        max_rows: clamp(smtp.max_recipients),
        memory,
    };
    let needs_tls = before.map_or_else(|| listens_by_tls(&config), |before| before.needs_tls);
    let tls = super::certificate::acceptor(&config, before);
    // What is kept for others is offered to nobody else.
    let offer_starttls = tls.is_some() && (config.tls.is_some() || config.acme.is_some());
    let session = |bare_newlines, is_submission| Session {
        max_message_bytes: smtp.max_message_bytes,
        max_line_bytes: clamp(smtp.max_line_bytes),
        max_recipients: narrow(smtp.max_recipients),
        max_commands: narrow(smtp.max_commands),
        max_errors: narrow(smtp.max_errors),
        bare_newlines,
        offer_dsn: true,
        offer_starttls: if is_submission { tls.is_some() } else { offer_starttls },
        require_tls: is_submission || smtp.require_tls,
        auth_required: is_submission,
        ..Session::new(config.hostname.clone())
    };
    let nets = config.relay_from.clone();
    let shared = Shared {
        policy: Arc::new(policy),
        outside: Arc::new(session(BareNewlines::Refuse, false)),
        inside: Arc::new(session(BareNewlines::Normalise, false)),
        submission: Arc::new(session(BareNewlines::Refuse, true)),
        is_inside: Box::new(move |address| nets.iter().any(|net| net.contains(address))),
        idle: Duration::from_secs(smtp.idle_secs),
        answer_within: Duration::from_secs(smtp.answer_secs),
        late_after: Duration::from_millis(u64::try_from(config.limits.late_answer_ms).unwrap_or(u64::MAX)),
        least_rate: smtp.least_rate_bytes_per_sec,
        max_message_bytes: smtp.max_message_bytes,
        tls,
    };
    let most = clamp(smtp.max_connections).min(possible(config.outgoing.max_sessions).connections);
    let from_one = clamp(smtp.max_connections_per_address);
    let connections =
        before.map_or_else(|| Connections::new(most, from_one), |before| Arc::clone(&before.connections));
    connections.set_limits(most, from_one);
    let outward = Arc::new(outward(&config, before.map(|before| &*before.outward)));
    InForce { shared: Arc::new(shared), connections, outward, needs_tls, config: Arc::new(config) }
}

/// Whether something listens that nobody can use without TLS.
fn listens_by_tls(config: &Config) -> bool {
    let listeners = [&config.smtp_listen_tls, &config.submission_listen, &config.submission_listen_tls];
    listeners.iter().any(|addresses| !addresses.is_empty()) || config.settings.console.tls
}

fn clamp(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn narrow(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The configuration's file, for reload.
pub(super) fn file_of(parts: &Parts) -> PathBuf {
    parts.config().file.clone()
}
