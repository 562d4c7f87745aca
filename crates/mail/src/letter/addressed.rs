//! To whom a message says it goes.

use super::Addresses;
use crate::address::normal_domain;
use crate::content::address::bare;
use crate::content::subject::Hash64;

/// Distinct addresses of a message that are kept.
pub const MAX_ADDRESSED: usize = 1_024;
/// Hashes that are gathered before those that are too many go.
const MAX_GATHERED: usize = 4 * MAX_ADDRESSED;

/// Hash of an address, in lower case, without quotes and white space, the domain as A-labels: the
/// same for an address in a header and in an envelope.
pub fn address_hash(address: &str) -> u64 {
    let mut hash = Hash64::default();
    if address.is_ascii() {
        bare(address.as_bytes()).for_each(|byte| hash.push(byte.to_ascii_lowercase()));
        return hash.finish();
    }
    let lower = address.to_lowercase();
    let (local, domain) = lower.rsplit_once('@').unwrap_or((&lower, ""));
    bare(local.as_bytes()).for_each(|byte| hash.push(byte));
    if domain.is_empty() && !lower.ends_with('@') {
        return hash.finish();
    }
    hash.push(b'@');
    let labels = normal_domain(domain.trim());
    bare(labels.as_deref().unwrap_or(domain).as_bytes()).for_each(|byte| hash.push(byte));
    hash.finish()
}

/// Hash of a domain, in lower case as A-labels.
pub fn domain_hash(domain: &str) -> u64 {
    let labels = if domain.is_ascii() { None } else { normal_domain(&domain.to_lowercase()).ok() };
    let mut hash = Hash64::default();
    let bytes = labels.as_deref().unwrap_or(domain).as_bytes();
    bare(bytes).for_each(|byte| hash.push(byte.to_ascii_lowercase()));
    hash.finish()
}

/// Gathers the addresses of To and Cc, and their domains.
#[derive(Default)]
pub(super) struct Addressed {
    addresses: Gathered,
    domains: Gathered,
    total: u32,
}

/// Distinct hashes: of too many the smallest.
#[derive(Default)]
struct Gathered {
    /// At most [`MAX_GATHERED`].
    hashes: Vec<u64>,
    /// Hashes from here on are too many.
    limit: Option<u64>,
}

impl Addressed {
    /// Takes the value of such a field.
    pub(super) fn add(&mut self, value: &[u8]) {
        for address in Addresses::new(value) {
            self.total = self.total.saturating_add(1);
            let address = String::from_utf8_lossy(address);
            self.addresses.add(address_hash(&address));
            if let Some((_, domain)) = address.rsplit_once('@') {
                self.domains.add(domain_hash(domain));
            }
        }
    }

    /// The addresses, their domains, and how many addresses stood there.
    pub(super) fn finish(self) -> (Vec<u64>, Vec<u64>, u32) {
        (self.addresses.finish(), self.domains.finish(), self.total)
    }
}

impl Gathered {
    fn add(&mut self, hash: u64) {
        // Addresses of one domain often stand together.
        if self.limit.is_some_and(|limit| hash >= limit) || self.hashes.last() == Some(&hash) {
            return;
        }
        self.hashes.push(hash);
        if self.hashes.len() >= MAX_GATHERED {
            self.drop_most();
        }
    }

    fn drop_most(&mut self) {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        self.limit = self.hashes.get(MAX_ADDRESSED).copied().or(self.limit);
        self.hashes.truncate(MAX_ADDRESSED);
    }

    fn finish(mut self) -> Vec<u64> {
        self.drop_most();
        self.hashes.shrink_to_fit();
        self.hashes
    }
}
