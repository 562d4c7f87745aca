//! Hosts that nothing can break: any bytes, any events, in any order.

use std::net::IpAddr;

use proptest::prelude::*;
use quell_sim::host::{Action, Conn, Event, Host, Moment, Service};
use quell_sim::scenario::Dublin;

use crate::support::START;

/// What happens to a host; connections are numbered by place, so that many of them exist.
#[derive(Debug, Clone)]
enum Happens {
    Start,
    Wake(u64),
    Accepted(u64, u8),
    Connected(u64),
    Failed(u64),
    Bytes(u64, bool, Vec<u8>),
    Drained(u64, bool),
    Closed(u64, bool),
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let lines = [
        "220 x ESMTP",
        "250-x",
        "250 ok",
        "250-SIZE 10",
        "354 go",
        "451 no",
        "550 5.1.1 no",
        "421 bye",
        "+OK",
        "+OK 1 1",
        "-ERR no",
        ".",
        "1 10",
        "1 a",
        "2 100000000000",
        "EHLO x",
        "LHLO x",
        "MAIL FROM:<a@b.example>",
        "RCPT TO:<info@firm1.example>",
        "DATA",
        "To: a@b.example, c@d.example",
        "",
        "QUIT",
        "USER firm1",
        "PASS pass-firm1.example",
        "STAT",
        "LIST",
        "UIDL",
        "RETR 1",
        "DELE 1",
        "CAPA",
        "RSET",
    ];
    let line = prop_oneof![
        6 => prop::sample::select(lines.to_vec()).prop_map(|line| format!("{line}\r\n").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(line, 1..12).prop_map(|lines| lines.concat())
}

fn happens() -> impl Strategy<Value = Happens> {
    let conn = 0u64..4;
    prop_oneof![
        1 => Just(Happens::Start),
        4 => (0u64..700_000).prop_map(Happens::Wake),
        3 => (conn.clone(), 0u8..3).prop_map(|(c, s)| Happens::Accepted(c, s)),
        4 => conn.clone().prop_map(Happens::Connected),
        1 => conn.clone().prop_map(Happens::Failed),
        12 => (conn.clone(), any::<bool>(), bytes()).prop_map(|(c, a, b)| Happens::Bytes(c, a, b)),
        2 => (conn.clone(), any::<bool>()).prop_map(|(c, a)| Happens::Drained(c, a)),
        1 => (conn, any::<bool>()).prop_map(|(c, a)| Happens::Closed(c, a)),
    ]
}

/// One that the host accepted, or one of the last it opened itself.
fn conn(number: u64, accepted: bool, opened: u64) -> Conn {
    if accepted { Conn::accepted(number) } else { Conn::opened(opened.saturating_sub(number)) }
}

/// What a host may say to one event beyond what came in: a newsletter to all, a burst of POP3.
const MAX_BYTES_BEYOND_INPUT: usize = 300 << 10;
/// A short command, and the longest answer to it.
const MAX_BYTES_FOR_ONE: usize = 60;

/// Gives the host all of it, and looks at what it does each time.
fn give(host: &mut dyn Host, all: &[Happens]) -> Result<(), TestCaseError> {
    let (mut now, mut opened) = (START, 0);
    for one in all {
        let mut given = 0;
        let peer = IpAddr::from([198, 18, 0, 9]);
        let services = [Service::Smtp, Service::Lmtp, Service::Pop3];
        let event = match one {
            Happens::Start => Event::Start,
            Happens::Wake(ms) => {
                now = now.plus_ms(*ms);
                Event::Wake
            }
            Happens::Accepted(c, s) => {
                Event::Accepted { conn: Conn::accepted(*c), service: services[usize::from(*s)], peer }
            }
            Happens::Connected(c) => Event::Connected { conn: conn(*c, false, opened) },
            Happens::Failed(c) => Event::Failed { conn: conn(*c, false, opened) },
            Happens::Bytes(c, a, bytes) => {
                given = bytes.len();
                Event::Bytes { conn: conn(*c, *a, opened), bytes }
            }
            Happens::Drained(c, a) => Event::Drained { conn: conn(*c, *a, opened) },
            Happens::Closed(c, a) => Event::Closed { conn: conn(*c, *a, opened) },
        };
        let mut actions = Vec::new();
        host.on(event, now, &mut actions);
        opened += actions.iter().filter(|action| matches!(action, Action::Connect { .. })).count() as u64;
        let sent = actions.iter().map(|action| match action {
            Action::Send { bytes, .. } => bytes.len(),
            _ => 0,
        });
        let most = MAX_BYTES_BEYOND_INPUT + MAX_BYTES_FOR_ONE * given;
        let sent: usize = sent.sum();
        prop_assert!(sent <= most, "{sent} bytes after {given}");
        prop_assert!(actions.len() <= 200 + given, "{} actions after {given} bytes", actions.len());
    }
    Ok(())
}

fn hosts(faulty: u32) -> Vec<Box<dyn Host>> {
    Dublin {
        firms: 4,
        faulty,
        plain_relay: true,
        honest_firms_poll: true,
        fails_from_addresses: 2,
        ..Dublin::default()
    }
    .world()
    .hosts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_events_in_any_order(all in prop::collection::vec(happens(), 1..60)) {
        for mut host in hosts(2) {
            give(&mut *host, &all)?;
        }
    }

    /// The way of a host that gets far: it has begun, is connected, and is told something.
    #[test]
    fn any_server(replies in prop::collection::vec(bytes(), 1..30)) {
        let mut all = vec![Happens::Start, Happens::Wake(10_000)];
        for bytes in replies {
            all.extend([Happens::Connected(0), Happens::Bytes(0, false, bytes), Happens::Wake(700)]);
        }
        for mut host in hosts(4) {
            give(&mut *host, &all)?;
        }
    }

    #[test]
    fn moments_do_not_overflow(ms: i64, more: u64) {
        let moment = Moment { ms };
        prop_assert!(moment.plus_ms(more) >= moment);
        prop_assert_eq!(moment.plus_ms(more.min(1 << 40)).ms_since(moment), more.min(1 << 40).min((i64::MAX as i128 - ms as i128).min(1 << 40) as u64));
    }
}
