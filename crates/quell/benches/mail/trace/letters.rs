//! Mailboxes to be traced, made: ordinary letters with some copies among them, and one storm.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Stamps of an ordinary letter.
const STAMPS: usize = 6;
/// Each fiftieth letter begins or continues a group of copies: 2 %.
const COPIES_EVERY: usize = 50;
/// Copies of a group.
const GROUP: usize = 4;
/// People that a storm reaches.
const PEOPLE: usize = 500;

/// What the copies of a storm have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One Message-ID and Date; ids and times of the later stamps differ.
    Trace,
    /// Each has a Message-ID and a Date of its own, and lost its trace.
    Identity,
}

/// Writes `messages` letters of about 5 KiB with six stamps each; how many groups of copies are among
/// them.
pub fn ordinary(path: &Path, messages: usize) -> io::Result<usize> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let (mut dice, mut copies) = (Dice(7), 0);
    for n in 0..messages {
        if n % COPIES_EVERY == COPIES_EVERY - 1 {
            letter_of_group(&mut out, copies / GROUP, copies % GROUP)?;
            copies += 1;
        } else {
            letter(&mut out, n, &mut dice)?;
        }
    }
    out.flush()?;
    Ok(copies / GROUP)
}

/// Writes `copies` copies of one message of about 2 KiB, resent by one server.
pub fn storm(path: &Path, copies: usize, shape: Shape) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let text = text(&mut Dice(3), 600);
    for n in 0..copies {
        copy(&mut out, 0, n, shape, PEOPLE, &text)?;
    }
    out.flush()
}

pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    pub fn below(&mut self, most: usize) -> usize {
        self.next() as usize % most
    }
}

const WORDS: [&str; 24] = [
    "the",
    "figures",
    "of",
    "this",
    "quarter",
    "are",
    "with",
    "us",
    "and",
    "we",
    "shall",
    "send",
    "them",
    "as",
    "soon",
    "house",
    "letter",
    "meeting",
    "on",
    "Monday",
    "please",
    "confirm",
    "invoice",
    "agreement",
];

pub fn text(dice: &mut Dice, bytes: usize) -> String {
    let (mut text, mut line) = (String::with_capacity(bytes + 80), 0);
    while text.len() < bytes {
        let word = WORDS[dice.below(WORDS.len())];
        text.push_str(word);
        line += word.len() + 1;
        text.push(if line > 66 { '\n' } else { ' ' });
        line = if line > 66 { 0 } else { line };
    }
    text.push('\n');
    text
}

/// `Sat, 21 Nov 2026 HH:MM:SS +0000`, so many seconds after midnight, some days on.
fn date(secs: usize) -> String {
    let (day, secs) = (secs / 86_400 % 9, secs % 86_400);
    let week = ["Sat", "Sun", "Mon", "Tue", "Wed", "Thu", "Fri"][day % 7];
    format!("{week}, {} Nov 2026 {:02}:{:02}:{:02} +0000", 21 + day, secs / 3600, secs / 60 % 60, secs % 60)
}

fn postmark(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "From MAILER-DAEMON Sat Nov 21 23:00:00 2026")
}

/// A client as the server behind it writes it.
pub fn client(name: &str, number: usize) -> String {
    format!("{name} ({name} [198.18.{}.{}])", number / 250 % 250, number % 250 + 1)
}

fn stamp(out: &mut impl Write, from: &str, by: &str, id: usize, for_: &str, secs: usize) -> io::Result<()> {
    let at = date(secs);
    writeln!(
        out,
        "Received: from {from}\n\tby {by} (Postfix) with ESMTPS id 4T{id:012X}\n\tfor <{for_}>; {at} (UTC)"
    )
}

fn letter(out: &mut impl Write, n: usize, dice: &mut Dice) -> io::Result<()> {
    postmark(out)?;
    for hop in (0..STAMPS).rev() {
        let by = format!("mx-{hop}.firm{}.example", dice.below(400));
        let from = dice.below(900);
        stamp(
            out,
            &client(&format!("mail-{from}.relay.example"), from),
            &by,
            dice.next() as usize,
            "jane@firm.example",
            n + hop * 2,
        )?;
    }
    head(out, n, &format!("<{n}.{}@sender{}.example>", dice.next(), n % 700), n)?;
    writeln!(out, "Subject: Letter number {n} of the {}\n", dice.below(30))?;
    out.write_all(text(dice, 3_300).as_bytes())?;
    writeln!(out)
}

fn head(out: &mut impl Write, author: usize, id: &str, secs: usize) -> io::Result<()> {
    writeln!(
        out,
        "From: \"Writer {author}\" <writer{author}@sender{}.example>\nTo: Jane <jane@firm.example>\nDate: {}\nMessage-ID: \
         {id}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8",
        author % 700,
        date(secs)
    )
}

fn letter_of_group(out: &mut impl Write, group: usize, n: usize) -> io::Result<()> {
    let shape = if group.is_multiple_of(2) { Shape::Trace } else { Shape::Identity };
    copy(out, group + 1, n, shape, 1, &text(&mut Dice(group as u64), 3_300))
}

/// One copy of message `of`, which one server sends out again for the `n`th time; the first is the original.
fn copy(
    out: &mut impl Write,
    of: usize,
    n: usize,
    shape: Shape,
    people: usize,
    text: &str,
) -> io::Result<()> {
    postmark(out)?;
    let (to, secs) = (format!("jane{}@firm.example", n % people), n / people * 900 + n % 60);
    let faulty = format!("server.kearney{of}.local");
    let is_new = shape == Shape::Identity && n >= people;
    stamp(out, &client("mx.provider.example", 60_001), "mx.firm.example", n, &to, secs + 9)?;
    if n >= people {
        stamp(out, &client(&faulty, of + 1_000), "mx.provider.example", n, &to, secs + 7)?;
    }
    if is_new {
        writeln!(
            out,
            "Received: from mail pickup service by {faulty} with Microsoft SMTPSVC;\n\t {}",
            date(secs + 5)
        )?;
    } else {
        if n >= people {
            stamp(out, &client("pop3.isp.example", 60_002), &faulty, n, &to, secs + 5)?;
        }
        for hop in (0..3).rev() {
            let from = client(&format!("out-{hop}.publisher.example"), 60_010 + hop);
            stamp(
                out,
                &from,
                &format!("in-{hop}.publisher.example"),
                of * 9 + hop,
                "list@publisher.example",
                hop,
            )?;
        }
    }
    let id = match is_new {
        true => format!("<KEARNEY{n:08x}@{faulty}>"),
        false => format!("<letter{of}@sender{}.example>", of % 700),
    };
    head(out, of, &id, if is_new { secs } else { 0 })?;
    if is_new {
        writeln!(
            out,
            "X-MimeOLE: Produced By Microsoft Exchange V6.5\nX-OriginalArrivalTime: 21 Nov 2026 {n}"
        )?;
    }
    writeln!(out, "Subject: The letter that comes again, number {of}\n\n{text}")
}
