//! Any bytes: no panic, the same in any split, output in proportion to input.

use std::sync::Arc;

use proptest::prelude::*;
use quell_wire::fuzz::{fuzz_lines, fuzz_session, session_log};
use quell_wire::path::Path;
use quell_wire::reply::Reply;
use quell_wire::server::Settings;

const WORDS: [&[u8]; 46] = [
    b"LHLO a\r\n",
    b"EHLO a\r\n",
    b"HELO a\r\n",
    b"MAIL FROM:<a@b>\r\n",
    b"MAIL FROM:<> SIZE=30 BODY=8BITMIME RET=HDRS\r\n",
    b"MAIL FROM:<a@b> SIZE=300\r\n",
    b"RCPT TO:<c@d>\r\n",
    b"RCPT TO:<postmaster> NOTIFY=DELAY,FAILURE ORCPT=rfc822;x+2By\r\n",
    b"RCPT TO:<@x,@y:c@d>\r\n",
    b"RCPT TO:nobody\r\n",
    b"DATA\r\n",
    b"BDAT 5\r\n",
    b"BDAT 9 LAST\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 50\r\n",
    b"BDAT 18446744073709551615\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"QUIT\r\n",
    b"VRFY x\r\n",
    b"HELP\r\n",
    b"AUTH PLAIN x\r\n",
    b"AUTH PLAIN\r\n",
    b"AUTH PLAIN AHRpbQB4\r\n",
    b"AUTH LOGIN dGlt\r\n",
    b"AUTH SCRAM-SHA-256 biwsbj10aW0scj1hYmM=\r\n",
    b"AUTH OAUTHBEARER biwsAWF1dGg9QmVhcmVyIHgBAQ==\r\n",
    b"AHRpbQB4\r\n",
    b"biwsbj10aW0scj1hYmM=\r\n",
    b"Yz1iaXdzLHI9YWJjQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NICg==\r\n",
    b"*\r\n",
    b"=\r\n",
    b"\x16",
    b"STARTTLS\r\n",
    b"MAIL FROM",
    b"12345",
    b"text\r\n",
    b"\r\n",
    b"\r\n.\r\n",
    b".",
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b"\xc3\xa9",
    b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Words of the protocol in an order that often gets somewhere, and often does not.
fn any_stream(hello: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let word = proptest::sample::select(&WORDS[..]).prop_map(<[u8]>::to_vec);
    let start = Just(format!("{hello} a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n").into_bytes());
    let two = Just(b"RCPT TO:<c@d>\r\nRCPT TO:<e@d>\r\nDATA\r\ntext\r\n.\r\n".to_vec());
    let secure = Just(format!("STARTTLS\r\n\u{16}{hello} a\r\n").into_bytes());
    let piece = prop_oneof![
        12 => word,
        2 => secure,
        2 => start,
        1 => two,
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_split_of_a_session_gives_the_same(
        policy in prop_oneof![2 => 0u8..4, 1 => any::<u8>().prop_map(|policy| (policy & !4) | 32)],
        refusals in prop_oneof![3 => Just(0u8), 1 => any::<u8>(), 1 => Just(0xff)],
        cut: u8,
        stream in any_stream("EHLO"),
        lmtp_stream in any_stream("LHLO"),
    ) {
        fuzz_session(&[vec![policy, refusals, cut], stream].concat());
        fuzz_session(&[vec![policy | 4, refusals, cut], lmtp_stream].concat());
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz_session(&bytes);
        fuzz_lines(&bytes);
    }

    #[test]
    fn any_split_of_lines_gives_the_same(
        policy: u8,
        cut: u8,
        stream in "([a-z]{0,17}(\r\n|\r\n|\r\n|\n|\r)){0,9}",
    ) {
        fuzz_lines(&[&[policy, cut], stream.as_bytes()].concat());
    }

    #[test]
    fn any_path_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Ok((path, rest)) = Path::parse(&bytes) {
            prop_assert!(path.address().len() + rest.len() < bytes.len());
        }
    }
}

/// A client that sends much and reads nothing gets its answers in bounded portions: `session_log`
/// asserts the bound, this that nothing is lost by it.
#[test]
fn a_flood_of_commands_is_answered_in_portions() {
    let stream = [b"EHLO a\r\n".to_vec(), b"NOOP\r\n".repeat(20_000)].concat();
    let settings = Arc::new(Settings::new("mx"));
    let log = session_log(&settings, &stream, stream.len(), &mut |_| Reply::sender_ok());
    let answers = log.iter().filter(|line| *line == "S: 250 2.0.0 ok").count();
    assert_eq!(answers, 20_000);
}
