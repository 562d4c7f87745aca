//! Sign-in: who is believed, and what follows for the source and for `Received`.

use std::num::NonZeroU32;

use quell_wire::sasl::{Credentials, Mechanism, Secret, StoredScram};

use super::*;
use crate::submission::User;

/// Jane, whose password is `right`, is the only user; `down` and `many` stand for trouble.
pub(super) fn answer(reception: &mut Reception, credentials: Credentials) {
    match credentials {
        Credentials::Password { user, password } if user == "jane" && password == Secret::new("right") => {
            reception.signed_in(jane());
        }
        Credentials::Password { user, .. } if user == "down" => reception.not_signed_in(NotSignedIn::Trouble),
        Credentials::Password { user, .. } if user == "many" => reception.not_signed_in(NotSignedIn::TooMany),
        // Also of a proof that is none.
        Credentials::Scram { .. } => reception.signed_in(jane()),
        _ => reception.not_signed_in(NotSignedIn::Refused),
    }
    // Nobody asked: nothing happens.
    reception.signed_in(User { name: "intruder".to_owned(), addresses: Vec::new() });
}

pub(super) fn stored() -> StoredScram {
    StoredScram::of(b"right", vec![1; 16], NonZeroU32::MIN)
}

fn jane() -> User {
    let addresses = ["jane@firm.example", "*@box.example"].map(str::to_owned).into();
    User { name: "jane".to_owned(), addresses }
}

/// A client that is connected by TLS and has said EHLO.
pub(super) fn client<'a>(memory: &Arc<Memory>, world: &'a Ground, submission: bool) -> Client<'a> {
    let settings = Settings { auth: Mechanism::ALL.to_vec(), ..Settings::new("mx.firm.example") };
    let mut reception = Reception::new(policy(memory), Arc::new(settings), [192, 0, 2, 1].into(), false);
    if submission {
        reception = reception.for_submission();
    }
    reception.secured(TLS);
    let mut client = Client { reception, world, asks: Vec::new(), given: Vec::new() };
    let said = client.says(b"EHLO laptop\r\n");
    assert!(said.contains("\r\n250-AUTH PLAIN LOGIN SCRAM-SHA-256 OAUTHBEARER\r\n"), "{said}");
    client
}

/// `jane`, `right`.
pub(super) const SIGN_IN: &[u8] = b"AUTH PLAIN AGphbmUAcmlnaHQ=\r\n";

#[test]
fn passwords_are_believed_or_not() {
    let (memory, world) = (Memory::new(16 * MIB), Ground::new("signin"));
    let mut jane_there = client(&memory, &world, false);
    // `jane`, `wrong`; `down`, `x`.
    assert!(jane_there.says(b"AUTH PLAIN AGphbmUAd3Jvbmc=\r\n").starts_with("535 5.7.8 "));
    assert!(jane_there.says(b"AUTH PLAIN AGRvd24AeA==\r\n").starts_with("454 4.7.0 "));
    assert!(jane_there.reception.user().is_none());
    assert!(jane_there.says(SIGN_IN).starts_with("235 2.7.0 "));
    assert_eq!(jane_there.reception.user(), Some(&jane()));
    assert_eq!(jane_there.reception.source.id().0, "user jane");
    assert!(jane_there.says(SIGN_IN).starts_with("503 5.5.1 "));
    // `many`, `x`.
    let mut many = client(&memory, &world, false);
    let said = many.says(b"AUTH PLAIN AG1hbnkAeA==\r\nNOOP\r\n");
    assert!(said.starts_with("421 4.7.0 ") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_proof_that_is_none_is_refused_whatever_the_caller_says() {
    let (memory, world) = (Memory::new(16 * MIB), Ground::new("scram"));
    let mut client = client(&memory, &world, false);
    // `n,,n=jane,r=abc`, and a proof of zeros.
    let said = client.says(b"AUTH SCRAM-SHA-256 biwsbj1qYW5lLHI9YWJj\r\n");
    assert!(said.starts_with("334 "), "{said}");
    let proof = b"Yz1iaXdzLHI9YWJjQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NILHA9QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQT0=\r\n";
    let said = client.says(proof);
    assert!(said.starts_with("535 5.7.8 "), "{said}");
    assert!(client.reception.user().is_none() && !client.reception.source.inside);
    assert_eq!(client.reception.source.user, None);
}

#[test]
fn while_somebody_is_looked_up_the_client_waits() {
    let (memory, world) = (Memory::new(16 * MIB), Ground::new("signin-waits"));
    let mut client = client(&memory, &world, false);
    let input = [SIGN_IN, b"NOOP\r\n"].concat();
    let (taken, want) = client.reception.advance(&input, &world);
    assert!(matches!(&want, Want::SignIn(Credentials::Password { user, .. }) if user == "jane"), "{want:?}");
    assert!(!format!("{want:?}").contains("right"));
    let (more, want) = client.reception.advance(&input[taken..], &world);
    assert!(more == 0 && matches!(want, Want::Flush), "{want:?}");
    // The server stops meanwhile: nobody signs in any more.
    client.reception.shut_down(&Reply::new(421, (3, 2), "The server is stopping"));
    client.reception.signed_in(jane());
    assert!(client.reception.user().is_none());
    assert!(client.says(b"").starts_with("421 4.3.2 "));
}

#[test]
fn received_names_the_protocol_and_not_the_user() {
    let (memory, world) = (Memory::new(16 * MIB), Ground::new("signin-received"));
    for (auth, smtputf8, with) in [
        (false, false, "ESMTPS"),
        (true, false, "ESMTPSA"),
        (false, true, "UTF8SMTPS"),
        (true, true, "UTF8SMTPSA"),
    ] {
        let mut client = client(&memory, &world, false);
        if auth {
            client.says(SIGN_IN);
        }
        let parameter = if smtputf8 { " SMTPUTF8" } else { "" };
        client.says(format!("MAIL FROM:<jane@firm.example>{parameter}\r\n").as_bytes());
        let message = "RCPT TO:<jane@firm.example>\r\nRCPT TO:<info@firm.example>\r\nDATA\r\nFrom: jane@firm.example\r\n\r\nx\r\n.\r\n";
        client.says(message.as_bytes());
        let front = String::from_utf8(client.given[0].front.clone()).unwrap();
        assert!(front.contains(&format!(" with {with}\r\n")), "{front}");
        assert!(!front.contains("jane"), "{front}");
        assert_eq!(client.given[0].facts.source.user.as_deref(), auth.then_some("jane"));
        assert_eq!(client.given[0].facts.source.inside, auth);
    }
}
