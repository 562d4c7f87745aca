//! Routes that lead back to this server (RFC 5321 §5.1).

use super::*;

/// By name, by the address of a host, by the address of the domain.
const ONLY_US: [&str; 5] =
    ["name.example", "address.example", "several.example", "plain.example", "six.example"];

const ZONE: &str = "name.example MX 10 mx.firm.example\nmx.firm.example A 127.0.0.2\n\
                    address.example MX 10 other-name.test\nother-name.test A 127.0.0.1\n\
                    several.example MX 10 MX.Firm.Example\nseveral.example MX 10 real.test\n\
                    several.example MX 20 real.test\nplain.example A 127.0.0.1\n\
                    real.test A 127.0.0.2\nsix.example AAAA ::ffff:127.0.0.1\n\
                    mid-name.example MX 10 best.test\nmid-name.example MX 20 mx.firm.example\n\
                    mid-name.example MX 30 worst.test\n\
                    mid-address.example MX 10 best.test\nmid-address.example MX 20 other-name.test\n\
                    mid-address.example MX 30 worst.test\n\
                    best.test A 127.0.0.3\nworst.test A 127.0.0.2\n";

#[test]
fn a_route_that_leads_only_to_ourselves_fails() {
    if !available() {
        return;
    }
    let world = World::start_on_own_port("only-us", ZONE);
    let peer = world.taker("127.0.0.2");
    for domain in ONLY_US {
        let failed = world.fails(&format!("jane@{domain}"), "5.4.6");
        let status = failed["status"].as_str().unwrap_or_default();
        assert!(status.contains("leads back to ourselves"), "{failed}");
    }
    assert_eq!(peer.sessions(), 0, "hosts of no lower number than ours: {}", peer.log());
}

/// Better hosts than we are asked, worse ones never: they would hand it to us.
#[test]
fn only_better_hosts_than_ourselves_are_asked() {
    if !available() {
        return;
    }
    let world = World::start_on_own_port("amid", ZONE);
    let (best, worst) = (world.taker("127.0.0.3"), world.taker("127.0.0.2"));
    let domains = ["mid-name.example", "mid-address.example"];
    for domain in domains {
        world.arrives(&format!("jane@{domain}"), &best);
    }
    best.follow(&Script::with([Fault::reply_and_close(At::Greeting, "421 4.3.2 Not now")]));
    let ids = domains.map(|domain| world.waits(&format!("jane@{domain}"), "4.3.2"));
    drop(best);
    for id in &ids {
        world.retry(id);
        world.wait_for(id, "waiting", "4.4.1");
    }
    assert_eq!(worst.sessions(), 0, "{}", worst.log());
    let best = world.taker("127.0.0.3");
    for id in &ids {
        world.retry(id);
        world.wait_for(id, "relayed", "");
    }
    best.expect(2);
}
