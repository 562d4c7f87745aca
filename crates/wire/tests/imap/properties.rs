//! Any bytes: the same however they are cut, and nothing past a limit gets by.

use proptest::prelude::*;
use quell_wire::imap::Guard;
use quell_wire::imap::fuzz::{fuzz_guard, fuzz_opening, guarded};

const WORDS: [&str; 40] = [
    "* ",
    "* 1 FETCH (",
    "* 2 FETCH (FLAGS ())\r\n",
    "* LIST () \"/\" ",
    "* OK ",
    "* BYE",
    "* PREAUTH\r\n",
    "* OK hello\r\n",
    "S0 OK ",
    "S0 NO ",
    "A1 BAD ",
    "+ ",
    "BODY[] ",
    "UID 5 ",
    "X (",
    "X ",
    "(",
    ")",
    ")\r\n",
    "\r\n",
    "\r\n",
    "\r",
    "\n",
    "\"",
    "\\",
    " ",
    "{",
    "}",
    "{3}\r\n",
    "{3}\r\nabc",
    "{0}\r\n",
    "{40}\r\n",
    "{300}\r\n",
    "{18446744073709551617}\r\n",
    "{3+}\r\n",
    "~{3}\r\n",
    "{x}\r\n",
    "5",
    "\0",
    "\u{e9}",
];

fn said() -> impl Strategy<Value = Vec<u8>> {
    let word = proptest::sample::select(&WORDS[..]).prop_map(|word| word.as_bytes().to_vec());
    proptest::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

/// A response with messages in it, as an honest server sends it.
fn fetched() -> impl Strategy<Value = Vec<u8>> {
    let content = proptest::collection::vec(any::<u8>(), 0..40);
    let attribute = prop_oneof![
        Just(b"UID 7".to_vec()),
        Just(b"FLAGS (\\Seen Junk)".to_vec()),
        Just(b"INTERNALDATE \"17-Jul-1996 02:44:25 -0700\"".to_vec()),
        content
            .prop_map(|content| [format!("BODY[] {{{}}}\r\n", content.len()).as_bytes(), &content].concat()),
    ];
    proptest::collection::vec(attribute, 1..4)
        .prop_map(|attributes| [b"* 9 FETCH (".as_slice(), &attributes.join(&b' '), b")\r\n"].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn nothing_past_a_limit_gets_by(literal: u8, line: u8, cut: u8, stream in said()) {
        fuzz_guard(&[vec![literal, line, cut], stream].concat());
    }

    #[test]
    fn any_opening_in_any_split(mode: u8, stream in said()) {
        fuzz_opening(&[vec![mode], stream].concat());
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz_guard(&bytes);
        fuzz_opening(&bytes);
    }

    #[test]
    fn what_an_honest_server_sends_passes(
        responses in proptest::collection::vec(fetched(), 0..6),
        cut in 1usize..50,
    ) {
        let stream = responses.concat();
        prop_assert_eq!(guarded(&mut Guard::new(120, 500), &stream, cut), Ok(()));
    }
}
