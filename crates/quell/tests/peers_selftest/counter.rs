//! The next hop that counts.

use crate::FROM;
use crate::TO;
use crate::codes;
use crate::message;
use crate::support::peers::counter::Copy;
use crate::support::peers::counter::Counter;
use crate::support::peers::counter::Dots;
use crate::support::peers::smtp_source;
use crate::support::smtp;
use crate::support::wait_until;
use std::time::Duration;

#[test]
fn a_counter_knows_what_was_sent_twice() {
    let counter = Counter::start();
    let copy = |to: &str, id: &str| Copy {
        reverse_path: FROM.into(),
        recipient: to.to_owned(),
        message_id: format!("<{id}@client.example>").into(),
    };
    let replies = smtp::send_all(counter.port, FROM, &TO, &[message("a"), message("b"), message("a")]);
    assert!(replies.len() == 3 && replies.iter().all(|reply| reply.code == 250));
    assert!(counter.wait_for(4, Duration::from_secs(5)));
    let counts = counter.counts();
    assert_eq!(counts[&copy(TO[0], "a")], Dots { seen: 2, answered: 2, confirmed: 2 });
    assert_eq!(counts[&copy(TO[1], "b")], Dots { seen: 1, answered: 1, confirmed: 1 });
    assert_eq!((counter.repeated().len(), counter.usage().dots, counter.usage().peak_recipients), (2, 3, 2));
    // Gone before the answer.
    counter.hold_answers(true);
    let mut client = smtp::Client::hello(counter.port);
    let lines = ["MAIL FROM:<sender@client.example>", "RCPT TO:<jane@firm.example>", "DATA"];
    assert_eq!(codes(&mut client, &lines), [250, 250, 354]);
    client.data(&message("c")).expect("written");
    assert!(counter.wait_for(5, Duration::from_secs(5)));
    drop(client);
    counter.hold_answers(false);
    let closed = || counter.open_sessions() == 0;
    assert!(wait_until(Duration::from_secs(5), closed));
    assert_eq!(counter.counts()[&copy(TO[0], "c")], Dots { seen: 1, answered: 0, confirmed: 0 });
    // Answered, and nothing was heard again; then a message that breaks off.
    let mut client = smtp::Client::hello(counter.port);
    assert_eq!(client.send(FROM, &[TO[0]], &message("d")).expect("a reply").code, 250);
    drop(client);
    assert!(wait_until(Duration::from_secs(5), closed));
    assert_eq!(counter.counts()[&copy(TO[0], "d")], Dots { seen: 1, answered: 1, confirmed: 0 });
    let mut client = smtp::Client::hello(counter.port);
    assert_eq!(codes(&mut client, &lines), [250, 250, 354]);
    client.raw(b"Message-ID: <e@client.example>\r\n\r\n.\nno end\r\n").expect("written");
    drop(client);
    assert!(wait_until(Duration::from_secs(5), || counter.usage().broken_off == 1));
    assert_eq!((counter.distinct(), counter.usage().sessions, counter.usage().peak_sessions), (6, 4, 1));
}

#[test]
fn a_counter_takes_lmtp_and_many_sessions() {
    let counter = Counter::start();
    let (mut client, _) = smtp::Client::connect(counter.port).expect("a connection");
    let lines =
        ["LHLO client.example", "MAIL FROM:<>", "RCPT TO:<a@b.example>", "RCPT TO:<c@b.example>", "DATA"];
    assert_eq!(codes(&mut client, &lines), [250, 250, 250, 250, 354]);
    client.data(&message("m")).expect("written");
    assert_eq!([client.reply().expect("a reply").code, client.reply().expect("a reply").code], [250, 250]);
    client.quit().expect("a reply");
    if smtp_source::available() {
        let load = smtp_source::Load { messages: 2000, sessions: 20, ..Default::default() };
        smtp_source::send(counter.port, &load);
        assert_eq!(counter.usage().dots, 2001);
    }
}
