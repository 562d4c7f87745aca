//! Names of storms: short enough to read out, random enough not to be guessed.

use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// 16 characters of `[a-z0-9]`: 82 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StormId([u8; 16]);

/// What is not a storm id: 16 characters of `a-z0-9` are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a storm id has 16 characters of a-z and 0-9")]
pub struct NotAStormId;

impl StormId {
    /// An id from two draws of `rng`, which must be good random numbers in service.
    pub fn random(rng: &mut dyn FnMut() -> u64) -> Self {
        let mut bits = u128::from(rng()) << 64 | u128::from(rng());
        let mut id = [0; 16];
        for slot in &mut id {
            *slot = ALPHABET[(bits % 36) as usize];
            bits /= 36;
        }
        Self(id)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for StormId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for StormId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StormId {
    type Err = NotAStormId;

    fn from_str(text: &str) -> Result<Self, NotAStormId> {
        let id: [u8; 16] = text.as_bytes().try_into().map_err(|_| NotAStormId)?;
        if id.iter().all(|c| ALPHABET.contains(c)) { Ok(Self(id)) } else { Err(NotAStormId) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_back(a: u64, b: u64) {
            let mut draws = [a, b].into_iter();
            let id = StormId::random(&mut || draws.next().unwrap());
            prop_assert_eq!(id.to_string().parse::<StormId>(), Ok(id));
            prop_assert!(id.as_str().bytes().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase()));
        }

        #[test]
        fn only_ids_are_read(text: String) {
            if let Ok(id) = text.parse::<StormId>() {
                prop_assert_eq!(id.as_str(), text);
            }
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for text in ["", "0123456789abcde", "0123456789ABCDEF", "0123456789abcde-", "../../etc/passwd"] {
            assert_eq!(text.parse::<StormId>(), Err(NotAStormId), "{text}");
        }
    }
}
