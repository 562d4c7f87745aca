//! The DNS as deliveries see it: MX and addresses, through a caching stub resolver.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as Answered, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData};
use quell_relay::route::DnsError;
use tokio::time::timeout;

mod dane;
mod negative;

pub use dane::Dnssec;

/// An answer is remembered no longer, whatever its TTL says: an MX list is a hint that expires.
const REMEMBER: Duration = Duration::from_secs(3600);
/// That there is none, no longer than this.
const REMEMBER_NONE: Duration = Duration::from_secs(300);
/// Answers remembered; at the limit those go that were not asked for lately.
const REMEMBERED: u64 = 10_000;
/// A look-up with all its tries.
const WITHIN: Duration = Duration::from_secs(30);
/// Records of one answer that are looked at; the rest is ignored.
const MAX_RECORDS: usize = 256;

/// Where the system's DNS servers stand.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The DNS servers that the system names, as they stand there.
///
/// # Errors
/// The file cannot be read.
pub fn system_servers() -> std::io::Result<Vec<String>> {
    Ok(servers_of(&std::fs::read_to_string(RESOLV_CONF)?))
}

fn servers_of(text: &str) -> Vec<String> {
    let server = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next().map(str::to_owned)).flatten()
    };
    text.lines().filter_map(server).collect()
}

/// Looks names up.
pub struct Resolver {
    /// Or why there is none.
    dns: Result<TokioResolver, String>,
    /// Configured hosts are asked of the system, which knows its hosts file and search list too.
    system: bool,
    /// Signatures are checked.
    validates: bool,
}

impl Resolver {
    /// A resolver that asks `servers`; the system's, if there are none.
    pub fn new(servers: &[SocketAddr], dnssec: &Dnssec) -> Self {
        let validates = *dnssec != Dnssec::Off;
        if let Dnssec::Broken(why) = dnssec {
            return Self { dns: Err(why.clone()), system: servers.is_empty(), validates };
        }
        let builder = match servers {
            [] => TokioResolver::builder_tokio(),
            servers => {
                let servers = servers.iter().map(name_server).collect();
                let config = ResolverConfig::from_name_servers(servers);
                Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
            }
        };
        if servers.is_empty() && system_servers().is_ok_and(|found| found.is_empty()) {
            let why = format!("{RESOLV_CONF} names no DNS server: write [dns] servers");
            return Self { dns: Err(why), system: true, validates };
        }
        let built = builder.and_then(|mut builder| {
            set(builder.options_mut());
            builder.options_mut().validate = validates;
            match dnssec.anchors() {
                Some(anchors) => builder.with_trust_anchor(anchors).build(),
                None => builder.build(),
            }
        });
        Self { dns: built.map_err(|why| why.to_string()), system: servers.is_empty(), validates }
    }

    /// One that could not be made, for tests.
    #[cfg(test)]
    pub fn broken() -> Self {
        Self { dns: Err("no configuration".to_owned()), system: true, validates: false }
    }

    /// Why no name can be looked up, if that is so.
    pub fn trouble(&self) -> Option<&str> {
        self.dns.as_ref().err().map(String::as_str)
    }

    /// The MX records of `domain`: preference and host; `.` is the null MX (RFC 7505).
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn mx(&self, domain: &str) -> Result<Vec<(u16, String)>, DnsError> {
        let (dns, name) = (self.dns()?, absolute(domain)?);
        let found = self.proven(&name, dns.mx_lookup(name.clone())).await?;
        let of = |data: &RData| match data {
            RData::MX(mx) => Some((mx.preference, relative(&mx.exchange))),
            _ => None,
        };
        let hosts: Vec<_> =
            found.answers().iter().filter_map(|record| of(&record.data)).take(MAX_RECORDS).collect();
        if hosts.is_empty() { Err(DnsError::NoRecords) } else { Ok(hosts) }
    }

    /// The addresses of a host that an MX record names, of both families.
    ///
    /// # Errors
    /// [`DnsError`]: trouble with one family counts only if the other has no address.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        let (dns, name) = (self.dns()?, absolute(host)?);
        let (v4, v6) = self.both_families(dns, &name).await;
        let mut found = Vec::new();
        for records in [&v6, &v4].into_iter().flatten() {
            found.extend(
                records.answers().iter().filter_map(|record| record.data.ip_addr()).take(MAX_RECORDS),
            );
        }
        match (found.is_empty(), v4, v6) {
            (false, ..) => Ok(found),
            (true, Err(trouble @ DnsError::Trouble(_)), _)
            | (true, _, Err(trouble @ DnsError::Trouble(_))) => Err(trouble),
            (true, Err(DnsError::NoSuchDomain), _) => Err(DnsError::NoSuchDomain),
            _ => Err(DnsError::NoRecords),
        }
    }

    /// The names of an address, as its PTR records say.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn names_of(&self, address: IpAddr) -> Result<Vec<String>, DnsError> {
        let found = within(self.dns()?.reverse_lookup(address)).await?;
        let of = |data: &RData| match data {
            RData::PTR(name) => Some(relative(name)),
            _ => None,
        };
        let names: Vec<_> =
            found.answers().iter().filter_map(|record| of(&record.data)).take(MAX_RECORDS).collect();
        if names.is_empty() { Err(DnsError::NoRecords) } else { Ok(names) }
    }

    /// The addresses of a host that the configuration names. That there are none is trouble, too: a
    /// mistake in the configuration must not make mail fail.
    ///
    /// # Errors
    /// Why there are none, in words for the operator; the host is not named, since reports say them too.
    pub async fn configured(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if !self.system {
            return self.addresses(host).await.map_err(|why| match why {
                DnsError::Trouble(why) => why,
                DnsError::NoSuchDomain | DnsError::NoRecords => "it has none".to_owned(),
            });
        }
        match timeout(WITHIN, tokio::net::lookup_host((host, 0))).await {
            Ok(Ok(found)) => Ok(found.map(|address| address.ip()).take(MAX_RECORDS).collect()),
            Ok(Err(why)) => Err(why.to_string()),
            Err(_) => Err("the system's resolver does not answer".to_owned()),
        }
    }

    /// The TXT records of `name`, each with its strings joined. What is not UTF-8 is replaced.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn txt(&self, name: &str) -> Result<Vec<String>, DnsError> {
        let (dns, name) = (self.dns()?, absolute(name)?);
        let found = within(dns.txt_lookup(name)).await?;
        let of = |data: &RData| match data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        };
        Ok(found.answers().iter().filter_map(|record| of(&record.data)).take(MAX_RECORDS).collect())
    }

    async fn both_families(
        &self,
        dns: &TokioResolver,
        name: &Name,
    ) -> (Result<Lookup, DnsError>, Result<Lookup, DnsError>) {
        let (v4, v6) = (dns.ipv4_lookup(name.clone()), dns.ipv6_lookup(name.clone()));
        tokio::join!(self.proven(name, v4), self.proven(name, v6))
    }

    /// What is asked about `name`. While signatures are checked, that there is none must be proven.
    async fn proven<V>(
        &self,
        name: &Name,
        asked: impl Future<Output = Result<V, NetError>>,
    ) -> Result<V, DnsError> {
        let Ok(answer) = timeout(WITHIN, asked).await else { return Err(silent()) };
        let why = match answer {
            Ok(found) => return Ok(found),
            Err(why) => why,
        };
        match meaning(&why) {
            trouble @ DnsError::Trouble(_) => Err(trouble),
            _ if self.validates && !negative::is_believed(self.dns()?, name, &why).await => {
                Err(DnsError::Trouble("the DNS says that there is none, and does not prove it".to_owned()))
            }
            none => Err(none),
        }
    }

    fn dns(&self) -> Result<&TokioResolver, DnsError> {
        let why = |why: &String| DnsError::Trouble(format!("no DNS: {why}"));
        self.dns.as_ref().map_err(why)
    }
}

fn set(options: &mut ResolverOpts) {
    options.cache_size = REMEMBERED;
    options.positive_max_ttl = Some(REMEMBER);
    options.negative_max_ttl = Some(REMEMBER_NONE);
    // Answers that were cut are asked for again over TCP.
    options.try_tcp_on_error = true;
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    server.connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
        .into_iter()
        .map(|mut connection| {
            connection.port = address.port();
            connection
        })
        .collect();
    server
}

/// Mail domains are whole names: no search list is tried with them.
fn absolute(name: &str) -> Result<Name, DnsError> {
    let mut parsed = Name::from_ascii(name).map_err(|_| DnsError::NoSuchDomain)?;
    parsed.set_fqdn(true);
    Ok(parsed)
}

/// Lower case and without the dot at its end; `.` stays.
fn relative(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    match text.strip_suffix('.') {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => text,
    }
}

async fn within<V>(asked: impl Future<Output = Result<V, NetError>>) -> Result<V, DnsError> {
    match timeout(WITHIN, asked).await {
        Ok(answer) => answer.map_err(|why| meaning(&why)),
        Err(_) => Err(silent()),
    }
}

fn silent() -> DnsError {
    DnsError::Trouble("the DNS does not answer".to_owned())
}

/// Only a clear answer is one; everything else is trouble, and trouble passes.
fn meaning(why: &NetError) -> DnsError {
    match why {
        NetError::Dns(Answered::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => DnsError::NoSuchDomain,
            ResponseCode::NoError => DnsError::NoRecords,
            code => DnsError::Trouble(format!("the DNS answered {code}")),
        },
        // A negative answer that is proven, or of a zone that is not signed.
        NetError::Dns(Answered::Nsec { response, proof, .. }) if !proof.is_bogus() => {
            match response.response_code {
                ResponseCode::NXDomain => DnsError::NoSuchDomain,
                _ => DnsError::NoRecords,
            }
        }
        other => DnsError::Trouble(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_they_stand() {
        let text = "# nameserver 192.0.2.9\nsearch a.example\nnameserver 192.0.2.1\n\tnameserver\t::1 # x\nnameserver\n";
        assert_eq!(servers_of(text), ["192.0.2.1", "::1"]);
        assert_eq!(servers_of("options edns0\n"), [""; 0]);
    }
}
