//! A house with a clock: the door, attempts, and next hops that behave as they are told, over days.

use std::net::IpAddr;
use std::sync::Arc;

use quell_mail::key::Secret;
use quell_queue::body::BodyRef;
use quell_queue::clock::Now;
use quell_queue::destination::Destination;
use quell_queue::door::{Bytes, Door, DoorSettings, Effect, Incoming, Together};
use quell_queue::dots::DotRecord;
use quell_queue::store::memory::{MemoryReader, MemoryStore};
use quell_queue::store::{Row, RowId, Store};
use quell_relay::attempt::fuzz::{Does, Driver, Event, World, cleared, content, facts, sending};
use quell_relay::attempt::{Attempt, Reached, Target};
use quell_relay::route::{DnsError, NextHop};
use quell_storm::facts::{Answered, Facts, Ms, RowState};
use quell_storm::limits::Limits;
use quell_wire::client::Wait;

const MINUTE: Ms = 60_000;
const HOUR: Ms = 60 * MINUTE;
const DAY: Ms = 24 * HOUR;
/// Recipients of one attempt.
const MOST: usize = 100;

type Behaviour = Box<dyn FnMut(Ms, &Event) -> Does>;

struct House {
    store: MemoryStore,
    door: Door<MemoryReader, ()>,
    now: Ms,
    next_hop: NextHop,
    /// What all servers do, at what time.
    servers: Behaviour,
    /// Records at the dot that are not over.
    dots: Vec<DotRecord>,
    /// When connections were tried, and when rows came to the dot.
    connects: Vec<Ms>,
    sendings: Vec<(Ms, RowId)>,
    places: u64,
}

/// The world as an attempt sees it from inside.
struct Inside<'a> {
    house: &'a mut House,
}

impl World for Inside<'_> {
    fn mx(&mut self, _domain: &str) -> Result<Vec<(u16, String)>, DnsError> {
        Ok(vec![(10, "mx.b.example".to_owned())])
    }

    fn addresses(&mut self, _host: &str) -> Result<Vec<IpAddr>, DnsError> {
        Ok(vec![[192, 0, 2, 1].into()])
    }

    fn happens(&mut self, _at: &Target, event: &Event) -> Does {
        if *event == Event::Connect {
            self.house.connects.push(self.house.now);
        }
        let does = (self.house.servers)(self.house.now, event);
        if does == Does::Hangs {
            let wait = if matches!(event, Event::Message(_)) { Wait::FinalDot } else { Wait::Command };
            self.house.now += Ms::try_from(wait.secs()).unwrap() * 1000;
        }
        does
    }

    fn write_down(&mut self, rows: &[RowId]) -> bool {
        let now = self.house.at();
        let records = self.house.door.at_dot(rows, &now);
        self.house.sendings.extend(rows.iter().map(|row| (now.ms, row.clone())));
        self.house.dots.extend(records.iter().cloned());
        records.len() == rows.len()
    }
}

fn door(store: &MemoryStore, next_hop: &NextHop, now: &Now) -> Door<MemoryReader, ()> {
    let destination = next_hop.destination();
    let settings = DoorSettings { limits: Limits::default(), gateway: 1 };
    let mut seed = 1u64;
    let random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed
    };
    let (reader, secret) = (store.reader().unwrap(), Secret::new(1, [9; 32]));
    Door::open(reader, secret, settings, Box::new(move |_| destination.clone()), Box::new(random), now)
        .unwrap()
}

fn at(ms: Ms) -> Now {
    Now { ms, wall_ms: ms, mono_ms: ms.unsigned_abs(), may_expire: true }
}

impl House {
    fn new(to: &str, servers: impl FnMut(Ms, &Event) -> Does + 'static) -> Self {
        let (store, now) = (MemoryStore::default(), facts(1, &[]).received_ms);
        let next_hop = NextHop::of_destination(&Destination::new(to));
        Self {
            door: door(&store, &next_hop, &at(now)),
            store,
            now,
            next_hop,
            servers: Box::new(servers),
            dots: vec![],
            connects: vec![],
            sendings: vec![],
            places: 0,
        }
    }

    fn at(&self) -> Now {
        at(self.now)
    }

    fn take(&mut self, facts: Facts) {
        let (now, queue_id) = (self.at(), facts.queue_id);
        let bytes = Bytes::Small(b"Subject: x\r\n\r\n".to_vec());
        self.door.accept(Incoming { facts, front: vec![], bytes, header: vec![], settles: None }, (), &now);
        self.commit();
        self.door.answered(&queue_id, Answered::Fine, &now);
    }

    fn commit(&mut self) {
        while let Some(mut work) = self.door.take_batch() {
            let mut places = vec![];
            for body in &work.bodies {
                self.places += 1;
                places.push((body.queue_id, BodyRef { file: 2, offset: self.places, len: 10 }));
            }
            work.placed(&places);
            self.store.commit(&work.batch).unwrap();
            let now = self.at();
            self.door.committed(&places, &now);
        }
        for effect in self.door.effects() {
            if let Effect::DotsOver(rows) = effect {
                self.dots.retain(|record| !rows.contains(&record.row));
            }
        }
    }

    /// One attempt, if something is due.
    fn attempt(&mut self) -> bool {
        let now = self.at();
        self.door.tick(&now);
        self.commit();
        let Some(destination) = self.door.next_destination(&now, &mut |_, _| true) else { return false };
        let claims = self.door.claim_for(&destination, MOST, Together::OneMessage, &now);
        if claims.is_empty() {
            return false;
        }
        let mut driver = Driver::default();
        driver.expects(&claims);
        let hop = NextHop::of_destination(&destination);
        assert_eq!(hop, self.next_hop);
        let mut attempt = Attempt::new(Arc::new(sending()), hop, cleared(claims), content(), 0);
        let done = driver.drive(&mut attempt, b"Subject: x\r\n\r\nhi\r\n", &mut Inside { house: self });
        let now = self.at();
        match attempt.reached() {
            Reached::Yes => self.door.destination_up(&destination, &now),
            Reached::No(status) => self.door.destination_down(&destination, &status, &now),
            Reached::Unclear => {}
        }
        for settled in std::mem::take(&mut driver.settled) {
            self.door.settle(settled.claim, settled.outcome, &now);
        }
        for back in std::mem::take(&mut driver.given_back) {
            self.door.give_back(back.claim, &now);
        }
        self.commit();
        if done {
            attempt.quit();
            driver.expects(&[]);
            driver.drive(&mut attempt, b"", &mut Inside { house: self });
        }
        true
    }

    /// Lets time pass, in steps of a minute.
    fn run(&mut self, until: Ms) {
        while self.now < until {
            while self.attempt() {}
            self.now += MINUTE;
        }
    }

    /// The rows of the arrival of this number.
    fn rows(&self, number: u32) -> Vec<Row> {
        self.door.show(&facts(number, &[]).queue_id, MOST).unwrap().unwrap().1
    }

    /// When a recipient's row came to the dot, after `start`.
    fn sendings_of(&self, rcpt: &str, start: Ms) -> Vec<Ms> {
        self.sendings.iter().filter(|(_, row)| row.rcpt == rcpt).map(|(at, _)| *at - start).collect()
    }
}

#[test]
fn a_next_hop_that_never_answers_the_dot_is_sent_to_five_times_and_no_more() {
    let mut house = House::new("smtp://192.0.2.1:25", |_, event| match event {
        Event::Message(_) => Does::Hangs,
        _ => Does::Goes,
    });
    let start = house.now;
    house.take(facts(1, &["jane@b.example"]));
    house.run(start + 7 * DAY);
    let times: Vec<Ms> = house.sendings.iter().map(|(at, _)| *at).collect();
    let waits: Vec<Ms> = times.windows(2).map(|two| two[1] - two[0]).collect();
    let answer = 10 * MINUTE;
    assert_eq!(waits, [30 * MINUTE, 2 * HOUR, 8 * HOUR, 24 * HOUR].map(|wait| wait + answer));
    assert_eq!(times[0], start);
    let rows = house.rows(1);
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.state, row.sendings, row.extra.maybe_delivered), (RowState::Failed, 5, true));
    assert!(row.status.starts_with("4.4.2 it may have been delivered"), "{}", row.status);
    assert!(row.extra.report_due && house.dots.is_empty());
}

#[test]
fn killed_at_the_dot_it_is_unknown_and_sent_once_more_after_half_an_hour() {
    let mut house = House::new("lmtp://192.0.2.1:24", |_, _| Does::Goes);
    let start = house.now;
    house.take(facts(1, &["a@b.example", "b@b.example"]));
    let now = house.at();
    let destination = house.door.next_destination(&now, &mut |_, _| true).unwrap();
    let claims = house.door.claim_for(&destination, 1, Together::OneMessage, &now);
    // The record is written, and there the process ends: no outcome.
    let record = house.door.at_dot(&[claims[0].row().clone()], &now);
    house.sendings.push((now.ms, record[0].row.clone()));
    house.now += MINUTE;
    house.door = door(&house.store, &house.next_hop, &house.at());
    house.dots = record.clone();
    let now = house.at();
    house.door.restore_dots(record, &now);
    house.commit();
    assert!(house.dots.is_empty(), "{:?}", house.dots);
    house.run(start + DAY);
    let of = |rcpt: &str| house.sendings_of(rcpt, start);
    assert_eq!((of("a@b.example"), of("b@b.example")), (vec![0, 31 * MINUTE], vec![MINUTE]));
    let rows = house.rows(1);
    let ended: Vec<_> = rows.iter().map(|r| (&*r.id.rcpt, r.state, r.extra.maybe_delivered)).collect();
    let delivered = RowState::Delivered;
    assert_eq!(ended, [("a@b.example", delivered, true), ("b@b.example", delivered, false)]);
}

#[test]
fn a_dead_destination_is_tried_as_one_and_every_message_arrives_once_when_it_is_back() {
    let back = facts(1, &[]).received_ms + 12 * HOUR;
    let mut house = House::new("b.example", move |now, event| match event {
        Event::Connect if now < back => Does::Closes,
        _ => Does::Goes,
    });
    for number in 1..=200 {
        house.take(facts(number, &[&format!("r{number}@b.example")]));
    }
    house.run(back);
    let tries = house.connects.len();
    assert!((6..=20).contains(&tries), "{tries} connections in twelve hours");
    house.run(back + 3 * HOUR);
    let mut sent: Vec<&str> = house.sendings.iter().map(|(_, row)| row.rcpt.as_str()).collect();
    assert_eq!(sent.len(), 200);
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(sent.len(), 200);
    let relayed = |number: u32| house.rows(number).iter().filter(|r| r.state == RowState::Relayed).count();
    assert_eq!((1..=200).map(relayed).sum::<usize>(), 200);
}

#[test]
fn who_is_refused_for_the_moment_is_tried_again_alone() {
    let mut left = 3;
    let mut house = House::new("smtp://192.0.2.1:25", move |_, event| match event {
        Event::Command(line) if line.starts_with("RCPT TO:<b@") && left > 0 => {
            left -= 1;
            Does::Says("450 4.2.1 later".to_owned())
        }
        _ => Does::Goes,
    });
    let start = house.now;
    house.take(facts(1, &["a@b.example", "b@b.example", "c@b.example"]));
    house.run(start + 2 * HOUR);
    let of = |rcpt: &str| house.sendings_of(rcpt, start).len();
    assert_eq!((of("a@b.example"), of("b@b.example"), of("c@b.example")), (1, 1, 1));
    assert_eq!(house.connects.len(), 4);
    let rows = house.rows(1);
    let done = rows.iter().filter(|row| row.state == RowState::Relayed && row.sendings == 1);
    assert_eq!(done.count(), 3, "{rows:?}");
}
