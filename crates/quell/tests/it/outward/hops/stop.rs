//! SIGTERM while mail is on its way out.

use super::*;
use crate::support::peers::aiosmtpd::{self, At, Fault, Script, Scripted};
use crate::support::process::signal;

const TO: &str = "jane@hop.example";

/// A server that waits so long for answers, behind a next hop with this fault.
fn stopping(directory: &TempDir, script: &Script, stop_secs: u32) -> (Server, Scripted) {
    let peer = Scripted::start(directory, script);
    let scheme = if script.lmtp { "lmtp" } else { "smtp" };
    let next_hop = format!("{scheme}://127.0.0.1:{}", peer.port);
    let config = configured(&[("hop.example", &next_hop)], NOT_KEPT);
    let config = config.replace("[server]\n", &format!("[server]\nstop_secs = {stop_secs}\n"));
    (Server::start(directory, &config), peer)
}

fn wait_for_command(server: &Server, peer: &Scripted, verb: &str) {
    let came = wait_until(LIMIT, || !peer.commands(verb).is_empty());
    assert!(came, "{}\n{}", peer.log(), server.output());
}

/// A session that cannot have delivered anything ends at once, though it might wait for minutes.
#[test]
fn who_has_not_sent_the_dot_ends_at_once() {
    if !aiosmtpd::available() {
        return;
    }
    // In the middle of a message that is too long for the buffers between us.
    let long = message("early", &date_now(), &"0123456789 0123456789 0123456789\r\n".repeat(500_000));
    let cases =
        [(At::Greeting, "", mail("early")), (At::Mail, "MAIL", mail("early")), (At::Body, "DATA", long)];
    for (step, verb, message) in cases {
        let directory = TempDir::new("hops-stop-early");
        let (mut server, peer) = stopping(&directory, &Script::with([Fault::hang(step).times(1)]), 600);
        let id = submit(&server, &[TO], &message);
        match verb {
            "" => assert!(wait_until(LIMIT, || peer.sessions() == 1), "{}", server.output()),
            verb => wait_for_command(&server, &peer, verb),
        }
        // It would wait for 600 s otherwise; this panics long before.
        assert_eq!(server.term().code(), Some(0), "{step:?}: {}", server.output());
        let row = &rows(&server, &id)[TO];
        assert_eq!(
            (&row["state"], &row["maybe_delivered"]),
            (&"waiting".into(), &false.into()),
            "{step:?}: {row}"
        );
        // That is no attempt: it neither uses up the quick tries nor the days that it has.
        assert_eq!((&row["attempts"], &row["status"]), (&0.into(), &Value::Null), "{step:?}: {row}");
        server.restart();
        wait_for_state(&server, &id, TO, "relayed");
        assert_eq!(peer.expect(1)[0].recipients[0].to, TO, "{step:?}");
    }
}

/// The dot is out: its late answer counts, and the message is not sent again.
#[test]
fn a_late_answer_counts() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("hops-stop-late");
    let (mut server, peer) = stopping(&directory, &Script::with([Fault::delay(At::Dot, 5_000)]), 60);
    let id = submit(&server, &[TO], &mail("late"));
    assert!(wait_until(LIMIT, || !peer.sendings().is_empty()), "{}", server.output());
    assert_eq!(rows(&server, &id)[TO]["phase"], "dot");
    let list = done(&server, &["queue", "list"]);
    assert!(list.contains("its end was sent, the answer is awaited (10 min at most)"), "{list}");
    signal(server.pid(), "TERM");
    assert!(peer.replies("250 2.0.0").is_empty(), "the answer was to come later: {}", peer.log());
    assert_eq!(server.term().code(), Some(0), "{}", server.output());
    let row = &rows(&server, &id)[TO];
    assert_eq!((&row["state"], &row["maybe_delivered"]), (&"relayed".into(), &false.into()), "{row}");
    assert_logged(&server, &id, TO, "relayed", &format!("127.0.0.1:{}", peer.port), "2.0.0 250 Taken");
    server.restart();
    let second = submit(&server, &[TO], &mail("second"));
    wait_for_state(&server, &second, TO, "relayed");
    let came = peer.expect(2);
    assert!(came.iter().all(|sending| sending.recipients[0].is_taken()), "{}", peer.log());
    assert_eq!(rows(&server, &id)[TO]["sendings"], 1);
}

/// And no longer than `stop_secs` is waited.
#[test]
fn an_answer_that_stays_away_is_unknown() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("hops-stop-never");
    let (mut server, peer) = stopping(&directory, &Script::with([Fault::hang(At::Dot).times(1)]), 1);
    let id = submit(&server, &[TO], &mail("never"));
    assert!(wait_until(LIMIT, || !peer.sendings().is_empty()), "{}", server.output());
    assert_eq!(server.term().code(), Some(0), "{}", server.output());
    let row = rows(&server, &id).remove(TO).expect("a row");
    assert_eq!((&row["state"], &row["sendings"]), (&"unknown".into(), &1.into()), "{row}");
    assert_eq!((&row["maybe_delivered"], secs_to_next(&row)), (&true.into(), 1800), "{row}");
    server.restart();
    assert_eq!(rows(&server, &id)[TO], row, "a restart is no new life");
    let list = done(&server, &["queue", "list"]);
    for part in ["sent once, no answer: nobody knows whether it arrived; sent again in 29m", "(2 of 5)"] {
        assert!(list.contains(part), "{list}");
    }
    retry(&server, &id, 1);
    let row = wait_for_state(&server, &id, TO, "relayed");
    assert_eq!((&row["sendings"], peer.expect(2).len()), (&2.into(), 2));
}

/// LMTP: who was answered before the end has it.
#[test]
fn lmtp_answers_before_the_end_count() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("hops-stop-lmtp");
    let script = Script { lmtp: true, ..Script::with([Fault::hang(At::Dot).after_replies(1)]) };
    let (mut server, peer) = stopping(&directory, &script, 1);
    let to = ["a@hop.example", "b@hop.example"];
    let id = submit(&server, &to, &mail("half"));
    assert!(wait_until(LIMIT, || !peer.replies("250 2.0.0").is_empty()), "{}", server.output());
    assert_eq!(server.term().code(), Some(0), "{}", server.output());
    let rows = rows(&server, &id);
    assert_eq!(
        (&rows[to[0]]["state"], &rows[to[1]]["state"]),
        (&"delivered".into(), &"unknown".into()),
        "{rows:#?}"
    );
}
