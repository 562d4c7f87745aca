//! Sign-in by AUTH: which way is taken, what is said, and what a refusal brings.

use quell_wire::pop3::Password;
use quell_wire::pop3::client::{
    At, Code, Deletions, Ending, Fault, MAX_REFUSAL_BYTES, Mechanism, Settings, SignIn, Why,
};
use quell_wire::pop3::fuzz::{Collected, Collecting};
use quell_wire::sasl;

const ALL: &str = "+OK\nSASL PLAIN XOAUTH2 OAUTHBEARER\n.";

fn run(sign_in: SignIn, says: &[&str]) -> Collected {
    let mut says = says.iter();
    let peer =
        &mut |_, _: &[u8]| says.next().map(|text| format!("{text}\n").replace('\n', "\r\n").into_bytes());
    Collecting { settings: Settings::default(), sign_in, headers_first: false, cut: 7 }.run(peer)
}

fn token(mechanism: Option<Mechanism>, token: &str) -> SignIn {
    SignIn::bearer("jane", Password::new(token).unwrap(), mechanism, "h", 995).unwrap()
}

fn password() -> SignIn {
    SignIn::new("jane", Password::new("a b").unwrap()).unwrap()
}

/// What is said after CAPA, with what is base64 read.
fn said(run: &Collected) -> Vec<String> {
    let lines = run.log.iter().filter_map(|line| line.strip_prefix("C: "));
    let readable = |line: &str| {
        let (before, last) = line.rsplit_once(' ').map_or(("", line), |(before, last)| (before, last));
        let read = sasl::decode(last.as_bytes()).filter(|read| read.contains(&0) || read.contains(&1));
        match read {
            Some(read) => format!("{before} {}", read.escape_ascii()),
            None => line.to_owned(),
        }
    };
    lines.filter(|line| *line != "CAPA").map(readable).collect()
}

fn refused(run: &Collected) -> (Option<Code>, &str, Option<&str>) {
    let Why::Refused(At::SignIn, refusal) = &run.ending.why else { panic!("{:?}", run.ending) };
    (refusal.code, &refusal.text, refusal.explained.as_deref())
}

#[test]
fn the_way_is_what_the_server_offers() {
    let oauthbearer = r"AUTH OAUTHBEARER n,a=jane,\x01host=h\x01port=995\x01auth=Bearer t\x01\x01";
    let xoauth2 = r"AUTH XOAUTH2 user=jane\x01auth=Bearer t\x01\x01";
    let plain = r"AUTH PLAIN \x00jane\x00a b";
    let by = |mechanism| token(mechanism, "t");
    for (sign_in, capa, first) in [
        (by(None), ALL, oauthbearer),
        (by(None), "+OK\nSASL LOGIN\nSASL xoauth2\n.", xoauth2),
        (by(Some(Mechanism::XOAuth2)), ALL, xoauth2),
        (by(Some(Mechanism::OAuthBearer)), ALL, oauthbearer),
        (by(Some(Mechanism::XOAuth2)), "-ERR", xoauth2),
        (by(Some(Mechanism::OAuthBearer)), "+OK\nSASL PLAIN XOAUTH2\n.", "QUIT"),
        (by(None), "+OK\nUSER\nSASL PLAIN LOGIN\n.", "QUIT"),
        (by(None), "+OK\n.", "QUIT"),
        (by(None), "-ERR", "QUIT"),
        (password(), ALL, plain),
        (password(), "+OK\nUSER\nSASL PLAIN\n.", "USER jane"),
        (password(), "+OK\nSASL XOAUTH2\n.", "USER jane"),
        (password(), "+OK\n.", "USER jane"),
        (password(), "-ERR", "USER jane"),
    ] {
        let run = run(sign_in, &["+OK", capa]);
        assert_eq!(said(&run), [first], "{capa}");
        assert_eq!(run.ending.why == Why::NoMechanism, first == "QUIT", "{capa}");
    }
}

#[test]
fn signed_in_at_once_or_after_a_challenge() {
    let at_once = run(token(None, "t"), &["+OK", ALL, "+OK", "+OK 0 0", "+OK"]);
    assert_eq!(said(&at_once)[1..], ["STAT", "QUIT"]);
    assert_eq!(at_once.ending, Ending { why: Why::Quit, deletions: Deletions::Nothing });

    let long = "t".repeat(200);
    let later = run(token(None, &long), &["+OK", ALL, "+ ", "+OK", "+OK 0 0", "+OK"]);
    let response = format!(r" n,a=jane,\x01host=h\x01port=995\x01auth=Bearer {long}\x01\x01");
    assert_eq!(said(&later), ["AUTH OAUTHBEARER", &response, "STAT", "QUIT"]);
    assert_eq!(later.ending.why, Why::Quit);
}

/// RFC 2449 §4: 255 octets, CRLF included.
#[test]
fn a_line_has_no_more_than_may_be() {
    let mut longest = 0;
    for len in 1..400 {
        let run = run(token(Some(Mechanism::XOAuth2), &"t".repeat(len)), &["+OK", "-ERR"]);
        let line = run.log.iter().find(|line| line.starts_with("C: AUTH")).unwrap();
        let bytes = line.len() - "C: ".len() + "\r\n".len();
        assert!(bytes <= 255, "{len}: {bytes}");
        longest = longest.max(bytes);
    }
    // Base64 goes by four.
    assert!(longest > 251, "{longest}");
}

#[test]
fn what_an_error_challenge_says_is_kept() {
    let json = r#"{"status":"400"}"#;
    let challenge = format!("+ {}", sasl_encode(json.as_bytes()));
    for (mechanism, answer) in [(Mechanism::XOAuth2, ""), (Mechanism::OAuthBearer, "AQ==")] {
        let run = run(token(Some(mechanism), "t"), &["+OK", ALL, &challenge, "-ERR [AUTH] no"]);
        let lines: Vec<&str> = run.log.iter().filter_map(|line| line.strip_prefix("C: ")).collect();
        assert_eq!(lines[2..], [answer, "QUIT"]);
        assert_eq!(refused(&run), (Some(Code::Auth), "[AUTH] no", Some(json)));
        let Why::Refused(_, refusal) = &run.ending.why else { panic!("{:?}", run.ending) };
        assert_eq!(refusal.to_string(), r#"-ERR [AUTH] no ({"status":"400"})"#);
    }
    // After the response that was asked for, and with nonsense in it.
    let long = token(None, &"t".repeat(300));
    let found = run(long, &["+OK", ALL, "+", "+ no\x1bbase64", "-ERR"]);
    assert_eq!(refused(&found), (None, "", Some("no?base64")));
    let much = format!("+ {}", sasl_encode(&[b'x'; 1500]));
    let found = run(token(None, "t"), &["+OK", ALL, &much, "-ERR"]);
    assert_eq!(refused(&found).2, Some("x".repeat(MAX_REFUSAL_BYTES).as_str()));
}

#[test]
fn refused_without_a_challenge() {
    for says in [&["+OK", ALL, "-ERR no"][..], &["+OK", ALL, "+", "-ERR no"]] {
        let long = if says.len() == 4 { 300 } else { 1 };
        assert_eq!(refused(&run(token(None, &"t".repeat(long)), says)), (None, "no", None));
    }
    let run = run(password(), &["+OK", ALL, "-ERR [AUTH] no"]);
    assert_eq!(refused(&run), (Some(Code::Auth), "[AUTH] no", None));
}

#[test]
fn an_exchange_that_cannot_be_right_is_a_fault() {
    let long = || token(None, &"t".repeat(300));
    for (sign_in, says) in [
        // Nothing was shown yet.
        (long(), &["+OK", ALL, "+OK"][..]),
        // It was called wrong.
        (token(None, "t"), &["+OK", ALL, "+ e30=", "+OK"]),
        (token(None, "t"), &["+OK", ALL, "+ e30=", "+ e30="]),
        (long(), &["+OK", ALL, "+", "+ e30=", "+"]),
        // PLAIN has one response.
        (password(), &["+OK", ALL, "+"]),
    ] {
        assert_eq!(run(sign_in, says).ending.why, Why::Fault(Fault::Exchange), "{says:?}");
    }
    // Elsewhere a challenge is no answer at all.
    for says in [&["+"][..], &["+OK", "+ "], &["+OK", "-ERR", "+"], &["+OK", "-ERR", "+OK", "+"]] {
        assert_eq!(run(password(), says).ending.why, Why::Fault(Fault::NoStatus), "{says:?}");
    }
}

/// Base64 by hand: what is tested does not test itself.
fn sasl_encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place) & 63) as usize;
            text.push(if place <= three.len() { char::from(ALPHABET[digit]) } else { '=' });
        }
    }
    text
}
