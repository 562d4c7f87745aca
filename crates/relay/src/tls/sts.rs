//! MTA-STS (RFC 8461): what a domain's TXT record and its policy say, which hosts the policy names,
//! and when a policy is to be fetched. Nothing here fetches anything.

/// Largest policy, in bytes; a larger one is none (RFC 8461 §3.2 names 64 KiB as enough).
pub const MAX_POLICY_BYTES: usize = 64 << 10;
/// Most `mx` patterns of a policy, and their bytes together; a policy with more is none.
pub const MAX_PATTERNS: usize = 64;
/// See [`MAX_PATTERNS`].
pub const MAX_PATTERN_BYTES: usize = 4 << 10;
/// Longest `max_age`, in seconds: about a year (RFC 8461 §3.2). A longer one is cut to it.
pub const MAX_AGE_SECS: u64 = 31_557_600;
/// A fetch that failed is not tried again for so many seconds (RFC 8461 §3.3).
pub const TRY_AGAIN_SECS: i64 = 300;

/// What a sender does with hosts that the policy does not name, or without a valid certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It sends nothing to them.
    Enforce,
    /// It sends as if there were no policy.
    Testing,
    /// There is no policy any more.
    None,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// See [`Mode`].
    pub mode: Mode,
    /// Names of MX hosts, lower-case A-labels; `*.` stands for exactly one label. Empty only for [`Mode::None`].
    pub mx: Vec<String>,
    /// So long it holds from the time it was fetched, in seconds; at most [`MAX_AGE_SECS`].
    pub max_age_secs: u64,
}

/// Text that is no policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// Over one of the limits.
    #[error("the policy is too large")]
    TooLarge,
    /// Not UTF-8, or a line that is no field.
    #[error("the policy cannot be read")]
    Syntax,
    /// It does not say `version: STSv1`.
    #[error("the policy is of no version that is known")]
    Version,
    /// No `mode`, or none that is known.
    #[error("the policy has no mode that is known")]
    Mode,
    /// No `max_age`, or no number.
    #[error("the policy does not say how long it holds")]
    MaxAge,
    /// No `mx`, or a pattern that is no name.
    #[error("the policy names no MX host, or what is none")]
    Mx,
}

impl Policy {
    /// Reads a policy (RFC 8461 §3.2). Fields that are not known are passed over; of a field that
    /// stands twice, but for `mx`, the first counts.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadPolicy> {
        if bytes.len() > MAX_POLICY_BYTES {
            return Err(BadPolicy::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| BadPolicy::Syntax)?;
        let (mut version, mut mode, mut max_age, mut mx) = (None, None, None, Vec::new());
        for line in
            text.lines().map(|line| line.trim_matches([' ', '\t', '\r'])).filter(|line| !line.is_empty())
        {
            let (name, value) = line.split_once(':').ok_or(BadPolicy::Syntax)?;
            let value = value.trim_matches([' ', '\t']);
            match name {
                "version" => drop(version.get_or_insert(value)),
                "mode" => drop(mode.get_or_insert(value)),
                "max_age" => drop(max_age.get_or_insert(value)),
                "mx" => mx.push(value),
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err(BadPolicy::Version);
        }
        let mode = match mode {
            Some("enforce") => Mode::Enforce,
            Some("testing") => Mode::Testing,
            Some("none") => Mode::None,
            _ => return Err(BadPolicy::Mode),
        };
        let max_age_secs = max_age.and_then(seconds).ok_or(BadPolicy::MaxAge)?;
        Ok(Self { mode, mx: patterns(mode, &mx)?, max_age_secs })
    }

    /// True if the policy names this host (RFC 8461 §4.1).
    pub fn names(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(parent) => {
                host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
            }
            None => *pattern == host,
        })
    }
}

/// 1 to 10 digits (RFC 8461 §3.2).
fn seconds(text: &str) -> Option<u64> {
    let fits = (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = text.parse().ok().filter(|_| fits)?;
    Some(number.min(MAX_AGE_SECS))
}

fn patterns(mode: Mode, written: &[&str]) -> Result<Vec<String>, BadPolicy> {
    if written.len() > MAX_PATTERNS || written.iter().map(|one| one.len()).sum::<usize>() > MAX_PATTERN_BYTES
    {
        return Err(BadPolicy::TooLarge);
    }
    let pattern = |text: &&str| {
        let (wildcard, name) = text.strip_prefix("*.").map_or(("", *text), |name| ("*.", name));
        let name = crate::route::host_name(name).ok_or(BadPolicy::Mx)?;
        Ok(format!("{wildcard}{name}"))
    };
    if mode == Mode::None {
        return Ok(Vec::new());
    }
    let patterns = written.iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
    if patterns.is_empty() { Err(BadPolicy::Mx) } else { Ok(patterns) }
}

/// The id of the policy out of the TXT records of `_mta-sts.DOMAIN`, each with its strings joined
/// (RFC 8461 §3.1). None: there is no policy, or more than one record of the kind.
pub fn id(records: &[String]) -> Option<String> {
    let mut found = records.iter().filter_map(|record| fields(record));
    match (found.next(), found.next()) {
        (Some(id), None) => id,
        _ => None,
    }
}

/// The id in a record that begins as one of MTA-STS; None: it is of another kind.
fn fields(record: &str) -> Option<Option<String>> {
    let mut fields = record.split(';').map(|field| field.trim_matches([' ', '\t']));
    if fields.next() != Some("v=STSv1") {
        return None;
    }
    let id = fields.find_map(|field| field.strip_prefix("id="));
    let is_id = |id: &&str| (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    Some(id.filter(is_id).map(str::to_owned))
}

/// What is known of a domain's policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The id that the TXT record had when it was fetched.
    pub id: String,
    /// The policy.
    pub policy: Policy,
    /// When it was fetched: seconds since 1970.
    pub fetched_secs: i64,
}

impl Known {
    /// It still holds.
    pub fn holds(&self, now_secs: i64) -> bool {
        // A clock that was put back makes nothing hold longer than once more.
        let age = now_secs.saturating_sub(self.fetched_secs).max(0);
        u64::try_from(age).is_ok_and(|age| age < self.policy.max_age_secs)
    }

    /// It is so old that one of the same id is fetched again, so that it never comes to its end while
    /// mail goes there.
    fn is_old(&self, now_secs: i64) -> bool {
        let age = now_secs.saturating_sub(self.fetched_secs).max(0);
        u64::try_from(age).is_ok_and(|age| age >= self.policy.max_age_secs / 2)
    }
}

/// True if the policy is to be fetched: `id` is what DNS says now, None if it says nothing, or cannot
/// be asked. What is known then holds to its end: whoever can hide the record must not be able to end
/// the policy (RFC 8461 §3.1, §10.2).
pub fn wants_fetch(known: Option<&Known>, id: Option<&str>, now_secs: i64) -> bool {
    match (known, id) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(known), Some(id)) => known.id != id || known.is_old(now_secs),
    }
}

/// What of the known counts for a message: nothing but a policy that is enforced and holds. One that
/// could not be fetched anew counts as before (RFC 8461 §5.1).
pub fn in_force(known: Option<&Known>, now_secs: i64) -> Option<&Policy> {
    known
        .filter(|known| known.holds(now_secs) && known.policy.mode == Mode::Enforce)
        .map(|known| &known.policy)
}

/// Any bytes as a policy, a record and a host: limits hold, and what is named is one host or one
/// label before a name.
#[doc(hidden)]
pub fn fuzz_mta_sts(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    let (policy, record, host) = (parts.next(), parts.next(), parts.next());
    let host = String::from_utf8_lossy(host.unwrap_or_default()).into_owned();
    let record = String::from_utf8_lossy(record.unwrap_or_default()).into_owned();
    if let Some(id) = id(std::slice::from_ref(&record)) {
        assert!((1..=32).contains(&id.len()) && record.contains(&id), "{id}");
        assert_eq!(self::id(&[record.clone(), record]), None, "two records");
    }
    let Ok(policy) = Policy::parse(policy.unwrap_or_default()) else { return };
    assert!(policy.max_age_secs <= MAX_AGE_SECS && policy.mx.len() <= MAX_PATTERNS, "{policy:?}");
    assert_eq!(policy.mx.is_empty(), policy.mode == Mode::None, "{policy:?}");
    for pattern in &policy.mx {
        let name = pattern.replace('*', "x");
        assert!(policy.names(&name) && policy.names(&name.to_ascii_uppercase()), "{pattern}");
        if let Some(parent) = pattern.strip_prefix("*.") {
            let of_this = Policy { mx: vec![pattern.clone()], ..policy.clone() };
            assert!(!of_this.names(&format!("x.{name}")) && !of_this.names(parent), "{pattern}");
        }
    }
    if policy.names(&host) {
        let labels = |name: &str| name.strip_suffix('.').unwrap_or(name).split('.').count();
        assert!(policy.mx.iter().any(|pattern| labels(pattern) == labels(&host)), "{host}");
    }
}
