use std::path::{Path, PathBuf};

use clap::Parser;
use quell_queue::ledger::Outcome;
use quell_queue::store::sqlite::SqliteStore;
use serde_json::Value;

use super::wall_ms;
use crate::cli::{Cli, run};
use crate::data::Data;
use crate::ops::testing::Bench;

/// A stopped server's folder: eight copies of one message to Jane, of which one was delivered, and
/// one message that waits for Tom.
struct Stopped {
    dir: PathBuf,
    first: String,
    waiting: String,
}

impl Stopped {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("quell-cli-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let data = Data::open(&dir.join("quell-data")).unwrap();
        let text = "[domains.\"firm.example\"]\nrecipients = [\"jane\", \"tom\"]\n\
                    [server]\nhostname = \"mx.firm.example\"\npostmaster = \"jane@firm.example\"\n";
        std::fs::write(dir.join("quell.toml"), text).unwrap();
        let secret = data.secret(None).unwrap();
        let store = SqliteStore::open(&data.ledger().unwrap()).unwrap();
        let mut bench = Bench::on(store, secret, wall_ms() - 7_200_000);
        let first = bench.arrive(1, &["jane@firm.example"]).to_string();
        bench.deliver(&Outcome::Delivered);
        for _ in 0..7 {
            bench.arrive(1, &["jane@firm.example"]);
        }
        let waiting = bench.arrive(2, &["tom@firm.example"]).to_string();
        bench.deliver(&Outcome::Temporary { status: "4.2.2 \x1b[2Jfull".into() });
        let now = bench.now();
        bench.door.flush(&now);
        bench.commit();
        Self { dir, first, waiting }
    }

    /// What the command prints, or its exit status and what it says.
    fn try_run(&self, args: &[&str]) -> Result<String, (u8, String)> {
        let config = self.dir.join("quell.toml");
        let all = [&["quell", "--config", config.to_str().unwrap()], args].concat();
        let mut out = Vec::new();
        let cli = Cli::try_parse_from(all).map_err(|e| (2, e.to_string()))?;
        run(cli, &mut out).map_err(|failure| (failure.status(), failure.to_string()))?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn run(&self, args: &[&str]) -> String {
        self.try_run(args).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[args, &["--json"]].concat())).unwrap()
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn queue_is_listed_and_shown_for_people_and_as_json() {
    let site = Stopped::new("list");
    let text = site.run(&["queue", "list"]);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("ID                STATE"), "{text}");
    let words: Vec<_> = lines[1].split_whitespace().collect();
    let expected = [
        &site.waiting,
        "waiting",
        "2h00m",
        "2.0",
        "KiB",
        "1",
        "now",
        "ann@client.example",
        "tom@firm.example",
        "maildir",
        "4.2.2",
        "\u{fffd}[2Jfull",
    ];
    assert_eq!(words, expected, "{text}");
    assert_eq!(lines.len(), 2);
    let list = site.json(&["queue", "list", "--state", "delivered", "--to", "jane@firm.example"]);
    assert_eq!((&list["rows"][0]["id"], &list["next"]), (&site.first.clone().into(), &Value::Null));
    assert_eq!(site.run(&["queue", "list", "--state", "held"]), "no rows\n");
    let (to_jane, to_tom) =
        (site.run(&["queue", "show", &site.first]), site.run(&["queue", "show", &site.waiting]));
    assert!(to_jane.contains("COPIES  NEXT") && !to_tom.contains("COPIES"), "only where there are some");
    assert!(!to_tom.contains("Key:"), "{to_tom}");
    let shown = site.json(&["queue", "show", &site.first]);
    assert_eq!(
        (&shown["message"]["body_kept"], &shown["rows"][0]["state"]),
        (&false.into(), &"delivered".into())
    );
    assert!(site.run(&["queue", "show", &site.first]).starts_with(&format!("Message:    {}\n", site.first)));
}

#[test]
fn queue_is_changed_and_refusals_end_with_status_1() {
    let site = Stopped::new("change");
    assert_eq!(site.run(&["queue", "retry", "--domain", "firm.example"]), "1 row to be tried now\n");
    let remove = ["queue", "remove", &site.waiting, "--to", "tom@firm.example", "--report"];
    assert_eq!(site.run(&remove), "1 row removed\n");
    let shown = site.json(&["queue", "show", &site.waiting]);
    assert_eq!(
        (&shown["rows"][0]["state"], &shown["rows"][0]["report_due"]),
        (&"discarded".into(), &true.into())
    );
    assert_eq!(site.run(&["queue", "list"]), "no rows\n");
    let (status, why) =
        site.try_run(&["queue", "remove", &site.first, "--to", "jane@firm.example"]).unwrap_err();
    assert!(status == 1 && why.contains("is delivered: only"), "{why}");
    let wrong: [&[&str]; 5] = [
        &["queue", "retry"],
        &["queue", "retry", &site.first, "--all"],
        &["queue", "retry", "--all", "--to", "tom@firm.example"],
        &["queue", "list", "--state", "lost"],
        &["queue", "list", "--limit", "0"],
    ];
    for args in wrong {
        assert_eq!(site.try_run(args).unwrap_err().0, 2, "{args:?}");
    }
}

#[test]
fn what_is_to_be_retried_must_be_there() {
    let site = Stopped::new("retry");
    let retry = |args: &[&str]| site.try_run(&[&["queue", "retry"], args].concat());
    let (status, why) = retry(&["--next-hop", "smtp://127.0.0.1:3126"]).unwrap_err();
    let names = "no mail goes to `smtp://127.0.0.1:3126`; next hops are: maildir\n";
    assert_eq!((status, why.as_str()), (1, names));
    let (status, why) = retry(&["--domain", "frim.example"]).unwrap_err();
    assert_eq!((status, why.as_str()), (1, "no mail waits for the domain frim.example\n"));
    assert_eq!(retry(&["--next-hop", "maildir"]).unwrap(), "1 row to be tried now\n");
    // It is there, and in no state that is meant.
    assert_eq!(
        retry(&["--domain", "firm.example", "--state", "unknown"]).unwrap(),
        "0 rows to be tried now\n"
    );
}

#[test]
fn storms_are_listed_and_shown() {
    let site = Stopped::new("storms");
    let list = site.json(&["storms", "list"]);
    let id = list["storms"][0]["id"].as_str().unwrap();
    assert_eq!(list["storms"][0]["copies"], 7);
    assert!(site.run(&["storms", "list"]).lines().nth(1).unwrap().starts_with(id));
    let text = site.run(&["storms", "show", id]);
    assert!(text.contains("\nRecipients: 1, of these have it: 1\n"), "{text}");
    assert!(text.contains("  Subject: \u{fffd}[31mred\n") && !text.contains('\x1b'), "{text}");
    assert_eq!(site.json(&["storms", "show", id])["storm"]["id"], id);
    let (status, why) = site.try_run(&["storms", "show", "0000000000000000"]).unwrap_err();
    assert_eq!((status, why.as_str()), (1, "there is no storm `0000000000000000`\n"));
}

#[test]
fn ledger_forgets_and_explain_says_what_the_rows_say() {
    let site = Stopped::new("forget");
    let text = site.run(&["explain", &site.first]);
    assert!(text.contains("\njane@firm.example: -, now delivered\n  The verdict itself is no longer remembered.\n  It was delivered at "), "{text}");
    assert_eq!(site.json(&["explain", &site.first])["arrivals"][0]["remembered"], false);
    let forget =
        |since: &str| site.json(&["ledger", "forget", "--to", "jane@firm.example", "--since", since]);
    assert_eq!(forget("1h")["forgotten"], 0);
    assert_eq!(forget("1d")["forgotten"], 1);
    assert_eq!(site.run(&["queue", "list", "--state", "delivered"]), "no rows\n");
    for (to, since) in [("jane@firm.example", "soon"), ("jane@firm.example", "2999-01-01"), ("a b@c", "1d")] {
        let wrong = site.try_run(&["ledger", "forget", "--to", to, "--since", since]).unwrap_err();
        assert_eq!(wrong.0, 2, "{wrong:?}");
    }
}

#[test]
fn the_commands_leave_the_lock_behind_them_free() {
    let site = Stopped::new("lock");
    site.run(&["queue", "list"]);
    let data: &Path = &site.dir.join("quell-data");
    let held = Data::open_existing(data).unwrap();
    let (status, why) = site.try_run(&["queue", "list"]).unwrap_err();
    assert!(status == 1 && why.contains("does not answer at its control socket"), "{why}");
    drop(held);
}
