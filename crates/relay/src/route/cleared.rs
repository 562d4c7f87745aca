//! The last gate on the way out: what was collected for our own people goes to nobody else.

use quell_mail::address;
use quell_queue::claim::Claim;

use super::{NextHop, Routes};

/// A claim on a row that may go to the next hop it was claimed for. [`crate::attempt::Attempt`] takes no
/// others, and only [`Routes::clear`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Cleared(Claim);

impl Cleared {
    /// The claim.
    pub fn into_claim(self) -> Claim {
        self.0
    }

    /// For tests and benchmarks, of a claim that may go anywhere.
    ///
    /// # Panics
    /// If it may not.
    #[doc(hidden)]
    pub fn anywhere(claim: Claim) -> Self {
        assert!(!claim.is_for_the_house(), "it is for the house");
        Self(claim)
    }
}

impl Routes {
    /// Lets a claim pass to `hop`. One for the house does if that is the configured next hop of its
    /// recipient's domain at this moment; a smart host and what DNS names are not, also where they are the
    /// same server.
    ///
    /// # Errors
    /// The claim, which must not go there.
    pub fn clear(&self, claim: Claim, hop: &NextHop) -> Result<Cleared, Box<Claim>> {
        if !claim.is_for_the_house() || self.is_house(claim.identity(), hop) {
            return Ok(Cleared(claim));
        }
        Err(Box::new(claim))
    }

    fn is_house(&self, identity: &str, hop: &NextHop) -> bool {
        let domain = address::split(identity).and_then(|(_, domain)| address::normal_domain(domain).ok());
        domain.is_some_and(|domain| self.domains.get(&domain) == Some(hop))
    }
}
