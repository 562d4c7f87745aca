//! What a test was promised, and whether it was kept: everything answered 250 lies in each
//! mailbox once, nothing lies there twice, nothing lies there in part.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// At most this many broken promises are told of.
const TOLD: usize = 20;

/// A small random source (SplitMix64): the same seed, the same test.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The seed of this run: from `QUELL_TEST_SEED`, else a new one. It is printed.
    pub fn seed(test: &str) -> u64 {
        let given = std::env::var("QUELL_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.expect("a time").as_nanos() as u64
        });
        eprintln!("{test}: QUELL_TEST_SEED={seed}");
        seed
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At least `low`, less than `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low)
    }

    pub fn one_in(&mut self, many: u64) -> bool {
        self.next().is_multiple_of(many)
    }
}

/// A message whose content can be checked: `X-Test-Id` says which, `X-Test-Hash` is over
/// the body with LF line ends.
pub fn message(id: &str, date: &str, body_bytes: usize, random: &mut Random) -> Vec<u8> {
    let body = body(body_bytes, random);
    let hash = blake3::hash(body.replace("\r\n", "\n").as_bytes()).to_hex();
    format!(
        "From: Sender <sender@client.example>\r\nTo: all@firm.example\r\nSubject: Test {id}\r\n\
         Date: {date}\r\nMessage-ID: <{id}@client.example>\r\nX-Test-Id: {id}\r\n\
         X-Test-Hash: {hash}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Lines of many lengths, some of them beginning with a dot, some empty.
fn body(bytes: usize, random: &mut Random) -> String {
    let mut body = String::with_capacity(bytes + 200);
    while body.len() < bytes {
        if random.one_in(5) {
            body.push('.');
        }
        for _ in 0..random.between(0, 5) {
            body.push_str(&format!("{:016x} ", random.next()));
        }
        body.push_str("\r\n");
    }
    body.push_str("end\r\n");
    body
}

/// Message and mailbox.
type Pair = (String, String);

/// What was sent, and what was answered 250. Shared by the sessions of a test.
#[derive(Default)]
pub struct Promises(Mutex<Pairs>);

#[derive(Default)]
struct Pairs {
    sent: BTreeSet<Pair>,
    promised: BTreeSet<Pair>,
}

impl Promises {
    /// This message is about to be sent to these mailboxes: it may lie there, once.
    pub fn sent(&self, id: &str, mailboxes: &[&str]) {
        self.lock().sent.extend(pairs(id, mailboxes));
    }

    /// It was answered 250: it must lie there.
    pub fn answered(&self, id: &str, mailboxes: &[&str]) {
        let mut all = self.lock();
        all.sent.extend(pairs(id, mailboxes));
        all.promised.extend(pairs(id, mailboxes));
    }

    /// How many deliveries were promised.
    pub fn count(&self) -> usize {
        self.lock().promised.len()
    }

    /// Compares with the Maildirs in `domain` (`<data>/mail/firm.example`). Returns how many
    /// messages lie there, or what is wrong.
    ///
    /// # Errors
    /// A line for each broken promise.
    pub fn check(&self, domain: &Path) -> Result<usize, String> {
        let (found, mut wrong) = found_below(domain);
        let all = self.lock();
        for (pair, times) in &found {
            if *times > 1 {
                wrong.push(format!("{times} times: {pair:?}"));
            }
            if !all.sent.contains(pair) {
                wrong.push(format!("never sent: {pair:?}"));
            }
        }
        let lost = all.promised.iter().filter(|pair| !found.contains_key(*pair));
        wrong.extend(lost.map(|pair| format!("answered 250 and lost: {pair:?}")));
        if wrong.is_empty() {
            return Ok(found.values().sum());
        }
        let count = wrong.len();
        wrong.truncate(TOLD);
        Err(format!("{count} broken promises:\n{}", wrong.join("\n")))
    }

    /// How many whole messages lie there.
    pub fn found(domain: &Path) -> usize {
        found_below(domain).0.values().sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pairs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pairs<'a>(id: &'a str, mailboxes: &'a [&str]) -> impl Iterator<Item = Pair> + 'a {
    mailboxes.iter().map(move |mailbox| (id.to_owned(), (*mailbox).to_owned()))
}

/// How often each message lies in each mailbox, and what lies there damaged.
fn found_below(domain: &Path) -> (BTreeMap<Pair, usize>, Vec<String>) {
    let (mut found, mut wrong) = (BTreeMap::new(), Vec::new());
    for mailbox in std::fs::read_dir(domain).into_iter().flatten() {
        let mailbox = mailbox.expect("an entry");
        let name = mailbox.file_name().to_string_lossy().into_owned();
        let parts = ["new", "cur"].map(|part| mailbox.path().join(part));
        for mail in parts.iter().filter_map(|part| std::fs::read_dir(part).ok()).flatten() {
            let path = mail.expect("an entry").path();
            match whole(&std::fs::read(&path).expect("a file")) {
                Some(id) => *found.entry((id, name.clone())).or_default() += 1,
                None => wrong.push(format!("not whole: {}", path.display())),
            }
        }
    }
    (found, wrong)
}

/// The id of a message that is as it was sent, apart from what is added above it.
pub fn whole(content: &[u8]) -> Option<String> {
    let middle = content.windows(2).position(|two| two == b"\n\n")?;
    let header = std::str::from_utf8(&content[..middle]).ok()?;
    let value = |name: &str| header.lines().find_map(|line| line.strip_prefix(name));
    let hash = blake3::hash(&content[middle + 2..]).to_hex();
    (value("X-Test-Hash: ")? == hash.as_str()).then(|| value("X-Test-Id: ").map(str::to_owned))?
}
