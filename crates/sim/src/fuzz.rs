//! Entry points for fuzz targets and property tests: any events may happen to a host. They end in an
//! assertion where a promise of this crate is broken, and nowhere else.

use std::net::IpAddr;

use crate::host::{Action, Conn, Event, Host, Moment, Service};
use crate::scenario::Dublin;

/// What a host may send at one event beyond what came in: a newsletter to all, a burst of POP3.
const MAX_BYTES_BEYOND_INPUT: usize = 300 << 10;
/// The longest answer to a short command, by its bytes.
const MAX_BYTES_FOR_ONE: usize = 60;
/// Actions at one event, beyond one for each byte that came in.
const MAX_ACTIONS: usize = 200;

/// A connection by a small number, so that chance finds those that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The last but so many that the host has opened.
    Opened(u8),
    /// The one of this number that it has accepted.
    Accepted(u8),
}

/// What happens to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happens {
    /// It starts.
    Start,
    /// So many ms pass, and it is woken.
    Wake(u64),
    /// It is connected to.
    Accepted(u8, Service),
    /// A connection of its own stands.
    Connected(u8),
    /// A connection of its own failed.
    Failed(u8),
    /// Bytes come in.
    Bytes(Which, Vec<u8>),
    /// All has been sent.
    Drained(Which),
    /// A connection is closed.
    Closed(Which),
}

/// Lets all of it happen to the host, and looks at what it does each time: what it sends is bounded by
/// what came in.
pub fn give(host: &mut dyn Host, all: &[Happens]) {
    let (mut now, mut opened) = (Moment { ms: 1_134_223_401_000 }, 0);
    for one in all {
        if let Happens::Wake(ms) = one {
            now = now.plus_ms(*ms);
        }
        let mut actions = Vec::new();
        host.on(event(one, opened), now, &mut actions);
        let given = if let Happens::Bytes(_, bytes) = one { bytes.len() } else { 0 };
        let sent: usize = actions.iter().map(sent_bytes).sum();
        assert!(sent <= MAX_BYTES_BEYOND_INPUT + MAX_BYTES_FOR_ONE * given, "{sent} bytes after {given}");
        assert!(actions.len() <= MAX_ACTIONS + given, "{} actions after {given} bytes", actions.len());
        opened += actions.iter().filter(|action| matches!(action, Action::Connect { .. })).count() as u64;
    }
}

fn sent_bytes(action: &Action) -> usize {
    if let Action::Send { bytes, .. } = action { bytes.len() } else { 0 }
}

fn event(one: &Happens, opened: u64) -> Event<'_> {
    let ours = |back: u8| Conn::opened(opened.saturating_sub(u64::from(back)));
    let conn = |which: Which| match which {
        Which::Opened(back) => ours(back),
        Which::Accepted(number) => Conn::accepted(u64::from(number)),
    };
    match one {
        Happens::Start => Event::Start,
        Happens::Wake(_) => Event::Wake,
        Happens::Accepted(number, service) => Event::Accepted {
            conn: conn(Which::Accepted(*number)),
            service: *service,
            peer: IpAddr::from([198, 18, 0, 9]),
        },
        Happens::Connected(back) => Event::Connected { conn: ours(*back) },
        Happens::Failed(back) => Event::Failed { conn: ours(*back) },
        Happens::Bytes(which, bytes) => Event::Bytes { conn: conn(*which), bytes },
        Happens::Drained(which) => Event::Drained { conn: conn(*which) },
        Happens::Closed(which) => Event::Closed { conn: conn(*which) },
    }
}

/// A host of each kind.
pub fn hosts(seed: u64) -> Vec<Box<dyn Host>> {
    let dublin = Dublin {
        seed,
        firms: 4,
        faulty: 2,
        plain_relay: true,
        honest_firms_poll: true,
        fails_from_addresses: 2,
        ..Dublin::default()
    };
    dublin.world().hosts
}

/// Reads events from text and lets them happen to one host of [`hosts`], the one that the first byte
/// says. A line that begins with `@` is an event (`@start`, `@wake MS`, `@accepted N smtp|lmtp|pop3`,
/// `@connected N`, `@failed N`) or names the connection that the lines after it are for (`@to N` one
/// that was accepted, `@from N` one that it opened), or ends it (`@drained`, `@closed`).
pub fn host(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else { return };
    let mut hosts = hosts(1);
    let place = usize::from(*first) % hosts.len();
    give(&mut *hosts[place], &read(text));
}

/// The events of a text.
fn read(text: &[u8]) -> Vec<Happens> {
    let (mut all, mut which) = (Vec::new(), Which::Opened(0));
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let words = line.strip_prefix(b"@").map(String::from_utf8_lossy).unwrap_or_default();
        let mut words = words.split_ascii_whitespace();
        let (verb, argument, service) = (words.next(), words.next(), words.next());
        let number = argument.and_then(|word| word.parse().ok()).unwrap_or(0u64);
        let small = number as u8;
        match verb {
            Some("start") => all.push(Happens::Start),
            Some("wake") => all.push(Happens::Wake(number)),
            Some("accepted") => all.push(Happens::Accepted(small, service_of(service))),
            Some("connected") => all.push(Happens::Connected(small)),
            Some("failed") => all.push(Happens::Failed(small)),
            Some("drained") => all.push(Happens::Drained(which)),
            Some("closed") => all.push(Happens::Closed(which)),
            Some("to") => which = Which::Accepted(small),
            Some("from") => which = Which::Opened(small),
            _ => all.push(Happens::Bytes(which, line.to_vec())),
        }
    }
    all
}

fn service_of(word: Option<&str>) -> Service {
    match word {
        Some("lmtp") => Service::Lmtp,
        Some("pop3") => Service::Pop3,
        _ => Service::Smtp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_from_text() {
        let to = Which::Accepted(1);
        assert_eq!(
            read(b"@start\n@accepted 1 pop3\n@to 1\nUSER x\r\n@drained\n@closed\n@wake 700\nend"),
            [
                Happens::Start,
                Happens::Accepted(1, Service::Pop3),
                Happens::Bytes(to, b"USER x\r\n".to_vec()),
                Happens::Drained(to),
                Happens::Closed(to),
                Happens::Wake(700),
                Happens::Bytes(to, b"end".to_vec()),
            ]
        );
        assert_eq!(read(b"@connected 2\n@failed\n"), [Happens::Connected(2), Happens::Failed(0)]);
    }
}
