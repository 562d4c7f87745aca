//! Who writes to whom, and by which servers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::letter::Party;
use super::words;
use crate::dice::Dice;

/// Our domain.
pub(super) const DOMAIN: &str = "firm.example";

/// A machine that hands mail on.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub helo: String,
    pub ip: IpAddr,
}

/// Who sends mail for others: a large provider with many outgoing servers, a sender of newsletters, or a
/// firm's own server.
#[derive(Debug, Clone)]
pub(super) struct Provider {
    pub domain: String,
    pub pool: Vec<Machine>,
    /// Each recipient gets a transaction of its own.
    pub one_each: bool,
}

/// What answers for somebody who is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Responder {
    None,
    /// As RFC 3834 says: once for each sender in a week, never to lists and newsletters.
    Polite,
    /// No mark, its own address as reverse-path, once for each sender in a day, to lists and newsletters too.
    Plain,
}

/// How mail leaves somebody's house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// Ours: the place among [`Cast::inside`].
    Inside(usize),
    /// The place among [`Cast::providers`].
    Outside(usize),
}

/// Somebody with a mailbox.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub party: Party,
    pub home: Home,
    pub responder: Responder,
    pub away_until: i64,
    /// All that comes for him goes on to there, by a rule of his.
    pub forwards_to: Option<String>,
    /// Written beneath his mail.
    pub signature: String,
}

/// All who take part.
#[derive(Debug)]
pub(super) struct Cast {
    /// First our own people, then the others.
    pub people: Vec<Person>,
    /// How many are ours.
    pub ours: usize,
    /// Our machines: the mail server, the one for programs, the one for bulk.
    pub inside: Vec<Machine>,
    /// The first ones are large.
    pub providers: Vec<Provider>,
    /// How many are large.
    pub large: usize,
    /// Those that send newsletters and list mail.
    pub publishers: Vec<usize>,
    /// Our addresses that stand for several people.
    pub aliases: BTreeMap<String, Vec<String>>,
    places: HashMap<String, usize>,
    used: BTreeSet<IpAddr>,
}

/// Our mail server, our programs' and our bulk mail's machine.
pub(super) const SERVER: usize = 0;
pub(super) const PROGRAMS: usize = 1;
pub(super) const BULK: usize = 2;

impl Cast {
    pub fn new(ours: usize, dice: &mut Dice) -> Self {
        let machine = |name: &str, last: u8| Machine {
            helo: format!("{name}.{DOMAIN}"),
            ip: IpAddr::from([10, 0, 0, last]),
        };
        let mut cast = Self {
            people: Vec::new(),
            ours,
            inside: vec![machine("exchange", 5), machine("app1", 21), machine("crm", 33)],
            providers: Vec::new(),
            large: dice.count(3, 6),
            publishers: Vec::new(),
            aliases: BTreeMap::new(),
            places: HashMap::new(),
            used: BTreeSet::new(),
        };
        for at in 0..cast.large {
            let servers = dice.count(4, 40);
            cast.provider(&format!("webmail{at}.example"), servers, dice);
        }
        (0..ours).for_each(|_| cast.hire(dice));
        for at in 0..dice.count(4, 9) {
            let servers = dice.count(2, 60);
            let publisher = cast.provider(&format!("esp{at}.example"), servers, dice);
            cast.providers[publisher].one_each = true;
            cast.publishers.push(publisher);
        }
        cast.meet_others(dice);
        cast.name_aliases(dice);
        cast
    }

    /// A public address that nobody has yet.
    pub fn ip(&mut self, dice: &mut Dice) -> IpAddr {
        loop {
            let first = dice.pick([62_u8, 81, 91, 134, 185, 194, 203, 213]);
            let [a, b, c] = [0; 3].map(|_: u8| u8::try_from(dice.count(1, 250)).unwrap_or(1));
            let ip = if dice.one_in(12) {
                format!("2001:db8:{}:{}::{}", dice.hex(4), dice.hex(3), dice.hex(2)).parse().ok()
            } else {
                Some(IpAddr::from([first, a, b, c]))
            };
            if let Some(ip) = ip.filter(|ip| self.used.insert(*ip)) {
                return ip;
            }
        }
    }

    /// A provider with so many outgoing servers; its place. They often stand in one network, as real ones do.
    pub fn provider(&mut self, domain: &str, servers: usize, dice: &mut Dice) -> usize {
        let net = [dice.pick([40_u8, 66, 74, 77, 104, 149, 167, 198]), dice.below(250) as u8];
        let mut pool = Vec::with_capacity(servers);
        for at in 0..servers {
            let near = IpAddr::from([net[0], net[1], dice.below(250) as u8, 1 + dice.below(250) as u8]);
            let ip = if servers > 1 && self.used.insert(near) { near } else { self.ip(dice) };
            let helo =
                if servers == 1 { format!("mail.{domain}") } else { format!("out{}.{domain}", at + 1) };
            pool.push(Machine { helo, ip });
        }
        self.providers.push(Provider { domain: domain.to_owned(), pool, one_each: dice.one_in(4) });
        self.providers.len() - 1
    }

    /// One more colleague. (Only before there are others.)
    fn hire(&mut self, dice: &mut Dice) {
        self.person(DOMAIN, Home::Inside(SERVER), dice);
    }

    /// Somebody new with an address in this domain; his place.
    pub fn person(&mut self, domain: &str, home: Home, dice: &mut Dice) -> usize {
        let (first, last) = (*dice.of(&words::FIRST), *dice.of(&words::LAST));
        let local = match dice.below(3) {
            0 => format!("{first}.{last}"),
            1 => format!("{}{last}", &first[..1]),
            _ => first.to_owned(),
        };
        let mut address = format!("{local}@{domain}");
        if self.places.contains_key(&address) {
            address = format!("{local}{}@{domain}", self.people.len());
        }
        let name = format!("{} {}", words::capital(first), words::capital(last));
        let responder = match dice.below(5) {
            0 => Responder::None,
            1 => Responder::Plain,
            _ => Responder::Polite,
        };
        let signature = match dice.below(3) {
            0 => String::new(),
            1 => format!("-- \n{name}\nTel. {}\n", dice.digits(8)),
            _ => format!("-- \n{name}, {domain}\n{}\n", words::sentence(dice)),
        };
        self.places.insert(address.clone(), self.people.len());
        let forwards = domain == DOMAIN && dice.one_in(25);
        let forwards_to = forwards.then(|| format!("{last}.{}@webmail1.example", self.people.len()));
        let party = Party { name, address };
        self.people.push(Person { party, home, responder, away_until: 0, forwards_to, signature });
        self.people.len() - 1
    }

    fn meet_others(&mut self, dice: &mut Dice) {
        for at in 0..(12 + self.ours / 2) {
            let house = *dice.of(&words::HOUSES);
            let domain = format!("{house}{at}.example");
            let provider = match dice.below(3) {
                0 => dice.below(self.large),
                _ => self.provider(&domain, 1, dice),
            };
            for _ in 0..dice.few(1, 12) {
                self.person(&domain, Home::Outside(provider), dice);
            }
        }
        for _ in 0..(10 + self.ours) {
            let provider = dice.below(self.large);
            let domain = self.providers[provider].domain.clone();
            self.person(&domain, Home::Outside(provider), dice);
        }
    }

    fn name_aliases(&mut self, dice: &mut Dice) {
        let address = |cast: &Self, at: usize| cast.people[at].party.address.clone();
        let all: Vec<String> = (0..self.ours).map(|at| address(self, at)).collect();
        self.aliases.insert(format!("all@{DOMAIN}"), all);
        for name in ["sales", "info", "office", "it", "project", "accounts"] {
            let wanted = dice.count(1, 12);
            let members = dice.some_of(self.ours, wanted).into_iter().map(|at| address(self, at)).collect();
            self.aliases.insert(format!("{name}@{DOMAIN}"), members);
        }
    }

    /// Who has this address.
    pub fn find(&self, address: &str) -> Option<usize> {
        self.places.get(address).copied()
    }

    /// One of ours.
    pub fn colleague(&self, dice: &mut Dice) -> usize {
        dice.below(self.ours)
    }

    /// One of ours, another than this one if there is one.
    pub fn another(&self, than: usize, dice: &mut Dice) -> usize {
        let at = dice.below(self.ours);
        if at == than { (at + 1) % self.ours } else { at }
    }

    /// One of the others; with a few of them we have most to do.
    pub fn outsider(&self, dice: &mut Dice) -> usize {
        let all = self.people.len() - self.ours;
        let most = if dice.one_in(3) { all } else { all.min(8 + self.ours / 2) };
        self.ours + dice.below(most)
    }

    /// So many different people: all ours, or some of the others among them.
    pub fn circle(&self, wanted: usize, mixed: bool, dice: &mut Dice) -> Vec<usize> {
        let total = if mixed || wanted > self.ours { self.people.len() } else { self.ours };
        let mut circle = dice.some_of(total, wanted);
        if !circle.iter().any(|at| *at < self.ours) {
            circle.push(dice.below(self.ours));
        }
        dice.shuffle(&mut circle);
        circle
    }

    pub fn is_ours(address: &str) -> bool {
        address.rsplit_once('@').is_some_and(|(_, domain)| domain == DOMAIN)
    }

    pub fn party(&self, at: usize) -> Party {
        self.people[at].party.clone()
    }
}
