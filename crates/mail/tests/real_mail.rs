//! Every message of a collection gets a reading. `QUELL_REAL_MAIL` names the folder, mbox files
//! (unpacked) and single messages in it; without it nothing is tested, and the test says so.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test, its helpers included, fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use memchr::memmem;
use quell_mail::content::{Content, Likeness, bucket, content};
use quell_mail::date;
use quell_mail::exact::exact_key;
use quell_mail::header::{fields, split};
use quell_mail::key::ExactKey;
use quell_mail::reading::{Reader, Reading};
use quell_mail::trace::strip_return_path;

#[test]
fn every_real_message_is_read() {
    let Some(folder) = std::env::var_os("QUELL_REAL_MAIL").filter(|f| Path::new(f).is_dir()) else {
        eprintln!("SKIPPED: QUELL_REAL_MAIL names no folder with real mail");
        return;
    };
    let mut counts = BTreeMap::<String, usize>::new();
    let mut samples = BTreeMap::<String, String>::new();
    let mut keys = BTreeMap::<ExactKey, usize>::new();
    for path in files(Path::new(&folder)) {
        let bytes = fs::read(&path).unwrap();
        for (n, message) in messages(&bytes).into_iter().enumerate() {
            let reading = check(message);
            reading.exact_key.iter().for_each(|key| *keys.entry(*key).or_default() += 1);
            let class = reading.exact_key.map_or_else(|why| why.to_string(), |_| "exact key".to_owned());
            *counts.entry(class.clone()).or_default() += 1;
            samples.entry(class).or_insert_with(|| format!("{}, number {n}", path.display()));
        }
    }
    let total: usize = counts.values().sum();
    let copied: Vec<usize> = keys.into_values().filter(|n| *n > 1).collect();
    eprintln!("{total} messages; {} keys with copies, at most {:?}", copied.len(), copied.iter().max());
    counts.iter().for_each(|(class, n)| eprintln!("{n:7} {class} (first: {})", samples[class]));
    assert!(total > 0, "no message in {}", Path::new(&folder).display());
}

/// Messages of one bucket with different Message-IDs, compared: how many there are, and which are
/// copies by their content. In mail without storms hardly any are; each is named, to be looked at.
#[test]
fn real_copies_by_content() {
    let Some(folder) = std::env::var_os("QUELL_REAL_MAIL").filter(|f| Path::new(f).is_dir()) else {
        eprintln!("SKIPPED: QUELL_REAL_MAIL names no folder with real mail");
        return;
    };
    let (mut total, mut pairs, mut alike) = (0, 0, BTreeMap::<String, usize>::new());
    for path in files(Path::new(&folder)) {
        let bytes = fs::read(&path).unwrap();
        let mut buckets = BTreeMap::<u64, BTreeMap<String, &[u8]>>::new();
        for message in messages(&bytes) {
            total += 1;
            let value = |name| fields(split(message).0).find(|f| f.is(name)).map(|f| f.value);
            let id = String::from_utf8_lossy(value("message-id").unwrap_or_default()).trim().to_owned();
            if let Some(bucket) = bucket(value("from"), value("subject")) {
                buckets.entry(bucket).or_default().entry(id).or_insert(message);
            }
        }
        for bucket in buckets.values().filter(|b| b.len() > 1) {
            let all: Vec<(&String, Content)> =
                bucket.iter().map(|(id, m)| (id, content(split(m).0, split(m).1))).collect();
            for (n, (id, one)) in all.iter().enumerate() {
                for (other_id, other) in &all[..n] {
                    pairs += 1;
                    let likeness = one.compare(other);
                    assert_eq!(likeness, other.compare(one));
                    assert_eq!(likeness == Likeness::Same, one.key() == other.key());
                    if likeness != Likeness::Different {
                        eprintln!("{likeness:?} {id} {other_id} in {}", path.display());
                        *alike.entry(format!("{likeness:?}")).or_default() += 1;
                    }
                }
            }
        }
    }
    eprintln!("{total} messages, {pairs} pairs of one bucket; alike: {alike:?}");
    assert!(total > 0, "no message in {}", Path::new(&folder).display());
}

/// Real texts, sent again with a new identity in quoted-printable, and with a footer: all are found.
#[test]
fn real_texts_are_found_again() {
    let Some(folder) = std::env::var_os("QUELL_REAL_MAIL").filter(|f| Path::new(f).is_dir()) else {
        eprintln!("SKIPPED: QUELL_REAL_MAIL names no folder with real mail");
        return;
    };
    let (mut same, mut added, mut unlike) = (0, 0, vec![]);
    for path in files(Path::new(&folder)) {
        let bytes = fs::read(&path).unwrap();
        for (n, message) in messages(&bytes).into_iter().enumerate() {
            let (header, body) = split(message);
            let is_encoded = |f: quell_mail::header::Field| {
                f.is("content-transfer-encoding") || f.value.trim_ascii_start().starts_with(b"multipart")
            };
            // An encoding undone twice is another text, and a body too long is cut.
            if fields(header).any(is_encoded) || body.len() > 256 << 10 {
                continue;
            }
            let first = content(header, body);
            let kept = fields(header).filter(|f| !f.is("message-id") && !f.is("date") && !f.is("to"));
            let mut again: Vec<u8> = kept.flat_map(|f| f.whole.to_vec()).collect();
            again.extend_from_slice(b"Content-Transfer-Encoding: quoted-printable\nDate: now\n");
            let quoted: String = body
                .iter()
                .map(|b| match b {
                    b'\n' => "\r\n".to_owned(),
                    other => format!("={other:02X}"),
                })
                .collect();
            same += usize::from(first.compare(&content(&again, quoted.as_bytes())) == Likeness::Same);
            let longer = format!("{quoted}\r\n________\r\nSent through the friends\r\n");
            match first.compare(&content(&again, longer.as_bytes())) {
                Likeness::Added { lines: 2 } => added += 1,
                other => unlike.push(format!("{other:?} {}, number {n}", path.display())),
            }
        }
    }
    eprintln!("{same} the same, {added} with a footer; not found with one: {unlike:#?}");
    assert!(unlike.len() * 1_000 <= added, "more than one text in a thousand was not found again");
    assert_eq!(same, added + unlike.len());
}

/// All files below `folder`, but archives.
fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (vec![], vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|e| e.to_str()) {
                Some("xz" | "gz" | "json" | "md") => {}
                _ if path.is_dir() => folders.push(path),
                _ => found.push(path),
            }
        }
    }
    found.sort();
    found
}

/// The messages of an mbox, without their `From ` lines; or the one message a file is.
fn messages(bytes: &[u8]) -> Vec<&[u8]> {
    if !bytes.starts_with(b"From ") {
        return vec![bytes];
    }
    let mut starts = vec![0];
    starts.extend(memmem::find_iter(bytes, b"\n\nFrom ").map(|at| at + 2));
    starts.push(bytes.len());
    let whole = starts.windows(2).map(|w| &bytes[w[0]..w[1]]);
    whole.map(|m| &m[memchr::memchr(b'\n', m).map_or(0, |lf| lf + 1)..]).collect()
}

/// All that a reading says, but the header.
fn facts(reading: &Reading) -> impl PartialEq + std::fmt::Debug {
    let Reading { header: _, exact_key, message_id, date_ms, hops, tokens, body_bytes, has_8bit, added } =
        reading;
    (*exact_key, message_id.clone(), *date_ms, *hops, tokens.clone(), *body_bytes, *has_8bit, added.clone())
}

/// Reads a message in three ways that must agree, as it had arrived when its newest stamp says.
fn check(message: &[u8]) -> Reading {
    let (header, body) = split(message);
    let stamp = fields(header).find(|f| f.is("received")).and_then(|f| {
        let at = memchr::memrchr(b';', f.value)?;
        date::parse(&f.value[at + 1..])
    });
    let own = fields(header).find(|f| f.is("date")).and_then(|f| date::parse(f.value));
    let arrival_ms = stamp.or(own).unwrap_or(0);
    let read = |size: usize| {
        let mut reader = Reader::new(32 << 20);
        message.chunks(size).for_each(|chunk| reader.push(chunk).unwrap());
        reader.finish(arrival_ms)
    };
    let (whole, pieces) = (read(usize::MAX), read(61));
    assert_eq!(facts(&whole), facts(&pieces));
    assert_eq!(whole.header, pieces.header);
    assert_eq!(whole.exact_key, exact_key(message, arrival_ms));
    assert_eq!((&whole.header[..], whole.body_bytes), (header, body.len() as u64));
    let kept: Vec<u8> = strip_return_path(header).flatten().copied().collect();
    assert!(!fields(&kept).any(|f| f.is("return-path")));
    // The same message with the line ends of SMTP has the same key.
    let crlf = String::from_utf8_lossy(message).into_owned();
    if crlf.as_bytes() == message {
        let crlf = crlf.replace("\r\n", "\n").replace('\n', "\r\n");
        assert_eq!(exact_key(crlf.as_bytes(), arrival_ms), whole.exact_key);
    }
    whole
}
