//! What is damaged is counted, and the rest is read.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn whats(damages: &Damages) -> Vec<(u64, What)> {
    damages.examples.iter().map(|damage| (damage.offset, damage.what.clone())).collect()
}

#[test]
fn a_message_that_is_too_large_loses_its_body() {
    let folder = Folder::new("large");
    let head = "Subject: large\nX: y\n";
    for size in [19_900, 20_100, 3 << 20] {
        let large = format!("{head}\n{}", "x\n".repeat(size / 2));
        let text = format!("{P}A: 1\n\n{P}{large}\n{P}B: 2\n");
        for bytes in [text.clone().into_bytes(), gzip(text.as_bytes())] {
            let (all, damages) = scanned(&open(&folder.put("m", bytes)), 2);
            let cut = large.len() > 20_000;
            let texts: Vec<&str> = all.iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(texts, ["A: 1\n", if cut { head } else { &large }, "B: 2\n"], "{size}");
            assert_eq!(all.iter().map(|(place, _)| place.is_cut()).collect::<Vec<_>>(), [false, cut, false]);
            let at = (P.len() * 2 + 6) as u64;
            assert_eq!(whats(&damages), if cut { vec![(at, What::TooLarge(20_000))] } else { vec![] });
        }
        let (all, damages) = scanned(&open(&folder.put("single.eml", &large)), 2);
        assert_eq!(all[0].1 == head, damages.count == 1);
        let (packed, same) = scanned(&open(&folder.put("single.eml", gzip(large.as_bytes()))), 2);
        assert_eq!((packed, same.count), (all, damages.count));
    }
    // Of a header without end there is a bounded beginning.
    let (all, _) = scanned(&open(&folder.put("m", format!("{P}Subject: {}", "x".repeat(30_000)))), 2);
    assert_eq!((all.len(), all[0].1.len()), (1, small().header_bytes));
}

#[test]
fn exactly_the_limit_is_whole() {
    let folder = Folder::new("limit");
    for over in [0, 1] {
        let large = format!("A: 1\n\n{}\n", "x".repeat(20_000 - 7 + over));
        let single = folder.put("s.eml", large.replace("A: 1", "To:1"));
        for path in [folder.put("m", format!("{P}{large}\n{P}B: 2\n")), single] {
            let (all, damages) = scanned(&open(&path), 2);
            assert_eq!((all[0].0.is_cut(), damages.count), (over == 1, over as u64));
        }
    }
}

#[test]
fn empty_messages_and_holes() {
    let folder = Folder::new("holes");
    let hole = "\0".repeat(700);
    for (text, messages, whats) in [
        (format!("{P}\n{P}A: 1\n"), vec!["A: 1\n"], vec![What::Empty]),
        (format!("{P}{hole}\n\n{P}A: 1\n"), vec!["A: 1\n"], vec![What::Nul(700)]),
        (format!("{P}{hole}A: 1\n\nx\n"), vec!["A: 1\n\nx\n"], vec![What::Nul(700)]),
        (format!("{P}A: 1\n\n{hole}"), vec!["A: 1\n"], vec![What::Nul(700)]),
        (format!("{P}A: 1\n\nx{hole}y\n"), vec!["A: 1\n\nx"], vec![What::Nul(700)]),
        (format!("{P}A: 1\n\n{hole}{P}B: 2\n"), vec!["A: 1\n", "B: 2\n"], vec![What::Nul(700)]),
        (
            format!("{P}A: 1\n{hole}\n{P}B: 2\n\n{P}C: 3\n{hole}"),
            vec!["A: 1\n", "B: 2\n", "C: 3\n"],
            vec![What::Nul(700), What::Nul(700)],
        ),
        (
            format!("{P}A: 1\n\n{}x\n", "\0".repeat(255)),
            vec![&format!("A: 1\n\n{}x\n", "\0".repeat(255))],
            vec![],
        ),
    ] {
        let (all, damages) = scanned(&open(&folder.put("m", &text)), 3);
        assert_eq!(all.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), messages, "{text:?}");
        assert_eq!(
            damages.examples.iter().map(|damage| damage.what.clone()).collect::<Vec<_>>(),
            whats,
            "{text:?}"
        );
        for damage in damages.examples.iter().filter(|damage| damage.what != What::Empty) {
            assert!(text[usize::try_from(damage.offset).unwrap()..].starts_with(&hole), "{text:?}");
        }
    }
    folder.put("d/cur/empty", "");
    folder.put("d/new/nul", &hole);
    let (all, damages) = scanned(&open(&folder.0.join("d")), 1);
    assert_eq!((all.len(), damages.count), (0, 2));
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_goes_on() {
    let folder = Folder::new("unreadable");
    folder.put("d/cur/1", "A: 1\n\n");
    folder.put("d/new/2", "B: 2\n\n");
    let closed = folder.put("a.eml", "To: a\n\n");
    let archive = open(&folder.0.join("d"));
    fs::remove_file(folder.0.join("d/cur/1")).unwrap();
    let (all, damages) = owned(archive.scan(2, &Progress::default(), Vec::new, keep));
    assert_eq!((all.len(), damages.count), (1, 1));
    assert!(damages.examples[0].to_string().contains("d/cur/1, byte 0: cannot be read: No such file"));
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&closed).is_ok() {
        eprintln!("SKIPPED: who runs this may read every file");
        return;
    }
    let (_, damages) = scanned(&open(&folder.0), 2);
    assert!(damages.examples[0].to_string().contains("a.eml, byte 0: cannot be read"));
}

#[test]
fn a_file_that_shrinks_is_damaged() {
    let folder = Folder::new("shrinks");
    let (text, messages) = mbox(50);
    for bytes in [text.clone().into_bytes(), gzip(text.as_bytes())] {
        let path = folder.put("m", &bytes);
        let archive = open(&path);
        let (all, _) = scanned(&archive, 2);
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(bytes.len() as u64 / 2).unwrap();
        let (some, damages) = owned(archive.scan(2, &Progress::default(), Vec::new, keep));
        assert!(damages.count > 0 && some.len() < messages.len());
        let whole: Vec<_> = some.iter().filter(|(place, _)| !place.is_cut()).collect();
        assert!(!whole.is_empty() && whole.iter().all(|(_, text)| messages.contains(text)));
        let places: Vec<Place> = all.iter().map(|(place, _)| *place).collect();
        let (again, damages) = owned(archive.read(&places, 2, &Progress::default(), Vec::new, keep));
        assert!(damages.count > 0 && again.iter().all(|message| all.contains(message)));
    }
    let path = folder.put("s.eml", "Subject: a\n\nlong body\n");
    let archive = open(&path);
    fs::write(&path, "Subject: a\n\nlong").unwrap();
    let (all, damages) = owned(archive.scan(1, &Progress::default(), Vec::new, keep));
    assert!(all[0].0.is_cut());
    assert_eq!(damages.examples[0].what, What::Shrunk);
}

#[test]
fn a_file_that_became_a_pipe_is_not_waited_for() {
    let folder = Folder::new("became");
    let path = folder.put("m", mbox(5).0);
    let archive = open(&path);
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (all, damages) = owned(archive.scan(2, &Progress::default(), Vec::new, keep));
    assert!(all.is_empty() && damages.count > 0);
}

#[test]
fn only_the_first_examples_are_kept_whatever_the_threads() {
    let folder = Folder::new("examples");
    let path = folder.put("m", format!("{P}\n").repeat(500));
    let archive = open(&path);
    let (_, damages) = scanned(&archive, 1);
    assert_eq!((damages.count, damages.examples.len()), (500, MAX_EXAMPLES));
    assert_eq!(damages.examples[19].offset, (P.len() * 20 + 19) as u64);
    for threads in [2, 4] {
        assert_eq!(scanned(&archive, threads).1, damages);
    }
}

#[test]
fn folders_too_deep_are_named() {
    let folder = Folder::new("deep");
    folder.put("a/b/c/d/m.eml", "To: a\n\n");
    folder.put("a/m.eml", "To: b\n\n");
    let (all, damages) = scanned(&open_small(&folder.0, Limits { folder_depth: 2, ..small() }), 1);
    assert_eq!((all.len(), damages.examples[0].what.clone()), (1, What::TooDeep));
    assert!(damages.examples[0].path.ends_with("a/b/c"));
}
