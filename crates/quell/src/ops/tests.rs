use super::testing::Bench;
use super::*;
use proptest::prelude::*;
use quell_queue::destination::Destination;
use quell_queue::ledger::Outcome;
use quell_queue::store::memory::MemoryStore;

type Memory = Bench<MemoryStore>;

fn list(states: &[State], filter: Filter) -> Request {
    Request::QueueList { states: states.to_vec(), filter, after: None, limit: SLICE }
}

fn rows(bench: &mut Memory, request: &Request) -> Vec<RowShown> {
    match bench.ask(request) {
        Response::Rows(rows) => rows.rows,
        other => panic!("{other:?}"),
    }
}

fn changed(bench: &mut Memory, request: &Request) -> Changed {
    match bench.ask(request) {
        Response::Changed(changed) => changed,
        other => panic!("{other:?}"),
    }
}

fn failure(bench: &mut Memory, request: &Request) -> Failure {
    match bench.ask(request) {
        Response::Error(failed) => failed,
        other => panic!("{other:?}"),
    }
}

fn to(address: &str) -> Filter {
    Filter { recipient: Some(address.to_owned()), ..Filter::default() }
}

fn retry_all() -> Request {
    Request::QueueRetry { target: Target::All, states: Vec::new(), after: None }
}

fn remove(id: &str, recipient: Option<&str>) -> Request {
    let recipient = recipient.map(str::to_owned);
    Request::QueueRemove { id: id.to_owned(), recipient, report: false, after: None }
}

fn retry(id: &str, recipient: Option<&str>) -> Request {
    let target = Target::Message { id: id.to_owned(), recipient: recipient.map(str::to_owned) };
    Request::QueueRetry { target, states: Vec::new(), after: None }
}

fn failed() -> Outcome {
    Outcome::Failed { status: "5.1.1 no such mailbox".into(), about_recipient: true }
}

fn temporary() -> Outcome {
    Outcome::Temporary { status: "4.2.2 mailbox full".into() }
}

#[test]
fn lists_what_is_open_and_filters() {
    let mut bench = Bench::new();
    let id = bench.arrive(1, &["jane@firm.example", "tom@firm.example"]);
    bench.arrive(2, &["jane@other.example"]);
    let all = rows(&mut bench, &list(&[], Filter::default()));
    assert_eq!(all.len(), 3);
    assert_eq!((all[0].id.as_str(), all[0].state), (id.to_string().as_str(), State::Waiting));
    assert_eq!(all[0].sender.as_deref(), Some("ann@client.example"));
    assert_eq!(all[0].size_bytes, Some(2048));
    for (filter, n) in [
        (to("JANE@firm.example"), 1),
        (to("nobody@firm.example"), 0),
        (Filter { domain: Some("FIRM.example".into()), ..Filter::default() }, 2),
        (Filter { sender: Some("<Ann@client.example>".into()), ..Filter::default() }, 3),
        (Filter { sender: Some("<>".into()), ..Filter::default() }, 0),
    ] {
        assert_eq!(rows(&mut bench, &list(&[], filter.clone())).len(), n, "{filter:?}");
    }
    bench.deliver(&Outcome::Delivered);
    assert!(rows(&mut bench, &list(&[], Filter::default())).is_empty());
    assert_eq!(rows(&mut bench, &list(&[State::Delivered], Filter::default())).len(), 3);
}

#[test]
fn a_claimed_row_shows_as_claimed_and_is_left_alone() {
    let mut bench = Bench::new();
    let id = bench.arrive(1, &["jane@firm.example"]).to_string();
    let claims = bench.claims();
    assert_eq!(claims.len(), 1);
    let claimed = rows(&mut bench, &list(&[State::Claimed], Filter::default()));
    assert_eq!(claimed[0].state, State::Claimed);
    assert!(rows(&mut bench, &list(&[State::Waiting], Filter::default())).is_empty());
    assert_eq!(changed(&mut bench, &remove(&id, None)).skipped, 1);
    let refused = failure(&mut bench, &remove(&id, Some("jane@firm.example")));
    assert_eq!(refused.kind, ErrorKind::Conflict);
    assert!(refused.message.contains("being delivered at this moment"), "{refused}");
}

#[test]
fn pages_reach_every_row_once() {
    let mut bench = Bench::new();
    let addresses: Vec<String> = (0..2_500).map(|i| format!("r{i:04}@firm.example")).collect();
    let id = bench.arrive(1, &addresses.iter().map(String::as_str).collect::<Vec<_>>()).to_string();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let request = Request::QueueList { states: vec![], filter: Filter::default(), after, limit: 700 };
        let Response::Rows(page) = bench.ask(&request) else { panic!() };
        assert!(page.rows.len() <= 700);
        seen.extend(page.rows.into_iter().map(|row| row.recipient));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, addresses);
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let Response::Shown(page) = bench.ask(&Request::QueueShow { id: id.clone(), after }) else {
            panic!()
        };
        seen.extend(page.rows.into_iter().map(|row| row.recipient));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, addresses);
    let one = changed(&mut bench, &remove(&id, Some("r2400@firm.example")));
    assert_eq!(one.done, 1);
    let gone = rows(&mut bench, &list(&[State::Discarded], Filter::default()));
    assert_eq!(gone.iter().map(|r| r.recipient.as_str()).collect::<Vec<_>>(), ["r2400@firm.example"]);
}

#[test]
fn retry_makes_what_waits_due_now() {
    let mut bench = Bench::new();
    bench.arrive(1, &["jane@firm.example", "tom@other.example"]);
    bench.deliver(&temporary());
    assert!(bench.claims().is_empty());
    let one_domain =
        Request::QueueRetry { target: Target::Domain("Other.example".into()), states: vec![], after: None };
    assert_eq!(changed(&mut bench, &one_domain).done, 1);
    let claims = bench.claims();
    assert_eq!(claims.iter().map(|c| c.identity()).collect::<Vec<_>>(), ["tom@other.example"]);
    assert_eq!(changed(&mut bench, &retry_all()), Changed { done: 1, skipped: 1, ..Changed::default() });
    assert_eq!(bench.claims().len(), 1);
}

#[test]
fn retry_of_all_leaves_what_could_be_sent_twice() {
    let mut bench = Bench::new();
    let id = bench.arrive(1, &["jane@firm.example"]).to_string();
    bench.deliver(&Outcome::Unknown { status: "4.4.2 gone".into() });
    assert_eq!(changed(&mut bench, &retry_all()).done, 0);
    assert!(bench.claims().is_empty());
    assert_eq!(changed(&mut bench, &retry(&id, None)).done, 1);
    assert_eq!(bench.claims().len(), 1);
}

#[test]
fn a_failed_row_without_its_body_is_refused_in_words() {
    let mut bench = Bench::new();
    let id = bench.arrive(1, &["jane@firm.example"]).to_string();
    bench.deliver(&failed());
    bench.ms += 4 * 86_400_000;
    assert_eq!(changed(&mut bench, &retry(&id, Some("jane@firm.example"))).done, 1);
    bench.deliver(&failed());
    bench.ms += 6 * 86_400_000;
    let now = bench.now();
    bench.door.tick(&now);
    bench.commit();
    let refused = failure(&mut bench, &retry(&id, Some("jane@firm.example")));
    assert_eq!(refused.kind, ErrorKind::Conflict);
    assert!(refused.message.contains("no longer kept"), "{refused}");
    let all = changed(&mut bench, &retry(&id, None));
    assert_eq!((all.done, all.refused.len()), (0, 1));
    let refused = failure(&mut bench, &remove(&id, Some("jane@firm.example")));
    assert!(refused.message.contains("is failed: only"), "{refused}");
}

#[test]
fn removes_all_or_one_and_says_what_it_cannot() {
    let mut bench = Bench::new();
    let id = bench.arrive(1, &["jane@firm.example", "tom@firm.example"]).to_string();
    assert_eq!(changed(&mut bench, &remove(&id, Some("Jane@Firm.example"))).done, 1);
    let Response::Shown(shown) = bench.ask(&Request::QueueShow { id: id.clone(), after: None }) else {
        panic!()
    };
    let states: Vec<_> = shown.rows.iter().map(|row| row.state).collect();
    assert_eq!(states, [State::Discarded, State::Waiting]);
    assert_eq!(failure(&mut bench, &remove(&id, Some("x@firm.example"))).kind, ErrorKind::NotFound);
    assert_eq!(
        changed(&mut bench, &remove(&id, None)),
        Changed { done: 1, skipped: 1, ..Changed::default() }
    );
    bench.arrive(1, &["jane@firm.example"]);
    assert_eq!(rows(&mut bench, &list(&[], Filter::default())).len(), 1, "the next copy is new");
}

#[test]
fn remove_marks_a_report_if_asked() {
    let mut bench = Bench::new();
    let id = bench.arrive(1, &["jane@firm.example", "tom@firm.example"]).to_string();
    let to = |of: &str| Some(of.to_owned());
    let request = Request::QueueRemove {
        id: id.clone(),
        recipient: to("jane@firm.example"),
        report: true,
        after: None,
    };
    assert_eq!(changed(&mut bench, &request).done, 1);
    // As a client writes it that knows of no reports.
    let plain = format!(r#"{{"op":"queue_remove","id":"{id}"}}"#);
    assert_eq!(changed(&mut bench, &serde_json::from_str(&plain).unwrap()).done, 1);
    let Response::Shown(shown) = bench.ask(&Request::QueueShow { id, after: None }) else { panic!() };
    let rows: Vec<_> = shown.rows.iter().map(|row| (row.state, row.report_due)).collect();
    assert_eq!(rows, [(State::Discarded, true), (State::Discarded, false)]);
}

#[test]
fn what_is_not_there_is_not_found_and_nonsense_is_refused() {
    let mut bench = Bench::new();
    let id = "0000000000000000".to_owned();
    let kind = |request: &Request| failure(&mut Bench::new(), request).kind;
    assert_eq!(kind(&Request::QueueShow { id: id.clone(), after: None }), ErrorKind::NotFound);
    assert_eq!(kind(&retry(&id, None)), ErrorKind::NotFound);
    assert_eq!(kind(&Request::Storm { id: id.clone() }), ErrorKind::NotFound);
    assert_eq!(kind(&Request::Storm { id: "../../etc".into() }), ErrorKind::NotFound);
    let which = HeldWhich { storm: Some(id), ..HeldWhich::default() };
    assert_eq!(kind(&Request::StormRelease { which, after: None }), ErrorKind::NotFound);
    assert_eq!(kind(&Request::Explain { what: "<x@y>".into() }), ErrorKind::NotFound);
    assert_eq!(kind(&Request::QueueShow { id: "x".into(), after: None }), ErrorKind::BadRequest);
    assert_eq!(kind(&Request::Storms { limit: 0 }), ErrorKind::BadRequest);
    let forget = Request::LedgerForget { to: "a b@".into(), since_ms: 0, after: None };
    assert_eq!(kind(&forget), ErrorKind::BadRequest);
    let long = failure(&mut bench, &Request::QueueShow { id: "\x1b]".repeat(5_000), after: None });
    assert!(long.message.len() < 400 && !long.message.contains('\x1b'), "{long}");
}

#[test]
fn rare_states_are_found_in_slices() {
    let mut bench = Bench::new();
    let addresses: Vec<String> = (0..1_500).map(|i| format!("r{i:04}@firm.example")).collect();
    bench.arrive(1, &addresses.iter().map(String::as_str).collect::<Vec<_>>());
    bench.deliver(&Outcome::Delivered);
    bench.ms += 1000;
    bench.arrive(2, &["jane@firm.example"]);
    bench.deliver(&failed());
    let page = |after| Request::QueueList {
        states: vec![State::Failed],
        filter: Filter::default(),
        after,
        limit: 5,
    };
    let Response::Rows(first) = bench.ask(&page(None)) else { panic!() };
    assert!(first.rows.is_empty() && first.next.is_some());
    let Response::Rows(second) = bench.ask(&page(first.next)) else { panic!() };
    assert_eq!((second.rows[0].recipient.as_str(), second.next), ("jane@firm.example", None));
}

#[test]
fn forgets_what_was_delivered_since_then_in_slices() {
    let mut bench = Bench::new();
    let addresses: Vec<String> = (0..1_500).map(|i| format!("r{i:04}@firm.example")).collect();
    bench.arrive(1, &["r0007@firm.example"]);
    bench.deliver(&Outcome::Delivered);
    bench.ms += 3_600_000;
    let since_ms = bench.ms;
    let all: Vec<&str> = addresses.iter().map(String::as_str).chain(["jane@other.example"]).collect();
    bench.arrive(2, &all);
    bench.deliver(&Outcome::Delivered);
    let (mut after, mut total, mut slices) = (None, Forgotten::default(), 0);
    loop {
        let request = Request::LedgerForget { to: "firm.example".into(), since_ms, after };
        let Response::Forgotten(slice) = bench.ask(&request) else { panic!() };
        assert!(slice.examined <= SLICE as u64);
        (total.forgotten, total.examined) =
            (total.forgotten + slice.forgotten, total.examined + slice.examined);
        slices += 1;
        after = slice.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((total.forgotten, total.examined, slices), (1_500, 1_502, 2));
    bench.arrive(2, &["r0007@firm.example", "jane@other.example"]);
    let open = rows(&mut bench, &list(&[], Filter::default()));
    assert_eq!(open.len(), 1, "only what was forgotten is delivered again");
    assert_eq!(open[0].recipient, "r0007@firm.example");
}

#[test]
fn explains_from_the_verdicts_and_from_the_rows() {
    let mut bench = Bench::new();
    let id = bench.arrive(1, &["jane@firm.example"]);
    bench.deliver(&Outcome::Delivered);
    let copy = bench.arrive(1, &["jane@firm.example"]);
    let explain = |bench: &mut Memory, what: &str| match bench.ask(&Request::Explain { what: what.into() }) {
        Response::Explained(explained) => explained.arrivals,
        other => panic!("{other:?}"),
    };
    let of_copy = explain(&mut bench, &copy.to_string()).remove(0);
    let one = &of_copy.recipients[0];
    assert_eq!((one.verdict.as_deref(), one.reason.as_deref()), (Some("absorb"), Some("copy_of_delivered")));
    assert!(one.text.contains("storm_rcpt_copies"), "{}", one.text);
    let of_first = explain(&mut bench, &id.to_string()).remove(0);
    assert_eq!(of_first.recipients[0].state, Some(State::Delivered));
    let (text, became) = (&of_first.recipients[0].text, of_first.recipients[0].became.as_deref().unwrap());
    assert!(
        text.starts_with("Passed: ") && became.starts_with("It was delivered at 2026-"),
        "{text} {became}"
    );
    for what in ["<1@client.example>", "1@client.example", &"01".repeat(16)] {
        let both: Vec<_> = explain(&mut bench, what).into_iter().map(|a| a.id).collect();
        assert_eq!(both, [copy.to_string(), id.to_string()], "{what}");
    }
    let mut later = Bench::on(bench.store.clone(), quell_mail::key::Secret::new(1, [5; 32]), bench.ms);
    let from_rows = explain(&mut later, &id.to_string()).remove(0);
    assert!(!from_rows.remembered);
    let became = from_rows.recipients[0].became.as_deref().unwrap();
    assert!(became.starts_with("It was delivered at 2026-"), "{became}");
    let gone = failure(&mut later, &Request::Explain { what: copy.to_string() });
    assert_eq!(gone.kind, ErrorKind::NotFound);
}

#[test]
fn explains_what_the_sender_of_a_refused_copy_was_told() {
    let mut bench = Bench::new();
    bench.arrive(1, &["gone@firm.example"]);
    bench.deliver(&failed());
    let told = |bench: &mut Memory, to: &[&str]| {
        let id = bench.arrive(1, to).to_string();
        match bench.ask(&Request::Explain { what: id }) {
            Response::Explained(explained) => explained.arrivals[0].recipients[0].text.clone(),
            other => panic!("{other:?}"),
        }
    };
    let alone = told(&mut bench, &["gone@firm.example"]);
    assert!(alone.contains("The sender was told: 554 5.0.0 "), "{alone}");
    let beside = told(&mut bench, &["gone@firm.example", "jane@firm.example"]);
    assert!(beside.contains("answer was 250") && beside.contains(": 5.0.0 "), "{beside}");
}

#[test]
fn shows_storms_as_the_api_has_them_and_their_evidence() {
    let mut bench = Bench::new();
    for _ in 0..8 {
        bench.arrive(1, &["jane@firm.example"]);
    }
    let Response::Storms(list) = bench.ask(&Request::Storms { limit: 10 }) else { panic!() };
    let storm = &list.storms[0];
    assert_eq!(
        (&storm["copies"], &storm["absorbed"], &storm["state"]),
        (&7.into(), &7.into(), &"open".into())
    );
    let id = storm["id"].as_str().unwrap().to_owned();
    let Response::Storm(shown) = bench.ask(&Request::Storm { id: id.clone() }) else { panic!() };
    assert_eq!(shown.storm["id"], storm["id"]);
    assert_eq!(shown.keys, ["01".repeat(16)]);
    assert_eq!(shown.sources[0].source, "192.0.2.1");
    assert!(shown.evidence.len() >= 2);
    assert!(shown.evidence.iter().all(|s| s.header.starts_with("Subject: ")));
    let ids: Vec<_> = shown.evidence.iter().map(|s| &s.id).collect();
    assert!(ids.is_sorted() && ids.windows(2).all(|two| two[0] != two[1]), "{ids:?}");
    let which = HeldWhich { storm: Some(id), ..HeldWhich::default() };
    let release = Request::StormRelease { which: which.clone(), after: None };
    for request in [release, Request::StormDiscard { which, after: None }] {
        assert_eq!(failure(&mut bench, &request).kind, ErrorKind::Conflict);
    }
}

#[test]
fn status_counts_and_tells_of_a_store_that_is_away() {
    let mut bench = Bench::new();
    bench.arrive(1, &["jane@firm.example", "tom@firm.example"]);
    let Response::Status(status) = bench.ask(&Request::Status {}) else { panic!() };
    assert_eq!((status.queue["waiting"], status.trouble, status.storms_open), (2, None, 0));
    let claimed = |bench: &mut Memory| match bench.ask(&Request::Status {}) {
        Response::Status(status) => ["waiting", "claimed", "unknown"].map(|s| status.queue.get(s).copied()),
        other => panic!("{other:?}"),
    };
    let (first, now) = (bench.claims().remove(0), bench.now());
    assert_eq!(claimed(&mut bench), [Some(0), Some(2), None]);
    bench.door.settle(first, Outcome::Unknown { status: "4.4.2 closed".into() }, &now);
    bench.commit();
    assert_eq!(claimed(&mut bench), [Some(0), Some(1), Some(1)]);
    bench.ms += 30 * 60_000;
    assert_eq!(bench.claims().len(), 1);
    assert_eq!(claimed(&mut bench), [Some(0), Some(2), Some(0)]);
    bench.door.failed(&quell_queue::store::StoreError::Broken("EIO".into()));
    let Response::Status(status) = bench.ask(&Request::Status {}) else { panic!() };
    assert!(status.trouble.is_some());
    assert_eq!(failure(&mut bench, &list(&[], Filter::default())).kind, ErrorKind::Away);
}

fn request() -> impl Strategy<Value = Request> {
    let after =
        || prop::option::of((".{0,20}", ".{0,20}").prop_map(|(key, recipient)| RowRef { key, recipient }));
    let text = || "\\PC{0,40}";
    prop_oneof![
        (text(), prop::option::of(text()), any::<bool>(), after())
            .prop_map(|(id, recipient, report, after)| Request::QueueRemove { id, recipient, report, after }),
        (text(), any::<i64>(), after()).prop_map(|(to, since_ms, after)| Request::LedgerForget {
            to,
            since_ms,
            after
        }),
        (text(), any::<usize>(), after()).prop_map(|(sender, limit, after)| {
            let filter = Filter { sender: Some(sender.clone()), domain: Some(sender), recipient: None };
            Request::QueueList { states: State::ALL.to_vec(), filter, after, limit }
        }),
        text().prop_map(|what| Request::Explain { what }),
        text().prop_map(|id| Request::Storm { id }),
        text().prop_map(|to| Request::QueueRetry { target: Target::Domain(to), states: vec![], after: None }),
    ]
}

proptest! {
    #[test]
    fn any_request_is_answered_and_changes_nothing_it_does_not_name(requests in prop::collection::vec(request(), 1..8)) {
        let mut bench = Bench::new();
        bench.arrive(1, &["jane@firm.example"]);
        for request in requests {
            bench.ask(&request);
        }
        prop_assert_eq!(rows(&mut bench, &list(&[State::Waiting], Filter::default())).len(), 1);
    }

    #[test]
    fn whom_to_forget_is_read_or_refused(text: String, address: String) {
        if let Ok(to) = To::parse(&text) {
            to.means(&address);
            if text.contains('@') {
                prop_assert!(to.means(&text));
            }
        }
    }
}

#[test]
fn of_very_many_next_hops_those_that_matter_are_listed() {
    let mut bench = Bench::new();
    let by_domain = |identity: &str| Destination::new(identity.rsplit('@').next().unwrap());
    bench.door.set_destinations(Box::new(by_domain));
    let domains: Vec<_> = (0..SLICE + 5).map(|n| format!("d{n:04}.example")).collect();
    let all: Vec<_> = domains.iter().map(|domain| format!("a@{domain}")).collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    bench.arrive(1, &all);
    let busy = &domains[SLICE + 3];
    bench.arrive(2, &[&format!("b@{busy}")]);
    let (down, now) = (Destination::new(&domains[SLICE + 4]), bench.now());
    bench.door.destination_down(&down, "4.4.1 nobody is there", &now);
    let Response::NextHops(found) = bench.ask(&Request::NextHops {}) else { panic!() };
    assert_eq!((found.next_hops.len(), found.more), (SLICE, 5));
    assert!(found.next_hops.is_sorted_by_key(|hop| hop.next_hop.clone()));
    let [.., second, last] = &found.next_hops[..] else { panic!() };
    assert_eq!((&second.next_hop, second.ready), (busy, 2));
    assert_eq!((last.next_hop.as_str(), last.failures), (down.as_str(), 1));
    assert_eq!(last.status.as_deref(), Some("4.4.1 nobody is there"));
}

/// Mail for the domain `d.example` goes by way of the next hop of that name.
fn by_domain(bench: &mut Memory) {
    let by_domain = |identity: &str| Destination::new(identity.rsplit('@').next().unwrap());
    bench.door.set_destinations(Box::new(by_domain));
}

#[test]
fn rows_behind_a_next_hop_that_is_down_have_its_time_and_say_why() {
    let mut bench = Bench::new();
    by_domain(&mut bench);
    let id = bench.arrive(1, &["jane@down.example", "tom@up.example"]).to_string();
    let now = bench.now();
    bench.door.destination_down(&Destination::new("down.example"), "4.4.1 nobody is there", &now);
    let listed = rows(&mut bench, &list(&[], Filter::default()));
    let Response::Shown(shown) = bench.ask(&Request::QueueShow { id: id.clone(), after: None }) else {
        panic!()
    };
    assert_eq!(shown.rows, listed);
    let [jane, tom] = &listed[..] else { panic!("{listed:?}") };
    let down = jane.down.as_ref().unwrap();
    assert_eq!((down.status.as_str(), Some(&down.next)), ("4.4.1 nobody is there", jane.next.as_ref()));
    assert!(jane.next > tom.next && tom.down.is_none(), "{listed:?}");
    let Response::Explained(explained) = bench.ask(&Request::Explain { what: id }) else { panic!() };
    let became: Vec<_> =
        explained.arrivals[0].recipients.iter().filter_map(|r| r.became.as_deref()).collect();
    assert!(
        became[0].contains("waits for down.example, which is down") && became[0].contains("nobody is there")
    );
    assert!(became[1].contains("goes to up.example, at "), "{became:?}");
}
