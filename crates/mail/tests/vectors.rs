//! The exact keys of `tests/vectors`, which were computed by another program than this one.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test, its helpers included, fails by panicking"
)]

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use quell_mail::exact::exact_key;
use quell_mail::key::ExactKey;
use quell_mail::reading::Reader;

/// Sat, 21 Nov 2026 23:20:44 UTC: when all of them arrived.
const ARRIVAL_MS: i64 = 1_795_303_244_000;

fn hex(key: &ExactKey) -> String {
    key.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What `expected.txt` says, by file name.
fn expected(folder: &Path) -> HashMap<String, String> {
    let text = fs::read_to_string(folder.join("expected.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').unwrap()).map(|(f, k)| (f.to_owned(), k.to_owned())).collect()
}

#[test]
fn every_vector_has_its_key() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let expected = expected(&folder);
    assert!(expected.len() >= 17);
    for (file, wanted) in &expected {
        let message = fs::read(folder.join(file)).unwrap();
        let given = exact_key(&message, ARRIVAL_MS);
        let text = given.as_ref().map_or_else(|why| format!("{why:?}"), hex);
        assert_eq!(&text, wanted, "{file}");

        let mut reader = Reader::new(1 << 20);
        message.chunks(100).for_each(|chunk| reader.push(chunk).unwrap());
        assert_eq!(reader.finish(ARRIVAL_MS).exact_key, given, "{file}, streamed");
    }
    let same = ["plain.eml", "plain-other-to-and-trace.eml", "plain-refolded.eml", "plain-unix-lines.eml"];
    assert!(same.iter().all(|file| expected[*file] == expected[same[0]]));
    let files = fs::read_dir(&folder)
        .unwrap()
        .filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|ext| ext == "eml"));
    assert_eq!(files.count(), expected.len(), "a message without a line in expected.txt");
}
