//! Hosts that nothing can break: any bytes, any events, in any order.

use proptest::prelude::*;
use quell_sim::fuzz::{Happens, Which, give, hosts};
use quell_sim::host::{Moment, Service};

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

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![(0u8..4).prop_map(Which::Opened), (0u8..4).prop_map(Which::Accepted)]
}

fn happens() -> impl Strategy<Value = Happens> {
    let services = prop::sample::select(vec![Service::Smtp, Service::Lmtp, Service::Pop3]);
    prop_oneof![
        1 => Just(Happens::Start),
        4 => (0u64..700_000).prop_map(Happens::Wake),
        3 => (0u8..4, services).prop_map(|(number, service)| Happens::Accepted(number, service)),
        4 => (0u8..4).prop_map(Happens::Connected),
        1 => (0u8..4).prop_map(Happens::Failed),
        12 => (which(), bytes()).prop_map(|(which, bytes)| Happens::Bytes(which, bytes)),
        2 => which().prop_map(Happens::Drained),
        1 => which().prop_map(Happens::Closed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_events_in_any_order(all in prop::collection::vec(happens(), 1..60)) {
        hosts(1).iter_mut().for_each(|host| give(&mut **host, &all));
    }

    /// The way of a host that gets far: it has begun, is connected, and is told something.
    #[test]
    fn any_server(replies in prop::collection::vec(bytes(), 1..30)) {
        let mut all = vec![Happens::Start, Happens::Wake(10_000)];
        for bytes in replies {
            all.extend([Happens::Connected(0), Happens::Bytes(Which::Opened(0), bytes), Happens::Wake(700)]);
        }
        hosts(2).iter_mut().for_each(|host| give(&mut **host, &all));
    }

    #[test]
    fn moments_do_not_overflow(ms: i64, more: u64) {
        let moment = Moment { ms };
        prop_assert!(moment.plus_ms(more) >= moment);
        prop_assert_eq!(moment.plus_ms(more.min(1 << 40)).ms_since(moment), more.min(1 << 40).min((i64::MAX as i128 - ms as i128).min(1 << 40) as u64));
    }
}
