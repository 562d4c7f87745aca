//! Wrong passwords and certificates, a full disk, servers that do what none should: nothing is lost, the
//! operator is told once, and other accounts go on.

use super::{LIMIT, OFFICE, PASSWORD, World, account, end_of};
use crate::support::peers::hostile::{Does, Hostile, Protocol};
use crate::support::peers::provider::{Certificate, Options};
use crate::support::process::Running;
use crate::support::tls::Files;
use crate::support::{TempDir, maildir, wait_until};
use quell_powercut::{Fault, Recording};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[test]
fn a_wrong_password_is_told_once_and_not_tried_again_and_again() {
    for scheme in ["pop3s", "imaps"] {
        let made = World::start("password", Options::default(), |provider, directory| {
            let text =
                account(directory, "office", &provider.url(scheme), "to = [\"jane@firm.example\"]\n{ca}");
            provider.add_user(OFFICE, "another password");
            text.replace("poll_secs = 86400", "poll_secs = 10")
        });
        let Some(mut world) = made else { return };
        world.provider.add_user(OFFICE, "another password");
        world.deliver(&["jane"], 2, 100);
        assert!(wait_until(LIMIT, || !world.events("pickup_trouble", "office").is_empty()));
        for _ in 0..3 {
            let (ok, said) = world.run("office");
            assert!(!ok, "{said}");
        }
        let (right, wrong) = world.provider.sign_ins();
        // One at the start, and one for each time that somebody asked for it: the next is minutes away.
        assert!(right == 0 && (1..=5).contains(&wrong), "{wrong} times");
        assert!(wait_until(LIMIT, || world.told() == 1), "{} times told", world.told());
        assert!(!world.run("office").0 && world.told() == 1, "{} times told", world.told());
        assert!(!world.server.output().contains(PASSWORD), "the log has the password");
        world.provider.add_user(OFFICE, PASSWORD);
        world.collects("office");
        world.all_is_here();
        world.provider.expect_left(OFFICE, 0);
    }
}

/// No password goes to whom nobody vouches for.
#[test]
fn a_wrong_certificate_gets_no_password() {
    for scheme in ["pop3", "pop3s", "imap", "imaps"] {
        for certificate in [Certificate::Expired, Certificate::WrongName] {
            let options = Options { certificate, ..Options::default() };
            let made = World::start("certificate", options, |provider, directory| {
                account(directory, "office", &provider.url(scheme), "to = [\"jane@firm.example\"]\n{ca}")
            });
            let Some(mut world) = made else { return };
            world.deliver(&["jane"], 2, 100);
            let (ok, said) = world.run("office");
            assert!(!ok, "{scheme}, {certificate:?}: {said}");
            assert_eq!((world.provider.sign_ins(), world.provider.left(OFFICE)), ((0, 0), 2));
            let told = world.events("pickup_trouble", "office");
            let names_it = |line: &Value| line["reason"].to_string().contains("certificate");
            assert!(!told.is_empty() && told.iter().all(names_it), "{told:?}");
            assert!(wait_until(LIMIT, || world.told() == 1), "{} times told", world.told());
        }
    }
}

/// An authority that the account does not name.
#[test]
fn an_unknown_authority_gets_no_password() {
    let made = World::start("authority", Options::default(), |provider, directory| {
        let other = Files::make(directory);
        let more = format!("to = [\"jane@firm.example\"]\nca_file = {:?}", other.ca);
        account(directory, "office", &provider.url("imaps"), &more)
    });
    let Some(mut world) = made else { return };
    world.deliver(&["jane"], 1, 100);
    assert!(!world.run("office").0);
    assert_eq!((world.provider.sign_ins(), world.provider.left(OFFICE)), ((0, 0), 1));
}

/// A provider that is away, and comes again.
#[test]
fn a_provider_that_is_away() {
    let made = World::start("away", Options::default(), |provider, directory| {
        account(directory, "office", &provider.url("pop3s"), "to = [\"jane@firm.example\"]\n{ca}")
    });
    let Some(mut world) = made else { return };
    world.deliver(&["jane"], 2, 100);
    world.provider.stop();
    assert!(!world.run("office").0);
    assert!(!world.run("office").0);
    assert!(!world.events("pickup_trouble", "office").is_empty(), "{}", world.server.output());
    world.provider.restart();
    world.collects("office");
    world.all_is_here();
    assert_eq!(world.told(), 0, "it passed by itself, and soon");
}

/// The disk is full at a call drawn at random, and after a while no longer.
fn full_disk(scheme: &'static str) {
    let mut recording = None;
    let made = World::prepare(
        "full",
        Options::default(),
        |provider, directory| {
            account(directory, "office", &provider.url(scheme), "to = [\"jane@firm.example\"]\n{ca}")
        },
        |directory| {
            let begun = Recording::begin(&directory.join("data"), &directory.join("log"));
            recording.insert(begun.expect("a recording")).environment().expect("the library")
        },
    );
    let Some(mut world) = made else { return };
    let recording = recording.expect("a recording");
    world.server.restart();
    let mut failed = 0;
    for after in [0, 0, 3, 9, 17, 30, 50] {
        world.deliver(&["jane"], 6, 3_000);
        recording.fail(Fault::Full, after, false).expect("a fault");
        let (ok, _) = world.run("office");
        failed += usize::from(!ok);
        let left = world.provider.left(OFFICE);
        assert!(!ok || left == 0, "{left} left, and no word of it");
        recording.heal().expect("healed");
        // Room is asked for now and then: until then the collection fails again.
        let healed = wait_until(LIMIT, || world.run("office").0);
        assert!(healed, "{}", end_of(&world.server.output()));
        world.provider.expect_left(OFFICE, 0);
        crate::crash::retry_all(&world.server);
        world.all_is_here();
    }
    assert!(failed > 0, "the disk was never full");
    world.server.kill9();
}

#[test]
fn a_full_disk_deletes_nothing_by_pop3() {
    full_disk("pop3s");
}

#[test]
fn a_full_disk_deletes_nothing_by_imap() {
    full_disk("imaps");
}

const POP3: [Does; 10] = [
    Does::ListsMany(10_000_000),
    Does::LineWithoutEnd,
    Does::MessageWithoutEnd,
    Does::SaysSize(1),
    Does::SaysSize(1 << 40),
    Does::SameUidl,
    Does::NoUidl,
    Does::Silent,
    Does::InjectsBeforeTls,
    Does::RefusesTheSecond,
];
const IMAP: [Does; 10] = [
    Does::ListsMany(10_000_000),
    Does::LineWithoutEnd,
    Does::MessageWithoutEnd,
    Does::SaysSize(1),
    Does::SaysSize(1 << 31),
    Does::AnnouncesLiteral(500 << 20),
    Does::WrongTag,
    Does::Silent,
    Does::InjectsBeforeTls,
    Does::RefusesTheSecond,
];

/// Each of them with three messages of its own.
fn hostiles(protocol: Protocol, certificate: &(PathBuf, PathBuf)) -> Vec<(String, Hostile, Does)> {
    let (kind, all) = match protocol {
        Protocol::Pop3 => ("pop3", POP3),
        Protocol::Imap => ("imap", IMAP),
    };
    let start = |(number, does): (usize, Does)| {
        let tls = (does == Does::InjectsBeforeTls).then_some(certificate);
        let (name, hostile) = (format!("{kind}{number}"), Hostile::start(protocol, does, tls));
        for message in 1..=3 {
            let id = format!("{name}-{message}");
            let text =
                format!("From: a@client.example\r\nX-Test-Id: {id}\r\nSubject: {id}\r\n\r\ntext {id}\r\n");
            hostile.deliver(&id, text.as_bytes());
        }
        (name, hostile, does)
    };
    all.into_iter().enumerate().map(start).collect()
}

fn hostile_account(
    directory: &TempDir,
    files: &Files,
    (name, hostile, does): &(String, Hostile, Does),
) -> String {
    let scheme = &name[..4];
    let tls = match does {
        Does::InjectsBeforeTls => format!("ca_file = {:?}", files.ca),
        _ => "tls = \"never\"".to_owned(),
    };
    let more = format!("{tls}\nto = [\"john@firm.example\"]");
    account(directory, name, &format!("{scheme}://127.0.0.1:{}", hostile.port), &more)
}

/// All at once, beside an account at a provider that is as it should be.
fn beside_hostile_servers(protocol: Protocol) {
    let mut all = Vec::new();
    let made = World::start("hostile", Options::default(), |provider, directory| {
        let files = Files::make(directory);
        let folder = directory.join("hostile");
        std::fs::create_dir_all(&folder).expect("a directory");
        all = hostiles(protocol, &files.authority.issue(&folder, &["127.0.0.1"], (-1, 90)));
        let accounts = all.iter().map(|one| hostile_account(directory, &files, one));
        let text: String = accounts.collect();
        text + &account(directory, "office", &provider.url("imaps"), "to = [\"jane@firm.example\"]\n{ca}")
    });
    let Some(mut world) = made else { return };
    world.server.reset_peak();
    let before = world.server.resident_bytes();
    // Those that say nothing take their time.
    let runs: Vec<Running> = all
        .iter()
        .map(|(name, ..)| {
            let run = world.server.command(&["pickup", "run", name]);
            Running::start(run, &world.directory.join(format!("{name}.log")))
        })
        .collect();
    for (name, hostile, _) in &all {
        assert!(wait_until(LIMIT, || hostile.sessions() > 0), "{name}");
    }
    for _ in 0..5 {
        world.deliver(&["jane"], 10, 1_000);
        world.collects("office");
    }
    let ends = |name: &str| {
        let of_account = ["pickup_trouble", "pickup_refused", "pickup_done"];
        of_account.iter().any(|event| !world.events(event, name).is_empty())
    };
    for (name, _, does) in &all {
        let slow = matches!(does, Does::Silent | Does::AnnouncesLiteral(_));
        assert!(
            slow || wait_until(LIMIT, || ends(name)),
            "{name}, {does:?}: {}",
            end_of(&world.server.output())
        );
    }
    world.deliver(&["jane"], 10, 1_000);
    world.collects("office");
    let grown = world.server.peak_bytes().saturating_sub(before);
    eprintln!(
        "beside {} hostile servers of {protocol:?}: {} MiB more memory at most",
        all.len(),
        grown >> 20
    );
    assert!(grown < 96 << 20, "{grown}");
    assert!(world.server.is_running());
    drop(runs);
    crate::crash::wait_until_empty(&world.server, LIMIT);
    nothing_is_lost(&world, &all);
    assert_eq!(world.count("jane"), 60);
}

/// What is not there any more is here, once; nobody who spoke before TLS got a password.
fn nothing_is_lost(world: &World, all: &[(String, Hostile, Does)]) {
    let here: BTreeMap<String, usize> = maildir::counts(&world.mailbox("john"));
    for (name, hostile, does) in all {
        let left = hostile.left();
        for message in 1..=3 {
            let id = format!("{name}-{message}");
            let times = here.get(&id).copied().unwrap_or(0);
            let there = left.contains(&id);
            assert!(times == 1 || (times == 0 && there), "{does:?}: {id} {times} times, there: {there}");
            match does {
                Does::RefusesTheSecond => {
                    assert_eq!((there, times == 0), (message == 2, message == 2), "{id}")
                }
                Does::SaysSize(bytes) if *bytes > 1 => {
                    assert_eq!((there, times), (true, 0), "{does:?}: {id}");
                    assert_eq!(world.events("pickup_refused", name).len(), 3, "each is said once");
                }
                Does::SaysSize(1) | Does::NoUidl | Does::SameUidl => {
                    assert_eq!((there, times), (false, 1), "{does:?}: {id}\n{:?}", hostile.said());
                }
                _ => {}
            }
        }
        if *does == Does::InjectsBeforeTls {
            let secret = |line: &String| ["PASS", "LOGIN", "AUTH"].iter().any(|verb| line.contains(verb));
            assert!(!hostile.said().iter().any(secret), "{:?}", hostile.said());
        }
    }
}

#[test]
fn hostile_servers_of_pop3_cost_little_and_stop_nobody() {
    beside_hostile_servers(Protocol::Pop3);
}

#[test]
fn hostile_servers_of_imap_cost_little_and_stop_nobody() {
    beside_hostile_servers(Protocol::Imap);
}

/// A session that hangs does not keep the server from ending.
#[test]
fn the_server_ends_while_a_provider_says_nothing() {
    for (protocol, scheme) in [(Protocol::Pop3, "pop3"), (Protocol::Imap, "imap")] {
        let hostile = Hostile::start(protocol, Does::Silent, None);
        let made = World::start("ends", Options::default(), |_, directory| {
            let url = format!("{scheme}://127.0.0.1:{}", hostile.port);
            account(directory, "office", &url, "tls = \"never\"\nto = [\"jane@firm.example\"]")
        });
        let Some(mut world) = made else { return };
        let run = world.server.command(&["pickup", "run", "office"]);
        let mut running = Running::start(run, &world.directory.join("run.log"));
        assert!(wait_until(LIMIT, || hostile.sessions() > 0));
        assert!(world.server.term().success());
        // Whoever waits for the end of the collection hears that there is none.
        assert!(wait_until(LIMIT, || running.ended().is_some()), "{}", running.output());
    }
}
