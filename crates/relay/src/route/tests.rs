use std::collections::{BTreeMap, BTreeSet};

use super::*;
use proptest::prelude::*;

#[test]
fn next_hops_are_read_and_written() {
    for (text, canonical) in [
        ("maildir", "maildir"),
        ("smtp://10.0.0.2", "smtp://10.0.0.2:25"),
        ("smtp://10.0.0.2:2525", "smtp://10.0.0.2:2525"),
        ("smtp://[::1]", "smtp://[::1]:25"),
        ("smtp://[0:0::1]:26", "smtp://[::1]:26"),
        ("smtp://[::ffff:10.0.0.2]:26", "smtp://10.0.0.2:26"),
        ("smtp://MX.Firm.example.", "smtp://mx.firm.example:25"),
        ("smtp://b\u{fc}cher.example", "smtp://xn--bcher-kva.example:25"),
        ("smtps://10.0.0.2", "smtps://10.0.0.2:465"),
        ("smtps://[::1]:587", "smtps://[::1]:587"),
        ("lmtps://dovecot", "lmtps://dovecot:24"),
        ("lmtp://dovecot", "lmtp://dovecot:24"),
        ("lmtp://127.0.0.1:24", "lmtp://127.0.0.1:24"),
        ("lmtp:///run/dovecot/lmtp", "lmtp:///run/dovecot/lmtp"),
    ] {
        let next_hop = NextHop::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(next_hop.to_string(), canonical, "{text}");
        assert_eq!(next_hop.destination().as_str(), canonical);
        assert_eq!(NextHop::of_destination(&next_hop.destination()), next_hop);
    }
}

#[test]
fn what_is_no_next_hop_is_refused() {
    use NextHopError::*;
    let long = format!("lmtp:///{}", "x".repeat(MAX_SOCKET_PATH_BYTES));
    for (text, error) in [
        ("", Scheme),
        ("Maildir", Scheme),
        ("10.0.0.2", Scheme),
        ("smtpss://10.0.0.2", Scheme),
        ("lmtps:///run/lmtp", Rest),
        ("http://a", Scheme),
        ("smtp://", Host(String::new())),
        ("smtp://:25", Host(String::new())),
        ("smtp://a b", Host("a b".to_owned())),
        ("smtp://user@a", Host("user@a".to_owned())),
        ("smtp://::1", Host(String::new())),
        ("smtp://[10.0.0.2]", Host("[10.0.0.2]".to_owned())),
        ("smtp://[::1", Host("[".to_owned())),
        ("smtp://10.0.0.300", Host("10.0.0.300".to_owned())),
        ("smtp://10", Host("10".to_owned())),
        ("smtp://[::1]25", Rest),
        ("smtp://a/b", Rest),
        ("smtp://a:25/", Rest),
        ("smtp://a?b", Rest),
        ("smtp://a:", Port(String::new())),
        ("smtp://a:0", Port("0".to_owned())),
        ("smtp://a:+25", Port("+25".to_owned())),
        ("smtp://a:65536", Port("65536".to_owned())),
        ("smtp://a:25:25", Port("25:25".to_owned())),
        ("lmtp:///", Path),
        ("lmtp:///a\0b", Path),
        (&long, Path),
    ] {
        assert_eq!(NextHop::parse(text), Err(error), "{text}");
    }
}

#[test]
fn recipients_have_their_routes() {
    let smart = NextHop::parse("smtp://smart.example").unwrap();
    let inner = NextHop::parse("lmtp:///run/lmtp").unwrap();
    let mut routes = Routes {
        domains: HashMap::from([
            ("firm.example".to_owned(), NextHop::Maildir),
            ("xn--bcher-kva.example".to_owned(), inner),
        ]),
        via: None,
    };
    let of = |routes: &Routes, identity: &str| routes.of(identity).to_string();
    for (identity, next_hop) in [
        ("jane@firm.example", "maildir"),
        ("\"a@other.example\"@firm.example", "maildir"),
        ("jane@FIRM.example", "maildir"),
        ("jane@B\u{fc}cher.example", "lmtp:///run/lmtp"),
        ("jane@sub.firm.example", "sub.firm.example"),
        ("jane@other.example", "other.example"),
        ("jane@[192.0.2.1]", "[192.0.2.1]"),
        ("jane@[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]"),
        ("jane@[ipv6:::ffff:192.0.2.1]", "[192.0.2.1]"),
        ("jane@[x-tag:1]", "[x-tag:1]"),
        ("jane@maildir", "maildir."),
    ] {
        assert_eq!(of(&routes, identity), next_hop, "{identity}");
        let hop = routes.of(identity);
        assert_eq!(NextHop::of_destination(&hop.destination()), hop, "{identity}");
    }
    assert_ne!(routes.of("jane@maildir").destination(), Destination::maildir());
    routes.via = Some(smart);
    assert_eq!(of(&routes, "jane@other.example"), "smtp://smart.example:25");
    assert_eq!(of(&routes, "jane@[192.0.2.1]"), "smtp://smart.example:25");
    assert_eq!(of(&routes, "jane@firm.example"), "maildir");
}

/// The hosts of `domain.example` for MX records as `10 a, 20 b`, or what DNS says instead.
fn hosts(answer: &str, own: &[&str]) -> String {
    let records = |text: &str| {
        let record =
            |r: &str| r.trim().split_once(' ').map(|(n, name)| (n.parse().unwrap(), name.to_owned()));
        text.split(',').filter_map(record).collect::<Vec<_>>()
    };
    let answer = match answer {
        "nxdomain" => Err(DnsError::NoSuchDomain),
        "nodata" => Err(DnsError::NoRecords),
        "servfail" => Err(DnsError::Trouble("the server failed".to_owned())),
        text => Ok(records(text)),
    };
    let own = Own { names: own.iter().map(|name| (*name).to_owned()).collect(), ..Own::default() };
    match choose_hosts("domain.example", answer, &own, 0) {
        Ok(hosts) => {
            hosts.iter().map(|h| format!("{} {}", h.preference, h.name)).collect::<Vec<_>>().join(", ")
        }
        Err(why) => format!("{:?} {why}", why.enhanced()),
    }
}

#[test]
fn hosts_are_chosen() {
    let itself = "0 domain.example";
    let back = "(5, 4, 6) the route leads back to ourselves";
    let none = "(5, 4, 4) no host that could be found takes mail for the domain";
    for (answer, own, expected) in [
        ("20 b.x, 10 a.x", &["me.x"][..], "10 a.x, 20 b.x"),
        ("20 B.X., 10 a.x", &["me.x"], "10 a.x, 20 b.x"),
        ("20 a.x, 10 a.x", &["me.x"], "10 a.x"),
        ("", &[], itself),
        ("nodata", &[], itself),
        ("nodata", &["domain.example"], back),
        ("0 .", &["me.x"], "(5, 1, 10) the domain takes no mail (null MX)"),
        ("10 .", &["me.x"], "(5, 1, 10) the domain takes no mail (null MX)"),
        ("0 ., 10 a.x", &["me.x"], "10 a.x"),
        ("10 a.x, 20 me.x, 20 b.x, 30 c.x", &["me.x"], "10 a.x"),
        ("10 a.x, 20 Me.X., 30 c.x", &["me.x"], "10 a.x"),
        ("10 me.x, 20 b.x", &["me.x"], back),
        ("10 a.x, 10 me.x", &["me.x"], back),
        ("10 a.x, 20 me.x, 30 also.x", &["also.x", "me.x"], "10 a.x"),
        ("10 192.0.2.1, 20 b.x", &[], "20 b.x"),
        ("10 192.0.2.1", &[], none),
        ("10 [192.0.2.1], 20 a..b, 30 -\u{7f}", &[], none),
        ("10 a_b.x", &[], "10 a_b.x"),
        ("nxdomain", &[], "(5, 1, 2) there is no such domain"),
        ("servfail", &[], "(4, 4, 3) the MX of domain.example cannot be looked up: the server failed"),
    ] {
        assert_eq!(hosts(answer, own), expected, "{answer}");
    }
}

#[test]
fn equal_hosts_share_the_mail() {
    let records: Vec<(u16, String)> = (0..3).map(|n| (10, format!("h{n}.x"))).collect();
    let mut orders = BTreeMap::<Vec<String>, u32>::new();
    for random in 0..600u64 {
        let answer = Ok(records.clone());
        let hosts = choose_hosts("x.example", answer, &Own::default(), random * 7919).unwrap();
        *orders.entry(hosts.into_iter().map(|host| host.name).collect()).or_default() += 1;
    }
    assert_eq!(orders.len(), 6, "{orders:?}");
    assert!(orders.values().all(|times| (60..150).contains(times)), "{orders:?}");
}

#[test]
fn we_know_where_we_listen() {
    let own = |listens: &str| Own {
        listens: vec![listens.parse().unwrap()],
        addresses: vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
        ..Own::default()
    };
    for (listens, peer, ours) in [
        ("127.0.0.1:2525", "127.0.0.1:2525", true),
        ("127.0.0.1:2525", "127.0.0.1:25", false),
        ("127.0.0.1:2525", "127.0.0.2:2525", false),
        ("127.0.0.1:2525", "[::ffff:127.0.0.1]:2525", true),
        ("192.0.2.9:25", "192.0.2.9:25", true),
        ("192.0.2.9:25", "192.0.2.7:25", false),
        ("0.0.0.0:25", "192.0.2.7:25", true),
        ("0.0.0.0:25", "192.0.2.8:25", false),
        ("0.0.0.0:25", "127.0.0.9:25", true),
        ("0.0.0.0:25", "0.0.0.0:25", true),
        ("[::]:25", "[2001:db8::7]:25", true),
        ("[::]:25", "192.0.2.7:25", true),
        ("[::]:25", "[::1]:25", true),
        ("[::]:25", "[2001:db8::8]:25", false),
        ("[::]:25", "[2001:db8::7]:26", false),
    ] {
        assert_eq!(own(listens).listens_at(peer.parse().unwrap()), ours, "{listens} {peer}");
    }
}

proptest! {
    #[test]
    fn what_is_read_reads_the_same_again(
        text in prop_oneof![
            "(smtp|lmtp)://[a-z0-9.:\\[\\]/-]{0,20}", "\\PC{0,30}", "lmtp:///[a-z/.\\PC]{0,9}", "maildir\\.?",
        ],
    ) {
        if let Ok(next_hop) = NextHop::parse(&text) {
            prop_assert_eq!(NextHop::parse(&next_hop.to_string()), Ok(next_hop.clone()));
        }
        let hop = NextHop::of_destination(&Destination::new(&text));
        prop_assert_eq!(NextHop::of_destination(&hop.destination()), hop);
    }

    #[test]
    fn hosts_are_few_ordered_and_of_the_answer(
        records in proptest::collection::vec((0u16..4, "[a-d1.]{0,3}\\.?"), 0..30),
        own in proptest::collection::vec("[a-d]", 0..2),
        random: u64,
    ) {
        let own = Own { names: own, ..Own::default() };
        if let Ok(hosts) = choose_hosts("dom.example", Ok(records.clone()), &own, random) {
            prop_assert!((1..=MAX_MX_HOSTS).contains(&hosts.len()));
            prop_assert!(hosts.is_sorted_by_key(|host| host.preference));
            let names: BTreeSet<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
            prop_assert_eq!(names.len(), hosts.len());
            for host in hosts.iter().filter(|_| !records.is_empty()) {
                prop_assert!(!own.has_name(&host.name));
                let same = |(n, name): &(u16, String)| {
                    *n == host.preference && name.trim_end_matches('.') == host.name
                };
                prop_assert!(records.iter().any(same), "{:?}", host);
            }
        }
    }
}

/// What was collected goes to our own domains' next hops, as they are configured at this moment.
#[test]
fn what_is_for_the_house_is_cleared_for_the_house_only() {
    let hop = |text: &str| NextHop::parse(text).unwrap();
    let inner = hop("smtp://10.0.0.2:25");
    let routes = |domain: &str, via: Option<&str>| Routes {
        domains: HashMap::from([(domain.to_owned(), inner.clone())]),
        via: via.map(hop),
    };
    let claim = |house: bool| {
        let mut facts = crate::attempt::fuzz::facts(1, &["jane@firm.example"]);
        if house {
            facts.source.pickup = Some("office".to_owned());
            facts.source.address = "192.0.2.1".parse().ok();
        }
        crate::attempt::fuzz::claims(facts).pop().unwrap()
    };
    for (routes, to, house_passes) in [
        (routes("firm.example", None), inner.clone(), true),
        (routes("firm.example", Some("smtp://10.0.0.9:25")), inner.clone(), true),
        (routes("firm.example", Some("smtp://10.0.0.9:25")), hop("smtp://10.0.0.9:25"), false),
        (routes("firm.example", None), hop("smtp://10.0.0.3:25"), false),
        (routes("firm.example", None), NextHop::Mx("firm.example".to_owned()), false),
        // The domain is no longer ours; its old next hop is the smart host, too.
        (routes("other.example", Some("smtp://10.0.0.2:25")), inner.clone(), false),
        (routes("other.example", None), NextHop::Mx("firm.example".to_owned()), false),
        (Routes::default(), inner.clone(), false),
    ] {
        assert!(claim(true).is_for_the_house() && !claim(false).is_for_the_house());
        assert!(routes.clear(claim(false), &to).is_ok(), "{to}");
        match routes.clear(claim(true), &to) {
            Ok(cleared) => assert!(house_passes && cleared.into_claim() == claim(true), "{to}"),
            Err(back) => assert!(!house_passes && *back == claim(true), "{to}"),
        }
    }
}
