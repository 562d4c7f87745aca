//! Who gets it: aliases, subaddresses, postmaster, catch-all.

use super::*;
use crate::support::TempDir;
use crate::support::server::config;

const CONFIG: &str = r#"[domains."other.example"]
recipients = ["bob", "bob+lists"]
[domains."third.example"]
recipients = ["*"]
catch_all = "bob@other.example"
[aliases]
"info@firm.example" = ["sales@firm.example", "bob@other.example"]
"sales@firm.example" = ["jane@firm.example"]
"jane.doe@other.example" = ["jane@firm.example"]
"#;

/// Recipients, and who gets it how often.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, usize)]);

/// Sends to these and returns who got it: mailbox and how often.
fn who_gets(server: &Server, number: &mut u32, to: &[&str]) -> Vec<(&'static str, usize)> {
    *number += 1;
    let id = format!("m{number}");
    accepted(server, to, &mail(&id));
    wait_for_empty_queue(server);
    let boxes = [("jane", "firm.example"), ("bob", "other.example"), ("bob+lists", "other.example")];
    let count = |(local, domain): &(&'static str, &str)| {
        let counts = maildir::counts(&server.maildir(domain, local));
        counts.get(&id).map(|count| (*local, *count))
    };
    boxes.iter().filter_map(count).collect()
}

#[test]
fn everybody_gets_his_mail_once() {
    let directory = TempDir::new("operate-who");
    let server = Server::start(&directory, &config(CONFIG));
    let (jane, bob) = ([("jane", 1)], [("bob", 1)]);
    let cases: &[Case<'_>] = &[
        (&["jane@firm.example"], &jane),
        (&["JANE@Firm.Example"], &jane),
        (&["jane+anything@firm.example"], &jane),
        (&["sales@firm.example"], &jane),
        (&["sales+2026@firm.example"], &jane),
        (&["info@firm.example"], &[("jane", 1), ("bob", 1)]),
        (&["info@firm.example", "sales@firm.example", "jane@firm.example"], &[("jane", 1), ("bob", 1)]),
        (&["sales@firm.example", "jane.doe@other.example"], &jane),
        (&["postmaster@firm.example"], &jane),
        (&["PostMaster@other.example"], &jane),
        (&["postmaster"], &jane),
        (&["Postmaster", "postmaster@third.example", "jane@firm.example"], &jane),
        (&["whoever@firm.example"], &jane),
        (&["whoever@third.example"], &bob),
        (&["bob+detail@other.example"], &bob),
        (&["bob+lists@other.example"], &[("bob+lists", 1)]),
    ];
    let mut number = 0;
    for (to, expected) in cases {
        assert_eq!(who_gets(&server, &mut number, to), *expected, "{to:?}");
    }
    for nobody in ["whoever@other.example", "jane@other.example", "x@[192.0.2.1]"] {
        let reply = send(&server, &[nobody], &mail("none"));
        assert_eq!(reply.code, 550, "{nobody}: {reply:?}");
    }
}

/// The alias and the mailbox are one recipient across transactions, too.
#[test]
fn a_copy_by_another_address_of_the_same_mailbox_is_a_copy() {
    let directory = TempDir::new("operate-alias");
    let server = Server::start(&directory, &config(CONFIG));
    let one = mail("one");
    accepted(&server, &["jane@firm.example"], &one);
    for to in [
        "sales@firm.example",
        "jane+x@firm.example",
        "postmaster",
        "jane.doe@other.example",
        "info@firm.example",
    ] {
        accepted(&server, &[to], &one);
    }
    wait_for_empty_queue(&server);
    wait_for_mails(&server, "jane", 1);
    assert_eq!(maildir::count(&server.maildir("other.example", "bob")), 1);
}
