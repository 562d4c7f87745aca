//! What DNSSEC proves: whether it is asked for, and the TLSA records of a host (RFC 7672).

use std::path::Path;
use std::sync::Arc;

use hickory_resolver::lookup::Lookup;
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::rr::RData;
use quell_relay::route::DnsError;
use quell_relay::tls::dane::{Found, MAX_RECORDS, Tlsa};

use super::{Resolver, absolute};

/// Whether signatures are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dnssec {
    /// They are not.
    Off,
    /// By the keys of the root.
    Root,
    /// By these keys: DNSKEY records as a zone file has them.
    Anchors(String),
    /// They are to be checked and cannot be: why.
    Broken(String),
}

impl Dnssec {
    /// By the keys in this file, or those of the root.
    pub fn by(file: Option<&Path>) -> Self {
        let Some(file) = file else { return Self::Root };
        let text =
            std::fs::read_to_string(file).map_err(|why| format!("{}: cannot be read: {why}", file.display()));
        match text {
            Ok(text)
                if text.parse::<TrustAnchors>().is_ok_and(|keys| !keys.is_empty() || has_keys(&text)) =>
            {
                Self::Anchors(text)
            }
            Ok(_) => {
                Self::Broken(format!("{}: there is no DNSKEY record in it that can be read", file.display()))
            }
            Err(why) => Self::Broken(why),
        }
    }

    pub(super) fn anchors(&self) -> Option<Arc<TrustAnchors>> {
        match self {
            Self::Anchors(text) => text.parse().ok().map(Arc::new),
            Self::Off | Self::Root | Self::Broken(_) => None,
        }
    }
}

/// Keys of other zones than the root are not counted by [`TrustAnchors::is_empty`].
fn has_keys(text: &str) -> bool {
    text.lines().any(|line| !line.trim_start().starts_with(';') && line.contains("DNSKEY"))
}

impl Resolver {
    /// The TLSA records of `host` at `port`, if they are proven together with its addresses and with
    /// the MX records of `domain` that lead there (RFC 7672 §2.2). Without DNSSEC there are none.
    ///
    /// # Errors
    /// That it cannot be known, in words for the operator: the host may have some (§2.1.1).
    pub async fn tlsa(&self, domain: &str, host: &str, port: u16) -> Result<Found, String> {
        let in_words = |why: DnsError| match why {
            DnsError::Trouble(why) => why,
            DnsError::NoSuchDomain | DnsError::NoRecords => "it is gone".to_owned(),
        };
        if !self.way_is_proven(domain, host).await.map_err(in_words)? {
            return Ok(Found::Nothing);
        }
        let (dns, name) =
            (self.dns().map_err(in_words)?, absolute(&format!("_{port}._tcp.{host}")).map_err(in_words)?);
        match self.proven(&name, dns.tlsa_lookup(name.clone())).await {
            Ok(found) if is_proven(&found) => Ok(records(&found)),
            Ok(_) | Err(DnsError::NoSuchDomain | DnsError::NoRecords) => Ok(Found::Nothing),
            Err(DnsError::Trouble(why)) => Err(why),
        }
    }

    /// Both were asked for before, so this is answered out of what is remembered.
    async fn way_is_proven(&self, domain: &str, host: &str) -> Result<bool, DnsError> {
        let (dns, domain, name) = (self.dns()?, absolute(domain)?, absolute(host)?);
        match self.proven(&domain, dns.mx_lookup(domain.clone())).await {
            Ok(found) if !is_proven(&found) => return Ok(false),
            // Without MX records the domain is its own host, and its addresses tell whether it is signed.
            Ok(_) | Err(DnsError::NoRecords) => {}
            Err(why) => return Err(why),
        }
        let (v4, v6) = self.both_families(dns, &name).await;
        together([v4, v6].map(|found| found.map(|found| is_proven(&found))))
    }
}

/// Of the addresses of both families, whether they are proven: all that there are.
fn together(families: [Result<bool, DnsError>; 2]) -> Result<bool, DnsError> {
    let (mut proven, mut trouble) = (false, None);
    for family in families {
        match family {
            Ok(true) => proven = true,
            Ok(false) => return Ok(false),
            Err(why @ DnsError::Trouble(_)) => trouble = trouble.or(Some(why)),
            Err(DnsError::NoSuchDomain | DnsError::NoRecords) => {}
        }
    }
    // What cannot be looked up may be signed (RFC 7672 §2.1.1): the mail waits.
    match trouble {
        Some(why) if !proven => Err(why),
        _ => Ok(proven),
    }
}

/// All of it: aliases on the way count too.
fn is_proven(found: &Lookup) -> bool {
    !found.answers().is_empty() && found.answers().iter().all(|record| record.proof.is_secure())
}

fn records(found: &Lookup) -> Found {
    let of = |data: &RData| match data {
        RData::TLSA(tlsa) => Some(Tlsa {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching: tlsa.matching.into(),
            data: tlsa.cert_data.clone(),
        }),
        _ => None,
    };
    let records: Vec<_> =
        found.answers().iter().filter_map(|record| of(&record.data)).take(MAX_RECORDS).collect();
    if records.is_empty() { Found::Nothing } else { Found::Proven(records) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_looked_up_does_not_count_as_unsigned() {
        let none = || Err(DnsError::NoRecords);
        let trouble = |why: &str| Err(DnsError::Trouble(why.to_owned()));
        for (v4, v6, expected) in [
            (Ok(true), none(), Ok(true)),
            (Ok(true), Ok(false), Ok(false)),
            (Ok(true), trouble("a"), Ok(true)),
            (none(), none(), Ok(false)),
            (Ok(false), trouble("a"), Ok(false)),
            (trouble("a"), none(), trouble("a")),
            (none(), trouble("a"), trouble("a")),
            (trouble("a"), trouble("b"), trouble("a")),
        ] {
            assert_eq!(together([v4, v6]), expected);
        }
    }
}
