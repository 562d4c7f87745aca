//! Relaying beside a large ledger: ten million rows, kept over 14 days.

use crate::figures::{Aim, Section};
use crate::load::Recorder;
use crate::options::Options;
use crate::relay::relay_load;
use crate::run::{COLUMNS, Pairs, quell, source, through};
use crate::servers::{Quell, Server};
use crate::support::TempDir;
use crate::support::peers::smtp_source::Load;
use quell_mail::id::QueueId;
use quell_mail::key::LedgerKey;
use quell_queue::store::sqlite::SqliteStore;
use quell_queue::store::{Arrival, Batch, Extra, KeyRow, Retention, Row, RowId, RowWrite, Store};
use quell_storm::facts::{Answered, Counts, Facts, Recipient, RowState, Source, SourceId};
use quell_storm::judge::judge;
use quell_storm::limits::Limits;
use quell_storm::said::Said;
use quell_storm::verdict::{Permit, Verdict};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

const ROWS: usize = 10_000_000;
const DAYS: i64 = 14;
const DAY_MS: i64 = 86_400_000;
/// Rows of one commit.
const BATCH: usize = 50_000;
/// A ledger older than this has days that are about to be dropped: it is made anew.
const MOST_AGE: Duration = Duration::from_secs(12 * 3600);

/// Beside an empty ledger, in the same rounds.
pub fn ten_million(options: &Options) -> Section {
    let rows = options.scaled(ROWS);
    let title = "Relay beside 10 million ledger rows".to_owned();
    let mut section = Section { title, columns: COLUMNS.to_vec(), ..Section::default() };
    let data = existing_or_new(options, rows);
    let bytes = std::fs::metadata(data.join("ledger.db")).map_or(0, |meta| meta.len());
    section.note(&format!(
        "As above, once with an empty ledger, once with one of {rows} rows, one for each message, evenly over the last \
         {DAYS} days: {:.1} GB, made through the store's own API and kept between runs (`target/bench-ledger-{rows}`).",
        bytes as f64 / 1e9
    ));
    let full = |directory: &TempDir, sink| -> Box<dyn Server> {
        Box::new(Quell::start_on(&options.quell, directory, &data, sink, ""))
    };
    let ways: [(&str, &[&str], usize); 2] = [("kept", &["-d"], 50_000), ("a connection each", &[], 40_000)];
    for _ in 0..options.rounds {
        for (way, more, messages) in ways {
            let load = Load { messages: options.scaled(messages), ..relay_load(more) };
            let pairs = Pairs::each_once(load.messages);
            through(&mut section, &format!("empty, {way}"), pairs, &quell(options), &source(&load));
            through(&mut section, &format!("full, {way}"), pairs, &full, &source(&load));
        }
    }
    for (way, ..) in ways {
        let (full, empty) = (format!("full, {way}"), format!("empty, {way}"));
        let slower = 100.0 * (1.0 - section.ratio(&full, &empty, "a second, end to end"));
        section.figure(format!("slower, {way}"), Aim::AtMost(15.0), slower, " %");
    }
    section
}

/// The data directory with so many rows.
fn existing_or_new(options: &Options, rows: usize) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let data = workspace.join(target).join(format!("bench-ledger-{rows}"));
    let stamp = data.join("made");
    let age =
        std::fs::metadata(&stamp).and_then(|meta| meta.modified()).map(|at| at.elapsed().unwrap_or(MOST_AGE));
    let said = std::fs::read_to_string(&stamp).unwrap_or_default();
    if said == rows.to_string() && age.is_ok_and(|age| age < MOST_AGE) {
        return data;
    }
    let start = Instant::now();
    println!("  making a ledger of {rows} rows …");
    // Of an earlier run, if there is one.
    let _ = std::fs::remove_dir_all(&data);
    std::fs::create_dir_all(&data).expect("a directory");
    make_empty(options, &data);
    fill(&data.join("ledger.db"), rows);
    std::fs::write(&stamp, rows.to_string()).expect("a file");
    println!("  made in {:.0} s", start.elapsed().as_secs_f64());
    data
}

/// quell's first start makes the secret and the ledger.
fn make_empty(options: &Options, data: &Path) {
    let directory = TempDir::new("bench-ledger");
    let sink = Recorder::start(&directory);
    Box::new(Quell::start_on(&options.quell, &directory, data, sink.port, "")).stop();
}

/// Messages of one recipient each, relayed long ago: no body, nothing more to be done with them.
fn fill(path: &Path, rows: usize) {
    let mut store = SqliteStore::open(path).expect("the ledger");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_millis() as i64;
    let (from, mut made) = (now - DAYS * DAY_MS, 0);
    for day in from / DAY_MS..=now / DAY_MS {
        let (start, end) = ((day * DAY_MS).max(from), ((day + 1) * DAY_MS).min(now));
        let until = (rows as i128 * i128::from(end - from) / i128::from(now - from)) as usize;
        fill_day(&mut store, made..until, (start, end));
        made = until;
        println!("  {made} of {rows} rows");
    }
    store.commit(&Batch { high_water: Some(now), ..Batch::default() }).expect("a commit");
    // Filters of closed days.
    while store.upkeep(now, &Retention::default()).expect("upkeep") {}
}

/// One table is in the order of keys, two are in that of the ids: each is written in its own.
fn fill_day(store: &mut SqliteStore, numbers: std::ops::Range<usize>, (start, end): (i64, i64)) {
    let count = numbers.len().max(1) as i64;
    let first = numbers.start;
    let kid = |number: usize| {
        let ms = start + (end - start - 1) * (number - first) as i64 / count;
        QueueId::new(ms as u64, 0, (number - first) as u32)
    };
    let mut keys: Vec<([u8; 16], usize)> = numbers.clone().map(|number| (key(number), number)).collect();
    keys.sort_unstable();
    for part in keys.chunks(BATCH) {
        let keys = part.iter().map(|(key, number)| key_row(*key, kid(*number))).collect();
        store.commit(&Batch { keys, ..Batch::default() }).expect("a commit");
    }
    let all: Vec<usize> = numbers.collect();
    for part in all.chunks(BATCH) {
        let arrivals = part.iter().map(|number| arrival(kid(*number))).collect();
        let rows =
            part.iter().map(|number| RowWrite::by_permit(row(kid(*number), *number), permit())).collect();
        store.commit(&Batch { arrivals, rows, ..Batch::default() }).expect("a commit");
    }
}

/// As random as a keyed hash.
fn key(number: usize) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(&number.to_le_bytes()).as_bytes()[..16]);
    key
}

fn key_row(key: [u8; 16], kid: QueueId) -> KeyRow {
    KeyRow {
        key: LedgerKey(key),
        kid,
        key_version: 1,
        secret_id: 1,
        last_seen_ms: kid.ms(),
        copies: 0,
        base_copies: 0,
        storm_ended_ms: None,
        times: Vec::new(),
    }
}

fn arrival(kid: QueueId) -> Arrival {
    Arrival {
        queue_id: kid,
        kid,
        source: SourceId("127.0.0.1".to_owned()),
        reverse_path: "source@client.example".to_owned(),
        envid: None,
        ret_full: None,
        smtputf8: false,
        received_ms: kid.ms(),
        size_bytes: 4300,
        message_id: Some(format!("<{kid}@source.example>")),
        by_redirect: false,
        answered: Answered::Fine,
        open: 0,
        asking: 0,
        release_ms: None,
        reports: 0,
        body: None,
    }
}

fn row(kid: QueueId, number: usize) -> Row {
    Row {
        id: RowId { kid, rcpt: format!("user{}@other.example", number % 5000) },
        queue_id: kid,
        state: RowState::Relayed,
        since_ms: kid.ms(),
        next_ms: kid.ms(),
        tenant: "other.example".to_owned(),
        gateway: 0,
        key_version: 1,
        attempts: 1,
        sendings: 1,
        copies: 0,
        last_copy_ms: 0,
        times: Vec::new(),
        status: "2.0.0 taken by the next hop".to_owned(),
        extra: Extra::default(),
    }
}

/// Only the judge gives it.
fn permit() -> Permit {
    let recipient = Recipient {
        identity: "jane@other.example".to_owned(),
        as_given: "jane@other.example".to_owned(),
        tenant: "other.example".to_owned(),
        is_ours: false,
        notify: None,
        orcpt: None,
    };
    let facts = Facts {
        queue_id: QueueId::new(1, 0, 1),
        received_ms: 1,
        source: Source::own(),
        reverse_path: String::new(),
        reports_to: None,
        envid: None,
        ret_full: None,
        smtputf8: false,
        size_bytes: 1,
        exact_key: None,
        message_id: None,
        hops: 0,
        tokens: Vec::new(),
        recipients: vec![recipient],
        is_author_ours: false,
        is_to_us: false,
        said: Said::default(),
    };
    match judge(&facts, &[None], &Counts::default(), &Limits::default(), 1).pop() {
        Some(Verdict::Pass(permit, _)) => permit,
        other => panic!("no permit: {other:?}"),
    }
}
