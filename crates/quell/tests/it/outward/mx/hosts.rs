//! Which hosts are tried, and in which order.

use super::*;

#[test]
fn the_host_of_the_lowest_number_is_asked_first() {
    if !available() {
        return;
    }
    let zone = "order.example MX 20 second.test\norder.example MX 5 first.test\norder.example MX 30 third.test\n\
                first.test A 127.0.0.2\nsecond.test A 127.0.0.3\nthird.test A 127.0.0.4\n";
    let world = World::start("order", zone, "");
    let (first, second, third) =
        (world.taker("127.0.0.2"), world.taker("127.0.0.3"), world.taker("127.0.0.4"));
    for _ in 0..5 {
        world.arrives("jane@order.example", &first);
    }
    assert_eq!((second.sessions(), third.sessions()), (0, 0));
    // Nobody listens there any more.
    drop(first);
    world.arrives("jane@order.example", &second);
    assert_eq!(third.sessions(), 0);
    drop(second);
    world.arrives("jane@order.example", &third);
    drop(third);
    let id = world.waits("jane@order.example", "4.4.1");
    let first = world.taker("127.0.0.2");
    world.retry(&id);
    world.wait_for(&id, "relayed", "");
    assert_eq!(first.expect(1)[0].recipients[0].to, "jane@order.example");
    all_well(&[&first]);
}

/// Whatever the first host does before the dot, short of refusing the recipient: the next is asked,
/// in the same attempt.
#[test]
fn a_backup_takes_what_the_first_host_does_not() {
    if !available() {
        return;
    }
    let zone = "*.example MX 10 first.test\n*.example MX 20 backup.test\n\
                first.test A 127.0.0.2\nbackup.test A 127.0.0.3\n";
    let world = World::start("backup", zone, "");
    let (first, backup) = (world.taker("127.0.0.2"), world.taker("127.0.0.3"));
    let faults = [
        Fault::reply_and_close(At::Greeting, "421 4.3.2 Not now"),
        Fault::reply_and_close(At::Greeting, "554 5.3.2 Never"),
        Fault::close(At::Greeting),
        Fault::cut(At::Greeting, "220 first.te"),
        Fault::reply(At::Ehlo, "421 4.3.2 Not now"),
        Fault::reply(At::Ehlo, "550 5.7.1 Not you"),
        Fault::close(At::Ehlo),
        Fault::reply(At::Mail, "451 4.3.0 Not now"),
        Fault::close(At::Mail),
        Fault::reply(At::Rcpt, "450 4.2.1 Greylisted"),
        Fault::close(At::Rcpt),
        Fault::reply(At::Data, "451 4.3.0 Not now"),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let shown = format!("{fault:?}");
        let before = first.sessions();
        let refuses_helo = shown.contains("550 5.7.1");
        let mut script = Script::with([fault]);
        if refuses_helo {
            script.faults.push(Fault::reply(At::Helo, "550 5.7.1 Not you"));
        }
        first.follow(&script);
        world.arrives(&format!("jane@n{number}.example"), &backup);
        assert!(first.sessions() > before, "not asked first: {shown}");
    }
    // Too large for what the system holds between the two: that it closes is seen before the dot.
    first.follow(&Script::with([Fault::close(At::Body)]));
    let large = message("large", &date_now(), &"A line that says little.\r\n".repeat(700_000));
    let id = accepted(&world.server, &["jane@large.example"], &large);
    world.wait_for(&id, "relayed", "");
    assert_eq!(first.replies("354").len(), 1, "{}", first.log());
    assert_eq!(first.sendings().len(), 0, "{}", first.log());
    all_well(&[&first, &backup]);
}

/// A refused recipient is refused, and a message that may have arrived is sent to nobody else.
#[test]
fn no_backup_is_asked_once_the_first_host_has_decided_or_has_the_message() {
    if !available() {
        return;
    }
    let zone = "*.example MX 10 first.test\n*.example MX 20 backup.test\n\
                first.test A 127.0.0.2\nbackup.test A 127.0.0.3\n";
    let world = World::start("decided", zone, "");
    let (first, backup) = (world.taker("127.0.0.2"), world.taker("127.0.0.3"));
    let cases = [
        (Fault::reply(At::Mail, "550 5.7.1 Not from you"), "failed", "5.7.1"),
        (Fault::reply(At::Rcpt, "550 5.1.1 Nobody of that name"), "failed", "5.1.1"),
        (Fault::reply(At::Dot, "554 5.6.0 Not such a thing"), "failed", "5.6.0"),
        (Fault::reply(At::Dot, "451 4.3.0 Not now"), "waiting", "4.3.0"),
        (Fault::close(At::Dot), "unknown", "4.4.2"),
        (Fault::cut(At::Dot, "250 2.0"), "unknown", "4.4.2"),
    ];
    for (number, (fault, state, status)) in cases.into_iter().enumerate() {
        first.follow(&Script::with([fault]));
        let id = world.send(&format!("jane@d{number}.example"));
        world.wait_for(&id, state, status);
    }
    assert_eq!(backup.sessions(), 0, "{}", backup.log());
    // The sender's domain leads there too, and reports with it.
    let sent = first.sendings().into_iter().filter(|sending| !sending.reverse_path.is_empty());
    assert_eq!(sent.count(), 4, "{}", first.log());
    all_well(&[&first]);
}

/// 40 next hops with the same two hosts: 40 sessions.
#[test]
fn hosts_of_the_same_number_share_the_mail() {
    if !available() {
        return;
    }
    let zone = "*.example MX 10 one.test\n*.example MX 10 other.test\n*.example MX 20 third.test\n\
                one.test A 127.0.0.2\nother.test A 127.0.0.3\nthird.test A 127.0.0.4\n";
    let world = World::start("equals", zone, "");
    let peers = [world.taker("127.0.0.2"), world.taker("127.0.0.3"), world.taker("127.0.0.4")];
    let to: Vec<String> = (0..40).map(|number| format!("jane@s{number}.example")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    accepted(&world.server, &to, &world.message());
    let came = || peers.iter().map(|peer| peer.sendings().len()).sum::<usize>();
    assert!(wait_until(LIMIT, || came() >= 40), "{} of 40\n{}", came(), world.server.output());
    let [one, other, third] = peers.each_ref().map(Scripted::sessions);
    assert_eq!((one + other, third), (40, 0));
    // Less than once in 10^9 runs by chance.
    assert!(one > 2 && other > 2, "{one} and {other}");
    let mut got: Vec<String> = peers.iter().flat_map(Scripted::deliveries).map(|(to, _)| to).collect();
    got.sort();
    got.dedup();
    assert_eq!(got.len(), 40, "each once");
}

/// Without an MX record the domain is its own host; both kinds of address are tried, whatever DNS
/// says of the other.
#[test]
fn addresses_of_both_kinds_are_tried() {
    if !available() {
        return;
    }
    let zone = "plain.example A 127.0.0.2\nsix.example AAAA ::1\n\
                dead6.example MX 10 dead6.test\ndead6.test AAAA ::1\ndead6.test A 127.0.0.2\n\
                dead4.example MX 10 dead4.test\ndead4.test AAAA ::1\ndead4.test A 127.0.0.4\n\
                lame6.example MX 10 lame6.test\nlame6.test A 127.0.0.2\n\
                lame4.example MX 10 lame4.test\nlame4.test AAAA ::1\n";
    let world = World::start("kinds", zone, "");
    world.dns.fault("lame6.test", "AAAA", dns::Fault::ServFail);
    world.dns.fault("lame4.test", "A", dns::Fault::ServFail);
    let four = world.taker("127.0.0.2");
    // Which kind is first is up to chance: several times.
    for _ in 0..6 {
        world.arrives("jane@dead6.example", &four);
    }
    for name in ["plain", "lame6"] {
        world.arrives(&format!("jane@{name}.example"), &four);
    }
    let six = world.taker("::1");
    for _ in 0..6 {
        world.arrives("jane@dead4.example", &six);
    }
    for name in ["six", "lame4"] {
        world.arrives(&format!("jane@{name}.example"), &six);
    }
    all_well(&[&four, &six]);
}

/// RFC 5321 §5.1 wants no alias in an MX record; many domains have one all the same.
#[test]
fn names_in_mx_records_may_be_aliases_or_missing() {
    if !available() {
        return;
    }
    let zone = "alias.example MX 10 alias.test\nalias.test CNAME real.test\nreal.test A 127.0.0.2\n\
                moved.example CNAME alias.example\n\
                partly.example MX 10 missing.test\npartly.example MX 20 real.test\n\
                wrong.example MX 10 192.0.2.1.\nwrong.example MX 20 real.test\n\
                missing.example MX 10 missing.test\n\
                text.example TXT nothing\n";
    let world = World::start("aliases", zone, "");
    let peer = world.taker("127.0.0.2");
    for name in ["alias", "moved", "partly", "wrong"] {
        world.arrives(&format!("jane@{name}.example"), &peer);
    }
    world.fails("jane@missing.example", "5.4.4");
    world.fails("jane@text.example", "5.4.4");
    all_well(&[&peer]);
}

#[test]
fn domains_that_take_no_mail_fail_at_once() {
    if !available() {
        return;
    }
    let zone = "null.example MX 0 .\nnull.example A 127.0.0.2\n\
                both.example MX 0 .\nboth.example MX 10 real.test\nreal.test A 127.0.0.2\n";
    let world = World::start("none", zone, "");
    let peer = world.taker("127.0.0.2");
    world.fails("jane@null.example", "5.1.10");
    world.fails("jane@none.example", "5.1.2");
    assert_eq!(peer.sessions(), 0, "{}", peer.log());
    // RFC 7505 §3: a null MX beside others means nothing.
    world.arrives("jane@both.example", &peer);
}
