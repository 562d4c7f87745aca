//! Stamps of the servers of offices and of the very large providers.

use std::net::IpAddr;

use super::super::clock;
use super::super::dice::Dice;
use super::super::machine::{Machine, Peer};
use super::{Envelope, folded, ids};

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const CIPHER: &str = "cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";

pub fn smtpsvc(to: &Machine, peer: &Peer, shown: i64, dice: &mut Dice) -> String {
    let remark = match (&peer.rdns, dice.below(12)) {
        (None, 0) => " RDNS failed",
        (_, 1) => " unverified",
        _ => "",
    };
    let (ip, date) = (peer.ip, clock::plain(shown, to.zone));
    format!(
        "Received: from {} ([{ip}]{remark}) by {} with Microsoft SMTPSVC({});\n\t {date}",
        peer.helo, to.by, to.version
    )
}

pub fn exchange(to: &Machine, peer: &Peer, shown: i64, dice: &mut Dice) -> String {
    let tls = match (to.tls, to.by.len() % 2) {
        (false, _) => String::new(),
        (true, 0) => format!(" (version=TLS1_2, {CIPHER})"),
        (true, _) => " (TLS)".to_owned(),
    };
    let via = if dice.one_in(3) { " via Frontend Transport" } else { "" };
    let (version, date) = (&to.version, clock::plain(shown, to.zone));
    let text = format!(
        "Received: from {} ({}) by {} ({}) with Microsoft SMTP Server{tls} id {version}{via}; {date}",
        peer.helo, peer.ip, to.by, to.inside
    );
    folded(&text, " ")
}

/// The edge, then one or two servers behind it.
pub fn microsoft365(to: &Machine, peer: &Peer, shown: i64, dice: &mut Dice) -> Vec<String> {
    let server = |dice: &mut Dice| {
        let site = dice.pick(["AM5PR04", "DB6PR07", "VI1PR05", "SA0PR12", "HE1PR08"]);
        (
            format!("{site}MB{}", dice.digits(4)),
            format!("2603:10a6:{}:{}::{}", dice.hex(3), dice.hex(2), dice.count(1, 40)),
        )
    };
    let edge = to.by.clone();
    let with = format!("with Microsoft SMTP Server (version=TLS1_2, {CIPHER}) id {}", to.version);
    let named = peer.helo.clone();
    let date = clock::plain(shown, clock::UTC);
    let first = format!(
        "Received: from {named} ({}) by {edge} (10.152.{}.{}) {with} via Frontend Transport; {date}",
        peer.ip,
        dice.count(1, 90),
        dice.count(1, 200)
    );
    let mut stamps = vec![folded(&first, " ")];
    let (mut from, mut from_ip) = (edge, format!("2a01:111:f400:{}::{}", dice.hex(4), dice.digits(3)));
    for _ in 0..dice.count(1, 2) {
        let (name, ip) = server(dice);
        let by = format!("{name}.eurprd04.prod.outlook.com");
        let text = format!("Received: from {from} ({from_ip}) by {by} ({ip}) {with}; {date}");
        stamps.push(folded(&text, " "));
        (from, from_ip) = (by, ip);
    }
    stamps
}

/// The edge, then a line without `from`.
pub fn google(to: &Machine, peer: &Peer, env: Envelope<'_>, shown: i64, dice: &mut Dice) -> Vec<String> {
    let from = match &peer.rdns {
        Some(rdns) => format!("{} ({rdns}. [{}])", peer.helo, peer.ip),
        None => format!("{} ([{}])", peer.helo, peer.ip),
    };
    let time = clock::digits(shown, to.zone);
    let part = |a: usize, b: usize| time.get(a..b).unwrap_or("00").to_owned();
    let session =
        format!("{}{}si{}{}", dice.text(LOWER, 1), dice.digits(2), dice.digits(7), dice.text(LOWER, 3));
    let id = format!(
        "{session}.{}.{}.{}.{}.{}.{}.{}",
        dice.digits(3),
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14)
    );
    let (protocol, tls) = match to.tls {
        true => ("ESMTPS", "\n        (version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384 bits=256/256)"),
        false => ("ESMTP", ""),
    };
    let for_ = env.to.map(|to| format!("\n        for <{to}>")).unwrap_or_default();
    let date = clock::named(shown, to.zone);
    let edge = format!(
        "Received: from {from}\n        by {} with {protocol} id {id}{for_}{tls};\n        {date}",
        to.by
    );
    let inner = if dice.one_in(3) {
        format!("10.{}.{}.{}", dice.count(1, 250), dice.count(1, 250), dice.count(1, 250))
    } else {
        format!("2002:a05:{}:{}::", dice.hex(4), dice.hex(3))
    };
    vec![edge, format!("Received: by {inner} with SMTP id {};\n        {date}", ids::google(dice))]
}

pub fn domino(to: &Machine, peer: &Peer, shown: i64, dice: &mut Dice) -> String {
    let (time, ms) = (clock::digits(shown, to.zone), dice.digits(2));
    let date = clock::plain(shown, to.zone);
    format!(
        "Received: from {} ([{}])\n          by {} ({})\n          with ESMTP id {time}{ms}-{} ;\n          {date} ",
        peer.helo,
        peer.ip,
        to.by,
        to.version,
        dice.digits(5)
    )
}

pub fn mdaemon(to: &Machine, peer: &Peer, env: Envelope<'_>, shown: i64, dice: &mut Dice) -> String {
    let from = match peer.ip {
        IpAddr::V4(ip) if dice.one_in(2) => format!("{} [{ip}]", peer.helo),
        ip => format!("{} ([{ip}])", peer.helo),
    };
    let for_ = env.to.map(|to| format!("\n\tfor <{to}>")).unwrap_or_default();
    let (id, date) = (dice.digits(9), clock::plain(shown, to.zone));
    format!(
        "Received: from {from}\n\tby {} ({})\n\twith ESMTP id md5{id}.msg{for_};\n\t{date}",
        to.by, to.version
    )
}
