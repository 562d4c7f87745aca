//! How many connections there are at a time.

use super::*;
use crate::operate::json;
use crate::support::peers::counter::Counter;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio::net::TcpListener;

const MESSAGES: usize = 12;
/// Connections of one attempt, and hosts of one MX answer, at most: written out, so that nobody
/// changes them without a look at this.
const CONNECTIONS: usize = 16;
const HOSTS: usize = 10;

/// A server whose mail for all these domains goes to a [`Counter`] at one address; connections are
/// kept so long; `more` keys of `[relay]`.
pub(super) fn to_counter(name: &str, keep_idle_secs: u64, more: &str) -> (World, Counter) {
    let counter = Counter::start();
    let zone = "*.example MX 10 one.test\nother.example MX 10 two.test\none.test A 127.0.0.1\ntwo.test A 127.0.0.1\n";
    let relay = format!("port = {}\nkeep_idle_secs = {keep_idle_secs}\n{more}", counter.port);
    (World::start_with(name, zone, &relay, counter.port), counter)
}

/// How many rows are being delivered.
pub(super) fn claimed(world: &World) -> usize {
    let rows = json(&world.server, &["queue", "list", "--state", "claimed"]);
    rows["rows"].as_array().expect("rows").len()
}

/// All that was sent came once, over this many connections at a time and no more.
fn all_came(world: &World, counter: &Counter, count: usize, peak: usize) {
    assert!(counter.wait_for(count, LIMIT), "{} of {count}\n{}", counter.distinct(), world.server.output());
    crate::operate::wait_for_empty_queue(&world.server);
    assert_eq!((counter.distinct(), counter.repeated()), (count, Vec::new()));
    assert_eq!(counter.usage().peak_sessions, peak, "{:?}", counter.usage());
}

#[test]
fn one_address_gets_no_more_connections_than_it_may() {
    let (world, counter) = to_counter("address", 1, "max_sessions_per_address = 2\n");
    counter.hold_answers(true);
    for _ in 0..MESSAGES {
        for domain in ["one.example", "other.example"] {
            world.send(&format!("jane@{domain}"));
        }
    }
    // Two hold the address, and others would like to.
    let crowded = || counter.open_sessions() == 2 && claimed(&world) >= 4;
    assert!(wait_until(LIMIT, crowded), "{:?}\n{}", counter.usage(), world.server.output());
    counter.hold_answers(false);
    all_came(&world, &counter, 2 * MESSAGES, 2);
}

#[test]
fn one_next_hop_gets_no_more_sessions_than_it_may() {
    let (world, counter) = to_counter("nexthop", 1, "max_sessions_per_next_hop = 3\n");
    counter.hold_answers(true);
    for _ in 0..MESSAGES {
        world.send("jane@one.example");
    }
    let crowded = || counter.open_sessions() == 3 && claimed(&world) == 3;
    assert!(wait_until(LIMIT, crowded), "{:?}\n{}", counter.usage(), world.server.output());
    // The others are not held up by it.
    let id = world.send("jane@other.example");
    assert!(wait_until(LIMIT, || counter.open_sessions() == 4), "{:?}", counter.usage());
    counter.hold_answers(false);
    world.wait_for(&id, "relayed", "");
    all_came(&world, &counter, MESSAGES + 1, 4);
}

#[test]
fn there_are_no_more_sessions_in_all_than_there_may_be() {
    let (world, counter) = to_counter("all", 1, "max_sessions = 3\n");
    counter.hold_answers(true);
    for number in 0..MESSAGES {
        world.send(&format!("jane@n{number}.example"));
    }
    let crowded = || counter.open_sessions() == 3 && claimed(&world) == 3;
    assert!(wait_until(LIMIT, crowded), "{:?}\n{}", counter.usage(), world.server.output());
    counter.hold_answers(false);
    all_came(&world, &counter, MESSAGES, 3);
}

/// Listens on addresses, closes each connection at once, and counts them. Runs as long as the test.
fn closers(addresses: &[IpAddr], port: u16) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let listen = |address: &IpAddr| {
        let listener = std::net::TcpListener::bind((*address, port)).expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        listener
    };
    let listeners: Vec<_> = addresses.iter().map(listen).collect();
    let counted = count.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            for listener in listeners {
                let (listener, counted) =
                    (TcpListener::from_std(listener).expect("a listener"), counted.clone());
                tokio::spawn(async move {
                    while let Ok((connection, _)) = listener.accept().await {
                        counted.fetch_add(1, Ordering::Relaxed);
                        drop(connection);
                    }
                });
            }
            std::future::pending::<()>().await;
        });
    });
    count
}

/// 50 hosts with 16 addresses each, of which none takes mail: an attempt ends all the same.
#[test]
fn a_domain_with_very_many_hosts_costs_little() {
    // Five sets of addresses, ten hosts to each, so that not all 800 need a listener.
    let address = |set: usize, number: usize| format!("127.0.{}.{}", 10 + set, number + 1);
    let mut zone = String::new();
    for host in 0..50 {
        zone += &format!("many.example MX {host} h{host}.test\n");
        for number in 0..16 {
            zone += &format!("h{host}.test A {}\n", address(host % 5, number));
        }
    }
    let all: Vec<IpAddr> = (0..5)
        .flat_map(|set| (0..16).map(move |number| address(set, number)))
        .map(|address| address.parse().expect("an address"))
        .collect();
    let port = shared_port(&all);
    let connections = closers(&all, port);
    let world = World::start_with("many", &zone, &format!("port = {port}\n"), port);
    let id = world.waits("jane@many.example", "4.4");
    assert_eq!(connections.load(Ordering::Relaxed), CONNECTIONS, "{}", world.server.output());
    let hosts = world.dns.questions().iter().filter(|question| question.kind == "A").count();
    assert!((1..=HOSTS).contains(&hosts), "{:?}", world.dns.questions());
    // The next attempt is one more of the same kind.
    world.retry(&id);
    wait_for_row(&world.server, &id, |row| row["state"] == "waiting" && row["attempts"] == 2);
    assert_eq!(connections.load(Ordering::Relaxed), 2 * CONNECTIONS, "{}", world.server.output());
}
