mod damaged;
mod packed;
mod same;
mod sources;
mod speed;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::*;

/// A folder that is gone when the test is over.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("quell-archive-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = lzma_rust2::XzWriter::new(vec![], lzma_rust2::XzOptions::with_preset(1)).unwrap();
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// Small parts and messages, so that a test reaches the limits.
fn small() -> Limits {
    Limits { part_bytes: 700, message_bytes: 20_000, header_bytes: 200, ..Limits::default() }
}

fn open(path: &Path) -> Archive {
    open_small(path, small())
}

fn open_small(path: &Path, limits: Limits) -> Archive {
    Archive::open_with(&[path.to_owned()], limits, &mut io::empty()).unwrap()
}

type Texts = Vec<(Place, String)>;

fn owned((states, damages): (Vec<Texts>, Damages)) -> (Texts, Damages) {
    for state in &states {
        assert!(state.is_sorted_by_key(|(place, _)| *place), "a thread has the archive's order");
    }
    let mut all = states.concat();
    all.sort();
    (all, damages)
}

fn keep(state: &mut Texts, message: Message<'_>) {
    assert_eq!(message.place.len() as usize, message.bytes.len());
    state.push((message.place, String::from_utf8_lossy(message.bytes).into_owned()));
}

/// All messages in the archive's order, with `threads` threads; reading them again gives the same.
fn scanned(archive: &Archive, threads: usize) -> (Texts, Damages) {
    let progress = Progress::default();
    let (all, damages) = owned(archive.scan(threads, &progress, Vec::new, keep));
    assert_eq!(progress.messages_done(), all.len() as u64);
    let places: Vec<Place> = all.iter().map(|(place, _)| *place).collect();
    let (again, none) = owned(archive.read(&places, threads, &Progress::default(), Vec::new, keep));
    assert_eq!((&again, none.count), (&all, 0), "{none:?}");
    (all, damages)
}

fn texts(archive: &Archive) -> Vec<String> {
    let (all, damages) = scanned(archive, 2);
    assert_eq!(damages, Damages::default());
    all.into_iter().map(|(_, text)| text).collect()
}

const P: &str = "From a@b.example Sat Nov 21 23:00:00 2026\n";

/// An mbox of `count` messages of different sizes, and the messages.
fn mbox(count: usize) -> (String, Vec<String>) {
    let message = |n: usize| {
        let lines = "From my house one sees\n\n>From here not\n".repeat(n * 7 % 40);
        format!("Subject: {n}\nX-Long: {}\n\n{lines}end of {n}\n", "x".repeat(n * 31 % 300))
    };
    let messages: Vec<String> = (0..count).map(message).collect();
    (messages.iter().map(|message| format!("{P}{message}\n")).collect(), messages)
}
