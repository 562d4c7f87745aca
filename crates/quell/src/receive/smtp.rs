//! One SMTP connection: moves bytes between the socket and [`Reception`], and arrivals to the desk.

mod sign_in;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quell_mail::id::QueueId;
use quell_queue::body::{LargeWriter, LargeWriters, SpoolError};
use quell_queue::clock::Now;
use quell_queue::door::{self, Incoming};
use quell_relay::directory::CannotTell;
use quell_relay::reception::{
    Ask, Asked, NotTheirs, Policy, Reception, Refused, RefusedRecipient, Submission, Want, World,
};
use quell_storm::facts::Answered;
use quell_wire::reply::Reply;
use quell_wire::server::{Closing, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use self::sign_in::SignOn;
use super::complete::complete;
use super::limits::Counted;
use super::refusals::Refusals;
use super::room::FreeRoom;
use crate::deliver::maildir::MaildirStore;
use crate::deliver::verify::{Answer, Verifier};
use crate::metrics::{Metrics, TurnedAway};
use crate::server::alarm::Alarm;
use crate::server::desk::{Handle, Msg};
use crate::server::time::Timekeeper;
use crate::sign_in::{Client, SignIn};
use crate::tls::{Acceptor, Stream};

/// Bytes read from the socket at a time: at first, since most connections bring little, and once so
/// much has come.
const FIRST_READ_BYTES: usize = 8 << 10;
const READ_BYTES: usize = 64 << 10;
/// Room for replies that a connection keeps.
const KEPT_BYTES: usize = 1 << 10;
/// The verifier answers within 20 s by itself; whatever happens, after this time the client is told
/// 451. Clients wait five minutes at RCPT (RFC 5321 §4.5.3.2.3), but many give up sooner.
const ASK_WITHIN: Duration = Duration::from_secs(25);
/// How long a client may take to read our replies.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Of all connections together.
static REFUSALS: Refusals = Refusals::new();
static NOT_THEIRS: Refusals = Refusals::new();

/// What all connections share; replaced as a whole on reload.
pub struct Shared {
    /// Who may send, who is who.
    pub policy: Arc<Policy>,
    /// Session settings for clients from outside.
    pub outside: Arc<Settings>,
    /// Session settings for `[relay] from`.
    pub inside: Arc<Settings>,
    /// Session settings for users who hand in mail, but for the mechanisms of sign-in.
    pub submission: Arc<Settings>,
    /// Whether an address is in `[relay] from`.
    pub is_inside: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    /// A client that says nothing for this long is sent away.
    pub idle: Duration,
    /// The final dot is answered within this time, with 451 if need be.
    pub answer_within: Duration,
    /// An answer later than this counts as late.
    pub late_after: Duration,
    /// Bytes per second that a transfer must bring, on average over `idle`.
    pub least_rate: u64,
    /// Largest message, for the reserve.
    pub max_message_bytes: u64,
    /// Makes TLS handshakes, if there is a certificate.
    pub tls: Option<Acceptor>,
}

/// What connections do with the world.
pub struct Outer {
    /// The desk.
    pub desk: Handle,
    /// Time and ids.
    pub time: Timekeeper,
    /// For large bodies.
    pub large: LargeWriters,
    /// Which mailboxes there are.
    pub maildirs: Arc<MaildirStore>,
    /// Asks next hops which recipients they take.
    pub verifier: Arc<Verifier>,
    /// The room on the disk of the data directory.
    pub room: FreeRoom,
    /// Numbers for the console.
    pub metrics: Arc<Metrics>,
}

/// A connection's view of the world.
struct Around<'a> {
    outer: &'a Outer,
    shared: &'a Shared,
    /// What was said of the recipient that is answered just now, where a next hop was asked.
    answer: Option<&'a Answer>,
}

impl<'a> Around<'a> {
    fn new(outer: &'a Outer, shared: &'a Shared) -> Self {
        Self { outer, shared, answer: None }
    }
}

impl World for Around<'_> {
    fn exists(&self, domain: &str, local: &str) -> Result<bool, CannotTell> {
        self.outer.maildirs.told_exists(domain, local)
    }

    fn room(&self, declared_bytes: Option<u64>) -> bool {
        let largest = self.shared.max_message_bytes.max(declared_bytes.unwrap_or(0));
        self.outer.room.enough(largest)
    }

    fn now(&self) -> Now {
        self.outer.time.now()
    }

    fn queue_id(&self, now: &Now) -> Option<QueueId> {
        self.outer.time.queue_id(now)
    }

    fn begin_large(&self) -> Result<LargeWriter, SpoolError> {
        self.outer.large.begin()
    }

    fn refused(&self, what: Refused) {
        self.outer.metrics.turned_away(match what {
            Refused::Recipient => TurnedAway::Recipient,
            Refused::Room => TurnedAway::Room,
            Refused::Message => TurnedAway::Message,
            Refused::Trouble => TurnedAway::Trouble,
        });
    }

    fn recipient_refused(&self, refused: &RefusedRecipient<'_>) {
        REFUSALS.log(refused, self.answer, self.outer.time.now().ms);
    }

    fn not_theirs(&self, refused: &NotTheirs<'_>) {
        NOT_THEIRS.log_not_theirs(refused, self.outer.time.now().ms);
    }

    fn blocking<V>(&self, work: impl FnOnce() -> V) -> V {
        tokio::task::block_in_place(work)
    }
}

/// Where a connection came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Where users hand in mail.
    pub submission: bool,
    /// Where TLS begins with the first byte.
    pub tls_first: bool,
}

/// Serves one connection to its end.
pub async fn serve(
    stream: TcpStream,
    (peer, entry): (SocketAddr, Entry),
    shared: Arc<Shared>,
    (outer, sign_in): (Arc<Outer>, Arc<SignIn>),
    counted: Counted,
    stop: watch::Receiver<bool>,
) {
    let address = peer.ip().to_canonical();
    let local = stream.local_addr().map_or(address, |local| local.ip().to_canonical());
    let reception = if entry.submission {
        let settings = sign_in::settings(&shared.submission, &sign_in).await;
        Reception::new(Arc::clone(&shared.policy), settings, address, false).for_submission()
    } else {
        let inside = (shared.is_inside)(address);
        let settings = if inside { &shared.inside } else { &shared.outside };
        Reception::new(Arc::clone(&shared.policy), Arc::clone(settings), address, inside)
    };
    let mut connection = Connection {
        stream: Stream::Plain(stream),
        reception,
        shared,
        outer,
        stop,
        alarm: Alarm::default(),
        unconfirmed: None,
        user: SignOn::new(sign_in, Client { remote: address, local }),
    };
    let ended = connection.run(entry.tls_first).await;
    if let Some(id) = connection.unconfirmed.take() {
        connection.outer.desk.send(Msg::AnswerLost(id));
    }
    let found = connection.reception.bare_newlines();
    if found > 0 {
        connection.outer.metrics.bare_newlines(found);
        info!(event = "bare_newlines", source = %address, found, "bare CR or LF from one of our own machines were made CRLF");
    }
    if matches!(ended, Ok(Closing::Errors | Closing::Commands | Closing::SignIns | Closing::TooMuch)) {
        connection.outer.metrics.turned_away(TurnedAway::Errors);
    }
    match ended {
        Ok(why) => debug!(event = "session_ended", client = %address, reason = ?why),
        Err(why) => debug!(event = "session_broken", client = %address, reason = %why),
    }
    drop(counted);
}

/// Refuses a connection that is one too many.
pub async fn refuse(mut stream: TcpStream, hostname: &str) {
    let line = format!("421 4.7.0 {hostname} too many connections, try again later\r\n");
    let written = timeout(Duration::from_secs(5), stream.write_all(line.as_bytes())).await;
    if !matches!(written, Ok(Ok(()))) {
        debug!(event = "refusal_unread", "a client refused for too many connections did not listen");
    }
}

struct Connection {
    stream: Stream,
    reception: Reception,
    shared: Arc<Shared>,
    outer: Arc<Outer>,
    stop: watch::Receiver<bool>,
    alarm: Alarm,
    /// An arrival that was answered 250 and whose client has said nothing since.
    unconfirmed: Option<QueueId>,
    user: SignOn,
}

/// How fast a transfer is.
struct Rate {
    since: Instant,
    bytes: u64,
}

impl Connection {
    async fn run(&mut self, tls_first: bool) -> io::Result<Closing> {
        if let Stream::Plain(stream) = &self.stream {
            stream.set_nodelay(true)?;
        }
        if tls_first {
            self.secure().await?;
        }
        let mut buffer = vec![0; FIRST_READ_BYTES];
        let mut rate = Rate { since: Instant::now(), bytes: 0 };
        let (mut start, mut end) = (0, 0);
        loop {
            let around = Around::new(&self.outer, &self.shared);
            let (taken, want) = self.reception.advance(&buffer[start..end], &around);
            start += taken;
            match want {
                Want::Submit(submission) => self.submit(submission).await?,
                Want::Ask(ask) => {
                    self.flush().await?;
                    let answer = self.ask_next_hop(&ask).await;
                    let asked = answer.as_ref().map_or(Asked::CannotTell, |answer| answer.asked);
                    let around = Around { answer: answer.as_ref(), ..Around::new(&self.outer, &self.shared) };
                    self.reception.asked(asked, &around);
                }
                Want::Flush => self.flush().await?,
                Want::StartTls => {
                    self.flush().await?;
                    // What was read with it came unprotected.
                    (start, end) = (0, 0);
                    self.secure().await?;
                }
                Want::SignIn(credentials) => self.sign_in(credentials).await?,
                Want::ScramFor(user) => self.scram_for(&user).await?,
                Want::Close(why) => {
                    self.flush().await?;
                    timeout(WRITE_TIMEOUT, self.stream.shutdown()).await??;
                    return Ok(why);
                }
                Want::Input => {
                    self.flush().await?;
                    if end == buffer.len() && end < READ_BYTES {
                        buffer = vec![0; READ_BYTES];
                    }
                    start = 0;
                    end = self.read(&mut buffer, &mut rate).await?;
                    self.still_signed_in().await;
                }
            }
        }
    }

    /// TLS begins.
    async fn secure(&mut self) -> io::Result<()> {
        let source = self.reception.address();
        // Without a certificate nothing offers it; a reload may have taken it away.
        let acceptor = self.shared.tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let mut stop = self.stop.clone();
        let secured = tokio::select! {
            secured = acceptor.accept(self.stream.take_out()) => secured,
            _ = stop.wait_for(|stop| *stop) => return Err(io::ErrorKind::Interrupted.into()),
        };
        self.stream = secured.inspect_err(|why| {
            self.outer.metrics.turned_away(TurnedAway::Handshake);
            debug!(event = "tls_failed", source, reason = %why, "a client's TLS handshake failed");
        })?;
        let tls = self.stream.tls().ok_or(io::ErrorKind::Unsupported)?;
        debug!(
            event = "tls",
            source,
            version = tls.version,
            cipher = tls.cipher,
            "a client's connection is protected"
        );
        self.reception.secured(tls);
        Ok(())
    }

    /// None: we stop, or the verifier does not come to its end.
    async fn ask_next_hop(&self, ask: &Ask) -> Option<Answer> {
        let mut stop = self.stop.clone();
        tokio::select! {
            answer = timeout(ASK_WITHIN, self.outer.verifier.ask(ask)) => answer.ok(),
            _ = stop.wait_for(|stop| *stop) => None,
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        let output = self.reception.output();
        let written = write(&mut self.stream, output).await;
        output.clear();
        output.shrink_to(KEPT_BYTES);
        written
    }

    /// Reads more. An idle client, one that is too slow, and everybody when the server stops, are
    /// told so and sent away: the session then ends by itself.
    async fn read(&mut self, buffer: &mut [u8], rate: &mut Rate) -> io::Result<usize> {
        let receiving = self.reception.is_receiving();
        if !receiving {
            // Counted from the start of a transfer: what a client did before is not slowness.
            *rate = Rate { since: Instant::now(), bytes: 0 };
        }
        let stopping = !receiving && *self.stop.borrow();
        let idle_by = tokio::time::Instant::now() + self.shared.idle;
        let read = tokio::select! {
            biased;
            read = self.stream.read(buffer), if !stopping => Some(read?),
            // A transfer that has begun can finish: the stop has a limit of its own.
            _ = self.stop.wait_for(|stop| *stop), if !receiving => {
                self.reception.shut_down(&Reply::new(421, (3, 2), "The server is stopping"));
                return Ok(0);
            }
            () = self.alarm.at(idle_by) => None,
        };
        let n = match read {
            Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(n) => n,
            None => {
                self.outer.metrics.turned_away(TurnedAway::Idle);
                self.reception.shut_down(&Reply::new(421, (4, 2), "Idle for too long"));
                0
            }
        };
        if n > 0 {
            self.unconfirmed = None;
        }
        if receiving && !self.fast_enough(rate, n as u64) {
            self.reception.shut_down(&Reply::new(421, (4, 2), "The transfer is too slow"));
        }
        Ok(n)
    }

    fn fast_enough(&self, rate: &mut Rate, bytes: u64) -> bool {
        rate.bytes += bytes;
        let passed = rate.since.elapsed();
        if passed < self.shared.idle {
            return true;
        }
        let enough = rate.bytes >= self.shared.least_rate * passed.as_secs();
        *rate = Rate { since: Instant::now(), bytes: 0 };
        enough
    }

    async fn submit(&mut self, submission: Box<Submission>) -> io::Result<()> {
        let id = submission.queue_id();
        self.outer.metrics.arrived(submission.size_bytes());
        let began = Instant::now();
        let incoming = match self.complete(submission).await {
            Ok(incoming) => incoming,
            Err(reply) => {
                warn!(event = "not_accepted", id = %id, reply = reply.text(), "an arrival's body could not be written");
                Around::new(&self.outer, &self.shared).refused(Refused::by(&reply));
                self.reception.replied(reply);
                return self.flush().await;
            }
        };
        let (tx, mut answer) = oneshot::channel();
        self.outer.desk.send(Msg::Accept(Box::new(incoming), tx));
        let by = tokio::time::Instant::from_std(began) + self.shared.answer_within;
        let answered = tokio::select! {
            biased;
            answered = &mut answer => Some(answered),
            () = self.alarm.at(by) => None,
        };
        let answer = match answered {
            Some(Ok(answer)) => answer,
            Some(Err(_)) => door::Answer::Trouble("the desk has stopped".to_owned()),
            None => {
                // It may have been answered at the last moment: then that answer stands.
                answer.close();
                answer.try_recv().unwrap_or_else(|_| {
                    warn!(event = "answer_late", id = %id, "an arrival could not be written in time: 451");
                    self.outer.desk.send(Msg::Withdraw(id));
                    door::Answer::Trouble("it took too long".to_owned())
                })
            }
        };
        match &answer {
            door::Answer::Accepted(_) => {}
            door::Answer::Refused(_) => self.outer.metrics.turned_away(TurnedAway::Message),
            door::Answer::NoRoom(why) => {
                warn!(event = "not_accepted", id = %id, reason = why, "an arrival was answered 452: no room");
                self.outer.metrics.turned_away(TurnedAway::Room);
            }
            door::Answer::Trouble(why) => {
                warn!(event = "not_accepted", id = %id, reason = why, "an arrival was answered 451: trouble of our own");
                self.outer.metrics.turned_away(TurnedAway::Trouble);
            }
        }
        self.reception.answered(&answer);
        let mut unsaid = Unsaid { desk: &self.outer.desk, id, how: Answered::Lost };
        let output = self.reception.output();
        let written = write(&mut self.stream, output).await;
        output.clear();
        if written.is_ok() {
            let late = began.elapsed() > self.shared.late_after;
            unsaid.how = if late { Answered::Late } else { Answered::Fine };
        }
        drop(unsaid);
        if matches!(answer, door::Answer::Accepted(_)) && written.is_ok() {
            self.unconfirmed = Some(id);
        }
        written
    }

    /// Brings a large body to its end, within the time of the answer: a disk that hangs must not
    /// keep the client waiting for ever. What comes too late is thrown away.
    async fn complete(&self, submission: Box<Submission>) -> Result<Incoming, Reply> {
        complete(submission, self.shared.answer_within).await
    }
}

/// Tells the desk how an answer fared, whatever becomes of the session: rows whose answer nobody
/// speaks of would wait for the next start. Of arrivals that were not stored the desk knows nothing,
/// and of withdrawn ones it knows already.
struct Unsaid<'a> {
    desk: &'a Handle,
    id: QueueId,
    how: Answered,
}

impl Drop for Unsaid<'_> {
    fn drop(&mut self) {
        self.desk.send(Msg::Answered(self.id, self.how));
    }
}

async fn write(stream: &mut Stream, output: &[u8]) -> io::Result<()> {
    if output.is_empty() {
        return Ok(());
    }
    timeout(WRITE_TIMEOUT, async {
        stream.write_all(output).await?;
        stream.flush().await
    })
    .await?
}
