use super::*;
use crate::control::{Link, LinkError};
use crate::ops::testing::{Bench, settings};
use crate::ops::{Filter, Forgotten, State};
use quell_queue::destination::Destination;
use quell_queue::ledger::Outcome;
use std::path::PathBuf;

fn maildir() -> Destinations {
    Box::new(|_| Destination::maildir())
}

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("quell-offline-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }

    /// Two rows delivered, in a store that is then closed.
    fn with_mail(&self) {
        let data = Data::open(&self.0).unwrap();
        let secret = data.secret(None).unwrap();
        let store = SqliteStore::open(&data.ledger().unwrap()).unwrap();
        let ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let mut bench = Bench::on(store, secret, ms - 60_000);
        bench.arrive(1, &["jane@firm.example", "tom@other.example"]);
        bench.deliver(&Outcome::Delivered);
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn forgets_durably_with_the_server_stopped() {
    let dir = Dir::new("forget");
    dir.with_mail();
    let mut link = Link::open(&dir.0, None, settings(), maildir()).unwrap();
    let request = Request::LedgerForget { to: "firm.example".into(), since_ms: 0, after: None };
    let answer = link.ask(&request).unwrap();
    assert_eq!(answer, Response::Forgotten(Forgotten { forgotten: 1, examined: 2, next: None }));
    drop(link);
    let data = Data::open_existing(&dir.0).unwrap();
    let mut offline = Offline::open(data, None, settings(), maildir()).unwrap();
    let list = Request::QueueList {
        states: vec![State::Delivered],
        filter: Filter::default(),
        after: None,
        limit: 10,
    };
    let Response::Rows(rows) = offline.ask(&list).unwrap() else { panic!() };
    let left: Vec<_> = rows.rows.iter().map(|row| row.recipient.as_str()).collect();
    assert_eq!(left, ["tom@other.example"]);
}

#[test]
fn a_store_in_use_is_not_opened() {
    let dir = Dir::new("deaf");
    dir.with_mail();
    let _server = Data::open(&dir.0).unwrap();
    let refused = Link::open(&dir.0, None, settings(), maildir()).err().unwrap();
    assert!(matches!(refused, LinkError::Deaf(_)), "{refused}");
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
}

#[test]
fn where_no_server_ever_ran_it_says_so() {
    let dir = Dir::new("empty");
    let refused = Link::open(&dir.0, None, settings(), maildir()).err().unwrap();
    assert!(refused.to_string().contains("no such data directory"), "{refused}");
    drop(Data::open(&dir.0).unwrap());
    let refused = Link::open(&dir.0, None, settings(), maildir()).err().unwrap();
    assert!(refused.to_string().contains("no ledger yet"), "{refused}");
    assert!(!dir.0.join("ledger.db").exists());
}
