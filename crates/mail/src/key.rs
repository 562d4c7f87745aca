//! Keys: what makes two arrivals copies of one message.

use std::fmt;

/// Version of the exact key's recipe; stored in every ledger row.
pub const KEY_VERSION: u8 = 1;

/// The exact key, version 1, in its public form (DESIGN.md, "Words"): BLAKE3 over the fields that
/// honest software leaves alone, and the body.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExactKey(pub [u8; 32]);

/// 32 hex digits: what people see.
impl fmt::Display for ExactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..16].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for ExactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The exact key as the ledger stores it: keyed with the installation's secret and cut to 16
/// bytes, so that nobody outside can aim at a row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LedgerKey(pub [u8; 16]);

/// The installation's secret (`<data>/secret`), with the id that rows carry for rotation.
#[derive(Clone)]
pub struct Secret {
    id: u8,
    bytes: [u8; 32],
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret(id {})", self.id)
    }
}

impl Secret {
    /// A secret of 32 random bytes.
    pub fn new(id: u8, bytes: [u8; 32]) -> Self {
        Self { id, bytes }
    }

    /// Its id, stored beside every key made with it.
    pub fn id(&self) -> u8 {
        self.id
    }

    /// The stored form of `key`.
    pub fn ledger_key(&self, key: &ExactKey) -> LedgerKey {
        LedgerKey(self.mac(b"ledger", &key.0))
    }

    /// 16 bytes nobody without the secret can make: BLAKE3 keyed, over `what` (its length before
    /// it, so that two uses never meet) and `data`.
    pub fn mac(&self, what: &[u8], data: &[u8]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.bytes);
        hasher.update(&(what.len() as u64).to_le_bytes());
        hasher.update(what);
        hasher.update(data);
        let mut cut = [0; 16];
        cut.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        cut
    }
}
