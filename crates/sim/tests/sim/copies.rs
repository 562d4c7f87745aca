//! How the copies look: the two shapes of 2005.

use std::collections::{BTreeMap, BTreeSet};

use quell_mail::exact::exact_key;
use quell_mail::header::{fields, split};
use quell_mail::reading::Reader;
use quell_sim::faulty_server::Shape;
use quell_sim::host::Note;
use quell_sim::scenario::{Dublin, Shapes};

use crate::support::{Run, START, run};

fn storm(shape: Shape) -> Run {
    let dublin = Dublin {
        firms: 30,
        faulty: 4,
        shapes: Shapes::All(shape),
        poll_ms: 60_000,
        office_messages: 0,
        plain_relay: true,
        ..Dublin::default()
    };
    run(&dublin, 4_000, 24 * 3_600_000)
}

/// The values of the fields of this name, from the top, unfolded.
fn values(message: &[u8], name: &str) -> Vec<String> {
    let found = fields(split(message).0).filter(|field| field.is(name));
    found
        .map(|field| String::from_utf8_lossy(field.value).split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// The first message that came in, and the others.
fn original_and_copies(run: &Run) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut messages = run.mailbox(1);
    assert!(messages.len() > 50, "{}", messages.len());
    let copies = messages.split_off(1);
    (messages.remove(0), copies)
}

fn is_pickup(received: &str) -> bool {
    received.starts_with("from mail pickup service by ")
}

#[test]
fn a_growing_trace_keeps_the_exact_key() {
    let run = storm(Shape::Trace);
    let (original, copies) = original_and_copies(&run);
    let key = exact_key(&original, START.ms).unwrap();
    for copy in &copies {
        let mut reader = Reader::new(1 << 20);
        copy.chunks(1_000).for_each(|chunk| reader.push(chunk).unwrap());
        assert_eq!(reader.finish(START.ms).exact_key, Ok(key));
        assert_eq!(values(copy, "to"), values(&original, "to"));
        assert_eq!(split(copy).1, split(&original).1);
    }
}

#[test]
fn a_growing_trace_has_equal_lines_up_to_the_faulty_server() {
    let run = storm(Shape::Trace);
    let (original, copies) = original_and_copies(&run);
    let hops = values(&original, "received").len();
    assert_eq!(hops, 3, "the publisher's, the relay's and the ISP's");
    // By the line under the first pickup: the stamp of the mailbox that was collected.
    let mut below: BTreeMap<String, BTreeSet<Vec<String>>> = BTreeMap::new();
    let (mut chains, mut longest) = (BTreeSet::new(), 0);
    for copy in &copies {
        let mut chain = values(copy, "received");
        chain.reverse();
        longest = longest.max(chain.len());
        let first_pickup = chain.iter().position(|line| is_pickup(line)).unwrap();
        assert_eq!(first_pickup, hops, "{chain:?}");
        let pickups = chain.iter().filter(|line| is_pickup(line)).count();
        assert_eq!(chain.len(), hops + 3 * pickups, "pickup line, relay, ISP: {chain:?}");
        below.entry(chain[hops - 1].clone()).or_default().insert(chain[..hops].to_vec());
        assert!(chains.insert(chain), "each re-send differs");
    }
    assert_eq!(below.len(), 4, "one way to each faulty server");
    assert!(below.values().all(|ways| ways.len() == 1), "{below:?}");
    assert!(longest >= hops + 6, "copies of copies: {longest}");
}

#[test]
fn a_new_identity_has_the_marks_of_2005() {
    let run = storm(Shape::Identity);
    let (original, copies) = original_and_copies(&run);
    let internal = ["server.sbs.local", "sbserver.lawfirm.local", "sbs2003.office.local"];
    let mut ids = BTreeSet::from([values(&original, "message-id").remove(0)]);
    let (mut with_pickup_address, mut with_mailer, mut torn, mut hosts) = (0, 0, 0, BTreeSet::new());
    for copy in &copies {
        let id = values(copy, "message-id");
        let domain = id[0].trim_end_matches('>').rsplit('@').next().unwrap().to_owned();
        assert!(id.len() == 1 && internal.contains(&domain.as_str()), "{id:?}");
        assert!(ids.insert(id[0].clone()), "a fresh Message-ID each time");
        assert_ne!(values(copy, "date"), values(&original, "date"));
        let chain = values(copy, "received");
        assert_eq!(chain.len(), 3, "pickup, relay, ISP: {chain:?}");
        let stamp = format!("from mail pickup service by {domain} with Microsoft SMTPSVC; ");
        assert!(chain[2].starts_with(&stamp), "{chain:?}");
        for name in ["subject", "cc", "references", "in-reply-to", "content-type", "mime-version"] {
            assert_eq!(values(copy, name), values(&original, name), "{name}");
        }
        assert_eq!(values(copy, "from")[0].replace('"', ""), values(&original, "from")[0]);
        assert_eq!(split(copy).1, split(&original).1);
        assert_eq!((values(copy, "x-mimeole").len(), values(copy, "x-originalarrivaltime").len()), (1, 1));
        let to = values(copy, "to").remove(0);
        with_pickup_address += u32::from(to.contains("\"IMB Recipient 1\" <mspop3connector.firm"));
        torn += u32::from(to.contains(".local>"));
        with_mailer += u32::from(values(copy, "x-mailer") == ["Microsoft CDO for Exchange 2000"]);
        hosts.insert(domain);
    }
    let all = copies.len() as u32;
    assert_eq!(hosts.len(), 3, "four servers, two of one name");
    assert!((1..all).contains(&with_pickup_address), "{with_pickup_address} of {all}");
    assert!((1..all).contains(&torn), "{torn} of {all}");
    assert!(with_mailer < all, "{with_mailer} of {all}");
}

#[test]
fn reports_and_trouble_in_the_house_stay_there() {
    let run = storm(Shape::Identity);
    let arrived = run.isp.lock().unwrap().arrivals().keys().cloned().collect::<Vec<_>>();
    assert!(arrived.iter().all(|recipient| recipient.ends_with(".example")), "{arrived:?}");
    assert!(arrived.iter().any(|recipient| recipient.starts_with("mspop3connector.")));
    let refused = run.notes.iter().find(|noted| matches!(noted.note, Note::Refused { .. }));
    assert_eq!(refused, None, "names of the house went out");
}
