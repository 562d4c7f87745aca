//! What fuzzing and property tests of the exchanges share.

use std::num::NonZeroU32;

use super::base64::encode;
use super::{Credentials, Exchange, MAX_NONCE_BYTES, MAX_SALT_BYTES, Mechanism, StoredScram, Turn};

/// An exchange whose responses are the lines of `bytes`; its first byte gives the mechanism, what
/// the caller says, and whether the first line is an initial response. Nobody gets in without the
/// caller's word, or by SCRAM (whose stored key here is that of no password); a challenge fits into
/// one line of a reply; what is over stays so.
pub fn fuzz_sasl(bytes: &[u8]) {
    let [policy, stream @ ..] = bytes else { return };
    let (mechanism, right) = (Mechanism::ALL[usize::from(policy % 4)], policy & 4 != 0);
    let mut responses = stream.split(|byte| *byte == b'\n');
    let initial = if policy & 8 != 0 { responses.next() } else { None };
    let (mut exchange, mut turn) = Exchange::begin(mechanism, initial);
    let mut was_right = false;
    loop {
        turn = match turn {
            Turn::Challenge(challenge) => {
                assert!(encode(&challenge).len() <= 480, "a challenge of {} bytes", challenge.len());
                let Some(response) = responses.next() else { return };
                exchange.response(response)
            }
            Turn::Check(credentials) => {
                assert!(!matches!(credentials, Credentials::Scram { proved: true, .. }), "proved");
                was_right = right;
                exchange.checked(right)
            }
            Turn::Stored(user) => {
                assert!(!user.is_empty() && !user.chars().any(char::is_control), "{user:?}");
                exchange.stored(Some(nobodys()), &[9; MAX_NONCE_BYTES])
            }
            Turn::Accepted => {
                assert!(was_right && mechanism != Mechanism::ScramSha256, "in");
                break;
            }
            Turn::Refused | Turn::Malformed(_) => break,
            Turn::Trouble => unreachable!("no answer was missing"),
        };
    }
    assert!(matches!(exchange.response(b""), Turn::Malformed(_)), "it goes on");
}

/// As large as may be, and of no password.
fn nobodys() -> StoredScram {
    let salt = vec![0; MAX_SALT_BYTES];
    StoredScram { salt, iterations: NonZeroU32::MAX, stored_key: [1; 32], server_key: [2; 32] }
}
