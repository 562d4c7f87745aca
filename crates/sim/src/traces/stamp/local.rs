//! Stamps of machines on their own: what is handed in without SMTP, fetched, filtered, expanded.

use super::super::clock;
use super::super::dice::Dice;
use super::super::machine::{Machine, Software};
use super::{Envelope, folded, ids};

/// A message from a program on the machine itself.
pub fn handed_in(on: &Machine, env: Envelope<'_>, at: i64, dice: &mut Dice) -> Vec<String> {
    if on.stampless {
        return Vec::new();
    }
    let (shown, by, uid) = (on.shown(at), &on.by, dice.pick([33, 48, 80, 500, 1002]));
    let user = dice.pick(["www-data", "apache", "nobody", "root", "news"]);
    vec![match on.soft {
        Software::Exim => {
            let (id, date) = (ids::exim(shown, dice), clock::zeroed(shown, on.zone));
            let for_ = env.to.map(|to| format!("\n\tfor {to}")).unwrap_or_default();
            format!(
                "Received: from {user} by {by} with local (Exim {})\n\t(envelope-from <{}>)\n\tid {id}{for_}; {date}",
                on.version, env.from
            )
        }
        Software::Sendmail => {
            let (id, date) = (ids::sendmail(shown, on.zone, dice), clock::named(shown, on.zone));
            format!("Received: (from {user}@localhost)\n\tby {by} ({}/Submit) id {id};\n\t{date}", on.version)
        }
        Software::Qmail => format!(
            "Received: (qmail {} invoked by uid {uid}); {}",
            dice.count(300, 32_700),
            clock::bare(shown)
        ),
        Software::Smtpsvc | Software::Exchange | Software::Domino | Software::MDaemon => pickup(on, at),
        _ => {
            let (id, date) = (ids::postfix(dice), clock::padded(shown, on.zone));
            format!("Received: by {by} (Postfix, from userid {uid})\n\tid {id}; {date}")
        }
    }]
}

/// A message from a client that has logged in and is not named.
pub fn anonymous(on: &Machine, at: i64, dice: &mut Dice) -> String {
    let (shown, by) = (on.shown(at), &on.by);
    let date = clock::padded(shown, on.zone);
    match on.soft {
        Software::Exim => format!(
            "Received: by {by} with esmtpa (Exim {})\n\tid {}; {}",
            on.version,
            ids::exim(shown, dice),
            clock::zeroed(shown, on.zone)
        ),
        Software::Sendmail => format!(
            "Received: by {by} ({}) id {};\n\t{}",
            on.version,
            ids::sendmail(shown, on.zone, dice),
            clock::named(shown, on.zone)
        ),
        _ => format!("Received: by {by} (Postfix) with ESMTPSA id {};\n\t{date}", ids::postfix(dice)),
    }
}

/// The line of the pickup folder of Windows' SMTP service.
pub fn pickup(on: &Machine, at: i64) -> String {
    format!(
        "Received: from mail pickup service by {} with Microsoft SMTPSVC;\n\t {}",
        on.by,
        clock::plain(on.shown(at), on.zone)
    )
}

/// A message that a mail program of the house leaves in Exchange's store.
pub fn mapi(on: &Machine, at: i64, dice: &mut Dice) -> String {
    let (shown, by) = (on.shown(at), &on.by);
    match on.soft {
        Software::Smtpsvc => {
            let id = dice.text("ABCDEFGHJKLMNPQRSTVWXYZ0123456789", 8);
            format!(
                "Received: by {by} with Internet Mail Service (5.5.2653.19)\n\tid <{id}>; {}",
                clock::plain(shown, on.zone)
            )
        }
        _ => {
            let cloud = format!("DB6PR07MB{}.eurprd07.prod.outlook.com", dice.digits(4));
            let by = if on.soft == Software::Microsoft365 { &cloud } else { by };
            let ip = format!("fe80::{}:{}:{}:{}", dice.hex(4), dice.hex(4), dice.hex(4), dice.hex(4));
            let text = format!(
                "Received: from {by} ([{ip}]) by {by} ([{ip}%{}]) with mapi id {}; {}",
                dice.count(2, 19),
                on.version,
                clock::plain(shown, on.zone)
            );
            folded(&text, " ")
        }
    }
}

/// A message that a collector fetched from a mailbox. `multi`: it is told the recipients by the header.
pub fn fetched(by: &Machine, pop: &Machine, to: &str, multi: bool, at: i64, dice: &mut Dice) -> String {
    let shown = by.shown(at);
    let user = to.split('@').next().unwrap_or(to);
    if !multi && dice.one_in(4) {
        // getmail
        return format!(
            "Received: from {} ({}) by {} with POP3; {}",
            pop.by,
            pop.ip,
            by.by,
            clock::bare(shown)
        );
    }
    let version = dice.pick(["5.9.0", "6.2.5", "6.3.2", "6.3.26", "6.4.16"]);
    let (drop, host) = (
        if multi { "multi-drop" } else { "single-drop" },
        if !by.by.len().is_multiple_of(3) { "localhost" } else { &by.by },
    );
    let protocol = if by.by.len().is_multiple_of(5) { "IMAP" } else { "POP3" };
    format!(
        "Received: from {} [{}]\n\tby {host} with {protocol} (fetchmail-{version})\n\tfor <{user}@localhost> ({drop}); {}",
        pop.by,
        pop.ip,
        clock::named(shown, by.zone)
    )
}

/// A message on its way through a content filter on the same machine.
pub fn amavis(on: &Machine, to: Option<&str>, at: i64, dice: &mut Dice) -> String {
    let date = clock::named(on.shown(at), on.zone);
    let product = if on.by.len().is_multiple_of(2) { "amavisd-new" } else { "amavis" };
    let id = format!("{:05}-{:02}", dice.count(300, 32_700), dice.count(1, 20));
    let end = match to {
        Some(to) => format!("\n\twith ESMTP id {id} for <{to}>;\n\t{date}"),
        None => format!("\n\twith ESMTP id {id}; {date}"),
    };
    format!(
        "Received: from {} ([127.0.0.1])\n\tby localhost ({} [127.0.0.1]) ({product}, port 10024){end}",
        on.by, on.by
    )
}

/// The last line of a server that keeps mailboxes: LMTP into Cyrus or Dovecot.
pub fn lmtp(on: &Machine, to: &str, at: i64, dice: &mut Dice) -> String {
    let (by, date) = (&on.by, clock::plain(on.shown(at), on.zone));
    if by.len().is_multiple_of(2) {
        return format!(
            "Received: from {by} ([unix socket])\n\t by {by} (Cyrus v2.3.14) with LMTPA;\n\t {date}"
        );
    }
    let id = dice.letters(16);
    format!(
        "Received: from {by}\n\tby {by} with LMTP\n\tid {id}/{}\n\t(envelope-from <{to}>)\n\tfor <{to}>; {date}",
        dice.letters(6)
    )
}

/// A list server that sends to one of the list's readers.
pub fn listexpand(on: &Machine, to: &str, at: i64, dice: &mut Dice) -> String {
    let date = clock::plain(on.shown(at), on.zone);
    format!(
        "Received: (majordomo@{}) by {} via listexpand\n\tid {} (ORCPT <rfc822;{to}>);\n\t{date}",
        on.by,
        on.by,
        ids::zmailer(dice)
    )
}
