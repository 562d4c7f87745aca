use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use quell_mail::id::QueueId;

use super::files::Files;
use super::record::{self, FILE_HEADER_BYTES, Kind, LARGE_PAYLOAD_AT, RECORD_HEADER_BYTES};
use super::testing::{TempDir, Tmpfs};
use super::*;

mod damage;
mod model;

const SMALL: SpoolSettings =
    SpoolSettings { segment_bytes: 64 << 10, small_body_bytes: 8 << 10, max_body_bytes: 1 << 20 };

fn id(n: u32) -> QueueId {
    QueueId::new(1_790_000_000_000, 1, n)
}

fn open(dir: &Path, live: &[BodyRef]) -> Spool {
    Spool::open(&dir.join("spool"), live.iter().copied(), SMALL).unwrap()
}

fn read(spool: &Spool, body: &BodyRef) -> Vec<u8> {
    let mut out = Vec::new();
    spool.reader().open(body).unwrap().read_to_end(&mut out).unwrap();
    out
}

fn path(dir: &Path, body: &BodyRef) -> PathBuf {
    dir.join("spool").join(record::file_name(body.file))
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("spool")).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).filter(|n| n != "numbers").collect();
    names.sort();
    names
}

fn large(spool: &Spool, n: u32, front: &[u8], payload: &[u8]) -> FinishedLarge {
    let mut writer = spool.begin_large().unwrap();
    payload.chunks(10_000).for_each(|piece| writer.write(piece).unwrap());
    writer.finish(&id(n), &[front]).unwrap()
}

/// Bytes that differ from place to place.
fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u8).wrapping_mul(31).wrapping_add((i >> 8) as u8) ^ seed).collect()
}

/// As if the device had failed: a file that every sync of refuses.
fn break_sync(spool: &mut Spool) {
    let (_, end) = std::io::pipe().unwrap();
    spool.full_for_test().push(File::from(OwnedFd::from(end)));
}

#[test]
fn parts_are_one_body_and_only_ours_to_read() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    let one = spool.append(&id(1), &[b"Received: x\r\n", b"", b"Subject: y\r\n"]).unwrap();
    let two = spool.append(&id(2), &[]).unwrap();
    spool.sync().unwrap();
    assert_eq!(read(&spool, &one), b"Received: x\r\nSubject: y\r\n");
    assert_eq!(read(&spool, &two), b"");
    let reader = spool.reader().open(&one).unwrap();
    assert_eq!((reader.queue_id(), reader.body_bytes()), (&id(1), 25));
    let mode = |p: &Path| p.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("spool")), 0o700);
    assert_eq!(mode(&path(dir.path(), &one)), 0o600);
    assert_eq!(mode(&dir.path().join("spool/numbers")), 0o600);
    assert_eq!(spool.disk_bytes(), SMALL.segment_bytes);
}

#[test]
fn a_reference_and_a_name_go_there_and_back() {
    let body = BodyRef { file: 1, offset: 2, len: u64::MAX };
    assert_eq!(BodyRef::from_bytes(body.to_bytes()), body);
    assert_eq!(record::file_number("seg-4.qs"), Some(4));
    assert_eq!(record::file_number("big-5.qb"), Some(5));
    for name in ["seg-5.qs", "seg-04.qs", "seg-4.qs.old", "numbers", "big--1.qb"] {
        assert_eq!(record::file_number(name), None, "{name}");
    }
}

#[test]
fn large_bodies_come_from_other_threads_with_their_front_last() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    let payload = bytes(300_000, 1);
    let writers = spool.large_writers();
    let finished = std::thread::scope(|s| {
        let receive = || {
            let mut writer = writers.begin().unwrap();
            payload.chunks(7000).for_each(|piece| writer.write(piece).unwrap());
            assert_eq!(writer.bytes(), 300_000);
            writer.finish(&id(7), &[b"Received: ", b"z\r\n"]).unwrap()
        };
        s.spawn(receive).join().unwrap()
    });
    let body = spool.append_large(finished).unwrap();
    spool.sync().unwrap();
    assert_eq!(read(&spool, &body), [b"Received: z\r\n", payload.as_slice()].concat());
    assert_eq!(spool.disk_bytes(), LARGE_PAYLOAD_AT + 300_000);
    spool.release(&body).unwrap();
    assert_eq!((spool.disk_bytes(), names(dir.path())), (0, vec![]));
    assert!(matches!(spool.verify(&body), Err(SpoolError::Missing { .. })));
}

#[test]
fn unfinished_or_unwanted_large_bodies_leave_nothing() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    let mut writer = spool.begin_large().unwrap();
    writer.write(&[1; 9000]).unwrap();
    assert_eq!(spool.disk_bytes(), LARGE_PAYLOAD_AT + 9000);
    drop(writer);
    drop(large(&spool, 1, b"", b"not taken"));
    assert_eq!((spool.disk_bytes(), names(dir.path())), (0, vec![]));
    // One from before the spool was opened anew: its file may be deleted already.
    let old = large(&spool, 2, b"", b"old");
    drop(spool);
    spool = open(dir.path(), &[]);
    assert!(matches!(spool.append_large(old), Err(SpoolError::Foreign)));
}

#[test]
fn nothing_over_the_limit_is_kept() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    let most = vec![7; SMALL.max_body_bytes as usize];
    let body = spool.append(&id(1), &[&most]).unwrap();
    assert_eq!(body.file % 2, 1, "too long for a segment");
    assert_eq!(read(&spool, &body), most);
    let over = spool.append(&id(2), &[&most, b"x"]);
    assert!(matches!(over, Err(SpoolError::TooLarge { bytes: 0x100001, limit: 0x100000 })));
    let mut writer = spool.begin_large().unwrap();
    writer.write(&most).unwrap();
    assert!(matches!(writer.write(b"x"), Err(SpoolError::TooLarge { .. })));
    assert!(matches!(writer.finish(&id(3), &[b"x"]), Err(SpoolError::TooLarge { .. })));
    let writer = spool.begin_large().unwrap();
    let front = vec![0; MAX_FRONT_BYTES + 1];
    assert!(matches!(writer.finish(&id(4), &[&front]), Err(SpoolError::TooLarge { .. })));
    assert_eq!(names(dir.path()), [record::file_name(body.file)]);
    let longest = large(&spool, 5, &front[1..], b"");
    assert_eq!(longest.bytes(), MAX_FRONT_BYTES as u64);
    let longest = spool.append_large(longest).unwrap();
    assert_eq!(read(&spool, &longest), front[1..]);
}

#[test]
fn a_dead_segment_goes_and_the_one_in_use_stays() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    let bodies: Vec<BodyRef> =
        (0..20).map(|n| spool.append(&id(n), &[&bytes(8000, n as u8)]).unwrap()).collect();
    spool.sync().unwrap();
    let (first, last) = (bodies[0].file, bodies[19].file);
    assert_eq!(names(dir.path()).len(), 3);
    for body in bodies.iter().filter(|b| b.file == first) {
        assert!(path(dir.path(), body).exists());
        spool.release(body).unwrap();
    }
    assert!(!path(dir.path(), &bodies[0]).exists());
    // Twice is once: the neighbours live on.
    let middle = bodies.iter().find(|b| b.file != first && b.file != last).unwrap();
    (0..10).for_each(|_| spool.release(middle).unwrap());
    assert!(path(dir.path(), middle).exists());
    bodies.iter().filter(|b| b.file == last).for_each(|b| spool.release(b).unwrap());
    assert!(path(dir.path(), &bodies[19]).exists());
    assert_eq!(read(&spool, &spool.live_in(middle.file)[0]).len(), 8000);
}

#[test]
fn a_segment_that_dies_before_it_is_full_goes_when_it_is() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    let mut append = || {
        let body = spool.append(&id(1), &[&bytes(8000, 0)]).unwrap();
        spool.release(&body).unwrap();
        body
    };
    let first = append();
    assert!(path(dir.path(), &first).exists(), "in use");
    let last = (0..8).map(|_| append()).last().unwrap();
    assert_eq!(names(dir.path()), [record::file_name(last.file)]);
    assert_ne!(last.file, first.file);
}

#[test]
fn a_group_over_several_segments_syncs_each() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    for n in 0..20 {
        spool.append(&id(n), &[&bytes(8000, 0)]).unwrap();
    }
    assert_eq!(names(dir.path()).len(), 3);
    assert_eq!(spool.full_for_test().len(), 2, "two are full and wait for the sync");
    spool.sync().unwrap();
    assert!(spool.full_for_test().is_empty());
}

#[test]
fn a_body_being_read_survives_its_release() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    let large = large(&spool, 1, b"front", &bytes(50_000, 3));
    let body = spool.append_large(large).unwrap();
    let mut reader = spool.reader().open(&body).unwrap();
    spool.release(&body).unwrap();
    let mut out = Vec::new();
    reader.read_to_end(&mut out).unwrap();
    assert_eq!(out.len(), 50_005);
}

#[test]
fn a_restart_keeps_what_is_live_and_writes_elsewhere() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    let keep = spool.append(&id(1), &[b"keep"]).unwrap();
    let torn = spool.append(&id(2), &[b"torn"]).unwrap();
    let kept_large = large(&spool, 3, b"f", b"large");
    let kept_large = spool.append_large(kept_large).unwrap();
    let dead_large = large(&spool, 4, b"f", b"dead");
    let dead_large = spool.append_large(dead_large).unwrap();
    spool.sync().unwrap();
    // A crash while a large body comes in: its writer's end never runs.
    std::mem::forget(spool.begin_large().unwrap());
    drop(spool);
    let file = File::options().write(true).open(path(dir.path(), &torn)).unwrap();
    file.set_len(torn.offset + 20).unwrap();
    let gone = BodyRef { file: 9998, offset: 40, len: 3 };
    let mut spool = open(dir.path(), &[keep, kept_large, gone]);
    assert_eq!(spool.missing(), [9998]);
    assert_eq!((read(&spool, &keep), read(&spool, &kept_large)), (b"keep".to_vec(), b"flarge".to_vec()));
    assert!(matches!(spool.verify(&torn), Err(SpoolError::Damaged { .. })));
    assert!(!path(dir.path(), &dead_large).exists());
    assert_eq!(names(dir.path()).len(), 2);
    let new = spool.append(&id(5), &[b"new"]).unwrap();
    assert!(new.file > 9998, "{new:?}");
    spool.release(&gone).unwrap();
    drop(spool);
    // Nothing live: nothing stays, and numbers still go on.
    let mut spool = open(dir.path(), &[]);
    assert!(names(dir.path()).is_empty());
    assert!(spool.append(&id(6), &[b"x"]).unwrap().file > new.file);
}

#[test]
fn numbers_are_never_used_again() {
    let dir = TempDir::new();
    let spool = dir.path().join("spool");
    let mut last = 0;
    for life in 0..6 {
        let files = Files::open(&spool, |_| Ok(0), SMALL).unwrap();
        // Over the border at which the mark is raised; every file is gone again at the end.
        for _ in 0..1100 {
            let (file, _) = files.create(Kind::Large).unwrap();
            assert!(file > last, "life {life}: {file} after {last}");
            last = file;
            files.remove(file).unwrap();
        }
        // Either place of the mark may be damaged, as by a torn write.
        if life >= 2 {
            let numbers = File::options().write(true).open(spool.join("numbers")).unwrap();
            numbers.write_all_at(b"torn", life % 2 * 4096).unwrap();
        }
    }
}

#[test]
fn without_its_numbers_the_files_and_rows_are_the_guide() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    let body = spool.append(&id(1), &[b"x"]).unwrap();
    drop(spool);
    std::fs::remove_file(dir.path().join("spool/numbers")).unwrap();
    let mut spool = open(dir.path(), &[body, BodyRef { file: 100_000, ..body }]);
    assert!(spool.append(&id(2), &[b"y"]).unwrap().file > 100_000);
}

#[test]
fn who_may_cross_threads() {
    fn send<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    send::<Spool>();
    send::<LargeWriter>();
    send::<FinishedLarge>();
    send::<BodyReader>();
    shared::<SpoolReader>();
    shared::<LargeWriters>();
}

#[test]
fn a_failed_sync_is_final_until_rescued() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    let mut live: Vec<BodyRef> =
        (0..100).map(|n| spool.append(&id(n), &[&bytes(5000, n as u8)]).unwrap()).collect();
    let big = large(&spool, 100, b"front", &bytes(200_000, 9));
    live.push(spool.append_large(big).unwrap());
    spool.sync().unwrap();
    let uncommitted = spool.append(&id(200), &[b"451"]).unwrap();
    let pending = large(&spool, 201, b"", b"finished before, taken after");
    break_sync(&mut spool);
    assert!(matches!(spool.sync(), Err(SpoolError::SyncFailed(_))));
    assert!(matches!(spool.sync(), Err(SpoolError::SyncFailed(_))));
    assert!(matches!(spool.append(&id(201), &[b"x"]), Err(SpoolError::SyncFailed(_))));
    assert!(matches!(spool.copy(&live[0]), Err(SpoolError::SyncFailed(_))));
    let before: Vec<Vec<u8>> = live.iter().map(|b| read(&spool, b)).collect();
    let newest = live.iter().map(|b| b.file).max().unwrap();
    // One is damaged on the disk: it is named, and the others are rescued all the same.
    let file = File::options().write(true).open(path(dir.path(), &live[3])).unwrap();
    file.write_all_at(b"!", live[3].offset + RECORD_HEADER_BYTES + 11).unwrap();
    let rescued = spool.rescue(live.iter().copied()).unwrap();
    assert_eq!(rescued.lost.len(), 1);
    assert!(matches!(&rescued.lost[0], (b, SpoolError::Damaged { .. }) if *b == live[3]));
    assert_eq!(rescued.moved.len(), 100);
    for (old, new) in &rescued.moved {
        let at = live.iter().position(|b| b == old).unwrap();
        assert_eq!(read(&spool, new), before[at]);
        assert!(new.file > newest);
        assert_eq!(spool.reader().open(new).unwrap().queue_id(), &id(at as u32));
    }
    live.iter().chain([&uncommitted]).for_each(|b| spool.release(b).unwrap());
    assert!(live.iter().all(|b| !path(dir.path(), b).exists()));
    let pending = spool.append_large(pending).unwrap();
    spool.sync().unwrap();
    assert_eq!(read(&spool, &pending), b"finished before, taken after");
}

#[test]
fn a_rescue_that_fails_leaves_the_old_alone() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    let long = bytes(SMALL.small_body_bytes as usize + 1, 7);
    let finished = large(&spool, 2, b"", &long);
    let large = spool.append_large(finished).unwrap();
    spool.sync().unwrap();
    let body = spool.append(&id(1), &[b"precious"]).unwrap();
    break_sync(&mut spool);
    spool.sync().unwrap_err();
    let mut in_the_way = Vec::new();
    let live = [body, large].into_iter().inspect(|next| {
        // All names that the second body's new file could have are taken.
        let names = (next.file == large.file).then_some(body.file..body.file + 64);
        let paths =
            names.into_iter().flatten().map(|file| dir.path().join("spool").join(record::file_name(file)));
        in_the_way.extend(paths.filter(|path| File::create_new(path).is_ok()));
    });
    let done = spool.rescue(live);
    assert!(done.is_err() && !in_the_way.is_empty(), "{done:?}");
    in_the_way.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    assert_eq!(read(&spool, &large), long);
    assert!(matches!(spool.append(&id(2), &[b"x"]), Err(SpoolError::SyncFailed(_))));
    assert_eq!(read(&spool, &body), b"precious");
    let rescued = spool.rescue([body]).unwrap();
    assert_eq!(read(&spool, &rescued.moved[0].1), b"precious");
}

#[test]
fn stragglers_can_be_moved() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    let bodies: Vec<BodyRef> =
        (0..40).map(|n| spool.append(&id(n), &[&bytes(4000, n as u8)]).unwrap()).collect();
    spool.sync().unwrap();
    assert!(spool.compact_candidates().is_empty());
    let first = bodies[0].file;
    for body in &bodies[1..] {
        spool.release(body).unwrap();
    }
    assert_eq!(spool.compact_candidates(), [first]);
    assert_eq!(spool.live_in(first), [bodies[0]]);
    let moved = spool.copy(&bodies[0]).unwrap();
    spool.sync().unwrap();
    spool.release(&bodies[0]).unwrap();
    assert_eq!(read(&spool, &moved), bytes(4000, 0));
    assert!(!path(dir.path(), &bodies[0]).exists());
    assert!(spool.compact_candidates().is_empty());
    assert_eq!((spool.bodies(), spool.disk_bytes()), (1, SMALL.segment_bytes));
}

#[test]
fn a_moved_body_is_found_and_released_by_every_place_it_ever_had() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    let first = spool.append(&id(1), &[b"one"]).unwrap();
    let fill = |spool: &mut Spool| {
        let body = spool.append(&id(2), &[&bytes(8000, 1)]).unwrap();
        spool.release(&body).unwrap();
    };
    let mut places = vec![first];
    for _ in 0..3 {
        (0..10).for_each(|_| fill(&mut spool));
        let old = *places.last().unwrap();
        let new = spool.copy(&old).unwrap();
        spool.sync().unwrap();
        spool.moved(&old, new).unwrap();
        places.push(new);
        assert!(places.iter().all(|place| read(&spool, place) == b"one"));
    }
    assert_eq!(spool.bodies(), 1);
    spool.release(&first).unwrap();
    assert_eq!(spool.bodies(), 0);
    assert!(places[..3].iter().all(|place| spool.reader().open(place).is_err()));
    spool.release(&places[1]).unwrap();
    assert_eq!(spool.bodies(), 0);
}

#[test]
fn a_full_disk_refuses_and_harms_nothing() {
    let Some(disk) = Tmpfs::mount(1) else { return };
    let settings = SpoolSettings { segment_bytes: 512 << 10, max_body_bytes: 8 << 20, ..SMALL };
    let open = |live: &[BodyRef]| Spool::open(&disk.path().join("spool"), live.to_vec(), settings).unwrap();
    let mut spool = open(&[]);
    let body = bytes(8000, 1);
    let mut kept = Vec::new();
    let full = loop {
        match spool.append(&id(kept.len() as u32), &[&body]) {
            Ok(body) => kept.push(body),
            Err(e) => break e,
        }
    };
    assert!(full.is_full(), "{full}");
    assert!(kept.len() > 60, "one segment is full, the next has no room: {}", kept.len());
    let mut writer = spool.begin_large().unwrap();
    let full = (0..100).find_map(|_| writer.write(&bytes(100_000, 2)).err()).unwrap();
    assert!(full.is_full(), "{full}");
    drop(writer);
    spool.sync().unwrap();
    assert!(kept.iter().all(|b| read(&spool, b) == body));
    assert!(spool.append(&id(0), &[&body]).unwrap_err().is_full());
    assert_eq!(names(disk.path()).len(), 1);
    drop(spool);
    // After a restart on the full disk the live bodies are there, and room comes with release.
    let mut spool = open(&kept);
    assert!(kept.iter().all(|b| read(&spool, b) == body));
    kept.iter().for_each(|b| spool.release(b).unwrap());
    spool.append(&id(1), &[&body]).unwrap();
    spool.sync().unwrap();
}
