//! Queue ids: one per arrival, the same in `Received`, in the 250, in logs and in the API.

use std::fmt;
use std::str::FromStr;

/// Crockford's base32 in lower case: no `i`, `l`, `o`, `u`, so an id can be read out on the phone.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 80 bits: 48 of milliseconds since 1970 (UTC), 8 of gateway, 24 of a counter. Written as 16
/// characters of Crockford base32, so that ids sort by time as text and as bytes alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId([u8; 10]);

/// What is not a queue id: 16 characters of Crockford base32 are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a queue id has 16 characters of 0-9 a-z without i, l, o, u")]
pub struct NotAQueueId;

impl QueueId {
    /// Makes the id of `ms` (since 1970, 48 bits used), `gateway`, and `counter` (24 bits used).
    /// Uniqueness is the business of whoever counts.
    pub fn new(ms: u64, gateway: u8, counter: u32) -> Self {
        let mut bytes = [0; 10];
        bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
        bytes[6] = gateway;
        bytes[7..].copy_from_slice(&counter.to_be_bytes()[1..]);
        Self(bytes)
    }

    /// The id with these bytes, as [`QueueId::bytes`] gave them.
    pub fn from_bytes(bytes: [u8; 10]) -> Self {
        Self(bytes)
    }

    /// Ten bytes that sort as the ids do.
    pub fn bytes(&self) -> &[u8; 10] {
        &self.0
    }

    /// When it was made: milliseconds since 1970.
    pub fn ms(&self) -> i64 {
        let mut ms = [0; 8];
        ms[2..].copy_from_slice(&self.0[..6]);
        i64::from_be_bytes(ms)
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 16];
        for (half, chunk) in self.0.chunks_exact(5).enumerate() {
            let mut bits = chunk.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
            for slot in text[half * 8..half * 8 + 8].iter_mut().rev() {
                *slot = ALPHABET[(bits & 31) as usize];
                bits >>= 5;
            }
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for QueueId {
    type Err = NotAQueueId;

    fn from_str(text: &str) -> Result<Self, NotAQueueId> {
        let text: &[u8; 16] = text.as_bytes().try_into().map_err(|_| NotAQueueId)?;
        let mut bytes = [0; 10];
        for (half, chunk) in text.chunks_exact(8).enumerate() {
            let mut bits = 0u64;
            for c in chunk {
                let digit = ALPHABET.iter().position(|a| a == c).ok_or(NotAQueueId)?;
                bits = bits << 5 | digit as u64;
            }
            bytes[half * 5..half * 5 + 5].copy_from_slice(&bits.to_be_bytes()[3..]);
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_back(bytes: [u8; 10]) {
            let id = QueueId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse::<QueueId>(), Ok(id));
        }

        #[test]
        fn text_sorts_as_time(a in 0u64..1 << 48, b in 0u64..1 << 48, c: u32, d: u32) {
            let (x, y) = (QueueId::new(a, 1, c), QueueId::new(b, 1, d));
            prop_assert_eq!(x.cmp(&y), x.to_string().cmp(&y.to_string()));
            prop_assert_eq!(x.ms(), a as i64);
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for text in ["", "01h", "01hxyzabcdefghi0", "01HXYZABCDEFGHJ0", "0123456789abcdefg"] {
            assert!(text.parse::<QueueId>().is_err(), "{text}");
        }
    }
}
