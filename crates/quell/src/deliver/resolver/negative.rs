//! Whether to believe, where signatures are checked, that there is none (RFC 4035 §5.4).
//!
//! hickory takes a negative answer as soon as all that stands in it is of unsigned zones, whichever they
//! are: with the SOA of his own zone whoever sits on the way could deny records of any other.

use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::{DnsError as Answered, NetError};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::dnssec::rdata::DNSSECRData;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::time::timeout;

/// Aliases that are followed from one name to another.
const MAX_ALIASES: usize = 8;
/// Looking them up takes no longer; hickory has them in its memory, as a rule.
const WITHIN: Duration = Duration::from_secs(10);
/// Names that hickory answers itself (RFC 6761, RFC 7686).
const ANSWERED_HERE: [&str; 3] = ["localhost", "invalid", "onion"];

/// It is proven that there is none, or that nothing of it could be signed.
pub(super) async fn is_believed(dns: &TokioResolver, asked: &Name, none: &NetError) -> bool {
    let name = match none {
        NetError::Dns(Answered::NoRecordsFound(none)) => &none.query.name,
        NetError::Dns(Answered::Nsec { query, .. }) => &query.name,
        _ => return false,
    };
    is_shown(name, none) && (name == asked || leads_to(dns, asked, name).await)
}

/// The answer itself shows it.
fn is_shown(name: &Name, none: &NetError) -> bool {
    match none {
        NetError::Dns(Answered::NoRecordsFound(none)) => {
            let authorities = none.authorities.as_deref().unwrap_or_default();
            let soa = none.soa.as_ref().is_some_and(|soa| is_unsigned_above(name, &soa.name, soa.proof));
            is_answered_here(name) || soa || authorities.iter().any(|record| shows(name, record))
        }
        // Denied in a way that is too dear to check (RFC 9276 §3.2).
        NetError::Dns(Answered::Nsec { response, .. }) => {
            response.authorities.iter().any(|record| match &record.data {
                RData::DNSSEC(DNSSECRData::NSEC3(_)) => {
                    record.proof == Proof::Secure && record.name.base_name().zone_of(name)
                }
                _ => false,
            })
        }
        _ => false,
    }
}

fn shows(name: &Name, record: &Record) -> bool {
    match &record.data {
        // Where one is there, hickory has checked that it denies what was asked.
        RData::DNSSEC(DNSSECRData::NSEC(_) | DNSSECRData::NSEC3(_)) => record.proof == Proof::Secure,
        RData::SOA(_) => is_unsigned_above(name, &record.name, record.proof),
        _ => false,
    }
}

fn is_unsigned_above(name: &Name, zone: &Name, proof: Proof) -> bool {
    proof == Proof::Insecure && zone.zone_of(name)
}

fn is_answered_here(name: &Name) -> bool {
    name.iter()
        .next_back()
        .is_some_and(|last| ANSWERED_HERE.iter().any(|here| last.eq_ignore_ascii_case(here.as_bytes())))
}

/// Aliases lead from one to the other: the question in an answer over TCP is not compared with ours.
async fn leads_to(dns: &TokioResolver, from: &Name, end: &Name) -> bool {
    let follow = async {
        let mut name = from.clone();
        for _ in 0..MAX_ALIASES {
            let found = dns.lookup(name.clone(), RecordType::CNAME).await.ok()?;
            let next = |record: &Record| match &record.data {
                RData::CNAME(alias) if record.name == name && is_checked(record.proof) => {
                    Some(alias.0.clone())
                }
                _ => None,
            };
            name = found.answers().iter().find_map(next)?;
            if name == *end {
                return Some(());
            }
        }
        None
    };
    timeout(WITHIN, follow).await.is_ok_and(|end| end.is_some())
}

fn is_checked(proof: Proof) -> bool {
    matches!(proof, Proof::Secure | Proof::Insecure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::net::NoRecords;
    use hickory_resolver::proto::dnssec::rdata::NSEC;
    use hickory_resolver::proto::op::{Query, ResponseCode};
    use hickory_resolver::proto::rr::rdata::SOA;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn record(owner: &str, data: RData, proof: Proof) -> Record {
        let mut record = Record::from_rdata(name(owner), 60, data);
        record.proof = proof;
        record
    }

    fn soa() -> SOA {
        SOA::new(name("ns.x."), name("admin.x."), 1, 2, 3, 4, 5)
    }

    fn none(asked: &str, authorities: Vec<Record>) -> NetError {
        let mut none = NoRecords::new(Query::query(name(asked), RecordType::TLSA), ResponseCode::NoError);
        none.authorities = (!authorities.is_empty()).then(|| authorities.into());
        none.into()
    }

    #[test]
    fn that_there_is_none_is_shown_or_not_believed() {
        let nsec = || RData::DNSSEC(DNSSECRData::NSEC(NSEC::new(name("z.example."), [RecordType::A])));
        let by_soa = || RData::SOA(soa());
        for (owner, data, proof, shown) in [
            ("mx.b.example.", nsec(), Proof::Secure, true),
            ("mx.b.example.", nsec(), Proof::Insecure, false),
            ("mx.b.example.", by_soa(), Proof::Insecure, true),
            ("B.example.", by_soa(), Proof::Insecure, true),
            (".", by_soa(), Proof::Insecure, true),
            ("foreign.example.", by_soa(), Proof::Insecure, false),
            ("x.mx.b.example.", by_soa(), Proof::Insecure, false),
            ("b.example.", by_soa(), Proof::Secure, false),
            ("b.example.", by_soa(), Proof::Indeterminate, false),
            ("b.example.", by_soa(), Proof::Bogus, false),
        ] {
            let why = none("mx.b.example.", vec![record(owner, data.clone(), proof)]);
            assert_eq!(is_shown(&name("mx.b.example."), &why), shown, "{owner} {data} {proof:?}");
        }
        for (asked, shown) in [("mx.b.example.", false), ("a.INVALID.", true), ("localhost.", true)] {
            assert_eq!(is_shown(&name(asked), &none(asked, vec![])), shown, "{asked}");
        }
    }

    #[test]
    fn the_soa_alone_counts_as_well() {
        for (zone, shown) in [("b.example.", true), ("foreign.example.", false)] {
            let mut why =
                NoRecords::new(Query::query(name("b.example."), RecordType::MX), ResponseCode::NoError);
            let mut soa = Record::from_rdata(name(zone), 60, soa());
            soa.proof = Proof::Insecure;
            why.soa = Some(Box::new(soa));
            assert_eq!(is_shown(&name("b.example."), &why.into()), shown, "{zone}");
        }
    }
}
