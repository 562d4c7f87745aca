//! Guessing passwords is slowed, then refused, per address and network, without locking anybody out
//! from elsewhere. No clock, no socket: time is passed in.
//!
//! A user in a network is counted as well: whoever guesses at one name, or has a telephone with an old
//! password, is refused for that name from that network, and weighs on the others behind the same
//! address for his first few failures only.

mod table;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use self::table::Table;

/// Failures within the window that a further try does not wait for.
const FREE: u32 = 5;
/// The first wait; each further failure doubles it, up to the last.
const FIRST_WAIT_MS: u64 = 500;
const LAST_WAIT_MS: u64 = 8_000;
/// Failures within the window after which an address is refused.
const ADDRESS_FAILURES: u32 = 20;
/// The same of a network.
const NETWORK_FAILURES: u32 = 100;
/// The same of a user in a network.
const PAIR_FAILURES: u32 = 10;
/// Failures of a user in a network that count for its address and network.
const PAIR_COUNTED: u32 = 5;
/// So long sign-in is refused.
pub const REFUSED_MS: u64 = 30 * 60_000;
/// A success takes half of an address's failures away, once in this time: whoever has one password must
/// not buy guesses at others with it.
const FORGIVE_MS: u64 = 15 * 60_000;
/// Entries of each of the three tables.
const ENTRIES: usize = 65_536;
/// The operator is told of a network once in this time.
const TELL_MS: u64 = 3_600_000;
/// And of so many networks in it: a herd of machines has thousands. The log has them all.
const TELLS: u32 = 6;

/// A network: an IPv4 /32 or /24, an IPv6 /64 or /48.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Net {
    /// Its bits, the others zero.
    bits: u128,
    v4: bool,
    /// Bits that count.
    len: u8,
}

impl Net {
    fn of(address: IpAddr, v4_len: u8, v6_len: u8) -> Self {
        let (bits, width, v4, len) = match address.to_canonical() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32, true, v4_len),
            IpAddr::V6(v6) => (v6.to_bits(), 128, false, v6_len),
        };
        let free = width - u32::from(len);
        Self { bits: bits.checked_shr(free).unwrap_or(0) << free, v4, len }
    }
}

impl std::fmt::Display for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.v4, u32::try_from(self.bits)) {
            (true, Ok(bits)) if self.len == 32 => write!(f, "{}", std::net::Ipv4Addr::from_bits(bits)),
            (true, Ok(bits)) => write!(f, "{}/{}", std::net::Ipv4Addr::from_bits(bits), self.len),
            _ => write!(f, "{}/{}", std::net::Ipv6Addr::from_bits(self.bits), self.len),
        }
    }
}

/// Who tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    address: Net,
    network: Net,
    /// A hash of the name.
    name: u64,
    /// The address signs in for many people: only users in it are counted.
    shared: bool,
}

impl Who {
    /// Somebody at `address` who tries a name; `name` is a hash of it, with a secret. `shared`: the
    /// address is that of a host that signs in for many people, as a web mail server does.
    pub fn new(address: IpAddr, name: u64, shared: bool) -> Self {
        Self { address: Net::of(address, 32, 64), network: Net::of(address, 24, 48), name, shared }
    }

    /// The address, as far as it counts.
    pub fn address(&self) -> Net {
        self.address
    }

    /// The network that the address is in.
    pub fn network(&self) -> Net {
        self.network
    }

    fn pair(&self) -> (Net, u64) {
        (self.network, self.name)
    }
}

/// What becomes of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is checked after so many milliseconds, mostly 0. One of [`Guesses::failed`],
    /// [`Guesses::succeeded`] and [`Guesses::withdrawn`] must follow.
    After(u64),
    /// It is refused unseen, for too many failures before.
    Refused,
    /// So many others are being checked that, if all fail, it would be refused: come again.
    Busy,
}

/// Sign-in is refused from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Whom it meets.
    pub whom: Whom,
    /// Failures within the window.
    pub failures: u32,
    /// The operator is to be told, not only the log.
    pub tell: bool,
}

/// Whom a block meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// One name in this network.
    UserIn(Net),
    /// All names from this address.
    Address(Net),
    /// All names from this network.
    Network(Net),
}

impl Whom {
    /// The word for it in logs and numbers.
    pub fn name(self) -> &'static str {
        match self {
            Self::UserIn(_) => "user",
            Self::Address(_) => "address",
            Self::Network(_) => "network",
        }
    }

    /// The network or address.
    pub fn net(self) -> Net {
        let (Self::UserIn(net) | Self::Address(net) | Self::Network(net)) = self;
        net
    }
}

/// What is known of failed sign-ins. Bounded: three tables of 65,536 entries.
#[derive(Debug)]
pub struct Guesses {
    addresses: Table<Net>,
    networks: Table<Net>,
    pairs: Table<(Net, u64)>,
    /// Since when, and how often, the operator was told.
    told: (u64, u32),
}

impl Default for Guesses {
    fn default() -> Self {
        Self::holding(ENTRIES)
    }
}

impl Guesses {
    fn holding(entries: usize) -> Self {
        let (addresses, networks) = (Table::holding(entries), Table::holding(entries));
        Self { addresses, networks, pairs: Table::holding(entries), told: (0, 0) }
    }

    /// Whether nobody may try from the address at all; nothing is counted.
    pub fn is_refused(&self, now_ms: u64, who: &Who) -> bool {
        let refused = |entry: table::Entry| entry.is_blocked(now_ms);
        !who.shared && (refused(self.addresses.get(&who.address)) || refused(self.networks.get(&who.network)))
    }

    /// Somebody tries.
    pub fn ask(&mut self, now_ms: u64, who: &Who) -> Admission {
        let mut pair = self.pairs.get(&who.pair());
        if self.is_refused(now_ms, who) || pair.is_blocked(now_ms) {
            return Admission::Refused;
        }
        let mut failures = pair.failures(now_ms);
        let mut full = failures + u32::from(pair.pending) >= PAIR_FAILURES;
        if !who.shared {
            let (mut address, mut network) =
                (self.addresses.get(&who.address), self.networks.get(&who.network));
            let of_address = address.failures(now_ms);
            full |= of_address + u32::from(address.pending) >= ADDRESS_FAILURES;
            full |= network.failures(now_ms) + u32::from(network.pending) >= NETWORK_FAILURES;
            failures = failures.max(of_address);
        }
        if full {
            return Admission::Busy;
        }
        self.pending(now_ms, who, 1);
        let wait = match failures.checked_sub(FREE) {
            Some(more) => (FIRST_WAIT_MS << more.min(8)).min(LAST_WAIT_MS),
            None => 0,
        };
        Admission::After(wait)
    }

    fn pending(&mut self, now_ms: u64, who: &Who, by: i16) {
        self.pairs.change(who.pair(), now_ms, |e| e.pending = e.pending.saturating_add_signed(by));
        if !who.shared {
            self.addresses.change(who.address, now_ms, |e| e.pending = e.pending.saturating_add_signed(by));
            self.networks.change(who.network, now_ms, |e| e.pending = e.pending.saturating_add_signed(by));
        }
    }

    /// The password was wrong. Returns the block that begins with it; of several the widest.
    pub fn failed(&mut self, now_ms: u64, who: &Who) -> Option<Block> {
        self.pending(now_ms, who, -1);
        let failures = self.pairs.change(who.pair(), now_ms, |e| e.fail(now_ms));
        let mut begun = None;
        if failures >= PAIR_FAILURES {
            begun = self.begin(now_ms, Whom::UserIn(who.network), who, failures);
        }
        if who.shared || failures > PAIR_COUNTED {
            return begun;
        }
        let failures = self.addresses.change(who.address, now_ms, |e| e.fail(now_ms));
        if failures >= ADDRESS_FAILURES {
            begun = self.begin(now_ms, Whom::Address(who.address), who, failures).or(begun);
        }
        let failures = self.networks.change(who.network, now_ms, |e| e.fail(now_ms));
        if failures >= NETWORK_FAILURES {
            begun = self.begin(now_ms, Whom::Network(who.network), who, failures).or(begun);
        }
        begun
    }

    /// Refuses from now on. What was counted begins anew after that. None: it was refused before.
    fn begin(&mut self, now_ms: u64, whom: Whom, who: &Who, failures: u32) -> Option<Block> {
        let refuse = |e: &mut table::Entry| {
            let new = !e.is_blocked(now_ms);
            e.until_ms = e.until_ms.max(now_ms + REFUSED_MS);
            e.clear();
            new
        };
        let new = match whom {
            Whom::UserIn(_) => self.pairs.change(who.pair(), now_ms, refuse),
            Whom::Address(net) => self.addresses.change(net, now_ms, refuse),
            Whom::Network(net) => self.networks.change(net, now_ms, refuse),
        };
        // One name that fails is mostly a forgotten password, not somebody who guesses.
        let tell = new && !matches!(whom, Whom::UserIn(_)) && self.tell(now_ms, who.network);
        new.then_some(Block { whom, failures, tell })
    }

    fn tell(&mut self, now_ms: u64, network: Net) -> bool {
        if self.told.1 == 0 || now_ms.saturating_sub(self.told.0) >= TELL_MS {
            self.told = (now_ms, 0);
        }
        let told = self.networks.get(&network).told_ms;
        if self.told.1 >= TELLS || (told > 0 && now_ms.saturating_sub(told) < TELL_MS) {
            return false;
        }
        self.told.1 += 1;
        self.networks.change(network, now_ms, |e| e.told_ms = now_ms.max(1));
        true
    }

    /// The password was right: this user's failures in this network are forgotten, and half of the
    /// address's.
    pub fn succeeded(&mut self, now_ms: u64, who: &Who) {
        self.pending(now_ms, who, -1);
        self.pairs.change_if_there(who.pair(), now_ms, table::Entry::clear);
        self.addresses.change_if_there(who.address, now_ms, |e| {
            let long_ago = e.forgiven_ms == 0 || now_ms.saturating_sub(e.forgiven_ms) >= FORGIVE_MS;
            if e.failures(now_ms) > 0 && long_ago {
                e.halve();
                e.forgiven_ms = now_ms.max(1);
            }
        });
    }

    /// Nothing was found out: trouble of our own, or the client has gone.
    pub fn withdrawn(&mut self, now_ms: u64, who: &Who) {
        self.pending(now_ms, who, -1);
    }
}
