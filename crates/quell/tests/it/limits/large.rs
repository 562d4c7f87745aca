//! Very many recipients: in a header, and in an envelope.

use super::*;

/// A To field with so many addresses, 28 bytes each with what separates them.
fn to_many(addresses: usize) -> Vec<u8> {
    let mut message = format!(
        "From: <{FROM}>\r\nDate: {}\r\nMessage-ID: <many{addresses}@client.example>\r\nTo: ",
        smtp::date_now()
    )
    .into_bytes();
    for number in 0..addresses {
        message.extend_from_slice(format!("u{number:07}@firm.example").as_bytes());
        message.extend_from_slice(if number + 1 < addresses { b",\r\n    " } else { b"\r\n" });
    }
    message.extend_from_slice(b"X-Test-Id: many\r\n\r\nhello\r\n");
    message
}

/// Memory grows by no more than the message and 16 MiB, and the work with the message's size.
#[test]
fn a_header_with_a_million_recipients() {
    let directory = TempDir::new("million");
    let server = Server::start(&directory, &config(""));
    let mut client = Client::hello(server.smtp_port);
    let (mut ticks, mut sizes) = (Vec::new(), Vec::new());
    for (sent, addresses) in [1_000, 250_000, 1_000_000, 1_000_001].into_iter().enumerate() {
        let message = to_many(addresses);
        server.reset_peak();
        let (resident, used) = (server.resident_bytes(), server.processor_ticks());
        let reply = client.send(FROM, &[JANE], &message).expect("a reply");
        assert_eq!(reply.code, 250, "{reply:?}");
        wait_for(&jane(&server), sent + 1);
        let grown = server.peak_bytes().saturating_sub(resident);
        ticks.push(server.processor_ticks() - used);
        sizes.push(message.len() as u64);
        eprintln!(
            "{addresses} addresses: {} KiB, {} KiB more memory, {} ticks",
            message.len() / 1024,
            grown / 1024,
            ticks[sent]
        );
        assert!(grown <= message.len() as u64 + 16 * MIB, "{grown} for {}", message.len());
    }
    assert!(sizes[2] > 28_000_000, "{sizes:?}");
    // Four times the work, or sixteen times if it were quadratic; a tick is 10 ms.
    assert!(ticks[2] <= 8 * ticks[1].max(5), "{ticks:?}");
    let mails = maildir::read(&jane(&server));
    let whole = String::from_utf8(to_many(1_000_000)).expect("text").replace("\r\n", "\n");
    let below = whole.split_once("\nMessage-ID").expect("a field").1.as_bytes();
    assert_eq!(mails.iter().filter(|mail| mail.content.ends_with(below)).count(), 1, "unchanged");
}

const MANY: usize = 10_000;

fn name(number: usize) -> String {
    format!("user{number:05}")
}

/// How often each of the 10,000 has a message of this id: (none, once, more).
fn spread(server: &Server, id: &str) -> (usize, usize, usize) {
    let mut spread = (0, 0, 0);
    for number in 0..MANY {
        let counts = maildir::counts(&server.maildir("firm.example", &name(number)));
        match counts.get(id) {
            None => spread.0 += 1,
            Some(1) => spread.1 += 1,
            Some(_) => spread.2 += 1,
        }
    }
    spread
}

/// Rows that are not settled yet, as the server counts them.
fn open_rows(server: &Server) -> usize {
    let (_, metrics) = server.get("/metrics");
    let rows = metrics.lines().filter(|line| line.starts_with("quell_queue_rows{"));
    rows.map(|line| line.rsplit(' ').next().and_then(|n| n.parse::<usize>().ok()).expect("a number")).sum()
}

#[test]
fn ten_thousand_recipients_get_it_once() {
    // In memory: 10,000 mailboxes are 30,000 directories.
    let directory = TempDir::in_memory("ten-thousand");
    let names: String = (0..MANY + 50).map(|number| name(number) + "\n").collect();
    std::fs::write(directory.join("names"), names).expect("a list");
    let list = format!("\"file:{}\"", directory.join("names").display());
    let config = config("").replace(r#"["jane", "*"]"#, &list).replace("\"jane@", "\"user00000@");
    let mut server = Server::start(&directory, &config);
    let ids = ["quiet", "killed"];
    for id in ids {
        let mut client = Client::hello(server.smtp_port);
        let mut lines = vec![format!("MAIL FROM:<{FROM}>")];
        lines.extend((0..MANY + 50).map(|number| format!("RCPT TO:<{}@firm.example>", name(number))));
        lines.push("DATA".to_owned());
        let replies = client.pipelined(&lines).expect("replies");
        let taken = replies[1..=MANY].iter().filter(|reply| reply.code == 250).count();
        let over = replies[MANY + 1..MANY + 51].iter().filter(|reply| status(reply) == "452 4.5.3").count();
        assert_eq!((taken, over), (MANY, 50), "{:?}", replies[MANY + 1]);
        client.data(&smtp::message(id, &smtp::date_now(), "to all")).expect("written");
        assert_eq!(client.reply().expect("a reply").code, 250);
        if id == "killed" {
            for part in [8, 5, 2] {
                assert!(wait_until(LIMIT, || (1..MANY * part / 10).contains(&open_rows(&server))));
                server.kill9();
                let (none, one, more) = spread(&server, id);
                eprintln!("killed with {one} of {MANY} delivered");
                assert!(none > 0 && one > 0 && more == 0, "it was killed in the middle");
                server.restart();
            }
        }
        // The gauge follows the desk, so it is 0 before the first row as well.
        let done = || open_rows(&server) == 0 && spread(&server, id).1 == MANY;
        assert!(wait_until(LIMIT, done), "{:?}", spread(&server, id));
    }
    for id in ids {
        assert_eq!(spread(&server, id), (0, MANY, 0), "{id}");
    }
    for number in MANY..MANY + 50 {
        assert_eq!(maildir::count(&server.maildir("firm.example", &name(number))), 0);
    }
    server.term();
    server.restart();
    assert_eq!((spread(&server, "quiet"), spread(&server, "killed")), ((0, MANY, 0), (0, MANY, 0)));
    let rows = run(&mut server.command(&["queue", "list", "--json"]));
    assert!(!rows.contains("\"rcpt\""), "nothing waits any more: {}", &rows[..rows.len().min(500)]);
}
