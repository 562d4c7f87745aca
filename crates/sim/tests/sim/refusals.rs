//! What a faulty server does when it is told no.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use quell_sim::collector::Collecting;
use quell_sim::faulty_server::{FaultyServer, FaultyServerSettings, Habits, Shape};
use quell_sim::host::{Action, Address, Conn, Event, Host, Moment, Note, Place, Service};
use quell_sim::isp::Isp;
use quell_sim::network::{Network, Noted};
use quell_sim::relay::{PlainRelay, PlainRelaySettings};
use quell_sim::scenario::{Dublin, GATEWAY, ISP};
use quell_wire::reply::Reply;
use quell_wire::server::{Session, Settings, Step};

use crate::support::START;

/// A gateway that passes the newsletter on, and says `code` to every recipient of what comes later.
struct Door {
    relay: PlainRelay,
    code: u16,
    from: Moment,
    refusing: BTreeMap<Conn, Session>,
}

impl Host for Door {
    fn place(&self) -> &Place {
        self.relay.place()
    }

    fn listens(&self) -> &[Service] {
        &[Service::Smtp]
    }

    fn on(&mut self, event: Event<'_>, now: Moment, out: &mut Vec<Action>) {
        let (conn, mut input) = match event {
            Event::Accepted { conn, .. } if now >= self.from => {
                self.refusing.insert(conn, Session::new(Arc::new(Settings::new("door"))));
                (conn, &b""[..])
            }
            Event::Bytes { conn, bytes } if self.refusing.contains_key(&conn) => (conn, bytes),
            _ => return self.relay.on(event, now, out),
        };
        let session = self.refusing.get_mut(&conn).unwrap();
        loop {
            let (taken, step) = session.next(input);
            input = &input[taken..];
            match step {
                Step::Mail(question, _) => session.answer(question, Reply::sender_ok()),
                Step::Rcpt(question, _) => session.answer(question, Reply::new(self.code, (7, 1), "no")),
                Step::NeedInput | Step::Closed(_) => break,
                _ => {}
            }
        }
        out.push(Action::Send { conn, bytes: std::mem::take(session.output()) });
    }
}

/// Runs one faulty firm of ten against the door for ten minutes.
fn notes(code: u16) -> Vec<Noted> {
    notes_of(code, None)
}

/// The same with another server in that firm.
fn notes_of(code: u16, other: Option<FaultyServer>) -> Vec<Noted> {
    let dublin = Dublin {
        firms: 10,
        faulty: 1,
        fails_from_addresses: 5,
        poll_ms: 60_000,
        office_messages: 0,
        ..Dublin::default()
    };
    let settings = PlainRelaySettings {
        place: Place { name: Arc::from(GATEWAY), ip: [198, 18, 0, 1].into() },
        next_hop: Arc::from(ISP),
        max_messages: 10,
    };
    let mut network = Network::new(1, START);
    let relay = PlainRelay::new(settings);
    network.add(Box::new(Door { relay, code, from: START.plus_ms(30_000), refusing: BTreeMap::new() }), 1);
    let replaced = other.as_ref().map(|host| host.place().name.clone());
    let hosts = dublin.world().hosts.into_iter().filter(|host| Some(&host.place().name) != replaced.as_ref());
    hosts.for_each(|host| network.add(host, 1));
    if let Some(host) = other {
        network.add(Box::new(host), 1);
    }
    let mut notes = Vec::new();
    network.run(START.plus_ms(600_000), 1_000_000, &mut |noted| {
        notes.push(noted);
        ControlFlow::Continue(())
    });
    notes
}

fn count(notes: &[Noted], which: impl Fn(&Note) -> bool) -> usize {
    notes.iter().filter(|noted| which(&noted.note)).count()
}

/// Recipients refused with this code; what is refused one by one may be told in parts.
fn refused(notes: &[Noted], code: u16) -> usize {
    let recipients = |noted: &Noted| match noted.note {
        Note::Refused { code: said, recipients } if said == code => recipients as usize,
        _ => 0,
    };
    notes.iter().map(recipients).sum()
}

#[test]
fn told_no_for_good_it_drops_the_copy_and_comes_again_with_the_next_poll() {
    let notes = notes(550);
    let polls = count(&notes, |note| matches!(note, Note::Polled { fetched: 1, failed: true }));
    assert!(polls >= 8, "{polls}");
    assert_eq!(refused(&notes, 550), 9 * polls);
    assert_eq!(count(&notes, |note| matches!(note, Note::CopySent { .. })), 0);
}

#[test]
fn told_to_come_again_it_does_five_times() {
    let notes = notes(451);
    let polls = count(&notes, |note| matches!(note, Note::Polled { .. }));
    assert!(polls >= 8, "{polls}");
    let refused = refused(&notes, 451);
    assert!((9 * 5 * polls..=9 * 5 * (polls + 1)).contains(&refused), "{refused} in {polls} polls");
}

#[test]
fn told_to_report_it_does_once_for_each_copy_and_never_of_a_report() {
    let server = FaultyServer::new(FaultyServerSettings {
        place: Place { name: Arc::from("firm10.example"), ip: [198, 18, 0, 2].into() },
        next_hop: Arc::from(GATEWAY),
        mailbox: Collecting {
            server: Address { host: Arc::from(ISP), service: Service::Pop3 },
            user: "firm10".to_owned(),
            password: "pass-firm10.example".to_owned(),
            max_messages: 5,
        },
        poll_ms: 60_000,
        fails_from_addresses: 5,
        sends_per_poll: 3,
        max_recipients: 4,
        reports: true,
        clock_off_ms: 0,
        habits: Habits {
            shape: Shape::Identity,
            internal_name: "server.sbs.local".to_owned(),
            pop3_user: "firm10".to_owned(),
            domain: "firm10.example".to_owned(),
            tears_one_in: 0,
            requotes_from: false,
            adds_pickup_address: true,
            says_mailer: false,
        },
        seed: 1,
    });
    let notes = notes_of(550, Some(server));
    let polls = count(&notes, |note| matches!(note, Note::Polled { fetched: 1, failed: true }));
    assert!(polls >= 8, "{polls}");
    assert_eq!(refused(&notes, 550), 3 * polls * (9 + 1), "three copies a poll, and a report of each");
}

#[test]
fn a_gateway_without_room_says_so() {
    let dublin = Dublin { firms: 10, faulty: 0, office_messages: 0, ..Dublin::default() };
    let mut network = Network::new(1, START);
    let place = Place { name: Arc::from(GATEWAY), ip: [198, 18, 0, 1].into() };
    let relay = PlainRelay::new(PlainRelaySettings { place, next_hop: Arc::from(ISP), max_messages: 0 });
    network.add(Box::new(relay), 1);
    network.add(Box::new(Isp::new(dublin.isp_settings())), 1);
    dublin.world().hosts.into_iter().skip(1).for_each(|host| network.add(host, 1));
    let mut notes = Vec::new();
    network.run(START.plus_ms(600_000), 1_000_000, &mut |noted| {
        notes.push(noted.note);
        ControlFlow::Continue(())
    });
    assert_eq!(notes, vec![Note::Refused { code: 452, recipients: 10 }; 10], "ten tries, and no more");
}
