//! Reports to senders, as one of them gets them.

use super::*;
use crate::support::TempDir;
use crate::support::server::config;

/// A report of success, wanted by NOTIFY; of a failure of the same message only success is wanted.
#[test]
fn a_sender_is_told_what_it_has_asked_for() {
    let directory = TempDir::new("operate-reports");
    let text = config(&format!("{JSON_LOG}[domains.\"client.example\"]\nrecipients = [\"sender\"]\n"))
        .replace("\"*\"", "\"bob\", \"carl\"");
    let mut server = Server::start(&directory, &text);
    make_no_mailbox(&server.maildir("firm.example", "bob"));
    let mut client = Client::hello(server.smtp_port);
    for line in [
        "MAIL FROM:<sender@client.example> RET=HDRS ENVID=one+2B1",
        "RCPT TO:<jane@firm.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;j+2Bx@client.example",
        "RCPT TO:<bob@firm.example> NOTIFY=SUCCESS",
        "RCPT TO:<carl@firm.example> NOTIFY=NEVER",
    ] {
        assert_eq!(client.command(line).expect("a reply").code, 250, "{line}");
    }
    assert_eq!(client.command("DATA").expect("a reply").code, 354);
    client.data(&mail("one")).expect("sent");
    queue_id(&client.reply().expect("a reply"));
    let folder = server.maildir("client.example", "sender");
    assert!(wait_until(LIMIT, || maildir::count(&folder) == 1), "{}", server.output());
    let report = maildir::read(&folder).remove(0).content;
    let report = String::from_utf8(report).expect("text");
    for line in [
        "Return-Path: <>",
        "To: <sender@client.example>",
        "Auto-Submitted: auto-replied",
        "Original-Envelope-Id: one+1",
        "Original-Recipient: rfc822; j+x@client.example",
        "Final-Recipient: rfc822; jane@firm.example",
        "Action: delivered",
        "Content-Type: text/rfc822-headers",
        "Message-ID: <one@client.example>",
    ] {
        assert!(
            report.contains(&format!("{line}\r\n")) || report.contains(&format!("{line}\n")),
            "{line}: {report}"
        );
    }
    assert!(!report.contains("bob@") && !report.contains("carl@"), "{report}");
    let made = || server.get("/metrics").1.contains("quell_reports_total{fate=\"made\"} 1\n");
    assert!(wait_until(LIMIT, made), "{}", server.get("/metrics").1);
    // Once is enough, over a restart too.
    assert_eq!(server.term().code(), Some(0));
    server.restart();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(maildir::count(&folder), 1);
    assert_log_is_json(&server);
}
