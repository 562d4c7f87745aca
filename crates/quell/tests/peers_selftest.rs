//! The helpers of the integration tests, tried without quell: each peer sends to
//! `smtp-sink` or reads a Maildir that we wrote.

// Helpers of a test are test code too, which clippy cannot see.
#![allow(clippy::expect_used)]

mod support;

use std::io::{Read, Write};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{Resolver, TokioResolver};
use hickory_server::proto::op::{Message, Query, ResponseCode};
use hickory_server::proto::rr::{Name, RecordType};

use support::peers::aiosmtpd::{self, At, Count, Fault, Script, Scripted};
use support::peers::counter::{Copy, Counter, Dots};
use support::peers::dns::{self, Dns};
use support::peers::sink::Sink;
use support::peers::{dovecot, exim, lmtp, mutt, opensmtpd, postfix, smtp_source, swaks};
use support::{TempDir, maildir, smtp, wait_until};

const FROM: &str = "sender@client.example";
const TO: [&str; 2] = ["jane@firm.example", "john@firm.example"];

fn message(id: &str) -> Vec<u8> {
    smtp::message(id, &smtp::date_now(), "hello\r\n.a line with a dot")
}

fn sink(name: &str) -> Option<(TempDir, Sink)> {
    support::peers::available(&["smtp-sink"]).then(|| {
        let directory = TempDir::new(name);
        let sink = Sink::start(&directory);
        (directory, sink)
    })
}

/// Each of 20 test ids is there once, with both recipients.
fn assert_taken(sink: &Sink, count: usize) {
    let taken = sink.taken();
    for number in 0..count {
        let line = format!("X-Test-Id: m{number}");
        assert_eq!(taken.lines().filter(|found| *found == line).count(), 1, "{line}");
    }
    let to_both = TO.iter().all(|to| taken.contains(&format!("<{to}>")));
    assert!(to_both && taken.contains(&format!("X-Mail-Args: <{FROM}>")), "{taken}");
    assert!(taken.contains("\n.a line with a dot"), "dots come through");
}

#[test]
fn the_client_sends() {
    let Some((_directory, sink)) = sink("client") else { return };
    let messages: Vec<_> = (0..20).map(|number| message(&format!("m{number}"))).collect();
    let replies = smtp::send_all(sink.port, FROM, &TO, &messages);
    assert!(replies.len() == 20 && replies.iter().all(|reply| reply.code == 250));
    sink.expect(20);
    assert_taken(&sink, 20);
    let mut client = smtp::Client::hello(sink.port);
    let replies = client.send_pipelined(FROM, &TO, &message("p")).expect("replies");
    assert_eq!(replies.iter().map(|reply| reply.code).collect::<Vec<_>>(), [250, 250, 250, 354, 250]);
    client.raw(b"MAIL FROM:<x@y.example>\r\nRCPT TO:<").expect("written");
    drop(client);
    sink.expect(21);
}

#[test]
fn swaks_sends() {
    let Some((_directory, sink)) = sink("swaks") else { return };
    if swaks::available() {
        let (ok, said) = swaks::send(sink.port, FROM, TO[0], &["--header", "X-Test-Id: s"]);
        assert!(ok, "{said}");
        sink.expect(1);
        assert!(sink.taken().contains("X-Test-Id: s"));
        assert!(!swaks::send(1, FROM, TO[0], &[]).0, "a closed port is a failure");
    }
}

#[test]
fn smtp_source_sends() {
    let Some((_directory, sink)) = sink("source") else { return };
    if smtp_source::available() {
        let load = smtp_source::Load { messages: 200, sessions: 5, ..Default::default() };
        smtp_source::send(sink.port, &load);
        sink.expect(200);
    }
}

#[test]
fn postfix_sends() {
    let Some((directory, sink)) = sink("postfix") else { return };
    if postfix::available() {
        let postfix = postfix::Postfix::start(&directory, sink.port);
        postfix.send(FROM, &TO, &message("m0"));
        let more: Vec<_> = (1..20).map(|number| message(&format!("m{number}"))).collect();
        smtp::send_all(postfix.port, FROM, &TO, &more);
        sink.expect(20);
        assert_taken(&sink, 20);
        assert!(postfix.log().contains("status=sent"), "{}", postfix.log());
    }
}

#[test]
fn exim_sends() {
    let Some((directory, sink)) = sink("exim") else { return };
    if exim::available() {
        let exim = exim::Exim::start(&directory, sink.port);
        exim.send(FROM, &TO, &message("m0"));
        let more: Vec<_> = (1..20).map(|number| message(&format!("m{number}"))).collect();
        smtp::send_all(exim.port, FROM, &TO, &more);
        sink.expect(20);
        assert_taken(&sink, 20);
        assert!(exim.log().contains(" => "), "{}", exim.log());
    }
}

#[test]
fn opensmtpd_sends() {
    let Some((directory, sink)) = sink("opensmtpd") else { return };
    if opensmtpd::available() {
        let opensmtpd = opensmtpd::OpenSmtpd::start(&directory, sink.port);
        assert_eq!(opensmtpd.send(FROM, &TO, &message("m0")).code, 250);
        let more: Vec<_> = (1..20).map(|number| message(&format!("m{number}"))).collect();
        smtp::send_all(opensmtpd.port, FROM, &TO, &more);
        sink.expect(20);
        assert_taken(&sink, 20);
        assert!(opensmtpd.log().contains("result=\"Ok\""), "{}", opensmtpd.log());
    }
}

/// A Maildir with one new and one seen message.
fn written(directory: &TempDir) -> std::path::PathBuf {
    let maildir = directory.join("maildir");
    for part in ["tmp", "new", "cur"] {
        std::fs::create_dir_all(maildir.join(part)).expect("a directory");
    }
    for (id, name) in [("one", "new/1.Qone.mx"), ("two", "cur/2.Qtwo.mx:2,S")] {
        std::fs::write(maildir.join(name), message(id)).expect("a message");
    }
    maildir
}

#[test]
fn a_maildir_is_read_back() {
    let directory = TempDir::new("maildir");
    let maildir = written(&directory);
    let mails = maildir::read(&maildir);
    let ids: Vec<_> = mails.iter().map(|mail| mail.test_id.as_deref().expect("an id")).collect();
    assert_eq!((ids, maildir::count(&maildir)), (vec!["one", "two"], 2));
    assert_eq!(mails[0].message_id.as_deref(), Some("<one@client.example>"));
    assert!(maildir::read(&directory.join("absent")).is_empty());
}

#[test]
fn dovecot_reads_a_maildir() {
    if dovecot::available() {
        let directory = TempDir::new("dovecot");
        let maildir = written(&directory);
        let mut ids: Vec<_> = dovecot::read(&directory, &maildir)
            .iter()
            .map(|mail| maildir::field(mail, "X-Test-Id").expect("an id"))
            .collect();
        ids.sort();
        assert_eq!(ids, ["one", "two"]);
        std::fs::remove_file(maildir.join("new/1.Qone.mx")).expect("removed");
        std::fs::remove_file(maildir.join("cur/2.Qtwo.mx:2,S")).expect("removed");
        assert!(dovecot::read(&directory, &maildir).is_empty());
    }
}

#[test]
fn mutt_reads_a_maildir() {
    if mutt::available() {
        let directory = TempDir::new("mutt");
        let read = mutt::read(&directory, &written(&directory));
        let found: Vec<_> = read.lines().filter(|line| line.starts_with("X-Test-Id:")).collect();
        assert_eq!(found.len(), 2, "{read}");
    }
}

/// A scripted server and a connection past the greeting.
fn scripted(directory: &TempDir, script: &Script) -> (Scripted, smtp::Client) {
    let server = Scripted::start(directory, script);
    let (client, greeting) = smtp::Client::connect(server.port).expect("a connection");
    assert_eq!(greeting.code, 220);
    (server, client)
}

/// Codes of the replies to these lines, one after the other.
fn codes(client: &mut smtp::Client, lines: &[&str]) -> Vec<u16> {
    lines.iter().map(|line| client.command(line).expect("a reply").code).collect()
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
    let script = Script {
        pipelining: false,
        eightbit: false,
        smtputf8: false,
        dsn: false,
        size_bytes: None,
        ..Script::default()
    };
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
fn dovecot_takes_lmtp_for_each_recipient() {
    if !lmtp::available() {
        return;
    }
    let directory = TempDir::new("lmtp");
    let server = lmtp::Lmtp::start(&directory, &TO, &["full@firm.example"]);
    let (mut client, _) = smtp::Client::connect(server.port).expect("a connection");
    let lines = [
        "LHLO client.example",
        "MAIL FROM:<sender@client.example>",
        "RCPT TO:<jane@firm.example>",
        "RCPT TO:<nobody@firm.example>",
        "RCPT TO:<full@firm.example>",
        "RCPT TO:<john@firm.example>",
        "DATA",
    ];
    assert_eq!(codes(&mut client, &lines), [250, 250, 250, 550, 250, 250, 354]);
    client.data(&message("m")).expect("written");
    let replies: Vec<_> = (0..3).map(|_| client.reply().expect("a reply")).collect();
    assert_eq!(
        replies.iter().map(|reply| reply.code).collect::<Vec<_>>(),
        [250, 552, 250],
        "{}",
        server.log()
    );
    for to in TO {
        let mails = maildir::read(&server.maildir(to));
        assert!(mails.len() == 1 && mails[0].test_id.as_deref() == Some("m"), "{mails:?}");
    }
    assert_eq!(maildir::count(&server.maildir("full@firm.example")), 0);
    std::os::unix::net::UnixStream::connect(&server.socket).expect("a connection");
}

#[test]
fn a_counter_knows_what_was_sent_twice() {
    let counter = Counter::start();
    let copy = |to: &str, id: &str| Copy {
        reverse_path: FROM.into(),
        recipient: to.to_owned(),
        message_id: format!("<{id}@client.example>").into(),
    };
    let replies = smtp::send_all(counter.port, FROM, &TO, &[message("a"), message("b"), message("a")]);
    assert!(replies.len() == 3 && replies.iter().all(|reply| reply.code == 250));
    assert!(counter.wait_for(4, Duration::from_secs(5)));
    let counts = counter.counts();
    assert_eq!(counts[&copy(TO[0], "a")], Dots { seen: 2, answered: 2, confirmed: 2 });
    assert_eq!(counts[&copy(TO[1], "b")], Dots { seen: 1, answered: 1, confirmed: 1 });
    assert_eq!((counter.repeated().len(), counter.usage().dots, counter.usage().peak_recipients), (2, 3, 2));
    // Gone before the answer.
    counter.hold_answers(true);
    let mut client = smtp::Client::hello(counter.port);
    let lines = ["MAIL FROM:<sender@client.example>", "RCPT TO:<jane@firm.example>", "DATA"];
    assert_eq!(codes(&mut client, &lines), [250, 250, 354]);
    client.data(&message("c")).expect("written");
    assert!(counter.wait_for(5, Duration::from_secs(5)));
    drop(client);
    counter.hold_answers(false);
    let closed = || counter.open_sessions() == 0;
    assert!(wait_until(Duration::from_secs(5), closed));
    assert_eq!(counter.counts()[&copy(TO[0], "c")], Dots { seen: 1, answered: 0, confirmed: 0 });
    // Answered, and nothing was heard again; then a message that breaks off.
    let mut client = smtp::Client::hello(counter.port);
    assert_eq!(client.send(FROM, &[TO[0]], &message("d")).expect("a reply").code, 250);
    drop(client);
    assert!(wait_until(Duration::from_secs(5), closed));
    assert_eq!(counter.counts()[&copy(TO[0], "d")], Dots { seen: 1, answered: 1, confirmed: 0 });
    let mut client = smtp::Client::hello(counter.port);
    assert_eq!(codes(&mut client, &lines), [250, 250, 354]);
    client.raw(b"Message-ID: <e@client.example>\r\n\r\n.\nno end\r\n").expect("written");
    drop(client);
    assert!(wait_until(Duration::from_secs(5), || counter.usage().broken_off == 1));
    assert_eq!((counter.distinct(), counter.usage().sessions, counter.usage().peak_sessions), (6, 4, 1));
}

#[test]
fn a_counter_takes_lmtp_and_many_sessions() {
    let counter = Counter::start();
    let (mut client, _) = smtp::Client::connect(counter.port).expect("a connection");
    let lines =
        ["LHLO client.example", "MAIL FROM:<>", "RCPT TO:<a@b.example>", "RCPT TO:<c@b.example>", "DATA"];
    assert_eq!(codes(&mut client, &lines), [250, 250, 250, 250, 354]);
    client.data(&message("m")).expect("written");
    assert_eq!([client.reply().expect("a reply").code, client.reply().expect("a reply").code], [250, 250]);
    client.quit().expect("a reply");
    if smtp_source::available() {
        let load = smtp_source::Load { messages: 2000, sessions: 20, ..Default::default() };
        smtp_source::send(counter.port, &load);
        assert_eq!(counter.usage().dots, 2001);
    }
}

const ZONE: &str = "
firm.example MX 10 mx1.firm.example
firm.example MX 20 mx2.firm.example.
mx1.firm.example A 127.0.0.2
mx1.firm.example AAAA ::1
mx2.firm.example 60 A 127.0.0.3
null.example MX 0 .
alias.example CNAME firm.example
plain.example A 127.0.0.4
";

/// Asks over a socket of our own; `None` if no answer comes within half a second.
fn ask(dns: &Dns, name: &str, kind: RecordType, tcp: bool) -> Option<Message> {
    let mut query = Message::query();
    query.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    let bytes = query.to_vec().expect("a question");
    let mut buffer = vec![0; 65_535];
    let half_a_second = Some(Duration::from_millis(500));
    if tcp {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", dns.port)).expect("a connection");
        stream.set_read_timeout(half_a_second).expect("a limit");
        stream.write_all(&[&(bytes.len() as u16).to_be_bytes(), &*bytes].concat()).expect("written");
        stream.read_exact(&mut buffer[..2]).ok()?;
        buffer.truncate(usize::from(u16::from_be_bytes([buffer[0], buffer[1]])));
        stream.read_exact(&mut buffer).ok()?;
    } else {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(half_a_second).expect("a limit");
        socket.send_to(&bytes, ("127.0.0.1", dns.port)).expect("sent");
        let length = socket.recv(&mut buffer).ok()?;
        buffer.truncate(length);
    }
    Some(Message::from_vec(&buffer).expect("an answer"))
}

/// Code and number of answers, over UDP.
fn asked(dns: &Dns, name: &str, kind: RecordType) -> (ResponseCode, usize) {
    let answer = ask(dns, name, kind, false).expect("an answer");
    (answer.metadata.response_code, answer.answers.len())
}

#[test]
fn dns_answers_from_its_zone() {
    let dns = Dns::start(ZONE);
    let (ok, none) = (ResponseCode::NoError, ResponseCode::NXDomain);
    assert_eq!(asked(&dns, "FIRM.example.", RecordType::MX), (ok, 2));
    assert_eq!(asked(&dns, "mx1.firm.example.", RecordType::AAAA), (ok, 1));
    assert_eq!(asked(&dns, "plain.example.", RecordType::MX), (ok, 0));
    assert_eq!(asked(&dns, "absent.example.", RecordType::MX), (none, 0));
    // The alias and what it stands for.
    assert_eq!(asked(&dns, "alias.example.", RecordType::MX), (ok, 3));
    let null = ask(&dns, "null.example.", RecordType::MX, true).expect("an answer");
    assert_eq!(null.answers[0].data.to_string(), "0 .");
    dns.set_zone("other.example A 127.0.0.9");
    assert_eq!(asked(&dns, "firm.example.", RecordType::MX), (none, 0));
    assert_eq!(asked(&dns, "other.example.", RecordType::A), (ok, 1));
    let last = dns::Question { name: "other.example".into(), kind: "A".into(), tcp: false };
    assert_eq!((dns.asked("firm.example", "MX"), dns.questions().last()), (2, Some(&last)));
}

#[test]
fn dns_has_faults_by_name() {
    let dns = Dns::start(ZONE);
    let truncated =
        |tcp| ask(&dns, "firm.example.", RecordType::MX, tcp).map(|answer| answer.metadata.truncation);
    dns.fault("firm.example", "MX", dns::Fault::ServFail);
    assert_eq!(asked(&dns, "firm.example.", RecordType::MX), (ResponseCode::ServFail, 0));
    assert_eq!(asked(&dns, "mx1.firm.example.", RecordType::A), (ResponseCode::NoError, 1));
    dns.fault("firm.example", "*", dns::Fault::Refused);
    assert_eq!(asked(&dns, "firm.example.", RecordType::A), (ResponseCode::Refused, 0));
    dns.heal("firm.example");
    assert_eq!(asked(&dns, "firm.example.", RecordType::MX), (ResponseCode::NoError, 2));
    dns.fault("firm.example", "*", dns::Fault::Silent);
    assert_eq!((truncated(false), truncated(true)), (None, None));
    dns.fault("firm.example", "*", dns::Fault::Truncated);
    assert_eq!((truncated(false), truncated(true)), (Some(true), Some(false)));
    dns.fault("firm.example", "*", dns::Fault::TruncatedNoTcp);
    assert_eq!((truncated(false), truncated(true)), (Some(true), None));
    dns.fault("firm.example", "*", dns::Fault::DelayMs(200));
    let start = std::time::Instant::now();
    assert_eq!((truncated(false), start.elapsed() >= Duration::from_millis(200)), (Some(false), true));
}

/// A resolver that asks this server only.
fn resolver(dns: &Dns) -> TokioResolver {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    connections.iter_mut().for_each(|connection| connection.port = dns.port);
    let server = NameServerConfig::new([127, 0, 0, 1].into(), true, connections);
    let config = ResolverConfig::from_name_servers(vec![server]);
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.options_mut().timeout = Duration::from_millis(500);
    builder.options_mut().attempts = 1;
    builder.build().expect("a resolver")
}

#[test]
fn a_resolver_gets_long_and_truncated_answers_over_tcp() {
    let many: String =
        (0..200).map(|number| format!("many.example MX 10 mx{number}.firm.example\n")).collect();
    let dns = Dns::start(&(ZONE.to_owned() + &many));
    dns.fault("firm.example", "MX", dns::Fault::Truncated);
    dns.fault("plain.example", "*", dns::Fault::Silent);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let resolver = runtime.block_on(async { resolver(&dns) });
    let mx = |name: &'static str| {
        let lookup = runtime.block_on(resolver.mx_lookup(name));
        lookup.map(|lookup| lookup.answers().len()).ok()
    };
    assert!(ask(&dns, "many.example.", RecordType::MX, false).expect("an answer").metadata.truncation);
    assert_eq!(
        (mx("many.example."), mx("firm.example."), mx("null.example.")),
        (Some(200), Some(2), Some(1))
    );
    assert_eq!((mx("plain.example."), mx("absent.example.")), (None, None));
    for name in ["many.example", "firm.example"] {
        let over_tcp = |question: &dns::Question| question.name == name && question.tcp;
        assert!(dns.questions().iter().any(over_tcp), "{:?}", dns.questions());
    }
    let addresses = runtime.block_on(resolver.lookup_ip("mx1.firm.example.")).expect("addresses");
    assert_eq!(addresses.iter().count(), 2);
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
