//! `[acme]`.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;

use quell_relay::directory::normal_domain;

use super::Check;
use crate::config::{Acme, Challenge};
use crate::data::Paths;
use crate::settings::{self, Settings};

/// Most names of a certificate: authorities take no more.
const MAX_NAMES: usize = 100;
/// Longest mail address (RFC 5321 §4.5.3.1.3) and URL.
const MAX_CONTACT_BYTES: usize = 254;
const MAX_URL_BYTES: usize = 1024;

impl Check<'_> {
    /// None: no ACME, or it is faulty.
    pub(super) fn acme(&mut self, settings: &Settings, hostname: &str, data: &Path) -> Option<Acme> {
        let written = &settings.acme;
        let key = set_key(written)?;
        if !cfg!(feature = "acme") {
            let help = "name a certificate in [tls], or build with `cargo build --release --features acme`";
            self.fault(&["acme", key], "this quell was built without ACME", help);
            return None;
        }
        let Some(contact) = &written.contact else {
            let help = "set `contact` in [acme], or remove this line";
            self.fault(&["acme", key], "there is no ACME without `contact`", help);
            return None;
        };
        let contact = self.acme_contact(contact);
        let directory = self.acme_directory(&written.directory);
        let names = self.acme_names(&written.names, hostname);
        let challenge = match written.challenge.as_str() {
            "http-01" => Some(Challenge::Http01),
            "tls-alpn-01" => Some(Challenge::TlsAlpn01),
            _ => {
                let help = "write \"http-01\" or \"tls-alpn-01\"";
                self.fault(&["acme", "challenge"], "unknown challenge", help);
                None
            }
        };
        let listen = match &written.listen {
            None => challenge.map(|challenge| SocketAddr::from((Ipv6Addr::UNSPECIFIED, challenge.port()))),
            Some(text) => {
                if text.parse::<SocketAddr>().is_err() {
                    let help = "write address and port, for example \"0.0.0.0:80\" or \"[::]:80\"";
                    let message = format!("\"{text}\" is no address with a port");
                    self.fault(&["acme", "listen"], message, help);
                }
                text.parse().ok()
            }
        };
        let ca_file = written.ca_file.as_ref().map(|file| self.folder.join(file));
        if let Some(why) = ca_file.as_deref().and_then(|file| crate::tls::authorities(file).err()) {
            let help = "name the PEM file with the certificate of whoever vouches for the directory's server";
            self.fault(&["acme", "ca_file"], why.to_string(), help);
        }
        let folder = Paths::new(data).acme();
        Some(Acme {
            contact: contact?,
            directory: directory?,
            names: names?,
            challenge: challenge?,
            listen: listen?,
            ca_file,
            folder,
        })
    }

    /// One address, and nothing that would mean more in a `mailto` URL (RFC 8555 §7.3).
    fn acme_contact(&mut self, text: &str) -> Option<String> {
        let plain = |b: u8| b.is_ascii_graphic() && !b",?&%:;<>\"\\".contains(&b);
        let (local, domain) = text.rsplit_once('@').unwrap_or_default();
        let is_address = !local.is_empty() && !local.contains('@') && normal_domain(domain).is_some();
        if is_address && text.len() <= MAX_CONTACT_BYTES && text.bytes().all(plain) {
            return Some(text.to_owned());
        }
        let help = "write an address, such as \"jane@firm.example\"";
        self.fault(&["acme", "contact"], format!("\"{text}\" is no mail address"), help);
        None
    }

    fn acme_directory(&mut self, text: &str) -> Option<String> {
        let url = text.parse::<axum::http::Uri>().ok().filter(|_| text.len() <= MAX_URL_BYTES);
        let has_user = |url: &axum::http::Uri| url.authority().is_some_and(|a| a.as_str().contains('@'));
        let is_one = |url: &axum::http::Uri| {
            url.scheme_str() == Some("https") && url.host().is_some() && !has_user(url)
        };
        if url.as_ref().is_some_and(is_one) {
            return Some(text.to_owned());
        }
        let help = "write an https URL, as the authority's documentation has it";
        self.fault(&["acme", "directory"], "not the URL of a directory", help);
        None
    }

    fn acme_names(&mut self, written: &[String], hostname: &str) -> Option<Vec<String>> {
        let mut names = Vec::new();
        let mut faulty = written.len() > MAX_NAMES;
        if faulty {
            let message = format!("{} names, and authorities take {MAX_NAMES}", written.len());
            self.fault(&["acme", "names"], message, "leave some out");
        }
        for (at, name) in written.iter().enumerate() {
            match normal_domain(name) {
                Some(name) if names.contains(&name) => {}
                Some(name) => names.push(name),
                None => {
                    let help = "write a whole host name, such as \"mx.firm.example\"; neither challenge \
                                gives certificates for `*`";
                    let index = at.to_string();
                    self.fault(&["acme", "names", &index], format!("\"{name}\" is no host name"), help);
                    faulty = true;
                }
            }
        }
        if names.is_empty() {
            names.push(hostname.to_owned());
        }
        (!faulty).then_some(names)
    }
}

/// The first key that says something else than its default; `contact` before all.
fn set_key(written: &settings::Acme) -> Option<&'static str> {
    let default = settings::Acme::default();
    [
        ("contact", written.contact != default.contact),
        ("directory", written.directory != default.directory),
        ("names", written.names != default.names),
        ("challenge", written.challenge != default.challenge),
        ("listen", written.listen != default.listen),
        ("ca_file", written.ca_file != default.ca_file),
    ]
    .into_iter()
    .find_map(|(key, is_set)| is_set.then_some(key))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, Faults};

    fn parse(acme: &str) -> Result<Config, Faults> {
        let text = format!("[server]\nhostname = \"mx.firm.example\"\n[acme]\n{acme}");
        Config::parse(Path::new("/nowhere/quell.toml"), &text, "machine.example")
    }

    /// Key of the first fault, and all that is said.
    fn fault(acme: &str) -> (String, String) {
        let faults = parse(acme).unwrap_err();
        (faults.problems[0].key.clone(), format!("{:?}", faults.problems))
    }

    #[cfg(not(feature = "acme"))]
    #[test]
    fn a_build_without_acme_says_so() {
        for (acme, key) in [
            ("contact = \"jane@firm.example\"", "acme.contact"),
            ("directory = \"https://acme.example/dir\"", "acme.directory"),
            ("challenge = \"tls-alpn-01\"", "acme.challenge"),
        ] {
            let (of, said) = fault(acme);
            assert_eq!(of, key);
            assert!(said.contains("this quell was built without ACME"), "{said}");
        }
        assert!(parse("challenge = \"http-01\"").unwrap().acme.is_none());
    }

    #[cfg(feature = "acme")]
    #[test]
    fn every_fault_names_its_key_and_what_to_do() {
        for (acme, key, word) in [
            ("names = [\"a.example\"]", "acme.names", "without `contact`"),
            ("contact = \"jane\"", "acme.contact", "no mail address"),
            ("contact = \"jane@firm.example,joe@firm.example\"", "acme.contact", "no mail address"),
            ("contact = \"jane@firm.example?to=x\"", "acme.contact", "no mail address"),
            ("contact = \"j@f.example\"\ndirectory = \"http://a.example/\"", "acme.directory", "https URL"),
            (
                "contact = \"j@f.example\"\ndirectory = \"https://u:p@a.example/\"",
                "acme.directory",
                "https URL",
            ),
            ("contact = \"j@f.example\"\ndirectory = \"/dir\"", "acme.directory", "https URL"),
            ("contact = \"j@f.example\"\nnames = [\"*.firm.example\"]", "acme.names", "no host name"),
            ("contact = \"j@f.example\"\nchallenge = \"dns-01\"", "acme.challenge", "tls-alpn-01"),
            ("contact = \"j@f.example\"\nlisten = \"80\"", "acme.listen", "0.0.0.0:80"),
            ("contact = \"j@f.example\"\nca_file = \"none.pem\"", "acme.ca_file", "cannot be read"),
            ("contact = \"j@f.example\"\n[tls]\ncertificate = \"a.pem\"", "tls.certificate", "by ACME"),
        ] {
            let (of, said) = fault(acme);
            assert_eq!(of, key, "{said}");
            assert!(said.contains(word), "{said}");
        }
        let many: Vec<_> = (0..101).map(|n| format!("n{n}.firm.example")).collect();
        let (of, said) = fault(&format!("contact = \"j@f.example\"\nnames = {many:?}"));
        assert!(of == "acme.names" && said.contains("101 names"), "{said}");
    }

    #[cfg(feature = "acme")]
    #[test]
    fn defaults_follow_the_challenge_and_tls_may_be_demanded_before_there_is_a_certificate() {
        let config = parse("contact = \"jane@firm.example\"\n[smtp]\nrequire_tls = true").unwrap();
        let acme = config.acme.clone().unwrap();
        assert_eq!(
            (acme.names.join(" "), acme.listen),
            ("mx.firm.example".to_owned(), "[::]:80".parse().unwrap())
        );
        assert_eq!(acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
        assert!(config.tls.is_none());
        assert_eq!(
            config.tls_files().unwrap().certificate,
            Path::new("/nowhere/quell-data/acme/certificate.pem")
        );
        let alpn = "contact = \"jane@firm.example\"\nchallenge = \"tls-alpn-01\"\nnames = [\"A.example\", \"a.example\"]";
        let acme = parse(alpn).unwrap().acme.unwrap();
        assert_eq!(
            (acme.names.join(" "), acme.listen),
            ("a.example".to_owned(), "[::]:443".parse().unwrap())
        );
    }
}
