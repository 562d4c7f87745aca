//! Any replies in any split: one outcome for each, the same steps, none that claims too much.

use proptest::prelude::*;
use quell_wire::client::fuzz::{
    assert_one_reading, envelope, fuzz_client, fuzz_client_garbage, fuzz_encoder,
};
use quell_wire::client::{Session, Settings, Starttls, Step};
use quell_wire::data::{Decoder, Piece};

/// Bytes of `fuzz_client` that get far (its first five replies, mostly), and some that do not.
fn script() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![12 => 0u8..5, 4 => 5u8..12, 1 => any::<u8>()];
    let start = Just(vec![3u8, 1]);
    let accepted = Just(vec![0u8, 0, 0, 2]);
    let piece = prop_oneof![2 => accepted, 3 => byte.prop_map(|b| vec![b])];
    (start, proptest::collection::vec(piece, 0..30)).prop_map(|(start, rest)| [start, rest.concat()].concat())
}

/// All that a session writes between 354 and the answer to the message.
fn sent(message: &[u8], cut: usize) -> Vec<u8> {
    let mut session = Session::new(Settings::new("me.example"), envelope(1));
    let mut replies = ["220 mx", "250 mx", "250 ok", "250 ok", "354 go"].iter();
    let (mut wire, mut begun) = (Vec::new(), false);
    loop {
        match session.next() {
            Step::Write(bytes) if begun => wire.extend_from_slice(&bytes),
            Step::Write(_) => {}
            Step::NeedInput(_) => match replies.next() {
                Some(reply) => session.input(format!("{reply}\r\n").as_bytes()),
                None => return wire,
            },
            Step::SendBody => {
                begun = true;
                for mut piece in message.chunks(cut) {
                    while !piece.is_empty() {
                        let (taken, out) = session.body(piece);
                        wire.extend_from_slice(out);
                        piece = &piece[taken..];
                    }
                }
                session.body_end();
            }
            Step::Dot(_) => session.dot_recorded(),
            other => panic!("{other:?}"),
        }
    }
}

/// What our own server makes of it, which takes it for ended at its end and not before.
fn received(wire: &[u8], cut: usize) -> Vec<u8> {
    let (mut decoder, mut content, mut used) = (Decoder::for_data(), Vec::new(), 0);
    while used < wire.len() {
        let (taken, piece) = decoder.next(&wire[used..wire.len().min(used + cut)]);
        used += taken;
        match piece {
            Piece::More => {}
            Piece::Content(bytes) => content.extend_from_slice(bytes),
            Piece::End => {
                assert_eq!((used, decoder.bare_newlines()), (wire.len(), 0));
                return content;
            }
        }
    }
    panic!("no end in {}", wire.escape_ascii());
}

/// Every CRLF, CR and LF is the end of a line, and the last line has one.
fn normalised(message: &[u8]) -> Vec<u8> {
    let text: String = message.iter().map(|byte| char::from(*byte)).collect();
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let whole = if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" };
    whole.replace('\n', "\r\n").chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

/// What the session says when `injected` stands behind the 220, and the real server then speaks in TLS.
fn said_in_tls(injected: &[u8], cut: usize) -> Vec<String> {
    let settings = Settings { starttls: Starttls::Required, ..Settings::new("me.example") };
    let mut session = Session::new(settings, envelope(1));
    let clear =
        [b"220 mx\r\n".to_vec(), b"250-mx\r\n250 STARTTLS\r\n".to_vec(), [b"220 go\r\n", injected].concat()];
    let secure = ["250 mx", "250 ok", "550 5.1.1 nobody"].map(|reply| format!("{reply}\r\n").into_bytes());
    let (mut clear, mut secure, mut log) = (clear.into_iter(), secure.into_iter(), Vec::new());
    loop {
        match session.next() {
            Step::Write(bytes) => log.push(String::from_utf8(bytes).unwrap()),
            Step::NeedInput(_) => {
                let reply = if session.is_secure() { secure.next() } else { clear.next() };
                let Some(reply) = reply else { return log };
                // As much as a reader finds at once: what follows the 220 may come with it, or later.
                reply.chunks(cut).for_each(|piece| session.input(piece));
            }
            Step::StartTls => {
                session.input(injected);
                session.secured();
            }
            other => log.push(format!("{other:?}")),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn nothing_said_before_tls_counts_in_it(
        injected in prop_oneof![
            "((250|550|354|421|220)[ -][a-z0-9. ]{0,9}\r\n){0,9}[ -~]{0,5}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..300),
        ],
        cut in 1usize..400,
    ) {
        prop_assert_eq!(said_in_tls(&injected, cut), said_in_tls(b"", cut));
    }

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

    #[test]
    fn nothing_that_is_sent_can_be_read_as_two_messages(
        message in prop_oneof![
            "(a|\\.|\r\n|\r|\n|\r\n\\.\r\n|\n\\.\n|\r\\.\r|\0){0,24}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..200),
        ],
        cut in 1usize..9,
        read in 1usize..9,
    ) {
        let wire = sent(&message, cut);
        assert_one_reading(&wire);
        prop_assert_eq!(received(&wire, read), normalised(&message));
    }
}
