//! Stamps of the servers that run on Unix.

use super::super::clock;
use super::super::dice::Dice;
use super::super::machine::{Machine, Peer};
use super::{Envelope, ids, literal};

/// What a session is called: with TLS, with a login.
fn protocol(to: &Machine, peer: &Peer, upper: bool) -> &'static str {
    match (to.tls, peer.login, upper) {
        (false, false, true) => "ESMTP",
        (true, false, true) => "ESMTPS",
        (false, true, true) => "ESMTPA",
        (true, true, true) => "ESMTPSA",
        (false, false, false) => "esmtp",
        (true, false, false) => "esmtps",
        (false, true, false) => "esmtpa",
        (true, true, false) => "esmtpsa",
    }
}

pub fn postfix(to: &Machine, peer: &Peer, env: Envelope<'_>, shown: i64, dice: &mut Dice) -> String {
    let rdns = peer.rdns.as_deref().unwrap_or("unknown");
    let tls = match (to.tls, to.by.len() % 3) {
        (false, _) => "",
        (true, 0) => {
            "\n\t(using TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits))\n\t(No client certificate requested)"
        }
        (true, 1) => {
            "\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\n\t key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256)\n\t(No client certificate requested)"
        }
        (true, _) => "",
    };
    let protocol = protocol(to, peer, true);
    let date = clock::padded(shown, to.zone);
    let id = ids::postfix(dice);
    let end = match env.to {
        Some(to) => format!("\n\tfor <{to}>; {date}"),
        None => format!(";\n\t{date}"),
    };
    format!(
        "Received: from {} ({rdns} {}){tls}\n\tby {} (Postfix) with {protocol} id {id}{end}",
        peer.helo,
        literal(peer.ip),
        to.by
    )
}

pub fn exim(to: &Machine, peer: &Peer, env: Envelope<'_>, shown: i64, dice: &mut Dice) -> String {
    let port =
        if to.by.len().is_multiple_of(2) { format!(":{}", dice.count(1_025, 65_000)) } else { String::new() };
    let address = format!("[{}]{port}", peer.ip);
    let from = match &peer.rdns {
        None => format!("{address} (helo={})", peer.helo),
        Some(rdns) if *rdns == peer.helo => format!("{rdns} ({address})"),
        Some(rdns) => format!("{rdns} ({address} helo={})", peer.helo),
    };
    let cipher = match (to.tls, to.by.len() % 3) {
        (false, _) => "",
        (true, 0) => " (TLSv1:AES256-SHA:256)\n\t",
        (true, 1) => "  (TLS1.3) tls TLS_AES_256_GCM_SHA384\n\t",
        (true, _) => " (TLS1.2:ECDHE_RSA_AES_256_GCM_SHA384:256)\n\t",
    };
    let protocol = protocol(to, peer, false);
    let version = &to.version;
    let sender =
        if env.from.is_empty() { String::new() } else { format!("\n\t(envelope-from <{}>)", env.from) };
    let for_ = env.to.map(|to| format!("\n\tfor {to}")).unwrap_or_default();
    let (id, date) = (ids::exim(shown, dice), clock::zeroed(shown, to.zone));
    format!(
        "Received: from {from}\n\tby {} with {protocol}{cipher} (Exim {version}){sender}\n\tid {id}{for_}; {date}",
        to.by
    )
}

pub fn sendmail(to: &Machine, peer: &Peer, env: Envelope<'_>, shown: i64, dice: &mut Dice) -> String {
    let address = literal(peer.ip);
    let from = match &peer.rdns {
        None => format!("{} ({address})", peer.helo),
        Some(rdns) if rdns.ends_with(&peer.helo) || dice.one_in(2) => {
            format!("{} ({rdns} {address})", peer.helo)
        }
        Some(rdns) => format!("{} ({rdns} {address} (may be forged))", peer.helo),
    };
    let login = if peer.login { "\n\t(authenticated bits=0)" } else { "" };
    let tls =
        if to.tls { "\n\t(version=TLSv1/SSLv3 cipher=DHE-RSA-AES256-SHA bits=256 verify=NO)" } else { "" };
    let id = ids::sendmail(shown, to.zone, dice);
    let date = if to.zone.name == "GMT" { clock::gmt(shown) } else { clock::named(shown, to.zone) };
    let end = match env.to {
        Some(to) => format!("\n\tfor <{to}>; {date}"),
        None => format!(";\n\t{date}"),
    };
    format!("Received: from {from}{login}\n\tby {} ({}) with ESMTP id {id}{tls}{end}", to.by, to.version)
}

/// Two lines: one of the server that listens, one of the queue.
pub fn qmail(to: &Machine, peer: &Peer, shown: i64, dice: &mut Dice) -> Vec<String> {
    let rdns = peer.rdns.as_deref().unwrap_or("unknown");
    let helo = if rdns == peer.helo { String::new() } else { format!(" (HELO {})", peer.helo) };
    let (protocol, date) = (if to.by.len().is_multiple_of(2) { "SMTP" } else { "ESMTP" }, clock::bare(shown));
    vec![
        format!("Received: from {rdns}{helo} ({})\n  by {} with {protocol}; {date}", peer.ip, to.by),
        format!("Received: (qmail {} invoked from network); {date}", dice.count(300, 32_700)),
    ]
}

pub fn courier(to: &Machine, peer: &Peer, shown: i64, dice: &mut Dice) -> String {
    let ip = match peer.ip {
        std::net::IpAddr::V4(ip) => format!("[::ffff:{ip}]"),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let rdns = peer.rdns.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
    let login = if peer.login { "\n  (AUTH: LOGIN office)" } else { "" };
    let tls = if to.tls { "\n  (TLS: TLSv1/SSLv3,256bits,AES256-SHA)" } else { "" };
    let id = ids::courier(shown, dice);
    let date = clock::plain(shown, to.zone);
    format!(
        "Received: from {} ({rdns}{ip}){login}{tls}\n  by {} with esmtp\n  id {id}; {date}",
        peer.helo, to.by
    )
}

pub fn zmailer(to: &Machine, peer: &Peer, env: Envelope<'_>, shown: i64, dice: &mut Dice) -> String {
    let rdns = peer.rdns.clone().unwrap_or_else(|| format!("[{}]", peer.ip));
    let flags = if peer.rdns.is_some() { "OK-OK-OK-OK" } else { "FAIL-FAIL-OK-OK" };
    let port = dice.count(1_025, 65_000);
    let original = env.to.map(|to| format!("\n\t(ORCPT <rfc822;{to}>)")).unwrap_or_default();
    let date = clock::plain(shown, to.zone);
    format!(
        "Received: from {rdns} ([{}]:{port} \"EHLO\n\t{}\" rhost-flags-{flags})\n\tby {} with ESMTP id {}{original};\n\t{date}",
        peer.ip,
        peer.helo,
        to.by,
        ids::zmailer(dice)
    )
}

pub fn opensmtpd(to: &Machine, peer: &Peer, env: Envelope<'_>, shown: i64, dice: &mut Dice) -> String {
    let rdns = peer.rdns.as_deref().unwrap_or("<unknown>");
    let protocol = protocol(to, peer, true);
    let tls = if to.tls { " (TLSv1.3:TLS_AES_256_GCM_SHA384:256:NO)" } else { "" };
    let for_ = env.to.map(|to| format!("\n\tfor <{to}>")).unwrap_or_default();
    let date = clock::named(shown, to.zone);
    format!(
        "Received: from {} ({rdns} {})\n\tby {} (OpenSMTPD) with {protocol} id {}{tls}{for_};\n\t{date}",
        peer.helo,
        literal(peer.ip),
        to.by,
        dice.hex(8)
    )
}

pub fn communigate(to: &Machine, peer: &Peer, env: Envelope<'_>, shown: i64, dice: &mut Dice) -> String {
    let from = match &peer.rdns {
        Some(rdns) => format!("{rdns} ([{}] verified)", peer.ip),
        None => format!("[{}] (HELO {})", peer.ip, peer.helo),
    };
    let for_ = env.to.map(|to| format!(" for {to}")).unwrap_or_default();
    let (id, date) = (dice.digits(7), clock::plain(shown, to.zone));
    format!(
        "Received: from {from}\n  by {} (CommuniGate Pro SMTP {})\n  with ESMTP id {id}{for_}; {date}",
        to.by, to.version
    )
}
