//! Servers that do what some do: nothing is lost or comes twice, nobody is asked over and over, and one message keeps no
//! other waiting.

use super::{LIMIT, account, events, telling_script, two_mailboxes};
use crate::support::peers::hostile::{Does, Hostile, Protocol};
use crate::support::process::try_run;
use crate::support::{Server, TempDir, maildir, wait_until};
use serde_json::Value;

const TO: &str = "tls = \"never\"\nto = [\"jane@firm.example\"]";

/// Without Message-ID and trace: nothing but the server's name tells it from its copy.
fn bare(id: &str) -> Vec<u8> {
    format!("X-Test-Id: {id}\r\nSubject: x\r\n\r\ntext of {id}\r\n").into_bytes()
}

struct Faulty {
    server: Server,
    hostile: Hostile,
    directory: TempDir,
    url: String,
}

impl Faulty {
    /// It has messages of these names.
    fn start(protocol: Protocol, does: Does, messages: &[&str], more: &str) -> Self {
        let (directory, hostile) = (TempDir::new("pickup-faulty"), Hostile::start(protocol, does, None));
        messages.iter().for_each(|id| hostile.deliver(id, &bare(id)));
        let scheme = if protocol == Protocol::Pop3 { "pop3" } else { "imap" };
        let url = format!("{scheme}://127.0.0.1:{}", hostile.port);
        let tell = telling_script(&directory);
        let text = format!(
            "[tell]\ncommand = [{tell:?}]\n{}",
            account(&directory, "office", &url, &format!("{TO}\n{more}"))
        );
        let server = Server::start(&directory, &two_mailboxes(&text));
        Self { server, hostile, directory, url }
    }

    fn run(&self) -> (bool, String) {
        try_run(&mut self.server.command(&["pickup", "run", "office"]))
    }

    fn status(&self) -> Value {
        let (ok, said) = try_run(&mut self.server.command(&["pickup", "status", "--json"]));
        assert!(ok, "{said}");
        let status: Value = serde_json::from_str(&said).expect("JSON");
        status["accounts"][0].clone()
    }

    /// These are here, each once, and nothing else.
    fn has(&self, ids: &[&str]) {
        let here = || maildir::counts(&self.server.maildir("firm.example", "jane"));
        assert!(wait_until(LIMIT, || here().len() >= ids.len()), "{:?}\n{}", here(), self.server.output());
        crate::crash::wait_until_empty(&self.server, LIMIT);
        let wanted = ids.iter().map(|id| ((*id).to_owned(), 1)).collect();
        assert_eq!(here(), wanted, "{:?}", self.hostile.said());
    }

    fn said(&self, what: &str) -> usize {
        self.hostile.said().iter().filter(|line| line.contains(what)).count()
    }
}

#[test]
fn a_server_that_does_not_idle_is_not_signed_in_to_over_and_over() {
    for does in [Does::RefusesIdle, Does::EndsAtIdle] {
        let faulty = Faulty::start(Protocol::Imap, does, &["a"], "idle = true");
        faulty.has(&["a"]);
        assert!(wait_until(LIMIT, || faulty.status()["state"] == "waiting"), "{}", faulty.status());
        for _ in 0..20 {
            assert_eq!(faulty.status()["state"], "waiting");
        }
        assert_eq!(faulty.hostile.sessions(), 1, "{does:?}");
    }
}

#[test]
fn mail_that_comes_while_other_is_fetched_is_no_secret_until_the_next_look() {
    let faulty = Faulty::start(Protocol::Imap, Does::TellsEarly, &["first"], "idle = true");
    faulty.has(&["first", "early"]);
    assert_eq!(faulty.hostile.sessions(), 1);
}

#[test]
fn what_a_listing_leaves_out_comes_with_the_next() {
    let faulty = Faulty::start(Protocol::Imap, Does::ListsLate, &["a", "b"], "idle = true\nkeep = true");
    faulty.has(&["a", "b"]);
    assert_eq!(faulty.hostile.sessions(), 1);
}

#[test]
fn one_message_that_ends_each_session_keeps_no_other_waiting() {
    for protocol in [Protocol::Pop3, Protocol::Imap] {
        let faulty = Faulty::start(protocol, Does::EndsAtTheSecond, &["a", "b", "c"], "");
        let (mut tries, mut ok) = (0, false);
        while !ok && tries < 6 {
            ok = faulty.run().0;
            tries += 1;
        }
        assert!(ok, "{}", faulty.server.output());
        faulty.has(&["a", "c"]);
        assert_eq!(faulty.hostile.left(), ["b"]);
        assert_eq!(events(&faulty.server, "pickup_refused", "office").len(), 1);
    }
}

#[test]
fn a_message_of_which_nothing_comes_is_not_deleted() {
    for protocol in [Protocol::Pop3, Protocol::Imap] {
        let faulty = Faulty::start(protocol, Does::EmptiesTheSecond, &["a", "b", "c"], "");
        assert!(faulty.run().0);
        faulty.has(&["a", "c"]);
        assert_eq!(faulty.hostile.left(), ["b"]);
        let (_, metrics) = faulty.server.get("/metrics");
        assert!(metrics.contains("quell_pickup_messages_total{result=\"refused\"} 1"), "{metrics}");
    }
}

/// Two of half a MiB are asked for together, and alone.
#[test]
fn messages_that_are_not_given_out_keep_no_other_waiting() {
    let faulty = Faulty::start(Protocol::Imap, Does::RefusesTheFirstTwo, &[], "");
    for id in ["a", "b", "c"] {
        faulty.hostile.deliver(id, &[&bare(id)[..], &b"0123456789\r\n".repeat(40_000)].concat());
    }
    assert!(faulty.run().0);
    faulty.has(&["c"]);
    assert_eq!(faulty.hostile.left(), ["a", "b"]);
}

/// What stays there would come again at each look.
#[test]
fn what_has_no_name_is_not_collected_where_it_stays() {
    let faulty = Faulty::start(Protocol::Pop3, Does::NoCapa, &["a", "b"], "keep = true");
    for _ in 0..3 {
        let (ok, said) = faulty.run();
        assert!(!ok && said.contains("UIDL"), "{said}");
    }
    faulty.has(&[]);
    let told = || std::fs::read_to_string(faulty.directory.join("told")).unwrap_or_default();
    assert!(wait_until(LIMIT, || told().contains("keep = false")), "{}", told());
}

#[test]
fn one_name_for_all_messages_that_stay_brings_none_twice() {
    let faulty = Faulty::start(Protocol::Pop3, Does::SameUidl, &["a", "bb", "ccc"], "keep = true");
    for _ in 0..3 {
        assert!(faulty.run().0);
    }
    faulty.has(&["a", "bb", "ccc"]);
    assert_eq!(faulty.said("RETR"), 3);
}

#[test]
fn what_a_server_does_not_delete_is_not_fetched_at_each_look() {
    let faulty = Faulty::start(Protocol::Pop3, Does::RefusesDele, &["a", "b"], "");
    for _ in 0..4 {
        assert!(faulty.run().0);
    }
    faulty.has(&["a", "b"]);
    assert_eq!((faulty.said("RETR"), faulty.hostile.left().len()), (2, 2));
}

/// RFC 2449 §6.7.
#[test]
fn what_cannot_be_taken_is_not_lost_where_quit_deletes_what_was_fetched() {
    let mut faulty = Faulty::start(Protocol::Pop3, Does::DeletesFetched, &["a"], "");
    let hops = b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n".repeat(120);
    faulty.hostile.deliver("loop", &[&hops[..], &bare("loop")].concat());
    // Whoever asks has what we refuse tried again.
    for _ in 0..2 {
        let (ok, said) = faulty.run();
        assert!(!ok && said.contains("EXPIRE 0"), "{said}");
    }
    faulty.has(&["a"]);
    assert!(faulty.hostile.left().contains(&"loop".to_owned()));
    faulty.server.restart();
    assert!(wait_until(LIMIT, || faulty.hostile.left() == ["loop"]), "{}", faulty.server.output());
    faulty.has(&["a"]);
}

/// Its answer cannot be seen: without UIDPLUS all that anybody has marked would go.
#[test]
fn nothing_is_expunged_for_a_search_that_is_refused() {
    let faulty = Faulty::start(Protocol::Imap, Does::RefusesSearch, &["a"], "");
    assert!(faulty.run().0);
    faulty.has(&["a"]);
    assert!(faulty.said("SEARCH") > 0 && faulty.said("EXPUNGE") == 0, "{:?}", faulty.hostile.said());
}

#[test]
fn a_size_that_is_corrected_brings_nothing_twice() {
    let faulty = Faulty::start(Protocol::Imap, Does::CorrectsSizes, &["a", "b"], "keep = true");
    for _ in 0..3 {
        assert!(faulty.run().0);
    }
    faulty.has(&["a", "b"]);
}

#[test]
fn a_message_that_comes_in_smaller_pieces_than_asked_for_is_whole() {
    let faulty = Faulty::start(Protocol::Imap, Does::ShortSlices(1_000), &["a"], "");
    let text = [&bare("b")[..], &b"0123456789\r\n".repeat(900), b"the end\r\n"].concat();
    faulty.hostile.deliver("b", &text);
    assert!(faulty.run().0);
    faulty.has(&["a", "b"]);
    let mails = maildir::read(&faulty.server.maildir("firm.example", "jane"));
    let b = mails.iter().find(|mail| maildir::field(&mail.content, "X-Test-Id").as_deref() == Some("b"));
    let content = String::from_utf8_lossy(&b.expect("b").content).into_owned();
    assert!(content.trim_end().ends_with("the end") && content.matches("0123456789").count() == 900);
}

/// Many servers give all mailboxes one UIDVALIDITY.
#[test]
fn a_uid_of_another_mailbox_deletes_nothing_unread() {
    let mut faulty = Faulty::start(Protocol::Imap, Does::Nothing, &["a"], "keep = true");
    assert!(faulty.run().0);
    faulty.has(&["a"]);
    faulty.hostile.replace("b", &bare("b"));
    let text = std::fs::read_to_string(faulty.server.config_path()).expect("a configuration");
    let text = text.replace("keep = true", "mailbox = \"Archive\"");
    std::fs::write(faulty.server.config_path(), text).expect("a configuration");
    faulty.server.restart();
    assert!(faulty.run().0, "{}", faulty.url);
    faulty.has(&["a", "b"]);
    assert!(faulty.hostile.left().is_empty());
}
