//! The decoder against one that reads a byte at a time and is easily seen to be right.

use proptest::prelude::*;
use quell_wire::fuzz::{decoded, fuzz_data};

/// Content, where it ended, bare newlines: first the end is found, then lines are cut.
fn slow(stream: &[u8], dots: bool) -> (Vec<u8>, Option<usize>, u64) {
    let (body, used) = match find_end(stream).filter(|_| dots) {
        Some(end) => (&stream[..end], Some(end + 3)),
        None => (stream, None),
    };
    let (mut content, mut bare) = (Vec::new(), 0);
    let mut line_start = dots;
    let mut i = 0;
    while i < body.len() {
        let crlf = body[i..].starts_with(b"\r\n");
        match body[i] {
            _ if crlf => content.extend(b"\r\n"),
            b'\r' | b'\n' => {
                bare += 1;
                content.extend(b"\r\n");
            }
            b'.' if line_start => {}
            byte => content.push(byte),
        }
        line_start = crlf && dots;
        i += 1 + usize::from(crlf);
    }
    (content, used, bare)
}

/// Where the dot of CRLF.CRLF stands; the CRLF of the command counts as the first.
fn find_end(stream: &[u8]) -> Option<usize> {
    let with_command = [b"\r\n", stream].concat();
    with_command.windows(5).position(|five| five == b"\r\n.\r\n")
}

fn any_content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"\r\n".to_vec()),
        2 => Just(b".".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\n".to_vec()),
        2 => Just(b"text".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// What was held back when the stream ended says nothing yet: complete it.
fn completed(mut stream: Vec<u8>) -> Vec<u8> {
    stream.extend(b"x\r\n.\r\n");
    stream
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn data_comes_out_right(stream in any_content(), cut in 1usize..9) {
        let stream = completed(stream);
        prop_assert_eq!(decoded(&stream, cut, true), slow(&stream, true));
    }

    #[test]
    fn chunks_come_out_right(stream in any_content(), cut in 1usize..9) {
        prop_assert_eq!(decoded(&stream, cut, false), slow(&stream, false));
    }

    #[test]
    fn any_split_gives_the_same(kind: u8, cut: u8, stream in any_content()) {
        fuzz_data(&[vec![kind, cut], stream].concat());
    }

    #[test]
    fn stuffed_content_comes_back(lines in proptest::collection::vec("[a.]{0,5}", 0..12)) {
        let content: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let stuffed: String = lines
            .iter()
            .map(|line| format!("{}{line}\r\n", if line.starts_with('.') { "." } else { "" }))
            .collect();
        let stream = stuffed + ".\r\nQUIT\r\n";
        let used = stream.len() - "QUIT\r\n".len();
        prop_assert_eq!(decoded(stream.as_bytes(), 3, true), (content.into_bytes(), Some(used), 0));
    }
}

/// Lines may have any length, and none is cut.
#[test]
fn a_line_of_a_million_bytes() {
    let stream = [vec![b'a'; 1_000_000], b"\r\n.\r\n".to_vec()].concat();
    let (content, used, bare) = decoded(&stream, 4096, true);
    assert_eq!((content.len(), used, bare), (1_000_002, Some(stream.len()), 0));
}
