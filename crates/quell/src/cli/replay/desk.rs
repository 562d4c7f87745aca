//! The production door over the store in memory, by a virtual clock. What passes is delivered at once.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use quell_mail::id::QueueId;
use quell_mail::key::{ExactKey, Secret};
use quell_queue::body::BodyRef;
use quell_queue::clock::Now;
use quell_queue::destination::Destination;
use quell_queue::door::{Bytes, Door, DoorSettings, Effect, Incoming, Together};
use quell_queue::ledger::Outcome;
use quell_queue::store::memory::{MemoryReader, MemoryStore};
use quell_queue::store::{Reader, Retention, Store, StoreError};
use quell_storm::facts::{Answered, Facts, Ms, Recipient, Source};
use quell_storm::limits::Limits;
use quell_storm::signs::ClassSet;
use quell_storm::storm::Storm;
use quell_storm::verdict::Reason;

use super::again::Again;

/// Arrivals that are committed together.
const MAX_BATCH: usize = 256;
/// So long after the first of them they are, however few.
const BATCH_MS: Ms = HOUR_MS;
/// So long rows are kept, as on a server.
const RETENTION_MS: Ms = 14 * DAY_MS;
const HOUR_MS: Ms = 3_600_000;
const DAY_MS: Ms = 24 * HOUR_MS;
/// Storms given back, the last seen first. Once so many have ended, those of more than 30 days ago are
/// forgotten, as on a server.
const MAX_STORMS: usize = 10_000;

/// One arrival, for one recipient.
#[derive(Debug)]
pub(super) struct Letter<'a> {
    pub(super) ms: Ms,
    pub(super) key: Option<ExactKey>,
    /// How many arrivals have that key in all.
    pub(super) same: u32,
    pub(super) source: IpAddr,
    pub(super) recipient: &'a str,
    pub(super) size_bytes: u64,
    pub(super) hops: usize,
    /// How long ago the last of its key for its recipient came; 0 if none did.
    pub(super) idle_ms: Ms,
    /// A server would have got it with that of another recipient, which has come.
    pub(super) is_part: bool,
    /// What the message says, and its header if it may be part of a storm.
    pub(super) again: Again,
}

/// What became of it: the verdict's name, why, and which classes of suspicion had something to decide.
pub(super) type Judged = (&'static str, Reason, ClassSet);

/// The desk.
///
/// Memory: a row whose key does not come again is dropped when it is delivered, and the others when the
/// last of their key has come, or after 14 days as on a server; those of storms stay that long. So it is
/// about 1 KB for each message of which a copy is still to come.
pub(super) struct Desk {
    door: Door<MemoryReader, ()>,
    store: MemoryStore,
    secret: Secret,
    began_ms: Ms,
    now_ms: Ms,
    ticked_ms: Ms,
    kept_up_ms: Ms,
    arrivals: u32,
    /// Arrivals that are not committed yet, and the first one's time.
    waiting: Vec<QueueId>,
    waiting_keys: HashSet<ExactKey>,
    waiting_since_ms: Ms,
    /// Of these, whose rows nobody will ask for.
    passing: HashSet<QueueId>,
    /// How many of a key are still to come.
    to_come: HashMap<ExactKey, u32>,
    /// Keys of which none is.
    over: Vec<ExactKey>,
    /// Copies that can open a storm.
    storm_copies: u32,
    /// Storms that have ended.
    ended: usize,
    /// Arrivals that are alone with their key go by without a row.
    lets_pass_by: bool,
}

impl Desk {
    /// Opens it at `began_ms`, before anything comes.
    pub(super) fn open(limits: &Limits, began_ms: Ms) -> Result<Self, StoreError> {
        let store = MemoryStore::default();
        let secret = Secret::new(0, *b"what is replayed has no secrets.");
        let settings = DoorSettings { limits: limits.clone(), gateway: 0 };
        let maildir = Destination::maildir();
        let mut seed = 0x9e37_79b9_7f4a_7c15;
        let door = Door::open(
            store.reader()?,
            secret.clone(),
            settings,
            Box::new(move |_| maildir.clone()),
            Box::new(move || splitmix(&mut seed)),
            &at(began_ms, began_ms),
        )?;
        Ok(Self {
            door,
            store,
            secret,
            began_ms,
            now_ms: began_ms,
            ticked_ms: began_ms,
            kept_up_ms: began_ms,
            arrivals: 0,
            waiting: Vec::with_capacity(MAX_BATCH),
            waiting_keys: HashSet::new(),
            waiting_since_ms: began_ms,
            passing: HashSet::new(),
            to_come: HashMap::new(),
            over: Vec::new(),
            storm_copies: limits.storm_rcpt_copies.min(limits.storm_key_copies),
            ended: 0,
            lets_pass_by: true,
        })
    }

    /// Lets one arrive.
    pub(super) fn judge(&mut self, mut letter: Letter<'_>) -> Result<Judged, StoreError> {
        self.comes_to(letter.ms)?;
        if letter.idle_ms >= RETENTION_MS {
            self.keep_up(DAY_MS)?;
        }
        let is_alone = letter.key.is_none() || letter.same <= 1;
        let queue_id = self.next_id();
        let facts = facts(&mut letter, queue_id, self.now_ms);
        let now = self.now();
        self.door.comes_in_parts(letter.is_part);
        if is_alone
            && self.lets_pass_by
            && let Some((reason, opportunities)) = self.door.passes_by(&facts, &now)
        {
            return Ok(("pass", reason, opportunities));
        }
        if letter.key.is_some_and(|key| self.waiting_keys.contains(&key)) {
            self.commit()?;
        }
        if self.waiting.is_empty() {
            self.waiting_since_ms = self.now_ms;
        }
        self.waiting.push(queue_id);
        match letter.key.filter(|_| !is_alone) {
            Some(key) => self.note(key, letter.same),
            None => drop(self.passing.insert(queue_id)),
        }
        let (front, bytes, header) = (Vec::new(), Bytes::Small(Vec::new()), letter.again.header);
        let incoming = Incoming { facts, front, bytes, header, settles: None };
        self.door.accept(incoming, (), &now);
        let judged = self.door.effects().into_iter().find_map(|effect| match effect {
            Effect::Judged(verdicts) => {
                let first = verdicts.recipients.first();
                first.map(|(_, name, why)| (*name, why.clone(), verdicts.opportunities))
            }
            _ => None,
        });
        if self.waiting.len() >= MAX_BATCH {
            self.commit()?;
        }
        judged.ok_or_else(nothing_said)
    }

    fn note(&mut self, key: ExactKey, same: u32) {
        self.waiting_keys.insert(key);
        let left = self.to_come.entry(key).or_insert(same);
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.to_come.remove(&key);
            if same <= self.storm_copies {
                self.over.push(key);
            }
        }
    }

    /// The end: the storms there were, as they are at the last arrival.
    pub(super) fn storms(&mut self) -> Result<Vec<Storm>, StoreError> {
        self.commit()?;
        self.tick()?;
        self.door.storms(MAX_STORMS)
    }

    #[cfg(test)]
    pub(super) fn let_all_through_the_door(&mut self) {
        self.lets_pass_by = false;
    }

    #[cfg(test)]
    pub(super) fn rows_kept(&self) -> usize {
        use quell_storm::facts::RowState::{Delivered, Waiting};
        let reader = self.store.reader().unwrap();
        reader.list(&[Delivered, Waiting], None, usize::MAX).unwrap().len()
    }

    fn now(&self) -> Now {
        at(self.now_ms, self.began_ms)
    }

    fn next_id(&mut self) -> QueueId {
        let [gateway, counter @ ..] = self.arrivals.to_be_bytes();
        let counter = u32::from_be_bytes([0, counter[0], counter[1], counter[2]]);
        self.arrivals = self.arrivals.wrapping_add(1);
        QueueId::new(u64::try_from(self.now_ms).unwrap_or_default(), gateway, counter)
    }

    fn comes_to(&mut self, ms: Ms) -> Result<(), StoreError> {
        if !self.waiting.is_empty() && ms - self.waiting_since_ms >= BATCH_MS {
            self.commit()?;
        }
        self.now_ms = self.now_ms.max(ms);
        let every_ms = if self.door.storms_open() > 0 { HOUR_MS } else { DAY_MS };
        if self.now_ms - self.ticked_ms >= every_ms {
            self.tick()?;
        }
        Ok(())
    }

    /// What time alone does. Storms end at the tick after their time or at their next copy: an hour is
    /// fine enough. Without one nothing waits for it.
    fn tick(&mut self) -> Result<(), StoreError> {
        self.commit()?;
        self.ticked_ms = self.now_ms;
        let now = self.now();
        self.door.tick(&now);
        self.write()?;
        self.keep_up(RETENTION_MS)
    }

    /// Forgets what a server would have forgotten, if that was last done `every_ms` ago: each day where somebody
    /// asks for something so old. It takes a look at every row.
    fn keep_up(&mut self, every_ms: Ms) -> Result<(), StoreError> {
        if self.now_ms - self.kept_up_ms < every_ms {
            return Ok(());
        }
        self.kept_up_ms = self.now_ms;
        self.commit()?;
        let usual = Retention::default();
        let evidence_days = if self.ended < MAX_STORMS { u32::MAX } else { usual.evidence_days };
        self.store.upkeep(self.now_ms, &Retention { evidence_days, ..usual })?;
        Ok(())
    }

    /// Commits what waits, answers it, and delivers what passed.
    fn commit(&mut self) -> Result<(), StoreError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.write()?;
        let now = self.now();
        for queue_id in std::mem::take(&mut self.waiting) {
            self.door.answered(&queue_id, Answered::Fine, &now);
        }
        while let Some(destination) = self.door.next_destination(&now, &mut |_, _| true) {
            for claim in self.door.claim_for(&destination, MAX_BATCH, Together::Any, &now) {
                self.door.settle(claim, Outcome::Delivered, &now);
            }
        }
        self.write()?;
        self.passing.clear();
        self.waiting_keys.clear();
        self.forget()
    }

    /// Commits what the door has gathered, but for rows that nobody will ask for.
    fn write(&mut self) -> Result<(), StoreError> {
        while let Some(mut work) = self.door.take_batch() {
            let places: Vec<(QueueId, BodyRef)> = work
                .bodies
                .iter()
                .map(|body| (body.queue_id, BodyRef { file: 0, offset: 0, len: 0 }))
                .collect();
            work.placed(&places);
            let (batch, passing) = (&mut work.batch, &self.passing);
            batch.keys.retain(|key| !passing.contains(&key.kid));
            batch.arrivals.retain(|arrival| !passing.contains(&arrival.kid));
            batch.rows.retain(|write| !passing.contains(&write.row().id.kid));
            batch.evidence.clear();
            self.ended += batch.storms.iter().filter(|storm| !storm.open).count();
            self.store.commit(batch)?;
            let now = self.now();
            self.door.committed(&places, &now);
            self.door.effects();
        }
        Ok(())
    }

    fn forget(&mut self) -> Result<(), StoreError> {
        for key in std::mem::take(&mut self.over) {
            let key = self.secret.ledger_key(&key);
            if let Some(row) = self.store.reader()?.key(&key)? {
                self.store.forget(&key, &row.kid)?;
            }
        }
        Ok(())
    }
}

fn nothing_said() -> StoreError {
    StoreError::Broken("the judge said nothing".to_owned())
}

fn at(ms: Ms, began_ms: Ms) -> Now {
    Now { ms, wall_ms: ms, mono_ms: u64::try_from(ms - began_ms).unwrap_or_default(), may_expire: true }
}

/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014: the same numbers each
/// time, so that the same mail has the same answer.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// As a reception makes it. Our own tokens are not among the facts: only who has the secret can tell them
/// from others.
fn facts(letter: &mut Letter<'_>, queue_id: QueueId, now_ms: Ms) -> Facts {
    let identity = letter.recipient.to_owned();
    let tenant = identity.rsplit_once('@').map_or(identity.as_str(), |(_, domain)| domain).to_owned();
    let recipient =
        Recipient { as_given: identity.clone(), identity, tenant, is_ours: true, notify: None, orcpt: None };
    Facts {
        queue_id,
        received_ms: now_ms,
        source: Source {
            address: Some(letter.source),
            helo: std::mem::take(&mut letter.again.helo),
            inside: false,
            user: None,
            pickup: None,
        },
        reverse_path: std::mem::take(&mut letter.again.reverse_path),
        reports_to: None,
        envid: None,
        ret_full: None,
        smtputf8: false,
        size_bytes: letter.size_bytes,
        exact_key: letter.key,
        message_id: None,
        hops: letter.hops,
        tokens: Vec::new(),
        recipients: vec![recipient],
        is_author_ours: false,
        is_to_us: false,
        said: std::mem::take(&mut letter.again.said),
    }
}
