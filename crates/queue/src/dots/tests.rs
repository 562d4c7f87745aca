use proptest::prelude::*;

use super::*;
use crate::body::testing::{TempDir, Tmpfs};

fn record(n: u32) -> DotRecord {
    let kid = QueueId::new(n.into(), 1, n);
    let queue_id = QueueId::new(u64::from(n) + 1, 1, n);
    let row = RowId { kid, rcpt: format!("r{n}@firm.example") };
    DotRecord { row, queue_id, attempts: n % 7, at_ms: 1_795_000_000_000 + Ms::from(n) }
}

fn files(dir: &TempDir) -> Vec<u64> {
    numbers(dir.path()).unwrap()
}

#[test]
fn what_is_not_over_is_there_after_a_restart() {
    let dir = TempDir::new();
    let (mut log, left) = DotLog::open(dir.path()).unwrap();
    assert_eq!(left, []);
    let all: Vec<_> = (0..10).map(record).collect();
    log.append(&all[..4]).unwrap();
    log.append(&all[4..]).unwrap();
    log.over(&[all[0].row.clone(), record(99).row]);
    assert_eq!(log.open_records(), 9);
    // A killed process leaves the log as it is. What was over stands beside what was not.
    std::mem::forget(log);
    let (mut log, left) = DotLog::open(dir.path()).unwrap();
    assert_eq!((left, log.damaged()), (all.clone(), &[][..]));
    let rows: Vec<_> = all.iter().map(|r| r.row.clone()).collect();
    log.over(&rows);
    assert_eq!((log.open_records(), files(&dir).len()), (0, 1), "the file read is gone");
    drop(log);
    assert_eq!(DotLog::open(dir.path()).unwrap().1, []);
}

/// A session that hangs keeps its file; all others come and go, and the directory stays small.
#[test]
fn files_follow_each_other_and_go() {
    let dir = TempDir::new();
    let (mut log, _) = DotLog::open(dir.path()).unwrap();
    log.append(&[record(0)]).unwrap();
    for n in 1..400 {
        let many: Vec<_> = (0..100).map(|i| record(n * 100 + i)).collect();
        log.append(&many).unwrap();
        log.over(&many.iter().map(|r| r.row.clone()).collect::<Vec<_>>());
        assert!(files(&dir).len() <= 3, "{:?}", files(&dir));
    }
    let last = files(&dir);
    assert!(last[0] == 0 && last[1] >= 2, "{last:?}");
    drop(log);
    let (mut log, left) = DotLog::open(dir.path()).unwrap();
    assert_eq!(left[0], record(0));
    log.over(&left.into_iter().map(|r| r.row).collect::<Vec<_>>());
    assert_eq!((files(&dir).len(), log.open_records()), (1, 0));
}

#[test]
fn a_row_with_records_in_two_files_is_over_in_both() {
    let dir = TempDir::new();
    for _ in 0..2 {
        let (mut log, _) = DotLog::open(dir.path()).unwrap();
        log.append(&[record(1)]).unwrap();
    }
    let (mut log, left) = DotLog::open(dir.path()).unwrap();
    assert_eq!((left.len(), files(&dir).len()), (2, 3));
    log.over(&[record(1).row]);
    assert_eq!((log.open_records(), files(&dir).len()), (0, 1));
}

#[test]
fn nothing_of_an_earlier_file_is_read_in_one_that_is_used_again() {
    let dir = TempDir::new();
    let (mut log, _) = DotLog::open(dir.path()).unwrap();
    for n in 0..300 {
        let many: Vec<_> = (0..100).map(|i| record(n * 100 + i)).collect();
        log.append(&many).unwrap();
        log.over(&many.iter().map(|r| r.row.clone()).collect::<Vec<_>>());
    }
    log.append(&[record(7_000_000)]).unwrap();
    drop(log);
    let (log, left) = DotLog::open(dir.path()).unwrap();
    assert_eq!(left.last(), Some(&record(7_000_000)));
    assert_eq!(log.damaged(), [""; 0]);
}

#[test]
fn what_cannot_be_written_is_not_taken() {
    let dir = TempDir::new();
    let (mut log, _) = DotLog::open(dir.path()).unwrap();
    let mut long = record(1);
    long.row.rcpt = "x".repeat(MAX_RCPT_BYTES + 1);
    assert_eq!(log.append(&[long]).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(log.open_records(), 0);
    log.records = MAX_RECORDS;
    assert_eq!(log.append(&[record(1)]).unwrap_err().kind(), ErrorKind::QuotaExceeded);
}

/// What goes out goes on: the file in use and the next have their room. And a server starts.
#[test]
fn on_a_full_disk_there_is_room_for_what_goes_out() {
    let Some(disk) = Tmpfs::mount(4) else { return };
    let other = File::create(disk.path().join("other")).unwrap();
    let fill = || assert!(is_full(&write_zeros(&other, 8 << 20).unwrap_err()));
    let (mut log, _) = DotLog::open(disk.path()).unwrap();
    fill();
    for n in 0..500 {
        let many: Vec<_> = (0..100).map(|i| record(n * 100 + i)).collect();
        log.append(&many).unwrap();
        log.over(&many.iter().map(|r| r.row.clone()).collect::<Vec<_>>());
    }
    assert!(log.next_file > 3);
    drop(log);
    numbers(disk.path())
        .unwrap()
        .iter()
        .for_each(|n| std::fs::remove_file(disk.path().join(name(*n))).unwrap());
    std::fs::remove_file(disk.path().join(SPARE)).unwrap();
    fill();
    let (mut log, _) = DotLog::open(disk.path()).unwrap();
    assert!(is_full(&log.append(&[record(1)]).unwrap_err()), "nothing may be sent");
    assert_eq!(log.open_records(), 0);
    other.set_len(0).unwrap();
    log.append(&[record(1)]).unwrap();
    assert_eq!(log.open_records(), 1);
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let dir = TempDir::new();
    let mut bytes = file_header(3).to_vec();
    bytes[8] = 9;
    let sum = blake3::hash(&bytes[..24]);
    bytes[24..40].copy_from_slice(&sum.as_bytes()[..16]);
    std::fs::write(dir.path().join("dots-3"), &bytes).unwrap();
    assert_eq!(DotLog::open(dir.path()).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(std::fs::read(dir.path().join("dots-3")).unwrap(), bytes);
}

#[test]
fn what_is_torn_ends_the_file_and_is_named() {
    let dir = TempDir::new();
    let all: Vec<_> = (0..3).map(record).collect();
    let mut bytes = written(5, &all);
    bytes.truncate(bytes.len() - 3);
    std::fs::write(dir.path().join("dots-5"), &bytes).unwrap();
    std::fs::write(dir.path().join("dots-05"), b"not ours").unwrap();
    let (log, left) = DotLog::open(dir.path()).unwrap();
    assert_eq!(left, all[..2]);
    let at = written(5, &all[..2]).len();
    assert_eq!(log.damaged(), [format!("dots-5 from byte {at}")]);
    assert!(dir.path().join("dots-05").exists() && files(&dir) == [5, 6]);
}

fn any_record() -> impl Strategy<Value = DotRecord> {
    (any::<[u8; 10]>(), any::<[u8; 10]>(), ".{0,20}", any::<u32>(), any::<i64>()).prop_map(
        |(kid, id, rcpt, attempts, at_ms)| DotRecord {
            row: RowId { kid: QueueId::from_bytes(kid), rcpt },
            queue_id: QueueId::from_bytes(id),
            attempts,
            at_ms,
        },
    )
}

proptest! {
    /// A process may be killed, or the disk lose what it had, at any byte.
    #[test]
    fn any_beginning_of_a_file_is_a_beginning_of_its_records(
        records in prop::collection::vec(any_record(), 0..6), file: u64, cut in 0.0..1.0,
    ) {
        let bytes = written(file, &records);
        prop_assert_eq!(read(file, &bytes), (records.clone(), End::Whole));
        let cut = (bytes.len() as f64 * cut) as usize;
        let (found, _) = read(file, &bytes[..cut]);
        prop_assert!(records.starts_with(&found));
        let whole = found.len() == records.len() || written(file, &records[..=found.len()]).len() > cut;
        prop_assert!(whole, "a record that stands there is not read");
        fuzz(&bytes[..cut]);
    }

    #[test]
    fn damage_hides_what_is_behind_it_and_makes_nothing_up(
        records in prop::collection::vec(any_record(), 1..6), at: prop::sample::Index, bit in 0u8..8,
    ) {
        let mut bytes = written(7, &records);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let (found, end) = read(7, &bytes);
        prop_assert!(records.starts_with(&found) && found.len() < records.len());
        prop_assert!(end != End::Whole);
        let before = (0..=records.len()).rev().find(|n| written(7, &records[..*n]).len() <= at).unwrap_or(0);
        prop_assert_eq!(found.len(), before);
        fuzz(&bytes);
    }

    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz(&bytes);
    }
}
