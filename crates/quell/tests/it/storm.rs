//! A storm of identical copies, and other mail beside it.

use crate::support::process::run;
use crate::support::server::config;
use crate::support::smtp::{self, Client};
use crate::support::{Server, TempDir, maildir, wait_until};
use serde_json::Value;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const FROM: &str = "sender@client.example";
/// Liveness only.
const LIMIT: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

/// With a command that is told of storms; everything else by default.
fn server(name: &str) -> (TempDir, Server) {
    let directory = TempDir::new(name);
    let told = directory.join("told");
    let tell =
        format!("[tell]\ncommand = [\"sh\", \"-c\", \"cat >> {0}; echo TOLD >> {0}\"]\n", told.display());
    let config = config(&tell).replace(r#"["jane", "*"]"#, r#"["jane", "john", "ann"]"#);
    let server = Server::start(&directory, &config);
    (directory, server)
}

/// Some 3 KiB, as such messages are.
fn message(id: &str) -> Vec<u8> {
    let body = "The quick brown fox jumps over the lazy dog, again and again.\r\n".repeat(40);
    smtp::message(id, &smtp::date_now(), &body)
}

/// Sends the same message so many times in one session, one round trip each; counts in `sent`.
fn send_copies(port: u16, to: &[&str], message: &[u8], copies: usize, sent: &AtomicUsize) {
    let mut client = Client::hello(port);
    let recipients: String = to.iter().map(|to| format!("RCPT TO:<{to}>\r\n")).collect();
    let envelope = format!("MAIL FROM:<{FROM}>\r\n{recipients}DATA\r\n");
    let with_dot = smtp::dot_stuffed(message);
    let next = [&with_dot, envelope.as_bytes()].concat();
    client.raw(envelope.as_bytes()).expect("written");
    for copy in 1..=copies {
        for _ in 0..=to.len() {
            assert_eq!(client.reply().expect("a reply").code, 250);
        }
        assert_eq!(client.reply().expect("a reply").code, 354);
        client.raw(if copy < copies { &next } else { &with_dot }).expect("written");
        assert_eq!(client.reply().expect("a reply").code, 250);
        sent.fetch_add(1, Ordering::Relaxed);
    }
    client.quit().expect("a reply");
}

/// Bytes that the files below a directory take on the disk, without segments and the reserve,
/// which are set aside once, and the ledger's log; and how many segments there are.
fn disk_use(below: &Path) -> (u64, usize) {
    let (mut bytes, mut segments) = (0, 0);
    for entry in std::fs::read_dir(below).expect("a directory") {
        let entry = entry.expect("an entry");
        // A file may be gone meanwhile.
        let Ok(metadata) = entry.metadata() else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        if metadata.is_dir() {
            let (more, others) = disk_use(&entry.path());
            (bytes, segments) = (bytes + more, segments + others);
        } else if name.starts_with("seg-") {
            segments += 1;
        } else if name == "ledger.db-wal" {
            // It takes its room whatever comes: up to 4 MiB, and then begins anew. A batch may pass that.
            assert!(metadata.blocks() * 512 < 6 * MIB, "the ledger's log: {} blocks", metadata.blocks());
        } else if name != "reserve" {
            bytes += metadata.blocks() * 512;
        }
    }
    (bytes, segments)
}

fn storms(server: &Server) -> Vec<Value> {
    let (status, text) = server.get("/api/v1/storms");
    assert_eq!(status, 200, "{text}");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    all["storms"].as_array().expect("a list").clone()
}

/// The only storm, once it has so many copies.
fn the_storm(server: &Server, copies: usize) -> Value {
    wait_until(LIMIT, || storms(server).first().is_some_and(|storm| storm["copies"] == copies));
    let storms = storms(server);
    assert_eq!(storms.len(), 1, "{storms:?}");
    storms.into_iter().next().expect("one")
}

fn json(server: &Server, arguments: &[&str]) -> Value {
    serde_json::from_str(&run(&mut server.command(arguments))).expect("JSON")
}

fn times_told(directory: &TempDir) -> usize {
    let told = std::fs::read_to_string(directory.join("told")).unwrap_or_default();
    told.lines().filter(|line| *line == "TOLD").count()
}

fn jane(server: &Server) -> PathBuf {
    server.maildir("firm.example", "jane")
}

/// Sends different mails one after the other to john, each waited for; the longest wait.
fn send_others(server: &Server, count: usize) -> Duration {
    let john = server.maildir("firm.example", "john");
    let (mut client, mut longest) = (Client::hello(server.smtp_port), Duration::ZERO);
    for number in 0..count {
        let start = Instant::now();
        let reply = client.send(FROM, &["john@firm.example"], &message(&format!("other{number}")));
        assert_eq!(reply.expect("a reply").code, 250);
        assert!(wait_until(LIMIT, || maildir::count(&john) == number + 1), "other mail waits");
        longest = longest.max(start.elapsed());
    }
    longest
}

#[test]
fn a_hundred_thousand_copies() {
    const SESSIONS: usize = 5;
    const EACH: usize = 20_000;
    const ALL: usize = SESSIONS * EACH;
    const OTHERS: usize = 100;
    let (directory, mut server) = server("storm");
    let (message, sent) = (message("storm"), AtomicUsize::new(0));
    // The first arrival and one other mail, so that all files are there.
    send_copies(server.smtp_port, &["jane@firm.example"], &message, 1, &sent);
    assert!(wait_until(LIMIT, || maildir::count(&jane(&server)) == 1));
    let (disk_before, segments_before) = disk_use(&server.data);
    let start = Instant::now();
    let (longest, storm_at) = std::thread::scope(|scope| {
        for session in 0..SESSIONS {
            let copies = EACH - usize::from(session == 0);
            let (port, message, sent) = (server.smtp_port, &message, &sent);
            scope.spawn(move || send_copies(port, &["jane@firm.example"], message, copies, sent));
        }
        assert!(wait_until(LIMIT, || sent.load(Ordering::Relaxed) > 1_000));
        let longest = send_others(&server, OTHERS);
        (longest, sent.load(Ordering::Relaxed))
    });
    let took = start.elapsed();
    assert!(storm_at < ALL, "other mail was delivered while the storm ran");
    let (disk, segments) = disk_use(&server.data);
    let peak = server.peak_bytes();
    eprintln!(
        "{ALL} copies in {took:?} ({:.0} a second); {OTHERS} other mails passed by copy {storm_at}, the slowest \
         in {longest:?}; {} KiB more on the disk, {segments} segments; {} MiB of memory at most",
        ALL as f64 / took.as_secs_f64(),
        disk.saturating_sub(disk_before) / 1024,
        peak / MIB
    );
    assert_eq!(maildir::count(&jane(&server)), 1, "one delivered");
    // The other mails lie there, too, in 4 KiB blocks.
    let others = (OTHERS * 4096) as u64;
    assert!(disk < disk_before + 2 * MIB + others, "{disk_before} {disk}");
    assert!(segments <= segments_before + 1, "{segments_before} {segments}");
    assert!(peak < 64 * MIB, "{peak}");
    let storm = the_storm(&server, ALL - 1);
    assert_storm(&storm, ALL - 1, 1);
    assert_commands_agree(&server, &storm);
    assert!(wait_until(LIMIT, || times_told(&directory) > 0));
    server.term();
    server.restart();
    let after = the_storm(&server, ALL - 1);
    assert_storm(&after, ALL - 1, 1);
    assert_eq!((&after["id"], &after["first_seen"]), (&storm["id"], &storm["first_seen"]));
    assert_eq!(times_told(&directory), 1, "told once, at the opening");
    assert_eq!(maildir::count(&jane(&server)), 1);
}

fn assert_storm(storm: &Value, copies: usize, recipients: usize) {
    for (name, value) in [("copies", copies), ("absorbed", copies), ("held", 0)] {
        assert_eq!(storm[name], value, "{name}: {storm}");
    }
    for name in ["delivered", "recipients"] {
        assert_eq!(storm[name], recipients, "{name}: {storm}");
    }
    assert_eq!((&storm["class"], &storm["state"]), (&"copies".into(), &"open".into()), "{storm}");
    let id = storm["id"].as_str().expect("an id");
    assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{id}");
    // One client on this machine, of which only our own stamps tell.
    let culprits = storm["culprits"].as_array().expect("a list");
    assert_eq!(culprits.len(), 1, "{storm}");
    let line = culprits[0]["evidence"][0]["text"].as_str().expect("a line");
    assert!(line.contains("[127.0.0.1]"), "{storm}");
}

fn assert_commands_agree(server: &Server, storm: &Value) {
    let id = storm["id"].as_str().expect("an id");
    let listed = json(server, &["storms", "list", "--json"]);
    assert_eq!(listed["storms"], Value::from(vec![storm.clone()]));
    let shown = json(server, &["storms", "show", id, "--json"]);
    for (name, value) in storm.as_object().expect("an object") {
        let same = shown.get(name).or_else(|| shown.get("storm").and_then(|storm| storm.get(name)));
        assert_eq!(same, Some(value), "{name}: {shown}");
    }
    assert!(run(&mut server.command(&["storms", "list"])).contains(id));
    let text = run(&mut server.command(&["storms", "show", id]));
    assert!(text.contains(id) && text.contains("127.0.0.1"), "{text}");
    let (status, one) = server.get(&format!("/api/v1/storms/{id}"));
    let one: Value = serde_json::from_str(&one).expect("JSON");
    assert_eq!((status, &one), (200, storm));
    let (_, metrics) = server.get("/metrics");
    assert!(metrics.lines().any(|line| line == "quell_storms_open 1"), "{metrics}");
}

#[test]
fn each_of_several_recipients_gets_one() {
    const COPIES: usize = 500;
    let (directory, server) = server("storm-three");
    let to = ["jane@firm.example", "john@firm.example", "ANN+x@firm.example"];
    let (message, sent) = (message("three"), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| send_copies(server.smtp_port, &to, &message, COPIES / 4, &sent));
        }
    });
    assert_eq!(sent.load(Ordering::Relaxed), COPIES);
    let storm = the_storm(&server, 3 * (COPIES - 1));
    wait_until(LIMIT, || storms(&server).first().is_some_and(|storm| storm["delivered"] == 3));
    assert_storm(&storms(&server)[0], 3 * (COPIES - 1), 3);
    assert_eq!(storms(&server)[0]["id"], storm["id"]);
    for local in ["jane", "john", "ann"] {
        assert_eq!(maildir::count(&server.maildir("firm.example", local)), 1, "{local}");
    }
    assert!(wait_until(LIMIT, || times_told(&directory) == 1));
}
