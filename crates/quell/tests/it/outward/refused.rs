//! A recipient is refused by the judge while others of the same transaction are taken.

use super::dots::domain;
use crate::crash::{five_mailboxes, wait_until_empty};
use crate::operate::{LIMIT, queue_id, wait_for_mails, wait_for_row};
use crate::support::peers::aiosmtpd::{At, Fault, Script, Scripted, available};
use crate::support::smtp::{Client, date_now, message};
use crate::support::{Server, TempDir, maildir};

const GONE: &str = "gone@refused.example";

/// The answer is 250 for the others' sake, so a report tells the sender.
#[test]
fn the_sender_is_told_of_whom_no_reply_could_tell() {
    if !available() {
        return;
    }
    let work = TempDir::new("outward-beside");
    let refused = Fault::reply(At::Rcpt, "550 5.1.1 No such user");
    let peer = Scripted::start(&work, &Script::with([refused]));
    let hop = domain("refused.example", &format!("smtp://127.0.0.1:{}", peer.port));
    let server = Server::start(&work, &(five_mailboxes() + &hop));
    let mail = message("beside", &date_now(), "To one who has left, and later to others too.");
    let mut client = Client::hello(server.smtp_port);
    let id = queue_id(&client.send("jane@firm.example", &[GONE], &mail).expect("a reply"));
    wait_for_row(&server, &id, |row| row["state"] == "failed");
    wait_for_mails(&server, "jane", 1);
    let reply = client.send("ann@firm.example", &[GONE, "bob@firm.example"], &mail).expect("a reply");
    assert_eq!(reply.code, 250, "{reply:?}");
    wait_for_mails(&server, "bob", 1);
    let report = wait_for_mails(&server, "ann", 1).remove(0).content;
    let kind = maildir::field(&report, "Content-Type").expect("a type");
    assert!(kind.contains("delivery-status"), "{kind}");
    let report = String::from_utf8_lossy(&report).into_owned();
    assert!(report.contains(GONE) && report.contains("Status: 5.0.0"), "{report}");
    assert!(!report.contains("bob@firm.example"), "{report}");
    // Alone it is refused by the reply, and nobody is told twice.
    let reply = client.send("cid@firm.example", &[GONE], &mail).expect("a reply");
    assert_eq!(reply.code, 554, "{reply:?}");
    client.send("ann@firm.example", &[GONE, "bob@firm.example"], &mail).expect("a reply");
    wait_until_empty(&server, LIMIT);
    let count = |name: &str| maildir::count(&server.maildir("firm.example", name));
    assert_eq!(["jane", "ann", "bob", "cid"].map(count), [1, 1, 1, 0]);
}
