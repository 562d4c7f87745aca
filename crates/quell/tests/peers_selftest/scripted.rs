//! The scripted next hop, on aiosmtpd.

use crate::FROM;
use crate::TO;
use crate::codes;
use crate::message;
use crate::support::TempDir;
use crate::support::peers::aiosmtpd;
use crate::support::peers::aiosmtpd::At;
use crate::support::peers::aiosmtpd::Count;
use crate::support::peers::aiosmtpd::Fault;
use crate::support::peers::aiosmtpd::Script;
use crate::support::peers::aiosmtpd::Scripted;
use crate::support::smtp;
use crate::support::wait_until;
use std::time::Duration;

/// A scripted server and a connection past the greeting.
fn scripted(directory: &TempDir, script: &Script) -> (Scripted, smtp::Client) {
    let server = Scripted::start(directory, script);
    let (client, greeting) = smtp::Client::connect(server.port).expect("a connection");
    assert_eq!(greeting.code, 220);
    (server, client)
}

const DSN_MAIL: &str = "MAIL FROM:<> SIZE=100 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=Qx";

const DSN_RCPT: &str =
    "RCPT TO:<Jane+x@firm.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Jane+2Bx@firm.example";

#[test]
fn aiosmtpd_records_what_came() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("scripted");
    let (server, mut client) = scripted(&directory, &Script::default());
    let message = message("m");
    let lines = ["EHLO client.example", DSN_MAIL, DSN_RCPT, "RCPT TO:<\"a > b\"@firm.example>", "DATA"];
    assert_eq!(codes(&mut client, &lines), [250, 250, 250, 250, 354]);
    client.data(&message).expect("written");
    assert_eq!(client.reply().expect("a reply").code, 250);
    client.quit().expect("a reply");
    let [sending] = &server.expect(1)[..] else { panic!("one message") };
    assert_eq!(
        (sending.helo.as_str(), sending.reverse_path.as_str(), sending.esmtp),
        ("client.example", "", true)
    );
    assert_eq!(sending.parameters, ["SIZE=100", "BODY=8BITMIME", "SMTPUTF8", "RET=HDRS", "ENVID=Qx"]);
    let to: Vec<_> =
        sending.recipients.iter().map(|to| (to.to.as_str(), to.parameters.len(), to.is_taken())).collect();
    assert_eq!(to, [("Jane+x@firm.example", 2, true), ("\"a > b\"@firm.example", 0, true)]);
    assert_eq!((sending.content.as_slice(), sending.field("X-Test-Id")), (&*message, Some("m".to_owned())));
    assert_eq!((server.sessions(), server.commands("RCPT").len(), server.replies("354").len()), (1, 2, 1));
    assert!(server.violations().is_empty() && server.output().is_empty(), "{}", server.log());
}

#[test]
fn aiosmtpd_refuses_what_the_script_says() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("scripted");
    let faults = [
        Fault::reply(At::Rcpt, "550 5.1.1 Nobody").of("No@firm.example"),
        Fault::reply(At::Rcpt, "552-5.2.2 Full\n552 5.2.2 Really").of("full@firm.example").times(1),
        Fault::reply(At::Dot, "451 4.3.0 Later").of("later@firm.example"),
        Fault::reply(At::Dot, "554 5.6.0 Never").skip(1).times(1),
    ];
    let script = Script { max_recipients: Some(2), ..Script::with(faults) };
    let (server, mut client) = scripted(&directory, &script);
    codes(&mut client, &["EHLO client.example", "MAIL FROM:<a@b.example>"]);
    let rcpt = |name: &str| format!("RCPT TO:<{name}@firm.example>");
    let lines = ["no", "full", "full", "later", "third"].map(rcpt);
    let replies = client.pipelined(&lines).expect("replies");
    assert_eq!(replies.iter().map(|reply| reply.code).collect::<Vec<_>>(), [550, 552, 250, 250, 452]);
    assert_eq!((replies[1].lines.len(), codes(&mut client, &["DATA"])), (2, vec![354]));
    client.data(&message("m0")).expect("written");
    assert_eq!(client.reply().expect("a reply").code, 451);
    for expected in [250, 554, 250] {
        let reply = client.send(FROM, &["x@firm.example"], &message("m1")).expect("a reply");
        assert_eq!(reply.code, expected);
    }
    let counts = server.counts();
    assert_eq!(counts["x@firm.example"], Count { taken: 2, refused: 1, unanswered: 0 });
    assert_eq!(counts["later@firm.example"], Count { taken: 0, refused: 1, unanswered: 0 });
    assert_eq!((counts.len(), server.deliveries().len()), (3, 2));
    server.follow(&Script::default());
    assert_eq!(codes(&mut client, &["MAIL FROM:<a@b.example>", "RCPT TO:<no@firm.example>"]), [250, 250]);
}

#[test]
fn aiosmtpd_hangs_closes_and_is_late() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("scripted");
    let faults = |at| [Fault::close(at).times(1), Fault::cut(at, "25").times(1), Fault::delay(at, 300)];
    let ok = |reply: std::io::Result<smtp::Reply>| reply.is_ok_and(|reply| reply.is_ok());
    for (at, line) in [(At::Ehlo, 0), (At::Mail, 1), (At::Rcpt, 2), (At::Data, 3)] {
        let server = Scripted::start(&directory, &Script::with(faults(at)));
        let lines = ["EHLO client.example", "MAIL FROM:<a@b.example>", "RCPT TO:<x@firm.example>", "DATA"];
        for expected in [false, false, true] {
            let (mut client, _) = smtp::Client::connect(server.port).expect("a connection");
            assert!(lines[..line].iter().all(|line| ok(client.command(line))));
            let start = std::time::Instant::now();
            assert_eq!(ok(client.command(lines[line])), expected, "{at:?} {}", server.log());
            assert_eq!(start.elapsed() > Duration::from_millis(300), expected, "{at:?}");
        }
    }
    let greeting = [Fault::close(At::Greeting).times(1), Fault::reply(At::Greeting, "554 No").times(1)];
    let server = Scripted::start(&directory, &Script::with(greeting));
    assert!(smtp::Client::connect(server.port).is_err());
    assert_eq!(smtp::Client::connect(server.port).expect("a greeting").1.code, 554);
    assert_eq!(smtp::Client::connect(server.port).expect("a greeting").1.code, 220);
    let script = Script::with([Fault::reply_and_close(At::Mail, "421 4.3.2 Closing")]);
    let (_server, mut client) = scripted(&directory, &script);
    assert_eq!(codes(&mut client, &["EHLO client.example", "MAIL FROM:<a@b.example>"]), [250, 421]);
    assert!(client.reply().is_err(), "closed");
}

#[test]
fn aiosmtpd_leaves_the_dot_unanswered() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("scripted");
    let dot =
        [Fault::close(At::Dot).times(1), Fault::cut(At::Dot, "25").times(1), Fault::hang(At::Dot).times(1)];
    let server = Scripted::start(&directory, &Script::with(dot));
    for _ in 0..2 {
        let mut client = smtp::Client::hello(server.port);
        assert!(client.send(FROM, &[TO[0]], &message("m")).is_err());
    }
    let mut client = smtp::Client::hello(server.port);
    codes(&mut client, &["MAIL FROM:<a@b.example>", &format!("RCPT TO:<{}>", TO[0]), "DATA"]);
    client.data(&message("m")).expect("written");
    assert_eq!(server.expect(3).len(), 3);
    drop(client);
    assert!(smtp::Client::hello(server.port).send(FROM, &[TO[0]], &message("m")).expect("a reply").is_ok());
    assert_eq!(server.counts()[TO[0]], Count { taken: 1, refused: 0, unanswered: 3 });
    // A message that breaks off is none.
    server.follow(&Script::with([Fault::close(At::Body).after_bytes(30)]));
    assert!(smtp::Client::hello(server.port).send(FROM, &[TO[0]], &message("m")).is_err());
    assert_eq!(server.expect(4).len(), 4);
    assert!(server.violations().is_empty() && server.output().is_empty(), "{}", server.log());
}

#[test]
fn aiosmtpd_notices_what_a_client_may_not_do() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("scripted");
    let script = Script::bare();
    let (server, mut client) = scripted(&directory, &script);
    let offered = client.command("EHLO client.example").expect("a reply").lines;
    assert_eq!(offered, ["scripted.example", "ENHANCEDSTATUSCODES"]);
    for parameter in ["SIZE=1", "BODY=8BITMIME", "SMTPUTF8", "ENVID=x"] {
        assert_eq!(codes(&mut client, &[&format!("MAIL FROM:<a@b.example> {parameter}")]), [555]);
    }
    assert_eq!(server.violations().len(), 4);
    client
        .pipelined(&["MAIL FROM:<a@b.example>", "RCPT TO:<x@y.example>", "DATA"].map(str::to_owned))
        .expect("replies");
    client.raw(b"A: b\r\n\r\nbare\nnewline\r\n.\r\n").expect("written");
    assert_eq!(client.reply().expect("a reply").code, 250);
    let violations = server.violations();
    assert!(
        violations.len() > 5 && violations.last().is_some_and(|what| what.contains("bare")),
        "{violations:?}"
    );
    let (server, mut client) = scripted(&directory, &Script { helo_only: true, ..Script::default() });
    let lines = [
        "EHLO client.example",
        "HELO client.example",
        "MAIL FROM:<a@b.example> SIZE=1",
        "MAIL FROM:<a@b.example>",
    ];
    assert_eq!(codes(&mut client, &lines), [502, 250, 501, 250]);
    assert_eq!(server.replies("501").len(), 1);
}

#[test]
fn aiosmtpd_answers_each_recipient_of_lmtp() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("scripted");
    let faults = [
        Fault::reply(At::Dot, "552 5.2.2 Full").of("full@firm.example"),
        Fault::close(At::Dot).after_replies(2).times(1),
    ];
    let socket = directory.join("lmtp.sock");
    let script = Script { lmtp: true, ..Script::with(faults) };
    let unix = Scripted::start_unix(&directory, &socket, &script);
    std::os::unix::net::UnixStream::connect(&socket).expect("a connection");
    assert!(wait_until(Duration::from_secs(5), || unix.sessions() == 1));
    let (server, mut client) = scripted(&directory, &script);
    let rcpt = ["a", "full", "c"].map(|name| format!("RCPT TO:<{name}@firm.example>"));
    for expected in [&[250, 552][..], &[250, 552, 250]] {
        assert_eq!(
            codes(&mut client, &["EHLO x", "LHLO client.example", "MAIL FROM:<a@b.example>"]),
            [500, 250, 250]
        );
        assert_eq!(codes(&mut client, &[&rcpt[0], &rcpt[1], &rcpt[2], "DATA"]), [250, 250, 250, 354]);
        client.data(&message("m")).expect("written");
        let replies: Vec<_> = expected.iter().map(|_| client.reply().expect("a reply").code).collect();
        assert_eq!(replies, expected);
        client = smtp::Client::connect(server.port).expect("a connection").0;
    }
    let counts = server.counts();
    assert_eq!(counts["c@firm.example"], Count { taken: 1, refused: 0, unanswered: 1 });
    assert_eq!(counts["full@firm.example"], Count { taken: 0, refused: 2, unanswered: 0 });
    assert_eq!(counts["a@firm.example"].taken, 2);
}

#[test]
fn aiosmtpd_listens_where_it_is_told_and_comes_back() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("scripted");
    let addresses = [[127, 0, 0, 2], [127, 0, 0, 3]].map(std::net::IpAddr::from);
    let port = aiosmtpd::shared_port(&addresses);
    let listens = |ip: std::net::IpAddr| smtp::Client::connect_to((ip, port).into()).is_ok();
    let [one, other] =
        addresses.map(|ip| Scripted::start_on(&directory, (ip, port).into(), &Script::default()));
    assert!(addresses.into_iter().all(listens));
    assert_eq!((one.sessions(), other.sessions()), (1, 1));
    drop(one);
    assert!(!listens(addresses[0]) && listens(addresses[1]));
    let one = Scripted::start_on(&directory, (addresses[0], port).into(), &Script::default());
    assert!(listens(addresses[0]) && one.sessions() == 1);
}
