//! Every stamp of a collection is taken apart, and what was not understood is told.
//! `QUELL_REAL_MAIL` names the folder, as in `real_mail`; without it nothing is tested, and the
//! test says so. `QUELL_UNEXPLAINED` names a file for the stamps of which something was left.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test, its helpers included, fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use memchr::memmem;
use quell_mail::header::{fields, split};
use quell_mail::hop::{Word, parse};

#[test]
fn every_real_stamp_is_understood() {
    let Some(folder) = std::env::var_os("QUELL_REAL_MAIL").filter(|f| Path::new(f).is_dir()) else {
        eprintln!("SKIPPED: QUELL_REAL_MAIL names no folder with real mail");
        return;
    };
    let mut counts = BTreeMap::<String, usize>::new();
    let mut unexplained = String::new();
    for path in files(Path::new(&folder)) {
        let bytes = fs::read(&path).unwrap();
        for message in messages(&bytes) {
            for field in fields(split(message).0).filter(|field| field.is("Received")) {
                survey(field.value, &mut counts, &mut unexplained);
            }
        }
    }
    counts.iter().for_each(|(what, n)| eprintln!("{n:7} {what}"));
    if let Some(file) = std::env::var_os("QUELL_UNEXPLAINED") {
        fs::write(file, unexplained).unwrap();
    }
    let count = |what: &str| counts.get(what).copied().unwrap_or_default();
    assert!(count("stamps") > 0, "no stamp in {}", Path::new(&folder).display());
    for what in ["no date", "no by", "something left"] {
        assert!(count(what) * 50 <= count("stamps"), "{what}: {} of {}", count(what), count("stamps"));
    }
}

fn survey(value: &[u8], counts: &mut BTreeMap<String, usize>, unexplained: &mut String) {
    let hop = parse(value);
    let mut count = |what: &str| *counts.entry(what.to_owned()).or_default() += 1;
    count("stamps");
    count(&format!("kind {:?}", hop.kind));
    count(&format!("protocol {:?}", hop.protocol));
    let software = hop.software.map_or("none told".to_owned(), |s| s.name.to_string());
    count(&format!("software {software}"));
    let lacks = [
        ("no date", hop.date_ms.is_none()),
        ("no by", hop.by.is_none()),
        ("something left", hop.rest > 0),
        ("neither from nor address", hop.has_no_from()),
    ];
    for (what, lacking) in lacks {
        if lacking {
            count(what);
            let line = format!("{what} ({}): {}\n  {hop:?}\n", hop.rest, Word(value));
            unexplained.push_str(&line);
        }
    }
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

/// The messages of an mbox, its `From ` lines included; or the one message a file is.
fn messages(bytes: &[u8]) -> Vec<&[u8]> {
    if !bytes.starts_with(b"From ") {
        return vec![bytes];
    }
    let mut starts = vec![0];
    starts.extend(memmem::find_iter(bytes, b"\n\nFrom ").map(|at| at + 2));
    starts.push(bytes.len());
    starts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect()
}
