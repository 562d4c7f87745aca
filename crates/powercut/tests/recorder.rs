//! The recorder against real programs: what it logs is what they did, honest programs
//! pass in every state, and each classic mistake is caught.

// Helpers of a test are test code too, which clippy cannot see.
#![allow(clippy::expect_used, clippy::print_stdout)]

use quell_powercut::{Choice, Fault, Log, Model, Recording};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A directory of one test, removed at its end.
struct Work(PathBuf);

impl Work {
    fn new(name: &str) -> Self {
        // The recorder does not care, and the syncs of a real disk would take most of the time.
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let path = parent.join(format!("powercut-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("root/tmp")).expect("a directory");
        Work(path)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a program that says `kept …` after each promise, and notes each as a mark.
fn record(work: &Work, mut program: Command) -> Log {
    let root = work.0.join("root");
    let recording = Recording::begin(&root, &work.0.join("log")).expect("begin");
    program.envs(recording.environment().expect("the library"));
    program.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.spawn().expect("the program");
    let mut answer = child.stdin.take().expect("stdin");
    for line in BufReader::new(child.stdout.take().expect("stdout")).lines() {
        let line = line.expect("a line");
        if line.starts_with("kept ") {
            recording.mark(&line).expect("a mark");
            writeln!(answer, "go on").expect("an answer");
        }
    }
    assert!(child.wait().expect("an end").success());
    recording.finish().expect("a log")
}

fn toy(work: &Work, mode: &str, count: u32) -> Log {
    let mut program = Command::new(env!("CARGO_BIN_EXE_powercut-toy"));
    program.arg(mode).arg(work.0.join("root")).arg(count.to_string());
    record(work, program)
}

/// Runs [`child`] of this test program.
fn myself(work: &Work, what: &str) -> Log {
    let mut program = Command::new(std::env::current_exe().expect("this program"));
    program.args(["child", "--exact", "--ignored", "--nocapture"]);
    program.env("POWERCUT_CHILD", what).current_dir(work.0.join("root"));
    record(work, program)
}

/// The files below a directory, without SQLite's shared memory.
fn files(directory: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            for (inside, content) in files(&path) {
                out.insert(Path::new(path.file_name().expect("a name")).join(inside), content);
            }
        }
        let content = path.is_file().then(|| fs::read(&path).expect("a file"));
        out.insert(path.file_name().expect("a name").into(), content);
    }
    out.retain(|path, _| !path.to_string_lossy().ends_with("-shm"));
    out
}

/// With everything at the end the files are exactly as the program left them.
fn assert_faithful(work: &Work, log: &Log, model: Model) {
    let all: Vec<_> = log.states(model, &[log.len()], 1, 0).map(|state| state.expect("a state")).collect();
    let after = work.0.join("after");
    let last = |choice| all.iter().find(|state| state.choice() == choice);
    let state = last(Choice::Everything).or(last(Choice::Nothing)).expect("a last state");
    state.write_to(&after).expect("written");
    let (real, rebuilt) = (files(&work.0.join("root")), files(&after));
    assert_eq!(real.keys().collect::<Vec<_>>(), rebuilt.keys().collect::<Vec<_>>());
    for (path, content) in &real {
        assert!(rebuilt[path] == *content, "{} differs", path.display());
    }
}

/// States in which a promise is broken, of how many.
fn broken(work: &Work, log: &Log, model: Model, holds: impl Fn(&Path, &str) -> bool) -> (usize, usize) {
    let (after, mut broken, mut states) = (work.0.join("after"), 0, 0);
    for state in log.states(model, &log.cut_points(60, 1), 1, 3) {
        let state = state.expect("a state");
        state.write_to(&after).expect("written");
        states += 1;
        if !state.marks().iter().all(|mark| holds(&after, mark)) {
            broken += 1;
        }
    }
    (broken, states)
}

/// Is the message of this mark there, whole?
fn message_is_there(after: &Path, mark: &str) -> bool {
    let number = mark.strip_prefix("kept ").expect("a mark of ours");
    let whole = format!("message {number}\n").repeat(800);
    fs::read(after.join(number)).is_ok_and(|content| content == whole.as_bytes())
}

#[test]
fn a_program_that_syncs_rightly_passes_in_every_state() {
    for model in [Model::Strict, Model::Ordered] {
        let work = Work::new(&format!("good-{model:?}"));
        let log = toy(&work, "good", 8);
        assert_eq!(log.marks().count(), 8);
        assert_eq!(log.torn(), 0);
        let (broken, states) = broken(&work, &log, model, message_is_there);
        assert!(broken == 0 && states > 100, "{broken} of {states} under {model:?}");
        assert_faithful(&work, &log, model);
    }
}

#[test]
fn a_forgotten_sync_of_the_file_is_caught() {
    for model in [Model::Strict, Model::Ordered] {
        let work = Work::new(&format!("no-file-sync-{model:?}"));
        let log = toy(&work, "no-file-sync", 4);
        let (broken, states) = broken(&work, &log, model, message_is_there);
        assert!(broken > states / 8, "{broken} of {states} under {model:?}");
    }
}

#[test]
fn a_forgotten_sync_of_the_directory_is_caught() {
    for model in [Model::Strict, Model::Ordered] {
        let work = Work::new(&format!("no-directory-sync-{model:?}"));
        let log = toy(&work, "no-directory-sync", 4);
        let (broken, states) = broken(&work, &log, model, message_is_there);
        assert!(broken > states / 8, "{broken} of {states} under {model:?}");
    }
}

#[test]
fn an_append_that_was_not_synced_may_be_torn() {
    let work = Work::new("append");
    let log = toy(&work, "append", 6);
    let (after, mut torn, mut zeros) = (work.0.join("after"), 0, 0);
    for state in log.states(Model::Strict, &log.cut_points(60, 1), 1, 8) {
        state.expect("a state").write_to(&after).expect("written");
        let Ok(content) = fs::read(after.join("all")) else { continue };
        zeros += usize::from(content.contains(&0));
        torn += usize::from(!content.contains(&0) && content.len() % 8000 != 0);
    }
    assert!(torn > 0 && zeros > 0, "{torn} torn, {zeros} with zeros");
    assert_faithful(&work, &log, Model::Strict);
}

#[test]
fn what_was_there_before_is_kept() {
    let work = Work::new("before");
    fs::create_dir(work.0.join("root/old")).expect("a directory");
    fs::write(work.0.join("root/old/mail"), "from an earlier life").expect("a file");
    let log = toy(&work, "good", 1);
    let holds = |after: &Path, _: &str| {
        fs::read(after.join("old/mail")).is_ok_and(|content| content == b"from an earlier life")
    };
    assert_eq!(broken(&work, &log, Model::Strict, holds).0, 0);
}

#[test]
fn every_kind_of_call_is_followed() {
    let work = Work::new("calls");
    let log = myself(&work, "calls");
    for model in [Model::Strict, Model::Ordered] {
        assert_faithful(&work, &log, model);
    }
}

#[test]
fn threads_do_not_lose_records() {
    let work = Work::new("threads");
    let log = myself(&work, "threads");
    assert_faithful(&work, &log, Model::Strict);
}

#[test]
fn a_shared_writable_mapping_is_refused() {
    let work = Work::new("mapping");
    let log = myself(&work, "mapping");
    let found = log.states(Model::Strict, &[log.len()], 1, 0).next().expect("an answer");
    let said = found.err().expect("an error").to_string();
    assert!(said.contains("mapping"), "{said}");
}

/// What the toy says when it meets this fault after two messages.
fn toy_meets(fault: Fault, after: u64, once: bool) -> (Vec<String>, Log) {
    let work = Work::new(&format!("fault-{fault:?}-{after}-{once}"));
    let recording = Recording::begin(&work.0.join("root"), &work.0.join("log")).expect("begin");
    let mut program = Command::new(env!("CARGO_BIN_EXE_powercut-toy"));
    program.args(["good"]).arg(work.0.join("root")).arg("5");
    program.envs(recording.environment().expect("the library"));
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().expect("the program");
    let mut answer = child.stdin.take().expect("stdin");
    let mut said = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("stdout")).lines() {
        said.push(line.expect("a line"));
        if said.len() == 2 {
            recording.fail(fault, after, once).expect("a fault");
        }
        writeln!(answer, "go on").expect("an answer");
    }
    let mut error = String::new();
    child.stderr.take().expect("stderr").read_to_string(&mut error).expect("stderr");
    said.push(error);
    assert!(!child.wait().expect("an end").success());
    (said, recording.finish().expect("a log"))
}

#[test]
fn faults_strike_when_told() {
    // A message of the toy: create and write need room; two syncs; a rename needs leave.
    for (fault, after, once, kept, errno) in [
        (Fault::Full, 0, false, 2, 28),
        (Fault::Full, 3, true, 3, 28),
        (Fault::ReadOnly, 2, false, 2, 30),
        (Fault::Sync, 2, true, 3, 5),
    ] {
        let (said, _) = toy_meets(fault, after, once);
        let count = said.iter().filter(|line| line.starts_with("kept ")).count();
        let error = said.last().expect("an error");
        assert!(error.contains(&format!("code: {errno}")), "{fault:?} {after}: {error}");
        assert_eq!(count, kept, "{fault:?} {after}");
    }
}

#[test]
fn what_a_failed_sync_did_not_bring_is_lost() {
    let (_, log) = toy_meets(Fault::Sync, 0, true);
    let work = Work::new("failed-sync");
    for state in log.states(Model::Strict, &[log.len()], 1, 2) {
        state.expect("a state").write_to(&work.0.join("after")).expect("written");
        let lost = fs::read(work.0.join("after/tmp/2"));
        assert!(lost.is_err() || lost.is_ok_and(|content| content.is_empty()));
    }
}

/// Rows of a database after a crash; `None` if it does not open or is damaged.
fn rows(database: &Path) -> Option<Vec<i64>> {
    let database = rusqlite::Connection::open(database).ok()?;
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).ok()?;
    let mut rows = database.prepare("SELECT id FROM message ORDER BY id").ok()?;
    let rows = rows.query_map([], |row| row.get(0)).ok()?.collect::<Result<_, _>>().ok()?;
    (check == "ok").then_some(rows)
}

fn row_is_there(after: &Path, mark: &str) -> bool {
    let number: i64 = mark.strip_prefix("kept ").expect("a mark").parse().expect("a number");
    rows(&after.join("queue.db")).is_some_and(|rows| rows.contains(&number))
}

#[test]
fn sqlite_keeps_its_promise_with_synchronous_full() {
    for model in [Model::Strict, Model::Ordered] {
        let work = Work::new(&format!("sqlite-{model:?}"));
        let log = myself(&work, "sqlite-full");
        assert_faithful(&work, &log, model);
        let (broken, states) = broken(&work, &log, model, row_is_there);
        assert!(broken == 0 && states > 100, "{broken} of {states} under {model:?}");
    }
}

#[test]
fn sqlite_without_syncs_is_caught() {
    let work = Work::new("sqlite-off");
    let log = myself(&work, "sqlite-off");
    let (broken, states) = broken(&work, &log, Model::Strict, row_is_there);
    assert!(broken > states / 8, "{broken} of {states}");
}

/// Not a test: the program that the tests above record.
#[test]
#[ignore = "run by the other tests, under the recorder"]
fn child() {
    match std::env::var("POWERCUT_CHILD").as_deref() {
        Ok("calls") => calls(),
        Ok("threads") => threads(),
        Ok("mapping") => mapping(),
        Ok("sqlite-full") => sqlite("FULL"),
        Ok("sqlite-off") => sqlite("OFF"),
        // Run by hand with all ignored tests: nothing to do.
        _ => {}
    }
}

fn kept(number: i64) {
    println!("\nkept {number}");
    std::io::stdin().read_line(&mut String::new()).expect("an answer");
}

fn sqlite(synchronous: &str) {
    let database = rusqlite::Connection::open("queue.db").expect("a database");
    database
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
             PRAGMA wal_autocheckpoint = 20;
             CREATE TABLE message (id INTEGER PRIMARY KEY, body BLOB);"
        ))
        .expect("a table");
    // The directory entries of database and log are the program's business.
    if synchronous == "FULL" {
        File::open(".").expect("the root").sync_all().expect("a sync");
    }
    for number in 0..25 {
        let body = vec![number as u8; 3000];
        let row = (number, body);
        database.execute("INSERT INTO message VALUES (?, ?)", row).expect("an insert");
        kept(number);
    }
}

/// Each call once that the standard library, SQLite or we may use for files.
fn calls() {
    let open = |name: &str| {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).open(name).expect("a file")
    };
    let mut file = open("many");
    file.write_all(b"0123456789").expect("write");
    file.write_at(b"abc", 2).expect("pwrite");
    file.seek(SeekFrom::Start(20_000)).expect("seek");
    let parts = [IoSlice::new(b"first "), IoSlice::new(b"second")];
    assert_eq!(file.write_vectored(&parts).expect("writev"), 12);
    file.set_len(15_000).expect("cut");
    file.set_len(30_000).expect("extend");
    file.sync_data().expect("fdatasync");
    let mut copy = file.try_clone().expect("dup");
    drop(file);
    copy.write_all(b"through the other descriptor").expect("write");
    drop(copy);
    let mut again = OpenOptions::new().append(true).open("many").expect("append");
    again.write_all(b"at the end").expect("write");
    fs::copy("many", "copied").expect("copy");
    let mut part = File::open("many").expect("open").take(5000);
    std::io::copy(&mut part, &mut open("part")).expect("copy of a part");
    File::create("many").expect("cut by opening").write_all(b"new").expect("write");
    fs::hard_link("copied", "linked").expect("link");
    fs::rename("part", "tmp/part").expect("rename");
    fs::rename("many", "linked").expect("rename over");
    fs::create_dir_all("deep/er/still").expect("mkdir");
    fs::write("deep/er/still/file", vec![7; 10_000]).expect("write");
    fs::rename("deep/er", "moved").expect("rename of a directory");
    fs::write("moved/still/second", "in a moved directory").expect("write");
    fs::create_dir_all("gone/with/all").expect("mkdir");
    fs::write("gone/with/all/this", "x").expect("write");
    fs::remove_dir_all("gone").expect("remove all");
    fs::remove_dir("deep").expect("rmdir");
    raw_calls(&open("raw"));
    // A socket may now have a number that a directory had: it is not watched.
    let (mut one, mut other) = std::os::unix::net::UnixStream::pair().expect("sockets");
    one.write_all(b"not a file").expect("write");
    other.read_exact(&mut [0; 10]).expect("read");
    assert!(Command::new("true").env_remove("LD_PRELOAD").status().expect("a child").success());
}

#[allow(unsafe_code)] // Calls that the standard library makes only at times, or never.
fn raw_calls(file: &File) {
    let fd = file.as_raw_fd();
    let source = File::open("copied").expect("open");
    let parts = [libc::iovec { iov_base: b"vector".as_ptr() as *mut _, iov_len: 6 }];
    unsafe {
        assert_eq!(libc::pwritev(fd, parts.as_ptr(), 1, 100), 6);
        assert_eq!(libc::pwritev2(fd, parts.as_ptr(), 1, 200, 0), 6);
        assert_eq!(libc::posix_fallocate(fd, 0, 50_000), 0);
        assert_eq!(libc::fallocate(fd, libc::FALLOC_FL_KEEP_SIZE, 0, 90_000), 0);
        assert_eq!(libc::sendfile(fd, source.as_raw_fd(), std::ptr::null_mut(), 500), 500);
        let (mut from, mut to) = (1_000_i64, 60_000_i64);
        let copied = libc::copy_file_range(source.as_raw_fd(), &mut from, fd, &mut to, 300, 0);
        assert_eq!(copied, 300);
        let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        assert_eq!(libc::fallocate(fd, punch, 60_100, 100), 0);
        assert_eq!(libc::truncate(c"copied".as_ptr(), 29_000), 0);
        assert_eq!(libc::openat(libc::AT_FDCWD, c"./tmp/../at".as_ptr(), libc::O_CREAT, 0o600), fd + 2);
        assert_eq!(libc::rename(c"at".as_ptr(), c"at2".as_ptr()), 0);
        assert_eq!(libc::unlink(c"linked".as_ptr()), 0);
    }
}

fn threads() {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for number in 0..50 {
                    let (temporary, name) = (format!("tmp/{thread}-{number}"), format!("{thread}-{number}"));
                    let mut file = File::create(&temporary).expect("create");
                    file.write_all(name.repeat(300).as_bytes()).expect("write");
                    file.sync_all().expect("sync");
                    fs::rename(&temporary, &name).expect("rename");
                }
            });
        }
    });
}

#[allow(unsafe_code)]
fn mapping() {
    let file = File::options().read(true).write(true).create_new(true).open("mapped").expect("open");
    file.set_len(4096).expect("length");
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    let fd = file.as_raw_fd();
    let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, fd, 0) };
    assert_ne!(at, libc::MAP_FAILED);
}
