//! SIGKILL at any moment, again and again, under load: what was answered 250 lies in its
//! mailbox once, nothing lies anywhere twice or in part, and nothing is left over.

use super::support::process::try_run;
use super::support::promises::{Promises, Random, message};
use super::support::server::{Server, config};
use super::support::smtp::{Client, date_now, dot_stuffed};
use super::support::{TempDir, wait_until};
use std::io::{Error, Result};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Kills in each of the two tests.
const KILLS: u64 = 30;
/// Sessions that send at the same time.
const SESSIONS: u64 = 5;
/// Longest time the queue may take to become empty at the end.
const DRAIN_LIMIT: Duration = Duration::from_secs(90);
const MAILBOXES: [&str; 5] = ["jane", "ann", "bob", "cid", "dee"];

/// [`config`] with a mailbox for each of the tests' recipients.
pub(super) fn five_mailboxes() -> String {
    config("").replace(r#"["jane", "*"]"#, r#"["jane", "ann", "bob", "cid", "dee"]"#)
}

/// Waits until no row is open; panics with the queue if that takes too long.
pub(super) fn wait_until_empty(server: &Server, limit: Duration) {
    let empty = || {
        let metrics = server.get("/metrics").1;
        let open = metrics.lines().filter(|line| line.starts_with("quell_queue_rows{"));
        open.clone().count() > 0 && open.clone().all(|line| line.ends_with(" 0"))
    };
    if !wait_until(limit, empty) {
        let (_, metrics) = server.get("/metrics");
        let list = server.command(&["queue", "list"]).output().expect("queue list");
        let (log, list) = (server.output(), String::from_utf8_lossy(&list.stdout).into_owned());
        let end = &log[log.len().saturating_sub(4000)..];
        panic!("the queue does not become empty:\n{metrics}\n{list}\n{end}");
    }
}

/// What was deferred is tried now instead of after a minute's wait.
pub(super) fn retry_all(server: &Server) {
    // The control socket opens a moment after the SMTP port.
    let retry = || try_run(&mut server.command(&["queue", "retry", "--all"])).0;
    assert!(wait_until(Duration::from_secs(20), retry), "queue retry --all fails");
}

/// One session's life: sends until `stop`, connecting again whenever the server dies.
struct Sender<'a> {
    name: u64,
    port: u16,
    date: &'a str,
    promises: &'a Promises,
    random: Random,
    sent: Vec<(String, Vec<u8>)>,
    copies: &'a AtomicU64,
}

impl Sender<'_> {
    fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            if self.session(stop).is_err() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    fn session(&mut self, stop: &AtomicBool) -> Result<()> {
        let (mut client, greeting) = Client::connect(self.port)?;
        if greeting.code != 220 || client.command("EHLO client.example")?.code != 250 {
            return Err(Error::other("not greeted"));
        }
        for _ in 0..self.random.between(1, 30) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            self.transaction(&mut client)?;
            std::thread::sleep(Duration::from_millis(self.random.between(0, 8)));
        }
        client.quit().map(drop)
    }

    fn transaction(&mut self, client: &mut Client) -> Result<()> {
        let (id, bytes) = self.choose();
        let mailboxes = self.recipients();
        let addresses: Vec<String> = mailboxes.iter().map(|name| format!("{name}@firm.example")).collect();
        let to: Vec<&str> = addresses.iter().map(String::as_str).collect();
        self.promises.sent(&id, &mailboxes);
        let from = "sender@client.example";
        if self.random.one_in(20) {
            return self.walk_away(client, from, &to, &bytes);
        }
        let reply = if self.random.one_in(2) {
            client.send(from, &to, &bytes)?
        } else {
            client.send_pipelined(from, &to, &bytes)?.pop().expect("a reply")
        };
        match reply.code {
            250 => self.promises.answered(&id, &mailboxes),
            421 | 451 | 452 => {}
            _ => panic!("unexpected answer to {id}: {reply:?}"),
        }
        Ok(())
    }

    /// A new message, small or large, or one that this session has sent before: also one
    /// whose answer was never seen, as any mail server would.
    fn choose(&mut self) -> (String, Vec<u8>) {
        if !self.sent.is_empty() && self.random.one_in(3) {
            self.copies.fetch_add(1, Ordering::Relaxed);
            let which = self.random.between(0, self.sent.len() as u64) as usize;
            return self.sent[which].clone();
        }
        let large = self.random.one_in(25);
        let bytes =
            if large { self.random.between(257 << 10, 500 << 10) } else { self.random.between(0, 6000) };
        let id = format!("m{}-{}", self.name, self.random.next());
        let bytes = message(&id, self.date, bytes as usize, &mut self.random);
        if self.sent.len() >= 40 {
            self.sent.swap_remove(0);
        }
        self.sent.push((id.clone(), bytes.clone()));
        (id, bytes)
    }

    fn recipients(&mut self) -> Vec<&'static str> {
        let chosen: Vec<_> = MAILBOXES.into_iter().filter(|_| self.random.one_in(2)).collect();
        if chosen.is_empty() { vec!["jane"] } else { chosen }
    }

    /// Disconnects in the middle of the content, or after the dot without reading the answer.
    fn walk_away(&mut self, client: &mut Client, from: &str, to: &[&str], bytes: &[u8]) -> Result<()> {
        client.command(&format!("MAIL FROM:<{from}>"))?;
        for to in to {
            client.command(&format!("RCPT TO:<{to}>"))?;
        }
        if client.command("DATA")?.code == 354 {
            if self.random.one_in(2) {
                client.data(bytes)?;
            } else {
                client.raw(&dot_stuffed(bytes)[..bytes.len() / 2])?;
            }
        }
        Err(Error::other("walked away"))
    }
}

/// Starts, loads, kills; `kills` times. Then everything is delivered and checked.
fn kill_again_and_again(test: &str, directory: &TempDir) {
    let seed = Random::seed(test);
    let mut random = Random::new(seed);
    let mut server = Server::start(directory, &five_mailboxes());
    let (promises, stop, copies) = (Promises::default(), AtomicBool::new(false), AtomicU64::new(0));
    let (date, mut left_behind) = (date_now(), 0);
    std::thread::scope(|scope| {
        for name in 0..SESSIONS {
            let sender = Sender {
                name,
                port: server.smtp_port,
                date: &date,
                promises: &promises,
                random: Random::new(seed.wrapping_add(name + 1)),
                sent: Vec::new(),
                copies: &copies,
            };
            let stop = &stop;
            scope.spawn(move || sender.run(stop));
        }
        for _ in 0..KILLS {
            std::thread::sleep(Duration::from_millis(random.between(20, 300)));
            server.kill9();
            left_behind += linked_and_not_settled(&server.data.join("mail/firm.example"));
            server.restart();
        }
        stop.store(true, Ordering::Relaxed);
    });
    wait_until_empty(&server, DRAIN_LIMIT);
    let lie =
        promises.check(&server.data.join("mail/firm.example")).unwrap_or_else(|wrong| panic!("{wrong}"));
    eprintln!(
        "{test}: {KILLS} kills, {} deliveries promised, {lie} made, {} copies sent, \
         {left_behind} killed between link and outcome",
        promises.count(),
        copies.load(Ordering::Relaxed)
    );
    assert!(promises.count() as u64 > KILLS * 5, "too little load to prove anything");
    assert!(copies.load(Ordering::Relaxed) > KILLS);
    nothing_is_left_over(&mut server);
}

/// Deliveries that were linked to `new` and whose file in `tmp` was not removed yet: the
/// kill came before the outcome could even be reported.
fn linked_and_not_settled(domain: &Path) -> usize {
    let names = |path: &Path| -> Vec<_> {
        std::fs::read_dir(path)
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("an entry").file_name())
            .collect()
    };
    let in_mailbox = |name: &str| {
        let new = names(&domain.join(name).join("new"));
        names(&domain.join(name).join("tmp")).iter().filter(|name| new.contains(name)).count()
    };
    MAILBOXES.iter().map(|name| in_mailbox(name)).sum()
}

/// With nothing in the queue a start leaves no body behind, nor what a killed delivery left.
fn nothing_is_left_over(server: &mut Server) {
    assert!(server.term().success());
    server.restart();
    let names = |path: &Path| -> Vec<_> {
        let entries = std::fs::read_dir(path).expect("a directory");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
    };
    let bodies: Vec<_> =
        names(&server.data.join("spool")).into_iter().filter(|name| name != "numbers").collect();
    assert!(bodies.is_empty(), "bodies that nobody owns: {bodies:?}");
    for name in MAILBOXES {
        let left = names(&server.data.join("mail/firm.example").join(name).join("tmp"));
        assert!(left.is_empty(), "left in tmp of {name}: {left:?}");
    }
}

#[test]
fn killed_again_and_again_on_a_disk() {
    kill_again_and_again("crash on a disk", &TempDir::new("crash-disk"));
}

#[test]
fn killed_again_and_again_in_memory() {
    kill_again_and_again("crash in memory", &TempDir::in_memory("crash-memory"));
}
