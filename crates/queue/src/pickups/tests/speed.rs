//! What it costs: `cargo test -p quell-queue --lib pickups -- --ignored --nocapture`.

use std::time::Instant;

use super::*;

fn timed(what: &str, since: Instant) {
    println!("{what}: {:.1} ms", since.elapsed().as_secs_f64() * 1e3);
}

fn notes(store: &mut SqlitePickups, what: &str, from: usize, step: usize) {
    let batches: Vec<_> = (0..20).map(|n| many(from + n * step, from + n * step + step)).collect();
    let since = Instant::now();
    batches.iter().for_each(|batch| store.note("office", batch).unwrap());
    timed(what, since);
}

#[test]
#[ignore = "a measurement"]
fn an_account_of_100_000() {
    let dir = TempDir::new();
    let path = dir.path().join("pickup.db");
    let mut store = open(&path);
    notes(&mut store, "20 notes of 256, new", 0, 256);
    notes(&mut store, "20 notes of 256, replaced", 0, 256);
    for n in 20..400 {
        store.note("office", &many(n * 256, (n + 1) * 256)).unwrap();
    }
    notes(&mut store, "20 notes of 256, new beside 102,400", 102_400, 256);
    notes(&mut store, "20 notes of one, replaced", 0, 1);
    let since = Instant::now();
    let all = store.remembered("office").unwrap();
    timed("all remembered", since);
    let uids: Vec<_> = all.iter().map(|message| message.uid.as_str()).collect();
    let since = Instant::now();
    store.seen("office", &uids, Ms::MAX).unwrap();
    timed("all seen", since);
    let since = Instant::now();
    all.iter().step_by(100).for_each(|m| assert_eq!(store.find("office", &m.digest).unwrap().len(), 1));
    timed("1,076 digests found", since);
    assert_eq!((all.len(), all.len().div_ceil(100)), (107_520, 1_076));
    drop(store);
    let since = Instant::now();
    assert_eq!(open(&path).remembered("office").unwrap().len(), all.len());
    timed("opened and all remembered", since);
    println!("{} bytes a message", std::fs::metadata(&path).unwrap().len() / all.len() as u64);
}
