//! `attempts/*.txt`: what becomes of a message in a network that is told how to behave.
//!
//! `## name` begins a case. `to ROUTE` is the destination (default `b.example`). `rcpt ADDRESS …` are the
//! recipients (default `jane@b.example`). `mx DOMAIN = 10 a.x, 20 b.x` and `host NAME = ADDRESS …` are
//! what DNS says, or `nxdomain`, `nodata`, `servfail`; what is not said is `nxdomain`. `at ADDRESS: WHEN
//! WHAT` is what the server at this address does at an event: WHEN is `connect`, `greeting`, a verb, a
//! command as it begins (`RCPT TO:<jane@`), `body`, `record`, `message`, `message ADDRESS`, each with
//! `#2` behind it for the second time only; WHAT is `closes`, `hangs`, `ours` (the message cannot be
//! read), `stops` (we do), `declines`, or a reply, its lines parted by ` / `. The first that fits counts; what is not said goes well. `= setting value` changes
//! a setting, the message or its envelope. `again` sends the message once more when the attempt is done,
//! then it quits. `tlsa HOST = USAGE …` are proven TLSA records, `= policy HOST …` the hosts of an
//! MTA-STS policy, `= rule NAME LEVEL` and `= level LEVEL` what the configuration says; the command
//! `CERTIFICATE` stands for what a handshake asks. Lines with `>` are what happens; `> C: ` a command, of which only those with the same
//! verb as one that is written in the case are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use quell_queue::destination::Destination;
use quell_relay::attempt::fuzz::{Does, Driver, Event, World, claims, cleared, content, facts, sending};
use quell_relay::attempt::{Attempt, Content, Sending, Target};
use quell_relay::route::{DnsError, NextHop};
use quell_relay::tls::dane::{Found, Tlsa};
use quell_relay::tls::sts::{Mode, Policy};
use quell_relay::tls::{Check, Level, Rule};
use quell_storm::facts::{Facts, Notify};
use quell_wire::client::EightBit;

/// A network as a case describes it.
#[derive(Default)]
struct Network {
    mx: BTreeMap<String, String>,
    hosts: BTreeMap<String, String>,
    /// Address, event, what happens.
    rules: Vec<(String, String, String)>,
    /// The policy of any domain: the hosts that it names.
    policy: Option<String>,
    /// TLSA records of hosts: usage and the rest, or `servfail`.
    tlsa: BTreeMap<String, String>,
    /// What was asked of certificates.
    asked: Vec<String>,
    /// How often an event came at an address.
    times: BTreeMap<(String, String), usize>,
}

struct Case {
    name: String,
    next_hop: NextHop,
    network: Network,
    sending: Sending,
    facts: Facts,
    content: Content,
    random: u64,
    again: bool,
    expected: Vec<String>,
}

fn answer(text: Option<&String>) -> Result<&str, DnsError> {
    match text.map(String::as_str) {
        None | Some("nxdomain") => Err(DnsError::NoSuchDomain),
        Some("nodata") => Err(DnsError::NoRecords),
        Some("servfail") => Err(DnsError::Trouble("the server failed".to_owned())),
        Some(text) => Ok(text),
    }
}

impl World for Network {
    fn mx(&mut self, domain: &str) -> Result<Vec<(u16, String)>, DnsError> {
        let record = |text: &str| {
            let (number, name) = text.trim().split_once(' ').unwrap();
            (number.parse().unwrap(), name.to_owned())
        };
        Ok(answer(self.mx.get(domain))?.split(',').map(record).collect())
    }

    fn addresses(&mut self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        Ok(answer(self.hosts.get(host))?.split(' ').map(|address| address.parse().unwrap()).collect())
    }

    fn policy(&mut self, _domain: &str) -> Option<Policy> {
        let mx = self.policy.as_ref()?.split(' ').map(str::to_owned).collect();
        Some(Policy { mode: Mode::Enforce, mx, max_age_secs: 1 })
    }

    fn tlsa(&mut self, host: &str) -> Result<Found, String> {
        let record =
            |usage: &str| Tlsa { usage: usage.parse().unwrap(), selector: 1, matching: 1, data: vec![7; 32] };
        match self.tlsa.get(host).map(String::as_str) {
            None => Ok(Found::Nothing),
            Some("servfail") => Err("the DNS answered SERVFAIL".to_owned()),
            Some(usages) => Ok(Found::Proven(usages.split(' ').map(record).collect())),
        }
    }

    fn happens(&mut self, at: &Target, event: &Event) -> Does {
        let event = match event {
            Event::Connect => "connect".to_owned(),
            Event::Handshake => "handshake".to_owned(),
            Event::Greeting => "greeting".to_owned(),
            Event::Command(line) => line.clone(),
            Event::Body => "body".to_owned(),
            Event::Record => "record".to_owned(),
            Event::Message(None) => "message".to_owned(),
            Event::Message(Some(recipient)) => format!("message {recipient}"),
        };
        let address = at.to_string();
        if event == "handshake" {
            self.asked.push(match &at.tls.check {
                Check::Nothing => "any".to_owned(),
                Check::Name { name, by } => format!("{name} {by:?}"),
                Check::Dane { records, names } => format!("dane {} {}", records.len(), names.join(" ")),
            });
        }
        let found = self.rules.iter().find(|(place, when, _)| {
            let (begin, number) = when.split_once('#').unwrap_or((when, ""));
            if !address.contains(place.as_str()) || !event.starts_with(begin) {
                return false;
            }
            let times = self.times.entry((place.clone(), when.clone())).or_default();
            *times += 1;
            number.is_empty() || number == times.to_string()
        });
        match found.map(|(_, _, what)| what.as_str()) {
            None => Does::Goes,
            Some("closes") => Does::Closes,
            Some("hangs") => Does::Hangs,
            Some("ours") => Does::Ours,
            Some("stops") => Does::Stops,
            Some("late") => Does::Late,
            Some("declines") => Does::Declines,
            Some(reply) => Does::Says(reply.replace(" / ", "\r\n")),
        }
    }
}

#[test]
fn attempts() {
    let files = [
        include_str!("attempts/routes.txt"),
        include_str!("attempts/hosts.txt"),
        include_str!("attempts/dot.txt"),
        include_str!("attempts/extensions.txt"),
        include_str!("attempts/kept.txt"),
        include_str!("attempts/time.txt"),
        include_str!("attempts/tls.txt"),
    ];
    let cases: Vec<Case> = files.iter().flat_map(|file| file.split("\n## ").skip(1)).map(read).collect();
    assert!(cases.len() >= 60, "only {} cases were found", cases.len());
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "two cases of one name");
    let wrong: Vec<String> = cases.into_iter().filter_map(check).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with a case.
fn check(mut case: Case) -> Option<String> {
    let mut driver = Driver::default();
    let first = claims(case.facts.clone());
    driver.expects(&first);
    let sending = Arc::new(case.sending.clone());
    let mut attempt = Attempt::new(sending, case.next_hop.clone(), cleared(first), case.content, case.random);
    let message = b"Subject: x\r\n\r\n.hi\r\n";
    let mut goes_on = driver.drive(&mut attempt, message, &mut case.network);
    if case.again {
        assert!(goes_on, "{}: {:#?}", case.name, driver.log);
        let second = claims(case.facts.clone());
        driver.expects(&second);
        driver.log.push("again".to_owned());
        attempt.begin(cleared(second), case.content, case.random).unwrap();
        goes_on = driver.drive(&mut attempt, message, &mut case.network);
        if goes_on {
            driver.expects(&[]);
            attempt.quit();
            goes_on = driver.drive(&mut attempt, message, &mut case.network);
            assert!(!goes_on, "{}: {:#?}", case.name, driver.log);
        }
    }
    driver.commands.extend(case.network.asked.iter().map(|check| format!("CERTIFICATE {check}")));
    let verbs: BTreeSet<&str> = case.expected.iter().filter_map(|line| verb(line)).collect();
    let commands = driver.commands.iter().map(|line| format!("C: {line}"));
    let commands = commands.filter(|line| verb(line).is_some_and(|verb| verbs.contains(verb)));
    let got: Vec<String> = commands.chain(driver.log.iter().cloned()).collect();
    (got != case.expected).then(|| format!("## {}\n> {}\n", case.name, got.join("\n> ")))
}

fn verb(line: &str) -> Option<&str> {
    line.strip_prefix("C: ")?.split(' ').next()
}

fn read(text: &str) -> Case {
    let mut lines = text.lines();
    let mut case = Case {
        name: lines.next().unwrap().to_owned(),
        next_hop: next_hop("b.example"),
        network: Network::default(),
        sending: sending(),
        facts: facts(1, &["jane@b.example"]),
        content: content(),
        random: 0,
        again: false,
        expected: vec![],
    };
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            ">" => case.expected.push(rest.to_owned()),
            "to" => case.next_hop = next_hop(rest),
            "rcpt" => case.facts.recipients = facts(1, &rest.split(' ').collect::<Vec<_>>()).recipients,
            "mx" => drop(insert(&mut case.network.mx, rest)),
            "host" => drop(insert(&mut case.network.hosts, rest)),
            "tlsa" => drop(insert(&mut case.network.tlsa, rest)),
            "at" => case.network.rules.push(rule(rest)),
            "again" => case.again = true,
            "=" => set(&mut case, rest),
            _ => panic!("{}: {line}", case.name),
        }
    }
    case
}

fn next_hop(text: &str) -> NextHop {
    NextHop::of_destination(&Destination::new(text))
}

fn insert(map: &mut BTreeMap<String, String>, line: &str) -> Option<String> {
    let (name, value) = line.split_once(" = ").unwrap();
    map.insert(name.to_owned(), value.to_owned())
}

/// `ADDRESS: WHEN WHAT`; WHEN stands in quotes if it has spaces.
fn rule(line: &str) -> (String, String, String) {
    let (address, rest) = line.split_once(": ").unwrap();
    let (when, what) = match rest.strip_prefix('"') {
        Some(rest) => rest.split_once("\" ").unwrap(),
        None => rest.split_once(' ').unwrap(),
    };
    (address.to_owned(), when.to_owned(), what.to_owned())
}

fn set(case: &mut Case, line: &str) {
    let (name, value) = line.split_once(' ').unwrap_or((line, ""));
    let (facts, sending) = (&mut case.facts, &mut case.sending);
    let text = || Some(value.to_owned());
    match name {
        "level" => sending.tls.others.level = Some(level(value)),
        "rule" => {
            let (name, wanted) = value.split_once(' ').unwrap();
            let rule = Rule { name: name.to_owned(), level: Some(level(wanted)), certificate_name: None };
            drop(sending.tls.named.insert(name.to_owned(), rule));
        }
        "policy" => (sending.mta_sts, case.network.policy) = (true, text()),
        "sts" => sending.mta_sts = true,
        "dane" => sending.dane = true,
        "bounce" => sending.eightbit = EightBit::Bounce,
        "max_recipients" => sending.max_recipients = value.parse().unwrap(),
        "port" => sending.port = value.parse().unwrap(),
        "literals" => sending.address_literals = value == "yes",
        "listens" => sending.own.listens = value.split(' ').map(|a| a.parse().unwrap()).collect(),
        "own" => sending.own.addresses = value.split(' ').map(|a| a.parse().unwrap()).collect(),
        "8bit" => case.content.eight_bit = true,
        "header8" => case.content.header_non_ascii = true,
        "size" => case.content.size_bytes = value.parse().unwrap(),
        "random" => case.random = value.parse().unwrap(),
        "from" => value.clone_into(&mut facts.reverse_path),
        "smtputf8" => facts.smtputf8 = true,
        "envid" => facts.envid = text(),
        "ret" => facts.ret_full = Some(value == "full"),
        "orcpt" => facts.recipients[0].orcpt = text(),
        "as_given" => facts.recipients[0].as_given = value.to_owned(),
        "notify" => {
            let has = |word| value.split(',').any(|given| given == word);
            let never = has("never");
            let (success, failure, delay) = (has("success"), has("failure"), has("delay"));
            facts.recipients[0].notify = Some(Notify { never, success, failure, delay });
        }
        _ => panic!("{line}"),
    }
}

fn level(word: &str) -> Level {
    match word {
        "never" => Level::Never,
        "opportunistic" => Level::Opportunistic,
        "encrypt" => Level::Encrypt,
        "require" => Level::Require,
        _ => panic!("{word}"),
    }
}

/// Whether a message in this network is taken at a second choice.
fn second_choice(network: &str) -> bool {
    let mut case = read(&format!("a case\nmx b.example = 10 a.x, 20 b.x\n{network}"));
    let (mut driver, first) = (Driver::default(), claims(case.facts.clone()));
    driver.expects(&first);
    let mut attempt = Attempt::new(Arc::new(case.sending), case.next_hop, cleared(first), case.content, 0);
    assert!(driver.drive(&mut attempt, b"\r\n", &mut case.network), "{:#?}", driver.log);
    attempt.is_second_choice()
}

#[test]
fn a_connection_knows_whether_a_better_one_was_passed_over() {
    let both = "host a.x = 192.0.2.1 192.0.2.3\nhost b.x = 192.0.2.2\n";
    for (network, expected) in [
        ("", false),
        ("at 192.0.2.1: connect closes", true),
        ("at a.x: connect declines", true),
        ("at 192.0.2.1: RCPT 450 4.2.1 later", true),
    ] {
        assert_eq!(second_choice(&format!("{both}{network}")), expected, "{network}");
    }
    assert!(second_choice("host a.x = servfail\nhost b.x = 192.0.2.2"));
}
