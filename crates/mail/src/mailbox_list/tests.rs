//! Good lists, bad ones, and an address hidden anywhere.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

#[test]
fn lists_that_real_programs_write() {
    for (list, wanted) in [
        (" jane@firm.example\r\n", &["jane@firm.example"][..]),
        (" Jane Doe <jane@firm.example>\r\n", &["jane@firm.example"]),
        (" Jane\r\n Doe\r\n\t<jane@firm.example>\r\n", &["jane@firm.example"]),
        (" Jane Doe\n <jane@firm.example>\n", &["jane@firm.example"]),
        ("<jane@firm.example>", &["jane@firm.example"]),
        ("< jane@firm.example >", &["jane@firm.example"]),
        ("J. R. Doe jr. <jane@firm.example>", &["jane@firm.example"]),
        ("\"Doe, Jane (boss@firm.example) <x@y>\" <jane@firm.example>", &["jane@firm.example"]),
        ("\"a \\\" b@c \\\\\" <jane@firm.example>", &["jane@firm.example"]),
        ("\"\" <jane@firm.example>", &["jane@firm.example"]),
        ("J\u{e4}ne D\u{f6} <jane@firm.example>", &["jane@firm.example"]),
        ("=?utf-8?Q?J=C3=A4ne?= =?utf-8?B?RG/Dtg==?= <jane@firm.example>", &["jane@firm.example"]),
        ("O'Hara & Co/Shop <jane@firm.example>", &["jane@firm.example"]),
        ("jane@firm.example (Jane (of x@y), \\) Firm)", &["jane@firm.example"]),
        ("(a) Jane (b) <(c)jane@firm.example(d)> (e)", &["jane@firm.example"]),
        ("\"jane doe\"@firm.example", &["\"jane doe\"@firm.example"]),
        ("jane@[192.0.2.1]", &["jane@[192.0.2.1]"]),
        ("j\u{e4}ne@b\u{fc}cher.example", &["j\u{e4}ne@b\u{fc}cher.example"]),
        ("a@x, B <b@x>,\r\n \"C, c\" <c@x>", &["a@x", "b@x", "c@x"]),
    ] {
        assert_eq!(mailboxes(list.as_bytes()).as_deref(), Ok(wanted), "{list}");
    }
    assert_eq!(mailboxes(b"J\xe4ne \"D\xf6\" <jane@x>").as_deref(), Ok(&["jane@x"][..]), "Latin-1");
}

#[test]
fn what_two_readers_may_read_in_two_ways() {
    for (list, why) in [
        ("", Unclear::NoAddress),
        ("\r\n", Unclear::NoAddress),
        ("Jane", Unclear::NoAddress),
        ("Doe, Jane <jane@x>", Unclear::NoAddress),
        ("jane@x,", Unclear::NoAddress),
        (",jane@x", Unclear::NoAddress),
        ("jane@x boss@x", Unclear::Address),
        ("<jane@x> boss@x", Unclear::Address),
        ("<jane@x> <boss@x>", Unclear::Address),
        ("<jane@x>boss@x", Unclear::Address),
        ("boss@x <jane@x>", Unclear::Address),
        ("Boss boss@x <jane@x>", Unclear::Address),
        ("Jane @ x <jane@x>", Unclear::Address),
        ("<@boss.example:jane@x>", Unclear::Address),
        ("<boss@y@x>", Unclear::Address),
        ("boss@y@x", Unclear::Address),
        ("<jane@x", Unclear::Address),
        ("<jane>", Unclear::Address),
        ("<>", Unclear::Address),
        ("jane@", Unclear::Address),
        ("jane @x", Unclear::Address),
        ("jane(a)@x", Unclear::Address),
        ("jane@ x", Unclear::Address),
        ("jane@x . y", Unclear::Address),
        ("\"a\".b@x", Unclear::Address),
        ("jane@[192.0.2.1", Unclear::Address),
        ("jane@[a\\]b]", Unclear::Address),
        ("jane@x;boss@x", Unclear::Address),
        ("jane@x>", Unclear::Address),
        ("jane@x (x, boss@x", Unclear::Comment),
        ("(jane@x", Unclear::Comment),
        ("jane@x (\\)", Unclear::Comment),
        ("\"Jane <jane@x>", Unclear::Quotes),
        ("\"Jane\\\" <jane@x>", Unclear::Quotes),
        ("\"Jane\\", Unclear::Quotes),
        ("boss@x: jane@x;", Unclear::Address),
        ("Friends: jane@x;", Unclear::Other),
        ("Jane [Sales] <jane@x>", Unclear::Other),
        ("Jane) <jane@x>", Unclear::Other),
        ("Jane\0 <jane@x>", Unclear::Control),
        ("jane@x\rboss@x", Unclear::Control),
        ("jane@x\r\nboss@x", Unclear::Control),
        ("\"\r\n\" <jane@x>", Unclear::Control),
        ("jane@x\x7f", Unclear::Control),
    ] {
        assert_eq!(mailboxes(list.as_bytes()), Err(why), "{list:?}");
    }
    assert_eq!(mailboxes(b"j\xe4ne@x"), Err(Unclear::Address), "Latin-1 in an address");
}

#[test]
fn long_lists_end() {
    let list = |n: usize| vec!["jane@x"; n].join(", ");
    assert_eq!(mailboxes(list(100).as_bytes()).unwrap().len(), 100);
    assert_eq!(mailboxes(list(101).as_bytes()), Err(Unclear::TooMany));
    for hostile in ["(", "<", "\"\"", "\\", "@", "a ", "\"", "()", ",", "[", "a@"] {
        assert!(mailboxes(hostile.repeat(500_000).as_bytes()).is_err(), "{hostile}");
    }
}

/// What stands outside of quotes and comments: a reader of its own, which goes by the bytes alone. None:
/// something is open.
fn bare(list: &str) -> Option<String> {
    let (mut bare, mut depth, mut quoted, mut bytes) = (String::new(), 0, false, list.chars());
    while let Some(byte) = bytes.next() {
        match (byte, quoted, depth) {
            ('\\', true, _) | ('\\', _, 1..) => drop(bytes.next()?),
            ('"', _, 0) => quoted = !quoted,
            ('(', false, _) => depth += 1,
            (')', false, 1..) => depth -= 1,
            (other, false, 0) => bare.push(other),
            _ => {}
        }
    }
    (!quoted && depth == 0).then_some(bare)
}

proptest! {
    /// Each `@` outside of quotes and comments is that of an address that was found.
    #[test]
    fn no_address_is_passed_over(pieces in proptest::collection::vec(select(vec![
        "jane@x", "boss@y", "<jane@x>", "<boss@y>", "<", ">", "@", ",", ";", ":", "(", ")", "\"", "\\", " ", "\r\n ",
        ".", "Jane", "[1]", "\u{e4}", "=?utf-8?q?J?=", ", ", "\"J, @\" ", "(c@d) ",
    ]), 0..9)) {
        let list = pieces.concat();
        if let Ok(found) = mailboxes(list.as_bytes()) {
            let bare = bare(&list).expect("nothing is open");
            prop_assert_eq!(bare.matches('@').count(), found.len(), "{:?}", list);
            let named: usize = found.iter().map(|address| address.matches("boss").count()).sum();
            prop_assert_eq!(bare.matches("boss").count(), named, "{:?}", list);
        }
    }

    #[test]
    fn any_bytes_are_read(list in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(found) = mailboxes(&list) {
            prop_assert!(!found.is_empty() && found.iter().all(|address| address.contains('@')));
        }
    }
}
