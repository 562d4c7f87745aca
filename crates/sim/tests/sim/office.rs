//! Ordinary mail in a network with a plain relay.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use quell_sim::host::{HostName, Moment, Note, Place};
use quell_sim::isp::{Isp, IspSettings, MailboxSettings, Marks};
use quell_sim::network::{Network, Noted, Stopped};
use quell_sim::office::{Office, OfficeSettings};
use quell_sim::relay::{PlainRelay, PlainRelaySettings};

const START: Moment = Moment { ms: 1_134_223_401_000 };

fn place(name: &str, last: u8) -> Place {
    Place { name: Arc::from(name), ip: IpAddr::from([198, 18, 0, last]) }
}

fn network(seed: u64, max_messages: u64) -> Network {
    let mut network = Network::new(seed, START);
    let gateway: HostName = Arc::from("gateway");
    network.add(
        Box::new(Office::new(OfficeSettings {
            place: place("office.example", 1),
            next_hop: gateway,
            from: "jane@office.example".to_owned(),
            recipients: vec!["joe@firm.example".to_owned(), "ann@firm.example".to_owned()],
            every_ms: 1_000,
            max_messages,
            body_bytes: 2_000,
            seed,
        })),
        5,
    );
    network.add(
        Box::new(PlainRelay::new(PlainRelaySettings {
            place: place("gateway", 2),
            next_hop: Arc::from("isp"),
            max_messages: 10,
        })),
        1,
    );
    network.add(
        Box::new(Isp::new(IspSettings {
            place: place("isp", 3),
            mailboxes: vec![MailboxSettings {
                user: Arc::from("firm"),
                password: "secret".to_owned(),
                domain: "firm.example".to_owned(),
            }],
            marks: Marks::default(),
            max_messages_of_mailbox: 1_000,
        })),
        3,
    );
    network
}

fn notes(seed: u64) -> (Vec<Noted>, Stopped) {
    let mut notes = Vec::new();
    let stopped = network(seed, 50).run(START.plus_ms(3_600_000), 1_000_000, &mut |noted| {
        notes.push(noted);
        ControlFlow::Continue(())
    });
    (notes, stopped)
}

#[test]
fn each_message_arrives_once() {
    let (notes, stopped) = notes(1);
    assert_eq!(stopped, Stopped::Idle);
    let written = notes.iter().filter_map(|noted| match &noted.note {
        Note::Written { message_id } => Some(message_id),
        _ => None,
    });
    let mut count = 0;
    for id in written {
        let arrived = notes
            .iter()
            .filter(|noted| matches!(&noted.note, Note::Arrived { message_id, .. } if message_id == id));
        assert_eq!(arrived.count(), 1, "{id}");
        count += 1;
    }
    assert_eq!(count, 50);
    let passed = notes.iter().filter(|noted| noted.note == Note::Passed { recipients: 1 }).count();
    assert_eq!(passed, 50);
    assert!(!notes.iter().any(|noted| matches!(noted.note, Note::Refused { .. })));
}

#[test]
fn a_seed_decides_all() {
    assert_eq!(notes(3), notes(3));
    assert_ne!(notes(3), notes(4));
}
