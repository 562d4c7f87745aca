//! SIGKILL while senders are told what failed: each hears of each message once, of all its
//! recipients.

use super::dots::domain;
use super::loops::wait_for_silence;
use crate::operate::LIMIT;
use crate::support::peers::aiosmtpd::{At, Fault, Script, Scripted, available};
use crate::support::promises::Random;
use crate::support::server::config;
use crate::support::smtp::{Client, date_now, message};
use crate::support::{Server, TempDir, maildir, wait_until};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const KILLS: u64 = 20;
const MESSAGES: usize = 150;
const RECIPIENTS: usize = 3;

fn recipients(message: usize) -> Vec<String> {
    (0..RECIPIENTS).map(|n| format!("m{message}-{n}@refused.example")).collect()
}

/// Hands in one message after the other, each until it is answered.
fn hand_in(port: u16, killing: &AtomicBool) {
    let date = date_now();
    for number in 0..MESSAGES {
        let to = recipients(number);
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let bytes = message(&format!("m{number}"), &date, "To nobody.");
        let taken = || {
            let sent = Client::connect(port).and_then(|(mut client, _)| {
                client.command("EHLO client.example")?;
                client.send("jane@firm.example", &to, &bytes)
            });
            // A copy of one that has failed meanwhile, whose answer was lost, is refused.
            sent.is_ok_and(|reply| matches!(reply.code, 250 | 554))
        };
        assert!(wait_until(LIMIT, taken), "m{number} is not taken");
        if killing.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(15));
        }
    }
}

/// In how many reports each recipient stands.
fn told(server: &Server) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for mail in maildir::read(&server.maildir("firm.example", "jane")) {
        let text = String::from_utf8_lossy(&mail.content).into_owned();
        let fields = text.lines().filter_map(|line| line.strip_prefix("Final-Recipient: rfc822; "));
        fields.for_each(|to| *told.entry(to.trim().to_owned()).or_default() += 1);
    }
    told
}

#[test]
fn killed_while_it_tells_senders_it_tells_each_once() {
    if !available() {
        return;
    }
    let mut random = Random::new(Random::seed("killed while it tells"));
    let work = TempDir::in_memory("outward-told");
    let peer = Scripted::start(&work, &Script::with([Fault::reply(At::Rcpt, "550 5.1.1 No such user")]));
    let hop = domain("refused.example", &format!("smtp://127.0.0.1:{}", peer.port));
    let mut server = Server::start(&work, &config(&hop));
    let (port, killing) = (server.smtp_port, AtomicBool::new(true));
    std::thread::scope(|scope| {
        let senders = scope.spawn(|| hand_in(port, &killing));
        for _ in 0..KILLS {
            std::thread::sleep(Duration::from_millis(random.between(20, 200)));
            server.kill9();
            server.restart();
        }
        killing.store(false, Ordering::Relaxed);
        senders.join().expect("all handed in");
    });
    wait_for_silence(&[&server]);
    let (told, reports) = (told(&server), maildir::count(&server.maildir("firm.example", "jane")));
    eprintln!("{KILLS} kills, {MESSAGES} messages to {RECIPIENTS} each, {reports} reports");
    let expected: BTreeMap<String, usize> = (0..MESSAGES).flat_map(recipients).map(|to| (to, 1)).collect();
    let wrong: Vec<_> =
        expected.keys().filter(|to| told.get(*to) != Some(&1)).map(|to| (to, told.get(to))).collect();
    assert!(wrong.is_empty(), "not told once: {wrong:?}");
    assert_eq!(told.len(), expected.len(), "told of others");
    assert_eq!(reports, MESSAGES, "one report for each message");
}
