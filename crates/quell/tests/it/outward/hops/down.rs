//! A next hop that is down is tried as one, not once for each message.

use super::*;
use crate::operate::{quell, wait_for_log};
use crate::support::free_port;
use crate::support::peers::aiosmtpd::{self, Script, Scripted};
use crate::support::process::signal;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So long a connection is held: meanwhile others might be made.
const DEAF_FOR: Duration = Duration::from_millis(500);

/// Takes each connection, closes it after a while without a word, and counts them.
struct Deaf {
    count: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Deaf {
    fn start(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let (count, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (Arc::clone(&count), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut open = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        counted.fetch_add(1, Ordering::Relaxed);
                        open.push((stream, Instant::now()));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
                open.retain(|(_, since)| since.elapsed() < DEAF_FOR);
            }
        });
        Deaf { count, stop, thread: Some(thread) }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// Sends so many messages to the dead next hop, of which some are tried.
fn pile_up(server: &Server, round: &str, count: usize) -> Vec<String> {
    let id = |n: usize| submit(server, &[&format!("{round}{n}@dead.example")], &mail(&format!("{round}{n}")));
    let ids: Vec<String> = (0..count).map(id).collect();
    let first = wait_for_state(server, &ids[0], &format!("{round}0@dead.example"), "waiting");
    assert!(status(&first).starts_with("4.4."), "{first}");
    ids
}

/// How the dead next hop is shown; none: nothing waits for it, and it is not down.
fn shown(server: &Server, next_hop: &str) -> Option<Value> {
    let all = json(server, &["queue", "next-hops"]);
    let mut all = all["next_hops"].as_array().expect("next hops").iter();
    all.find(|shown| shown["next_hop"] == next_hop).cloned()
}

fn waiting(server: &Server) -> usize {
    json(server, &["queue", "list", "--domain", "dead.example"])["rows"].as_array().expect("rows").len()
}

#[test]
fn a_dead_next_hop_is_tried_a_handful_of_times_and_woken() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("hops-down");
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let living = Scripted::start(&directory, &Script::default());
    let dead = format!("smtp://{address}");
    let server = server(&directory, &[("dead.example", &dead), ("living.example", &smtp(&living))], NOT_KEPT);
    let mut expected = 0;
    for (round, count) in [("all", 50), ("id", 20), ("hop", 20)] {
        let deaf = Deaf::start(address);
        let ids = pile_up(&server, round, count);
        // The others' mail passes meanwhile.
        let other = submit(&server, &["jane@living.example"], &mail(&format!("living-{round}")));
        wait_for_state(&server, &other, "jane@living.example", "relayed");
        assert_eq!(waiting(&server), count, "{}", server.output());
        let view = shown(&server, &dead).expect("it is down");
        assert!(view["down_since"].is_string() && text(&view["status"]).starts_with("4.4."), "{view}");
        assert!(view["next"].is_string() && view["failures"] == 1, "{view}");
        assert!(shown(&server, &smtp(&living)).is_none_or(|view| view["down_since"].is_null()));
        let tries = deaf.count();
        eprintln!("{round}: {tries} connections for {count} messages");
        assert!((1..=6).contains(&tries), "{tries} connections for {count} messages\n{}", server.output());
        drop(deaf);
        let peer = Scripted::start_on(&directory, address, &Script::default());
        match round {
            "all" => drop(done(&server, &["queue", "retry", "--all"])),
            // One that gets through shows that it is up: all others go at once.
            "id" => retry(&server, &ids[count - 1], 1),
            _ => drop(done(&server, &["queue", "retry", "--next-hop", &dead])),
        }
        let gone = wait_until(LIMIT, || waiting(&server) == 0);
        assert!(gone, "{round}: {}\n{}", done(&server, &["queue", "list"]), server.output());
        assert!(shown(&server, &dead).is_none_or(|view| view["down_since"].is_null()), "{round}");
        let counts = peer.counts();
        let once = counts.values().all(|count| count.taken == 1 && count.unanswered == 0);
        assert!(once && counts.len() == count, "{round}: {counts:?}");
        expected += count;
    }
    assert_eq!(living.expect(3).len(), 3);
    let relayed = server.output().lines().filter(|line| line.contains("\"event\":\"relayed\"")).count();
    assert_eq!(relayed, expected + 3);
}

/// A row that was never tried has the time of its next hop, and says what it waits for.
fn people_see_why(server: &Server, dead: &str, id: &str) {
    let row = &rows(server, id)["jane@dead2.example"];
    let down = shown(server, dead).expect("it is down");
    assert_eq!(
        (&row["attempts"], &row["next"], &row["down"]["next"]),
        (&0.into(), &down["next"], &down["next"])
    );
    let why = format!("waits for {dead}, which is down: 4.4.1 ");
    for table in [done(server, &["queue", "list"]), done(server, &["queue", "show", id])] {
        let line = table.lines().find(|line| line.starts_with(id)).expect("a row");
        assert!(table.contains("NEXT HOP") && line.contains(&why) && !line.contains(" now "), "{table}");
        assert!(!table.contains("os error"), "{table}");
    }
    let explained = done(server, &["explain", id]);
    let waits = format!("It waits for {dead}, which is down and is tried next at ");
    assert!(
        explained.contains(": pass, now waiting\n  Passed: ") && explained.contains(&waits),
        "{explained}"
    );
    let hops = done(server, &["queue", "next-hops"]);
    let heads: Vec<&str> = hops.lines().next().expect("heads").split_whitespace().collect();
    assert_eq!(heads[..5], ["NEXT", "HOP", "DUE", "LATER", "SENDING"], "{hops}");
    let wrong = quell(server, &["queue", "retry", "--next-hop", "smtp://127.0.0.1:1"]);
    let names = format!("no mail goes to `smtp://127.0.0.1:1`; next hops are: maildir, {dead}");
    assert!(wrong.status == 1 && wrong.err.contains(&names), "{wrong:?}");
}

/// What waits for a dead next hop goes to the one that takes its place.
#[test]
fn waiting_mail_follows_a_new_route() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("hops-route");
    let dead = format!("smtp://127.0.0.1:{}", free_port());
    let server = server(&directory, &[("dead.example", &dead), ("dead2.example", &dead)], "");
    let ids = pile_up(&server, "moved", 5);
    let stays = submit(&server, &["jane@dead2.example"], &mail("stays"));
    people_see_why(&server, &dead, &stays);
    let peer = Scripted::start(&directory, &Script::default());
    let text = std::fs::read_to_string(server.config_path()).expect("a configuration");
    std::fs::write(server.config_path(), text.replacen(&dead, &smtp(&peer), 1)).expect("a configuration");
    signal(server.pid(), "HUP");
    wait_for_log(&server, &["\"event\":\"reloaded\""]);
    // The scheme may be left out.
    done(&server, &["queue", "retry", "--next-hop", &format!("127.0.0.1:{}", peer.port)]);
    for (n, id) in ids.iter().enumerate() {
        let row = wait_for_state(&server, id, &format!("moved{n}@dead.example"), "relayed");
        assert_eq!(row["next_hop"], *smtp(&peer), "{row}");
    }
    assert_eq!(peer.expect(5).len(), 5);
    let row = &rows(&server, &stays)["jane@dead2.example"];
    assert_eq!((&row["state"], &row["next_hop"]), (&"waiting".into(), &(*dead).into()), "{row}");
}
