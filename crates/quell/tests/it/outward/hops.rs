//! Next hops of every kind: what they say and do, and what becomes of the mail.

mod ask;
mod down;
mod lmtp;
mod offers;
mod outcomes;
mod peers;
mod sink;
mod stop;
mod turns;

use crate::operate::{JSON_LOG, LIMIT, done, json, queue_id};
use crate::support::peers::aiosmtpd::Scripted;
use crate::support::server::config;
use crate::support::smtp::{Client, date_now, dot_stuffed, message};
use crate::support::{Server, TempDir, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;

/// Reports go into a Maildir here.
const FROM: &str = "jane@firm.example";
/// No session outlives its message, so that each meets the script from its beginning.
const NOT_KEPT: &str = "[relay]\nkeep_idle_secs = 0\n";

/// A server with a domain for each of these next hops, which takes mail for anybody in it.
fn server(directory: &TempDir, routes: &[(&str, &str)], more: &str) -> Server {
    Server::start(directory, &configured(routes, more))
}

fn configured(routes: &[(&str, &str)], more: &str) -> String {
    let domain = |(domain, next_hop): &(&str, &str)| {
        format!("[domains.\"{domain}\"]\ndeliver = \"{next_hop}\"\nrecipients = [\"*\"]\n")
    };
    let domains: String = routes.iter().map(domain).collect();
    config(&format!("{domains}{more}{JSON_LOG}"))
}

fn smtp(peer: &Scripted) -> String {
    format!("smtp://127.0.0.1:{}", peer.port)
}

/// A message with this id, dated now.
fn mail(id: &str) -> Vec<u8> {
    message(id, &date_now(), "A message.")
}

/// Sends in a connection of its own; the queue id.
fn submit(server: &Server, to: &[&str], message: &[u8]) -> String {
    submit_with(server, &format!("MAIL FROM:<{FROM}>"), to, message)
}

/// The same with this MAIL.
fn submit_with(server: &Server, mail: &str, to: &[&str], message: &[u8]) -> String {
    submit_data(server, mail, to, &dot_stuffed(message))
}

/// The same with these bytes behind DATA.
fn submit_data(server: &Server, mail: &str, to: &[&str], data: &[u8]) -> String {
    let mut client = Client::hello(server.smtp_port);
    let rcpts = to.iter().map(|to| format!("RCPT TO:<{to}>"));
    let lines: Vec<String> = [mail.to_owned()].into_iter().chain(rcpts).chain(["DATA".to_owned()]).collect();
    for (reply, line) in client.pipelined(&lines).expect("replies").iter().zip(&lines) {
        assert!(reply.is_ok(), "{line}: {reply:?}");
    }
    client.raw(data).expect("sent");
    let id = queue_id(&client.reply().expect("a reply"));
    client.quit().expect("a reply");
    id
}

/// The rows of a message by recipient.
fn rows(server: &Server, id: &str) -> BTreeMap<String, Value> {
    let shown = json(server, &["queue", "show", id]);
    let rows = shown["rows"].as_array().expect("rows").iter();
    rows.map(|row| (text(&row["recipient"]).to_owned(), row.clone())).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// Waits until the rows of a message are in these states, none of them untried.
fn wait_for_states(server: &Server, id: &str, states: &[(&str, &str)]) -> BTreeMap<String, Value> {
    let mut last = BTreeMap::new();
    let fits = |rows: &BTreeMap<String, Value>| {
        let fits = |(to, state): &(&str, &str)| {
            rows.get(*to).is_some_and(|row| row["state"] == *state && row["attempts"] != 0)
        };
        rows.len() == states.len() && states.iter().all(fits)
    };
    let came = wait_until(LIMIT, || {
        last = rows(server, id);
        fits(&last)
    });
    assert!(came, "{states:?} wanted of {last:#?}\n{}", server.output());
    last
}

/// The same for a message to one recipient; its row.
fn wait_for_state(server: &Server, id: &str, to: &str, state: &str) -> Value {
    wait_for_states(server, id, &[(to, state)]).remove(to).expect("a row")
}

/// Tries a message now; it has so many rows that can be tried.
fn retry(server: &Server, id: &str, count: u64) {
    assert_eq!(json(server, &["queue", "retry", id])["done"], count, "{}", done(server, &["queue", "list"]));
}

/// The status of a row: enhanced code and text.
fn status(row: &Value) -> &str {
    row["status"].as_str().unwrap_or_default()
}

/// Lines of the log about outcomes for this message and recipient.
fn outcomes(server: &Server, id: &str, to: &str) -> Vec<Value> {
    let lines = server.output();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let events = ["delivered", "relayed", "failed", "deferred", "unknown"];
    let about = |line: &Value| line["id"] == id && line["rcpt"] == to;
    lines.filter(|line| about(line) && events.iter().any(|event| line["event"] == *event)).collect()
}

/// Checks the last such line.
fn assert_logged(server: &Server, id: &str, to: &str, event: &str, next_hop: &str, status: &str) {
    let lines = outcomes(server, id, to);
    let line = lines.last().unwrap_or_else(|| panic!("no outcome of {id}:\n{}", server.output()));
    let said = format!("{} {}", text(&line["dsn"]), text(&line["reply"]));
    assert_eq!((text(&line["event"]), text(&line["next_hop"]), &*said), (event, next_hop, status), "{line}");
    assert!(line["delay_ms"].as_i64().is_some_and(|ms| ms >= 0), "{line}");
}

/// Seconds from when a row came into its state to its next time.
fn secs_to_next(row: &Value) -> i64 {
    let secs_of_day = |time: &Value| {
        let clock = text(time).split(['T', 'Z', '.']).nth(1).expect("a time of day");
        clock.split(':').fold(0, |secs, part| secs * 60 + part.parse::<i64>().expect("a number"))
    };
    (secs_of_day(&row["next"]) - secs_of_day(&row["since"])).rem_euclid(86_400)
}
