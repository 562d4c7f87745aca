//! Peers that send, each to `smtp-sink`.

use crate::FROM;
use crate::TO;
use crate::message;
use crate::support;
use crate::support::TempDir;
use crate::support::peers::exim;
use crate::support::peers::opensmtpd;
use crate::support::peers::postfix;
use crate::support::peers::sink::Sink;
use crate::support::peers::smtp_source;
use crate::support::peers::swaks;
use crate::support::smtp;

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
