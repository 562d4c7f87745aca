//! `[next_hops]`: what protects connections on their way out, and the files that takes.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quell_relay::directory::normal_domain;
use quell_relay::route::{Host, NextHop, Routes};
use quell_relay::tls::{Level, Rule, Rules};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::Check;
use crate::config::{NextHopTls, read_limited};
use crate::data::{DataError, check_key_mode};
use crate::settings::{NextHopTable, Settings};
use crate::tls::{Certificate, CertificateError};

const LEVELS: [(&str, Level); 4] = [
    ("opportunistic", Level::Opportunistic),
    ("encrypt", Level::Encrypt),
    ("require", Level::Require),
    ("never", Level::Never),
];
/// Most authorities of one file that are read.
const MAX_AUTHORITIES: usize = 1_000;

impl Check<'_> {
    /// All tables of `[next_hops]`, in the order of their names.
    pub(super) fn next_hops(&mut self, settings: &Settings, routes: &Routes) -> Vec<NextHopTls> {
        let mut all: Vec<NextHopTls> = Vec::new();
        for (written, table) in &settings.next_hops {
            let Some(name) = normal_name(written) else {
                let help = "write a domain, a host, an IP address, the absolute path of a socket, or \"*\"";
                self.fault(&["next_hops", written], "this names no next hop", help);
                continue;
            };
            if all.iter().any(|other| other.rule.name == name) {
                self.fault(&["next_hops", written], "it stands here twice", "remove one of the two");
                continue;
            }
            let level = self.level(written, table);
            let certificate_name = self.certificate_name(written, table);
            if level == Some(Level::Require) && name.starts_with('/') && certificate_name.is_none() {
                let help = "write the name in the certificate as `name`";
                self.fault(
                    &["next_hops", written, "tls"],
                    "a socket has no name that a certificate could be for",
                    help,
                );
            }
            all.push(NextHopTls {
                authorities: self.authorities(written, table),
                identity: self.identity(written, table),
                rule: Rule { name, level, certificate_name },
            });
        }
        self.never_and_implicit(settings, routes, &all);
        self.without_effect(routes, &all);
        all
    }

    fn level(&mut self, written: &str, table: &NextHopTable) -> Option<Level> {
        let word = table.tls.as_deref()?;
        let found = LEVELS.into_iter().find(|(name, _)| *name == word);
        if found.is_none() {
            let help = "write \"opportunistic\", \"encrypt\", \"require\" or \"never\"";
            self.fault(&["next_hops", written, "tls"], "unknown word", help);
        }
        found.map(|(_, level)| level)
    }

    fn certificate_name(&mut self, written: &str, table: &NextHopTable) -> Option<String> {
        let name = table.name.as_deref()?;
        let normal = normal_domain(name).filter(|name| !name.starts_with('['));
        if normal.is_none() {
            let help = "write the host name that stands in the certificate";
            self.fault(&["next_hops", written, "name"], "not a host name", help);
        }
        normal
    }

    fn authorities(&mut self, written: &str, table: &NextHopTable) -> Option<Arc<RootCertStore>> {
        let file = self.folder.join(table.ca_file.as_deref().filter(|_| self.reads_keys)?);
        match read_authorities(&file) {
            Ok(authorities) => Some(Arc::new(authorities)),
            Err((message, help)) => {
                self.fault(&["next_hops", written, "ca_file"], message, help);
                None
            }
        }
    }

    /// The certificate that is shown.
    fn identity(&mut self, written: &str, table: &NextHopTable) -> Option<Certificate> {
        let (certificate, key) = match (&table.certificate, &table.key) {
            (None, None) => return None,
            (Some(_), None) => {
                let help = "name the file with its private key as `key`";
                self.fault(&["next_hops", written, "certificate"], "a certificate without its key", help);
                return None;
            }
            (None, Some(_)) => {
                let help = "name the file with its certificate as `certificate`";
                self.fault(&["next_hops", written, "key"], "a key without its certificate", help);
                return None;
            }
            (Some(certificate), Some(key)) => (self.folder.join(certificate), self.folder.join(key)),
        };
        if !self.reads_keys {
            return None;
        }
        if let Err(DataError::Open { mode, .. }) = check_key_mode(&key) {
            let message = format!("{}: others can read the key (mode {mode:04o})", key.display());
            let help = format!("chmod 600 {}", key.display());
            self.fault(&["next_hops", written, "key"], message, help);
        }
        match Certificate::load(&certificate, &key) {
            Ok(loaded) => Some(loaded),
            Err(why) => {
                let (which, help) = which_and_help(&why, &key);
                self.fault(&["next_hops", written, which], why.to_string(), help);
                None
            }
        }
    }

    /// Tables that no mail meets, and authorities that nothing is checked against.
    fn without_effect(&mut self, routes: &Routes, all: &[NextHopTls]) {
        for table in all.iter().filter(|table| table.rule.name != "*") {
            let name = &table.rule.name;
            let is_host = |hop: &NextHop| match hop {
                NextHop::Smtp(peer) | NextHop::Lmtp(peer) => match &peer.host {
                    Host::Address(address) => address.to_string() == *name,
                    Host::Name(host) => host == name,
                },
                NextHop::LmtpUnix(path) => path == name,
                _ => false,
            };
            if routes.domains.values().chain(&routes.via).any(is_host) {
                continue;
            }
            if let Some(own) = routes.domains.get(name) {
                let warning = format!(
                    "[next_hops.\"{name}\"] has no effect: mail for {name} goes to {own}; write the table for that host"
                );
                self.warnings.push(warning);
            } else if let Some(via) = &routes.via {
                let warning = format!(
                    "[next_hops.\"{name}\"] has no effect: mail for other domains goes to {via} ([relay] via); write the table for that host"
                );
                self.warnings.push(warning);
            }
        }
        let is_checked = |rule: &Rule| rule.level == Some(Level::Require);
        for table in all.iter().filter(|table| table.authorities.is_some() && !is_checked(&table.rule)) {
            let warning = format!(
                "[next_hops.\"{}\"] names a ca_file, but certificates are checked against it only with tls = \"require\", or where MTA-STS or smtps:// demands it",
                table.rule.name
            );
            self.warnings.push(warning);
        }
    }

    /// What begins with TLS cannot be had without.
    fn never_and_implicit(&mut self, settings: &Settings, routes: &Routes, all: &[NextHopTls]) {
        let rules = rules(all);
        for hop in routes.domains.values().chain(&routes.via) {
            let implicit = matches!(hop, NextHop::Smtp(peer) | NextHop::Lmtp(peer) if peer.implicit_tls);
            let rule = rules.of(hop);
            // What is wanted of all others takes nothing from it.
            if !implicit || rule.level != Some(Level::Never) || !rules.named.contains_key(&rule.name) {
                continue;
            }
            let written =
                settings.next_hops.keys().find(|name| normal_name(name).as_deref() == Some(&rule.name));
            let help = "write smtp:// or lmtp:// there, or another word here";
            let path = ["next_hops", written.map_or("*", String::as_str), "tls"];
            self.fault(&path, format!("{hop} is TLS from its first byte on"), help);
        }
    }
}

/// What the files were read for, as it decides.
pub(in crate::config) fn rules(all: &[NextHopTls]) -> Rules {
    let (others, named) =
        all.iter().map(|one| one.rule.clone()).partition::<Vec<_>, _>(|rule| rule.name == "*");
    Rules {
        named: named.into_iter().map(|rule| (rule.name.clone(), rule)).collect(),
        others: others.into_iter().next().unwrap_or_default(),
    }
}

/// As next hops are called: `*`, a path, an address, a lower-case A-label.
fn normal_name(written: &str) -> Option<String> {
    if written == "*" || (written.starts_with('/') && written.len() > 1) {
        return Some(written.to_owned());
    }
    let address = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(written);
    if let Ok(address) = address.parse::<IpAddr>() {
        return Some(address.to_canonical().to_string());
    }
    normal_domain(written).filter(|name| !name.starts_with('['))
}

pub(super) fn read_authorities(file: &Path) -> Result<RootCertStore, (String, &'static str)> {
    let help = "name a file with certificates in PEM (BEGIN CERTIFICATE); a relative path starts at the \
                folder of the configuration file";
    let text =
        read_limited(file).map_err(|why| (format!("{}: cannot be read: {why}", file.display()), help))?;
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()).take(MAX_AUTHORITIES) {
        let added = certificate
            .map_err(|why| why.to_string())
            .and_then(|certificate| authorities.add(certificate).map_err(|why| why.to_string()));
        added.map_err(|why| {
            (format!("{}: a certificate in it cannot be used: {why}", file.display()), help)
        })?;
    }
    if authorities.is_empty() {
        return Err((format!("{}: there is no certificate in it", file.display()), help));
    }
    Ok(authorities)
}

fn which_and_help(why: &CertificateError, key: &Path) -> (&'static str, &'static str) {
    let of_key = |path: &PathBuf| path == key;
    match why {
        CertificateError::Io(path, _) => (
            if of_key(path) { "key" } else { "certificate" },
            "correct the path, and let the server's user read the file; a relative path starts at the folder of \
             the configuration file",
        ),
        CertificateError::NoCertificate(_) | CertificateError::BadCertificate(_) => {
            ("certificate", "name the PEM file with the whole chain, its own certificate first")
        }
        CertificateError::NoKey(_) | CertificateError::BadKey(..) => {
            ("key", "name the PEM file with the private key of that certificate, without a passphrase")
        }
    }
}
