//! What a message costs in the sessions of SMTP, both sides: `make bench-parts`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

#[path = "../../mail/benches/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quell_wire::client;
use quell_wire::client::{Encoder, Envelope};
use quell_wire::data::{Decoder, Piece};
use quell_wire::path::Path;
use quell_wire::reply::Reply;
use quell_wire::server::{MailFrom, RcptTo, Session, Settings, Step};

use support::cpu::{CpuTime, criterion};
use support::letter::letter;

const KIB: usize = 1 << 10;

/// Gives all of `input` to the session, yes to every question, and takes the replies. How many
/// messages came to their end.
fn feed(session: &mut Session, mut input: &[u8]) -> usize {
    let mut messages = 0;
    loop {
        let (taken, step) = session.next(input);
        input = &input[taken..];
        match step {
            Step::NeedInput | Step::Closed(_) => break,
            Step::Mail(question, mail) => {
                black_box(mail);
                session.answer(question, Reply::sender_ok());
            }
            Step::Rcpt(question, rcpt) => {
                black_box(rcpt);
                session.answer(question, Reply::recipient_ok());
            }
            Step::Begin { question, .. } => session.answer(question, Reply::go_ahead()),
            Step::Data(bytes) => {
                black_box(bytes);
            }
            Step::End { question, .. } => {
                messages += 1;
                session.answer(question, Reply::new(250, (0, 0), "Ok: queued as 0123456789abcdef"));
            }
            Step::SignIn(question, _) | Step::StoredFor(question, _) => {
                session.answer(question, Reply::new(535, (7, 8), "nobody signs in here"));
            }
            Step::Hello { .. } | Step::Flush | Step::NeedAnswer | Step::Reset | Step::StartTls => {}
        }
    }
    black_box(session.output()).clear();
    messages
}

const ENVELOPE: [&[u8]; 3] =
    [b"MAIL FROM:<news@publisher.example> SIZE=4096\r\n", b"RCPT TO:<jane@firm.example>\r\n", b"DATA\r\n"];

fn server(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("server session");
    group.throughput(Throughput::Elements(1));
    let settings = Arc::new(Settings::new("mx.firm.example"));
    let content = [&letter(1, 4 * KIB)[..], b".\r\n"].concat();
    let pipelined = ENVELOPE.concat();
    let mut session = Session::new(Arc::clone(&settings));
    feed(&mut session, b"EHLO mail.relay.example\r\n");
    group.bench_function("4 KiB, kept, pipelined", |b| {
        b.iter(|| {
            feed(&mut session, &pipelined);
            assert_eq!(feed(&mut session, black_box(&content)), 1);
        });
    });
    group.bench_function("4 KiB, kept, one command at a time", |b| {
        b.iter(|| {
            ENVELOPE.iter().for_each(|line| {
                feed(&mut session, line);
            });
            assert_eq!(feed(&mut session, black_box(&content)), 1);
        });
    });
    group.bench_function("4 KiB, a connection of its own", |b| {
        b.iter(|| {
            let mut session = Session::new(Arc::clone(&settings));
            feed(&mut session, b"EHLO mail.relay.example\r\n");
            ENVELOPE.iter().for_each(|line| {
                feed(&mut session, line);
            });
            assert_eq!(feed(&mut session, black_box(&content)), 1);
            feed(&mut session, b"QUIT\r\n");
        });
    });
}

fn path(address: &str) -> Path {
    Path::parse(format!("<{address}>").as_bytes()).unwrap().0
}

fn envelope() -> Envelope {
    let mail = MailFrom {
        reverse_path: path("news@publisher.example"),
        size_bytes: Some(4096),
        smtputf8: false,
        eight_bit: false,
        ret: None,
        envid: None,
    };
    let rcpt = RcptTo { forward_path: path("jane@firm.example"), notify: None, orcpt: None };
    Envelope { mail, recipients: vec![rcpt] }
}

/// Does what the session says, with these replies, until it has nothing more to do. How many
/// outcomes there were.
fn talk(session: &mut client::Session, replies: &[&[u8]], message: &[u8]) -> usize {
    let (mut replies, mut outcomes) = (replies.iter(), 0);
    loop {
        match session.next() {
            client::Step::Write(bytes) => drop(black_box(bytes)),
            client::Step::NeedInput(_) => session.input(replies.next().unwrap()),
            client::Step::SendBody => {
                let mut rest = message;
                while !rest.is_empty() {
                    let (taken, out) = session.body(rest);
                    black_box(out);
                    rest = &rest[taken..];
                }
                session.body_end();
            }
            client::Step::Dot(recipients) => {
                black_box(recipients);
                session.dot_recorded();
            }
            client::Step::Outcome { outcome, .. } => {
                black_box(outcome);
                outcomes += 1;
            }
            client::Step::StartTls => session.secured(),
            client::Step::Done | client::Step::Closed => return outcomes,
        }
    }
}

const GREETING: &[u8] = b"220 mx.provider.example ESMTP Postfix\r\n";
const OFFER: &[u8] =
    b"250-mx.provider.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-VRFY\r\n250-ETRN\r\n\
    250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250 CHUNKING\r\n";
const TAKEN: &[u8] = b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n";
const QUEUED: &[u8] = b"250 2.0.0 Ok: queued as 4T2B3C4D5E6F\r\n";

fn client_side(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("client session");
    group.throughput(Throughput::Elements(1));
    let (settings, message) = (client::Settings::new("mx.firm.example"), letter(1, 4 * KIB));
    group.bench_function("4 KiB, a connection of its own", |b| {
        b.iter(|| {
            let mut session = client::Session::new(settings.clone(), envelope());
            assert_eq!(talk(&mut session, &[GREETING, OFFER, TAKEN, QUEUED], black_box(&message)), 1);
            session.quit();
            talk(&mut session, &[b"221 2.0.0 Bye\r\n"], b"");
        });
    });
    let mut session = client::Session::new(settings.clone(), envelope());
    talk(&mut session, &[GREETING, OFFER, TAKEN, QUEUED], &message);
    group.bench_function("4 KiB, kept", |b| {
        b.iter(|| {
            session.begin(envelope()).unwrap();
            assert_eq!(talk(&mut session, &[TAKEN, QUEUED], black_box(&message)), 1);
        });
    });
}

fn content(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("content");
    for kib in [4, 64] {
        let message = letter(1, kib * KIB);
        group.throughput(Throughput::Bytes(message.len() as u64));
        let wire = [&message[..], b".\r\n"].concat();
        group.bench_function(format!("decoded, {kib} KiB"), |b| {
            b.iter(|| {
                let (mut decoder, mut rest) = (Decoder::for_data(), &wire[..]);
                while let (taken, Piece::Content(_) | Piece::More) = black_box(decoder.next(rest)) {
                    rest = &rest[taken..];
                }
            });
        });
        group.bench_function(format!("encoded, {kib} KiB"), |b| {
            b.iter(|| {
                let (mut encoder, mut rest) = (Encoder::default(), &message[..]);
                while !rest.is_empty() {
                    rest = &rest[black_box(encoder.next(rest)).0..];
                }
            });
        });
    }
}

criterion_group! { name = parts; config = criterion(); targets = server, client_side, content }
criterion_main!(parts);
