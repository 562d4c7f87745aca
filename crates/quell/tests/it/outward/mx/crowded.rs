//! Connections that many want: kept ones, long ones.

use super::sessions::{claimed, to_counter};
use super::*;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// What has been relayed so far, in order: queue ids.
fn relayed(world: &World) -> Vec<String> {
    let output = world.server.output();
    let lines = output.lines().filter(|line| line.contains("event=\"relayed\""));
    let id =
        |line: &str| line.split(" id=").nth(1).and_then(|rest| rest.get(..16)).expect("an id").to_owned();
    lines.map(id).collect()
}

/// A kept connection is given up as soon as somebody waits for its address.
#[test]
fn connections_without_work_keep_nobody_waiting() {
    let (world, counter) = to_counter("kept", 300, "max_sessions_per_address = 1\n");
    for number in 0..8 {
        world.send(&format!("jane@n{number}.example"));
    }
    assert!(counter.wait_for(8, LIMIT), "{} of 8\n{}", counter.distinct(), world.server.output());
    assert_eq!((counter.usage().peak_sessions, counter.usage().sessions), (1, 8), "{:?}", counter.usage());
    // Nobody waits any more: the last one is kept, and used again.
    world.send("jane@n7.example");
    assert!(counter.wait_for(9, LIMIT), "{}", world.server.output());
}

/// A destination with much to send lets others have a turn.
#[test]
fn a_busy_next_hop_does_not_keep_its_address_to_itself() {
    let limits = "max_sessions_per_address = 1\nmax_sessions_per_next_hop = 1\n";
    let (world, counter) = to_counter("busy", 5, limits);
    counter.hold_answers(true);
    for _ in 0..40 {
        world.send("jane@one.example");
    }
    let other = world.send("jane@other.example");
    let waits = || counter.open_sessions() == 1 && claimed(&world) == 2;
    assert!(wait_until(LIMIT, waits), "{:?}\n{}", counter.usage(), world.server.output());
    counter.hold_answers(false);
    assert!(wait_until(LIMIT, || relayed(&world).len() == 41), "{}", world.server.output());
    let turn = relayed(&world).iter().position(|id| *id == other).expect("relayed");
    assert!(turn <= 11, "after {turn} of the other's 40 messages");
    assert_eq!((counter.distinct(), counter.usage().peak_sessions), (41, 1));
}

/// A connection ends after 1,000 messages, and another takes the rest.
#[test]
fn more_is_sent_than_one_connection_takes() {
    const MESSAGES: usize = 1_050;
    let (world, counter) = to_counter("long", 300, "max_sessions_per_next_hop = 1\n");
    let date = date_now();
    let mail = |number: usize| message(&format!("m{number}"), &date, "A message.");
    let mails: Vec<Vec<u8>> = (0..MESSAGES).map(mail).collect();
    std::thread::scope(|scope| {
        for mails in mails.chunks(MESSAGES / 5) {
            scope.spawn(|| {
                let to = ["jane@one.example"];
                let replies = send_all(world.server.smtp_port, "sender@client.example", &to, mails);
                assert!(replies.iter().all(Reply::is_ok), "{replies:?}");
            });
        }
    });
    assert!(counter.wait_for(MESSAGES, LIMIT), "{} of {MESSAGES}", counter.distinct());
    crate::operate::wait_for_empty_queue(&world.server);
    let usage = counter.usage();
    assert_eq!((usage.sessions, usage.peak_sessions, usage.dots), (2, 1, MESSAGES), "{usage:?}");
}

/// Takes one message, and then answers QUIT with one byte after the other, as long as it is let: how
/// long that was.
fn drips(listener: TcpListener) -> JoinHandle<Duration> {
    const EVERY: Duration = Duration::from_millis(200);
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a connection");
        let lines = BufReader::new(connection.try_clone().expect("a reader")).lines();
        connection.write_all(b"220 drips\r\n").expect("written");
        for line in lines.map_while(Result::ok) {
            let reply: &[u8] = match line.as_str() {
                "DATA" => b"354 go on\r\n",
                "QUIT" => break,
                _ if line.starts_with("EHLO") || line.contains('<') || line == "." => b"250 well\r\n",
                _ => continue,
            };
            connection.write_all(reply).expect("written");
        }
        let begun = Instant::now();
        let drip = |mut to: &TcpStream| to.write_all(b"2").is_ok() && begun.elapsed() < LIMIT;
        while drip(&connection) {
            sleep(EVERY);
        }
        begun.elapsed()
    })
}

/// Who never ends a reply does not keep the connection.
#[test]
fn a_reply_that_comes_in_drips_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let peer = drips(listener);
    let zone = "one.example MX 10 one.test\none.test A 127.0.0.1\n";
    let world = World::start_with("drips", zone, &format!("port = {port}\nkeep_idle_secs = 0\n"), port);
    let id = world.send("jane@one.example");
    world.wait_for(&id, "relayed", "");
    let kept = peer.join().expect("a peer");
    assert!(kept < Duration::from_secs(10), "{kept:?}");
}
