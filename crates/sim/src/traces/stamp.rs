//! The trace fields of fourteen kinds of servers, as they really write them (real ones: the Linux lists'
//! archives at lore.kernel.org, the test data of mail-parser and SpamScope, and the servers' sources).

mod ids;
mod local;
mod office;
mod unix;

use std::net::IpAddr;

use super::dice::Dice;
use super::machine::{Machine, Peer, Software};

pub(super) use local::{amavis, anonymous, fetched, handed_in, listexpand, lmtp, mapi, pickup};

/// What a server knows of a message besides its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Envelope<'a> {
    pub from: &'a str,
    /// The recipient, where there is one only.
    pub to: Option<&'a str>,
}

/// The stamps that `to` writes when it takes a message from `peer`, oldest first.
pub(super) fn by_smtp(to: &Machine, peer: &Peer, env: Envelope<'_>, at: i64, dice: &mut Dice) -> Vec<String> {
    if to.stampless {
        return Vec::new();
    }
    let env = Envelope { to: env.to.filter(|_| to.writes_for), ..env };
    let shown = to.shown(at);
    match to.soft {
        Software::Postfix => vec![unix::postfix(to, peer, env, shown, dice)],
        Software::Exim => vec![unix::exim(to, peer, env, shown, dice)],
        Software::Sendmail => vec![unix::sendmail(to, peer, env, shown, dice)],
        Software::Qmail => unix::qmail(to, peer, shown, dice),
        Software::Courier => vec![unix::courier(to, peer, shown, dice)],
        Software::Zmailer => vec![unix::zmailer(to, peer, env, shown, dice)],
        Software::OpenSmtpd => vec![unix::opensmtpd(to, peer, env, shown, dice)],
        Software::CommuniGate => vec![unix::communigate(to, peer, env, shown, dice)],
        Software::Smtpsvc => vec![office::smtpsvc(to, peer, shown, dice)],
        Software::Exchange => vec![office::exchange(to, peer, shown, dice)],
        Software::Microsoft365 => office::microsoft365(to, peer, shown, dice),
        Software::Google => office::google(to, peer, env, shown, dice),
        Software::Domino => vec![office::domino(to, peer, shown, dice)],
        Software::MDaemon => vec![office::mdaemon(to, peer, env, shown, dice)],
    }
}

/// An address in brackets, with the tag of RFC 5321 §4.1.3 before one of version 6.
fn literal(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

/// A field with all its space as Exchange writes it.
pub(super) fn refolded(field: &str) -> String {
    let words: Vec<&str> = field.split_whitespace().collect();
    folded(&words.join(" "), " ")
}

/// Words over lines of at most about 78 columns, each line after the first with `indent`.
fn folded(text: &str, indent: &str) -> String {
    let mut lines = String::new();
    let mut columns = 0;
    for word in text.split(' ') {
        if columns > 0 && columns + 1 + word.len() > 77 {
            lines += "\n";
            lines += indent;
            columns = indent.len();
        } else if columns > 0 {
            lines += " ";
            columns += 1;
        }
        lines += word;
        columns += word.len();
    }
    lines
}
