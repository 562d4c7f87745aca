//! Any replies in any split: one outcome for each, the same steps, none that claims too much.

use proptest::prelude::*;
use quell_wire::client::fuzz::{fuzz_client, fuzz_client_garbage, fuzz_encoder};

/// Bytes of `fuzz_client` that get far (its first five replies, mostly), and some that do not.
fn script() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![12 => 0u8..5, 4 => 5u8..12, 1 => any::<u8>()];
    let start = Just(vec![3u8, 1]);
    let accepted = Just(vec![0u8, 0, 0, 2]);
    let piece = prop_oneof![2 => accepted, 3 => byte.prop_map(|b| vec![b])];
    (start, proptest::collection::vec(piece, 0..30)).prop_map(|(start, rest)| [start, rest.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_replies_in_any_split(policy: u8, cut: u8, recipients: u8, script in script()) {
        fuzz_client(&[vec![policy, cut, recipients], script].concat());
    }

    #[test]
    fn any_bytes_are_survived(
        policy: u8,
        piece: u8,
        start in prop_oneof![Just(""), Just("220 a\r\n250-a\r\n250 PIPELINING\r\n250 ok\r\n")],
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        fuzz_client_garbage(&[vec![policy, piece], start.as_bytes().to_vec(), bytes.clone()].concat());
        fuzz_client(&bytes);
    }

    #[test]
    fn what_is_encoded_is_decoded_as_the_message(cut: u8, message in "(a|\\.|\r\n|\r|\n|\r\n\\.\r\n|bc){0,20}") {
        fuzz_encoder(&[vec![cut], message.into_bytes()].concat());
    }

    #[test]
    fn any_message_is_decoded_as_itself(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz_encoder(&bytes);
    }
}
