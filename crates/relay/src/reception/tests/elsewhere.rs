//! Recipients whose mail goes on: next hops that are asked, other domains, DSN parameters.

use quell_storm::facts::Notify;

use super::*;

/// `inside`, what the client says, and the codes of the answers to all but EHLO and MAIL.
fn codes(client: &mut Client, lines: &[&str]) -> Vec<String> {
    let pipelined: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    client.says(b"EHLO a\r\nMAIL FROM:<a@b.example>\r\n");
    let said = client.says(pipelined.as_bytes());
    said.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn next_hops_are_asked_in_the_order_of_a_pipeline() {
    let (memory, world) = (Memory::new(0), Ground::new("ask"));
    let mut client = Client::new(&memory, &world, false);
    let lines = [
        "RCPT TO:<Maria+x@Ask.example>",
        "RCPT TO:<gone@ask.example>",
        "RCPT TO:<jane@firm.example>",
        "RCPT TO:<down@ask.example>",
        "RCPT TO:<postmaster@ask.example>",
        "RCPT TO:<info@firm.example>",
        "DATA",
    ];
    let answers = ["250 2.1.5", "550 5.1.1", "250 2.1.5", "451 4.4.3", "250 2.1.5", "250 2.1.5", "354 go"];
    assert_eq!(codes(&mut client, &lines), answers);
    let asked: Vec<_> = client.asks.iter().map(|ask| ask.address.as_str()).collect();
    assert_eq!(asked, ["Maria+x@Ask.example", "gone@ask.example", "down@ask.example"]);
    assert_eq!(client.asks[0].identity, "maria+x@ask.example");
    let refused = [
        "gone@ask.example from <a@b.example> 192.0.2.1: 550",
        "down@ask.example from <a@b.example> 192.0.2.1: 451",
    ];
    assert_eq!(*world.refused.borrow(), refused);
    assert!(client.says(b"Subject: s\r\n\r\nx\r\n.\r\n").starts_with("250 "));
    let rows = &client.given[0].facts.recipients;
    let rows: Vec<_> =
        rows.iter().map(|r| (r.identity.as_str(), r.as_given.as_str(), r.tenant.as_str())).collect();
    let want = [
        ("maria+x@ask.example", "Maria+x@Ask.example", "ask.example"),
        ("jane@firm.example", "jane@firm.example", "firm.example"),
        ("postmaster@firm.example", "postmaster@ask.example", "firm.example"),
        ("boss@ask.example", "boss@ask.example", "ask.example"),
    ];
    assert_eq!(rows, want);
}

#[test]
fn while_a_next_hop_is_asked_the_client_waits() {
    let (memory, world) = (Memory::new(0), Ground::new("wait"));
    let mut client = Client::new(&memory, &world, false);
    client.says(b"EHLO a\r\nMAIL FROM:<a@b.example>\r\n");
    let input = b"RCPT TO:<Maria@ask.example>\r\nNOOP\r\n";
    let (taken, want) = client.reception.advance(input, &world);
    assert!(matches!(want, Want::Ask(_)), "{want:?}");
    let (more, want) = client.reception.advance(&input[taken..], &world);
    assert!(more == 0 && matches!(want, Want::Flush), "{want:?}");
    assert!(client.reception.output().is_empty());
    client.reception.asked(Asked::Exists, &world);
    // Once only: an answer that nobody waits for changes nothing.
    client.reception.asked(Asked::Unknown, &world);
    let said = client.says(&input[taken..]);
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.starts_with("250 2.1.5 ") && said.contains("\r\n250 2.0.0 "), "{said}");
    // A session that ends meanwhile is not brought back.
    let (_, want) = client.reception.advance(b"RCPT TO:<Maria@ask.example>\r\n", &world);
    assert!(matches!(want, Want::Ask(_)));
    client.reception.shut_down(&Reply::new(421, (3, 2), "The server is stopping"));
    client.reception.asked(Asked::Exists, &world);
    let said = client.says(b"DATA\r\n");
    assert!(said.starts_with("421 ") && said.lines().count() == 1, "{said}");
}

#[test]
fn other_domains_are_for_our_own_machines() {
    let (memory, world) = (Memory::new(0), Ground::new("others"));
    let lines =
        ["RCPT TO:<Max@Other.example>", "RCPT TO:<max@[192.0.2.9]>", "RCPT TO:<@r.example:x@other.example>"];
    let mut outside = Client::new(&memory, &world, false);
    assert_eq!(codes(&mut outside, &lines), ["550 5.7.1", "550 5.7.1", "550 5.7.1"]);
    let mut inside = Client::new(&memory, &world, true);
    assert_eq!(codes(&mut inside, &lines), ["250 2.1.5", "550 5.1.2", "250 2.1.5"]);
    inside.says(b"DATA\r\nSubject: s\r\n\r\nx\r\n.\r\n");
    let row = &inside.given[0].facts.recipients[0];
    assert_eq!((row.identity.as_str(), row.as_given.as_str()), ("Max@other.example", "Max@Other.example"));
    assert_eq!(row.tenant, "other.example");
}

#[test]
fn report_parameters_are_kept_and_for_names_what_was_given() {
    let (memory, world) = (Memory::new(0), Ground::new("dsn"));
    let mut client = Client::new(&memory, &world, true);
    assert!(client.says(b"EHLO a\r\n").contains("\r\n250-DSN\r\n"));
    client.says(b"MAIL FROM:<a@b.example> RET=HDRS ENVID=id+2B1\r\n");
    let said =
        client.says(b"RCPT TO:<info@firm.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@z.example\r\n");
    assert!(said.starts_with("250 2.1.5 "), "{said}");
    client.says(b"DATA\r\nSubject: s\r\n\r\nx\r\n.\r\n");
    let given = &client.given[0];
    assert_eq!((given.facts.envid.as_deref(), given.facts.ret_full), (Some("id+2B1"), Some(false)));
    let row = &given.facts.recipients[0];
    assert_eq!(row.orcpt.as_deref(), Some("rfc822;x+2By@z.example"));
    assert_eq!(row.notify, Some(Notify { never: false, success: true, failure: false, delay: true }));
    // The alias led on, but `for` gives away no more than the client said.
    assert_eq!(row.as_given, "boss@ask.example");
    let front = String::from_utf8_lossy(&given.front).into_owned();
    assert!(front.contains("for <info@firm.example>") && !front.contains("boss"), "{front}");
}
