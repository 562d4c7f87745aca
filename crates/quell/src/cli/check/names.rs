//! What the DNS says of this server: whether mail for our domains finds it, and whether its name and
//! its addresses lead to each other, as those it sends to will look.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use quell_relay::route::DnsError;

use crate::config::Config;
use crate::config::ipnet::is_private;
use crate::deliver::resolver::Resolver;

/// All look-ups together; what is not known by then is not told.
const WITHIN: Duration = Duration::from_secs(10);
/// Domains that are looked up; of more there is a word.
const MAX_DOMAINS: usize = 20;

/// What was found, and what is wrong with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub facts: Vec<String>,
    pub warnings: Vec<String>,
}

/// Whether anybody outside this network can reach the server: only then the DNS matters to it.
pub(super) fn is_wanted(config: &Config) -> bool {
    config.all_listen().iter().any(|address| !is_private(address.ip()))
}

/// Looks everything up.
pub(super) fn look_up(config: &Config) -> Found {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Found::default() };
    runtime.block_on(async {
        let resolver = Resolver::new(&config.outgoing.dns_servers, &config.outgoing.dnssec);
        if let Some(why) = resolver.trouble() {
            let warnings = vec![format!("MX and PTR records were not looked at: {why}")];
            return Found { warnings, ..Found::default() };
        }
        let mut found = Found::default();
        if tokio::time::timeout(WITHIN, all(config, &resolver, &mut found)).await.is_err() {
            let secs = WITHIN.as_secs();
            found.warnings.push(format!("the DNS did not answer everything within {secs} s"));
        }
        found
    })
}

async fn all(config: &Config, resolver: &Resolver, found: &mut Found) {
    let own = own_name(config, resolver, found).await;
    for domain in config.directory.domains().take(MAX_DOMAINS) {
        let answer = resolver.mx(&domain.name).await;
        about_mx(&domain.name, &config.hostname, &own, answer, resolver, found).await;
    }
    let more = config.directory.domains().count().saturating_sub(MAX_DOMAINS);
    if more > 0 {
        found.facts.push(format!("the MX records of {more} more domains were not looked at"));
    }
}

/// The addresses of our own name; each should lead back to it (RFC 1912 §2.1): many servers take no
/// mail from one whose addresses do not.
async fn own_name(config: &Config, resolver: &Resolver, found: &mut Found) -> BTreeSet<IpAddr> {
    let name = &config.hostname;
    let addresses = match resolver.addresses(name).await {
        Ok(addresses) => addresses.into_iter().collect::<BTreeSet<_>>(),
        Err(DnsError::Trouble(why)) => {
            found.warnings.push(format!("the addresses of {name} could not be looked up: {why}"));
            return BTreeSet::new();
        }
        Err(_) => {
            found.warnings.push(format!(
                "{name}, the name of this server, has no address in the DNS: mail is refused by many servers that it greets so. Correct `hostname`, or add the record"
            ));
            return BTreeSet::new();
        }
    };
    for address in &addresses {
        match resolver.names_of(*address).await {
            Ok(names) if names.contains(name) => {
                found.facts.push(format!("{name} is {address}, and its PTR record leads back"));
            }
            Ok(names) => found.warnings.push(format!(
                "{address}, the address of {name}, is called {} in its PTR record: let who gave you the address set it to {name}",
                names.join(", ")
            )),
            Err(DnsError::Trouble(why)) => {
                found.warnings.push(format!("the PTR record of {address} could not be looked up: {why}"));
            }
            Err(_) => found.warnings.push(format!(
                "{address}, the address of {name}, has no PTR record: many servers refuse its mail. Let who gave you the address set it to {name}"
            )),
        }
    }
    addresses
}

async fn about_mx(
    domain: &str,
    hostname: &str,
    own: &BTreeSet<IpAddr>,
    answer: Result<Vec<(u16, String)>, DnsError>,
    resolver: &Resolver,
    found: &mut Found,
) {
    let mut hosts = match answer {
        Ok(hosts) => hosts,
        Err(DnsError::Trouble(why)) => {
            return found.warnings.push(format!("the MX records of {domain} could not be looked up: {why}"));
        }
        Err(_) => {
            return found.warnings.push(format!(
                "{domain} has no MX record: add one that names {hostname}, or mail from outside goes to the address of {domain} itself, if it has one"
            ));
        }
    };
    hosts.sort();
    let named = hosts.iter().map(|(_, host)| host.as_str()).collect::<Vec<_>>().join(", ");
    if named == "." {
        return found
            .warnings
            .push(format!("{domain} says in its MX record that it takes no mail (RFC 7505)"));
    }
    for (_, host) in &hosts {
        let is_own = host == hostname
            || resolver.addresses(host).await.is_ok_and(|all| all.iter().any(|a| own.contains(a)));
        if is_own {
            return found.facts.push(format!("mail for {domain} is sent to {named} by its MX records"));
        }
    }
    found.warnings.push(format!(
        "mail for {domain} is sent to {named} by its MX records, and none of them is this server ({hostname})"
    ));
}
