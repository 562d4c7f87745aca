//! The hosts that take a domain's mail, out of what DNS says (RFC 5321 §5.1, RFC 7505).

use super::{Own, host_name};

/// Hosts of one MX answer that are used: those of the lowest numbers. The others are left out.
pub const MAX_MX_HOSTS: usize = 10;

/// Why DNS gave no records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsError {
    /// There is no such name (NXDOMAIN).
    NoSuchDomain,
    /// The name is there, and has no records of this kind.
    NoRecords,
    /// It cannot be known at the moment: in words for the operator.
    Trouble(String),
}

/// A host that takes the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MxHost {
    /// Its preference number; lower ones come first.
    pub preference: u16,
    /// Lower-case A-label.
    pub name: String,
}

/// Why a domain has no host to go to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// It says that it takes no mail (RFC 7505).
    #[error("the domain takes no mail (null MX)")]
    NullMx,
    /// There is no such domain.
    #[error("there is no such domain")]
    NoSuchDomain,
    /// There is, and no host takes mail for it.
    #[error("no host that could be found takes mail for the domain")]
    NoHost,
    /// We are its best host, and do not take its mail as ours.
    #[error("the route leads back to ourselves")]
    LeadsBack,
    /// Address literals are not sent to.
    #[error("address literals are not sent to")]
    Literal,
    /// DNS does not say: in words for the operator.
    #[error("{0}")]
    Trouble(String),
    /// The domain's MTA-STS policy does not name this host (RFC 8461 §5).
    #[error("the MTA-STS policy of the domain does not name its host {0}")]
    NotInPolicy(String),
    /// There are more addresses than are tried at a time.
    #[error("none of the addresses that were tried took it, and there are more")]
    TooMany,
    /// Mailboxes of this server have no next hop. (Nobody should ask.)
    #[error("mailboxes of this server have no next hop")]
    Maildir,
}

impl NoRoute {
    /// Enhanced status code (RFC 3463 §3.2, §3.5; RFC 7505 §6). The class is 4 for what may pass.
    pub fn enhanced(&self) -> (u16, u16, u16) {
        match self {
            Self::NullMx => (5, 1, 10),
            Self::NoSuchDomain | Self::Literal => (5, 1, 2),
            Self::NoHost => (5, 4, 4),
            Self::LeadsBack => (5, 4, 6),
            Self::Trouble(_) => (4, 4, 3),
            Self::NotInPolicy(_) => (4, 7, 0),
            Self::TooMany => (4, 4, 1),
            Self::Maildir => (4, 3, 5),
        }
    }
}

/// The hosts to try, in their order: by preference, equals in an order that `random` decides, at
/// most [`MAX_MX_HOSTS`], never none. Without MX records it is the domain itself. Names that are no
/// host names, or look like IP addresses, are left out; of two equal names the later is. If we are
/// among the hosts, we and all of equal or higher number are left out.
///
/// # Errors
/// Why there is none.
pub fn choose_hosts(
    domain: &str,
    answer: Result<Vec<(u16, String)>, DnsError>,
    own: &Own,
    random: u64,
) -> Result<Vec<MxHost>, NoRoute> {
    let trouble = |why| NoRoute::Trouble(format!("the MX of {domain} cannot be looked up: {why}"));
    let records = match answer {
        Ok(records) if !records.is_empty() => records,
        Ok(_) | Err(DnsError::NoRecords) => return implicit(domain, own),
        Err(DnsError::NoSuchDomain) => return Err(NoRoute::NoSuchDomain),
        Err(DnsError::Trouble(why)) => return Err(trouble(why)),
    };
    // RFC 7505 §3: it stands alone; beside others it means nothing, and is no host name.
    if let [(_, name)] = records.as_slice()
        && matches!(name.as_str(), "" | ".")
    {
        return Err(NoRoute::NullMx);
    }
    let mut hosts = named(records);
    if hosts.is_empty() {
        return Err(NoRoute::NoHost);
    }
    let ours = hosts.iter().filter(|host| own.has_name(&host.name)).map(|host| host.preference).min();
    hosts.retain(|host| ours.is_none_or(|ours| host.preference < ours));
    if hosts.is_empty() {
        return Err(NoRoute::LeadsBack);
    }
    in_order(&mut hosts, random);
    Ok(hosts)
}

/// RFC 5321 §5.1: a domain without MX records is its own host, with preference 0.
fn implicit(domain: &str, own: &Own) -> Result<Vec<MxHost>, NoRoute> {
    if own.has_name(domain) {
        return Err(NoRoute::LeadsBack);
    }
    let name = host_name(domain).ok_or(NoRoute::NoSuchDomain)?;
    Ok(vec![MxHost { preference: 0, name }])
}

/// Those with a name that can be asked for.
fn named(records: Vec<(u16, String)>) -> Vec<MxHost> {
    let host = |(preference, name): (u16, String)| Some(MxHost { preference, name: host_name(&name)? });
    records.into_iter().filter_map(host).collect()
}

fn in_order(hosts: &mut Vec<MxHost>, random: u64) {
    // An order of their own first: that of the answer shall say nothing.
    hosts.sort_by(|a, b| (&a.name, a.preference).cmp(&(&b.name, b.preference)));
    hosts.dedup_by(|later, first| later.name == first.name);
    shuffle(hosts, random);
    hosts.sort_by_key(|host| host.preference);
    hosts.truncate(MAX_MX_HOSTS);
}

/// Fisher and Yates; the numbers are those of SplitMix64.
fn shuffle<T>(list: &mut [T], mut random: u64) {
    for place in (1..list.len()).rev() {
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let other = (mixed ^ (mixed >> 31)) % (place as u64 + 1);
        list.swap(place, usize::try_from(other).unwrap_or(0));
    }
}
