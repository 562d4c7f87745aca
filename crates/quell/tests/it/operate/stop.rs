//! SIGTERM, and the lock on the data directory.

use super::*;
use crate::support::process::signal;
use crate::support::server::config;
use crate::support::{TempDir, free_port};

#[test]
fn sigterm_lets_a_transfer_finish_and_sends_the_idle_away() {
    let directory = TempDir::new("operate-term");
    let config = config(JSON_LOG).replacen("[server]\n", "[server]\nstop_secs = 7\n", 1);
    let mut server = Server::start(&directory, &config);
    let mut idle = Client::hello(server.smtp_port);
    let mut busy = Client::hello(server.smtp_port);
    for line in ["MAIL FROM:<sender@client.example>", "RCPT TO:<jane@firm.example>", "DATA"] {
        assert!(busy.command(line).expect("a reply").is_ok());
    }
    let message = mail("one");
    let (half, rest) = message.split_at(message.len() / 2);
    busy.raw(half).expect("sent");
    // Content that has arrived in part, not only the command.
    std::thread::sleep(Duration::from_millis(300));
    signal(server.pid(), "TERM");
    let away = idle.reply().expect("a reply");
    assert_eq!(away.code, 421, "{away:?}");
    assert_eq!(idle.rest(), "");
    let waits = "sessions have 10 s; messages sent out and not answered are waited for, 7 s at most";
    wait_for_log(&server, &["\"event\":\"stopping\"", waits]);
    let deaf = format!("quell (process {}) is stopping", server.pid());
    let is_deaf = || {
        let said = quell(&server, &["queue", "list"]);
        said.status == 1 && said.err.contains(&deaf)
    };
    assert!(wait_until(Duration::from_secs(5), is_deaf), "{:?}", quell(&server, &["queue", "list"]));
    let late = std::net::TcpStream::connect(("127.0.0.1", server.smtp_port));
    let refused = late.is_err() || Client::connect(server.smtp_port).is_err();
    assert!(refused, "no new sessions");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(server.is_running(), "{}", server.output());
    busy.raw(rest).expect("sent");
    busy.raw(b".\r\n").expect("sent");
    let answer = busy.reply().expect("a reply");
    assert_eq!(answer.code, 250, "{answer:?}");
    assert_eq!(server.term().code(), Some(0), "{}", server.output());
    let log = server.output();
    assert!(log.contains("\"event\":\"stopped\"") && !log.contains("sessions_cut"), "{log}");
    // The lock is free, and nothing was lost.
    let id = queue_id(&answer);
    assert!(["waiting", "delivered"].contains(&row(&server, &id)["state"].as_str().expect("a state")));
    server.restart();
    wait_for_mails(&server, "jane", 1);
    assert_log_is_json(&server);
}

/// A transfer in chunks is one transfer, also between two of them (RFC 3030).
#[test]
fn sigterm_lets_a_transfer_in_chunks_finish() {
    let directory = TempDir::new("operate-bdat");
    let mut server = Server::start(&directory, &config(JSON_LOG));
    let message = mail("one");
    let (half, rest) = message.split_at(message.len() / 2);
    let begin = |chunk: &[u8]| {
        let mut client = Client::hello(server.smtp_port);
        for line in ["MAIL FROM:<sender@client.example>", "RCPT TO:<jane@firm.example>"] {
            assert!(client.command(line).expect("a reply").is_ok());
        }
        client.raw(format!("BDAT {}\r\n", half.len()).as_bytes()).expect("sent");
        client.raw(chunk).expect("sent");
        client
    };
    let mut between = begin(half);
    assert_eq!(between.reply().expect("a reply").code, 250);
    let mut inside = begin(&half[..10]);
    std::thread::sleep(Duration::from_millis(300));
    signal(server.pid(), "TERM");
    wait_for_log(&server, &["\"event\":\"stopping\""]);
    std::thread::sleep(Duration::from_millis(500));
    inside.raw(&half[10..]).expect("sent");
    assert_eq!(inside.reply().expect("a reply").code, 250);
    let last = [format!("BDAT {} LAST\r\n", rest.len()).as_bytes(), rest].concat();
    for client in [&mut inside, &mut between] {
        client.raw(&last).expect("sent");
        assert_eq!(client.reply().expect("a reply").code, 250);
    }
    assert_eq!(server.term().code(), Some(0), "{}", server.output());
    server.restart();
    wait_for_mails(&server, "jane", 1);
    wait_for_empty_queue(&server);
    wait_for_mails(&server, "jane", 1);
}

/// Who does not finish is cut off after 10 s; it was answered nothing, so nothing is lost.
#[test]
fn a_transfer_that_does_not_finish_is_cut() {
    let directory = TempDir::new("operate-cut");
    let mut server = Server::start(&directory, &config(JSON_LOG));
    let mut stuck = Client::hello(server.smtp_port);
    for line in ["MAIL FROM:<sender@client.example>", "RCPT TO:<jane@firm.example>", "DATA"] {
        assert!(stuck.command(line).expect("a reply").is_ok());
    }
    stuck.raw(b"Subject: never finished\r\n").expect("sent");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(server.term().code(), Some(0), "{}", server.output());
    wait_for_log(&server, &["\"event\":\"sessions_cut\""]);
    assert_eq!(done(&server, &["queue", "list"]), "no rows\n");
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let directory = TempDir::new("operate-lock");
    let server = Server::start(&directory, &config(""));
    let text = std::fs::read_to_string(server.config_path()).expect("a configuration");
    let text = text.replace(&server.smtp_port.to_string(), &free_port().to_string());
    let text = text.replace(&server.console_port.to_string(), &free_port().to_string());
    let second = directory.join("second.toml");
    std::fs::write(&second, text).expect("a configuration");
    let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
    command.args(["serve", "--config"]).arg(&second);
    let said = Said::of(command);
    assert_eq!(said.status, 1, "{said:?}");
    let pid = server.pid().to_string();
    for part in ["in use by", &pid, server.data.to_str().expect("a path")] {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
    // And the ports: the same configuration once more.
    let said = quell(&server, &["serve"]);
    assert_eq!(said.status, 1, "{said:?}");
    let place = format!("cannot listen on 127.0.0.1:{}", server.smtp_port);
    assert!(said.err.contains(&place), "{said:?}");
    // The first one is unharmed.
    accepted(&server, &["jane@firm.example"], &mail("one"));
    wait_for_mails(&server, "jane", 1);
}

/// Each start reserves some seconds of queue ids, and a clean end gives back what it has not used: else every
/// restart would put the server's clock further ahead.
#[test]
fn restarts_do_not_put_the_clock_ahead() {
    use quell_queue::store::{Reader, Store, sqlite::SqliteStore};
    let directory = TempDir::new("operate-restarts");
    let mut server = Server::start(&directory, &config(JSON_LOG));
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(accepted(&server, &["jane@firm.example"], &mail(&format!("restart {n}"))));
        assert_eq!(server.term().code(), Some(0), "{}", server.output());
        let after_ms = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_millis() as i64;
        let store = SqliteStore::open(&server.data.join("ledger.db")).expect("a store");
        let mark_ms = store.reader().and_then(|reader| reader.high_water()).expect("a mark");
        let id: quell_mail::id::QueueId = ids[n].parse().expect("an id");
        assert!(id.ms() < mark_ms && mark_ms <= after_ms + 1, "{} {mark_ms} {after_ms}", id.ms());
        drop(store);
        server.restart();
    }
    assert!(ids.is_sorted() && ids[1] != ids[2], "{ids:?}");
    wait_for_mails(&server, "jane", 3);
}
