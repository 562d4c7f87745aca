//! What changes while the server runs: accounts by SIGHUP, passwords, marks on the server.

use super::{LIMIT, OFFICE, PASSWORD, World, account, mode};
use crate::support::peers::provider::{Options, Provider};
use crate::support::process::signal;
use crate::support::{TempDir, wait_until};

const TO: &str = "to = [\"jane@firm.example\"]\n{ca}";

fn office(provider: &Provider, directory: &TempDir) -> String {
    account(directory, "office", &provider.url("pop3s"), TO)
}

/// Changes the configuration, sends SIGHUP, and waits until it was read.
fn reload(world: &World, change: impl Fn(&str) -> String) {
    let count = |world: &World| world.server.output().matches("\"event\":\"reloaded\"").count();
    let (before, file) = (count(world), world.server.config_path());
    let text = std::fs::read_to_string(file).expect("the configuration");
    std::fs::write(file, change(&text)).expect("the configuration");
    signal(world.server.pid(), "HUP");
    let read = wait_until(LIMIT, || count(world) > before);
    assert!(read, "{}", world.server.output());
}

fn names(world: &World) -> Vec<String> {
    let said = crate::operate::json(&world.server, &["pickup", "status"]);
    let all = said["accounts"].as_array().expect("a list");
    all.iter().map(|one| one["account"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn accounts_come_change_and_go_by_a_reload() {
    let Some(mut world) = World::start("reload", Options::default(), office) else { return };
    let second = {
        let other = "second@provider.example";
        world.provider.add_user(other, PASSWORD);
        let text = account(
            &world.directory,
            "second",
            &world.provider.url("imaps"),
            "to = [\"john@firm.example\"]\n{ca}",
        );
        text.replace("{ca}", &format!("ca_file = {:?}", world.provider.ca)).replace(OFFICE, other)
    };
    reload(&world, |text| format!("{text}{second}"));
    assert_eq!(names(&world), ["office", "second"]);
    let message = world.message(&["john"], 100);
    world.provider.deliver("second@provider.example", &message);
    world.deliver(&["jane"], 2, 100);
    world.collects("office");
    world.collects("second");
    world.all_is_here();
    // Kept from now on, and for somebody else: by the account's new task, when the old one has ended.
    reload(&world, |text| {
        text.replacen("to = [\"jane@firm.example\"]", "keep = true\nto = [\"john@firm.example\"]", 1)
    });
    world.deliver(&["john"], 3, 100);
    world.collects("office");
    world.all_is_here();
    assert_eq!(world.provider.left(OFFICE), 3);
    // A faulty file changes nothing; what was taken out is no longer asked.
    reload(&world, |text| text.replace(&second, ""));
    assert_eq!(names(&world), ["office"]);
    let (ok, said) = world.run("second");
    assert!(!ok && said.contains("second"), "{said}");
}

/// A password that was wrong and is corrected is tried within seconds, without anybody asking for it.
#[test]
fn a_corrected_password_is_tried_at_once() {
    let Some(mut world) = World::start("corrected", Options::default(), office) else { return };
    let file = world.directory.join("office.password");
    std::fs::write(&file, "wrong\n").expect("a password");
    world.deliver(&["jane"], 2, 100);
    assert!(!world.run("office").0);
    assert!(wait_until(LIMIT, || world.told() == 1), "{}", world.server.output());
    let failed = world.provider.sign_ins().1;
    assert!(failed >= 1);
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("a password");
    mode(&file, 0o600);
    world.provider.expect_left(OFFICE, 0);
    world.all_is_here();
    assert_eq!((world.told(), world.provider.sign_ins().1), (1, failed), "{}", world.server.output());
}

#[test]
fn passwords_come_from_a_command_and_from_the_environment() {
    for way in [
        "password_command = [\"/bin/sh\", \"-c\", \"echo 'a good password'; echo more\"]",
        "password_env = \"OFFICE_PASSWORD\"",
    ] {
        let made = World::prepare(
            "secrets",
            Options::default(),
            |provider, directory| {
                let text = office(provider, directory);
                let line =
                    text.lines().find(|line| line.starts_with("password_file")).expect("a line").to_owned();
                text.replace(&line, way)
            },
            |_| vec![("OFFICE_PASSWORD", PASSWORD.into())],
        );
        let Some(mut world) = made else { return };
        world.deliver(&["jane"], 1, 100);
        world.server.restart();
        world.collects("office");
        world.all_is_here();
        assert!(!world.server.output().contains(PASSWORD));
    }
}

/// By IMAP, what is taken and stays is marked as seen, or not.
#[test]
fn what_stays_is_marked_as_seen_if_wanted() {
    for (seen, marked) in [("", 3), ("seen = false\n", 0)] {
        let made = World::start("seen", Options::default(), |provider, directory| {
            account(directory, "office", &provider.url("imaps"), &format!("keep = true\n{seen}{TO}"))
        });
        let Some(mut world) = made else { return };
        world.deliver(&["jane"], 3, 100);
        world.collects("office");
        world.all_is_here();
        assert_eq!((world.provider.left(OFFICE), world.provider.seen(OFFICE)), (3, marked), "{seen}");
    }
}

/// The server stops while it collects: what it has is here, the rest comes after the next start.
#[test]
fn a_stop_in_the_middle_loses_nothing() {
    let Some(mut world) = World::start("stop", Options::default(), office) else { return };
    world.deliver(&["jane"], 1_500, 2_000);
    let mut run = world.server.command(&["pickup", "run", "office"]);
    let mut running = run
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the command");
    let begun = wait_until(LIMIT, || world.count("jane") > 0);
    assert!(begun, "{}", world.server.output());
    assert!(world.server.term().success());
    running.wait().expect("its end");
    world.server.restart();
    world.collects("office");
    world.provider.expect_left(OFFICE, 0);
    world.all_is_here();
}
