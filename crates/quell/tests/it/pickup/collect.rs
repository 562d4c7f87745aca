//! Every way in, and what is left at the provider.

use super::{LIMIT, OFFICE, World, account, mode};
use crate::support::peers::provider::Options;
use crate::support::{maildir, wait_until};
use quell_powercut::Recording;

const DAY_SECS: i64 = 86_400;

fn plain() -> Options {
    Options { plain: true, ..Options::default() }
}

/// All of it comes once, and nothing is left; then what comes later.
fn collects_all(scheme: &str, options: Options, more: &str, with: &str) {
    let made = World::start(scheme, options, |provider, directory| {
        account(directory, "office", &provider.url(scheme), &format!("to = [\"jane@firm.example\"]\n{more}"))
    });
    let Some(mut world) = made else { return };
    world.deliver(&["jane"], 40, 2_000);
    world.deliver(&["jane"], 1, 900_000);
    world.collects("office");
    world.all_is_here();
    world.provider.expect_left(OFFICE, 0);
    world.collects("office");
    world.deliver(&["jane"], 3, 100);
    world.collects("office");
    world.all_is_here();
    world.provider.expect_left(OFFICE, 0);
    for mail in maildir::read(&world.mailbox("jane")) {
        let received = maildir::field(&mail.content, "Received").expect("Received");
        assert!(received.contains(&format!("with {with}")) && received.contains("office"), "{received}");
    }
    let done = world.events("pickup_done", "office");
    let taken: u64 = done.iter().map(|line| line["taken"].as_u64().expect("a number")).sum();
    let deleted: u64 = done.iter().map(|line| line["deleted"].as_u64().expect("a number")).sum();
    assert_eq!((taken, deleted), (44, 44), "{done:?}");
}

#[test]
fn pop3_with_stls() {
    collects_all("pop3", Options::default(), "{ca}", "POP3S");
}

#[test]
fn pop3s() {
    collects_all("pop3s", Options::default(), "{ca}", "POP3S");
}

#[test]
fn imap_with_starttls() {
    collects_all("imap", Options::default(), "{ca}", "IMAPS");
}

#[test]
fn imaps() {
    collects_all("imaps", Options::default(), "{ca}", "IMAPS");
}

#[test]
fn pop3_in_the_clear() {
    collects_all("pop3", plain(), "tls = \"never\"", "POP3");
}

#[test]
fn imap_in_the_clear() {
    collects_all("imap", plain(), "tls = \"never\"", "IMAP");
}

/// Who may not have TLS gets no password in the clear by mistake.
#[test]
fn where_tls_must_be_nothing_goes_in_the_clear() {
    for scheme in ["pop3", "imap"] {
        let options = Options { more: "ssl = no", plain: true, ..Options::default() };
        let made = World::start("no-tls", options, |provider, directory| {
            account(directory, "office", &provider.url(scheme), "to = [\"jane@firm.example\"]\n{ca}")
        });
        let Some(mut world) = made else { return };
        world.deliver(&["jane"], 1, 100);
        let (ok, said) = world.run("office");
        assert!(!ok, "{said}");
        assert_eq!((world.provider.sign_ins(), world.provider.left(OFFICE)), ((0, 0), 1));
        assert!(!world.events("pickup_trouble", "office").is_empty(), "{}", world.server.output());
    }
}

#[test]
fn what_is_kept_comes_once() {
    for scheme in ["pop3s", "imaps"] {
        let made = World::start("keep", Options::default(), |provider, directory| {
            let more = "to = [\"jane@firm.example\"]\nkeep = true\n{ca}";
            account(directory, "office", &provider.url(scheme), more)
        });
        let Some(mut world) = made else { return };
        for round in 1..=3 {
            world.deliver(&["jane"], 10, 500);
            world.collects("office");
            world.collects("office");
            world.all_is_here();
            assert_eq!(world.provider.left(OFFICE), 10 * round, "{scheme}");
            assert!(world.server.term().success());
            world.server.restart();
        }
        let done = world.events("pickup_done", "office");
        let sum = |name: &str| done.iter().map(|line| line[name].as_u64().expect("a number")).sum::<u64>();
        assert_eq!((sum("taken"), sum("known"), sum("deleted")), (30, 0, 0), "{done:?}");
    }
}

#[test]
fn what_is_kept_for_days_goes_then() {
    for scheme in ["pop3s", "imaps"] {
        let mut recording = None;
        let made = World::prepare(
            "keep-days",
            Options::default(),
            |provider, directory| {
                let more = "to = [\"jane@firm.example\"]\nkeep = 2\n{ca}";
                account(directory, "office", &provider.url(scheme), more)
            },
            |directory| {
                let begun = Recording::begin(&directory.join("data"), &directory.join("log"));
                let begun = recording.insert(begun.expect("a recording"));
                begun.environment().expect("the library")
            },
        );
        let Some(mut world) = made else { return };
        let recording = recording.expect("a recording");
        world.server.restart();
        world.deliver(&["jane"], 5, 500);
        world.collects("office");
        world.all_is_here();
        assert_eq!(world.provider.left(OFFICE), 5);
        // The first five are old enough, the others are new.
        assert!(world.server.term().success());
        recording.set_clock(3 * DAY_SECS).expect("a jump");
        world.server.restart();
        world.deliver(&["jane"], 4, 500);
        world.collects("office");
        world.all_is_here();
        world.provider.expect_left(OFFICE, 4);
        world.server.kill9();
    }
}

#[test]
fn another_mailbox_than_the_inbox() {
    let made = World::start("mailbox", Options::default(), |provider, directory| {
        let more = "mailbox = \"Archive\"\nto = [\"jane@firm.example\"]\n{ca}";
        account(directory, "office", &provider.url("imaps"), more)
    });
    let Some(mut world) = made else { return };
    world.provider.deliver(OFFICE, b"Subject: not this one\r\n\r\nx\r\n");
    let message = world.message(&["jane"], 300);
    world.provider.deliver_into(OFFICE, "Archive", &message);
    world.collects("office");
    world.all_is_here();
    assert_eq!(world.provider.left(OFFICE), 1);
    assert!(world.provider.messages(OFFICE, "Archive").is_empty());
}

/// Nobody asks: the provider tells of a message while the session waits.
#[test]
fn imap_tells_of_new_mail() {
    let made = World::start("idle", Options::default(), |provider, directory| {
        let more = "idle = true\nto = [\"jane@firm.example\"]\n{ca}";
        account(directory, "office", &provider.url("imaps"), more)
    });
    let Some(mut world) = made else { return };
    assert!(wait_until(LIMIT, || world.provider.sign_ins().0 == 1), "{}", world.server.output());
    for round in 1..=3 {
        world.deliver(&["jane"], 2, 200);
        let came = wait_until(LIMIT, || world.count("jane") == 2 * round);
        assert!(came, "{} of {}\n{}", world.count("jane"), 2 * round, world.server.output());
        world.provider.expect_left(OFFICE, 0);
    }
    world.all_is_here();
    assert_eq!(world.provider.sign_ins().0, 1, "one session");
}

/// Nobody asks for a POP3 mailbox either: it is looked into again and again.
#[test]
fn pop3_is_asked_again() {
    let made = World::start("poll", Options::default(), |provider, directory| {
        let text = account(directory, "office", &provider.url("pop3s"), "to = [\"jane@firm.example\"]\n{ca}");
        text.replace("poll_secs = 86400", "poll_secs = 10")
    });
    let Some(mut world) = made else { return };
    for round in 1..=2 {
        world.deliver(&["jane"], 2, 200);
        let came = wait_until(LIMIT, || world.count("jane") == 2 * round);
        assert!(came, "{} of {}\n{}", world.count("jane"), 2 * round, world.server.output());
    }
    world.all_is_here();
    world.provider.expect_left(OFFICE, 0);
}

/// Tokens come from a program; with no word on it the server's own mechanism is taken.
#[test]
fn tokens_let_in() {
    for (scheme, auth, offered) in [
        ("pop3s", "auth = \"xoauth2\"\n", "plain xoauth2 oauthbearer"),
        ("imaps", "auth = \"oauthbearer\"\n", "plain xoauth2 oauthbearer"),
        ("imaps", "", "plain xoauth2"),
        ("pop3s", "", "plain oauthbearer"),
    ] {
        let options = Options { mechanisms: offered, ..Options::default() };
        let made = World::start("token", options, |provider, directory| {
            let file = directory.join("token");
            std::fs::write(&file, provider.token(OFFICE) + "\n").expect("a token");
            mode(&file, 0o600);
            let more =
                format!("{auth}token_command = [\"cat\", {file:?}]\nto = [\"jane@firm.example\"]\n{{ca}}");
            let text = account(directory, "office", &provider.url(scheme), &more);
            let without = text.lines().filter(|line| !line.starts_with("password_file"));
            without.collect::<Vec<_>>().join("\n") + "\n"
        });
        let Some(mut world) = made else { return };
        world.deliver(&["jane"], 3, 200);
        world.collects("office");
        world.all_is_here();
        world.provider.expect_left(OFFICE, 0);
        let said = world.provider.said();
        let method = if auth.contains("xoauth2") || !offered.contains("oauthbearer") {
            "XOAUTH2"
        } else {
            "OAUTHBEARER"
        };
        assert!(said.contains(&format!("method={method}")), "{scheme} {auth}: {said}");
        // One that is no longer good: told, and nothing comes.
        std::fs::write(world.directory.join("token"), "e30.e30.e30\n").expect("a token");
        world.deliver(&["jane"], 1, 200);
        let (ok, said) = world.run("office");
        assert!(!ok, "{said}");
        assert_eq!((world.provider.left(OFFICE), world.count("jane")), (1, 3));
    }
}
