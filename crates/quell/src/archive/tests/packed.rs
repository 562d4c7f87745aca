//! Compressed files that are no good.

use super::*;

type Pack = fn(&[u8]) -> Vec<u8>;
const PACKERS: [(&str, Pack); 3] = [("gz", gzip), ("xz", xz), ("zst", zstd)];

#[test]
fn a_stream_that_breaks_off_keeps_what_came_before() {
    let folder = Folder::new("truncated");
    // Random letters do not compress well, so that much is in the first half.
    let mut seed = 1_u64;
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + u8::try_from((seed >> 33) % 26).unwrap())
    };
    let messages: Vec<String> = (0..300)
        .map(|n| format!("Subject: {n}\n\n{}\n", (0..4000).map(|_| noise()).collect::<String>()))
        .collect();
    let text: String = messages.iter().map(|message| format!("{P}{message}\n")).collect();
    for (name, pack) in PACKERS {
        let packed = pack(text.as_bytes());
        let path = folder.put(name, &packed[..packed.len() / 2]);
        let (all, damages) = scanned(&open(&path), 2);
        assert!(all.len() > 50 && all.len() < 200, "{name}: {}", all.len());
        for ((place, text), message) in all.iter().zip(&messages) {
            let whole = if place.is_cut() { message.starts_with(text) } else { message == text };
            assert!(whole, "{name}: {place:?}");
        }
        assert!(matches!(damages.examples[0].what, What::Packing(_)), "{name}: {damages:?}");
        assert_eq!((damages.count, &damages.examples[0].path), (1, &path));
    }
}

#[test]
fn flipped_bits_are_damage_and_no_panic() {
    let folder = Folder::new("flipped");
    let (text, messages) = mbox(40);
    for (name, pack) in PACKERS {
        let packed = pack(text.as_bytes());
        for at in (8..packed.len()).step_by(packed.len() / 40 + 1) {
            let mut bad = packed.clone();
            bad[at] ^= 0x10;
            let path = folder.put(name, bad);
            // What is nonsense from its first byte on is no mail at all.
            let Ok(archive) = Archive::open_with(&[path], small(), &mut io::empty()) else { continue };
            let (all, damages) = owned(archive.scan(2, &Progress::default(), Vec::new, keep));
            let same = all.iter().map(|(_, text)| text).eq(&messages);
            assert!(same || damages.count > 0, "{name}: byte {at}");
        }
    }
}

#[test]
fn a_bomb_is_named_and_the_rest_goes_on() {
    let folder = Folder::new("bomb");
    let limits = Limits { expansion_free_bytes: 1 << 20, expansion_ratio: 100, ..small() };
    let text = format!("{P}Subject: a\n\nx\n\n{P}Subject: b\n\n{}", "\0".repeat(8 << 20));
    for (name, pack) in PACKERS {
        let path = folder.put(&format!("d/{name}"), pack(text.as_bytes()));
        folder.put("d/zz.eml", "Subject: z\n\n");
        let (all, damages) = scanned(&open_small(&folder.0.join("d"), limits), 2);
        let subjects: Vec<&str> = all.iter().map(|(_, text)| text.lines().next().unwrap()).collect();
        assert_eq!(subjects, ["Subject: a", "Subject: b", "Subject: z"], "{name}");
        let bomb = damages.examples.iter().find(|damage| damage.what == What::Bomb);
        assert_eq!(bomb.map(|damage| &damage.path), Some(&path), "{name}: {damages:?}");
        // The same within its limits is only too large.
        let (_, damages) = scanned(&open(&path), 1);
        assert!(
            damages.examples.iter().all(|damage| matches!(damage.what, What::TooLarge(_))),
            "{damages:?}"
        );
        let limits = Limits { expanded_bytes: 1 << 20, ..small() };
        let (_, damages) = scanned(&open_small(&path, limits), 1);
        assert!(damages.examples.iter().any(|damage| damage.what == What::Bomb), "{damages:?}");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn compression_in_compression_is_not_followed() {
    let folder = Folder::new("nested");
    folder.put("d/a.gz", gzip(&xz(format!("{P}A: 1\n").as_bytes())));
    folder.put("d/b.eml", "To: b\n\n");
    let archive = open(&folder.0.join("d"));
    assert_eq!((archive.files().len(), archive.passed_over()), (1, 1));
}
