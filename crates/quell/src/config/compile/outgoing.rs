//! How mail goes out: next hops, and what `[relay]` and `[dns]` say of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use quell_relay::route::{Host, NextHop, NextHopError, Own, Peer, Routes};

use super::Check;
use crate::config::Outgoing;
use crate::deliver::resolver::Dnssec;
use crate::settings::Settings;

const VIA: [&str; 2] = ["relay", "via"];
/// The port of DNS (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;

impl Check<'_> {
    /// A next hop as written; None: it is faulty.
    pub(super) fn next_hop(&mut self, path: &[&str], text: &str) -> Option<NextHop> {
        let servers = "\"smtp://10.0.0.2:25\", \"lmtp://127.0.0.1:24\" or \"lmtp:///run/dovecot/lmtp\"";
        let is_via = path == VIA;
        let maildir = if is_via { "" } else { "\"maildir\", " };
        let help = format!("write {maildir}{servers}");
        let (message, help) = match NextHop::parse(text) {
            Ok(next_hop) => return Some(next_hop),
            // Not a word of the text: it has a password.
            Err(_) if text.contains('@') => (
                "sign-in is not supported yet".to_owned(),
                "write the server without user and password".to_owned(),
            ),
            Err(NextHopError::Scheme) if is_via => (
                format!(
                    "\"{text}\" is no next hop: it must begin with smtp://, smtps://, lmtp:// or lmtps://"
                ),
                help,
            ),
            Err(why) => (format!("\"{text}\" is no next hop: {why}"), help),
        };
        self.fault(path, message, help);
        None
    }

    /// `[relay] via`.
    pub(super) fn smart_host(&mut self, settings: &Settings) -> Option<NextHop> {
        let path = VIA;
        let next_hop = self.next_hop(&path, settings.relay.via.as_deref()?)?;
        if next_hop == NextHop::Maildir {
            let help = "write the server that takes mail for other domains, as \"smtp://10.0.0.2:25\", \
                        or remove the line";
            self.fault(&path, "mail for other domains has no mailboxes here", help);
            return None;
        }
        Some(next_hop)
    }

    /// No next hop may be a listener of our own: mail would go round until its hops are too many.
    pub(super) fn no_way_back(
        &mut self,
        settings: &Settings,
        routes: &Routes,
        hostname: &str,
        listen: &[SocketAddr],
    ) {
        let own = Own { names: vec![hostname.to_owned()], listens: listen.to_vec(), addresses: Vec::new() };
        let help = "write the address of the server behind this one, or let [smtp] listen elsewhere";
        if let Some(next_hop) = routes.via.as_ref().filter(|next_hop| is_own(next_hop, &own)) {
            self.fault(&["relay", "via"], format!("{next_hop} leads back to this server"), help);
        }
        for written in settings.domains.keys() {
            let name = quell_relay::directory::normal_domain(written).unwrap_or_default();
            if let Some(next_hop) = routes.domains.get(&name).filter(|next_hop| is_own(next_hop, &own)) {
                let message = format!("{next_hop} leads back to this server");
                self.fault(&["domains", written, "deliver"], message, help);
            }
        }
    }

    fn dns_servers(&mut self, settings: &Settings) -> Vec<SocketAddr> {
        let mut servers = Vec::new();
        for (at, text) in settings.dns.servers.iter().enumerate() {
            let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
            match (text.parse(), address.parse::<IpAddr>()) {
                (Ok(server), _) => servers.push(server),
                (Err(_), Ok(address)) => servers.push(SocketAddr::new(address, DNS_PORT)),
                (Err(_), Err(_)) => {
                    let help = "write an address, for example \"192.0.2.53\"; with its port if that is not 53, as \"127.0.0.1:5353\" or \"[::1]:5353\"";
                    let path = ["dns", "servers", &at.to_string()];
                    self.fault(&path, format!("\"{text}\" is no IP address"), help);
                }
            }
        }
        servers
    }

    fn dnssec(&mut self, settings: &Settings) -> Dnssec {
        let file = settings.dns.trust_anchor.as_ref().map(|file| self.folder.join(file));
        if !settings.dns.dnssec {
            if file.is_some() {
                let help = "write dnssec = true in [dns], or take the line out";
                self.fault(&["dns", "trust_anchor"], "signatures are not checked", help);
            }
            return Dnssec::Off;
        }
        let dnssec = Dnssec::by(file.as_deref());
        if let Dnssec::Broken(why) = &dnssec {
            let help = "name a file with the DNSKEY records of the root, or take the line out";
            self.fault(&["dns", "trust_anchor"], why.clone(), help);
        }
        dnssec
    }

    /// What deliveries go by. Numbers are within their ranges when it is used, so the conversions
    /// lose nothing.
    pub(super) fn outgoing(&mut self, settings: &Settings, routes: &Routes) -> Outgoing {
        let relay = &settings.relay;
        if !["send", "bounce"].contains(&relay.eightbit.as_str()) {
            self.fault(&["relay", "eightbit"], "unknown word", "write \"send\" or \"bounce\"");
        }
        let many = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Outgoing {
            eightbit_bounces: relay.eightbit == "bounce",
            address_literals: relay.address_literals,
            port: u16::try_from(relay.port).unwrap_or(quell_relay::route::SMTP_PORT),
            max_sessions: many(relay.max_sessions),
            max_sessions_per_next_hop: many(relay.max_sessions_per_next_hop),
            max_sessions_per_address: many(relay.max_sessions_per_address),
            max_recipients: many(relay.max_recipients_per_transaction),
            keep_idle: Duration::from_secs(relay.keep_idle_secs),
            dns_servers: self.dns_servers(settings),
            mta_sts: relay.mta_sts,
            dnssec: self.dnssec(settings),
            next_hops: self.next_hops(settings, routes),
            stop_within: Duration::from_secs(settings.server.stop_secs),
        }
    }
}

/// True if a connection to `next_hop` would reach one of our own listeners.
fn is_own(next_hop: &NextHop, own: &Own) -> bool {
    let (NextHop::Smtp(Peer { host, port, .. }) | NextHop::Lmtp(Peer { host, port, .. })) = next_hop else {
        return false;
    };
    let listens_at = |address: IpAddr| own.listens_at(SocketAddr::new(address, *port));
    let loopback = || listens_at(Ipv4Addr::LOCALHOST.into()) || listens_at(Ipv6Addr::LOCALHOST.into());
    match host {
        // Connecting to 0.0.0.0 or [::] reaches this machine.
        Host::Address(address) => listens_at(*address) || (address.is_unspecified() && loopback()),
        Host::Name(name) if name == "localhost" => loopback(),
        Host::Name(name) => own.has_name(name) && own.listens.iter().any(|listen| listen.port() == *port),
    }
}
