//! Pairs of messages, and what they are to each other.

mod fingerprint;

use proptest::prelude::*;

use super::Likeness::{Added, Different, Same};
use super::*;
use crate::header::split;

fn read(message: &str) -> Content {
    read_bytes(message.as_bytes())
}

fn read_bytes(message: &[u8]) -> Content {
    let (header, body) = split(message);
    content(header, body)
}

fn bucket_of(message: &[u8]) -> Option<u64> {
    let header = split(message).0;
    let value = |name| fields(header).find(|f| f.is(name)).map(|f| f.value);
    bucket(value("from"), value("subject"))
}

/// Compares both ways, and holds key and bucket against the answer.
fn compare(one: &[u8], other: &[u8]) -> Likeness {
    let (a, b) = (read_bytes(one), read_bytes(other));
    let likeness = a.compare(&b);
    assert_eq!(likeness, b.compare(&a), "both ways");
    assert_eq!(likeness == Same, a.key() == b.key(), "the key");
    assert!(likeness == Different || bucket_of(one) == bucket_of(other), "the sieve");
    fingerprint::agrees(&a, &b);
    fingerprint::agrees(&b, &a);
    likeness
}

fn check(cases: &[(&str, String, String, Likeness)]) {
    for (what, one, other, wanted) in cases {
        assert_eq!(compare(one.as_bytes(), other.as_bytes()), *wanted, "{what}");
    }
}

/// A header as Jane sends it. What a faulty server makes new is in it.
const HEADER: &str = "Message-ID: <1@publisher.example>\r\nDate: Sat, 21 Nov 2026 23:20:30 +0000\r\n\
    From: \"Jane Doe\" <jane@publisher.example>\r\nTo: friends@firm.example\r\nSubject: The figures\r\n\
    References: <0@publisher.example>\r\n";
/// The same, sent again by a server of the kind of 2005.
const AGAIN: &str = "Received: from mail pickup service by server.local with Microsoft SMTPSVC; now\r\n\
    Message-ID: <X4711@server.local>\r\nDate: Sun, 22 Nov 2026 00:05:00 +0000\r\n\
    From: 'Jane Doe' <Jane@Publisher.example>\r\n\
    To: <unlisted-recipients:>, <\"(no To-header on input)\"@server.local>,\r\n\
    \t\"IMB Recipient 1\" <mspop3connector.jane@firm.example>\r\nSubject: The figures\r\n\
    References: <0@publisher.example>\r\nX-MimeOLE: Produced By\r\n";
const TEXT: &str = "Dear readers,\r\n\r\nthe figures of the third quarter are these:\r\nsales 41, costs 17.\r\n\
    \r\nYours\r\nJane\r\n";
const FOOTER: &str =
    "_______________\r\nFriends mailing list\r\nhttps://lists.example/mailman/listinfo/friends\r\n";
const WARNING: &str = "[EXTERNAL] This message came from outside the firm.\r\n\r\n";

fn plain(header: &str, text: &str) -> String {
    format!("{header}\r\n{text}")
}

fn html(header: &str, text: &str) -> String {
    let html = text.replace("\r\n", "<br>\r\n");
    let head = "<html><head><style>p {}</style></head>";
    format!(
        "{header}MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n{head}<body><p>{html}</p></body></html>"
    )
}

/// Plain text, HTML and a file, between the boundaries `outer` and `inner`.
fn mixed(header: &str, boundary: &str, text: &str, file: &str) -> String {
    let html = text.replace("\r\n", "<br>");
    format!(
        "{header}Content-Type: multipart/mixed;\r\n boundary=\"{boundary}\"\r\n\r\nignored\r\n--{boundary}\r\n\
         Content-Type: multipart/alternative; boundary=i{boundary}\r\n\r\n--i{boundary}\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n--i{boundary}\r\n\
         Content-Type: text/html; charset=utf-8\r\n\r\n<p>{html}</p>\r\n--i{boundary}--\r\n\r\n--{boundary}\r\n\
         Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment\r\n\r\n{}\r\n--{boundary}--\r\n",
        base64(file.as_bytes(), 60)
    )
}

fn base64(bytes: &[u8], width: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let block = [three[0], *three.get(1).unwrap_or(&0), *three.get(2).unwrap_or(&0)];
        let bits = u32::from_be_bytes([0, block[0], block[1], block[2]]);
        for n in 0..4 {
            let six = (bits >> (18 - 6 * n)) & 63;
            text.push(if n > three.len() { '=' } else { char::from(LETTERS[six as usize]) });
        }
    }
    text.as_bytes().chunks(width).map(|line| format!("{}\r\n", String::from_utf8_lossy(line))).collect()
}

fn quoted_printable(bytes: &[u8]) -> String {
    let (mut text, mut column) = (String::new(), 0);
    for byte in bytes {
        if column > 60 && *byte != b'\r' && *byte != b'\n' {
            text.push_str("=\r\n");
            column = 0;
        }
        column = if *byte == b'\n' { 0 } else { column + 3 };
        match byte {
            b'\r' | b'\n' | b'!'..=b'<' | b'>'..=b'~' => text.push(char::from(*byte)),
            other => text.push_str(&format!("={other:02X}")),
        }
    }
    text
}

fn latin_1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

/// One text in every encoding and charset that mail has for it.
fn encodings(header: &str, text: &str) -> Vec<Vec<u8>> {
    let whole = |charset: &str, encoding: &str, body: &[u8]| {
        let fields = format!(
            "{header}MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n\tcharset=\"{charset}\"\r\n\
             Content-Transfer-Encoding: {encoding}\r\n\r\n"
        );
        [fields.as_bytes(), body].concat()
    };
    let latin = latin_1(text);
    vec![
        whole("utf-8", "8bit", text.as_bytes()),
        whole("ISO-8859-1", "8bit", &latin),
        whole("windows-1252", "quoted-printable", quoted_printable(&latin).as_bytes()),
        whole("utf-8", "Quoted-Printable", quoted_printable(text.as_bytes()).as_bytes()),
        whole("utf-8", "BASE64", base64(text.as_bytes(), 76).as_bytes()),
        whole("iso-8859-1", "base64", base64(&latin, 60).as_bytes()),
        whole("utf-8; format=flowed", "8bit", text.replace("\r\n", " \r\n").as_bytes()),
        whole("utf-8", "8bit", text.replace("\r\n", "\n").as_bytes()),
    ]
}

#[test]
fn a_copy_in_every_encoding() {
    let text =
        "Gr\u{fc}\u{df}e aus K\u{f6}ln,\r\n\r\ndas Caf\u{e9} \u{f6}ffnet = um 9.\r\n\r\n.\r\nFrom here\r\n";
    for one in encodings(HEADER, text) {
        for other in encodings(AGAIN, text) {
            assert_eq!(compare(&one, &other), Same, "{}", String::from_utf8_lossy(&other));
        }
        for other in encodings(AGAIN, &text.replace('9', "8")) {
            assert_eq!(compare(&one, &other), Different, "{}", String::from_utf8_lossy(&other));
        }
        for other in encodings(AGAIN, &format!("{text}--\r\nlist footer\r\n")) {
            assert_eq!(compare(&one, &other), Added { lines: 2 }, "{}", String::from_utf8_lossy(&other));
        }
    }
}

#[test]
fn copies() {
    let wrapped = TEXT.replace("quarter are", "quarter\r\nare").replace("these:\r\n", "these: ");
    let html_again = html(AGAIN, TEXT).replace("<br>", "<BR />").replace("<p>", "<p class=x>");
    let umlaut = |subject: &str| plain(&HEADER.replace("The figures", subject), TEXT);
    check(&[
        ("sent again", plain(HEADER, TEXT), plain(AGAIN, TEXT), Same),
        (
            "no To",
            plain(HEADER, TEXT),
            plain(&HEADER.replace("To: friends@firm.example\r\n", ""), TEXT),
            Same,
        ),
        ("wrapped anew", plain(HEADER, TEXT), plain(AGAIN, &wrapped), Same),
        (
            "From quoted",
            plain(HEADER, &format!("{TEXT}>From x")),
            plain(AGAIN, &format!("{TEXT}From x")),
            Same,
        ),
        ("another boundary", mixed(HEADER, "a", TEXT, "pdf"), mixed(AGAIN, "----=_b", TEXT, "pdf"), Same),
        ("HTML only", html(HEADER, TEXT), html_again, Same),
        ("a list tag", plain(HEADER, TEXT), plain(&AGAIN.replace("The fig", "[EXT] The fig"), TEXT), Same),
        (
            "subject encoded",
            umlaut("=?iso-8859-1?q?=DCbersicht?="),
            umlaut("=?UTF-8?B?w5xiZXJzaWNodA==?="),
            Same,
        ),
        ("nothing but a file", mixed(HEADER, "a", "", "pdf"), mixed(AGAIN, "b", "", "pdf"), Same),
        ("empty", plain(HEADER, ""), plain(AGAIN, ""), Same),
    ]);
}

#[test]
fn copies_with_something_put_in() {
    let disclaimer =
        |lines: usize| "This message is confidential, and for the addressee only.\r\n".repeat(lines);
    let mailman = |header: &str, part: &str| {
        format!(
            "{header}Content-Type: multipart/mixed; boundary=list\r\n\r\n--list\r\n{part}\r\n--list\r\n\
             Content-Type: text/plain; charset=us-ascii\r\nContent-Disposition: inline\r\n\r\n{FOOTER}--list--\r\n"
        )
    };
    let html_part = format!("Content-Type: text/html\r\n\r\n<p>{}</p>", TEXT.replace("\r\n", "<br>"));
    let ext = AGAIN.replace("The fig", "[EXT] The fig");
    let banner = html(AGAIN, TEXT)
        .replace("<body>", "<body><table><tr><td>CAUTION: from outside</td></tr></table><div>")
        .replace("</body>", "</div><div>Confidential.</div><div>Publisher Ltd</div></body>");
    let sbs = format!("{AGAIN}Thread-Index: AdRkAAAAAAAAAAAAAAAAAAAAAAAAAA==\r\n");
    check(&[
        ("list footer", plain(HEADER, TEXT), plain(AGAIN, &format!("{TEXT}{FOOTER}")), Added { lines: 3 }),
        (
            "two footers",
            plain(HEADER, TEXT),
            plain(AGAIN, &format!("{TEXT}{FOOTER}{FOOTER}")),
            Added { lines: 6 },
        ),
        (
            "a second footer",
            plain(HEADER, &format!("{TEXT}{FOOTER}")),
            plain(AGAIN, &format!("{TEXT}{FOOTER}{FOOTER}")),
            Added { lines: 3 },
        ),
        (
            "40 lines",
            plain(HEADER, TEXT),
            plain(AGAIN, &format!("{TEXT}{}", disclaimer(40))),
            Added { lines: 40 },
        ),
        ("41 lines", plain(HEADER, TEXT), plain(AGAIN, &format!("{TEXT}{}", disclaimer(41))), Different),
        ("warning", plain(HEADER, TEXT), plain(&ext, &format!("{WARNING}{TEXT}")), Added { lines: 1 }),
        (
            "warning and footer",
            plain(HEADER, TEXT),
            plain(&ext, &format!("{WARNING}{TEXT}{FOOTER}")),
            Added { lines: 4 },
        ),
        (
            "disclaimer above the signature",
            plain(HEADER, TEXT),
            plain(AGAIN, &TEXT.replace("Yours", &format!("{}Yours", disclaimer(3)))),
            Added { lines: 3 },
        ),
        (
            "footer in both parts",
            mixed(HEADER, "a", TEXT, "pdf"),
            mixed(AGAIN, "b", &format!("{TEXT}{FOOTER}"), "pdf"),
            Added { lines: 3 },
        ),
        ("list's own part", plain(HEADER, TEXT), mailman(AGAIN, &format!("\r\n{TEXT}")), Added { lines: 3 }),
        ("beside HTML", html(HEADER, TEXT), mailman(AGAIN, &html_part), Added { lines: 3 }),
        ("banner and disclaimer in HTML", html(HEADER, TEXT), banner, Added { lines: 3 }),
        ("Thread-Index added", plain(HEADER, TEXT), plain(&sbs, TEXT), Added { lines: 0 }),
    ]);
}

#[test]
fn two_messages() {
    let reply = HEADER.replace("<0@publisher.example>", "<0@publisher.example> <1@publisher.example>");
    let reply = reply.replace("Subject: ", "Subject: Re: ");
    let quoting = format!("I forgot: costs are 18.\r\n\r\n> {}", TEXT.replace("\r\n", "\r\n> "));
    let forward = format!("FYI\r\n\r\n-----Original Message-----\r\nFrom: Jane\r\n\r\n{TEXT}");
    let patch = "diff --git a/x b/x\r\n@@ -1,3 +1,3 @@\r\n int a;\r\n-int b;\r\n+int c;\r\n--\r\n2.39\r\n";
    let signed = |text: &str| format!("{text}\r\n--\r\nJane Doe, Publisher Ltd\r\nThis is confidential.\r\n");
    let short = |text: &str| plain(HEADER, text);
    let index =
        |id: &str| plain(&format!("{HEADER}Thread-Index: {id}AAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n"), TEXT);
    let (one, stub) = (plain(HEADER, TEXT), "Please use a program that shows HTML.\r\n");
    let stub_of = |text: &str| mixed(HEADER, "a", text, "").replacen(text, stub, 1);
    let cases = [
        ("another author", one.clone(), plain(&HEADER.replace("jane@", "bob@"), TEXT)),
        ("another subject", one.clone(), plain(&HEADER.replace("figures", "numbers"), TEXT)),
        ("another case", one.clone(), plain(HEADER, &TEXT.replace("Dear", "dear"))),
        ("a form letter", one.clone(), plain(HEADER, &TEXT.replace("readers", "Ann"))),
        ("a daily report", one.clone(), plain(HEADER, &TEXT.replace("41", "42"))),
        ("a report that grew", one.clone(), plain(HEADER, &format!("{TEXT}sales on Friday 3\r\n"))),
        ("a reply that quotes", one.clone(), plain(&reply, &quoting)),
        ("the same in the same thread", one.clone(), plain(HEADER, &quoting)),
        ("a reply that says the same", one.clone(), plain(&reply, TEXT)),
        ("forwarded by its author", one.clone(), plain(&HEADER.replace("The", "Fwd: The"), &forward)),
        ("an answer above, not marked", one.clone(), plain(HEADER, &format!("Forgot the file.\r\n{TEXT}"))),
        (
            "a patch, v2",
            short(patch),
            plain(&HEADER.replace("The", "[PATCH v2] The"), &patch.replace('c', "d")),
        ),
        ("one line of a patch", short(patch), short(&patch.replace("int c", "int d"))),
        ("only the tag of a patch", short(patch), plain(&HEADER.replace("The", "[PATCH v2] The"), patch)),
        (
            "the signature alone",
            short(&signed("Shall we meet today?")),
            short(&signed("The report is late.")),
        ),
        ("another file", mixed(HEADER, "a", TEXT, "one"), mixed(HEADER, "a", TEXT, "two")),
        ("a file more", mixed(HEADER, "a", TEXT, "pdf"), plain(HEADER, TEXT)),
        ("two words and a footer", short("Thank you\r\n"), short(&format!("Thank you\r\n{FOOTER}"))),
        ("empty and a footer", short(""), short(FOOTER)),
        ("no text, another file", mixed(HEADER, "a", "", "one"), mixed(HEADER, "a", "", "two")),
        ("through a list", one.clone(), plain(&format!("{HEADER}List-Id: <x.example>\r\n"), TEXT)),
        ("another conversation", index("AdRk"), index("AdRl")),
        ("the same stub beside other HTML", stub_of(TEXT), stub_of(&TEXT.replace("41", "42"))),
    ];
    for (what, one, other) in cases {
        assert_eq!(compare(one.as_bytes(), other.as_bytes()), Different, "{what}");
    }
}

#[test]
fn the_sieve() {
    assert_eq!(bucket(None, None), None);
    assert_eq!(bucket(Some(b" \r\n"), Some(b"Re: \r\n")), None);
    let jane = bucket(Some(b"Jane <jane@x>"), Some(b"a"));
    assert_eq!(jane, bucket(Some(b" \"J\" <JANE@x>\r\n"), Some(b" Re: [list] A\r\n")));
    for (from, subject) in
        [(Some(&b"bob@x"[..]), Some(&b"a"[..])), (None, Some(b"a")), (Some(b"jane@x"), None)]
    {
        assert!(bucket(from, subject).is_some() && bucket(from, subject) != jane);
    }
    assert_ne!(bucket(Some(b"ab"), Some(b"c")), bucket(Some(b"a"), Some(b"bc")));
}

#[test]
fn what_is_cut_is_bounded() {
    let text = |bytes: usize| "word ".repeat(bytes / 5);
    let long = [HEADER, "\r\n", &text(MAX_BODY_BYTES + 10)].concat();
    let longer = [HEADER, "\r\n", &text(3 * MAX_BODY_BYTES)].concat();
    assert_eq!(compare(long.as_bytes(), longer.as_bytes()), Same, "behind the limit");
    let file = "0123456789".repeat(MAX_BODY_BYTES / 10);
    let (one, other) =
        (mixed(HEADER, "a", TEXT, &file), mixed(AGAIN, "b", &format!("{TEXT}{FOOTER}"), &file));
    assert!(one.len() > MAX_BODY_BYTES);
    assert_eq!(compare(one.as_bytes(), other.as_bytes()), Added { lines: 3 }, "a file that is cut");
    assert_eq!(compare(one.as_bytes(), mixed(HEADER, "a", TEXT, &file[1..]).as_bytes()), Different);
    assert!(read(&long).heap_bytes() < 8 << 10 && read(&"line\n".repeat(9_999)).heap_bytes() < 8 << 10);
}

/// Nothing here is quadratic, recurses or panics: each is a megabyte or more, and the test takes
/// minutes where one is.
#[test]
fn hostile_messages() {
    let level = |n: usize| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
    let times = |piece: &str| piece.repeat((1 << 20) / piece.len());
    let mime = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    for message in [
        (0..20_000).map(level).collect::<String>(),
        times("Content-Type: message/rfc822\r\n\r\n"),
        format!("{mime}{}", times("--b\r\n")),
        format!("{mime}{}", times("--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n")),
        format!("{mime}{}", times("--")),
        format!("{mime}{}", times("\n--")),
        format!("Subject: {}\r\n\r\n", times("=?utf-8?q?")),
        format!("Subject: {}\r\n\r\n", times("Re: ")),
        format!("Subject: {}\r\n\r\n", times("[a]")),
        format!("From: {}\r\n\r\n", times("\"\\")),
        format!("From: {}\r\n\r\n", times("(")),
        format!("From: {}\r\nTo: {0}\r\n\r\n", "jane@firm.example, ".repeat(1_000_000)),
        format!("References: {}\r\n\r\n", times("<a@b>")),
        format!("Content-Type: {}\r\n\r\nx", times("a; b=\"\\\"\"; ")),
        format!("Content-Type: text/html\r\n\r\n{}", times("<style>")),
        format!("Content-Type: text/html\r\n\r\n{}", times("&")),
        format!("Content-Type: text/html\r\n\r\n{}", times("<!--")),
        format!("Content-Type: text/html\r\n\r\n{}", times("<p")),
        format!("Content-Transfer-Encoding: quoted-printable\r\n\r\n{}", times("=\r\n")),
        format!("\r\n\r\n{}", times(">From ")),
        format!("\r\n\r\n{}", times("\n")),
        format!("\r\n\r\n{}", times("a\n")),
        format!("\r\n\r\n{}", times("-\u{e4}")),
    ] {
        assert_eq!(compare(message.as_bytes(), message.as_bytes()), Same);
        assert!(read(&message).heap_bytes() < 16 << 10);
    }
}

/// Pieces that messages are made of, and that their readers look for.
const PIECES: [&[u8]; 23] = [
    b"\r\n",
    b"\n\n",
    b"\n",
    b"--b",
    b"--",
    b"From: a <b@c>",
    b"Subject: Re: ",
    b"Content-Type: multipart/mixed; boundary=b",
    b"Content-Type: text/html",
    b"=?utf-8?q?a?=",
    b"Content-Transfer-Encoding: base64\n",
    b"Content-Transfer-Encoding: quoted-printable\n",
    b"Thread-Index: AdRkAAAAAAAAAAAAAAAAAAAAAAAAAA==\n",
    b"=C3=BC =",
    b"<p>&amp;<",
    b"w ",
    b"\xfc\xff",
    b"confidential ",
    b"external ",
    b"> ",
    b"<style>",
    b"[x] ",
    b"\"",
];

fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        proptest::collection::vec(0..PIECES.len(), 0..40)
            .prop_map(|pieces| pieces.iter().flat_map(|at| PIECES[*at].to_vec()).collect()),
    ]
}

/// Words of a text in latin-1, a few to the line, no two lines alike.
fn text() -> impl Strategy<Value = String> {
    let line = "[a-zA-Z0-9\u{e0}-\u{f6}=.,]{1,12}( [a-z\u{e0}-\u{f6}]{1,9}){0,8}";
    proptest::collection::vec(line, 1..30)
        .prop_map(|lines| lines.iter().enumerate().map(|(n, line)| format!("{n} {line}\r\n")).collect())
}

proptest! {
    #[test]
    fn anything_is_read_and_compared_both_ways(one in message(), other in message()) {
        compare(&one, &other);
        prop_assert_eq!(compare(&one, &one), Same);
    }

    #[test]
    fn re_encoded_copies_are_the_same_and_nothing_else(
        texts in [text(), text()], at in (0usize..8, 0usize..8), change in any::<u16>()) {
        let (one, other) = (&encodings(HEADER, &texts[0])[at.0], &encodings(AGAIN, &texts[0])[at.1]);
        prop_assert_eq!(compare(one, other), Same);
        // One word more or less, and another text.
        let mut words: Vec<&str> = texts[0].split(' ').collect();
        words.remove(usize::from(change) % words.len());
        let changed = &encodings(AGAIN, &words.join(" "))[at.1];
        prop_assert_eq!(compare(one, changed), Different);
        let another = compare(one, &encodings(AGAIN, &texts[1])[at.1]);
        prop_assert_eq!(another == Same, texts[0] == texts[1]);
    }

    #[test]
    fn a_footer_is_seen_in_every_encoding(text in text(), at in (0usize..8, 0usize..8), lines in 1usize..=40) {
        let one = &encodings(HEADER, &text)[at.0];
        let longer = format!("{text}{}", "confidential footer\r\n".repeat(lines));
        let wanted = if read_bytes(one).words() < MIN_WORDS { Different } else { Added { lines } };
        prop_assert_eq!(compare(one, &encodings(AGAIN, &longer)[at.1]), wanted);
    }
}
