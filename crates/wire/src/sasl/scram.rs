//! SCRAM-SHA-256 (RFC 5802 with RFC 7677), the server's side, without channel binding.

use std::fmt;
use std::num::NonZeroU32;

use ring::digest::{SHA256, digest};
use ring::{hmac, pbkdf2};

use super::base64::{decode, encode};
use super::secret::{same, wipe};
use super::{BAD_NAME, name};

/// Bytes of SHA-256.
const KEY_BYTES: usize = 32;
/// Most random bytes of ours, and most characters of the client's nonce: a challenge goes into one
/// line of a reply.
pub const MAX_NONCE_BYTES: usize = 32;
const MAX_CLIENT_NONCE_BYTES: usize = 128;
/// Longest salt, likewise.
pub const MAX_SALT_BYTES: usize = 64;

const MALFORMED: &str = "that is not SCRAM, RFC 5802 7";
const NO_BINDING: &str = "channel binding is not supported";

/// What is kept of a password (RFC 5802 §3): enough to know it again, and to prove to the client
/// that it is known. Who steals it can play the server, but not the client.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredScram {
    /// At most [`MAX_SALT_BYTES`].
    pub salt: Vec<u8>,
    /// RFC 7677 §4: 4096 or more.
    pub iterations: NonZeroU32,
    /// `H(HMAC(SaltedPassword, "Client Key"))`.
    pub stored_key: [u8; KEY_BYTES],
    /// `HMAC(SaltedPassword, "Server Key")`.
    pub server_key: [u8; KEY_BYTES],
}

impl StoredScram {
    /// What is kept of `password` (which is taken as it is, see [`crate::sasl`]). Slow by intent: one
    /// HMAC for each iteration.
    pub fn of(password: &[u8], salt: Vec<u8>, iterations: NonZeroU32) -> Self {
        let mut salted = [0; KEY_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password, &mut salted);
        let mut client_key = mac(&salted, b"Client Key");
        let (stored_key, server_key) = (hash(&client_key), mac(&salted, b"Server Key"));
        wipe(&mut salted);
        wipe(&mut client_key);
        Self { salt, iterations, stored_key, server_key }
    }
}

impl fmt::Debug for StoredScram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredScram(..)")
    }
}

/// What stands before the message of a mechanism (RFC 5801 §4).
pub(super) struct Gs2<'a> {
    /// Whom they want to be; None: whom they sign in as.
    pub for_whom: Option<String>,
    pub rest: &'a [u8],
}

/// Reads `n,a=name,`. A client that could bind to the channel and thinks that we cannot (`y`) is
/// right; one that does (`p`) is not.
pub(super) fn gs2_header(message: &[u8]) -> Result<Gs2<'_>, &'static str> {
    let mut parts = message.splitn(3, |byte| *byte == b',');
    let (Some(binding), Some(whom), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(MALFORMED);
    };
    match binding {
        b"n" | b"y" => {}
        [b'p', b'=', ..] => return Err(NO_BINDING),
        _ => return Err(MALFORMED),
    }
    let for_whom = match whom {
        b"" => None,
        whom => Some(saslname(whom.strip_prefix(b"a=").ok_or(MALFORMED)?).ok_or(BAD_NAME)?),
    };
    Ok(Gs2 { for_whom, rest })
}

/// RFC 5802 §5.1: `=2C` is a comma, `=3D` is `=`, and no other `=` stands there.
fn saslname(escaped: &[u8]) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(escaped.len()), escaped);
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'=' {
            bytes.push(*byte);
        } else if let Some(tail) = tail.strip_prefix(b"2C") {
            (rest, _) = (tail, bytes.push(b','));
        } else if let Some(tail) = tail.strip_prefix(b"3D") {
            (rest, _) = (tail, bytes.push(b'='));
        } else {
            return None;
        }
    }
    name(&bytes)
}

/// The client's first message.
pub(super) struct ClientFirst {
    user: String,
    /// The gs2 header, which the client says again at the end.
    header: Vec<u8>,
    bare: String,
    nonce: String,
}

impl ClientFirst {
    /// `n,,n=user,r=nonce`; None: for somebody else. Extensions behind the nonce are let through.
    pub fn read(message: &[u8]) -> Result<Option<Self>, &'static str> {
        let Gs2 { for_whom, rest } = gs2_header(message)?;
        let header = message[..message.len() - rest.len()].to_vec();
        let bare = str::from_utf8(rest).map_err(|_| MALFORMED)?;
        let mut attributes = bare.split(',');
        let user = attributes.next().and_then(|a| a.strip_prefix("n=")).ok_or(MALFORMED)?;
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r=")).ok_or(MALFORMED)?;
        let printable = nonce.bytes().all(|b| b.is_ascii_graphic());
        if !(1..=MAX_CLIENT_NONCE_BYTES).contains(&nonce.len()) || !printable || !attributes.all(is_extension)
        {
            return Err(MALFORMED);
        }
        let user = saslname(user.as_bytes()).ok_or(BAD_NAME)?;
        if for_whom.is_some_and(|whom| whom != user) {
            return Ok(None);
        }
        Ok(Some(Self { user, header, bare: bare.to_owned(), nonce: nonce.to_owned() }))
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    /// The server's first message. None: what we have does not fit into one.
    pub fn challenge(self, stored: StoredScram, nonce: &[u8]) -> Option<(Challenged, Vec<u8>)> {
        let fits = (16..=MAX_NONCE_BYTES).contains(&nonce.len()) && stored.salt.len() <= MAX_SALT_BYTES;
        fits.then(|| self.challenge_with(stored, &encode(nonce)))
    }

    pub(super) fn challenge_with(self, stored: StoredScram, nonce: &str) -> (Challenged, Vec<u8>) {
        let nonce = format!("{}{nonce}", self.nonce);
        let challenge = format!("r={nonce},s={},i={}", encode(&stored.salt), stored.iterations);
        let signed = format!("{},{challenge},", self.bare);
        (Challenged { user: self.user, header: self.header, nonce, signed, stored }, challenge.into_bytes())
    }
}

/// `x=value`. `m=` would be one that must be understood (RFC 5802 §5.1).
fn is_extension(attribute: &str) -> bool {
    let bytes = attribute.as_bytes();
    matches!(bytes, [letter, b'=', _, ..] if letter.is_ascii_alphabetic() && *letter != b'm')
        && !attribute.chars().any(char::is_control)
}

/// What the client's proof is checked against.
pub(super) struct Challenged {
    user: String,
    header: Vec<u8>,
    /// The client's and ours.
    nonce: String,
    /// The messages so far, each with a comma behind it.
    signed: String,
    stored: StoredScram,
}

impl Challenged {
    /// Checks `c=…,r=…,p=…`: who it is, and our own proof if theirs is right.
    pub fn prove(self, message: &[u8]) -> Result<(String, Option<Vec<u8>>), &'static str> {
        let message = str::from_utf8(message).map_err(|_| MALFORMED)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(MALFORMED)?;
        let mut attributes = without_proof.split(',');
        let header = attributes.next().and_then(|a| a.strip_prefix("c=")).ok_or(MALFORMED)?;
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r=")).ok_or(MALFORMED)?;
        let proof: [u8; KEY_BYTES] =
            decode(proof.as_bytes()).and_then(|proof| proof.try_into().ok()).ok_or(MALFORMED)?;
        if header != encode(&self.header) || nonce != self.nonce || !attributes.all(is_extension) {
            return Err(MALFORMED);
        }
        let signed = format!("{}{without_proof}", self.signed);
        let signature = mac(&self.stored.stored_key, signed.as_bytes());
        let mut client_key: [u8; KEY_BYTES] = std::array::from_fn(|i| proof[i] ^ signature[i]);
        let right = same(&hash(&client_key), &self.stored.stored_key);
        wipe(&mut client_key);
        let ours = mac(&self.stored.server_key, signed.as_bytes());
        Ok((self.user, right.then(|| format!("v={}", encode(&ours)).into_bytes())))
    }
}

fn mac(key: &[u8], message: &[u8]) -> [u8; KEY_BYTES] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    copied(tag.as_ref())
}

fn hash(bytes: &[u8]) -> [u8; KEY_BYTES] {
    copied(digest(&SHA256, bytes).as_ref())
}

fn copied(bytes: &[u8]) -> [u8; KEY_BYTES] {
    let mut all = [0; KEY_BYTES];
    all.copy_from_slice(bytes);
    all
}
