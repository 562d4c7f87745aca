//! The same messages, however they are read.

use proptest::prelude::*;
use quell_mail::mbox::{Ends, MAX_POSTMARK_BYTES, is_postmark, without_separator};

use super::*;

#[test]
fn any_number_of_threads_and_any_parts() {
    let folder = Folder::new("threads");
    let (text, messages) = mbox(60);
    let path = folder.put("jane.mbox", &text);
    for part_bytes in [23, 100, 699, 5000, 1 << 20] {
        let archive = open_small(&path, Limits { part_bytes, ..small() });
        for threads in [1, 2, 5] {
            let (all, damages) = scanned(&archive, threads);
            assert_eq!(
                all.iter().map(|(_, text)| text).collect::<Vec<_>>(),
                messages.iter().collect::<Vec<_>>()
            );
            assert_eq!(damages, Damages::default());
            for (place, message) in all {
                assert!(text[usize::try_from(place.offset()).unwrap()..].starts_with(&message));
            }
        }
    }
}

#[test]
fn compressed_or_not() {
    let folder = Folder::new("compressed");
    let (text, messages) = mbox(60);
    let bytes = text.as_bytes();
    let (front, back) = bytes.split_at(bytes.len() / 3);
    let skippable = [&b"\x52\x2a\x4d\x18\x03\x00\x00\x00abc"[..], &zstd(bytes)].concat();
    for (name, packed) in [
        ("gz", gzip(bytes)),
        ("gz-members", [gzip(front), gzip(back)].concat()),
        ("xz", xz(bytes)),
        ("xz-streams", [xz(front), xz(back)].concat()),
        ("zst", zstd(bytes)),
        ("zst-frames", [zstd(front), zstd(b""), zstd(back)].concat()),
        ("zst-skippable", skippable),
    ] {
        let archive = open(&folder.put(name, packed));
        assert_ne!(archive.files()[0].packing, Packing::Plain, "{name}");
        assert_eq!(texts(&archive), messages, "{name}");
    }
}

#[test]
fn the_tools_of_the_system_write_what_we_read() {
    let folder = Folder::new("tools");
    let (text, messages) = mbox(60);
    for (tool, args) in [("gzip", "-9"), ("xz", "-6"), ("zstd", "-19"), ("zstd", "--long=27")] {
        let path = folder.put("mail", &text);
        let made = std::process::Command::new(tool).args([args, "-f", "-c"]).arg(&path).output();
        let Ok(made) = made.inspect_err(|e| eprintln!("SKIPPED: {tool}: {e}")) else { continue };
        assert!(made.status.success(), "{tool}");
        assert_eq!(texts(&open(&folder.put("packed", made.stdout))), messages, "{tool}");
    }
}

#[test]
fn content_length_is_followed_in_order() {
    let folder = Folder::new("lengths");
    let message = |n: usize| {
        let body = format!("{n}\n\n{P}Not: a header\n\n").repeat(n);
        format!("Subject: {n}\nContent-Length: {}\n\n{body}", body.len())
    };
    let messages: Vec<String> = (0..30).map(message).collect();
    let path = folder.put("m", messages.iter().map(|m| format!("{P}{m}\n")).collect::<String>());
    let archive = open(&path);
    assert!(matches!(archive.files()[0].kind, Kind::Mbox(dialect) if dialect.ends() == Ends::Lengths));
    for threads in [1, 2, 5] {
        let (all, damages) = scanned(&archive, threads);
        assert_eq!(all.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), messages);
        assert_eq!(damages.count, 0);
    }
    let packed = folder.put("m.gz", gzip(&fs::read(&path).unwrap()));
    assert_eq!(texts(&open(&packed)), messages);
}

#[test]
fn a_content_length_beyond_the_limit_hides_nothing() {
    let folder = Folder::new("hides");
    let (text, mut messages) = mbox(40);
    let body = format!("x\n\n{P}y\n");
    let right = format!("Content-Length: {}\n\n{body}", body.len());
    let wrong = "Content-Length: 10000000\n\nx\n".to_owned();
    // More right ones than others, so that lengths are followed at all.
    let front: String = (0..900).map(|_| format!("{P}{right}\n")).collect();
    let path = folder.put("m", format!("{front}{P}{wrong}\n{text}"));
    let archive = open(&path);
    assert!(matches!(archive.files()[0].kind, Kind::Mbox(dialect) if dialect.ends() == Ends::Lengths));
    messages.insert(0, wrong);
    assert_eq!(texts(&archive)[900..], messages);
}

#[test]
fn chosen_places_only() {
    let folder = Folder::new("places");
    let (text, messages) = mbox(40);
    for path in [folder.put("m", &text), folder.put("m.xz", xz(text.as_bytes()))] {
        let archive = open(&path);
        let (all, _) = scanned(&archive, 2);
        let mut places: Vec<Place> = all.iter().map(|(place, _)| *place).skip(1).step_by(7).collect();
        places.reverse();
        places.push(places[0]);
        let (read, damages) = owned(archive.read(&places, 2, &Progress::default(), Vec::new, keep));
        assert_eq!(damages.count, 0);
        let mut want: Vec<&String> = messages.iter().skip(1).step_by(7).collect();
        want.push(want[want.len() - 1]);
        assert_eq!(read.iter().map(|(_, text)| text).collect::<Vec<_>>(), want);
        // Places of another archive are damage, and nothing worse.
        let wrong =
            [Place::new(0, 1 << 40, 9, false), Place::new(0, 0, u32::MAX, true), Place::new(7, 0, 1, false)];
        let (none, damages) = owned(archive.read(&wrong, 2, &Progress::default(), Vec::new, keep));
        assert_eq!((none.len(), damages.count), (0, 3), "{damages:?}");
    }
}

/// The rules, line by line, the whole file in memory.
fn split_plainly(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let (mut at, mut begun, mut found, mut empty_before) = (0, None, vec![], true);
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let long = line.len() > MAX_POSTMARK_BYTES;
        if line.starts_with(b"From ") && !long && empty_before && (at == 0 || is_postmark(line)) {
            found.extend(begun.map(|begun: usize| begun..at));
            begun = Some(at + line.len());
        }
        empty_before = line == b"\n" || line == b"\r\n";
        at += line.len();
    }
    found.extend(begun.map(|begun| begun..at));
    let message =
        |range: std::ops::Range<usize>| (range.start as u64, without_separator(&bytes[range]).to_vec());
    found.into_iter().map(message).filter(|(_, text)| !text.is_empty()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn as_a_slow_plain_splitter(
        parts in prop::collection::vec(prop_oneof![
            3 => Just(P.to_owned()), 1 => Just(P.replace('\n', "\r\n")), 3 => Just("\n".to_owned()),
            1 => Just("\r\n".to_owned()), 1 => Just("From ".to_owned()), 1 => Just("From the sea\n".to_owned()),
            2 => "[a-c\\n]{0,40}", 1 => "[x]{480,520}",
        ], 0..30),
        part_bytes in 1_u64..300,
        threads in 1_usize..4,
    ) {
        static CASE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let case = CASE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let text = format!("{P}{}", parts.concat());
        let folder = Folder::new(&format!("plain-{case}"));
        let archive = open_small(&folder.put("m", &text), Limits { part_bytes, ..small() });
        let (all, _) = scanned(&archive, threads);
        let all: Vec<_> = all.into_iter().map(|(place, text)| (place.offset(), text.into_bytes())).collect();
        prop_assert_eq!(all, split_plainly(text.as_bytes()));
    }
}
