//! The classes `retry` and `loop`, as a client and a forwarder bring them about.

use super::*;
use crate::support::TempDir;
use crate::support::server::config;

fn class_and_verdict(server: &Server, id: &str, to: &str) -> (String, String) {
    let arrivals = json(server, &["explain", id]);
    let recipients = arrivals["arrivals"][0]["recipients"].as_array().expect("recipients").clone();
    let one = recipients.iter().find(|one| one["recipient"] == to).expect("the recipient");
    let text = |name: &str| one[name].as_str().expect("a text").to_owned();
    (text("class"), text("verdict"))
}

fn pair(class: &str, verdict: &str) -> (String, String) {
    (class.to_owned(), verdict.to_owned())
}

/// RFC 1047: it has sent the dot, never sees the 250, and sends again.
#[test]
fn a_client_that_lost_the_answer_is_absorbed_as_retry() {
    let directory = TempDir::new("operate-retry");
    let server = Server::start(&directory, &config(JSON_LOG));
    let one = mail("one");
    let mut client = Client::hello(server.smtp_port);
    let lines = ["MAIL FROM:<sender@client.example>", "RCPT TO:<jane@firm.example>", "DATA"];
    for reply in client.pipelined(&lines.map(str::to_owned)).expect("replies") {
        assert!(reply.is_ok(), "{reply:?}");
    }
    client.data(&one).expect("sent");
    drop(client);
    wait_for_mails(&server, "jane", 1);
    wait_for_empty_queue(&server);
    let again = accepted(&server, &["jane@firm.example"], &one);
    assert_eq!(class_and_verdict(&server, &again, "jane@firm.example"), pair("retry", "absorb"));
    // The second answer arrived: who sends a third time makes copies.
    wait_for_mails(&server, "jane", 1);
    let (_, metrics) = server.get("/metrics");
    assert!(metrics.contains("quell_copies_total{class=\"retry\"} 1\n"), "{metrics}");
    assert_log_is_json(&server);
}

/// One that reads the 250 and says QUIT makes copies, not retries.
#[test]
fn a_client_that_took_the_answer_makes_copies() {
    let directory = TempDir::new("operate-copies");
    let server = Server::start(&directory, &config(""));
    let one = mail("one");
    accepted(&server, &["jane@firm.example"], &one);
    let again = accepted(&server, &["jane@firm.example"], &one);
    assert_eq!(class_and_verdict(&server, &again, "jane@firm.example"), pair("copies", "absorb"));
    wait_for_empty_queue(&server);
    wait_for_mails(&server, "jane", 1);
}

/// What lies in the Maildir, with CRLF, as a forwarder sends it.
fn as_it_lies(mail: &maildir::Mail) -> Vec<u8> {
    let text = String::from_utf8(mail.content.clone()).expect("text");
    text.replace('\n', "\r\n").into_bytes()
}

#[test]
fn what_comes_back_is_a_loop_and_what_goes_on_passes() {
    let more = "[domains.\"other.example\"]\nrecipients = [\"bob\"]\n";
    let directory = TempDir::new("operate-loop");
    let mut server = Server::start(&directory, &config(&format!("{JSON_LOG}{more}")));
    accepted(&server, &["jane@firm.example"], &mail("one"));
    let lying = wait_for_mails(&server, "jane", 1);
    wait_for_empty_queue(&server);
    let back = as_it_lies(&lying[0]);
    let text = String::from_utf8_lossy(&back);
    assert!(
        text.contains("\r\nReceived: ") && text.contains("\r\nDelivered-To: jane@firm.example"),
        "{text}"
    );
    let again = accepted(&server, &["jane@firm.example"], &back);
    assert_eq!(class_and_verdict(&server, &again, "jane@firm.example"), pair("loop", "absorb"));
    // The token is found again after a restart, too.
    server.restart();
    let once_more = accepted(&server, &["jane@firm.example", "bob@other.example"], &back);
    assert_eq!(class_and_verdict(&server, &once_more, "jane@firm.example"), pair("loop", "absorb"));
    assert_eq!(class_and_verdict(&server, &once_more, "bob@other.example").1, "pass");
    wait_for_empty_queue(&server);
    wait_for_mails(&server, "jane", 1);
    let forwarded = maildir::read(&server.maildir("other.example", "bob"));
    assert_eq!(forwarded.len(), 1);
    let text = String::from_utf8_lossy(&forwarded[0].content).into_owned();
    assert_eq!(text.matches("Delivered-To: ").count(), 2, "{text}");
    assert_eq!(text.matches("Return-Path: ").count(), 1, "old ones are removed: {text}");
    assert_log_is_json(&server);
}

/// A hundred hops, whoever stamped them.
#[test]
fn a_hundred_hops_are_refused() {
    let directory = TempDir::new("operate-hops");
    let server = Server::start(&directory, &config(JSON_LOG));
    let hop = format!("Received: from a.example by b.example; {}\r\n", date_now());
    let with = |hops: usize, id: &str| [hop.repeat(hops).as_bytes(), &mail(id)].concat();
    let reply = send(&server, &["jane@firm.example"], &with(100, "far"));
    assert!(reply.code == 550 && reply.text().starts_with("5.4.6"), "{reply:?}");
    accepted(&server, &["jane@firm.example"], &with(99, "near"));
    wait_for_mails(&server, "jane", 1);
    let said = done(&server, &["explain", "<far@client.example>"]);
    assert!(said.contains("refuse") && said.contains("5.4.6"), "{said}");
}
