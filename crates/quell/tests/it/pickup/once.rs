//! Nothing is lost and nothing comes twice, wherever a connection or the program ends, and whatever the
//! provider calls its messages.

use super::{LIMIT, OFFICE, PASSWORD, World, account};
use crate::support::peers::cutter::{Cut, Cutter};
use crate::support::peers::hostile::{Does, Hostile, Protocol};
use crate::support::peers::provider::{NAME, Options, Provider};
use crate::support::process::Running;
use crate::support::promises::{Promises, Random};
use crate::support::{Server, TempDir, maildir};
use std::time::{Duration, Instant};

/// A dialogue with two messages has fewer lines and pieces.
const MAX_CUTS: u64 = 400;
/// A cut for each so many bytes of TLS.
const STEP_BYTES: u64 = 53;
const MAIL: usize = 2_000;
const KILLS: u64 = 25;
/// Liveness only.
const ALL_LIMIT: Duration = Duration::from_secs(180);

/// In front of a provider; the wire is cut at every place once.
struct Fragile {
    world: World,
    cutter: Cutter,
}

impl Fragile {
    fn start(name: &str, scheme: &'static str, plain: bool, more: &'static str) -> Option<Self> {
        let mut cutter = None;
        let options = Options { plain, ..Options::default() };
        let world = World::start(name, options, |provider, directory| {
            let cutter = cutter.insert(Cutter::start(provider.at(scheme)));
            let url = format!("{scheme}://{NAME}:{}", cutter.port);
            let tls = if plain { "tls = \"never\"" } else { "{ca}" };
            account(directory, "office", &url, &format!("to = [\"jane@firm.example\"]\n{tls}\n{more}"))
        })?;
        Some(Self { world, cutter: cutter.expect("a wire") })
    }

    /// Two messages come while the wire is cut here, and the rest when it is whole; whether it was cut.
    fn survives(&mut self, cut: Cut, keeps: bool) -> bool {
        self.world.deliver(&["jane"], 2, 150);
        self.cutter.arm(cut);
        let (_, said) = self.world.run("office");
        let met = !self.cutter.disarm();
        self.world.collects("office");
        self.world.provider.expect_left(OFFICE, if keeps { 2 } else { 0 });
        // A list that grew would never be cut everywhere.
        self.world.provider.empty(OFFICE);
        let here = || self.world.count("jane") >= self.world.promises.count();
        let came = crate::support::wait_until(LIMIT, here);
        assert!(came, "{cut:?}: {}\n{said}\n{}", self.world.count("jane"), self.world.server.output());
        met
    }

    fn at_every_step(mut self, cut: impl Fn(u64) -> Cut, keeps: bool) {
        let mut cuts = 0;
        while cuts < MAX_CUTS && self.survives(cut(cuts + 1), keeps) {
            cuts += 1;
        }
        eprintln!("{:?}: cut {cuts} times", cut(1));
        assert!((8..MAX_CUTS).contains(&cuts), "{cuts}");
        self.world.all_is_here();
    }
}

fn cut_at_every_step(scheme: &'static str, keeps: bool) {
    let more = if keeps { "keep = true\n" } else { "" };
    for cut in [Cut::ServerLines, Cut::ClientLines] {
        let Some(fragile) = Fragile::start("cut", scheme, true, more) else { return };
        fragile.at_every_step(cut, keeps);
    }
}

#[test]
fn pop3_may_be_cut_anywhere() {
    cut_at_every_step("pop3", false);
}

#[test]
fn pop3_may_be_cut_anywhere_where_mail_is_kept() {
    cut_at_every_step("pop3", true);
}

#[test]
fn imap_may_be_cut_anywhere() {
    cut_at_every_step("imap", false);
}

#[test]
fn imap_may_be_cut_anywhere_where_mail_is_kept() {
    cut_at_every_step("imap", true);
}

fn tls_cut_at_every_step(scheme: &'static str) {
    let Some(fragile) = Fragile::start("cut-tls", scheme, false, "") else { return };
    fragile.at_every_step(|step| Cut::ServerBytes(step * STEP_BYTES), false);
}

#[test]
fn pop3s_may_be_cut_anywhere() {
    tls_cut_at_every_step("pop3s");
}

#[test]
fn imaps_may_be_cut_anywhere() {
    tls_cut_at_every_step("imaps");
}

#[test]
fn stls_of_pop3_may_be_cut_anywhere() {
    tls_cut_at_every_step("pop3");
}

#[test]
fn starttls_of_imap_may_be_cut_anywhere() {
    tls_cut_at_every_step("imap");
}

/// 2,000 messages, and a server that is killed again and again, early and late.
fn killed(scheme: &'static str, keeps: bool) {
    let seed = Random::seed(&format!("pickup killed, {scheme}"));
    let mut random = Random::new(seed);
    let made = World::start("killed", Options::default(), |provider, directory| {
        let more = format!("to = [\"jane@firm.example\"]\nkeep = {keeps}\n{{ca}}");
        account(directory, "office", &provider.url(scheme), &more)
    });
    let Some(mut world) = made else { return };
    for _ in 0..MAIL {
        let bytes = random.between(100, 3_000) as usize;
        world.deliver(&["jane"], 1, bytes);
    }
    let (mut kills, mut amid, start) = (0, 0, Instant::now());
    while kills < KILLS && (keeps || world.provider.left(OFFICE) > 0) {
        assert!(start.elapsed() < ALL_LIMIT, "{} left", world.provider.left(OFFICE));
        let run = world.server.command(&["pickup", "run", "office"]);
        let _running = Running::start(run, &world.directory.join("run.log"));
        std::thread::sleep(Duration::from_millis(random.between(20, 150 + 100 * kills)));
        let before = world.count("jane");
        world.server.kill9();
        kills += 1;
        amid += u64::from((1..MAIL).contains(&before));
        world.server.restart();
    }
    let left = world.provider.left(OFFICE);
    world.collects("office");
    world.collects("office");
    world.provider.expect_left(OFFICE, if keeps { MAIL } else { 0 });
    world.all_is_here();
    eprintln!("pickup killed, {scheme}: {kills} kills, {amid} of them amid deliveries, {left} left then");
    assert!(amid >= 3, "too few to prove anything");
}

#[test]
fn killed_again_and_again_by_pop3() {
    killed("pop3s", false);
}

#[test]
fn killed_again_and_again_by_pop3_where_mail_is_kept() {
    killed("pop3s", true);
}

#[test]
fn killed_again_and_again_by_imap() {
    killed("imaps", false);
}

#[test]
fn killed_again_and_again_by_imap_where_mail_is_kept() {
    killed("imaps", true);
}

/// The provider names all its messages anew: what came comes no second time.
#[test]
fn names_that_change_bring_nothing_again() {
    for scheme in ["pop3s", "imaps"] {
        let made = World::start("renamed", Options::default(), |provider, directory| {
            let more = "to = [\"jane@firm.example\"]\nkeep = true\n{ca}";
            account(directory, "office", &provider.url(scheme), more)
        });
        let Some(mut world) = made else { return };
        world.deliver(&["jane"], 12, 400);
        world.collects("office");
        world.all_is_here();
        world.provider.reset_uidvalidity(OFFICE);
        world.deliver(&["jane"], 2, 400);
        world.collects("office");
        world.all_is_here();
        if scheme == "pop3s" {
            world.provider.reset_uidls();
            world.collects("office");
            world.all_is_here();
        }
        assert_eq!(world.provider.left(OFFICE), 14);
    }
}

/// A name that stands for another message now must not hide it.
#[test]
fn names_that_are_used_again_hide_nothing() {
    let (directory, hostile) =
        (TempDir::new("pickup-reused"), Hostile::start(Protocol::Pop3, Does::Nothing, None));
    let url = format!("pop3://127.0.0.1:{}", hostile.port);
    let more = "tls = \"never\"\nto = [\"jane@firm.example\"]";
    let server = Server::start(&directory, &super::two_mailboxes(&account(&directory, "office", &url, more)));
    let (promises, mut random) = (Promises::default(), Random::new(3));
    for round in 0..3 {
        for name in ["1", "2", "3"] {
            let id = format!("r{round}-{name}");
            promises.answered(&id, &["jane"]);
            let date = crate::support::smtp::date_now();
            hostile.deliver(name, &crate::support::promises::message(&id, &date, 200, &mut random));
        }
        crate::support::process::run(&mut server.command(&["pickup", "run", "office"]));
        assert!(hostile.left().is_empty(), "{:?}", hostile.left());
    }
    crate::crash::wait_until_empty(&server, LIMIT);
    assert_eq!(promises.check(&server.data.join("mail/firm.example")), Ok(9));
}

/// Without names, or with one for all, what is deleted afterwards comes once; nothing is lost.
#[test]
fn messages_without_names_of_their_own() {
    for does in [Does::NoUidl, Does::SameUidl] {
        let (directory, hostile) =
            (TempDir::new("pickup-nameless"), Hostile::start(Protocol::Pop3, does, None));
        let url = format!("pop3://127.0.0.1:{}", hostile.port);
        let more = "tls = \"never\"\nto = [\"jane@firm.example\"]";
        let server =
            Server::start(&directory, &super::two_mailboxes(&account(&directory, "office", &url, more)));
        let (promises, mut random) = (Promises::default(), Random::new(4));
        for number in 0..10 {
            let id = format!("n{number}");
            promises.answered(&id, &["jane"]);
            let date = crate::support::smtp::date_now();
            hostile.deliver("x", &crate::support::promises::message(&id, &date, 200, &mut random));
        }
        for _ in 0..2 {
            crate::support::process::run(&mut server.command(&["pickup", "run", "office"]));
        }
        crate::crash::wait_until_empty(&server, LIMIT);
        assert_eq!(promises.check(&server.data.join("mail/firm.example")), Ok(10), "{does:?}");
        assert!(hostile.left().is_empty(), "{does:?}: {:?}", hostile.left());
    }
}

/// Two mailboxes of one user bring one copy, those of two users one each.
#[test]
fn one_message_in_two_mailboxes() {
    let accounts = |provider: &Provider, directory: &TempDir| {
        provider.add_user("sales@provider.example", PASSWORD);
        provider.add_user("john@provider.example", PASSWORD);
        let one = |name: &str, user: &str, to: &str| {
            let more = format!("to = [\"{to}@firm.example\"]\n{{ca}}");
            account(directory, name, &provider.url("imaps"), &more).replace(OFFICE, user)
        };
        one("office", OFFICE, "jane")
            + &one("sales", "sales@provider.example", "jane")
            + &one("john", "john@provider.example", "john")
    };
    let Some(mut world) = World::start("two", Options::default(), accounts) else { return };
    let message = world.message(&["jane", "john"], 500);
    for user in [OFFICE, "sales@provider.example", "john@provider.example"] {
        world.provider.deliver(user, &message);
    }
    for name in ["office", "sales", "john"] {
        world.collects(name);
    }
    world.all_is_here();
    for user in [OFFICE, "sales@provider.example", "john@provider.example"] {
        world.provider.expect_left(user, 0);
    }
}

/// It has nothing by which a copy of it could be known but what the provider calls it.
#[test]
fn a_message_without_message_id_and_date() {
    for scheme in ["pop3", "imap"] {
        let Some(fragile) = Fragile::start("bare", scheme, true, "") else { return };
        let bare = |number: u32| format!("X-Test-Id: bare{number}\r\nSubject: x\r\n\r\nthe same text\r\n");
        // Cut behind each line of the server's while the first of them lies there.
        let mut sent = 0;
        for lines in 1..60 {
            sent += 1;
            fragile.world.provider.deliver(OFFICE, bare(sent).as_bytes());
            fragile.cutter.arm(Cut::ServerLines(lines));
            let (_, said) = fragile.world.run("office");
            let met = !fragile.cutter.disarm();
            fragile.world.collects("office");
            fragile.world.provider.expect_left(OFFICE, 0);
            let came = crate::support::wait_until(LIMIT, || fragile.world.count("jane") >= sent as usize);
            assert!(came, "{lines}: {said}\n{}", fragile.world.server.output());
            if !met {
                break;
            }
        }
        crate::crash::wait_until_empty(&fragile.world.server, LIMIT);
        let counts = maildir::counts(&fragile.world.mailbox("jane"));
        assert!(counts.len() == sent as usize && counts.values().all(|count| *count == 1), "{counts:?}");
        assert!(sent > 8, "{sent}");
    }
}
