//! Every outcome of the ledger's closed set, made to happen by a next hop that speaks SMTP.

use super::*;
use crate::operate::wait_for_row;
use crate::support::free_port;
use crate::support::peers::aiosmtpd::{self, At, Count, Fault, Script, Scripted};
use crate::support::smtp::Reply;

/// One server, one next hop that does as it is told, and messages to `<case>@hop.example`.
struct Stage {
    _directory: TempDir,
    server: Server,
    peer: Scripted,
}

/// A message that was accepted.
struct Sent {
    id: String,
    to: String,
    message: Vec<u8>,
}

impl Stage {
    fn new(name: &str) -> Self {
        let directory = TempDir::new(name);
        let peer = Scripted::start(&directory, &Script::default());
        let server = server(&directory, &[("hop.example", &smtp(&peer))], NOT_KEPT);
        Stage { _directory: directory, server, peer }
    }

    fn next_hop(&self) -> String {
        format!("127.0.0.1:{}", self.peer.port)
    }

    /// Sends while the next hop has these faults.
    fn send(&self, case: &str, faults: &[Fault]) -> Sent {
        self.peer.follow(&Script::with(faults));
        let (to, message) = (format!("{case}@hop.example"), mail(case));
        Sent { id: submit(&self.server, &[&to], &message), to, message }
    }

    /// The same bytes once more, from the same source; the reply to the dot.
    fn send_again(&self, sent: &Sent) -> Reply {
        let mut client = Client::hello(self.server.smtp_port);
        client.send(FROM, &[&sent.to], &sent.message).expect("a reply")
    }

    /// How its messages came to the next hop; none: it saw no dot.
    fn count(&self, to: &str) -> Count {
        self.peer.counts().get(to).copied().unwrap_or_default()
    }

    /// Faultless again, it takes the message when it is tried.
    fn goes_out_after_all(&self, sent: &Sent, sendings: u64) {
        self.peer.follow(&Script::default());
        let (id, to) = (&*sent.id, &*sent.to);
        retry(&self.server, id, 1);
        let row = wait_for_state(&self.server, id, to, "relayed");
        assert_eq!(row["sendings"], sendings, "{row}");
        assert_logged(&self.server, id, to, "relayed", &self.next_hop(), "2.0.0 250 Taken");
    }
}

/// What may pass, at each step: the message waits, was not sent, and goes out later, once.
#[test]
fn what_may_pass_waits_and_goes_out_later() {
    if !aiosmtpd::available() {
        return;
    }
    use At::*;
    let closed = "4.4.2 the connection was closed";
    let cases = [
        ("greeting-421", Fault::reply_and_close(Greeting, "421 4.3.2 Going down"), "4.3.2 421 Going down"),
        ("greeting-554", Fault::reply(Greeting, "554 5.7.1 Not you"), "4.7.1 554 Not you"),
        ("greeting-521", Fault::reply(Greeting, "521 5.3.2 No mail"), "4.3.2 521 No mail"),
        ("greeting-none", Fault::close(Greeting), closed),
        ("greeting-half", Fault::cut(Greeting, "220 half a gree"), closed),
        ("ehlo-451", Fault::reply(Ehlo, "451 4.3.0 Not now"), "4.3.0 451 Not now"),
        ("ehlo-lost", Fault::close(Ehlo), closed),
        ("mail-451", Fault::reply(Mail, "451 4.7.1 Greylisted"), "4.7.1 451 Greylisted"),
        ("mail-lost", Fault::close(Mail), closed),
        ("mail-421", Fault::reply_and_close(Mail, "421 4.7.0 Enough"), "4.7.0 421 Enough"),
        ("rcpt-450", Fault::reply(Rcpt, "450 4.2.1 Busy"), "4.2.1 450 Busy"),
        ("rcpt-452", Fault::reply(Rcpt, "452 4.3.1 No room"), "4.3.1 452 No room"),
        ("rcpt-552", Fault::reply(Rcpt, "552 Too many recipients"), "4.0.0 552 Too many recipients"),
        ("rcpt-lost", Fault::close(Rcpt), closed),
        ("data-451", Fault::reply(Data, "451 4.3.0 No disk"), "4.3.0 451 No disk"),
        ("data-lost", Fault::close(Data), closed),
        ("dot-451", Fault::reply(Dot, "451 4.3.0 Not kept"), "4.3.0 451 Not kept"),
        ("dot-421", Fault::reply_and_close(Dot, "421 4.3.2 Going down"), "4.3.2 421 Going down"),
    ];
    let stage = Stage::new("hops-waits");
    for (case, fault, expected) in cases {
        let sent = stage.send(case, &[fault]);
        let (id, to) = (&*sent.id, &*sent.to);
        let row = wait_for_state(&stage.server, id, to, "waiting");
        assert_eq!((status(&row), &row["sendings"]), (expected, &0.into()), "{case}: {row}");
        assert!(row["next"].is_string() && row["maybe_delivered"] == false, "{case}: {row}");
        assert_logged(&stage.server, id, to, "deferred", &stage.next_hop(), expected);
        stage.goes_out_after_all(&sent, 1);
        let refused = usize::from(case.starts_with("dot-"));
        let count = Count { taken: 1, refused, unanswered: 0 };
        assert_eq!(stage.count(to), count, "{case}: {}", stage.peer.log());
    }
    assert_eq!(stage.peer.violations(), [""; 0]);
}

/// Closed in the middle of a message that is too long for the buffers between us, so that its end
/// cannot have gone out.
#[test]
fn a_connection_lost_in_the_middle_of_a_message_waits() {
    if !aiosmtpd::available() {
        return;
    }
    let stage = Stage::new("hops-middle");
    stage.peer.follow(&Script::with([Fault::close(At::Body).after_bytes(100_000)]));
    let to = "long@hop.example";
    let message = message("long", &date_now(), &"0123456789 0123456789 0123456789\r\n".repeat(500_000));
    let sent = Sent { id: submit(&stage.server, &[to], &message), to: to.to_owned(), message };
    let row = wait_for_state(&stage.server, &sent.id, to, "waiting");
    assert_eq!((status(&row), &row["sendings"]), ("4.4.2 the connection was closed", &0.into()), "{row}");
    assert_eq!(row["maybe_delivered"], false, "{row}");
    stage.goes_out_after_all(&sent, 1);
    assert!(stage.peer.expect(1)[0].content.ends_with(&sent.message));
}

/// Each recipient has its own outcome at RCPT; those who are taken share that of the dot.
#[test]
fn recipients_of_one_message_have_their_own_outcomes() {
    if !aiosmtpd::available() {
        return;
    }
    let stage = Stage::new("hops-each");
    let refuse = |to: &str, reply: &str| Fault::reply(At::Rcpt, reply).of(to);
    let to = ["a@hop.example", "b@hop.example", "c@hop.example", "d@hop.example"];
    let faults = [refuse(to[1], "550 5.1.1 No such user"), refuse(to[2], "450 4.2.1 Busy")];
    for (case, dot, taken_state) in
        [("taken", "250 2.0.0 Taken", "relayed"), ("not", "554 5.6.0 No", "failed")]
    {
        let dot = Fault::reply(At::Dot, dot);
        stage.peer.follow(&Script::with([faults.to_vec(), vec![dot]].concat()));
        let id = submit(&stage.server, &to, &mail(case));
        let states = [(to[0], taken_state), (to[1], "failed"), (to[2], "waiting"), (to[3], taken_state)];
        let rows = wait_for_states(&stage.server, &id, &states);
        assert_eq!(status(&rows[to[1]]), "5.1.1 550 No such user");
        assert_eq!(status(&rows[to[2]]), "4.2.1 450 Busy");
        let sending = stage.peer.sendings().pop().expect("a sending");
        let came: Vec<&str> = sending.recipients.iter().map(|recipient| &*recipient.to).collect();
        assert_eq!(came, [to[0], to[3]], "{case}: {}", stage.peer.log());
    }
    // All refused: no content goes out to nobody.
    stage.peer.follow(&Script::with([refuse(to[0], "550 5.1.1 No"), refuse(to[1], "450 4.2.1 Busy")]));
    let id = submit(&stage.server, &to[..2], &mail("nobody"));
    wait_for_states(&stage.server, &id, &[(to[0], "failed"), (to[1], "waiting")]);
    stage.peer.expect(2);
}

/// The next hop has closed a connection that was kept: the next message goes out all the same, at
/// once, in its first attempt.
#[test]
fn a_kept_connection_that_is_gone_costs_nothing() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("hops-stale");
    let peer = Scripted::start(&directory, &Script::default());
    let relay = "[relay]\nkeep_idle_secs = 300\nmax_sessions_per_next_hop = 1\n";
    let server = server(&directory, &[("hop.example", &smtp(&peer))], relay);
    let send = |case: &str| {
        let to = format!("{case}@hop.example");
        let id = submit(&server, &[&to], &mail(case));
        let row = wait_for_state(&server, &id, &to, "relayed");
        assert_eq!((&row["attempts"], outcomes(&server, &id, &to).len()), (&1.into(), 1), "{case}: {row}");
    };
    send("first");
    send("kept");
    assert_eq!(peer.sessions(), 1, "{}", peer.log());
    peer.follow(&Script::with([Fault::reply_and_close(At::Dot, "250 2.0.0 Taken").times(1)]));
    send("last");
    send("anew");
    peer.follow(&Script::with([Fault::reply_and_close(At::Mail, "421 4.4.2 Idle for too long").times(1)]));
    send("sent-away");
    let sessions: Vec<u64> = peer.expect(5).iter().map(|sending| sending.session).collect();
    assert_eq!(sessions, [1, 1, 1, 2, 3], "{}", peer.log());
}

/// Nobody listens there.
#[test]
fn a_refused_connection_waits() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("hops-refused");
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let server = server(&directory, &[("hop.example", &format!("smtp://{address}"))], "");
    let to = "jane@hop.example";
    let id = submit(&server, &[to], &mail("refused"));
    let row = wait_for_state(&server, &id, to, "waiting");
    assert_eq!(status(&row), "4.4.1 no connection: it refuses connections", "{row}");
    assert_logged(&server, &id, to, "deferred", &address.to_string(), status(&row));
    let peer = Scripted::start_on(&directory, address, &Script::default());
    retry(&server, &id, 1);
    wait_for_state(&server, &id, to, "relayed");
    peer.expect(1);
}

/// The wrong port, or the wrong scheme: a fault of the configuration, for which no mail fails.
#[test]
fn a_next_hop_that_takes_no_greeting_is_down() {
    if !aiosmtpd::available() {
        return;
    }
    let unknown = "500 5.5.1 Unknown command";
    let cases = [
        ("550 5.7.1 Not you", "4.7.1 550 Not you"),
        (
            unknown,
            "4.4.0 the next hop does not speak SMTP (EHLO: 500 Unknown command): is it an LMTP server? \
             then write lmtp://",
        ),
    ];
    let stage = Stage::new("hops-no-hello");
    for (number, (reply, expected)) in cases.into_iter().enumerate() {
        let faults = [Fault::reply(At::Ehlo, reply), Fault::reply(At::Helo, reply)];
        let sent = stage.send(&format!("hello-{number}"), &faults);
        let row = wait_for_state(&stage.server, &sent.id, &sent.to, "waiting");
        assert_eq!((status(&row), &row["sendings"]), (expected, &0.into()), "{row}");
        assert_logged(&stage.server, &sent.id, &sent.to, "deferred", &stage.next_hop(), expected);
        stage.goes_out_after_all(&sent, 1);
    }
}

/// What is refused for good. The next copy from the same source is refused if that was about the
/// recipient, and otherwise a new life (DESIGN, "The ledger").
#[test]
fn what_is_refused_for_good_fails() {
    if !aiosmtpd::available() {
        return;
    }
    use At::*;
    let cases = [
        ("mail-550", vec![Fault::reply(Mail, "550 5.7.1 Not from you")], "5.7.1 550 Not from you", false),
        ("mail-511", vec![Fault::reply(Mail, "550 5.1.8 Bad sender")], "5.1.8 550 Bad sender", false),
        ("rcpt-511", vec![Fault::reply(Rcpt, "550 5.1.1 No such user")], "5.1.1 550 No such user", true),
        ("rcpt-522", vec![Fault::reply(Rcpt, "552 5.2.2 Full")], "5.2.2 552 Full", true),
        ("rcpt-571", vec![Fault::reply(Rcpt, "554 5.7.1 Not to him")], "5.7.1 554 Not to him", false),
        ("rcpt-550", vec![Fault::reply(Rcpt, "550 No such user here")], "5.0.0 550 No such user here", true),
        ("data-554", vec![Fault::reply(Data, "554 5.3.0 No")], "5.3.0 554 No", false),
        ("dot-554", vec![Fault::reply(Dot, "554 5.6.0 Not this")], "5.6.0 554 Not this", false),
        ("dot-511", vec![Fault::reply(Dot, "550 5.1.1 Somebody")], "5.1.1 550 Somebody", false),
    ];
    let stage = Stage::new("hops-fails");
    for (case, faults, expected, about_recipient) in cases {
        let sent = stage.send(case, &faults);
        let (id, to) = (&*sent.id, &*sent.to);
        let row = wait_for_state(&stage.server, id, to, "failed");
        assert_eq!((status(&row), &row["attempts"]), (expected, &1.into()), "{case}: {row}");
        assert_logged(&stage.server, id, to, "failed", &stage.next_hop(), expected);
        stage.peer.follow(&Script::default());
        let again = stage.send_again(&sent);
        assert_eq!(again.is_ok(), !about_recipient, "{case}: {again:?}");
        let taken = usize::from(!about_recipient);
        if again.is_ok() {
            wait_for_state(&stage.server, id, to, "relayed");
        }
        assert_eq!(stage.count(to).taken, taken, "{case}: {}", stage.peer.log());
    }
}

/// The end of the message went out, and no answer came, or half of one.
#[test]
fn what_was_not_answered_is_unknown() {
    if !aiosmtpd::available() {
        return;
    }
    let cases = [
        ("closed", Fault::close(At::Dot)),
        ("cut", Fault::cut(At::Dot, "250 2.0.0 Ta")),
        ("garbage", Fault::reply_and_close(At::Dot, "two hundred and fifty")),
        ("goes-on", Fault::reply_and_close(At::Dot, "354 Go on")),
    ];
    let stage = Stage::new("hops-unknown");
    for (case, fault) in cases {
        let sent = stage.send(case, &[fault]);
        let (id, to) = (&*sent.id, &*sent.to);
        let row = wait_for_state(&stage.server, id, to, "unknown");
        assert_eq!((&row["sendings"], &row["attempts"]), (&1.into(), &1.into()), "{case}: {row}");
        assert_eq!((&row["maybe_delivered"], secs_to_next(&row)), (&true.into(), 1800), "{case}: {row}");
        assert_logged(&stage.server, id, to, "unknown", &stage.next_hop(), status(&row));
        let shown = done(&stage.server, &["queue", "show", id]);
        assert!(shown.contains("unknown") && shown.contains(status(&row)), "{shown}");
        // A copy is absorbed meanwhile.
        assert_eq!(stage.send_again(&sent).code, 250);
        // A fault before the dot says nothing about the sending before it.
        stage.peer.follow(&Script::with([Fault::reply(At::Mail, "451 4.3.0 Not now")]));
        retry(&stage.server, id, 1);
        let row = wait_for_row(&stage.server, id, |row| row["attempts"] == 2 && row["state"] == "unknown");
        assert_eq!((&row["sendings"], &row["maybe_delivered"]), (&1.into(), &true.into()), "{case}: {row}");
        stage.goes_out_after_all(&sent, 2);
        let Count { taken, refused, unanswered } = stage.count(to);
        assert_eq!((taken, refused + unanswered), (1, 1), "{case}: {}", stage.peer.log());
    }
}
