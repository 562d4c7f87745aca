//! It comes back: `bounces`.

use super::*;

fn report(n: usize, of: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx{n}.example\nTo: jane@firm.example\nSubject: Undelivered Mail Returned to Sender\n\
         Message-ID: <b{n}@mx.example>\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\n\n--b\n\nIt failed.\n--b\n\
         Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx{n}.example\n\nFinal-Recipient: rfc822; u{n}@x.example\n\
         Action: failed\nStatus: 5.1.1\n\n--b\nContent-Type: message/rfc822-headers\n\nMessage-ID: <{of}>\nSubject: hello\n\n--b--\n"
    )
}

#[test]
fn a_flood_of_reports_is_held_after_the_first_few() {
    // A server that has seen a day's mail.
    let settled = || {
        let mut desk = Desk::new();
        let text = "From: tom@firm.example\nMessage-ID: <o@firm.example>\n\nhello\n";
        desk.one(&Mail { inside: true, ..Mail::new("tom@firm.example", "a@client.example", text) });
        desk.now += 24 * HOUR;
        desk
    };
    let mut desk = settled();
    let bounce =
        |n: usize, of: &str| Mail { reverse_path: "", ..Mail::new("", "jane@firm.example", report(n, of)) };
    let passed = (0..60)
        .filter(|n| {
            desk.now += 1_000;
            desk.one(&bounce(*n, &format!("{n}@forged.example"))) == "pass"
        })
        .count();
    assert_eq!(passed, 20);
    let mut desk = settled();
    let passed = (0..60)
        .filter(|n| {
            desk.now += 1_000;
            desk.one(&bounce(*n, "1@forged.example")) == "pass"
        })
        .count();
    assert_eq!(passed, 10, "of one message");
    // Who sent to 500 may get 500 back.
    let mut desk = settled();
    let names: Vec<String> = (0..500).map(|n| format!("u{n}@x.example")).collect();
    let message = "From: jane@firm.example\nTo: undisclosed-recipients:;\nSubject: News\nMessage-ID: <n1@firm.example>\n\nOur news\n";
    let to = names.iter().map(String::as_str).collect();
    let sent = Mail { inside: true, to, ..Mail::new("jane@firm.example", "", message) };
    desk.takes(&sent);
    let passed = (0..600)
        .filter(|n| {
            desk.now += 100;
            desk.one(&bounce(*n, "n1@firm.example")) == "pass"
        })
        .count();
    assert_eq!(passed, 500);
}
