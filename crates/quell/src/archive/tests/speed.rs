//! How fast an archive is read. Measures and asserts no time: `QUELL_ARCHIVE` names what to read, or
//! `cargo test --release -p quell --lib archive::tests::speed -- --ignored --nocapture` makes 1 GB.

use std::time::Instant;

use super::*;

#[test]
#[ignore = "a measurement, of a file of 1 GB"]
fn gigabytes_per_second() {
    let folder = Folder::new("speed");
    let path = std::env::var_os("QUELL_ARCHIVE").map_or_else(|| generated(&folder), PathBuf::from);
    let opened = Instant::now();
    let archive = Archive::open(&[path], Limits::default()).unwrap();
    eprintln!("{} files opened in {:?}", archive.files().len(), opened.elapsed());
    for threads in [1, 2, 1, 2] {
        let (progress, began) = (Progress::default(), Instant::now());
        let (counts, damages) = archive.scan(
            threads,
            &progress,
            || (0_u64, 0_u64),
            |count, message| {
                count.0 += message.bytes.len() as u64;
                count.1 += u64::from(message.bytes[0]);
            },
        );
        let (seconds, bytes) = (began.elapsed().as_secs_f64(), counts.iter().map(|c| c.0).sum::<u64>());
        assert!(bytes > 0 && damages.count == 0);
        eprintln!(
            "{threads} threads: {} messages, {bytes} bytes, {:.2} GB/s",
            progress.messages_done(),
            bytes as f64 / seconds / 1e9
        );
    }
}

/// 200,000 messages of 5 KiB, with six stamps each.
fn generated(folder: &Folder) -> PathBuf {
    let path = folder.0.join("big.mbox");
    let mut file = io::BufWriter::new(fs::File::create(&path).unwrap());
    let stamp = "Received: from a.example (a.example [192.0.2.1])\n\tby b.example (Postfix) with ESMTP id 4F2A1B3C\n\
                 \tfor <jane@b.example>; Sat, 21 Nov 2026 23:00:00 +0000 (UTC)\n";
    let body = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eius.\n".repeat(58);
    for n in 0..200_000 {
        write!(
            file,
            "{P}{}Message-ID: <{n}@a.example>\nFrom: a@a.example\nSubject: {n}\n\n{body}\n",
            stamp.repeat(6)
        )
        .unwrap();
    }
    file.flush().unwrap();
    path
}
