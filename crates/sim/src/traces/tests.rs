use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const SEEDS: u64 = 120;

/// Some worlds of every kind.
fn all() -> impl Iterator<Item = (World, Vec<Vec<i64>>)> {
    (0..20).flat_map(|seed| kinds().iter().map(move |kind| made(*kind, seed)))
}

fn copies(world: &World) -> usize {
    world.mails.iter().filter(|mail| mail.maker.is_some()).count()
}

/// The worlds of one kind.
fn of(name: &str) -> Vec<World> {
    let kind = kinds().iter().find(|kind| kind.name() == name).expect(name);
    (0..SEEDS).map(|seed| world(*kind, seed)).collect()
}

#[test]
fn a_seed_decides_all() {
    for kind in kinds() {
        assert_eq!(world(*kind, 7), world(*kind, 7));
        assert_ne!(world(*kind, 7).mails, world(*kind, 8).mails, "{kind:?}");
    }
    let names: BTreeSet<&str> = kinds().iter().map(Kind::name).collect();
    assert_eq!(names.len(), kinds().len());
    assert!(kinds().iter().all(|kind| kind.about().ends_with('.')));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_seed_makes_a_world(kind in 0..KINDS.len(), seed: u64) {
        let world = world(kinds()[kind], seed);
        let bytes: usize = world.mails.iter().map(|mail| mail.bytes.len()).sum();
        prop_assert!(!world.mails.is_empty() && world.mails.len() <= 3_000 && bytes <= 16 << 20);
    }
}

#[test]
fn worlds_are_bounded_and_not_empty() {
    for (world, _) in all() {
        let bytes: usize = world.mails.iter().map(|mail| mail.bytes.len()).sum();
        assert!(!world.mails.is_empty(), "{:?} {}", world.kind, world.seed);
        assert!(world.mails.len() <= 3_000 && bytes <= 16 << 20, "{:?} {}", world.kind, world.seed);
    }
}

/// `MAX_MAILS` and `MAX_BYTES` hold whatever a story does.
#[test]
fn a_story_without_end_is_cut() {
    let mut case = Case::new(kinds()[0], 1);
    let stage = case.stage(1, 1);
    let letter = case.letter(&stage.readers[0], &stage.readers);
    let message = case.message("no_culprit");
    let copy = case.written(message, &letter);
    for _ in 0..case::MAX_MAILS + 50 {
        case.keep(copy.clone(), &stage.readers[0]);
    }
    let mut long = copy.clone();
    long.body = "x".repeat(case::MAX_BYTES).into();
    case.keep(long, &stage.readers[0]);
    assert_eq!(case.finish().0.mails.len(), case::MAX_MAILS);
}

#[test]
fn true_time_goes_forward_along_a_trace() {
    for (world, times) in all() {
        for (mail, times) in world.mails.iter().zip(&times) {
            let story = format!("{:?} {}", world.kind, world.seed);
            assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{story}: {times:?}");
            assert!(times.last().is_none_or(|last| *last <= mail.arrived_ms), "{story}");
            let text = String::from_utf8(mail.bytes.clone()).expect("a text");
            let header = text.replace("\r\n", "\n");
            let header = header.split("\n\n").next().expect("a header").to_owned();
            let stamps = header.lines().filter(|line| line.starts_with("Received: ")).count();
            assert_eq!(stamps, times.len(), "{story}: one time for each stamp\n{header}");
        }
    }
}

#[test]
fn lines_end_in_one_way_and_are_header_lines() {
    for (world, _) in all() {
        for mail in &world.mails {
            let text = std::str::from_utf8(&mail.bytes).expect("a text");
            let crlf = text.matches("\r\n").count();
            assert!(text.ends_with('\n') && (crlf == 0 || crlf == text.matches('\n').count()));
            let header = text.lines().take_while(|line| !line.is_empty());
            for line in header {
                let folded = line.starts_with([' ', '\t']) && !line.trim().is_empty();
                let name = line.split(':').next().unwrap_or_default();
                let named = line.contains(':') && !name.contains(' ');
                assert!(folded || named, "{:?} {}: {line:?}", world.kind, world.seed);
            }
        }
    }
}

/// A reader of mboxrd: a line `From ` begins a message, an empty line before it does not count, and one `>` goes.
fn read_mboxrd(file: &[u8]) -> Vec<Vec<u8>> {
    let mut mails: Vec<Vec<u8>> = Vec::new();
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"From ") {
            mails.push(Vec::new());
            continue;
        }
        let quotes = line.iter().take_while(|byte| **byte == b'>').count();
        let quoted = quotes > 0 && line[quotes..].starts_with(b"From ");
        mails.last_mut().expect("a message").extend_from_slice(if quoted { &line[1..] } else { line });
    }
    for mail in &mut mails {
        let end = if mail.ends_with(b"\r\n") { 2 } else { 1 };
        mail.truncate(mail.len() - end);
    }
    mails
}

#[test]
fn mailbox_files_give_back_the_mails() {
    for (world, _) in all() {
        let mut expected: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for mail in &world.mails {
            expected.entry(mail.mailbox.clone()).or_default().push(mail.bytes.clone());
        }
        let read: BTreeMap<String, Vec<Vec<u8>>> =
            mbox(&world).into_iter().map(|(name, file)| (name, read_mboxrd(&file))).collect();
        assert_eq!(read, expected);
    }
}

#[test]
fn lines_that_begin_a_message_are_quoted() {
    let mut world = world(kinds()[0], 1);
    world.mails.truncate(1);
    world.mails[0].bytes = b"A: b\n\nFrom here\n>From there\n>>From x\n> From\n".to_vec();
    let (_, file) = mbox(&world).remove(0);
    assert!(
        file.ends_with(b"\n\n>From here\n>>From there\n>>>From x\n> From\n\n"),
        "{}",
        String::from_utf8_lossy(&file)
    );
    assert_eq!(read_mboxrd(&file), [world.mails[0].bytes.clone()]);
}

#[test]
fn the_truth_fits_the_mails() {
    for (world, _) in all() {
        let Truth { culprits, groups } = &world.truth;
        let story = format!("{:?} {}", world.kind, world.seed);
        let numbers: BTreeSet<usize> = world.mails.iter().map(|mail| mail.message).collect();
        assert!(groups.iter().map(|group| group.message).eq(numbers.iter().copied()), "{story}");
        for group in groups {
            let mails: Vec<&Mail> = world.mails.iter().filter(|mail| mail.message == group.message).collect();
            let blames = matches!(group.verdict, "culprit" | "retry" | "loop");
            assert_eq!(blames, !group.culprits.is_empty(), "{story}: {group:?}");
            assert!(group.decidable || group.culprits.is_empty(), "{story}");
            for culprit in &group.culprits {
                let TrueCulprit { names, ip, class } = &culprits[*culprit];
                let marks: Vec<String> = names.iter().cloned().chain(ip.map(|ip| ip.to_string())).collect();
                let named = mails.iter().any(|mail| {
                    let text = String::from_utf8_lossy(&mail.bytes);
                    marks.iter().any(|mark| text.contains(mark.as_str()))
                });
                assert!(named || marks.is_empty() && *class == "injects", "{story}: {names:?}");
            }
            if !blames && group.verdict != "cannot_tell" {
                assert!(mails.iter().all(|mail| mail.maker.is_none()), "{story}");
            }
        }
    }
}

/// Each copy bears a name or the address of the machine that made it, unless nothing can be known of it.
#[test]
fn every_copy_names_its_maker() {
    for (world, _) in all() {
        for mail in &world.mails {
            let Some(TrueCulprit { names, ip, .. }) = mail.maker.map(|maker| &world.truth.culprits[maker])
            else {
                continue;
            };
            let text = String::from_utf8_lossy(&mail.bytes);
            let mut marks = names.iter().cloned().chain(ip.map(|ip| ip.to_string()));
            let nothing = names.is_empty() && ip.is_none();
            let story = format!("{:?} {}: {names:?}", world.kind, world.seed);
            assert!(nothing || marks.any(|mark| text.contains(&mark)), "{story}\n{text}");
        }
    }
}

#[test]
fn some_worlds_have_wrong_clocks_and_some_forged_stamps() {
    let wrong = |case: &mut Case| (0..40).any(|_| case.skew().abs() > clock::HOUR / 2);
    let worlds = 1_000;
    let cases: Vec<Case> = (0..worlds).map(|seed| Case::new(kinds()[0], seed)).collect();
    let forged = cases.iter().filter(|case| case.forged_bottom).count();
    let skewed = cases.into_iter().filter_map(|mut case| wrong(&mut case).then_some(())).count();
    assert!((70..130).contains(&forged), "{forged} of {worlds}, and it should be a tenth");
    assert!((160..240).contains(&skewed), "{skewed} of {worlds}, and it should be a fifth");
}

/// The receiver's slowness stands between its own stamps in about two thirds of the worlds. The first copy shows
/// it best: there is no waiting sender in its trace yet.
#[test]
fn slow_receivers_show_it() {
    let kind = *kinds().iter().find(|kind| kind.name() == "retry").expect("a kind");
    let shows = |seed: u64| {
        let (world, times) = made(kind, seed);
        let copies = world.mails.iter().zip(&times).filter(|(mail, _)| mail.maker.is_some());
        let first = copies.min_by_key(|(_, times)| times.last().copied()).expect("a copy");
        first.1.windows(2).any(|pair| pair[1] - pair[0] >= 10 * clock::MINUTE)
    };
    let slow = (0..300).filter(|seed| shows(*seed)).count();
    assert!((170..250).contains(&slow), "{slow} of 300");
}

#[test]
fn a_pair_is_an_original_and_one_copy() {
    for world in of("pair") {
        let message =
            world.truth.groups.iter().find(|group| group.verdict == "culprit").expect("one").message;
        let its = world.mails.iter().filter(|mail| mail.message == message);
        let makers: BTreeSet<Option<usize>> = its.clone().map(|mail| mail.maker).collect();
        assert_eq!((its.count(), makers), (2, BTreeSet::from([None, Some(0)])), "{}", world.seed);
    }
}

/// Whoever can be convicted made at least two of the mails, but for the first of a chain and the second of a
/// pair.
#[test]
fn every_culprit_has_its_copies() {
    for (world, _) in all() {
        for culprit in world.truth.groups.iter().flat_map(|group| &group.culprits) {
            let made = world.mails.iter().filter(|mail| mail.maker == Some(*culprit)).count();
            let least = match world.kind.name() {
                "pair" => 1,
                "chain" | "loop" => 0,
                _ => 2,
            };
            assert!(made >= least, "{:?} {}: {culprit} made {made}", world.kind, world.seed);
        }
    }
}

#[test]
fn faulty_kinds_have_culprits_and_innocent_ones_none() {
    let innocent =
        ["clean", "list", "forwarder", "filter", "innocent_marks", "lookalikes", "duplicates_of_archive"];
    for kind in kinds() {
        let (mut worlds, mut solved) = (0, 0);
        for seed in 0..60 {
            let world = world(*kind, seed);
            let convicted: usize = world.truth.groups.iter().map(|group| group.culprits.len()).sum();
            let decidable = world.truth.groups.iter().all(|group| group.decidable);
            worlds += 1;
            solved += usize::from(convicted > 0);
            assert!(convicted <= 5, "{kind:?} {seed}");
            if innocent.contains(&kind.name()) {
                assert!(copies(&world) == 0 && convicted == 0 && decidable, "{kind:?} {seed}");
            } else {
                assert!(copies(&world) > 0 && (convicted > 0) == decidable, "{kind:?} {seed}");
            }
        }
        // A gateway that leaves no stamp may hide the culprit.
        let expected = match kind.name() {
            name if innocent.contains(&name) => 0..=0,
            "no_evidence" => 0..=0,
            _ => worlds * 9 / 10..=worlds,
        };
        assert!(expected.contains(&solved), "{kind:?}: {solved} of {worlds}");
    }
}

#[test]
fn counts_reach_both_ends() {
    for (name, low, high) in [
        ("resend_trace", 2, 180),
        ("resend_identity", 2, 180),
        ("smart_host", 2, 180),
        ("same_names", 2, 180),
        ("lost_trace", 2, 180),
        ("retry", 2, 26),
        ("retry_no_stamp", 2, 26),
        ("inject", 3, 50),
        ("forged", 2, 50),
        ("no_evidence", 2, 50),
        ("multidrop", 2, 40),
    ] {
        let counts: Vec<usize> = of(name)
            .iter()
            .map(|world| {
                let mut boxes: BTreeMap<&str, usize> = BTreeMap::new();
                let made = world.mails.iter().filter(|mail| mail.maker.is_some());
                made.for_each(|mail| *boxes.entry(&mail.mailbox).or_default() += 1);
                boxes.into_values().max().unwrap_or(0)
            })
            .collect();
        let (least, most) = (counts.iter().min().copied(), counts.iter().max().copied());
        assert!(least <= Some(low) && most >= Some(high), "{name}: {least:?} to {most:?}");
    }
    let culprits =
        |name: &str| of(name).iter().map(|world| world.truth.culprits.len()).collect::<BTreeSet<_>>();
    assert_eq!(culprits("several_behind_isp"), BTreeSet::from([2, 3, 4, 5]));
    assert_eq!(culprits("chain"), BTreeSet::from([2]));
    assert_eq!(culprits("loop"), BTreeSet::from([2]));
}

#[test]
fn one_mailbox_or_many_are_seen() {
    for kind in kinds() {
        let boxes: BTreeSet<usize> = (0..SEEDS).map(|seed| mbox(&world(*kind, seed)).len()).collect();
        assert!(boxes.contains(&1) && boxes.iter().any(|count| *count > 2), "{kind:?}: {boxes:?}");
    }
}

/// The marks by which each server's stamps are known stand in the worlds.
#[test]
fn all_software_is_about() {
    let mut left: BTreeSet<&str> = BTreeSet::from([
        " (Postfix) with ESMTP",
        " (Exim 4.",
        "/8.13.1) with ESMTP id",
        "invoked from network); ",
        "[::ffff:",
        " rhost-flags-",
        " (OpenSMTPD) with ",
        "(CommuniGate Pro SMTP ",
        "with Microsoft SMTPSVC(5.0.",
        "with Microsoft SMTPSVC(6.0.",
        "from mail pickup service by ",
        "with Microsoft SMTP Server",
        "with mapi id",
        "prod.outlook.com",
        "by mx.google.com with",
        "Domino Release",
        "(MDaemon",
        "(single-drop)",
        "(multi-drop)",
        "amavisd-new, port 10024",
        "via listexpand",
        "with LMTPA;",
        "with POP3; ",
        "Internet Mail Service (5.5.",
        "[IPv6:2001:db8:",
        "(may be forged)",
        "mspop3connector.",
        "SRS0=",
    ]);
    for (world, _) in all() {
        for mail in &world.mails {
            let text = String::from_utf8_lossy(&mail.bytes);
            left.retain(|mark| !text.contains(mark));
        }
        if left.is_empty() {
            return;
        }
    }
    panic!("never seen: {left:?}");
}
