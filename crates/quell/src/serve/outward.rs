//! What deliveries to next hops go by, out of the configuration.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use quell_mail::address;
use quell_queue::destination::Destination;
use quell_queue::door::Destinations;
use quell_relay::attempt::Sending;
use quell_relay::route::{Own, Routes};
use quell_wire::client::EightBit;
use tracing::warn;

use super::listeners::possible;
use crate::config::Config;
use crate::deliver::remote::Outward;
use crate::deliver::resolver::{Dnssec, Resolver};
use crate::deliver::sts::Policies;
use crate::deliver::tls::Clients;
use crate::server::sessions::SessionLimits;

/// Compiles it. `before`: what was in force, whose resolver and its memory stay if it asks the same
/// servers. One that could not be made is made again.
pub(super) fn outward(config: &Config, before: Option<&Outward>) -> Outward {
    let set = &config.outgoing;
    let same = before.filter(|before| {
        (&before.dns, &before.dnssec) == (&set.dns_servers, &set.dnssec)
            && before.resolver.trouble().is_none()
    });
    let new = || Arc::new(Resolver::new(&set.dns_servers, &set.dnssec));
    let resolver = same.map_or_else(new, |same| Arc::clone(&same.resolver));
    if let Some(why) = resolver.trouble() {
        warn!(event = "no_dns", reason = why, "no MX can be looked up: mail for other domains waits");
    }
    let sending = Sending {
        our_name: config.hostname.clone(),
        eightbit: if set.eightbit_bounces { EightBit::Bounce } else { EightBit::Send },
        max_recipients: set.max_recipients,
        port: set.port,
        address_literals: set.address_literals,
        tls: set.rules(),
        mta_sts: set.mta_sts,
        dane: set.dnssec != Dnssec::Off,
        own: Own {
            names: vec![config.hostname.clone()],
            listens: config.all_listen(),
            addresses: own_addresses(),
        },
    };
    Outward {
        routes: Arc::new(config.routes.clone()),
        sending: Arc::new(sending),
        resolver,
        clients: Arc::new(Clients::new(&set.next_hops)),
        policies: before.map_or_else(
            || Policies::open(&config.data.join("mta-sts.json")),
            |one| Arc::clone(&one.policies),
        ),
        dnssec: set.dnssec.clone(),
        dns: set.dns_servers.clone(),
        limits: SessionLimits {
            most: set.max_sessions.min(possible(set.max_sessions).sessions),
            per_destination: set.max_sessions_per_next_hop,
            recipients: set.max_recipients,
        },
        per_address: set.max_sessions_per_address,
        keep_idle: set.keep_idle,
    }
}

/// Domains whose destination is remembered; at the limit all are forgotten.
const REMEMBERED: usize = 4_096;

/// Where each recipient's mail goes, for the door, which asks at each step of a row.
pub(super) fn destinations(routes: &Arc<Routes>) -> Destinations {
    let (routes, known) = (Arc::clone(routes), RefCell::<HashMap<String, Destination>>::default());
    Box::new(move |identity| {
        // All that a route goes by.
        let domain = address::split(identity).map_or(identity, |(_, domain)| domain);
        if let Some(known) = known.borrow().get(domain) {
            return known.clone();
        }
        let (destination, mut known) = (routes.of(identity).destination(), known.borrow_mut());
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(domain.to_owned(), destination.clone());
        destination
    })
}

/// The addresses of this machine. Without them only the token in our `Received` tells a route that
/// leads back.
fn own_addresses() -> Vec<IpAddr> {
    let interfaces = match nix::ifaddrs::getifaddrs() {
        Ok(interfaces) => interfaces,
        Err(why) => {
            warn!(event = "own_addresses", reason = %why, "this machine's addresses cannot be read: an MX record that leads back to it is not known by them");
            return Vec::new();
        }
    };
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    interfaces.filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quell_relay::route::NextHop;
    use std::path::Path;

    #[test]
    fn a_reload_keeps_a_resolver_that_works_and_makes_a_broken_one_again() {
        let text = "[server]\nhostname = \"mx.firm.example\"\n[dns]\nservers = [\"127.0.0.1:53\"]\n";
        let config = Config::parse(Path::new("quell.toml"), text, "mx").unwrap();
        let mut now = outward(&config, None);
        let works = Arc::clone(&now.resolver);
        assert!(Arc::ptr_eq(&outward(&config, Some(&now)).resolver, &works));
        now.resolver = Arc::new(Resolver::broken());
        assert!(outward(&config, Some(&now)).resolver.trouble().is_none());
    }

    #[test]
    fn what_is_remembered_of_destinations_is_what_the_routes_say() {
        let own = NextHop::parse("smtp://10.0.0.2:25").unwrap();
        let routes =
            Arc::new(Routes { domains: HashMap::from([("own.example".to_owned(), own)]), via: None });
        let of = destinations(&routes);
        let identities =
            ["a@own.example", "b@OWN.example", "a@x.example", "x.example", "a@[192.0.2.1]", "@", ""];
        let many: Vec<String> = (0..2 * REMEMBERED).map(|n| format!("a@{n}.example")).collect();
        for identity in identities.into_iter().chain(many.iter().map(String::as_str)).chain(identities) {
            assert_eq!(of(identity), routes.of(identity).destination(), "{identity}");
        }
    }
}
