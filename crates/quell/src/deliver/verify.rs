//! Asking the next hop whether it takes a recipient (`recipients = "ask"`): a transaction that ends
//! before DATA. What it said is remembered for a while.

mod memory;
mod target;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quell_relay::attempt::Target;
use quell_relay::reception::{Ask, Asked};
use quell_relay::route::NextHop;
use quell_wire::client::{Lost, Outcome, Session, Starttls, Step, Wait};
use quell_wire::path::Path;
use quell_wire::server::greeting;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use self::memory::{Answers, Known};
use self::target::{path, question, targets};
use super::link::Link;
use super::remote::{Outward, OutwardNow};

/// That a recipient is there is believed for so long without asking again.
const FRESH: Duration = Duration::from_secs(3600);
/// And for so long while the next hop cannot be asked.
const KNOWN: Duration = Duration::from_secs(7 * 86_400);
/// That there is none is believed for so long: somebody may be about to make the mailbox.
const NONE: Duration = Duration::from_secs(300);
/// After it could not be asked it is left alone for so long.
const LEFT_ALONE: Duration = Duration::from_secs(10);
/// Questions asked of one next hop at the same time; more wait for their turn.
const AT_ONCE: usize = 20;
/// A question is answered within this time: the client waits.
const WITHIN: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
struct Memory {
    answers: Answers,
    /// Next hops that could not be asked, and when that was; only those of the last seconds.
    away: HashMap<NextHop, Instant>,
    /// Questions under way, and how many clients wait for each: no more than there are clients.
    under_way: HashMap<String, usize>,
}

/// A question that is under way, until it is dropped.
struct UnderWay<'a> {
    memory: &'a Mutex<Memory>,
    key: &'a str,
}

impl<'a> UnderWay<'a> {
    /// None: it is under way already, and this client may well be the server that is asked for it.
    /// Two servers that ask each other would otherwise take all turns, and keep them until the first
    /// gives up. (A server that asks has a null reverse-path. A report that comes at the very moment
    /// is told to come again.)
    fn begin(memory: &'a Mutex<Memory>, key: &'a str, from_nobody: bool) -> Option<Self> {
        let under_way = &mut memory.lock().unwrap_or_else(PoisonError::into_inner).under_way;
        if from_nobody && under_way.contains_key(key) {
            return None;
        }
        *under_way.entry(key.to_owned()).or_insert(0) += 1;
        Some(Self { memory, key })
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let under_way = &mut self.memory.lock().unwrap_or_else(PoisonError::into_inner).under_way;
        if let Some(count) = under_way.get_mut(self.key) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(self.key);
            }
        }
    }
}

/// Why nobody could say.
#[derive(Debug)]
struct Trouble {
    why: String,
    /// It is with the next hop: about others it would say no more.
    with_all: bool,
    /// The handshake failed.
    no_tls: bool,
}

impl Trouble {
    fn with_all(why: impl Into<String>) -> Self {
        Self { why: why.into(), with_all: true, no_tls: false }
    }

    fn no_tls(why: &str) -> Self {
        Self { no_tls: true, ..Self::with_all(format!("TLS failed: {why}")) }
    }

    /// One that has greeted us and takes its time over a recipient may answer for others.
    fn late(answers: &AtomicBool) -> Self {
        let why = "it does not answer in time".to_owned();
        Self { why, with_all: !answers.load(Ordering::Relaxed), no_tls: false }
    }
}

/// What the next hop said of a recipient, and how we know.
#[derive(Debug)]
pub struct Answer {
    /// The answer.
    pub asked: Asked,
    /// Who was to be asked.
    pub next_hop: String,
    /// `now` or `remembered`; None: it could not be asked, or did not say.
    pub how: Option<&'static str>,
}

/// Asks, and remembers.
pub struct Verifier {
    outward: OutwardNow,
    memory: Mutex<Memory>,
    /// Each next hop has its own: one that hangs keeps nobody from asking the others. Only of those
    /// that are being asked.
    turns: Mutex<HashMap<NextHop, Arc<Semaphore>>>,
}

impl Verifier {
    /// Nothing known yet.
    pub fn new(outward: OutwardNow) -> Arc<Self> {
        Arc::new(Self { outward, memory: Mutex::default(), turns: Mutex::default() })
    }

    /// Whether the recipient's next hop takes mail for it. Addresses of one identity are asked for once.
    pub async fn ask(&self, ask: &Ask) -> Answer {
        let outward = (self.outward)();
        let hop = outward.routes.of(&ask.identity);
        let (asked, how) = self.ask_of(&outward, &hop, ask).await;
        Answer { asked, next_hop: hop.to_string(), how }
    }

    async fn ask_of(&self, outward: &Outward, hop: &NextHop, ask: &Ask) -> (Asked, Option<&'static str>) {
        let Ask { address, identity, from_nobody } = ask;
        // Another next hop may know others.
        let key = format!("{hop} {identity}");
        let now = Instant::now();
        let known = self.known(&key);
        let fresh = |known: &Known| now - known.at < if known.asked == Asked::Exists { FRESH } else { NONE };
        if let Some(known) = known.filter(fresh) {
            return (known.asked, Some("remembered"));
        }
        let answer = match UnderWay::begin(&self.memory, &key, *from_nobody) {
            Some(_asking) if !self.is_away(hop, now) => self.ask_anew(outward, hop, address).await,
            _ => Err(()),
        };
        match answer {
            Ok(asked) => {
                self.remember(key, Known { asked, at: Instant::now() });
                (asked, Some("now"))
            }
            // Who was there is there still, as far as anybody can tell.
            Err(()) => known
                .filter(|k| k.asked == Asked::Exists && now - k.at < KNOWN)
                .map_or((Asked::CannotTell, None), |k| (k.asked, Some("remembered"))),
        }
    }

    /// Err: nobody could say.
    async fn ask_anew(&self, outward: &Outward, hop: &NextHop, address: &str) -> Result<Asked, ()> {
        let turns = self.turns_of(hop);
        // As long as its turn has not come, nothing is known against the next hop.
        let answers = AtomicBool::new(true);
        let asked = async {
            let _turn = turns.acquire().await.map_err(|why| Trouble::with_all(why.to_string()))?;
            probe(outward, hop, address, &answers).await
        };
        let answer = timeout(WITHIN, asked).await.unwrap_or_else(|_| Err(Trouble::late(&answers)));
        answer.map_err(|Trouble { why, with_all, .. }| {
            warn!(event = "not_asked", rcpt = address, next_hop = %hop, reason = why, "the next hop could not be asked for a recipient");
            if with_all {
                self.leave_alone(hop);
            }
        })
    }

    fn turns_of(&self, hop: &NextHop) -> Arc<Semaphore> {
        let mut all = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, turns| Arc::strong_count(turns) > 1);
        Arc::clone(all.entry(hop.clone()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
    }

    fn leave_alone(&self, hop: &NextHop) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        memory.away.retain(|_, at| now - *at < LEFT_ALONE);
        memory.away.insert(hop.clone(), now);
    }

    fn is_away(&self, hop: &NextHop, now: Instant) -> bool {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.away.get(hop).is_some_and(|at| now - *at < LEFT_ALONE)
    }

    fn known(&self, key: &str) -> Option<Known> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).answers.get(key)
    }

    fn remember(&self, key: String, known: Known) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).answers.put(key, known);
    }
}

/// Asks at every address of the next hop until one answers. `answers` says whether the present one has
/// greeted us.
async fn probe(
    outward: &Outward,
    hop: &NextHop,
    address: &str,
    answers: &AtomicBool,
) -> Result<Asked, Trouble> {
    let forward_path = path(address).map_err(|why| Trouble { why, with_all: false, no_tls: false })?;
    let mut trouble = Trouble::with_all("it has no address");
    let targets = targets(outward, hop).await.map_err(Trouble::with_all)?;
    // One address that hangs leaves time for the others.
    let within = WITHIN / u32::try_from(targets.len()).unwrap_or(u32::MAX).clamp(1, 4);
    for target in targets {
        answers.store(false, Ordering::Relaxed);
        let asked = timeout(within, probe_target(outward, target.clone(), &forward_path, answers)).await;
        match asked.unwrap_or_else(|_| Err(Trouble::late(answers))) {
            Ok(asked) => return Ok(asked),
            Err(Trouble { why, with_all, .. }) => {
                let why = format!("{}: {why}", target.name);
                trouble = Trouble { why, with_all, no_tls: false };
            }
        }
    }
    Err(trouble)
}

/// As [`probe_at`]: where opportunistic TLS fails, once more without.
async fn probe_target(
    outward: &Outward,
    mut target: Target,
    forward_path: &Path,
    answers: &AtomicBool,
) -> Result<Asked, Trouble> {
    match probe_at(outward, &target, forward_path.clone(), answers).await {
        Err(Trouble { no_tls: true, .. }) if target.tls.is_opportunistic() => {
            target.tls.starttls = Starttls::Never;
            probe_at(outward, &target, forward_path.clone(), answers).await
        }
        asked => asked,
    }
}

async fn probe_at(
    outward: &Outward,
    target: &Target,
    forward_path: Path,
    answers: &AtomicBool,
) -> Result<Asked, Trouble> {
    let (mut link, _) = Link::connect(target, &outward.clients).await.map_err(Trouble::with_all)?;
    let mut session = question(outward, target, forward_path).map_err(Trouble::with_all)?;
    let block = Duration::from_secs(Wait::DataBlock.secs());
    let ours = greeting(&outward.sending.our_name);
    let mut said = None;
    loop {
        let step = session.next();
        if session.greeting() == ours {
            return Err(leads_back(&outward.sending.our_name));
        }
        answers.store(session.is_ready(), Ordering::Relaxed);
        match step {
            Step::Write(bytes) => {
                if link.gather(&bytes) && link.flush(block).await.is_err() {
                    session.lost(Lost::Closed);
                }
            }
            Step::NeedInput(wait) => {
                let within = Duration::from_secs(wait.secs());
                let read = match link.flush(block).await {
                    Ok(()) => link.read(Instant::now() + within).await,
                    Err(why) => Err(why),
                };
                match read {
                    Ok(bytes) if !bytes.is_empty() => session.input(bytes),
                    _ => session.lost(Lost::Closed),
                }
            }
            Step::StartTls => match link.secure(target, &outward.clients).await {
                Ok(_) => session.secured(),
                Err(why) => return Err(Trouble::no_tls(&why)),
            },
            Step::Outcome { outcome, .. } => said = Some(outcome),
            Step::Done => {
                session.quit();
                // What follows is politeness: the answer is here.
                if let Some(outcome) = said.take() {
                    finish(&mut session, link).await;
                    return meaning(&outcome, &session);
                }
            }
            Step::SendBody | Step::Dot(_) => session.lost(Lost::Ours("nothing is sent".to_owned())),
            Step::Closed => break,
        }
    }
    said.map_or_else(|| Err(Trouble::with_all("it closed the connection")), |said| meaning(&said, &session))
}

/// A port is forwarded to us, or the like: it would ask us in turn, and we it. By the whole greeting,
/// not by the name alone: another server on this machine may well have our name.
fn leads_back(our_name: &str) -> Trouble {
    Trouble::with_all(format!(
        "the next hop greets as {our_name}, which is this server: the route leads back"
    ))
}

/// Says QUIT and closes without waiting.
async fn finish(session: &mut Session, mut link: Link) {
    if let Step::Write(bytes) = session.next() {
        let _little = link.gather(&bytes);
        if let Err(why) = link.flush(Duration::from_secs(1)).await {
            debug!(event = "quit_unsaid", reason = %why);
        }
    }
    link.close().await;
}

/// Only a refusal that is about the recipient says that there is none. Trouble with a next hop that
/// had accepted our name may be with this recipient alone.
fn meaning(outcome: &Outcome, session: &Session) -> Result<Asked, Trouble> {
    match outcome {
        Outcome::Delivered(_) | Outcome::Relayed(_) => Ok(Asked::Exists),
        Outcome::Failed { about_recipient: true, .. } => Ok(Asked::Unknown),
        other => {
            Err(Trouble { why: other.status().to_string(), with_all: !session.is_ready(), no_tls: false })
        }
    }
}
