//! Whom mail may be sent to, and under which name: SMTPUTF8, address literals, other domains.

use super::*;

/// Sends with parameters of MAIL; the reply that ended it.
fn send_with(world: &World, parameters: &str, to: &str, message: &[u8]) -> Reply {
    let mut client = Client::hello(world.server.smtp_port);
    let mail = client.command(&format!("MAIL FROM:<sender@client.example>{parameters}")).expect("a reply");
    assert_eq!(mail.code, 250, "{mail:?}");
    let rcpt = client.command(&format!("RCPT TO:<{to}>")).expect("a reply");
    if rcpt.code != 250 {
        return rcpt;
    }
    assert_eq!(client.command("DATA").expect("a reply").code, 354);
    client.data(message).expect("sent");
    client.reply().expect("a reply")
}

fn without_smtputf8() -> Script {
    Script { smtputf8: false, ..Script::default() }
}

/// Its header says what only SMTPUTF8 may (RFC 6532).
fn with_subject_in_utf8(message: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(message).replace("Subject: ", "Subject: Grüße ").into_bytes()
}

#[test]
fn smtputf8_goes_where_it_is_taken() {
    if !available() {
        return;
    }
    let zone = "*.example MX 10 old.test\n*.example MX 20 new.test\nnone.example MX 10 old.test\n\
                old.test A 127.0.0.2\nnew.test A 127.0.0.3\n";
    let world = World::start("utf8", zone, "");
    let (old, new) = (world.peer("127.0.0.2", &without_smtputf8()), world.taker("127.0.0.3"));
    let (plain, utf8) = (world.message(), with_subject_in_utf8(&world.message()));
    let cases = [("jörg@a.example", &plain, 1), ("jane@b.example", &utf8, 2)];
    for (to, message, count) in cases {
        let id = queue_id(&send_with(&world, " SMTPUTF8", to, message));
        world.wait_for(&id, "relayed", "");
        let sending = new.expect(count).pop().expect("a message");
        assert_eq!(sending.recipients[0].to, to);
        assert!(sending.parameters.iter().any(|one| one == "SMTPUTF8"), "{sending:?}");
        assert_eq!(old.sessions(), count, "{}", old.log());
    }
    assert_eq!(old.commands("MAIL").len(), 0, "{}", old.log());
    // What came with SMTPUTF8 and does not need it goes anywhere (RFC 6531 §3.4).
    let id = queue_id(&send_with(&world, " SMTPUTF8", "jane@c.example", &world.message()));
    world.wait_for(&id, "relayed", "");
    let sending = old.expect(1).pop().expect("a message");
    assert!(!sending.parameters.iter().any(|one| one == "SMTPUTF8"), "{sending:?}");
    all_well(&[&old, &new]);
}

#[test]
fn smtputf8_that_nobody_takes_fails() {
    if !available() {
        return;
    }
    let zone = "none.example MX 10 old.test\nnone.example MX 20 older.test\n\
                later.example MX 10 old.test\nlater.example MX 20 down.test\n\
                old.test A 127.0.0.2\nolder.test A 127.0.0.3\ndown.test A 127.0.0.4\n";
    let world = World::start("no-utf8", zone, "");
    let peers = ["127.0.0.2", "127.0.0.3"].map(|address| world.peer(address, &without_smtputf8()));
    let (plain, utf8) = (world.message(), with_subject_in_utf8(&world.message()));
    for (to, message) in [("jörg@none.example", &plain), ("jane@none.example", &utf8)] {
        let id = queue_id(&send_with(&world, " SMTPUTF8", to, message));
        world.wait_for(&id, "failed", "5.6.7");
    }
    assert_eq!(peers.each_ref().map(Scripted::sessions), [2, 2]);
    // One host that is down may take it tomorrow.
    let id = queue_id(&send_with(&world, " SMTPUTF8", "jörg@later.example", &world.message()));
    world.wait_for(&id, "waiting", "4.4.1");
    let down = world.taker("127.0.0.4");
    world.retry(&id);
    world.wait_for(&id, "relayed", "");
    assert_eq!(down.expect(1)[0].recipients[0].to, "jörg@later.example");
    assert_eq!(peers.iter().map(|peer| peer.commands("MAIL").len()).sum::<usize>(), 0);
}

/// DNS knows A-labels; RCPT has the address as it was given.
#[test]
fn domains_in_other_scripts_are_found_by_their_a_labels() {
    if !available() {
        return;
    }
    let zone = "xn--bcher-kva.example MX 10 mail.test\nmail.test A 127.0.0.2\n";
    let world = World::start("idn", zone, "");
    let peer = world.taker("127.0.0.2");
    let given = ["jane@bücher.example", "Jane@BÜCHER.example", "jane@xn--bcher-kva.example"];
    for (number, to) in given.into_iter().enumerate() {
        let parameters = if to.is_ascii() { "" } else { " SMTPUTF8" };
        let id = queue_id(&send_with(&world, parameters, to, &world.message()));
        let row = world.wait_for(&id, "relayed", "");
        let recipient = row["recipient"].as_str().unwrap_or_default();
        assert!(recipient.ends_with("@xn--bcher-kva.example"), "{row}");
        assert_eq!(peer.expect(number + 1)[number].recipients[0].to, to);
    }
    assert_eq!(world.dns.asked("xn--bcher-kva.example", "MX"), 3, "{:?}", world.dns.questions());
    // RFC 6531 §3.3: without the parameter it is no address.
    assert_eq!(send_with(&world, "", "jane@bücher.example", &world.message()).code, 553);
    all_well(&[&peer]);
}

#[test]
fn address_literals_go_where_they_say_if_allowed() {
    if !available() {
        return;
    }
    let world = World::start("literals", "", "address_literals = true\n");
    let (four, six) = (world.taker("127.0.0.3"), world.taker("::1"));
    world.arrives("jane@[127.0.0.3]", &four);
    world.arrives("jane@[IPv6:::1]", &six);
    let id = world.waits("jane@[127.0.0.4]", "4.4.1");
    let late = world.taker("127.0.0.4");
    world.retry(&id);
    world.wait_for(&id, "relayed", "");
    late.expect(1);
    assert!(world.dns.questions().is_empty(), "{:?}", world.dns.questions());
    for bad in ["jane@[127.0.0.300]", "jane@[IPv6:127.0.0.3]", "jane@[x]"] {
        let reply = send_with(&world, "", bad, &world.message());
        assert!((500..600).contains(&reply.code), "{bad}: {reply:?}");
    }
    all_well(&[&four, &six, &late]);
}

#[test]
fn address_literals_are_refused_by_default() {
    if !available() {
        return;
    }
    let world = World::start("no-literals", "", "");
    let peer = world.taker("127.0.0.3");
    for to in ["jane@[127.0.0.3]", "jane@[IPv6:::1]"] {
        let reply = send_with(&world, "", to, &world.message());
        assert_eq!((reply.code, reply.text().starts_with("5.1.2")), (550, true), "{to}: {reply:?}");
    }
    assert_eq!(peer.sessions(), 0);
}

/// "Who may send to other domains": nobody else, and what is ours is taken from everybody.
#[test]
fn only_our_own_machines_send_to_other_domains() {
    if !available() {
        return;
    }
    let zone = "other.example MX 10 mail.test\nmail.test A 127.0.0.3\n";
    let world = World::start("outside", zone, "from = [\"127.0.0.2/32\"]\n");
    let peer = world.taker("127.0.0.3");
    let mut outside = Client::hello(world.server.smtp_port);
    assert_eq!(outside.command("MAIL FROM:<jane@firm.example>").expect("a reply").code, 250);
    for to in ["jane@other.example", "@firm.example:jane@other.example", "jane%other.example@other.example"] {
        let reply = outside.command(&format!("RCPT TO:<{to}>")).expect("a reply");
        assert_eq!((reply.code, reply.text().starts_with("5.7.1")), (550, true), "{to}: {reply:?}");
    }
    assert_eq!(outside.command("RCPT TO:<jane@firm.example>").expect("a reply").code, 250);
    let mut inside = Client::hello_from([127, 0, 0, 2], world.server.smtp_port);
    let reply = inside.send("jane@firm.example", &["jane@other.example"], &world.message()).expect("a reply");
    world.wait_for(&queue_id(&reply), "relayed", "");
    assert_eq!(peer.expect(1)[0].recipients[0].to, "jane@other.example");
    assert_eq!(row(&world.server, &queue_id(&reply))["next_hop"], "other.example");
}
