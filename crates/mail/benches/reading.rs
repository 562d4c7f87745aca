//! What reading a message costs: `make bench-parts`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

mod support;

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use quell_mail::content::{bucket, content};
use quell_mail::exact::exact_key;
use quell_mail::header::{fields, split};
use quell_mail::hop;
use quell_mail::id::QueueId;
use quell_mail::key::Secret;
use quell_mail::letter::read as read_letter;
use quell_mail::reading::{Reader, Reading};
use quell_mail::trace::{ReceivedStamp, SeenToken, token, verify};

use support::cpu::{CpuTime, criterion};
use support::letter::{NOW_MS, letter, letter_to};

const KIB: usize = 1 << 10;
/// What a socket gives at once.
const PIECE_BYTES: usize = 16 * KIB;
/// Addresses in one header: ten times as many must take ten times as long.
const ADDRESSES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

fn read(message: &[u8]) -> Reading {
    let mut reader = Reader::new(message.len());
    message.chunks(PIECE_BYTES).for_each(|piece| reader.push(piece).unwrap());
    reader.finish(NOW_MS)
}

fn header_scan(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("header scan");
    let message = letter(1, 4 * KIB);
    let header = split(&message).0;
    group.throughput(Throughput::Bytes(header.len() as u64));
    group.bench_function("6 Received", |b| b.iter(|| fields(black_box(header)).count()));
    group.bench_function("100,000 addresses", |b| {
        let message = letter_to(100_000);
        let header = split(&message).0;
        b.iter(|| fields(black_box(header)).count());
    });
}

/// Stamps of some 200 bytes.
const STAMPS: [(&str, &str); 4] = [
    (
        "Postfix",
        " from mail-1.relay.example (mail-1.relay.example [192.0.2.1])\r\n\tby mx-1.provider.example (Postfix) \
         with ESMTPS id 4T0123456789AB\r\n\tfor <jane@firm.example>; Sat, 21 Nov 2026 23:20:31 +0000 (UTC)\r\n",
    ),
    (
        "Exim",
        " from mail.relay.example ([192.0.2.1]:21818 helo=sender.example)\r\n\tby mx.firm.example with esmtps \
         (TLS1.3) tls TLS_AES_256_GCM_SHA384\r\n\t(Exim 4.97.1) id 1pAbCd-0000Xy-1e\r\n\tfor jane@firm.example; \
         Sat, 21 Nov 2026 23:20:31 +0000\r\n",
    ),
    (
        "Exchange",
        " from EXC1.firm.example (2001:db8:6:203::1) by EXC2.firm.example\r\n (2001:db8:6:203::2) with Microsoft \
         SMTP Server (version=TLS1_2,\r\n cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.20.6411.28; Sat, 21 \
         Nov\r\n 2026 23:20:31 +0000\r\n",
    ),
    (
        "list server",
        " from lists.example ([192.0.2.1]:55442 \"EHLO\r\n        lists.example\" rhost-flags-OK-OK-OK-OK) by \
         vger.example\r\n        with ESMTP id S229534AbjENV43 (ORCPT\r\n        <rfc822;list@vger.example>); Sat, \
         21 Nov 2026 23:20:31 +0000\r\n",
    ),
];

fn hop_parser(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("one stamp");
    for (name, value) in STAMPS {
        group.throughput(Throughput::Bytes(value.len() as u64));
        let value = value.as_bytes();
        group.bench_function(format!("parse {name}"), |b| b.iter(|| hop::parse(black_box(value))));
        group.bench_function(format!("hash {name}"), |b| b.iter(|| hop::stamp_hash(black_box(value))));
    }
}

fn reader(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("reader");
    for kib in [4, 64] {
        let message = letter(1, kib * KIB);
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(format!("{kib} KiB"), |b| b.iter(|| read(black_box(&message))));
    }
}

/// A header with very many addresses, beside a message of the same size with a short one.
fn addresses(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("addresses in a header");
    group.sample_size(10);
    for count in ADDRESSES {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("in the header", count), |b| {
            let message = letter_to(count);
            b.iter(|| read(black_box(&message)));
        });
        group.bench_function(BenchmarkId::new("as many bytes of text", count), |b| {
            let message = letter(1, letter_to(count).len());
            b.iter(|| read(black_box(&message)));
        });
    }
}

fn key(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("exact key");
    for kib in [4, 64] {
        let message = letter(1, kib * KIB);
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(format!("{kib} KiB"), |b| {
            b.iter(|| exact_key(black_box(&message), NOW_MS).unwrap());
        });
    }
}

/// The sieve runs on every message, the content on those whose bucket is taken.
fn content_key(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("content");
    let from = &b" \"The Publisher\" <news@publisher.example>\r\n"[..];
    for (name, subject) in [
        ("ASCII", &b" Re: [EXT] Figures of the third quarter, number 4711\r\n"[..]),
        ("encoded", b" =?utf-8?q?=C3=9Cbersicht_des_dritten_Quartals=2C_Nummer_4711?=\r\n"),
        ("2 KiB of openings", &b"=?utf-8?q?".repeat(205)),
    ] {
        group.bench_function(BenchmarkId::new("bucket", name), |b| {
            b.iter(|| bucket(black_box(Some(from)), black_box(Some(subject))));
        });
    }
    for kib in [5, 64] {
        let message = letter(1, kib * KIB);
        let (header, body) = split(&message);
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(format!("content, {kib} KiB"), |b| {
            b.iter(|| content(black_box(header), black_box(body)));
        });
        let footer = [body, b"____\r\nA footer\r\nof three lines\r\n"].concat();
        let (one, other) = (content(header, body), content(header, &footer));
        group.bench_function(format!("footer found, {kib} KiB"), |b| {
            b.iter(|| black_box(&one).compare(black_box(&other)));
        });
        group.bench_function(format!("footer found by fingerprint, {kib} KiB"), |b| {
            let first = one.fingerprint();
            b.iter(|| black_box(&other).likeness_to(black_box(&first)));
        });
    }
    group.bench_function("fingerprint against lines that may all be put in", |b| {
        let of = |text: &str| content(b"From: a@b\r\n", text.as_bytes());
        let first = of(&"other words\r\n".repeat(980)).fingerprint();
        let later = of(&"caution confidential\r\n".repeat(999));
        b.iter(|| black_box(&later).likeness_to(black_box(&first)));
    });
}

/// What the classes count by: on every message.
fn said(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("letter");
    let ordinary = letter(1, 5 * KIB);
    let reply = [
        b"Subject: AW: [Ticket #41] Re: =?utf-8?q?=C3=9Cbersicht?=\r\nIn-Reply-To: <1@firm.example>\r\n\
          References: <0@firm.example> <1@firm.example>\r\nThread-Topic: x\r\n",
        &ordinary[..],
    ]
    .concat();
    for (name, message) in [("ordinary", ordinary), ("reply", reply), ("50 recipients", letter_to(50))] {
        let (header, body) = split(&message);
        group.throughput(Throughput::Bytes(header.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| read_letter(black_box(header), black_box(body), "news@publisher.example"));
        });
    }
}

fn stamp(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("stamp");
    let secret = Secret::new(1, [7; 32]);
    let key = exact_key(&letter(1, 4 * KIB), NOW_MS).unwrap();
    let queue_id = QueueId::new(NOW_MS.unsigned_abs(), 1, 2);
    group.bench_function("Received with token", |b| {
        b.iter(|| {
            let stamp = ReceivedStamp {
                helo: "mail-0.relay.example",
                client_ip: Some(IpAddr::from([192, 0, 2, 1])),
                client_name: None,
                account: None,
                tls: None,
                by: "mx.firm.example",
                with: "ESMTP",
                queue_id,
                token: token(black_box(&secret), queue_id, Some(&key)),
                for_: Some("jane@firm.example"),
                ms: NOW_MS,
            };
            stamp.field()
        });
    });
    let seen =
        SeenToken { queue_id, mac: token(&secret, queue_id, Some(&key)), delivered_to_above: Vec::new() };
    group.bench_function("token verified", |b| b.iter(|| verify(&secret, black_box(&seen), &key)));
    group.bench_function("ledger key", |b| b.iter(|| secret.ledger_key(black_box(&key))));
}

criterion_group! { name = parts; config = criterion(); targets = header_scan, hop_parser, reader, addresses, key, content_key, said, stamp }
criterion_main!(parts);
