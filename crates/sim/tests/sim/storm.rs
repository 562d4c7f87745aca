//! The storm as a whole, with a plain relay where quell would stand.

use std::collections::BTreeMap;

use quell_sim::faulty_server::Shape;
use quell_sim::host::Note;
use quell_sim::network::Stopped;
use quell_sim::scenario::{Dublin, Shapes};

use crate::support::run;

fn dublin(shape: Shape) -> Dublin {
    Dublin {
        firms: 40,
        faulty: 3,
        shapes: Shapes::All(shape),
        poll_ms: 60_000,
        office_every_ms: 10_000,
        office_messages: 10_000,
        plain_relay: true,
        ..Dublin::default()
    }
}

#[test]
fn it_grows_until_it_is_cut_off_and_every_recipient_has_many() {
    for shape in [Shape::Trace, Shape::Identity] {
        let run = run(&dublin(shape), 10_000, 24 * 3_600_000);
        assert_eq!(run.stopped, Stopped::Enough, "{shape:?}");
        assert!((10_000..10_100).contains(&run.copies()), "{shape:?}: {}", run.copies());
        for recipient in &run.world.recipients {
            let arrived = run.arrivals(recipient);
            assert!(arrived > 100, "{shape:?}: {recipient} has {arrived}");
        }
    }
}

#[test]
fn the_first_polls_bring_more_and_more() {
    let run = run(&dublin(Shape::Trace), 10_000, 24 * 3_600_000);
    let mut polls: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for noted in &run.notes {
        if let Note::Polled { fetched, failed } = noted.note {
            assert!(failed, "nothing but the newsletter and its copies is in these mailboxes");
            polls.entry(&noted.host).or_default().push(fetched);
        }
    }
    assert_eq!(polls.len(), 3);
    for (host, fetched) in polls {
        assert!(fetched[0] >= 1 && fetched.is_sorted(), "{host}: {fetched:?}");
        assert_eq!(fetched.last(), Some(&5), "{host}: as many as a poll fetches");
    }
}

#[test]
fn other_mail_arrives_once() {
    let run = run(&dublin(Shape::Identity), 10_000, 24 * 3_600_000);
    let mut arrived: BTreeMap<&str, u32> = BTreeMap::new();
    let mut written = Vec::new();
    for noted in &run.notes {
        match &noted.note {
            Note::Arrived { message_id, .. } => *arrived.entry(message_id).or_default() += 1,
            Note::Written { message_id } if noted.at.plus_ms(60_000) < run.now => written.push(message_id),
            _ => {}
        }
    }
    assert!(written.len() > 20, "{}", written.len());
    assert!(written.iter().all(|id| arrived.get(&***id) == Some(&1)));
}

#[test]
fn a_seed_decides_all() {
    let notes = |seed| run(&Dublin { seed, ..dublin(Shape::Identity) }, 2_000, 3_600_000).notes;
    assert_eq!(notes(1), notes(1));
    assert_ne!(notes(1), notes(2));
}

#[test]
fn a_short_list_makes_no_storm() {
    let quiet = Dublin { fails_from_addresses: 41, honest_firms_poll: true, ..dublin(Shape::Trace) };
    let run = run(&quiet, 1, 600_000);
    assert_eq!((run.stopped, run.copies()), (Stopped::Time, 0));
    for firm in 1..=40 {
        let newsletters =
            run.mailbox(firm).iter().filter(|m| m.windows(9).any(|w| w == b"lawbooks.")).count();
        assert_eq!(newsletters, 0, "firm {firm} has collected it");
    }
    assert!(run.world.recipients.iter().all(|recipient| run.arrivals(recipient) == 1));
}

#[test]
fn without_a_gateway_nothing_moves() {
    let run = run(&Dublin { plain_relay: false, ..dublin(Shape::Trace) }, 1, 600_000);
    assert_eq!(run.stopped, Stopped::Time);
    assert!(
        !run.notes.iter().any(|noted| matches!(noted.note, Note::Submitted { .. } | Note::Arrived { .. }))
    );
}
