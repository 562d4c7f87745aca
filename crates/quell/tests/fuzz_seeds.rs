//! The bodies of the fuzz targets on their seeds, with the stable toolchain and at every test run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use targets::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// Names in a folder, without what stands behind the first dot.
fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(fuzz().join(folder)).unwrap().flatten();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.map(|entry| name(entry).split('.').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_seed_keeps_the_promises() {
    for (name, target) in TARGETS {
        let seeds: Vec<PathBuf> =
            fs::read_dir(fuzz().join("seeds").join(name)).unwrap().flatten().map(|e| e.path()).collect();
        assert!(seeds.len() >= 2, "{name} has {} seeds", seeds.len());
        for seed in seeds {
            let bytes = fs::read(&seed).unwrap();
            // Its beginnings are seeds too: input may end anywhere.
            for len in (0..bytes.len()).step_by(1 + bytes.len() / 64).chain([bytes.len()]) {
                let held = std::panic::catch_unwind(|| target(&bytes[..len]));
                assert!(held.is_ok(), "{}: the first {len} bytes", seed.display());
            }
        }
    }
}

#[test]
fn every_target_has_a_binary_and_seeds() {
    let wanted: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), wanted);
    assert_eq!(names("seeds"), wanted);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in &wanted {
        let source = fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(source.contains(&format!("quell_fuzz::{name}(bytes)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
