//! Servers that send a message round: it ends at once, nothing is lost, the sender hears of it
//! once.

use super::dots::domain;
use crate::crash::wait_until_empty;
use crate::operate::{LIMIT, json, wait_for_mails};
use crate::support::peers::postfix::{self, Postfix};
use crate::support::server::config;
use crate::support::smtp::{self, Client, date_now};
use crate::support::{Server, TempDir, maildir, wait_until};
use serde_json::Value;

const SENDER: &str = "jane@firm.example";

/// A server that is not started, with `{other}` in its settings.
fn prepare(directory: &TempDir, more: &str) -> Server {
    Server::prepare(directory, &config(more), Vec::new())
}

/// Fills in the port of the other one, and starts.
fn start(server: &mut Server, other: u16) {
    let text = std::fs::read_to_string(server.config_path()).expect("a configuration");
    std::fs::write(server.config_path(), text.replace("{other}", &other.to_string())).expect("written");
    server.restart();
}

/// A number of the console.
fn metric(server: &Server, name: &str) -> u64 {
    let metrics = server.get("/metrics").1;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_else(|| panic!("{name}: {metrics}"));
    line.trim().parse().expect("a number")
}

/// All rows, whatever became of them.
fn rows(server: &Server) -> Vec<Value> {
    let states = ["waiting", "claimed", "unknown", "held", "relayed", "delivered", "failed", "discarded"];
    let arguments = ["queue", "list"].into_iter().chain(states.iter().flat_map(|state| ["--state", state]));
    let list = json(server, &arguments.collect::<Vec<_>>());
    list["rows"].as_array().expect("rows").clone()
}

fn row_of<'a>(rows: &'a [Value], recipient: &str) -> &'a Value {
    let mut of = rows.iter().filter(|row| row["recipient"] == recipient);
    let row = of.next().unwrap_or_else(|| panic!("no row of {recipient}: {rows:?}"));
    assert!(of.next().is_none(), "two rows of {recipient}: {rows:?}");
    row
}

fn send(server: &Server, from: &str, to: &str) {
    let message = smtp::message("circle", &date_now(), "Round and round.");
    let reply = Client::hello(server.smtp_port).send(from, &[to], &message).expect("a reply");
    assert_eq!(reply.code, 250, "{reply:?}");
}

/// Waits until no server has anything to do, reports included.
pub(super) fn wait_for_silence(servers: &[&Server]) {
    let owes = |server: &&Server| rows(server).iter().any(|row| row["report_due"] == true);
    let silent = || {
        servers.iter().for_each(|server| wait_until_empty(server, LIMIT));
        !servers.iter().any(owes)
    };
    let logs: fn(&Server) -> String = Server::output;
    assert!(
        wait_until(LIMIT, silent),
        "{:#?}",
        servers.iter().map(|server| logs(server)).collect::<Vec<_>>()
    );
}

/// The one report in the sender's mailbox; what it says.
fn the_report(server: &Server, to: &str) -> String {
    let mails = wait_for_mails(server, "jane", 1);
    let text = String::from_utf8_lossy(&mails[0].content).into_owned();
    assert!(
        maildir::field(&mails[0].content, "Content-Type")
            .is_some_and(|kind| kind.contains("multipart/report"))
    );
    assert!(text.contains("5.4.6") && text.contains(to), "{text}");
    text
}

/// Two servers, each with the other's port in its settings. B has another name, and another
/// domain of its own.
fn both(name: &str, a_more: &str, b_more: &str) -> ([TempDir; 2], [Server; 2]) {
    let work = ["a", "b"].map(|which| TempDir::new(&format!("{name}-{which}")));
    let (mut a, mut b) = (prepare(&work[0], a_more), prepare(&work[1], b_more));
    let text = std::fs::read_to_string(b.config_path()).expect("a configuration");
    let text = text.replacen("firm.example", "other.example", 3);
    std::fs::write(b.config_path(), text).expect("written");
    let (port_a, port_b) = (a.smtp_port, b.smtp_port);
    start(&mut a, port_b);
    start(&mut b, port_a);
    (work, [a, b])
}

/// A sends to B, and B to A. The sender's mailbox is at A.
fn two_servers(name: &str, a_more: &str, b_more: &str, to: &str) {
    let (_work, [a, b]) = both(name, a_more, b_more);
    send(&a, SENDER, to);
    the_report(&a, to);
    wait_for_silence(&[&a, &b]);
    the_report(&a, to);
    let (rows_a, rows_b) = (rows(&a), rows(&b));
    assert_eq!(row_of(&rows_a, to)["state"], "relayed", "{rows_a:?}");
    let failed = row_of(&rows_b, to);
    assert!(failed["state"] == "failed" && failed["sendings"] == 1, "{failed}");
    assert!(failed["status"].as_str().is_some_and(|status| status.contains("5.4.6")), "{failed}");
    let arrivals = [&a, &b].map(|server| metric(server, "quell_arrivals_total "));
    eprintln!("{name}: {arrivals:?} messages came, {} and {} rows", rows_a.len(), rows_b.len());
    // The message, the message again, the report; at B only the message, and the report on its way.
    assert!(arrivals[0] <= 3 && arrivals[1] <= 2, "{arrivals:?}");
    assert!(rows_a.len() == 2 && rows_b.len() == 2, "{rows_a:?}\n{rows_b:?}");
}

#[test]
fn two_servers_that_deliver_to_each_other_end_at_once() {
    let circle = domain("loop.example", "smtp://127.0.0.1:{other}");
    let home = domain("firm.example", "smtp://127.0.0.1:{other}");
    two_servers("loop-deliver", &circle, &(circle.clone() + &home), "x@loop.example");
}

#[test]
fn two_servers_that_are_smart_hosts_of_each_other_end_at_once() {
    let via = "[relay]\nvia = \"smtp://127.0.0.1:{other}\"\n";
    two_servers("loop-via", via, via, "x@elsewhere.example");
}

/// The report goes round, too: it is refused, and nobody reports on it.
#[test]
fn a_report_that_goes_round_ends_as_well() {
    let circle = domain("loop.example", "smtp://127.0.0.1:{other}");
    let (_work, [a, b]) = both("loop-report", &circle, &circle);
    let (from, to) = ("sender@loop.example", "x@loop.example");
    send(&a, from, to);
    let ended = || {
        rows(&a).len() == 2
            && rows(&a).iter().all(|row| ["relayed", "failed"].contains(&row["state"].as_str().unwrap_or("")))
    };
    assert!(wait_until(LIMIT, ended), "{:?}\n{}\n{}", rows(&a), a.output(), b.output());
    wait_for_silence(&[&a, &b]);
    let (rows_a, rows_b) = (rows(&a), rows(&b));
    let state = |rows: &[Value], of: &str| row_of(rows, of)["state"].as_str().map(str::to_owned);
    assert_eq!([state(&rows_a, to), state(&rows_b, to)].map(Option::unwrap), ["relayed", "failed"]);
    assert_eq!([state(&rows_a, from), state(&rows_b, from)].map(Option::unwrap), ["failed", "relayed"]);
    let arrivals = [&a, &b].map(|server| metric(server, "quell_arrivals_total "));
    assert!(arrivals[0] <= 3 && arrivals[1] <= 2, "{arrivals:?}");
    assert_eq!((rows_a.len(), rows_b.len()), (2, 2), "{rows_a:?}\n{rows_b:?}");
}

/// By default a next hop is asked for a recipient, and it may ask in turn whoever asks it.
#[test]
fn two_servers_that_ask_each_other_say_at_once_that_they_cannot_tell() {
    let asked = "[domains.\"loop.example\"]\ndeliver = \"smtp://127.0.0.1:{other}\"\n";
    let (_work, [a, b]) = both("loop-ask", asked, asked);
    let opened = || [&a, &b].map(|server| metric(server, "quell_connections_opened_total "));
    for times in 1..=3 {
        let before = opened();
        let mut client = Client::hello(a.smtp_port);
        assert_eq!(client.command(&format!("MAIL FROM:<{SENDER}>")).expect("a reply").code, 250);
        let reply = client.command(&format!("RCPT TO:<x{times}@loop.example>")).expect("a reply");
        assert!(reply.code == 451 && reply.text().starts_with("4.4.3"), "{reply:?}");
        client.quit().expect("a reply");
        let after = opened();
        let new = [after[0] - before[0], after[1] - before[1]];
        // The client and the question that came back; the question.
        assert_eq!(new, [2, 1], "{}\n{}", a.output(), b.output());
    }
    assert!(rows(&a).is_empty() && rows(&b).is_empty());
}

#[test]
fn postfix_that_sends_all_back_is_told_of_the_loop_at_once() {
    if !postfix::available() {
        return;
    }
    let work = TempDir::new("loop-postfix");
    let mut server = prepare(&work, "[relay]\nvia = \"smtp://127.0.0.1:{other}\"\n");
    let postfix = Postfix::start(&work, server.smtp_port);
    start(&mut server, postfix.port);
    let to = "x@elsewhere.example";
    send(&server, SENDER, to);
    // Postfix was refused, so the report is its own.
    the_report(&server, to);
    wait_for_silence(&[&server]);
    the_report(&server, to);
    let rows = rows(&server);
    assert_eq!((row_of(&rows, to)["state"].as_str(), rows.len()), (Some("relayed"), 2), "{rows:?}");
    let arrivals = metric(&server, "quell_arrivals_total ");
    assert_eq!(arrivals, 3, "the message, the message again, the report: {}", postfix.log());
}

/// Each time round it is another message: our own token proves nothing then, the hops do.
#[test]
fn a_loop_that_changes_the_subject_each_time_ends_by_its_hops() {
    if !postfix::available() {
        return;
    }
    let work = TempDir::new("loop-subject");
    let mut server = prepare(&work, "[relay]\nvia = \"smtp://127.0.0.1:{other}\"\n");
    let changed = "regexp:{{/^Subject: (.*)/ REPLACE Subject: [EXTERNAL] $$1}}";
    let more = format!("header_checks = {changed}\nhopcount_limit = 500\n");
    let postfix = Postfix::start_with(&work, server.smtp_port, &more);
    start(&mut server, postfix.port);
    send(&server, SENDER, "x@elsewhere.example");
    the_report(&server, "x@elsewhere.example");
    wait_for_silence(&[&server]);
    the_report(&server, "x@elsewhere.example");
    let arrivals = metric(&server, "quell_arrivals_total ");
    eprintln!("a loop that changes the subject: {arrivals} messages came");
    assert!((3..=60).contains(&arrivals), "{arrivals} messages came");
}
