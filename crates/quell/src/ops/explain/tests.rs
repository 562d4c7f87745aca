use quell_queue::store::memory::MemoryStore;

use crate::ops::testing::Bench;
use crate::ops::{HeldWhich, Request, Response};

#[test]
fn explain_knows_storms_and_how_near_it_was() {
    let mut bench = Bench::new();
    let first = bench.put_back(1, &["jane@firm.example"]).to_string();
    let second = bench.put_back(2, &["jane@firm.example"]).to_string();
    let explain = |bench: &mut Bench<MemoryStore>, what: &str| match bench
        .ask(&Request::Explain { what: what.into() })
    {
        Response::Explained(explained) => explained,
        other => panic!("{other:?}"),
    };
    let passed = explain(&mut bench, &first);
    assert!(passed.storm.is_none(), "{passed:?}");
    let id = bench.door.storms(1).unwrap()[0].id.to_string();
    let storm = explain(&mut bench, &id);
    let text = &storm.storm.as_ref().unwrap().text;
    for part in
        ["another identity", "held 1 (1 now)", "[judge] resent_arrivals", "[policy] resent = \"hold\"", "6 h"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(storm.arrivals[0].id, second, "its last message");
    let release =
        Request::StormRelease { which: HeldWhich { storm: Some(id), ..Default::default() }, after: None };
    bench.ask(&release);
    let third = bench.put_back(3, &["jane@firm.example"]).to_string();
    let let_pass = explain(&mut bench, &third);
    let said = &let_pass.arrivals[0].recipients[0];
    assert_eq!((said.verdict.as_deref(), said.reason.as_deref()), (Some("pass"), Some("excepted")));
    assert!(
        said.text.contains("released") && said.text.contains("rule resent would suspect it"),
        "{}",
        said.text
    );
}
