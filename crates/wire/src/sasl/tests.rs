//! The mechanisms against the examples of their RFCs and against clients of our own.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::base64::{decode, encode};
use super::*;

fn password(user: &str, password: &str) -> Turn {
    Turn::Check(Credentials::Password { user: user.to_owned(), password: Secret::new(password) })
}

fn token(user: Option<&str>, token: &str) -> Turn {
    Turn::Check(Credentials::Token { user: user.map(str::to_owned), token: Secret::new(token) })
}

fn first(mechanism: Mechanism, response: &[u8]) -> Turn {
    Exchange::begin(mechanism, Some(response)).1
}

/// Whether a message is refused as malformed.
fn is_malformed(turn: &Turn) -> bool {
    matches!(turn, Turn::Malformed(_))
}

#[test]
fn mechanisms_have_their_registered_names() {
    for mechanism in Mechanism::ALL {
        assert_eq!(Mechanism::named(mechanism.name().to_lowercase().as_bytes()), Some(mechanism));
    }
    for unknown in ["", "PLAIN ", "SCRAM-SHA-256-PLUS", "CRAM-MD5"] {
        assert_eq!(Mechanism::named(unknown.as_bytes()), None);
    }
}

#[test]
fn secrets_are_not_shown() {
    let turn = first(Mechanism::Plain, b"\0tim\0tanstaaftanstaaf");
    assert!(!format!("{turn:?}").contains("tanstaaf"), "{turn:?}");
    let turn = first(Mechanism::OauthBearer, b"n,,\x01auth=Bearer tanstaaf\x01\x01");
    assert!(!format!("{turn:?}").contains("tanstaaf"), "{turn:?}");
    assert!(format!("{:?}", stored("tanstaaf")).len() < 20);
}

#[test]
fn plain() {
    // RFC 4616 §4, and an authorization identity that is the user's own.
    assert_eq!(first(Mechanism::Plain, b"\0tim\0tanstaaftanstaaf"), password("tim", "tanstaaftanstaaf"));
    assert_eq!(first(Mechanism::Plain, b"tim\0tim\0x"), password("tim", "x"));
    assert_eq!(first(Mechanism::Plain, b"Ursel\0Kurt\0xipj3plmq"), Turn::Refused);
    let (long, longer) = ("x".repeat(MAX_USER_BYTES), "x".repeat(MAX_PASSWORD_BYTES + 1));
    assert_eq!(first(Mechanism::Plain, format!("\0{long}\0x").as_bytes()), password(&long, "x"));
    for bad in [
        "",
        "tim",
        "\0tim",
        "\0\0x",
        "\0tim\0",
        "\0tim\0x\0",
        "\0tim\0x\0y",
        "\0ti\nm\0x",
        "\0tim\0x\u{7f}",
        "\0ti\u{85}m\0x",
        "a\0\0\0",
        &format!("\0x{long}\0x"),
        &format!("\0tim\0{longer}"),
    ] {
        assert!(is_malformed(&first(Mechanism::Plain, bad.as_bytes())), "{bad:?}");
    }
    assert!(is_malformed(&first(Mechanism::Plain, b"\0tim\0\xff")));
}

#[test]
fn login_asks_for_the_name_unless_it_has_it() {
    let (mut exchange, turn) = Exchange::begin(Mechanism::Login, None);
    assert_eq!(turn, Turn::Challenge(b"Username:".to_vec()));
    assert_eq!(exchange.response(b"tim"), Turn::Challenge(b"Password:".to_vec()));
    assert_eq!(exchange.response(b"secret"), password("tim", "secret"));
    assert_eq!(exchange.checked(true), Turn::Accepted);
    assert!(is_malformed(&exchange.response(b"more")));
    let (mut exchange, turn) = Exchange::begin(Mechanism::Login, Some(b"tim"));
    assert_eq!(turn, Turn::Challenge(b"Password:".to_vec()));
    assert!(is_malformed(&exchange.response(b"")));
    assert!(is_malformed(&first(Mechanism::Login, b"")));
    assert!(is_malformed(&first(Mechanism::Login, b"ti\0m")));
}

#[test]
fn oauthbearer() {
    let good = b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
    let wanted = token(Some("user@example.com"), "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
    assert_eq!(first(Mechanism::OauthBearer, good), wanted);
    assert_eq!(first(Mechanism::OauthBearer, b"n,,\x01AUTH=bearer a.b-c\x01\x01"), token(None, "a.b-c"));
    assert_eq!(first(Mechanism::OauthBearer, b"y,,\x01auth=\x01\x01"), token(None, ""));
    assert_eq!(
        first(Mechanism::OauthBearer, b"n,a=a=2Cb=3D,\x01auth=Bearer x\x01\x01"),
        token(Some("a,b="), "x")
    );
    for bad in [
        &b""[..],
        b"\x01",
        b"n,,",
        b"n,,\x01\x01",
        b"n,,\x01auth=Bearer x",
        b"n,,\x01auth=Bearer x\x01",
        b"p=tls-unique,,\x01auth=Bearer x\x01\x01",
        b"n,a=,\x01auth=Bearer x\x01\x01",
        b"n,a=a=2cb,\x01auth=Bearer x\x01\x01",
        b"n,,x\x01auth=Bearer x\x01\x01",
        b"n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
        b"n,,\x01auth=Basic x\x01\x01",
        b"n,,\x01auth=Bearer x\0y\x01\x01",
        b"n,,\x01auth=Bearer x=y\x01\x01",
        b"n,,\x01host=x\x01\x01",
        b"n,,\x01auth=Bearer x\x01\x01\x01",
        b"n,,\x01a1=x\x01auth=Bearer x\x01\x01",
    ] {
        assert!(is_malformed(&first(Mechanism::OauthBearer, bad)), "{}", bad.escape_ascii());
    }
    // RFC 7628 §3.2.3: it is told why, says ^A, and has failed; or says what it likes, and has failed.
    for answer in [&b"\x01"[..], b"", b"n,,\x01auth=Bearer x\x01\x01"] {
        let (mut exchange, _) = Exchange::begin(Mechanism::OauthBearer, Some(good));
        assert_eq!(exchange.checked(false), Turn::Challenge(br#"{"status":"invalid_token"}"#.to_vec()));
        assert_eq!(exchange.response(answer), Turn::Refused);
    }
}

fn stored(password: &str) -> StoredScram {
    let salt = decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    StoredScram::of(password.as_bytes(), salt, NonZeroU32::new(4096).unwrap())
}

/// RFC 7677 §3, to the byte.
#[test]
fn the_example_of_rfc_7677() {
    let first = scram::ClientFirst::read(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap().unwrap();
    assert_eq!(first.user(), "user");
    let (challenged, challenge) = first.challenge_with(stored("pencil"), "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
    let wanted = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    assert_eq!(challenge, wanted.as_bytes());
    let proof = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let signature = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_vec();
    assert_eq!(challenged.prove(proof), Ok(("user".to_owned(), Some(signature))));
}

/// What a client sends to a challenge, and what it wants to hear then (RFC 5802 §3).
pub(crate) fn client_final(header: &str, bare: &str, challenge: &[u8], password: &[u8]) -> (String, String) {
    let challenge = str::from_utf8(challenge).unwrap();
    let mut attributes = challenge.split(',');
    let nonce = attributes.next().unwrap();
    let salt = decode(attributes.next().unwrap().strip_prefix("s=").unwrap().as_bytes()).unwrap();
    let iterations = attributes.next().unwrap().strip_prefix("i=").unwrap().parse().unwrap();
    let mut salted = [0; 32];
    ring::pbkdf2::derive(ring::pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password, &mut salted);
    let mac = |key: &[u8], text: &str| {
        ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key), text.as_bytes())
    };
    let client_key = mac(&salted, "Client Key");
    let without_proof = format!("c={},{nonce}", encode(header.as_bytes()));
    let signed = format!("{bare},{challenge},{without_proof}");
    let stored_key = ring::digest::digest(&ring::digest::SHA256, client_key.as_ref());
    let signature = mac(stored_key.as_ref(), &signed);
    let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
    let server = mac(mac(&salted, "Server Key").as_ref(), &signed);
    (format!("{without_proof},p={}", encode(&proof)), format!("v={}", encode(server.as_ref())))
}

/// One exchange with a client that knows `password`: whether it gets in.
fn scram(header: &str, name: &str, password: &str, nonce: &[u8]) -> bool {
    let bare = format!("n={name},r=abc");
    let (mut exchange, turn) = Exchange::begin(Mechanism::ScramSha256, None);
    assert_eq!(turn, Turn::Challenge(vec![]));
    let Turn::Stored(user) = exchange.response(format!("{header}{bare}").as_bytes()) else { return false };
    let Turn::Challenge(challenge) = exchange.stored(Some(stored("pencil")), nonce) else {
        panic!("no challenge")
    };
    assert!(encode(&challenge).len() < 400);
    let (response, wanted) = client_final(header, &bare, &challenge, password.as_bytes());
    match exchange.response(response.as_bytes()) {
        Turn::Challenge(signature) => {
            assert_eq!(signature, wanted.as_bytes());
            assert_eq!(exchange.response(b""), Turn::Check(Credentials::Scram { user, proved: true }));
            exchange.checked(true) == Turn::Accepted
        }
        turn => {
            assert_eq!(turn, Turn::Check(Credentials::Scram { user, proved: false }));
            // Whatever the caller says to it.
            assert_eq!(exchange.checked(true), Turn::Refused);
            false
        }
    }
}

#[test]
fn scram_with_a_client_of_our_own() {
    let nonce = [7; 18];
    assert!(scram("n,,", "user", "pencil", &nonce));
    assert!(scram("y,,", "user", "pencil", &nonce));
    assert!(scram("n,a=user,", "user", "pencil", &nonce));
    assert!(scram("n,a=a=2Cb,", "a=2Cb", "pencil", &[1; MAX_NONCE_BYTES]));
    assert!(!scram("n,,", "user", "Pencil", &nonce));
    assert!(!scram("n,a=other,", "user", "pencil", &nonce));
    assert!(!scram("p=tls-exporter,,", "user", "pencil", &nonce));
}

#[test]
fn scram_messages_that_are_none() {
    for bad in [
        "",
        "n",
        "n,",
        "n,,",
        "n,,n=user",
        "n,,r=x,n=user",
        "n,,n=,r=x",
        "n,,n=user,r=",
        "n,,n=us=er,r=x",
        "n,,n=user,r=a b",
        "n,,m=x,n=user,r=x",
        "n,,n=user,r=x,m=x",
        "n,,n=user,r=x,",
        "N,,n=user,r=x",
        "n,user,n=user,r=x",
        "p,,n=user,r=x",
        "n,,n=us\0er,r=x",
        "n,,n=user,r=\u{fc}",
        &format!("n,,n=user,r={}", "x".repeat(129)),
    ] {
        assert!(is_malformed(&first(Mechanism::ScramSha256, bad.as_bytes())), "{bad:?}");
    }
    for (good, bad) in
        [("c=biws", "c=eSws"), (",p=", ",x=1,p=p="), ("r=abc", "r=abd"), (",p=", ",m=1,p="), ("=", "\u{fc}")]
    {
        let (mut exchange, _) = Exchange::begin(Mechanism::ScramSha256, Some(b"n,,n=user,r=abc"));
        let Turn::Challenge(challenge) = exchange.stored(Some(stored("pencil")), &[7; 18]) else { panic!() };
        let (response, _) = client_final("n,,", "n=user,r=abc", &challenge, b"pencil");
        let damaged = response.replacen(good, bad, 1);
        assert_ne!(damaged, response);
        assert!(is_malformed(&exchange.response(damaged.as_bytes())), "{damaged}");
        assert!(is_malformed(&exchange.response(response.as_bytes())), "it is over");
    }
    // An extension is let through, but it is signed.
    let (mut exchange, _) = Exchange::begin(Mechanism::ScramSha256, Some(b"n,,n=user,r=abc,x=1"));
    let Turn::Challenge(challenge) = exchange.stored(Some(stored("pencil")), &[7; 18]) else { panic!() };
    let (response, _) = client_final("n,,", "n=user,r=abc,x=1", &challenge, b"pencil");
    assert!(matches!(exchange.response(response.as_bytes()), Turn::Challenge(_)));
    assert!(is_malformed(&exchange.response(b"more")), "only an empty response fits");
}

#[test]
fn what_the_server_cannot_say_is_trouble() {
    for (stored, nonce) in [
        (None, vec![7; 18]),
        (Some(stored("pencil")), vec![7; 15]),
        (Some(stored("pencil")), vec![7; MAX_NONCE_BYTES + 1]),
        (Some(StoredScram { salt: vec![1; MAX_SALT_BYTES + 1], ..stored("pencil") }), vec![7; 18]),
    ] {
        let (mut exchange, _) = Exchange::begin(Mechanism::ScramSha256, Some(b"n,,n=user,r=abc"));
        assert_eq!(exchange.stored(stored, &nonce), Turn::Trouble);
    }
    // Answers that nobody asked for.
    let (mut exchange, _) = Exchange::begin(Mechanism::Plain, None);
    assert_eq!(exchange.checked(true), Turn::Trouble);
    assert_eq!(exchange.stored(Some(stored("pencil")), &[7; 18]), Turn::Trouble);
}

#[test]
fn base64_is_strict() {
    assert_eq!(decode(b"dGVzdA==").as_deref(), Some(&b"test"[..]));
    for bad in ["=", "*", "dGVzdA", "dGVzdA=", "dGVzdB==", "dGVz dA==", "dGVzdA==\0", "_-==", "dGVzdA==dGVz"]
    {
        assert_eq!(decode(bad.as_bytes()), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn any_responses_are_survived(
        policy: u8,
        responses in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "n,(a=[a-c=,]{0,4})?,n=[a-c=2CD]{1,5},r=[a-c,=m]{0,6}".prop_map(String::into_bytes),
            "[ny],,\u{1}(auth|host)=(Bearer )?[a-c=]{0,5}\u{1}\u{1}?".prop_map(String::into_bytes),
            "[ab]?\0[ab]{0,2}\0[ab]{0,2}\0?".prop_map(String::into_bytes),
        ], 1..5),
    ) {
        fuzz::fuzz_sasl(&[vec![policy], responses.join(&b'\n')].concat());
    }
}
