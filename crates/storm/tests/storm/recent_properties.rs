//! What holds for any message and any sequence of arrivals: what the fuzz targets assert, at every test run.

use proptest::prelude::*;

#[path = "../../../../fuzz/src/said.rs"]
mod messages;
#[path = "../../../../fuzz/src/recent.rs"]
mod sequences;

/// Steps of few kinds, which come back to the same few messages, people and sources.
fn steps() -> impl Strategy<Value = Vec<[u8; 8]>> {
    let kinds = prop::sample::subsequence((0u8..7).collect::<Vec<_>>(), 1..3);
    (kinds, 1u8..4, 1u8..8).prop_flat_map(|(kinds, contents, people)| {
        let kind = prop_oneof![30 => prop::sample::select(kinds), 1 => Just(7u8)];
        let about = prop_oneof![8 => 0..contents, 2 => Just(0x10), 1 => any::<u8>()];
        let way = prop_oneof![3 => Just(0u8), 1 => Just(0x80), 1 => Just(0xc0), 1 => any::<u8>()];
        let flags = prop_oneof![9 => Just(0u8), 1 => any::<u8>()];
        let to = prop_oneof![3 => Just(0u8), 3 => Just(4u8), 1 => 0u8..0xa0];
        let step = (kind, about, 0..people, to, 0u8..3, way, 0u8..12, flags);
        let step = step.prop_map(|(kind, about, author, to, from, way, passed, new)| {
            [kind, about, author, to, from, way, passed, new]
        });
        prop::collection::vec(step, 0..64)
    })
}

/// Lines of which headers and bodies are made.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        3 => (0u8..9, 0u8..9).prop_map(|(a, b)| format!(
            "Received: from h{a}.house{a}.example by mx.house{b}.example; Sat, 10 Dec 2005 09:00:00 +0000"
        )),
        1 => Just("Received: from mail pickup service by server.firm.local with Microsoft SMTPSVC; x".to_owned()),
        1 => Just("Received: from pop.x.example by mail.firm.example with POP3 (fetchmail-6.2.5); x".to_owned()),
        1 => Just("From: a@shop.example".to_owned()),
        1 => (0usize..3_000).prop_map(|n| format!("To: {}", "a@x.example, ".repeat(n))),
        1 => Just("Subject: Re: the matter".to_owned()),
        1 => Just("Content-Type: text/html".to_owned()),
        1 => Just(String::new()),
        2 => "[ -~]{0,60}",
        1 => "\\PC{0,20}",
    ];
    prop::collection::vec(line, 0..90).prop_map(|all| all.join("\r\n").into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sequence_keeps_the_promises(steps in steps()) {
        sequences::recent(&steps.concat());
    }

    #[test]
    fn any_message_keeps_the_promises(message in lines()) {
        messages::said(&message);
    }

    #[test]
    fn any_bytes_keep_the_promises(bytes: Vec<u8>) {
        messages::said(&bytes);
        sequences::recent(&bytes);
    }
}
