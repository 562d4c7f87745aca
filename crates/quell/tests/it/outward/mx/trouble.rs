//! DNS that does not answer, or not well: trouble passes, so mail waits.

use super::*;
use crate::operate::wait_for_log;

/// Domains, and what is wrong with DNS for them.
const FAULTS: [(&str, &str, dns::Fault); 6] = [
    ("servfail.example", "MX", dns::Fault::ServFail),
    ("refused.example", "MX", dns::Fault::Refused),
    ("silent.example", "MX", dns::Fault::Silent),
    ("cut.example", "MX", dns::Fault::TruncatedNoTcp),
    ("host.servfail.test", "*", dns::Fault::ServFail),
    ("host.silent.test", "*", dns::Fault::Silent),
];

const ZONE: &str = "servfail.example MX 10 real.test\nrefused.example MX 10 real.test\n\
                    silent.example MX 10 real.test\ncut.example MX 10 real.test\n\
                    host-servfail.example MX 10 host.servfail.test\nhost.servfail.test A 127.0.0.2\n\
                    host-silent.example MX 10 host.silent.test\nhost.silent.test A 127.0.0.2\n\
                    servfail.example A 127.0.0.2\nsilent.example A 127.0.0.2\n\
                    half.example MX 10 host.servfail.test\nhalf.example MX 20 missing.test\n\
                    partly.example MX 10 host.servfail.test\npartly.example MX 20 real.test\n\
                    real.test A 127.0.0.2\n";

/// That a domain has an address says nothing while its MX is not known.
#[test]
fn mail_waits_until_dns_answers() {
    if !available() {
        return;
    }
    let world = World::start("trouble", ZONE, "");
    for (name, kind, fault) in FAULTS {
        world.dns.fault(name, kind, fault);
    }
    let peer = world.taker("127.0.0.2");
    let domains = ["servfail", "refused", "silent", "cut", "host-servfail", "host-silent", "half"];
    // All wait for DNS at the same time.
    let ids = domains.map(|domain| world.send(&format!("jane@{domain}.example")));
    for id in &ids {
        // Silence takes 15 s; a look at the log costs less than one at the row.
        wait_for_log(&world.server, &["deferred", id]);
        world.wait_for(id, "waiting", "4.4.3");
    }
    assert_eq!(peer.sessions(), 0, "{}", peer.log());
    for (name, _, _) in FAULTS {
        world.dns.heal(name);
    }
    for id in &ids {
        world.retry(id);
    }
    for id in &ids {
        world.wait_for(id, "relayed", "");
    }
    let mut got: Vec<String> = peer.expect(7).into_iter().map(|one| one.recipients[0].to.clone()).collect();
    got.sort();
    let mut all = domains.map(|domain| format!("jane@{domain}.example"));
    all.sort();
    assert_eq!(got, all);
}

/// The server itself is away, and comes back.
#[test]
fn mail_waits_until_there_is_a_dns() {
    if !available() {
        return;
    }
    let zone = "gone.example MX 10 gone.test\ngone.test A 127.0.0.2\n";
    let mut world = World::start("gone", zone, "");
    let peer = world.taker("127.0.0.2");
    let port = world.dns.port;
    world.dns = Dns::start("");
    let id = world.send("jane@gone.example");
    wait_for_log(&world.server, &["deferred", &id]);
    world.wait_for(&id, "waiting", "4.4.3");
    world.dns = Dns::start_at(port, zone);
    world.retry(&id);
    world.wait_for(&id, "relayed", "");
    peer.expect(1);
}

/// A host that cannot be looked up is a host that is down.
#[test]
fn another_host_is_asked_meanwhile() {
    if !available() {
        return;
    }
    let world = World::start("partly", ZONE, "");
    world.dns.fault("host.servfail.test", "*", dns::Fault::ServFail);
    let peer = world.taker("127.0.0.2");
    world.arrives("jane@partly.example", &peer);
    assert!(world.dns.asked("host.servfail.test", "A") > 0, "{:?}", world.dns.questions());
}

/// RFC 7766 §5: what is cut over UDP is asked for again over TCP.
#[test]
fn answers_that_do_not_fit_are_fetched_over_tcp() {
    if !available() {
        return;
    }
    let mut zone = "cut.example MX 10 cut.test\ncut.test A 127.0.0.2\nreal.test A 127.0.0.2\n".to_owned();
    // Over 4 KiB: no UDP answer holds it.
    for number in 0..60 {
        let name = format!("{}-{number}.test", "long".repeat(14));
        zone += &format!("large.example MX 20 {name}\n");
    }
    zone += "large.example MX 10 real.test\n";
    let world = World::start("cut", &zone, "");
    world.dns.fault("cut.example", "MX", dns::Fault::Truncated);
    world.dns.fault("cut.test", "A", dns::Fault::Truncated);
    let peer = world.taker("127.0.0.2");
    for name in ["cut.example", "large.example"] {
        world.arrives(&format!("jane@{name}"), &peer);
        let over_tcp = |question: &dns::Question| question.name == name && question.tcp;
        assert!(world.dns.questions().iter().any(over_tcp), "{:?}", world.dns.questions());
    }
}

/// A late answer is an answer.
#[test]
fn a_slow_dns_is_waited_for() {
    if !available() {
        return;
    }
    let world = World::start("slow", "slow.example MX 10 slow.test\nslow.test A 127.0.0.2\n", "");
    for (name, kind) in [("slow.example", "MX"), ("slow.test", "A"), ("slow.test", "AAAA")] {
        world.dns.fault(name, kind, dns::Fault::DelayMs(1_500));
    }
    let peer = world.taker("127.0.0.2");
    world.arrives("jane@slow.example", &peer);
}
