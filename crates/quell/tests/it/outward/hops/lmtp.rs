//! LMTP: each recipient has an outcome of its own.

use super::*;
use crate::support::maildir;
use crate::support::peers::aiosmtpd::{self, At, Fault, Script, Scripted};
use crate::support::peers::lmtp::{self, Lmtp};

/// One message to eight recipients behind Dovecot, four by TCP and four by its socket.
#[test]
fn dovecot_settles_each_recipient_over_tcp_and_its_socket() {
    if !lmtp::available() {
        return;
    }
    let directory = TempDir::new("hops-dovecot");
    let both = |local: &str| ["tcp", "unix"].map(|way| format!("{local}@{way}.example"));
    let (jane, bob, full, nobody) = (both("jane"), both("bob"), both("full"), both("nobody"));
    let users: Vec<&str> = jane.iter().chain(&bob).map(String::as_str).collect();
    let full_users: Vec<&str> = full.iter().map(String::as_str).collect();
    let dovecot = Lmtp::start(&directory, &users, &full_users);
    let tcp = format!("lmtp://127.0.0.1:{}", dovecot.port);
    let unix = format!("lmtp://{}", dovecot.socket.display());
    let server = server(&directory, &[("tcp.example", &tcp), ("unix.example", &unix)], "");
    let all = [&jane, &bob, &full, &nobody];
    let to: Vec<&str> = all.into_iter().flatten().map(String::as_str).collect();
    let message = mail("eight");
    let id = submit(&server, &to, &message);
    let states: Vec<(&str, &str)> =
        to.iter().map(|to| (*to, if users.contains(to) { "delivered" } else { "failed" })).collect();
    let rows = wait_for_states(&server, &id, &states);
    for (way, next_hop, said_by) in
        [(0, &tcp, tcp.replace("lmtp://", "")), (1, &unix, unix.replace("lmtp://", ""))]
    {
        for to in [&jane[way], &bob[way]] {
            let mails = maildir::read(&dovecot.maildir(to));
            assert_eq!(mails.len(), 1, "{to}: {}", dovecot.log());
            let sent = String::from_utf8(message.clone()).expect("text").replace("\r\n", "\n");
            assert!(mails[0].content.ends_with(sent.as_bytes()), "{:?}", mails[0]);
            let lines = outcomes(&server, &id, to);
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert_eq!((&lines[0]["event"], text(&lines[0]["next_hop"])), (&"delivered".into(), &*said_by));
        }
        assert!(status(&rows[&full[way]]).starts_with("5.2.2 552 "), "{rows:#?}");
        assert!(status(&rows[&nobody[way]]).starts_with("5.1.1 550 "), "{rows:#?}");
        for to in [&full[way], &nobody[way]] {
            assert_logged(&server, &id, to, "failed", &said_by, status(&rows[to]));
        }
        assert!(
            [&jane, &full, &nobody].iter().all(|of| rows[&of[way]]["next_hop"] == **next_hop),
            "{rows:#?}"
        );
    }
    assert_eq!(dovecot.log().matches("saved mail to INBOX").count(), 4, "{}", dovecot.log());
}

#[test]
fn who_is_put_off_after_the_dot_is_tried_again_alone() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("hops-lmtp");
    let faults = [
        Fault::reply(At::Rcpt, "451 4.3.0 Later").of("d@box.example"),
        Fault::reply(At::Dot, "452 4.2.2 Full at this moment").of("b@box.example"),
        Fault::reply(At::Dot, "550 5.2.1 Closed").of("c@box.example"),
    ];
    let script = |faults: &[Fault]| Script { lmtp: true, ..Script::with(faults) };
    let peer = Scripted::start_unix(&directory, &directory.join("lmtp"), &script(&faults));
    let next_hop = format!("lmtp://{}", directory.join("lmtp").display());
    let server = server(&directory, &[("box.example", &next_hop)], "");
    let to = ["a", "b", "c", "d"].map(|local| format!("{local}@box.example"));
    let [a, b, c, d] = to.each_ref().map(String::as_str);
    let id = submit(&server, &[a, b, c, d], &mail("four"));
    let states = [(a, "delivered"), (b, "waiting"), (c, "failed"), (d, "waiting")];
    let rows = wait_for_states(&server, &id, &states);
    assert_eq!(status(&rows[b]), "4.2.2 452 Full at this moment");
    assert_eq!(status(&rows[c]), "5.2.1 550 Closed");
    assert_eq!(status(&rows[d]), "4.3.0 451 Later");
    // A refusal is an answer: it was not sent as far as the ledger counts.
    assert_eq!((&rows[b]["sendings"], &rows[d]["sendings"]), (&0.into(), &0.into()), "{rows:#?}");
    peer.follow(&script(&[]));
    retry(&server, &id, 3);
    wait_for_states(&server, &id, &[(a, "delivered"), (b, "delivered"), (c, "delivered"), (d, "delivered")]);
    let counts = peer.counts();
    let seen = |to: &str| (counts[to].taken, counts[to].refused);
    assert_eq!([seen(a), seen(b), seen(c), seen(d)], [(1, 0), (1, 1), (1, 1), (1, 0)], "{}", peer.log());
    assert_eq!(peer.violations(), [""; 0]);
}

/// Who was answered is settled; the others are unknown (DESIGN, "The ledger").
#[test]
fn who_was_not_answered_is_unknown() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("hops-lmtp-lost");
    let script = |faults: &[Fault]| Script { lmtp: true, ..Script::with(faults) };
    let fault = Fault::close(At::Dot).after_replies(1);
    let peer = Scripted::start(&directory, &script(&[fault]));
    let next_hop = smtp(&peer).replace("smtp:", "lmtp:");
    let server = server(&directory, &[("box.example", &next_hop)], "");
    let to = ["a@box.example", "b@box.example", "c@box.example"];
    let id = submit(&server, &to, &mail("three"));
    let rows = wait_for_states(&server, &id, &[(to[0], "delivered"), (to[1], "unknown"), (to[2], "unknown")]);
    for to in &to[1..] {
        let row = &rows[*to];
        assert_eq!((&row["sendings"], &row["maybe_delivered"]), (&1.into(), &true.into()), "{row}");
        assert_eq!(secs_to_next(row), 1800, "{row}");
        assert_logged(&server, &id, to, "unknown", &next_hop.replace("lmtp://", ""), status(row));
    }
    assert_eq!(rows[to[0]]["maybe_delivered"], false);
    peer.follow(&script(&[]));
    retry(&server, &id, 2);
    wait_for_states(&server, &id, &[(to[0], "delivered"), (to[1], "delivered"), (to[2], "delivered")]);
    let counts = peer.counts();
    let seen: Vec<_> = to.iter().map(|to| (counts[*to].taken, counts[*to].unanswered)).collect();
    assert_eq!(seen, [(1, 0), (1, 1), (1, 1)], "{}", peer.log());
}
