//! Policies on the disk: `mta-sts.json` in the data folder, written anew when one comes.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quell_relay::tls::sts::{Known, Mode, Policy};
use serde::{Deserialize, Serialize};
use tracing::warn;

/// Domains whose policy is kept; at the limit the one goes that was fetched first.
const MAX_KEPT: usize = 10_000;
/// Largest file that is read: more than [`MAX_KEPT`] policies of the largest kind are.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Policies that come within this time are written together. After a crash they are fetched again.
const GATHER: Duration = Duration::from_secs(1);
/// The form of the file.
const VERSION: u32 = 1;

/// The file, and what is in it.
pub(super) struct Kept {
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashMap<String, Known>,
    /// A write is under way or will be.
    writes: bool,
    /// Something came since it began.
    changed: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    version: u32,
    domains: BTreeMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    id: String,
    fetched_secs: i64,
    /// As the domain would write it.
    policy: String,
}

impl Kept {
    /// Reads it. What cannot be read is fetched again.
    pub fn open(file: &Path) -> Self {
        let known = read(file).unwrap_or_else(|why| {
            if why.kind() != io::ErrorKind::NotFound {
                warn!(event = "mta_sts_forgotten", file = %file.display(), reason = %why, "policies are fetched anew");
            }
            HashMap::new()
        });
        Self { file: file.to_owned(), state: Mutex::new(State { known, ..State::default() }) }
    }

    /// What is known of a domain.
    pub fn get(&self, domain: &str) -> Option<Known> {
        self.state().known.get(domain).cloned()
    }

    /// Keeps it, and has it written.
    pub fn put(self: &Arc<Self>, domain: &str, known: Known) {
        let mut state = self.state();
        if state.known.len() >= MAX_KEPT && !state.known.contains_key(domain) {
            let oldest = state.known.iter().min_by_key(|(_, known)| known.fetched_secs);
            if let Some(oldest) = oldest.map(|(domain, _)| domain.clone()) {
                state.known.remove(&oldest);
            }
        }
        state.known.insert(domain.to_owned(), known);
        state.changed = true;
        if !std::mem::replace(&mut state.writes, true) {
            let kept = Arc::clone(self);
            tokio::spawn(async move { kept.write_changes().await });
        }
    }

    async fn write_changes(self: Arc<Self>) {
        loop {
            tokio::time::sleep(GATHER).await;
            let file = {
                let mut state = self.state();
                state.writes = state.changed;
                if !std::mem::take(&mut state.changed) {
                    return;
                }
                to_file(&state.known)
            };
            let path = self.file.clone();
            let written = tokio::task::spawn_blocking(move || write(&path, &file)).await;
            if let Ok(Err(why)) = written {
                warn!(event = "mta_sts_unwritten", file = %self.file.display(), reason = %why, "policies are not kept over a restart");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> io::Result<HashMap<String, Known>> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
    let file: File = serde_json::from_str(&text)?;
    if file.version != VERSION {
        return Err(io::Error::other(format!("its version is {}", file.version)));
    }
    let known = |(domain, entry): (String, Entry)| {
        let policy = Policy::parse(entry.policy.as_bytes()).ok()?;
        Some((domain, Known { id: entry.id, policy, fetched_secs: entry.fetched_secs }))
    };
    Ok(file.domains.into_iter().filter_map(known).take(MAX_KEPT).collect())
}

/// Another file in its place: there is never half a one.
fn write(path: &Path, file: &File) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut out = fs::File::create(&new)?;
    out.write_all(&serde_json::to_vec(file)?)?;
    out.sync_all()?;
    fs::rename(&new, path)
}

fn to_file(known: &HashMap<String, Known>) -> File {
    let entry = |known: &Known| Entry {
        id: known.id.clone(),
        fetched_secs: known.fetched_secs,
        policy: text(&known.policy),
    };
    File {
        version: VERSION,
        domains: known.iter().map(|(domain, known)| (domain.clone(), entry(known))).collect(),
    }
}

fn text(policy: &Policy) -> String {
    let mode = match policy.mode {
        Mode::Enforce => "enforce",
        Mode::Testing => "testing",
        Mode::None => "none",
    };
    let mx: String = policy.mx.iter().map(|name| format!("mx: {name}\n")).collect();
    format!("version: STSv1\nmode: {mode}\n{mx}max_age: {}\n", policy.max_age_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(mode: Mode, fetched_secs: i64) -> Known {
        let mx = if mode == Mode::None {
            vec![]
        } else {
            vec!["mx.b.example".to_owned(), "*.b.example".to_owned()]
        };
        Known { id: "20260101".to_owned(), policy: Policy { mode, mx, max_age_secs: 86_400 }, fetched_secs }
    }

    fn file(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("quell-mta-sts-{name}-{}.json", std::process::id()))
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_is_there_after_a_restart() {
        let path = file("restart");
        let kept = Arc::new(Kept::open(&path));
        let all = [("b.example", Mode::Enforce), ("c.example", Mode::Testing), ("d.example", Mode::None)];
        for (domain, mode) in all {
            kept.put(domain, known(mode, 7));
        }
        while kept.state().writes {
            tokio::time::sleep(GATHER).await;
        }
        let again = Kept::open(&path);
        for (domain, mode) in all {
            assert_eq!(again.get(domain), Some(known(mode, 7)), "{domain}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(Kept::open(&path).get("b.example"), None);
    }

    #[test]
    fn a_damaged_file_is_none() {
        let path = file("damaged");
        for text in ["", "{", "{\"version\": 2, \"domains\": {}}"] {
            fs::write(&path, text).unwrap();
            assert!(read(&path).is_err() && Kept::open(&path).get("b.example").is_none(), "{text}");
        }
        let entry = |policy: &str| format!("{{\"id\": \"1\", \"fetched_secs\": 1, \"policy\": {policy:?}}}");
        let (good, bad) = (entry(&text(&known(Mode::Enforce, 1).policy)), entry("mode: enforce"));
        let whole =
            format!("{{\"version\": 1, \"domains\": {{\"b.example\": {good}, \"c.example\": {bad}}}}}");
        fs::write(&path, whole).unwrap();
        let kept = Kept::open(&path);
        assert!(kept.get("b.example").is_some() && kept.get("c.example").is_none());
        fs::remove_file(&path).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_goes_when_there_are_too_many() {
        let path = file("many");
        let kept = Arc::new(Kept::open(&path));
        for n in 0..=MAX_KEPT {
            kept.put(&format!("{n}.example"), known(Mode::None, i64::try_from(n).unwrap()));
        }
        assert_eq!(kept.state().known.len(), MAX_KEPT);
        assert!(kept.get("0.example").is_none() && kept.get("1.example").is_some());
        while kept.state().writes {
            tokio::time::sleep(GATHER).await;
        }
        fs::remove_file(&path).unwrap();
    }
}
