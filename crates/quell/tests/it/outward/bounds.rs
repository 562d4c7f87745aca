//! What is sent again and again stays bounded: sendings without an answer, copies to a mailbox
//! that is refused.

use super::crash::{HOUR_SECS, with_a_clock};
use super::dots::domain;
use super::loops::wait_for_silence;
use crate::crash::{five_mailboxes, wait_until_empty};
use crate::operate::{LIMIT, queue_id, row, wait_for_mails, wait_for_row};
use crate::power::more;
use crate::support::peers::aiosmtpd::{At, Fault, Script, Scripted, available};
use crate::support::process::run;
use crate::support::server::config;
use crate::support::smtp::{Client, date_now, dot_stuffed, message};
use crate::support::{Server, TempDir, maildir, wait_until};
use serde_json::Value;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Unix time of a time that a command printed.
fn seconds(time: &Value) -> i64 {
    let time = time.as_str().unwrap_or_else(|| panic!("{time} is no time"));
    run(Command::new("date").args(["-u", "+%s", "-d", time])).trim().parse().expect("a number")
}

/// DESIGN, "The ledger": waits after an answer that stayed away.
const WAITS_SECS: [i64; 4] = [1_800, 7_200, 28_800, 86_400];

#[test]
fn a_next_hop_that_never_answers_the_dot_is_sent_to_five_times() {
    if !available() {
        return;
    }
    let work = TempDir::in_memory("outward-mute");
    let peer = Scripted::start(&work, &Script::with([Fault::close(At::Dot)]));
    let (mut server, clock) =
        with_a_clock(&work, &config(&domain("mute.example", &format!("smtp://127.0.0.1:{}", peer.port))));
    let mut client = Client::hello(server.smtp_port);
    let mail = message("mute", &date_now(), "Is anybody there?");
    let id = queue_id(&client.send("jane@firm.example", &["x@mute.example"], &mail).expect("a reply"));
    let mut ahead_secs = 0;
    for (sendings, wait_secs) in (1..).zip(WAITS_SECS) {
        let row = wait_for_row(&server, &id, |row| row["state"] == "unknown" && row["sendings"] == sendings);
        assert_eq!(seconds(&row["next"]) - seconds(&row["since"]), wait_secs, "{row}");
        // Not a copy, nor a start, makes it sooner.
        assert_eq!(client.send("jane@firm.example", &["x@mute.example"], &mail).expect("a reply").code, 250);
        server.restart();
        client = Client::hello(server.smtp_port);
        peer.expect(sendings as usize);
        ahead_secs += wait_secs + 60;
        clock.set_clock(ahead_secs).expect("a jump");
    }
    let failed = wait_for_row(&server, &id, |row| row["state"] == "failed");
    assert_eq!((&failed["sendings"], &failed["maybe_delivered"]), (&5.into(), &true.into()), "{failed}");
    assert!(failed["status"].as_str().is_some_and(|status| status.starts_with("4.4.2")), "{failed}");
    assert!(wait_until(LIMIT, || server.output().contains("given_up")), "{}", server.output());
    let report = the_report(&server);
    assert!(report.contains("x@mute.example") && report.contains("may have been delivered"), "{report}");
    clock.set_clock(ahead_secs + 48 * HOUR_SECS).expect("a jump");
    server.restart();
    wait_until_empty(&server, LIMIT);
    the_report(&server);
    assert_eq!(row(&server, &id)["state"], "failed");
    peer.expect(5);
}

/// The only mail in jane's mailbox.
fn the_report(server: &Server) -> String {
    let mails = wait_for_mails(server, "jane", 1);
    assert!(
        maildir::field(&mails[0].content, "Content-Type")
            .is_some_and(|kind| kind.contains("delivery-status"))
    );
    String::from_utf8_lossy(&mails[0].content).into_owned()
}

/// Copies of one message on the first day, over all sources; `QUELL_TEST_MORE=10` makes it 100,000.
const COPIES: usize = 10_000;
/// And on each day after it.
const COPIES_LATER: usize = 2_000;
const DAYS: usize = 5;
/// Storms on each day.
const ROUNDS: usize = 4;
/// Copies in each session: fewer than would end it for its many commands.
const EACH_SESSION: usize = 5_000;
/// Each a source of its own, with a reverse-path of its own.
const SENDERS: [&str; 5] = ["jane", "ann", "bob", "cid", "dee"];
const GONE: &str = "gone@refused.example";

/// What became of the copies.
#[derive(Debug, Default)]
struct Answers {
    taken: AtomicUsize,
    refused: AtomicUsize,
}

/// The same message so many times from each sender, one round trip each.
fn copies(server: &Server, message: &[u8], from_each: usize, answers: &Answers) {
    std::thread::scope(|scope| {
        for (number, name) in (2..).zip(SENDERS) {
            scope.spawn(move || {
                let sessions = from_each.div_ceil(EACH_SESSION);
                for _ in 0..sessions {
                    let client = Client::hello_from([127, 0, 0, number], server.smtp_port);
                    copies_from(
                        client,
                        &format!("{name}@firm.example"),
                        message,
                        from_each / sessions,
                        answers,
                    );
                }
            });
        }
    });
}

/// The envelope of the next copy goes with the content of the last.
fn copies_from(mut client: Client, from: &str, message: &[u8], times: usize, answers: &Answers) {
    let envelope = format!("MAIL FROM:<{from}>\r\nRCPT TO:<{GONE}>\r\nDATA\r\n");
    let with_dot = dot_stuffed(message);
    let next = [&with_dot, envelope.as_bytes()].concat();
    client.raw(envelope.as_bytes()).expect("written");
    for copy in 1..=times {
        let codes = [(); 3].map(|()| client.reply().expect("a reply").code);
        assert_eq!(codes, [250, 250, 354]);
        client.raw(if copy < times { &next } else { &with_dot }).expect("written");
        let reply = client.reply().expect("a reply");
        match reply.code {
            250 => answers.taken.fetch_add(1, Ordering::Relaxed),
            550..=554 => answers.refused.fetch_add(1, Ordering::Relaxed),
            _ => panic!("{reply:?}"),
        };
    }
    client.quit().expect("a reply");
}

/// Reports in all mailboxes.
fn reports(server: &Server) -> usize {
    SENDERS.iter().map(|name| maildir::count(&server.maildir("firm.example", name))).sum()
}

#[test]
fn copies_to_a_mailbox_that_is_refused_cost_few_attempts_and_reports() {
    if !available() {
        return;
    }
    let work = TempDir::in_memory("outward-refused");
    let refused = Fault::reply(At::Rcpt, "550 5.1.1 No such user");
    let peer = Scripted::start(&work, &Script::with([refused]));
    let hop = domain("refused.example", &format!("smtp://127.0.0.1:{}", peer.port));
    let quiet = "[log]\nlevel = \"warn\"\n";
    let (server, clock) = with_a_clock(&work, &(five_mailboxes() + &hop + quiet));
    let message = message("gone", &date_now(), &"To somebody who has left.\r\n".repeat(20));
    let (mut before, mut told_before) = (0, 0);
    for day in 0..DAYS {
        let count = if day == 0 { COPIES * more() } else { COPIES_LATER };
        let answers = Answers::default();
        for _ in 0..ROUNDS {
            copies(&server, &message, count / SENDERS.len() / ROUNDS, &answers);
            // Each round meets a row that has failed, so that the copies of others make a new life.
            wait_for_silence(&[&server]);
        }
        let (attempts, told) = (peer.commands("RCPT").len() - before, reports(&server) - told_before);
        eprintln!("day {day}: {count} copies ({answers:?}), {attempts} attempts, {told} reports");
        // The first life and eight new ones; one report a day for each reverse-path.
        assert!((ROUNDS..=9).contains(&attempts), "{attempts} attempts");
        assert!(told <= SENDERS.len(), "{told} reports");
        // What is taken begins a life, or meets one under way.
        assert!(answers.refused.load(Ordering::Relaxed) > count / 2, "{answers:?}");
        (before, told_before) = (before + attempts, told_before + told);
        clock.set_clock((day as i64 + 1) * 25 * HOUR_SECS).expect("a jump");
    }
    // Each was told at least once, and all together no more than a message is reported at all.
    assert!((SENDERS.len()..=20).contains(&told_before), "{told_before} reports of one message");
}
