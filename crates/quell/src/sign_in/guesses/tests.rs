use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

const MINUTE: u64 = 60_000;

fn at(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

fn who(address: IpAddr, name: u64) -> Who {
    Who::new(address, name, false)
}

/// A try with a wrong password, if it is let in.
fn guess(guesses: &mut Guesses, now_ms: u64, who: &Who) -> (Admission, Option<Block>) {
    let admitted = guesses.ask(now_ms, who);
    let block = matches!(admitted, Admission::After(_)).then(|| guesses.failed(now_ms, who)).flatten();
    (admitted, block)
}

#[test]
fn tries_are_slowed_then_refused_then_free_again() {
    let mut guesses = Guesses::default();
    let mut waits = Vec::new();
    for n in 0..20 {
        // Every try another name: it is the address that is counted.
        let (admitted, block) = guess(&mut guesses, 1_000 + n, &who(at(1), n));
        let Admission::After(wait) = admitted else { panic!("{n}: {admitted:?}") };
        waits.push(wait);
        assert_eq!(block.is_some(), n == 19, "{n}");
    }
    assert_eq!(waits[..11], [0, 0, 0, 0, 0, 500, 1_000, 2_000, 4_000, 8_000, 8_000]);
    let anybody = who(at(1), 99);
    assert_eq!(guesses.ask(1_021, &anybody), Admission::Refused);
    assert_eq!(guesses.ask(1_020 + 29 * MINUTE, &anybody), Admission::Refused);
    assert!(guesses.is_refused(1_021, &anybody));
    // The next address of the same network is not concerned.
    assert_eq!(guesses.ask(1_021, &who(at(2), 0)), Admission::After(0));
    assert_eq!(guesses.ask(1_020 + 31 * MINUTE, &anybody), Admission::After(0));
}

#[test]
fn a_network_is_refused_as_a_whole() {
    let mut guesses = Guesses::default();
    let mut blocks = Vec::new();
    for n in 0..100 {
        // Ten addresses in turn.
        blocks.extend(guess(&mut guesses, n, &who(at((n % 10) as u8), n)).1);
    }
    let network = Net::of(at(0), 24, 48);
    assert_eq!(blocks, [Block { whom: Whom::Network(network), failures: 100, tell: true }]);
    assert_eq!(network.to_string(), "192.0.2.0/24");
    assert_eq!(guesses.ask(101, &who(at(200), 1)), Admission::Refused);
    let next = IpAddr::V4(Ipv4Addr::new(192, 0, 3, 1));
    assert_eq!(guesses.ask(101, &who(next, 1)), Admission::After(0));
}

#[test]
fn networks_of_ipv6_are_those_that_one_customer_has() {
    let host = |a: u16, b: u16, c: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, a, b, 0, 0, 0, c));
    let (one, two, three) = (who(host(1, 1, 1), 1), who(host(1, 1, 2), 1), who(host(1, 2, 1), 1));
    assert_eq!(one.address(), two.address());
    assert_ne!(one.address(), three.address());
    assert_eq!(one.network(), three.network());
    assert_ne!(one.network(), who(host(2, 1, 1), 1).network());
    assert_eq!(one.address().to_string(), "2001:db8:1:1::/64");
    assert_eq!(one.network().to_string(), "2001:db8:1::/48");
    let mapped = "::ffff:192.0.2.1".parse().unwrap();
    assert_eq!(who(mapped, 1), who(at(1), 1));
    assert_eq!(who(mapped, 1).address().to_string(), "192.0.2.1");
}

/// One telephone with an old password does not keep an office out.
#[test]
fn one_users_mistakes_do_not_refuse_the_others_behind_the_address() {
    let mut guesses = Guesses::default();
    let (phone, others) = (who(at(1), 7), who(at(1), 8));
    let mut refused = 0;
    // Every ten seconds for a day.
    for n in 0..8_640 {
        let now = n * 10_000;
        let (admitted, block) = guess(&mut guesses, now, &phone);
        refused += usize::from(admitted == Admission::Refused);
        assert!(block.is_none_or(|block| block.whom == Whom::UserIn(phone.network()) && !block.tell));
        let Admission::After(wait) = guesses.ask(now, &others) else { panic!("{n}") };
        assert!(wait <= 500, "{wait}");
        guesses.succeeded(now, &others);
    }
    assert!(refused > 8_000, "{refused}");
}

#[test]
fn a_success_forgives_in_part_and_seldom() {
    let mut guesses = Guesses::default();
    let mine = who(at(1), 1_000_000);
    let mut checked = 0;
    // A guess at another name, and a sign-in with a password of one's own, in turn.
    for n in 0..10_000 {
        let (admitted, _) = guess(&mut guesses, n, &who(at(1), n));
        checked += usize::from(matches!(admitted, Admission::After(_)));
        if matches!(guesses.ask(n, &mine), Admission::After(_)) {
            guesses.succeeded(n, &mine);
        }
    }
    assert!(checked <= 30, "{checked}");
}

#[test]
fn tries_at_the_same_time_count_as_if_they_had_failed() {
    let mut guesses = Guesses::default();
    let admitted = (0..1_000).filter(|n| guesses.ask(0, &who(at(1), *n)) == Admission::After(0)).count();
    assert_eq!(admitted, 20);
    assert_eq!(guesses.ask(0, &who(at(1), 5_000)), Admission::Busy);
    assert_eq!(guesses.ask(0, &who(at(2), 5_000)), Admission::After(0));
    guesses.withdrawn(0, &who(at(1), 3));
    assert_eq!(guesses.ask(0, &who(at(1), 5_000)), Admission::After(0));
}

#[test]
fn a_host_for_many_people_is_refused_by_name_only() {
    let mut guesses = Guesses::default();
    let web_mail = |name| Who::new(at(1), name, true);
    for n in 0..10_000 {
        assert!(matches!(guess(&mut guesses, n, &web_mail(n)).0, Admission::After(0)));
    }
    for n in 0..10 {
        guess(&mut guesses, n, &web_mail(20_000));
    }
    assert_eq!(guesses.ask(11, &web_mail(20_000)), Admission::Refused);
    assert_eq!(guesses.ask(11, &web_mail(20_001)), Admission::After(0));
}

/// 10,000 guesses, however they are spread over names and time.
#[test]
fn ten_thousand_guesses_from_one_address_cost_few_checks() {
    for (names, apart_ms) in [(1, 10), (1, 8_640), (50, 8_640), (10_000, 10), (10_000, 8_640)] {
        let mut guesses = Guesses::default();
        let (mut checked, mut told, mut blocks) = (0, 0, 0);
        for n in 0..10_000 {
            let (admitted, block) = guess(&mut guesses, n * apart_ms, &who(at(1), n % names));
            checked += usize::from(matches!(admitted, Admission::After(_)));
            blocks += usize::from(block.is_some());
            told += usize::from(block.is_some_and(|block| block.tell));
        }
        let half_hours = 1 + usize::try_from(10_000 * apart_ms / REFUSED_MS).unwrap();
        assert!(checked <= 40 * half_hours, "{names} names, {apart_ms} ms: {checked} checks");
        assert!(told <= 24 && blocks <= 40 * half_hours, "{told} alerts, {blocks} blocks");
        assert!(apart_ms > 10 || told <= 1);
    }
}

#[test]
fn of_a_herd_the_operator_is_told_a_few_times() {
    let mut guesses = Guesses::default();
    let (mut told, mut blocks) = (0, 0);
    for herd in 0..1_000u32 {
        let address = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0001 + (herd << 8)));
        for n in 0..20 {
            let block = guess(&mut guesses, 1_000, &who(address, n)).1;
            blocks += u32::from(block.is_some());
            told += u32::from(block.is_some_and(|block| block.tell));
        }
    }
    assert_eq!((blocks, told), (1_000, TELLS));
}

#[derive(Debug, Clone)]
enum Act {
    Fail(IpAddr, u64),
    Succeed(IpAddr, u64),
    Withdraw(IpAddr, u64),
    Later(u64),
}

/// Addresses outside 203.0.113.0/24.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        3 => (0..4u8, 0..6u8).prop_map(|(net, host)| IpAddr::V4(Ipv4Addr::new(10, 0, net, host))),
        1 => (0..4u16, 0..6u16).prop_map(|(net, host)| Ipv6Addr::new(0x2001, 0xdb8, net, host, 0, 0, 0, 1).into()),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let somebody = || (address(), 0..5u64);
    prop_oneof![
        8 => somebody().prop_map(|(address, name)| Act::Fail(address, name)),
        2 => somebody().prop_map(|(address, name)| Act::Succeed(address, name)),
        1 => somebody().prop_map(|(address, name)| Act::Withdraw(address, name)),
        1 => (0..20 * MINUTE).prop_map(Act::Later),
    ]
}

proptest! {
    /// Whatever happens elsewhere, the users that are guessed at sign in from an address and a network
    /// of their own at once; and the tables hold no more than they may.
    #[test]
    fn nobody_is_locked_out_from_elsewhere(acts in prop::collection::vec(act(), 1..600), entries in 1..12usize) {
        let mut guesses = Guesses::holding(entries);
        let (mut now, home) = (0, IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)));
        for act in acts {
            let (address, name) = match act {
                Act::Later(ms) => { now += ms; continue }
                Act::Fail(address, name) | Act::Succeed(address, name) | Act::Withdraw(address, name) => (address, name),
            };
            let who = who(address, name);
            if let Admission::After(wait) = guesses.ask(now, &who) {
                prop_assert!(wait <= LAST_WAIT_MS);
                match act {
                    Act::Fail(..) => drop(guesses.failed(now, &who)),
                    Act::Succeed(..) => guesses.succeeded(now, &who),
                    _ => guesses.withdrawn(now, &who),
                }
            }
            let at_home = super::Who::new(home, name, false);
            prop_assert_eq!(guesses.ask(now, &at_home), Admission::After(0));
            guesses.succeeded(now, &at_home);
            for len in [guesses.addresses.len(), guesses.networks.len(), guesses.pairs.len()] {
                prop_assert!(len <= entries, "{} entries", len);
            }
        }
    }

    /// Tries that are under way are counted once each, and all of them are given back.
    #[test]
    fn tries_under_way_are_given_back(ends in prop::collection::vec((0..3u8, 0..3u64), 1..60)) {
        let mut guesses = Guesses::default();
        let mut open = Vec::new();
        for (end, name) in ends {
            let who = who(at(1), name);
            if matches!(guesses.ask(0, &who), Admission::After(_)) {
                open.push((end, who));
            }
        }
        for (end, who) in open {
            match end {
                0 => drop(guesses.failed(0, &who)),
                1 => guesses.succeeded(0, &who),
                _ => guesses.withdrawn(0, &who),
            }
        }
        let somebody = who(at(1), 0);
        let pending = [guesses.addresses.get(&somebody.address), guesses.networks.get(&somebody.network)];
        prop_assert!(pending.iter().all(|entry| entry.pending == 0));
        for name in 0..3 {
            prop_assert_eq!(guesses.pairs.get(&who(at(1), name).pair()).pending, 0);
        }
    }
}
