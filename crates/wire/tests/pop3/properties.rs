//! Any bytes, from either side: no panic, the same in any split, no deletion without QUIT.

use proptest::prelude::*;
use quell_wire::pop3::fuzz::{fuzz_client, fuzz_server};

const WORDS: [&[u8]; 30] = [
    b"USER jane\r\nPASS x\r\n",
    b"USER jane\r\nPASS wrong\r\n",
    b"USER busy\r\nPASS x\r\n",
    b"USER jane\r\n",
    b"PASS x y\r\n",
    b"CAPA\r\n",
    b"STAT\r\n",
    b"LIST\r\n",
    b"LIST 2\r\n",
    b"UIDL\r\n",
    b"UIDL 9\r\n",
    b"RETR 1\r\n",
    b"retr 2\r\n",
    b"RETR 3\r\n",
    b"RETR 4\r\n",
    b"RETR 5\r\n",
    b"RETR 0\r\n",
    b"RETR 18446744073709551617\r\n",
    b"TOP 1 0\r\n",
    b"TOP 1 1\r\n",
    b"TOP 2 99999999999999999999\r\n",
    b"DELE 1\r\n",
    b"DELE 5\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"QUIT\r\n",
    b"\r",
    b"\0 ",
    b"\xff\r\n",
    b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

fn commands() -> impl Strategy<Value = Vec<u8>> {
    let word = proptest::sample::select(&WORDS[..]).prop_map(<[u8]>::to_vec);
    let start = Just(b"USER jane\r\nPASS x\r\n".to_vec());
    let pieces = proptest::collection::vec(word, 0..20).prop_map(|words| words.concat());
    (start, any::<bool>(), pieces).prop_map(|(start, signs_in, rest)| match signs_in {
        true => [start, rest].concat(),
        false => rest,
    })
}

/// Replies that list two messages, after TLS if that is asked for, and then some.
fn script() -> impl Strategy<Value = Vec<u8>> {
    let listed = prop_oneof![Just(vec![0u8, 1, 0, 0, 2, 3, 4]), Just(vec![0u8, 20, 0, 1, 0, 0, 2, 3, 4])];
    let byte = prop_oneof![6 => Just(5u8), 4 => Just(0u8), 4 => 0u8..25];
    (listed, any::<bool>(), proptest::collection::vec(byte, 0..12))
        .prop_map(|(listed, lists, rest)| if lists { [listed, rest].concat() } else { rest })
}

const RESPONSES: [&[u8]; 14] = [
    b"+OK\r\n",
    b"-ERR no\r\n",
    b"+OK",
    b"-ERR [AUTH]",
    b" text",
    b"\r\n",
    b"\n",
    b"\r",
    b"STLS\r\n",
    b"USER\r\nSASL PLAIN XOAUTH2 OAUTHBEARER\r\n",
    b".\r\n",
    b"+ \r\n",
    b"+ eA==\r\n",
    b"\0\xff",
];

/// Pieces of what a server says, cut anywhere.
fn responses() -> impl Strategy<Value = Vec<u8>> {
    let piece = proptest::sample::select(&RESPONSES[..]).prop_map(<[u8]>::to_vec);
    let start = prop_oneof![
        Just(Vec::new()),
        Just(b"+OK\r\n+OK\r\nSTLS\r\n.\r\n".to_vec()),
        Just(b"+OK\r\n-ERR\r\n+OK\r\n".to_vec()),
    ];
    (start, proptest::collection::vec(piece, 0..30)).prop_map(|(start, rest)| [start, rest.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_commands_in_any_split(policy: u8, cut: u8, stream in commands()) {
        fuzz_server(&[vec![policy, cut], stream].concat());
    }

    #[test]
    fn any_responses_in_any_split(mode in any::<u8>().prop_map(|mode| mode & !1), cut: u8, script in script()) {
        fuzz_client(&[vec![mode, cut], script].concat());
    }

    /// What the harness asserts: before TLS nothing is said but CAPA, STLS and QUIT.
    #[test]
    fn whatever_a_server_says_no_secret_goes_out_before_tls(
        mode in any::<u8>().prop_map(|mode| mode | 0b1001),
        cut in 0u8..8,
        said in responses(),
    ) {
        fuzz_client(&[vec![mode, cut], said].concat());
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz_server(&bytes);
        fuzz_client(&bytes);
        fuzz_client(&[vec![1], bytes].concat());
    }
}
