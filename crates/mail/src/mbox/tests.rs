use std::ops::Range;

use proptest::prelude::*;

use super::*;

const P: &str = "From a@b.example Sat Nov 21 23:00:00 2026\n";

fn whole(text: &str) -> Piece<'_> {
    Piece { bytes: text.as_bytes(), first: true, last: true }
}

/// All messages, the whole mbox in one window.
fn split_as(text: &str, ends: Ends) -> Vec<&str> {
    let (mut splitter, mut found) = (Splitter::new(ends, 0), vec![]);
    while let Step::Message { bytes, .. } = splitter.step(whole(text)) {
        found.push(&text[bytes]);
    }
    found
}

fn split(text: &str) -> Vec<&str> {
    split_as(text, detect(whole(text)).ends())
}

#[test]
fn postmarks_as_they_are_written() {
    for line in [
        "From jane@doe.example Sat Nov 21 23:00:00 2026",
        "From - Sat Nov  1 23:00:00 2026",
        "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\r\n",
        "From a@b Sat Jan  3 01:05 96",
        "From a@b Sat Jan  3 01:05:34 EST 1996",
        "From a@b Sat Jan  3 01:05:34 MET DST 1996",
        "From a@b Sat Jan  3 01:05:34 1996 +0100",
        "From a@b Sat Jan  3 01:05:34 +0000 1996",
        "From a@b Sat, 3 Jan 1996 01:05:34 -0500 (EST)",
        "From jane at doe.example  Sat Jan  3 01:05:34 1996",
        "From \"jane doe\"@b.example Sat Jan  3 01:05:34 1996",
        "From jane Sat Jan  3 01:05:34 1996 remote from ihnp4\n",
        "From a@b 2026-11-29 10:00:00",
        "From a@b 2026-11-29T10:00:00.5+01:00",
        "From a@b 29-Nov-2026 10:00:00 +0000",
        "From  Sat Jan  3 01:05:34 1996",
    ] {
        assert!(is_postmark(line.as_bytes()), "{line}");
    }
    for line in [
        "From my house one sees the sea.",
        "From my house at 10:30 on Mon Jan 3 2022 one sees the sea",
        "From 10:00 to 12:00",
        "From Jan 3 to Jan 4 1996",
        "From a@b.example",
        "From 1996-01-03 on",
        "From: a@b Sat Nov 21 23:00:00 2026",
        ">From a@b Sat Nov 21 23:00:00 2026",
        "from a@b Sat Nov 21 23:00:00 2026",
        "From a@b Sat Nov 21 23:00:00 2026 23:00:00",
        "From ",
        "From a@b 1-1-1 1:1",
    ] {
        assert!(!is_postmark(line.as_bytes()), "{line}");
    }
    let long = format!("From {} Sat Nov 21 23:00:00 2026", "x".repeat(MAX_POSTMARK_BYTES));
    assert!(!is_postmark(long.as_bytes()));
}

#[test]
fn unquoted_mboxo_is_split_at_postmarks_only() {
    let first = "A: 1\n\nx\n\nFrom my house\n\nFrom one to another\nFrom a@b Sat Nov 21 23:00:00 2026\n";
    assert_eq!(split(&format!("{P}{first}\n{P}B: 2\n\ny\n")), [first, "B: 2\n\ny\n"]);
}

#[test]
fn separators_and_ends() {
    for (text, messages) in [
        (format!("{P}A: 1\n\n\n{P}B: 2\n"), vec!["A: 1\n\n", "B: 2\n"]),
        (format!("{P}A: 1\n\n{P}B: 2\n\nx\n\n"), vec!["A: 1\n", "B: 2\n\nx\n"]),
        (format!("{P}\n{P}\n{P}"), vec!["", "", ""]),
        (format!("\n\n{P}A: 1"), vec!["A: 1"]),
        (format!("\r\n{P}A: 1\n"), vec!["A: 1\n"]),
        ("From x\nA: 1\n\nFrom y\n".to_owned(), vec!["A: 1\n\nFrom y\n"]),
        (format!("A: 1\n{P}B: 2\n"), vec![]),
        (format!("{P}A: 1\n\n{}", P.trim_end()), vec!["A: 1\n", ""]),
        (String::new(), vec![]),
    ] {
        assert_eq!(split(&text), messages, "{text:?}");
        let crlf = |text: &str| text.replace("\r\n", "\n").replace('\n', "\r\n");
        assert_eq!(split(&crlf(&text)), messages.iter().map(|m| crlf(m)).collect::<Vec<_>>());
    }
}

#[test]
fn content_length_governs_where_it_is_right() {
    let body = format!("x\n\n{P}Not: a header\n\ny\n");
    let first = format!("A: 1\nContent-Length: {}\n\n{body}", body.len());
    let second = "Content-Length:  2 \n\nz\n";
    let text = format!("{P}{first}\n{P}{second}\n{P}{first}");
    assert_eq!(detect(whole(&text)), Dialect::Mboxcl2);
    assert_eq!(split(&text), [&first, second, &first]);
    // Counted with the empty line behind it, and without the last end of line.
    let text = text.replace("Length:  2", "Length: 3");
    assert_eq!(split(&text), [&first, "Content-Length: 3 \n\nz\n", &first]);
    let text = text.replace("Length: 3", "Length: 1");
    assert_eq!(split(&text), [&first, "Content-Length: 1 \n\nz", &first]);
}

#[test]
fn a_content_length_that_leads_nowhere_is_not_believed() {
    for wrong in ["0", "1", "7", "900", "18446744073709551615", "99999999999999999999", "-1", "x", ""] {
        let messages = [format!("Content-Length: {wrong}\n\nabcd\n"), "B: 2\n\nx\n".to_owned()];
        let text = format!("{P}{}\n{P}{}\n", messages[0], messages[1]);
        for ends in [Ends::Lengths, Ends::Postmarks] {
            assert_eq!(split_as(&text, ends), messages, "{wrong}");
        }
    }
}

#[test]
fn dialects_by_what_they_do() {
    let of = |body: &str, length: bool| {
        let header = if length { format!("Content-Length: {}\n", body.len()) } else { "A: 1\n".to_owned() };
        detect(whole(&format!("{P}{header}\n{body}\n{P}{header}\n{body}\n")))
    };
    assert_eq!(of(">From x\n", false), Dialect::Mboxo);
    assert_eq!(of("x\n", false), Dialect::Mboxo);
    assert_eq!(of(">From x\n>>From y\n", false), Dialect::Mboxrd);
    assert_eq!(of(">From x\n", true), Dialect::Mboxcl);
    assert_eq!(of("x >From x\n", true), Dialect::Mboxcl2);
    assert_eq!(of(&format!(">From x\n\n{P}y\n"), true), Dialect::Mboxcl2);
    // The first message is longer than what is seen.
    let text = format!("{P}Content-Length: 5000\n\nabc");
    assert_eq!(detect(Piece { last: false, ..whole(&text) }), Dialect::Mboxcl2);
    assert_eq!(detect(whole(&text)), Dialect::Mboxo);
}

#[test]
fn quoting_is_taken_back() {
    let body = b">From a\n>>From b\nx >From c\n>>>From d\n>From e";
    let plain = |dialect| String::from_utf8(unquoted(body, dialect).into_owned()).unwrap();
    assert_eq!(plain(Dialect::Mboxo), "From a\n>>From b\nx >From c\n>>>From d\nFrom e");
    assert_eq!(plain(Dialect::Mboxcl), plain(Dialect::Mboxo));
    assert_eq!(plain(Dialect::Mboxrd), "From a\n>From b\nx >From c\n>>From d\nFrom e");
    assert_eq!(plain(Dialect::Mboxcl2).as_bytes(), body);
    assert!(matches!(unquoted(b"x\n", Dialect::Mboxrd), std::borrow::Cow::Borrowed(_)));
}

/// Splits line by line, as slowly and plainly as the rules are written.
fn split_plainly(bytes: &[u8]) -> Vec<Range<usize>> {
    let (mut at, mut begun, mut found) = (0, None, vec![]);
    let mut empty_before = true;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let mark = line.starts_with(b"From ")
            && line.len() <= MAX_POSTMARK_BYTES
            && empty_before
            && (at == 0 || is_postmark(line));
        if mark {
            found.extend(begun.map(|begun| begun..at));
            begun = Some(at + line.len());
        }
        empty_before = line == b"\n" || line == b"\r\n";
        at += line.len();
    }
    found.extend(begun.map(|begun| begun..at));
    let trimmed = |r: Range<usize>| r.start..r.start + without_separator(&bytes[r.clone()]).len();
    found.into_iter().map(trimmed).collect()
}

/// The same through a window that grows by `step` bytes and drops what it can, for messages whose
/// postmark begins in `part`.
fn split_in_part(bytes: &[u8], part: Range<usize>, step: usize, ends: Ends) -> Vec<Range<usize>> {
    let mut base = part.start.saturating_sub(3);
    let (mut end, mut found) = ((base + step).min(bytes.len()), vec![]);
    let mut splitter = Splitter::new(ends, part.start - base);
    loop {
        let piece = Piece { bytes: &bytes[base..end], first: base == 0, last: end == bytes.len() };
        if base + splitter.position() >= part.end {
            return found;
        }
        match splitter.step(piece) {
            Step::Message { postmark, .. } if base + postmark >= part.end => return found,
            Step::Message { bytes, .. } => found.push(base + bytes.start..base + bytes.end),
            Step::More { keep } => {
                base += keep;
                splitter.dropped(keep);
                end = (end + step).min(bytes.len());
            }
            Step::End => return found,
        }
    }
}

fn mbox() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => Just(P.as_bytes().to_vec()),
        1 => Just(P.replace('\n', "\r\n").into_bytes()),
        4 => Just(b"\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"From ".to_vec()),
        1 => Just(b"From my house\n".to_vec()),
        1 => Just(b">From x\n".to_vec()),
        1 => (0_usize..90).prop_map(|n| format!("Content-Length: {n}\n\n").into_bytes()),
        2 => "[a-c\\r\\n\\x00]{0,40}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_window_and_any_parts_give_the_same(bytes in mbox(), step in 1_usize..80, part in 1_usize..120) {
        let plain = split_plainly(&bytes);
        let mut found = vec![];
        for start in (0..bytes.len()).step_by(part) {
            found.extend(split_in_part(&bytes, start..(start + part).min(bytes.len()), step, Ends::Postmarks));
        }
        prop_assert_eq!(found, plain);
    }

    #[test]
    fn lengths_are_the_same_in_any_window(bytes in mbox(), step in 1_usize..80) {
        let at_once = split_in_part(&bytes, 0..bytes.len(), bytes.len().max(1), Ends::Lengths);
        prop_assert_eq!(split_in_part(&bytes, 0..bytes.len(), step, Ends::Lengths), at_once);
    }
}
