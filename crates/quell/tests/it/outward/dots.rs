//! A kill at a known place: what was at the dot is Unknown, what was not goes out at once.

use super::crash::{HOUR_SECS, with_a_clock};
use crate::operate::{LIMIT, accepted, mail, row, wait_for_empty_queue, wait_for_mails, wait_for_row};
use crate::support::peers::aiosmtpd::{At, Fault, Script, Scripted, available};
use crate::support::peers::counter::Counter;
use crate::support::server::config;
use crate::support::{Server, TempDir, free_port, wait_until};

/// Settings for a domain with this next hop, in which everybody exists.
pub(super) fn domain(name: &str, next_hop: &str) -> String {
    format!("[domains.\"{name}\"]\ndeliver = \"{next_hop}\"\nrecipients = [\"*\"]\n")
}

/// How often a recipient's message reached its dot.
fn seen(counter: &Counter, recipient: &str) -> u32 {
    let counts = counter.counts();
    counts.iter().filter(|(copy, _)| copy.recipient == recipient).map(|(_, dots)| dots.seen).sum()
}

/// Kills it and starts it again.
fn kill(server: &mut Server) {
    server.kill9();
    server.restart();
}

#[test]
fn exactly_what_was_at_the_dot_is_unknown_after_a_kill() {
    let work = TempDir::in_memory("outward-dots");
    let (held, other, dead) = (Counter::start(), Counter::start(), free_port());
    let more = domain("held.example", &format!("smtp://127.0.0.1:{}", held.port))
        + &domain("lmtp.example", &format!("lmtp://127.0.0.1:{}", held.port))
        + &domain("other.example", &format!("smtp://127.0.0.1:{}", other.port))
        + &domain("dead.example", &format!("smtp://127.0.0.1:{dead}"));
    let (mut server, clock) = with_a_clock(&work, &config(&more));
    // Sent and committed, so that its record is over.
    let over = accepted(&server, &["over@held.example"], &mail("over"));
    wait_for_row(&server, &over, |row| row["state"] == "relayed");
    held.hold_answers(true);
    let one = accepted(&server, &["one@held.example"], &mail("one"));
    let two = accepted(&server, &["two@lmtp.example"], &mail("two"));
    let unreached = accepted(&server, &["x@dead.example"], &mail("unreached"));
    let sent = accepted(&server, &["y@other.example"], &mail("sent"));
    let local = accepted(&server, &["jane@firm.example"], &mail("local"));
    assert!(wait_until(LIMIT, || seen(&held, "one@held.example") + seen(&held, "two@lmtp.example") == 2));
    wait_for_row(&server, &unreached, |row| row["state"] == "waiting" && row["attempts"] == 1);
    wait_for_row(&server, &sent, |row| row["state"] == "relayed");
    wait_for_mails(&server, "jane", 1);
    for id in [&one, &two] {
        let row = row(&server, id);
        assert_eq!((&row["state"], &row["phase"]), (&"claimed".into(), &"dot".into()), "{row}");
    }
    // Killed twice: the second start counts nothing again.
    for _ in 0..2 {
        kill(&mut server);
        for id in [&one, &two] {
            let row = wait_for_row(&server, id, |row| row["state"] == "unknown");
            let told = [&row["sendings"], &row["attempts"], &row["maybe_delivered"]];
            assert_eq!(
                told,
                [&serde_json::json!(1), &serde_json::json!(1), &serde_json::json!(true)],
                "{row}"
            );
        }
        assert_eq!(row(&server, &unreached)["state"], "waiting");
        assert_eq!(row(&server, &unreached)["sendings"], 0);
        for (id, state) in [(&over, "relayed"), (&sent, "relayed"), (&local, "delivered")] {
            assert_eq!(row(&server, id)["state"], state);
        }
    }
    held.hold_answers(false);
    clock.set_clock(HOUR_SECS).expect("a jump");
    wait_for_row(&server, &one, |row| row["state"] == "relayed" && row["sendings"] == 2);
    wait_for_row(&server, &two, |row| row["state"] == "delivered" && row["sendings"] == 2);
    let times = ["over@held.example", "one@held.example", "two@lmtp.example"].map(|to| seen(&held, to));
    assert_eq!((times, seen(&other, "y@other.example")), ([1, 2, 2], 1));
    wait_for_mails(&server, "jane", 1);
}

#[test]
fn what_was_not_at_the_dot_goes_out_at_once_after_a_kill() {
    if !available() {
        return;
    }
    let work = TempDir::in_memory("outward-opened");
    let steps = [At::Mail, At::Rcpt, At::Data];
    let peers = steps.map(|step| Scripted::start(&work, &Script::with([Fault::hang(step).times(1)])));
    let domains = peers.iter().enumerate();
    let more: String = domains
        .map(|(n, peer)| domain(&format!("d{n}.example"), &format!("smtp://127.0.0.1:{}", peer.port)))
        .collect();
    let mut server = Server::start(&work, &config(&more));
    let send = |n| accepted(&server, &[&format!("x@d{n}.example")], &mail(&format!("m{n}")));
    let ids: Vec<String> = (0..peers.len()).map(send).collect();
    for (id, (peer, verb)) in ids.iter().zip(peers.iter().zip(["MAIL", "RCPT", "DATA"])) {
        assert!(wait_until(LIMIT, || !peer.commands(verb).is_empty()), "{}", peer.log());
        assert_eq!(row(&server, id)["phase"], "opened");
    }
    kill(&mut server);
    for (id, peer) in ids.iter().zip(&peers) {
        let row = wait_for_row(&server, id, |row| row["state"] == "relayed");
        assert_eq!((&row["sendings"], &row["maybe_delivered"]), (&1.into(), &false.into()), "{row}");
        peer.expect(1);
    }
    wait_for_empty_queue(&server);
}
