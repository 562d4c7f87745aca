//! The mail that is collected, and whether all of it arrived.

use crate::support::maildir;
use crate::trace::letters::{Dice, client, text};
use jiff::Zoned;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// With these headers 5 KiB.
const TEXT_BYTES: usize = 3_900;
const AUTHORS: usize = 700;

/// So many letters of about 5 KiB, each with a Message-ID and a text of its own, of this minute.
pub struct Letters {
    /// By Message-ID, in the order of their arrival.
    all: Vec<(String, Vec<u8>)>,
}

impl Letters {
    pub fn new(count: usize) -> Self {
        let (mut dice, now) = (Dice::new(11), Zoned::now());
        Letters { all: (0..count).map(|n| letter(n, &now, &mut dice)).collect() }
    }

    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Each with line ends LF.
    pub fn contents(&self) -> impl Iterator<Item = &[u8]> {
        self.all.iter().map(|(_, content)| content.as_slice())
    }

    /// What is wrong with a Maildir in which they all should lie, once each, with nothing of their texts changed.
    pub fn faults(&self, maildir: &Path) -> Vec<String> {
        let mut found: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for mail in maildir::read(maildir) {
            found.entry(mail.message_id.unwrap_or_default()).or_default().push(body(&mail.content));
        }
        let (mut lost, mut doubled, mut changed) = (0, 0, 0);
        for (id, content) in &self.all {
            let copies = found.remove(id).unwrap_or_default();
            lost += usize::from(copies.is_empty());
            doubled += copies.len().saturating_sub(1);
            changed += usize::from(copies.first().is_some_and(|copy| *copy != body(content)));
        }
        let told = [
            (lost, "never came"),
            (doubled, "came once more than they should"),
            (changed, "have another text"),
            (found.len(), "came that nobody had sent"),
        ];
        told.iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{number} {what}"))
            .collect()
    }
}

/// The text, with line ends LF.
fn body(content: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = content.iter().copied().filter(|byte| *byte != b'\r').collect();
    let end = memchr::memmem::find(&text, b"\n\n").map_or(text.len(), |at| at + 2);
    text[end..].trim_ascii_end().to_vec()
}

/// As a provider's server keeps it, with its Message-ID.
fn letter(n: usize, now: &Zoned, dice: &mut Dice) -> (String, Vec<u8>) {
    let (author, at) = (n % AUTHORS, now.strftime("%a, %d %b %Y %H:%M:%S %z"));
    let (domain, id) =
        (format!("sender{author}.example"), format!("<{n}.{:x}@sender{author}.example>", dice.next()));
    let mut out = format!("Return-Path: <writer{author}@{domain}>\nDelivered-To: jane@provider.example\n");
    let hops = [
        (client("mx.provider.example", 60_001), "store-3.provider.example (Dovecot) with LMTP"),
        (client(&format!("out.{domain}"), author), "mx.provider.example (Postfix) with ESMTPS"),
        ("[192.168.1.17] (unknown [192.168.1.17])".to_owned(), "out.sender.example (Postfix) with ESMTPSA"),
    ];
    for (from, by) in hops {
        let id = dice.next();
        writeln!(out, "Received: from {from}\n\tby {by} id 4T{id:010X}\n\tfor <jane@provider.example>; {at}")
            .unwrap();
    }
    let signature: String =
        (0..4).map(|_| format!("\n\t{:016x}{:016x}{:016x}", dice.next(), dice.next(), dice.next())).collect();
    write!(
        out,
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d={domain}; s=mail;\n\th=from:to:subject:date:message-id; \
         b={signature}\nFrom: \"Writer {author}\" <writer{author}@{domain}>\nTo: Jane <jane@provider.example>\nSubject: \
         Letter number {n} of the {}\nDate: {at}\nMessage-ID: {id}\nMIME-Version: 1.0\nContent-Type: text/plain; \
         charset=utf-8\nContent-Transfer-Encoding: 8bit\nUser-Agent: Mailer {}\n\n{}",
        dice.below(30),
        dice.below(9),
        text(dice, TEXT_BYTES)
    )
    .unwrap();
    (id, out.into_bytes())
}
