//! Storms of people and of machines that talk: a reply-all storm, two auto-responders; and what the operator
//! may set.

use super::*;
use crate::support::TempDir;
use crate::support::server::config;

/// The people of the firm.
fn people() -> Vec<String> {
    (0..12).map(|n| format!("p{n}@firm.example")).collect()
}

fn firm(more: &str) -> String {
    let names = (0..12).map(|n| format!("\"p{n}\"")).collect::<Vec<_>>().join(", ");
    config(&format!("{JSON_LOG}{more}")).replace("[\"jane\", \"*\"]", &format!("[\"jane\", {names}]"))
}

/// The `n`-th reply to all.
fn reply(n: usize) -> Vec<u8> {
    let people = people();
    format!(
        "From: Person {n} <{}>\r\nTo: {}\r\nSubject: Re: Cake in the kitchen\r\nMessage-ID: <r{n}@firm.example>\r\n\
         In-Reply-To: <root@firm.example>\r\nReferences: <root@firm.example>\r\nDate: {}\r\n\r\nPlease stop answering all, number {n}.\r\n",
        people[n % 12],
        people.join(", "),
        date_now()
    )
    .into_bytes()
}

/// Sends the `n`-th reply from its author to all.
fn replies(server: &Server, n: usize) -> Reply {
    let people = people();
    let all: Vec<&str> = people.iter().map(String::as_str).collect();
    let mut client = Client::hello(server.smtp_port);
    let reply = client.send(&people[n % 12], &all, &reply(n)).expect("a reply");
    client.quit().expect("a reply");
    reply
}

fn storms(server: &Server, class: &str) -> Vec<Value> {
    let all = json(server, &["storms", "list"]);
    let all = all["storms"].as_array().expect("storms").clone();
    all.into_iter().filter(|storm| storm["class"] == class).collect()
}

#[test]
fn a_reply_all_storm_is_held_its_authors_are_told_once_and_a_release_ends_it() {
    let directory = TempDir::new("operate-reply-all");
    let server = Server::start(&directory, &firm(""));
    let ids: Vec<String> = (0..13).map(|n| queue_id(&replies(&server, n))).collect();
    // The eleventh, the twelfth and the thirteenth are held; who wrote them is told: p10, p11, p0.
    for (person, mails) in [("p0", 11), ("p5", 10), ("p10", 11), ("p11", 11)] {
        let mails = wait_for_mails(&server, person, mails);
        let told = mails.iter().filter(|mail| {
            maildir::field(&mail.content, "Subject").is_some_and(|s| s == "quell: your reply to all is held")
        });
        assert_eq!(told.count(), usize::from(person != "p5"), "{person}");
    }
    // The same author again: no word.
    queue_id(&replies(&server, 24));
    let storm = storms(&server, "reply_all");
    assert_eq!(storm.len(), 1, "{storm:?}");
    assert_eq!((&storm[0]["held"], &storm[0]["recipients"]), (&48.into(), &12.into()), "{storm:?}");
    let text = done(&server, &["explain", &ids[10]]);
    for part in ["Held, by rule reply_all", "reply 11 to all", "12 people", "reply_all_replies", "[policy]"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let id = storm[0]["id"].as_str().expect("an id");
    let alone = accepted(&server, &["p3@firm.example"], &mail("alone@firm.example"));
    wait_for_row(&server, &alone, |row| row["state"] == "delivered");
    assert_eq!(json(&server, &["storms", "release", id])["done"], 48);
    wait_for_mails(&server, "p5", 14);
    // What a person releases is not judged again by the same rule, nor what still comes of it.
    queue_id(&replies(&server, 14));
    wait_for_mails(&server, "p5", 15);
    assert_log_is_json(&server);
}

#[test]
fn two_machines_are_stopped_after_four_turns() {
    let directory = TempDir::new("operate-auto-reply");
    let server = Server::start(&directory, &firm(""));
    let mut ids = Vec::new();
    for n in 0..8 {
        let (from, to) = if n % 2 == 0 { ("p1", "p2") } else { ("p2", "p1") };
        let message = format!(
            "From: {from}@firm.example\r\nTo: {to}@firm.example\r\nSubject: {}away\r\nAuto-Submitted: auto-replied\r\n\
             Message-ID: <a{n}@firm.example>\r\nDate: {}\r\n\r\nI am away until Monday.\r\n",
            "Re: ".repeat(n),
            date_now()
        );
        ids.push(accepted(&server, &[&format!("{to}@firm.example")], message.as_bytes()));
    }
    wait_for_mails(&server, "p1", 2);
    wait_for_mails(&server, "p2", 2);
    assert_eq!(row(&server, &ids[4])["held_for"], "auto_reply");
    let text = done(&server, &["explain", &ids[4]]);
    assert!(text.contains("5 times in turn") && text.contains("4 turns pass"), "{text}");
}

#[test]
fn what_the_operator_sets_is_done() {
    let directory = TempDir::new("operate-policy");
    let settings = "[policy]\nreply_all = \"refuse\"\nauto_reply = \"tell\"\n[exceptions]\nsenders = [\"p11@firm.example\"]\n";
    let mut server = Server::start(&directory, &firm(settings));
    (0..10).for_each(|n| drop(queue_id(&replies(&server, n))));
    let refused = replies(&server, 10);
    assert_eq!((refused.code, refused.text().contains("5.7.1")), (550, true), "{refused:?}");
    assert!(!refused.text().contains("firm.example"), "{refused:?}");
    queue_id(&replies(&server, 11));
    wait_for_mails(&server, "p5", 11);
    // A reload changes it.
    let text = std::fs::read_to_string(server.config_path()).expect("the configuration");
    std::fs::write(server.config_path(), text.replace("\"refuse\"", "\"tell\"")).expect("written");
    crate::support::process::signal(server.pid(), "HUP");
    wait_for_log(&server, &["\"reloaded\""]);
    queue_id(&replies(&server, 12));
    wait_for_mails(&server, "p5", 12);
    for (wrong, why) in [
        ("[policy]\nresent = \"absorb\"\n", "provably has"),
        ("[policy]\nresent = \"drop\"\n", "is no policy of resent"),
        ("[exceptions]\nhosts = [\"everybody\"]\n", "is no host"),
        ("[exceptions]\nsenders = [\"firm.example\"]\n", "is no sender"),
        ("[exceptions]\nlists = [\"<a.b>\"]\n", "is no List-Id"),
    ] {
        let file = directory.join("wrong.toml");
        std::fs::write(&file, firm(wrong)).expect("written");
        let said = quell(&server, &["check", file.to_str().expect("a path")]);
        assert!(said.status == 2 && format!("{}{}", said.out, said.err).contains(why), "{wrong}: {said:?}");
    }
    assert_eq!(server.term().code(), Some(0));
}
