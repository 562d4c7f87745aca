//! The passes over files say what one look at everything in memory says.

use std::fs;
use std::path::{Path, PathBuf};

use quell_sim::traces::{World, kinds, mbox, world};
use quell_storm::trace::Bounds;
use quell_storm::trace::report::{Finding, Group, Report, Tree};
use quell_storm::trace::whole::{self, Mail};

use super::batches::{MAX_PICTURES, forget_pictures};
use super::mails::{file_name, place_of};
use super::passes::{Reading, trace};
use crate::archive::tests::Folder;
use crate::archive::{Archive, Limits, Place, Progress};

/// Small parts, so that there is work for every thread.
fn open(paths: &[PathBuf]) -> Archive {
    Archive::open(paths, Limits { part_bytes: 20_000, ..Limits::default() }).unwrap()
}

fn traced(archive: &Archive, threads: usize) -> Report {
    trace(archive, Reading { threads, quiet: true }).report
}

fn places(archive: &Archive) -> Vec<Place> {
    let keep = |places: &mut Vec<Place>, message: crate::archive::Message<'_>| places.push(message.place);
    let (places, _) = archive.scan(1, &Progress::default(), Vec::new, keep);
    places.concat()
}

/// What the mails of a world say, all in memory, as they were before they came into files.
fn in_memory(world: &World, archive: &Archive) -> Report {
    let mut mails: Vec<_> = world.mails.iter().collect();
    mails.sort_by(|a, b| a.mailbox.cmp(&b.mailbox));
    let places = places(archive);
    assert_eq!(places.len(), mails.len());
    let mails: Vec<Mail<'_>> = mails
        .iter()
        .zip(places)
        .map(|(mail, place)| Mail { place: place_of(place), bytes: &mail.bytes, mailbox: &mail.mailbox })
        .collect();
    whole::report(&mails, Bounds::ARCHIVE, &|file| file_name(archive, file))
}

#[test]
fn worlds_of_every_kind_with_any_number_of_threads() {
    let mut culprits = 0;
    for (seed, kind) in (1..).zip(kinds()) {
        let (world, folder) = (world(*kind, seed), Folder::new(&format!("passes-{}", kind.name())));
        let paths: Vec<PathBuf> = mbox(&world).iter().map(|(name, bytes)| folder.put(name, bytes)).collect();
        let archive = open(&paths);
        let wanted = in_memory(&world, &archive);
        for threads in [1, 2, 5] {
            let is = traced(&archive, threads);
            assert!(is == wanted, "{} {seed}, {threads} threads", kind.name());
        }
        culprits += wanted.groups.iter().map(|group| group.culprits.len()).sum::<usize>();
    }
    assert!(culprits >= 10, "the worlds have storms in them: {culprits}");
}

fn letter(n: usize, copy: usize) -> String {
    format!(
        "Received: from a{n}.example (a{n}.example [192.0.2.7]) by mx.firm.example with ESMTP id {n}x{copy}\n\tfor \
         <jane{copy}@firm.example>; Sat, 10 Dec 2005 09:00:{copy:02} +0000\nMessage-ID: <{n}@a{n}.example>\nDate: Sat, 10 \
         Dec 2005 08:59:00 +0000\nFrom: a@a{n}.example\nSubject: {n}\n\nFrom a\n"
    )
}

/// Each message twice, for two people; all first copies before all second ones.
fn twice(count: usize) -> String {
    let each = |copy: usize| (0..count).map(move |n| letter(n, copy));
    let quoted = |letter: String| {
        format!("From x@y Sat Dec 10 09:00:00 2005\n{}\n", letter.replace("\nFrom a", "\n>From a"))
    };
    each(1).chain(each(2)).map(quoted).collect()
}

#[test]
fn more_groups_than_pictures() {
    let folder = Folder::new("passes-many");
    let path = folder.put("box", twice(MAX_PICTURES + 200));
    let archive = open(&[path]);
    let report = traced(&archive, 2);
    assert_eq!((report.groups.len(), report.singles), (MAX_PICTURES + 200, 0));
    let drawn = report.groups.iter().filter(|group| group.tree != Tree::default()).count();
    assert_eq!(drawn, MAX_PICTURES);
    assert!(report.groups.iter().all(|group| group.finding == Finding::List && group.copies == 2));
    assert_eq!(report, traced(&archive, 5));
}

fn group(key: usize, finding: Finding) -> Group {
    let folder = Folder::new(&format!("passes-group-{key}"));
    let archive = open(&[folder.put("box", twice(1))]);
    let mut group = traced(&archive, 1).groups.remove(0);
    (group.key, group.finding) = (key.to_string(), finding);
    group
}

#[test]
fn pictures_go_to_those_that_matter() {
    let innocent = group(0, Finding::List);
    let mut groups = vec![innocent; MAX_PICTURES + 3];
    groups.extend(vec![group(1, Finding::Culprit); MAX_PICTURES + 1]);
    groups.push(Group { finding: Finding::CannotTell, ..groups[0].clone() });
    forget_pictures(&mut groups);
    let bare = |group: &Group| group.tree == Tree::default() && group.timeline.points.is_empty();
    assert!(groups[..MAX_PICTURES].iter().all(|g| g.finding == Finding::Culprit && !bare(g)));
    assert!(groups[MAX_PICTURES..].iter().all(bare));
    let said = |finding| {
        groups[MAX_PICTURES..].iter().filter(move |g| g.finding == finding).all(|g| g.words.is_empty())
    };
    assert!(said(Finding::List) && !said(Finding::CannotTell));
}

#[test]
fn a_file_that_loses_its_end_meanwhile_is_damage_and_no_fault() {
    let folder = Folder::new("passes-shrinks");
    let text = twice(50);
    let path = folder.put("box", &text);
    let archive = open(std::slice::from_ref(&path));
    fs::write(&path, &text[..text.len() / 2 + 40]).unwrap();
    let report = traced(&archive, 2);
    assert!(report.damaged > 0 && report.messages >= 50, "{} {}", report.damaged, report.messages);
}

#[test]
fn single_messages_of_a_folder_are_one_mailbox() {
    let folder = Folder::new("passes-singles");
    let paths = ["a.eml", "b.eml"].map(|name| folder.put(name, letter(1, 1)));
    let boxed = folder.put("jane.mbox", twice(1));
    let archive = open(&[paths[0].clone(), paths[1].clone(), boxed]);
    let mailbox = |file| super::mails::mailbox(&archive, file).into_owned();
    assert_eq!(mailbox(0), folder.0.to_string_lossy());
    assert_eq!((mailbox(1), mailbox(2)), (mailbox(0), "jane".to_owned()));
    assert_eq!(mailbox(9), "");
    assert!(Path::new(&file_name(&archive, 2).unwrap()).ends_with("jane.mbox"));
}
