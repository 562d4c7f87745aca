//! A filter per closed day: says for most keys, without touching the disk, that a day lacks them.
//!
//! A Bloom filter (Bloom 1970) with 16 bits a key and 11 probes: 0.05 % false positives, so that
//! the 14 closed days together ask the disk in vain for fewer than 1 % of new messages. The probes
//! come from the two halves of the key by double hashing (Kirsch and Mitzenmacher 2006): a
//! [`LedgerKey`] is already uniform, and nobody outside can choose one.

use quell_mail::key::LedgerKey;

const MAGIC: [u8; 8] = *b"QUELLFLT";
const VERSION: u32 = 1;
const BITS_PER_KEY: u64 = 16;
const PROBES: u64 = 11;
const HEADER_BYTES: usize = 24;
const CHECKSUM_BYTES: usize = 16;

/// Most bytes a filter has: enough for 33 million keys. A fuller day gets a filter of this size
/// that errs more often, always towards "perhaps"; a stored one that is larger is refused.
pub const MAX_FILTER_BYTES: usize = 64 << 20;

/// The set of a day's keys: never says no of a key that was put in.
#[derive(Clone, PartialEq, Eq)]
pub struct Filter {
    words: Vec<u64>,
}

/// What is wrong with stored bytes. The filter is then built again from its day's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Shorter, longer or larger than a filter can be.
    #[error("a stored filter of {0} bytes does not have the size it should have")]
    Size(usize),
    /// Not begun by us.
    #[error("not a stored filter")]
    Magic,
    /// Written by a newer quell.
    #[error("a stored filter of version {0}, which this version of quell does not know")]
    Version(u32),
    /// Bytes have changed since.
    #[error("a stored filter is damaged")]
    Damaged,
}

impl Filter {
    /// Empty, for about `keys` keys; more make it err more often.
    pub fn with_capacity(keys: usize) -> Self {
        let most = (MAX_FILTER_BYTES - HEADER_BYTES - CHECKSUM_BYTES) / 8;
        let words = (keys as u64).saturating_mul(BITS_PER_KEY).div_ceil(64);
        let words = usize::try_from(words).unwrap_or(most).clamp(1, most);
        Self { words: vec![0; words] }
    }

    /// Puts `key` in.
    pub fn insert(&mut self, key: &LedgerKey) {
        let bits = self.words.len() as u64 * 64;
        for bit in probes(key, bits) {
            self.words[(bit / 64) as usize] |= 1 << (bit % 64);
        }
    }

    /// False: certainly not put in. True: perhaps.
    pub fn may_contain(&self, key: &LedgerKey) -> bool {
        let bits = self.words.len() as u64 * 64;
        probes(key, bits).all(|bit| self.words[(bit / 64) as usize] >> (bit % 64) & 1 == 1)
    }

    /// The stored form: magic, version, probes, number of words, the words, a checksum; all
    /// numbers little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.words.len() * 8 + CHECKSUM_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(PROBES as u32).to_le_bytes());
        out.extend_from_slice(&(self.words.len() as u64).to_le_bytes());
        out.extend(self.words.iter().flat_map(|w| w.to_le_bytes()));
        let sum = blake3::hash(&out);
        out.extend_from_slice(&sum.as_bytes()[..CHECKSUM_BYTES]);
        out
    }

    /// The filter [`Filter::to_bytes`] stored.
    ///
    /// # Errors
    ///
    /// What [`FilterError`] lists; nothing is allocated before size and checksum are known good.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FilterError> {
        let size = FilterError::Size(bytes.len());
        if bytes.len() > MAX_FILTER_BYTES {
            return Err(size);
        }
        let (rest, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(size)?;
        let (header, words) = rest.split_at_checked(HEADER_BYTES).ok_or(size)?;
        let version = check_header(header, words.len())?;
        if blake3::hash(rest).as_bytes()[..CHECKSUM_BYTES] != *sum {
            return Err(FilterError::Damaged);
        }
        // After the checksum: a flipped bit in the version is damage, not a newer quell.
        if version != VERSION {
            return Err(FilterError::Version(version));
        }
        Ok(Self { words: words.chunks_exact(8).map(number).collect() })
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filter({} bytes)", self.words.len() * 8)
    }
}

/// Checks all of the header but the version, which it returns.
fn check_header(header: &[u8], words_bytes: usize) -> Result<u32, FilterError> {
    if header[..8] != MAGIC {
        return Err(FilterError::Magic);
    }
    let sizes_fit = number(&header[16..]).checked_mul(8) == Some(words_bytes as u64);
    if !sizes_fit || words_bytes == 0 {
        return Err(FilterError::Size(HEADER_BYTES + words_bytes + CHECKSUM_BYTES));
    }
    let version_and_probes = number(&header[8..16]);
    if version_and_probes as u32 == VERSION && version_and_probes >> 32 != PROBES {
        return Err(FilterError::Damaged);
    }
    Ok(version_and_probes as u32)
}

/// Little-endian; of up to 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// The bits of a key among `bits`.
fn probes(key: &LedgerKey, bits: u64) -> impl Iterator<Item = u64> {
    let (start, step) = (number(&key.0[..8]), number(&key.0[8..]) | 1);
    let hash = move |i: u64| start.wrapping_add(step.wrapping_mul(i));
    // The high half of the product spreads over any number of bits without a division.
    (0..PROBES).map(move |i| ((u128::from(hash(i)) * u128::from(bits)) >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(n: u64) -> LedgerKey {
        let hash = blake3::hash(&n.to_le_bytes());
        LedgerKey(hash.as_bytes()[..16].try_into().unwrap())
    }

    /// The promise: with 14 full days, at most 1 % of new keys touch the disk.
    #[test]
    fn fourteen_days_ask_the_disk_for_under_one_percent() {
        const KEYS: u64 = 100_000;
        let days: Vec<Filter> = (0..14)
            .map(|day| {
                let mut filter = Filter::with_capacity(KEYS as usize);
                (0..KEYS).for_each(|n| filter.insert(&key(day * KEYS + n)));
                filter
            })
            .collect();
        assert!((0..1000).all(|n| days[0].may_contain(&key(n))));
        let new = (0..KEYS).map(|n| key(1 << 40 | n));
        let in_vain = new.filter(|k| days.iter().any(|d| d.may_contain(k))).count();
        assert!(in_vain <= KEYS as usize / 100, "{in_vain} of {KEYS}");
    }

    #[test]
    fn size_is_bounded_and_small_is_fine() {
        let none = Filter::with_capacity(0);
        assert!(!none.may_contain(&key(1)));
        assert_eq!(Filter::from_bytes(&none.to_bytes()), Ok(none));
        let huge = vec![0; MAX_FILTER_BYTES + 1];
        assert_eq!(Filter::from_bytes(&huge), Err(FilterError::Size(huge.len())));
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = Filter::with_capacity(1).to_bytes();
        bytes[8] = 2;
        let end = bytes.len() - CHECKSUM_BYTES;
        let sum = blake3::hash(&bytes[..end]);
        bytes[end..].copy_from_slice(&sum.as_bytes()[..CHECKSUM_BYTES]);
        assert_eq!(Filter::from_bytes(&bytes), Err(FilterError::Version(2)));
    }

    proptest! {
        #[test]
        fn keeps_what_was_put_in(keys in prop::collection::vec(any::<[u8; 16]>(), 0..200), room in 0usize..100) {
            let mut filter = Filter::with_capacity(room);
            keys.iter().for_each(|k| filter.insert(&LedgerKey(*k)));
            let back = Filter::from_bytes(&filter.to_bytes()).unwrap();
            prop_assert!(keys.iter().all(|k| back.may_contain(&LedgerKey(*k))));
            prop_assert_eq!(filter, back);
        }

        #[test]
        fn any_change_is_noticed(keys in 1usize..50, at: prop::sample::Index, bit in 0u8..8) {
            let mut filter = Filter::with_capacity(keys);
            (0..keys as u64).for_each(|n| filter.insert(&key(n)));
            let mut bytes = filter.to_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(Filter::from_bytes(&bytes).is_err());
            prop_assert!(Filter::from_bytes(&bytes[..at]).is_err());
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            prop_assert!(Filter::from_bytes(&bytes).is_err());
        }
    }
}
