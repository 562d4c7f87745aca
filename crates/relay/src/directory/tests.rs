use super::*;
use proptest::prelude::*;

fn domain(name: &str, locals: Option<&[&str]>) -> DomainPlan {
    let listed = locals.unwrap_or(&[]);
    DomainPlan {
        name: name.to_owned(),
        maildir: true,
        takes_others: listed.contains(&"*"),
        population: match locals {
            None => Population::Existing,
            Some(_) => {
                Population::Listed(listed.iter().filter(|l| **l != "*").map(|l| (*l).to_owned()).collect())
            }
        },
        catch_all: None,
    }
}

fn plan(domains: Vec<DomainPlan>, postmaster: Option<&str>, aliases: &[(&str, &[&str])]) -> Plan {
    Plan {
        hostname: "mx.firm.example".to_owned(),
        domains,
        postmaster: postmaster.map(str::to_owned),
        aliases: aliases
            .iter()
            .map(|(a, to)| ((*a).to_owned(), to.iter().map(|t| (*t).to_owned()).collect()))
            .collect(),
        address_literals: false,
    }
}

/// Three domains: a list with detail, one with "*", one by its mailboxes (only `maria` exists).
fn firm() -> Directory {
    let domains = vec![
        domain("firm.example", Some(&["jane", "bob", "bob+lists", "we ird"])),
        domain("all.example", Some(&["anna", "*"])),
        domain("box.example", None),
    ];
    let aliases: [(&str, &[&str]); 3] = [
        ("info@firm.example", &["jane@firm.example", "team@firm.example"]),
        ("team@firm.example", &["bob@firm.example", "Jane@Firm.Example", "new@box.example"]),
        ("postmaster@box.example", &["bob@firm.example"]),
    ];
    Directory::new(&plan(domains, Some("jane@firm.example"), &aliases)).unwrap()
}

fn ask(directory: &Directory, address: &str, inside: bool) -> Lookup {
    let exists = |domain: &str, local: &str| match local {
        "broken" => Err(CannotTell("no such disk".to_owned())),
        _ => Ok(domain == "box.example" && local == "maria"),
    };
    directory.look_up(&Query { address, source_route: false, inside }, &exists)
}

#[test]
fn every_kind_of_recipient() {
    let cases: [(&str, &[&str]); 18] = [
        ("jane@firm.example", &["jane@firm.example"]),
        ("JANE@FIRM.EXAMPLE", &["jane@firm.example"]),
        ("\"jane\"@firm.example", &["jane@firm.example"]),
        ("\"we ird\"@firm.example", &["\"we ird\"@firm.example"]),
        ("jane@firm.example.", &["jane@firm.example"]),
        ("jane+shop@firm.example", &["jane@firm.example"]),
        ("bob+lists@firm.example", &["bob+lists@firm.example"]),
        ("bob+lists+x@firm.example", &["bob@firm.example"]),
        ("info@firm.example", &["jane@firm.example", "bob@firm.example", "new@box.example"]),
        ("info+x@firm.example", &["jane@firm.example", "bob@firm.example", "new@box.example"]),
        ("postmaster@firm.example", &["jane@firm.example"]),
        ("PostMaster@all.example", &["jane@firm.example"]),
        ("Postmaster", &["jane@firm.example"]),
        ("postmaster@box.example", &["bob@firm.example"]),
        ("postmaster@MX.firm.example", &["jane@firm.example"]),
        ("whoever@all.example", &["jane@firm.example"]),
        ("maria@box.example", &["maria@box.example"]),
        ("new@box.example", &["new@box.example"]),
    ];
    let directory = firm();
    for (address, want) in cases {
        let Lookup::Local(got) = ask(&directory, address, false) else { panic!("{address}") };
        let got: Vec<_> = got.iter().map(|r| r.identity.as_str()).collect();
        assert_eq!(got, want, "{address}");
    }
}

#[test]
fn others_are_refused() {
    let directory = firm();
    for address in ["nobody@firm.example", "../../x@firm.example", "nobody@box.example"] {
        assert_eq!(ask(&directory, address, false), Lookup::UnknownUser, "{address}");
    }
    for address in ["x@other.example", "x@[192.0.2.1]"] {
        assert_eq!(ask(&directory, address, false), Lookup::NotOurs, "{address}");
    }
    let routed = ask(&directory, "a@b@all.example", false);
    assert_eq!(routed, Lookup::Bad(BadAddress::RoutedLocalPart));
    for address in ["jane", "@firm.example", "jane@", "a\u{7}@firm.example", "\"a@firm.example", ""] {
        let answer = ask(&directory, address, false);
        assert_eq!(answer, Lookup::Bad(BadAddress::Malformed), "{address}");
    }
}

#[test]
fn routes_are_refused_from_outside_only() {
    let directory = firm();
    for address in ["x%other.example@all.example", "other!x@all.example", "a!b%c@all.example"] {
        let outside = ask(&directory, address, false);
        assert_eq!(outside, Lookup::Bad(BadAddress::RoutedLocalPart), "{address}");
        assert!(matches!(ask(&directory, address, true), Lookup::Local(_)), "{address}");
    }
    assert!(matches!(ask(&directory, "\"x%y\"@all.example", false), Lookup::Local(_)));
    let mut query = Query { address: "jane@firm.example", source_route: true, inside: false };
    let answer = directory.look_up(&query, &|_, _| Ok(false));
    assert_eq!(answer, Lookup::Bad(BadAddress::SourceRoute));
    query.inside = true;
    assert!(matches!(directory.look_up(&query, &|_, _| Ok(false)), Lookup::Local(_)));
}

#[test]
fn without_a_postmaster_the_first_domain_has_a_mailbox_of_that_name() {
    let domains = vec![domain("b.example", Some(&["x"])), domain("a.example", Some(&["y"]))];
    let directory = Directory::new(&plan(domains, None, &[])).unwrap();
    let Lookup::Local(to) = ask(&directory, "postmaster@a.example", false) else { panic!() };
    assert_eq!(to[0].identity, "postmaster@b.example");
    let named: Vec<_> = directory.named_mailboxes().into_iter().map(|r| r.identity).collect();
    assert_eq!(named, ["postmaster@b.example", "x@b.example", "y@a.example"]);
}

#[test]
fn catch_all_names_its_mailbox() {
    let mut all = domain("all.example", Some(&["*"]));
    all.catch_all = Some("everything".to_owned());
    let directory = Directory::new(&plan(vec![all], None, &[])).unwrap();
    let Lookup::Local(to) = ask(&directory, "who@all.example", false) else { panic!() };
    assert_eq!(to[0].identity, "everything@all.example");
    assert!(directory.named_mailboxes().iter().any(|r| r.mailbox == "everything"));
}

#[test]
fn all_faults_are_found_at_once() {
    let domains = vec![domain("firm.example", Some(&["jane"]))];
    let aliases: [(&str, &[&str]); 4] = [
        ("a@firm.example", &["b@firm.example"]),
        ("b@firm.example", &["a@firm.example"]),
        ("c@firm.example", &["nobody@firm.example", "x@other.example"]),
        ("d@other.example", &["jane@firm.example"]),
    ];
    let errors = Directory::new(&plan(domains, Some("p@other.example"), &aliases)).unwrap_err();
    let count = |wanted: fn(&PlanError) -> bool| errors.iter().filter(|e| wanted(e)).count();
    assert_eq!(count(|e| matches!(e, PlanError::AliasLoop { .. })), 2);
    assert_eq!(count(|e| matches!(e, PlanError::Nobody { .. })), 1);
    assert_eq!(count(|e| matches!(e, PlanError::NotLocal { .. })), 3);
}

#[test]
fn alias_limits() {
    let domains = || vec![domain("firm.example", Some(&["*"])), domain("box.example", None)];
    let many: Vec<String> = (0..=MAX_ALIAS_TARGETS).map(|n| format!("u{n}@box.example")).collect();
    let mut wide = plan(domains(), None, &[]);
    wide.aliases.insert("w@firm.example".to_owned(), many[1..].to_vec());
    assert!(Directory::new(&wide).is_ok());
    wide.aliases.insert("w@firm.example".to_owned(), many);
    assert!(Directory::new(&wide).is_err());
    let mut deep = plan(domains(), None, &[]);
    for n in 0..MAX_ALIAS_DEPTH {
        let next = format!("d{}@firm.example", n + 1);
        deep.aliases.insert(format!("d{n}@firm.example"), vec![next]);
    }
    assert!(Directory::new(&deep).is_ok());
    let last = format!("d{MAX_ALIAS_DEPTH}@firm.example");
    deep.aliases.insert(last, vec!["u@box.example".to_owned()]);
    assert!(Directory::new(&deep).is_err());
}

proptest! {
    #[test]
    fn never_panics_and_stays_at_home(address in "\\PC{0,60}", at in "[a-z]{1,9}@(\\[[0-9.]{5,9}\\]|(firm|all|box|ask|x)\\.example)", inside: bool) {
        let gate = Plan { address_literals: true, ..gate() };
        for directory in [firm(), Directory::new(&gate).unwrap()] {
            for address in [&address, &at] {
                match ask(&directory, address, inside) {
                    Lookup::Local(targets) => {
                        prop_assert!(!targets.is_empty());
                        prop_assert!(targets.iter().all(|t| directory.is_ours(&t.domain)));
                    }
                    Lookup::Ask(target) => prop_assert!(directory.is_ours(&target.domain)),
                    Lookup::Remote(target) => prop_assert!(inside && !directory.is_ours(&target.domain)),
                    Lookup::NotOurs => prop_assert!(!inside),
                    _ => {}
                }
            }
        }
    }

    /// What is sent on keeps one row for one recipient: the identity finds itself again, and no two
    /// local parts become one where a next hop might tell them apart.
    #[test]
    fn identities_sent_on_are_whole(local in "[a-zA-Z+.%]{1,8}", domain in "(all|ask|other)\\.example") {
        let directory = Directory::new(&gate()).unwrap();
        let lookup = ask(&directory, &format!("{local}@{domain}"), true);
        for (identity, goes_out) in told(&lookup) {
            let same = ask(&directory, identity, true);
            prop_assert_eq!(told(&same)[0].0, identity);
            if goes_out.is_none() && !local.to_lowercase().starts_with("anna") {
                prop_assert!(identity.eq_ignore_ascii_case(&format!("{local}@{domain}")), "{}", identity);
            }
        }
    }

    #[test]
    fn a_found_identity_finds_itself(local in "[ -~]{1,12}") {
        let directory = firm();
        let quoted = format!("\"{}\"@all.example", local.replace('\\', "\\\\").replace('"', "\\\""));
        if let Lookup::Local(targets) = ask(&directory, &quoted, true) {
            for target in targets {
                let Lookup::Local(again) = ask(&directory, &target.identity, true) else {
                    return Err(TestCaseError::fail("not found"));
                };
                let found: Vec<_> = again.iter().map(|r| &r.identity).collect();
                prop_assert_eq!(found, vec![&target.identity]);
            }
        }
    }
}

/// One domain with Maildirs, and three with a next hop: a list, all, asked.
fn gate() -> Plan {
    let hop = |name: &str, locals| DomainPlan { maildir: false, ..domain(name, locals) };
    let asked = DomainPlan { population: Population::Asked, ..hop("ask.example", None) };
    let domains = vec![
        domain("here.example", Some(&["jane"])),
        hop("list.example", Some(&["bob", "Bob+lists".to_lowercase().as_str()])),
        hop("all.example", Some(&["anna", "*"])),
        asked,
    ];
    let aliases: [(&str, &[&str]); 5] = [
        (
            "info@here.example",
            &["jane@here.example", "Bob+x@list.example", "Who+x@all.example", "Max@ask.example"],
        ),
        ("info@ask.example", &["jane@here.example"]),
        ("both@here.example", &["bob@list.example", "bob+x@list.example"]),
        ("boss@all.example", &["postmaster@list.example"]),
        ("gone@here.example", &["info@ask.example"]),
    ];
    plan(domains, Some("Anna@all.example"), &aliases)
}

/// Identity, and what goes out if it is not the address as given.
type Told<'a> = (&'a str, Option<&'a str>);

fn told(lookup: &Lookup) -> Vec<Told<'_>> {
    let found = match lookup {
        Lookup::Local(found) => found.as_slice(),
        Lookup::Ask(one) | Lookup::Remote(one) => std::slice::from_ref(one),
        _ => &[],
    };
    found.iter().map(|r| (r.identity.as_str(), r.goes_out.as_deref())).collect()
}

#[test]
fn domains_with_a_next_hop() {
    let directory = Directory::new(&gate()).unwrap();
    let anna: &[Told<'_>] = &[("anna@all.example", Some("anna@all.example"))];
    let cases: [(&str, char, &[Told<'_>]); 18] = [
        ("Bob@list.example", 'l', &[("bob@list.example", None)]),
        ("bob+shop@list.example", 'l', &[("bob@list.example", None)]),
        ("BOB+Lists@list.example", 'l', &[("bob+lists@list.example", None)]),
        ("max@list.example", 'u', &[]),
        ("Anna+x@all.example", 'l', &[("anna@all.example", None)]),
        ("Max@all.example", 'l', &[("max@all.example", None)]),
        ("max+one@all.example", 'l', &[("max+one@all.example", None)]),
        ("max+two@all.example", 'l', &[("max+two@all.example", None)]),
        ("Max+x@ask.example", 'a', &[("max+x@ask.example", None)]),
        ("\"m x\"@ask.example", 'a', &[("\"m x\"@ask.example", None)]),
        ("postmaster", 'l', anna),
        ("postmaster@ask.example", 'l', anna),
        ("postmaster+x@list.example", 'l', anna),
        ("boss@all.example", 'l', anna),
        ("info+x@ask.example", 'l', &[("jane@here.example", None)]),
        ("gone@here.example", 'l', &[("jane@here.example", None)]),
        ("both@here.example", 'l', &[("bob@list.example", Some("bob@list.example"))]),
        (
            "info@here.example",
            'l',
            &[
                ("jane@here.example", None),
                ("bob@list.example", Some("bob+x@list.example")),
                ("who+x@all.example", Some("who+x@all.example")),
                ("max@ask.example", Some("max@ask.example")),
            ],
        ),
    ];
    for (address, kind, want) in cases {
        let got = ask(&directory, address, false);
        let right = match got {
            Lookup::Local(_) => 'l',
            Lookup::Ask(_) => 'a',
            Lookup::UnknownUser => 'u',
            _ => '?',
        };
        assert_eq!((right, told(&got)), (kind, want.to_vec()), "{address}");
    }
    // No Maildir is made for what is kept elsewhere.
    let named: Vec<_> = directory.named_mailboxes().into_iter().map(|r| r.identity).collect();
    assert_eq!(named, ["jane@here.example"]);
    assert!(directory.has_maildirs("here.example") && !directory.has_maildirs("ask.example"));
    assert!(!directory.has_maildirs("other.example"));
}

#[test]
fn the_postmaster_of_an_asked_domain_is_not_asked_for() {
    let mut plan = gate();
    plan.postmaster = Some("chief@ask.example".to_owned());
    let directory = Directory::new(&plan).unwrap();
    assert!(matches!(ask(&directory, "Chief@ask.example", false), Lookup::Local(_)));
    assert!(matches!(ask(&directory, "chief+x@ask.example", false), Lookup::Ask(_)));
    plan.postmaster = None;
    plan.domains.rotate_right(1);
    let directory = Directory::new(&plan).unwrap();
    let first = [("postmaster@ask.example", Some("postmaster@ask.example"))];
    assert_eq!(told(&ask(&directory, "POSTMASTER@ask.example", false)), first);
    assert!(directory.named_mailboxes().iter().all(|r| r.domain == "here.example"));
}

#[test]
fn other_domains_from_our_own_machines() {
    let mut plan = gate();
    let directory = Directory::new(&plan).unwrap();
    let sent = [
        ("Max.M+x@Other.Example", "Max.M+x@other.example"),
        ("x@b\u{fc}cher.example", "x@xn--bcher-kva.example"),
        ("\"Max\"@other.example.", "Max@other.example"),
        ("\"m x\"@other.example", "\"m x\"@other.example"),
        ("x%y@other.example", "x%y@other.example"),
        ("postmaster@other.example", "postmaster@other.example"),
    ];
    for (address, identity) in sent {
        let Lookup::Remote(to) = ask(&directory, address, true) else { panic!("{address}") };
        assert_eq!((to.identity.as_str(), to.goes_out), (identity, None), "{address}");
        assert_eq!(to.tenant, identity.rsplit_once('@').unwrap().1);
        let outside = ask(&directory, address, false);
        let routed = Lookup::Bad(BadAddress::RoutedLocalPart);
        assert_eq!(outside, if address.contains('%') { routed } else { Lookup::NotOurs }, "{address}");
    }
    let literals = ["Max@[192.0.2.1]", "Max@[IPv6:2001:DB8::1]"];
    for address in literals {
        assert_eq!(ask(&directory, address, true), Lookup::Bad(BadAddress::Literal), "{address}");
        assert_eq!(ask(&directory, address, false), Lookup::NotOurs, "{address}");
    }
    plan.address_literals = true;
    let directory = Directory::new(&plan).unwrap();
    for address in literals {
        let got = ask(&directory, address, true);
        assert!(matches!(got, Lookup::Remote(_)), "{address}");
        assert_eq!(told(&got)[0].0, address.to_lowercase().replace("max", "Max"));
    }
    for address in ["x@[192.0.2.256]", "x@[2001:db8::1]", "x@[IPv6:192.0.2.1]", "x@[abc]"] {
        assert_eq!(ask(&directory, address, true), Lookup::Bad(BadAddress::Malformed), "{address}");
    }
}

#[test]
fn own_mail_finds_its_recipients() {
    let directory = Directory::new(&gate()).unwrap();
    let exists = |_: &str, _: &str| Ok(false);
    let to = |address: &str| {
        let found = directory.own_mail_to(address, &exists)?;
        Ok(found.into_iter().map(|r| r.identity).collect::<Vec<_>>())
    };
    assert_eq!(to("info@ask.example"), Ok(vec!["jane@here.example".to_owned()]));
    assert_eq!(to("max@ask.example"), Ok(vec!["max@ask.example".to_owned()]));
    assert_eq!(to("Max@other.example"), Ok(vec!["Max@other.example".to_owned()]));
    assert_eq!(to("max@here.example"), Err(OwnMailError::Nobody));
    assert_eq!(to("max@[192.0.2.1]"), Err(OwnMailError::Bad(BadAddress::Literal)));
    assert_eq!(to(""), Err(OwnMailError::Bad(BadAddress::Malformed)));
    let directory = firm();
    let broken = |_: &str, _: &str| Err(CannotTell("no such disk".to_owned()));
    let why = directory.own_mail_to("x@box.example", &broken).unwrap_err();
    assert_eq!(why.to_string(), "the mailbox cannot be looked at: no such disk");
}

#[test]
fn what_cannot_be_told_is_said_so() {
    let directory = firm();
    let Lookup::CannotTell(why) = ask(&directory, "broken+tag@box.example", false) else { panic!() };
    assert_eq!(why.to_string(), "no such disk");
    assert_eq!(ask(&directory, "broken@firm.example", false), Lookup::UnknownUser);
    // The configuration names it: the disk is not asked.
    let named = Directory::new(&plan(vec![domain("box.example", None)], Some("broken@box.example"), &[]));
    assert!(matches!(ask(&named.unwrap(), "broken@box.example", false), Lookup::Local(_)));
}

#[test]
fn an_identity_keeps_its_mailbox_whatever_becomes_of_aliases() {
    let directory = firm();
    let Lookup::Local(to) = ask(&directory, "info@firm.example", false) else { panic!() };
    assert_eq!(to.len(), 3);
    for mailbox in to.into_iter().chain(directory.named_mailboxes()) {
        let found = mailbox_of(&mailbox.identity);
        assert_eq!(
            found.map(|found| Resolved { goes_out: mailbox.goes_out.clone(), ..found }),
            Some(mailbox.clone())
        );
        assert!(directory.names(&mailbox), "{mailbox:?}");
    }
    let alias = mailbox_of("info@firm.example").unwrap();
    assert_eq!((alias.mailbox.as_str(), directory.names(&alias)), ("info", false));
    assert!(!directory.names(&mailbox_of("maria@box.example").unwrap()), "it comes and goes");
    assert!(!directory.names(&mailbox_of("jane@gone.example").unwrap()));
    assert_eq!(mailbox_of("jane"), None);
}
