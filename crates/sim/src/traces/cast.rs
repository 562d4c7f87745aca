//! Who takes part: providers, firms, their people and machines.

use std::rc::Rc;

use super::case::Case;
use super::clock::UTC;
use super::letter::Person;
use super::machine::{self, Machine, Software};
use crate::names;

/// Names that the worlds of the trace are made of: so many of all, or every world would be another.
pub(super) const FIRST: &[&str] = names::FIRST.split_at(30).0;
const LAST: &[&str] = names::LAST.split_at(30).0;
const TRADES: [&str; 12] = [
    "law",
    "legal",
    "solicitors",
    "books",
    "press",
    "estates",
    "trading",
    "consult",
    "print",
    "media",
    "clinic",
    "tools",
];
const ISPS: [&str; 16] = [
    "emerald",
    "fastline",
    "northnet",
    "telinia",
    "skyway",
    "indigolink",
    "bluecable",
    "openreachy",
    "gigaclear2",
    "planetnet",
    "infonet",
    "worldlink",
    "netsource",
    "clearwave",
    "metronet",
    "easthost",
];
const INTERNAL: [&str; 8] = ["server", "server01", "sbs", "exchange", "mail", "dc1", "ms1", "nt4srv"];

/// A provider.
#[derive(Debug)]
pub(super) struct Isp {
    pub domain: String,
    pub mx: Rc<Machine>,
    /// Its customers' smart host.
    pub out: Rc<Machine>,
    pub pop: Rc<Machine>,
    pub filter: bool,
    pub lmtp: bool,
}

/// How mail comes into a firm.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// Its server stands in the DNS.
    Direct,
    /// The provider's server passes it on.
    Relayed,
    /// A gateway of its own stands before the server.
    Gateway(Rc<Machine>),
    /// Its mailboxes are at the provider's.
    Hosted,
    /// Its server collects them from the provider's.
    Collected,
}

/// What a firm's server does to what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    Nothing,
    /// A disclaimer under the text.
    Footer,
    /// A word before the subject.
    Tag(&'static str),
    QuotedPrintable,
    Base64,
}

/// A firm.
#[derive(Debug)]
pub(super) struct Firm {
    pub domain: String,
    pub people: Vec<Person>,
    pub isp: Rc<Isp>,
    pub server: Rc<Machine>,
    pub entry: Entry,
    /// It sends through its provider's smart host.
    pub smart_host: bool,
    pub filter: bool,
    pub lmtp: bool,
    pub touch: Touch,
    pub hub: Option<Rc<Machine>>,
}

impl Firm {
    /// No stamp of this firm's tells whom it had a message from.
    pub fn hides_clients(&self) -> bool {
        matches!(&self.entry, Entry::Gateway(gateway) if gateway.stampless)
    }
}

impl Case {
    /// A name under `.example` that nobody has yet.
    pub fn domain(&mut self, provider: bool) -> String {
        loop {
            let end =
                self.dice.pick(["example", "example", "co.example", "net.example", "ie.example", "test"]);
            let start = if provider {
                (*self.dice.of(&ISPS)).to_owned()
            } else {
                (*self.dice.of(&names::HOUSES)).to_owned()
            };
            let domain = match self.dice.below(3) {
                0 if !provider => format!("{start}-{}.{end}", self.dice.of(&TRADES)),
                1 if !provider => format!("{start}{}.{end}", self.dice.of(&TRADES)),
                2 => format!("{start}{}.{end}", self.dice.count(2, 99)),
                _ => format!("{start}.{end}"),
            };
            if self.used.insert(domain.clone()) {
                return domain;
            }
        }
    }

    /// Someone with an address in this domain.
    pub fn person(&mut self, domain: &str) -> Person {
        loop {
            let (first, last) = (*self.dice.of(FIRST), *self.dice.of(LAST));
            let local = match self.dice.below(4) {
                0 => first.to_owned(),
                1 => format!("{}{last}", first.get(..1).unwrap_or(first)),
                2 => format!("{last}{}", self.dice.count(1, 99)),
                _ => format!("{first}.{last}"),
            };
            let address = format!("{local}@{domain}");
            if self.used.insert(address.clone()) {
                let name = if self.dice.one_in(5) {
                    String::new()
                } else {
                    format!("{} {}", capital(first), capital(last))
                };
                return Person { name, address };
            }
        }
    }

    /// A machine of this software and name. What it is called as a client and in the DNS is drawn.
    pub fn machine(&mut self, soft: Software, by: &str, rdns: Option<String>) -> Machine {
        let zone = if self.dice.one_in(4) { UTC } else { self.zone };
        let zone = if soft == Software::Google { super::clock::ZONES[10] } else { zone };
        let old = self.old;
        Machine {
            soft,
            version: machine::version(soft, old, &mut self.dice),
            helo: by.to_owned(),
            rdns,
            by: by.to_owned(),
            ip: self.ip(),
            inside: self.inside_ip(),
            skew_ms: self.skew(),
            zone,
            tls: !old && self.dice.below(4) > 0,
            writes_for: self.dice.below(4) > 0,
            stampless: false,
        }
    }

    /// A server with a proper name in the DNS, now and then under another one, or under none.
    pub fn unix_server(&mut self, domain: &str, host: &str) -> Machine {
        let soft = machine::unix(self.old, &mut self.dice);
        let name = format!("{host}.{domain}");
        let rdns = match self.dice.below(10) {
            0 => None,
            1 => Some(format!("{}-{}.{domain}", host, self.dice.count(1, 40))),
            _ => Some(name.clone()),
        };
        let mut machine = self.machine(soft, &name, rdns);
        if self.dice.one_in(8) {
            machine.by = format!("{host}{}.{domain}", self.dice.count(1, 9));
        }
        machine
    }

    /// An office's server: it calls itself by its internal name, and its address has the provider's name.
    pub fn office_server(&mut self, domain: &str, isp: &str) -> Machine {
        let soft = machine::office(self.old, &mut self.dice);
        self.office_server_of(soft, domain, isp)
    }

    /// The same with this software.
    pub fn office_server_of(&mut self, soft: Software, domain: &str, isp: &str) -> Machine {
        let firm = domain.split('.').next().unwrap_or(domain);
        let host = *self.dice.of(&INTERNAL);
        let by = match (self.generic_name, self.dice.below(5)) {
            (Some(name), _) => name.to_owned(),
            (None, 0) => format!("{host}.{domain}"),
            (None, 1) => format!("{}-{}.{firm}.local", firm.to_uppercase(), host.to_uppercase()),
            (None, 2) => format!("{host}.{firm}.lan"),
            (None, _) => format!("{host}.{firm}.local"),
        };
        let mut machine = self.machine(soft, &by, None);
        let dashed = machine.ip.to_string().replace(['.', ':'], "-");
        machine.rdns = match self.dice.below(5) {
            0 => None,
            1 => Some(format!("mail.{domain}")),
            2 => Some(format!("host{dashed}.in-addr.{isp}")),
            _ => Some(format!("{dashed}.dsl.{isp}")),
        };
        if self.dice.one_in(3) {
            machine.helo = format!("mail.{domain}");
        }
        machine
    }

    /// A provider.
    pub fn isp(&mut self) -> Rc<Isp> {
        let domain = self.domain(true);
        let host = self.dice.pick(["mx", "mx1", "mail", "mxin", "relay"]);
        let mx = Rc::new(self.unix_server(&domain, host));
        let host = self.dice.pick(["smtp", "out", "mailout", "smarthost", "relay2"]);
        let out = if self.dice.one_in(4) { mx.clone() } else { Rc::new(self.unix_server(&domain, host)) };
        let host = self.dice.pick(["pop", "pop3", "mail", "mailstore"]);
        let pop = if self.dice.one_in(3) { mx.clone() } else { Rc::new(self.unix_server(&domain, host)) };
        Rc::new(Isp { domain, mx, out, pop, filter: self.dice.one_in(5), lmtp: self.dice.one_in(5) })
    }

    /// A firm of so many people, with what firms have.
    pub fn firm(&mut self, isp: &Rc<Isp>, people: usize) -> Rc<Firm> {
        let domain = self.domain(false);
        let entry = self.dice.below(9);
        let unix = self.dice.one_in(3);
        let server = match (entry, unix) {
            (8, _) if !self.old => self.cloud_server(&domain),
            (_, true) => self.unix_server(&domain, "mail"),
            _ => self.office_server(&domain, &isp.domain),
        };
        let entry = match entry {
            0 | 1 => Entry::Relayed,
            2 | 3 => {
                let mut gateway = self.unix_server(&domain, "gw");
                gateway.stampless = self.silent_gateways && self.dice.one_in(10);
                Entry::Gateway(Rc::new(gateway))
            }
            4 => Entry::Hosted,
            5 if matches!(
                server.soft,
                Software::Postfix | Software::Exim | Software::Sendmail | Software::Qmail
            ) =>
            {
                Entry::Collected
            }
            _ => Entry::Direct,
        };
        let hub = (server.soft == Software::Exchange && self.dice.one_in(2)).then(|| self.hub(&server));
        let unix_like = matches!(
            server.soft,
            Software::Postfix | Software::Exim | Software::Sendmail | Software::Courier
        );
        let people = (0..people).map(|_| self.person(&domain)).collect();
        Rc::new(Firm {
            domain,
            people,
            isp: isp.clone(),
            smart_host: self.dice.one_in(3),
            filter: unix_like && self.dice.one_in(3),
            lmtp: unix_like && self.dice.one_in(3),
            touch: match self.dice.below(16) {
                0 | 1 => Touch::Footer,
                2 => Touch::Tag(self.dice.pick(["[EXTERNAL]", "***SPAM***", "[Scanned]", "{Spam?}"])),
                3 => Touch::QuotedPrintable,
                4 => Touch::Base64,
                _ => Touch::Nothing,
            },
            server: Rc::new(server),
            entry,
            hub,
        })
    }

    /// A second server behind this one.
    fn hub(&mut self, server: &Machine) -> Rc<Machine> {
        let name = format!("hub{}.{}", self.dice.count(1, 4), server.by);
        let mut hub = self.machine(Software::Exchange, &name, None);
        hub.zone = server.zone;
        Rc::new(hub)
    }

    fn cloud_server(&mut self, domain: &str) -> Machine {
        if self.dice.one_in(2) {
            let name = format!(
                "mail-{}{}-{}.google.com",
                self.dice.pick(["ed", "wr", "oi", "qk"]),
                self.dice.count(1, 9),
                self.dice.hex(4)
            );
            let mut machine = self.machine(Software::Google, "mx.google.com", Some(name.clone()));
            machine.helo = name;
            return machine;
        }
        let name = format!(
            "{}-obe.outbound.protection.outlook.com",
            self.dice.pick(["EUR04-DB3", "NAM10-DM6", "EUR05-VI1"])
        );
        let edge = format!("{}.mail.protection.outlook.com", domain.replace('.', "-"));
        let rdns = format!("mail-eopbgr{}.outbound.protection.outlook.com", self.dice.digits(6));
        let mut machine = self.machine(Software::Microsoft365, &edge, Some(rdns));
        machine.helo = name;
        machine
    }

    /// Some firms at some providers, `people` in all, at least one each.
    pub fn firms(&mut self, isps: &[Rc<Isp>], firms: usize, people: usize) -> Vec<Rc<Firm>> {
        let firms = firms.clamp(1, people.max(1));
        (0..firms)
            .map(|at| {
                let isp = isps[self.dice.below(isps.len())].clone();
                self.firm(&isp, people / firms + usize::from(at < people % firms))
            })
            .collect()
    }
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
        .unwrap_or_default()
}
