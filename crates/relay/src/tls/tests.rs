use super::dane::Tlsa;
use super::sts::{BadPolicy, Known, MAX_AGE_SECS, Mode, Policy, fuzz_mta_sts, id, in_force, wants_fetch};
use super::*;
use proptest::prelude::*;

fn rule(name: &str, level: Option<Level>) -> Rule {
    Rule { name: name.to_owned(), level, certificate_name: None }
}

#[test]
fn a_rule_is_found_by_what_the_next_hop_is_called() {
    let names = ["b.example", "smart.example", "192.0.2.1", "/run/lmtp", "::1"];
    let named = names.iter().map(|name| ((*name).to_owned(), rule(name, Some(Level::Encrypt)))).collect();
    let rules = Rules { named, others: rule("*", None) };
    for (next_hop, expected, asks) in [
        ("b.example", "b.example", false),
        ("c.example", "*", true),
        ("smtp://smart.example:587", "smart.example", false),
        ("lmtp://192.0.2.1:24", "192.0.2.1", false),
        ("lmtp:///run/lmtp", "/run/lmtp", false),
        ("[192.0.2.1]", "192.0.2.1", false),
        ("smtp://[::1]:25", "::1", false),
        ("smtp://[::2]:25", "*", false),
        ("smtp://b.example.org:25", "*", false),
    ] {
        let next_hop = NextHop::of_destination(&quell_queue::destination::Destination::new(next_hop));
        assert_eq!(rules.of(&next_hop).name, expected, "{next_hop}");
        assert_eq!(rules.asks_the_domain(&next_hop), asks, "{next_hop}");
    }
    let mx = NextHop::Mx("c.example".to_owned());
    for (level, asks) in [(Level::Never, false), (Level::Opportunistic, true), (Level::Require, true)] {
        let rules = Rules { others: rule("*", Some(level)), ..Rules::default() };
        assert_eq!(rules.asks_the_domain(&mx), asks, "{level:?}");
    }
    // A name without a level is for its certificates: the domain's word counts.
    let named = HashMap::from([("c.example".to_owned(), rule("c.example", None))]);
    assert!(Rules { named, others: Rule::default() }.asks_the_domain(&mx));
}

#[test]
fn what_is_wanted_of_all_others_is_not_wanted_on_this_machine() {
    let names = ["127.0.0.3", "/run/named"];
    let named = names.iter().map(|name| ((*name).to_owned(), rule(name, Some(Level::Require)))).collect();
    let rules = Rules { named, others: rule("*", Some(Level::Require)) };
    for (next_hop, name, level) in [
        ("lmtp:///run/lmtp", "", None),
        ("lmtp:///run/named", "/run/named", Some(Level::Require)),
        ("smtp://127.0.0.2:25", "", None),
        ("smtp://127.0.0.3:25", "127.0.0.3", Some(Level::Require)),
        ("smtps://[::1]:465", "", None),
        ("lmtp://[::ffff:127.0.0.1]:24", "", None),
        ("lmtp://localhost:24", "", None),
        ("[127.0.0.1]", "", None),
        ("smtp://192.0.2.1:25", "*", Some(Level::Require)),
        ("lmtp://localhost.example:24", "*", Some(Level::Require)),
        // Where its MX leads is for the DNS to say.
        ("localhost", "*", Some(Level::Require)),
    ] {
        let next_hop = NextHop::of_destination(&quell_queue::destination::Destination::new(next_hop));
        let rule = rules.of(&next_hop);
        assert_eq!((rule.name.as_str(), rule.level), (name, level), "{next_hop}");
    }
}

#[test]
fn only_a_rule_of_its_own_asks_less_of_implicit_tls() {
    for level in [None, Some(Level::Never), Some(Level::Opportunistic), Some(Level::Encrypt)] {
        let tls = Tls::by_rule(&rule("*", level), true, "mx.example");
        let by_name = Check::Name { name: "mx.example".to_owned(), by: By::Configuration };
        assert_eq!((tls.implicit, tls.check), (true, by_name), "{level:?}");
    }
    let named = Tls::by_rule(&rule("mx.example", Some(Level::Opportunistic)), true, "mx.example");
    assert_eq!(named.check, Check::Nothing);
}

#[test]
fn what_is_wanted_becomes_what_is_done() {
    for (level, implicit, starttls, checked) in [
        (None, false, Starttls::Offered, false),
        (None, true, Starttls::Never, true),
        (Some(Level::Never), false, Starttls::Never, false),
        (Some(Level::Opportunistic), false, Starttls::Offered, false),
        (Some(Level::Encrypt), false, Starttls::Required, false),
        (Some(Level::Encrypt), true, Starttls::Never, false),
        (Some(Level::Require), false, Starttls::Required, true),
    ] {
        let tls = Tls::by_rule(&rule("x", level), implicit, "mx.example");
        let by_name = Check::Name { name: "mx.example".to_owned(), by: By::Configuration };
        assert_eq!((tls.starttls, tls.check == by_name), (starttls, checked), "{level:?} {implicit}");
    }
    let named = Rule { certificate_name: Some("a.example".to_owned()), ..rule("x", Some(Level::Require)) };
    let by_name = Check::Name { name: "a.example".to_owned(), by: By::Configuration };
    assert_eq!(Tls::by_rule(&named, false, "192.0.2.1").check, by_name);
}

fn tlsa(usage: u8, selector: u8, matching: u8, data: &[u8]) -> Tlsa {
    Tlsa { usage, selector, matching, data: data.to_vec() }
}

#[test]
fn dane_counts_before_a_policy_and_what_cannot_be_used_demands_tls_alone() {
    let mut tls = Tls::by_rule(&Rule::default(), false, "mx.example");
    tls.by_dane(&[tlsa(1, 0, 1, &[0; 32]), tlsa(3, 1, 1, &[0; 31]), tlsa(3, 2, 1, &[0; 32])], vec![]);
    assert_eq!((tls.starttls, &tls.check), (Starttls::Required, &Check::Nothing));
    tls.by_policy("mx.example");
    assert_eq!(tls.check, Check::Name { name: "mx.example".to_owned(), by: By::MtaSts });
    let right = tlsa(3, 1, 1, &[7; 32]);
    tls.by_dane(&[tlsa(0, 0, 1, &[0; 32]), right.clone()], vec!["mx.example".to_owned()]);
    let Check::Dane { records, .. } = &tls.check else { panic!("{tls:?}") };
    assert_eq!(records.as_ref(), [right]);
}

#[test]
fn records_match_what_they_are_of() {
    let hash = |salt: u8, len: usize| move |bytes: &[u8]| vec![bytes.len() as u8 ^ salt; len];
    for (record, expected) in [
        (tlsa(3, 0, 0, b"certificate"), true),
        (tlsa(3, 1, 0, b"key"), true),
        (tlsa(3, 0, 0, b"key"), false),
        (tlsa(3, 0, 1, &[11; 32]), true),
        (tlsa(2, 1, 1, &[3; 32]), true),
        (tlsa(3, 1, 2, &[3 ^ 0x80; 64]), true),
        (tlsa(3, 1, 2, &[3; 64]), false),
        (tlsa(3, 1, 3, b"key"), false),
        (tlsa(3, 2, 0, b"key"), false),
        (tlsa(1, 1, 0, b"key"), false),
        (tlsa(4, 1, 0, b"key"), false),
    ] {
        let matches = record.matches(b"certificate", b"key", hash(0, 32), hash(0x80, 64));
        assert_eq!(matches, expected, "{record:?}");
    }
}

const POLICY: &str =
    "version: STSv1\nmode: enforce\nmx: mx.b.example\nmx: *.Mail.b.example\nmax_age: 604800\n";

#[test]
fn policies_are_read() {
    let policy = Policy::parse(POLICY.as_bytes()).unwrap();
    let mx = vec!["mx.b.example".to_owned(), "*.mail.b.example".to_owned()];
    assert_eq!(policy, Policy { mode: Mode::Enforce, mx, max_age_secs: 604_800 });
    assert_eq!(Policy::parse(POLICY.replace('\n', "\r\n").as_bytes()), Ok(policy.clone()));
    for (host, named) in [
        ("mx.b.example", true),
        ("MX.B.example.", true),
        ("a.mail.b.example", true),
        ("mail.b.example", false),
        (".mail.b.example", false),
        ("a.a.mail.b.example", false),
        ("amail.b.example", false),
        ("mx.b.example.evil.example", false),
    ] {
        assert_eq!(policy.names(host), named, "{host}");
    }
    for (from, to, why) in [
        ("version: STSv1", "version: STSv2", BadPolicy::Version),
        ("version: STSv1\n", "", BadPolicy::Version),
        ("enforce", "force", BadPolicy::Mode),
        ("mode: enforce\n", "", BadPolicy::Mode),
        ("604800", "a week", BadPolicy::MaxAge),
        ("604800", "-1", BadPolicy::MaxAge),
        ("604800", "12345678901", BadPolicy::MaxAge),
        ("mx: mx.b.example", "mx: *", BadPolicy::Mx),
        ("mx: mx.b.example", "mx: a.*.b.example", BadPolicy::Mx),
        ("mx: mx.b.example", "mx", BadPolicy::Syntax),
        ("mode:", "\u{0}mode", BadPolicy::Syntax),
    ] {
        assert_eq!(Policy::parse(POLICY.replace(from, to).as_bytes()), Err(why), "{to}");
    }
    let none =
        Policy::parse(b"mode: none\nversion: STSv1\nmax_age: 9999999999\nother: x\nmode: enforce").unwrap();
    assert_eq!(none, Policy { mode: Mode::None, mx: vec![], max_age_secs: MAX_AGE_SECS });
    let many = format!("{POLICY}{}", "mx: a.example\n".repeat(sts::MAX_PATTERNS));
    assert_eq!(Policy::parse(many.as_bytes()), Err(BadPolicy::TooLarge));
    assert_eq!(Policy::parse(POLICY.repeat(2000).as_bytes()), Err(BadPolicy::TooLarge));
}

#[test]
fn records_give_their_id_if_there_is_one_of_them() {
    let id_of = |records: &[&str]| id(&records.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>());
    let right = "v=STSv1; id=20160831085700Z;";
    assert_eq!(id_of(&["v=spf1 -all", right]).as_deref(), Some("20160831085700Z"));
    assert_eq!(id_of(&["v=STSv1;id=1"]).as_deref(), Some("1"));
    for records in [
        &[][..],
        &[right, right],
        &["v=STSv1"],
        &["v=STSv1; id="],
        &["v=STSv1; id=a-b"],
        &["v=STSv12; id=1"],
        &["id=1; v=STSv1"],
        &["v=STSv1; id=123456789012345678901234567890123"],
    ] {
        assert_eq!(id_of(records), None, "{records:?}");
    }
}

#[test]
fn a_policy_holds_as_long_as_it_said_whatever_becomes_of_its_record() {
    let policy = Policy::parse(POLICY.as_bytes()).unwrap();
    let known = Known { id: "1".to_owned(), policy, fetched_secs: 1_000 };
    let (end, half) = (1_000 + 604_800, 1_000 + 302_400);
    for (id, now, fetch, counts) in [
        (Some("1"), 1_001, false, true),
        (Some("1"), half, true, true),
        (Some("2"), 1_001, true, true),
        (None, 1_001, false, true),
        (None, end - 1, false, true),
        (None, end, false, false),
        (Some("1"), end, true, false),
        (Some("1"), 0, false, true),
    ] {
        assert_eq!(wants_fetch(Some(&known), id, now), fetch, "{id:?} {now}");
        assert_eq!(in_force(Some(&known), now).is_some(), counts, "{id:?} {now}");
    }
    assert!(wants_fetch(None, Some("1"), 0) && !wants_fetch(None, None, 0) && in_force(None, 0).is_none());
    for mode in [Mode::Testing, Mode::None] {
        let policy = Policy { mode, ..known.policy.clone() };
        assert_eq!(in_force(Some(&Known { policy, ..known.clone() }), 1_001), None);
    }
}

proptest! {
    #[test]
    fn any_policy_is_survived(
        lines in "((version: STSv1|mode: (enforce|none|testing|x)|max_age: [0-9]{1,11}|mx: (\\*\\.)?[a-c.*]{0,6}|[ -~]{0,9})\r?\n){0,9}",
        record in "(v=STSv1;)?( ?id=[a-z0-9]{0,34};?)?",
        host in "[a-cA-C.]{0,8}",
    ) {
        fuzz_mta_sts(format!("{lines}\0{record}\0{host}").as_bytes());
        fuzz_mta_sts(format!("version: STSv1\nmode: enforce\nmax_age: 1\n{lines}\0{record}\0{host}").as_bytes());
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
        fuzz_mta_sts(&bytes);
    }
}
