//! Worlds of hosts, from a few numbers and a seed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::collector::Collecting;
use crate::faulty_server::{FaultyServer, FaultyServerSettings, Habits, Shape};
use crate::firm::{Firm, FirmSettings};
use crate::host::{Address, Host, HostName, Place, Service};
use crate::isp::{Isp, IspSettings, MailboxSettings, Marks};
use crate::office::{Office, OfficeSettings};
use crate::publisher::{Publisher, PublisherSettings};
use crate::random::Random;
use crate::relay::{PlainRelay, PlainRelaySettings};

/// The name of the host that mail goes through: quell, or [`PlainRelay`].
pub const GATEWAY: &str = "gateway";
/// The name of the ISP.
pub const ISP: &str = "isp.example";
/// Most firms of a world.
pub const MAX_FIRMS: u32 = 20_000;

/// The shapes of the copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shapes {
    /// All faulty servers make such.
    All(Shape),
    /// The first makes [`Shape::Trace`], the second [`Shape::Identity`], and so on.
    Mixed,
}

/// Dublin, December 2005: a publisher writes to solicitors, and the servers of five firms begin to send.
/// Every number is taken as it is, but for those with a limit here.
#[derive(Debug, Clone)]
pub struct Dublin {
    /// Decides all that is left to chance.
    pub seed: u64,
    /// Firms, all with the one ISP; at least one, [`MAX_FIRMS`] at most.
    pub firms: u32,
    /// Recipients of the newsletter at each firm, all in one mailbox. At least one.
    pub recipients_of_firm: u32,
    /// Firms with a faulty server, spread over all; as many as there are at most.
    pub faulty: u32,
    /// How the copies look.
    pub shapes: Shapes,
    /// How long from one poll to the next, for faulty servers and honest ones.
    pub poll_ms: u64,
    /// Messages that a server fetches in one poll.
    pub messages_per_poll: usize,
    /// How often a faulty server sends each large message in one poll.
    pub sends_per_poll: u32,
    /// Addresses from which a faulty server fails.
    pub fails_from_addresses: usize,
    /// So long after the start the newsletter is sent.
    pub newsletter_after_ms: u64,
    /// Length of its text.
    pub newsletter_bytes: usize,
    /// How long from one message of the office to the next.
    pub office_every_ms: u64,
    /// Messages of the office in all; 0: none.
    pub office_messages: u64,
    /// Whether a [`PlainRelay`] stands at [`GATEWAY`]; without, somebody else has to.
    pub plain_relay: bool,
    /// Whether honest firms poll, too; without, their mail stays in the mailboxes.
    pub honest_firms_poll: bool,
    /// The first of the hosts' addresses, which follow each other.
    pub first_ip: Ipv4Addr,
    /// What the ISP writes on what it delivers.
    pub marks: Marks,
}

impl Default for Dublin {
    /// 200 firms, five of them faulty, which poll every second.
    fn default() -> Self {
        Self {
            seed: 2005,
            firms: 200,
            recipients_of_firm: 1,
            faulty: 5,
            shapes: Shapes::All(Shape::Trace),
            poll_ms: 1_000,
            messages_per_poll: 5,
            sends_per_poll: 1,
            fails_from_addresses: 20,
            newsletter_after_ms: 500,
            newsletter_bytes: 3_000,
            office_every_ms: 200,
            office_messages: 1_000_000,
            plain_relay: false,
            honest_firms_poll: false,
            first_ip: Ipv4Addr::new(127, 20, 0, 1),
            marks: Marks { return_path: true, delivered_to: true, x_original_to: false },
        }
    }
}

/// Hosts, and what a runner has to know of them.
pub struct World {
    /// The hosts.
    pub hosts: Vec<Box<dyn Host>>,
    /// Everybody whom the newsletter goes to.
    pub recipients: Vec<String>,
    /// The firms' domains, in their order. The ISP takes every address of them.
    pub domains: Vec<String>,
    /// The faulty servers' names.
    pub faulty: Vec<HostName>,
}

/// What servers of the time called themselves. Some firms' servers had one name.
const INTERNAL_NAMES: [&str; 4] =
    ["server.sbs.local", "sbserver.lawfirm.local", "server.sbs.local", "sbs2003.office.local"];

/// How wrong their clocks were, in minutes.
const CLOCKS_OFF_MIN: [i64; 5] = [3, -7, 61, 0, -1_440];

impl Dublin {
    /// The world.
    pub fn world(&self) -> World {
        let domains = self.domains();
        let recipients = self.recipients(&domains);
        let firms = domains.len() as u64;
        let is_faulty = spread(firms, u64::from(self.faulty).min(firms));
        let mut hosts = self.servers(&domains, &is_faulty, &recipients);
        let mut faulty = Vec::new();
        for (place, domain) in domains.iter().enumerate() {
            if is_faulty[place] {
                let server = self.faulty_server(domain, place, faulty.len());
                faulty.push(server.place().name.clone());
                hosts.push(Box::new(server));
            } else if self.honest_firms_poll {
                hosts.push(Box::new(self.honest_firm(domain, place)));
            }
        }
        World { hosts, recipients, domains, faulty }
    }

    fn domains(&self) -> Vec<String> {
        (1..=self.firms.clamp(1, MAX_FIRMS)).map(|firm| format!("firm{firm}.example")).collect()
    }

    fn recipients(&self, domains: &[String]) -> Vec<String> {
        const PEOPLE: [&str; 6] = ["info", "reception", "mary", "sean", "aoife", "conor"];
        let of_firm = |number: u32| match PEOPLE.get(number as usize) {
            Some(person) => (*person).to_owned(),
            None => format!("partner{number}"),
        };
        let each = self.recipients_of_firm.max(1);
        let people = (0..each).map(of_firm).collect::<Vec<_>>();
        domains.iter().flat_map(|domain| people.iter().map(move |who| format!("{who}@{domain}"))).collect()
    }

    fn ip(&self, number: usize) -> IpAddr {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        IpAddr::V4(Ipv4Addr::from_bits(self.first_ip.to_bits().wrapping_add(number)))
    }

    fn place(&self, name: &str, number: usize) -> Place {
        Place { name: Arc::from(name), ip: self.ip(number) }
    }

    /// All but the firms.
    fn servers(&self, domains: &[String], is_faulty: &[bool], recipients: &[String]) -> Vec<Box<dyn Host>> {
        let mut hosts: Vec<Box<dyn Host>> = vec![Box::new(Isp::new(self.isp_settings()))];
        if self.plain_relay {
            hosts.push(Box::new(PlainRelay::new(PlainRelaySettings {
                place: self.place(GATEWAY, 1),
                next_hop: Arc::from(ISP),
                max_messages: 1_000,
            })));
        }
        hosts.push(Box::new(Publisher::new(PublisherSettings {
            place: self.place("mail.lawbooks.example", 2),
            next_hop: Arc::from(GATEWAY),
            from: "news@lawbooks.example".to_owned(),
            recipients: recipients.to_vec(),
            body_bytes: self.newsletter_bytes,
            after_ms: self.newsletter_after_ms,
            max_recipients: 100,
            seed: self.seed,
        })));
        hosts.push(Box::new(self.office(domains, is_faulty)));
        hosts
    }

    /// The ISP of this world, for who wants to make it himself and look into its mailboxes.
    pub fn isp_settings(&self) -> IspSettings {
        let mailbox = |domain: &String| MailboxSettings {
            user: user(domain),
            password: password(domain),
            domain: domain.clone(),
        };
        IspSettings {
            place: self.place(ISP, 0),
            mailboxes: self.domains().iter().map(mailbox).collect(),
            marks: self.marks,
            max_messages_of_mailbox: 100_000,
        }
    }

    /// It writes to firms that are not faulty, if there are any.
    fn office(&self, domains: &[String], is_faulty: &[bool]) -> Office {
        let honest = domains.iter().zip(is_faulty).filter(|(_, faulty)| !**faulty);
        Office::new(OfficeSettings {
            place: self.place("office.example", 3),
            next_hop: Arc::from(GATEWAY),
            from: "jane@office.example".to_owned(),
            recipients: honest.map(|(domain, _)| format!("desk@{domain}")).collect(),
            every_ms: self.office_every_ms,
            max_messages: self.office_messages,
            body_bytes: 1_500,
            seed: self.seed,
        })
    }

    fn collecting(&self, domain: &str) -> Collecting {
        Collecting {
            server: Address { host: Arc::from(ISP), service: Service::Pop3 },
            user: user(domain).to_string(),
            password: password(domain),
            max_messages: self.messages_per_poll,
        }
    }

    fn honest_firm(&self, domain: &str, number: usize) -> Firm {
        let mailbox = self.collecting(domain);
        Firm::new(FirmSettings { place: self.place(domain, 4 + number), mailbox, poll_ms: self.poll_ms })
    }

    fn faulty_server(&self, domain: &str, number: usize, nth: usize) -> FaultyServer {
        let mut random = Random::of(self.seed, domain);
        let shape = match self.shapes {
            Shapes::All(shape) => shape,
            Shapes::Mixed if nth.is_multiple_of(2) => Shape::Trace,
            Shapes::Mixed => Shape::Identity,
        };
        let habits = Habits {
            shape,
            internal_name: INTERNAL_NAMES[nth % INTERNAL_NAMES.len()].to_owned(),
            pop3_user: user(domain).to_string(),
            domain: domain.to_owned(),
            tears_one_in: [0, 0, 7][nth % 3],
            requotes_from: random.one_in(2),
            adds_pickup_address: nth % 3 != 1,
            says_mailer: random.one_in(3),
        };
        FaultyServer::new(FaultyServerSettings {
            place: self.place(domain, 4 + number),
            next_hop: Arc::from(GATEWAY),
            mailbox: self.collecting(domain),
            // Not all at the same moment.
            poll_ms: self.poll_ms + random.below(self.poll_ms / 10 + 1),
            fails_from_addresses: self.fails_from_addresses,
            sends_per_poll: self.sends_per_poll,
            max_recipients: 100,
            reports: false,
            clock_off_ms: CLOCKS_OFF_MIN[nth % CLOCKS_OFF_MIN.len()] * 60_000,
            habits,
            seed: self.seed,
        })
    }
}

fn user(domain: &str) -> Arc<str> {
    Arc::from(domain.split('.').next().unwrap_or(domain))
}

fn password(domain: &str) -> String {
    format!("pass-{domain}")
}

/// `count` of `all` places, as far from each other as can be.
fn spread(all: u64, count: u64) -> Vec<bool> {
    let up_to = |n: u64| n * count / all.max(1);
    (0..all).map(|n| up_to(n + 1) > up_to(n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_faulty_are_spread_over_all() {
        for (all, count) in [(200, 5), (1, 1), (7, 7), (10, 0), (20_000, 5)] {
            assert_eq!(spread(all, count).iter().filter(|faulty| **faulty).count(), count as usize);
        }
        assert_eq!(spread(6, 2), [false, false, true, false, false, true]);
    }

    #[test]
    fn a_world_is_what_was_asked_for() {
        let dublin =
            Dublin { recipients_of_firm: 8, plain_relay: true, honest_firms_poll: true, ..Dublin::default() };
        let world = dublin.world();
        assert_eq!((world.recipients.len(), world.domains.len(), world.faulty.len()), (1_600, 200, 5));
        assert_eq!(world.recipients.iter().collect::<BTreeSet<_>>().len(), 1_600);
        assert_eq!(world.hosts.len(), 4 + 200);
        let places: Vec<&Place> = world.hosts.iter().map(|host| host.place()).collect();
        assert_eq!(places.iter().map(|place| place.ip).collect::<BTreeSet<_>>().len(), 204);
        assert_eq!(places.iter().map(|place| &place.name).collect::<BTreeSet<_>>().len(), 204);
        let bare = Dublin { firms: 0, faulty: 9, ..Dublin::default() }.world();
        assert_eq!((bare.hosts.len(), bare.faulty.len()), (4, 1));
    }
}
