//! Passwords: what is kept to check them, and the check.

use std::num::NonZeroU32;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use quell_mail::key::Secret;
use quell_queue::users::{Scram, Verifier};
use quell_wire::sasl::StoredScram;

/// Longest password, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 1024;
/// Memory of one check: with two rounds and one lane what OWASP's password storage cheat sheet asks of
/// Argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
const ROUNDS: u32 = 2;
const LANES: u32 = 1;
/// Most that a stored hash may ask for: it must not be able to take the machine's memory.
const MAX_MEMORY_KIB: u32 = 64 * 1024;
const MAX_ROUNDS: u32 = 16;
/// Rounds of PBKDF2 for SCRAM, which the client pays at every sign-in, and the server never: sixteen
/// times the least of RFC 7677 §4, which a telephone still does in a fraction of a second. Whoever steals the
/// users' file guesses through it faster than through Argon2.
pub const SCRAM_ITERATIONS: u32 = 65_536;

/// Why no verifier was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// Nothing.
    #[error("the password is empty")]
    Empty,
    /// Too much.
    #[error("the password is longer than {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
    /// Nobody could type it, and PLAIN cannot carry a NUL (RFC 4616 §2).
    #[error("the password has a control character in it")]
    Control,
    /// Argon2 did not run.
    #[error("the password could not be hashed: too little memory?")]
    NotHashed,
}

fn argon2() -> Option<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, ROUNDS, LANES, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// What is kept of `password`. `salts` are random bytes: 16 for each way to check it.
///
/// # Errors
/// [`BadPassword`].
pub fn make(password: &str, salts: &[u8; 32]) -> Result<Verifier, BadPassword> {
    match password.len() {
        0 => return Err(BadPassword::Empty),
        len if len > MAX_PASSWORD_BYTES => return Err(BadPassword::TooLong),
        _ if password.chars().any(char::is_control) => return Err(BadPassword::Control),
        _ => {}
    }
    let (first, second) = salts.split_at(16);
    let argon2 = argon2().ok_or(BadPassword::NotHashed)?;
    let hash = argon2.hash_password_with_salt(password.as_bytes(), first);
    let hash: PasswordHash = hash.map_err(|_| BadPassword::NotHashed)?;
    let mut salt = [0; 16];
    salt.copy_from_slice(second);
    Ok(Verifier { argon2: hash.to_string(), scram: scram(password.as_bytes(), salt, SCRAM_ITERATIONS) })
}

/// The keys of SCRAM-SHA-256 (RFC 5802 §3). The password is taken as it is: SASLprep changes none of
/// ASCII.
fn scram(password: &[u8], salt: [u8; 16], iterations: u32) -> Scram {
    let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    let StoredScram { stored_key, server_key, .. } = StoredScram::of(password, salt.to_vec(), rounds);
    Scram { salt, iterations, stored_key, server_key }
}

/// Whether `password` is the one. Takes the time and the memory of one Argon2; without a verifier, for
/// a user who is not there, the same, and the answer is no.
pub fn matches(verifier: Option<&Verifier>, password: &[u8]) -> bool {
    let hash = verifier.and_then(|verifier| PasswordHash::new(&verifier.argon2).ok());
    match (hash, argon2()) {
        (Some(hash), Some(argon2)) => argon2.verify_password(password, &hash).is_ok(),
        (None, Some(argon2)) => {
            let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
            // What it answers says nothing: it is there for the time that it takes.
            let spent = argon2.hash_password_into(password, &[0; 16], &mut out).is_ok();
            std::hint::black_box((spent, out));
            false
        }
        (_, None) => false,
    }
}

/// What SCRAM begins with for a user who is not there: the same at every try, and another for each
/// name, as with users who are. No password fits.
pub fn fake_scram(secret: &Secret, name: &str) -> Scram {
    let mac = |what: &[u8]| secret.mac(what, name.as_bytes());
    let (salt, iterations) = (mac(b"scram salt"), SCRAM_ITERATIONS);
    let mut fake = Scram { salt, iterations, stored_key: [0; 32], server_key: [0; 32] };
    let halves: [&[u8]; 4] = [b"scram stored 1", b"scram stored 2", b"scram server 1", b"scram server 2"];
    let keys = [&mut fake.stored_key, &mut fake.server_key];
    for (key, halves) in keys.into_iter().zip(halves.chunks_exact(2)) {
        for (part, half) in key.chunks_exact_mut(16).zip(halves) {
            part.copy_from_slice(&mac(half));
        }
    }
    fake
}

/// Whether a verifier that came from elsewhere can be kept.
///
/// # Errors
/// In words.
pub fn well_formed(verifier: &Verifier) -> Result<(), &'static str> {
    let hash = PasswordHash::new(&verifier.argon2).map_err(|_| "the hash is no PHC string")?;
    if hash.algorithm.as_str() != "argon2id" || hash.salt.is_none() || hash.hash.is_none() {
        return Err("the hash is none of Argon2id");
    }
    let params = Params::try_from(&hash).map_err(|_| "the hash has strange parameters")?;
    let (memory, rounds) = (params.m_cost(), params.t_cost());
    if memory > MAX_MEMORY_KIB || rounds > MAX_ROUNDS || params.p_cost() != LANES {
        return Err("the hash asks for too much memory or time");
    }
    if !(4096..=10_000_000).contains(&verifier.scram.iterations) {
        return Err("SCRAM wants 4096 iterations or more (RFC 7677)");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::{digest, hmac};

    #[test]
    fn a_password_is_checked() {
        let jane = make("correct horse", &[7; 32]).unwrap();
        assert!(jane.argon2.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", jane.argon2);
        assert!(matches(Some(&jane), b"correct horse"));
        assert!(!matches(Some(&jane), b"correct hors"));
        assert!(!matches(None, b"correct horse"));
        assert_eq!(well_formed(&jane), Ok(()));
        assert_ne!(jane, make("correct horse", &[8; 32]).unwrap());
    }

    /// RFC 7677 §3: password `pencil`, 4096 rounds. The proof of its example is checked with the keys.
    #[test]
    fn scram_keys_are_those_of_the_rfc() {
        use base64::Engine;
        let base64 = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
        let salt = <[u8; 16]>::try_from(base64("W22ZaJ0SNY7soEsUEjb6gQ==")).unwrap();
        let keys = scram(b"pencil", salt, 4096);
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
             r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
             c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let sign = |key: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes());
        assert_eq!(sign(&keys.server_key).as_ref(), base64("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        let proof = base64("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let client_key: Vec<u8> =
            proof.iter().zip(sign(&keys.stored_key).as_ref()).map(|(proof, sign)| proof ^ sign).collect();
        assert_eq!(digest::digest(&digest::SHA256, &client_key).as_ref(), keys.stored_key);
    }

    #[test]
    fn bad_passwords_and_verifiers_are_refused() {
        assert_eq!(make("", &[0; 32]), Err(BadPassword::Empty));
        assert_eq!(make("a\n", &[0; 32]), Err(BadPassword::Control));
        assert_eq!(make(&"a".repeat(1025), &[0; 32]), Err(BadPassword::TooLong));
        assert!(make(&"ü".repeat(512), &[0; 32]).is_ok());
        let good = make("a", &[0; 32]).unwrap();
        let with = |from: &str, to: &str| Verifier { argon2: good.argon2.replace(from, to), ..good.clone() };
        for bad in [
            with("argon2id", "argon2d"),
            with("m=19456", "m=4194304"),
            with("t=2", "t=2000"),
            with("p=1", "p=8"),
            with("$argon2id", "argon2id"),
            Verifier { argon2: "$argon2id$v=19$m=19456,t=2,p=1".to_owned(), ..good.clone() },
            Verifier { scram: Scram { iterations: 1, ..good.scram.clone() }, ..good.clone() },
        ] {
            assert!(well_formed(&bad).is_err(), "{}", bad.argon2);
        }
    }

    #[test]
    fn whoever_is_not_there_looks_as_if() {
        let (secret, other) = (Secret::new(1, [1; 32]), Secret::new(1, [2; 32]));
        let fake = fake_scram(&secret, "nobody@firm.example");
        assert_eq!(fake, fake_scram(&secret, "nobody@firm.example"));
        assert_ne!(fake.salt, fake_scram(&secret, "nobody2@firm.example").salt);
        assert_ne!(fake.salt, fake_scram(&other, "nobody@firm.example").salt);
        assert_ne!(fake.stored_key[..16], fake.stored_key[16..]);
        assert_eq!(fake.iterations, make("a", &[0; 32]).unwrap().scram.iterations);
    }
}
