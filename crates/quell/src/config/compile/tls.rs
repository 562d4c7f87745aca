//! `[tls]`, and what needs it.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::Check;
use crate::config::ipnet::is_private;
use crate::config::{Acme, TlsFiles};
use crate::settings::Settings;
use crate::tls::{Certificate, CertificateError};

const CERTIFICATE: [&str; 2] = ["tls", "certificate"];
const KEY: [&str; 2] = ["tls", "key"];

impl Check<'_> {
    /// The certificate and its files; None: there is to be none, or it is faulty.
    pub(super) fn tls(
        &mut self,
        settings: &Settings,
        acme: Option<&Acme>,
    ) -> Option<(TlsFiles, Certificate)> {
        if settings.acme.contact.is_some() {
            return self.tls_by_acme(settings, acme);
        }
        let (certificate, key) = match (&settings.tls.certificate, &settings.tls.key) {
            (None, None) => return None,
            (Some(_), None) => {
                let help = "name the file with its private key as `key` in [tls]";
                self.fault(&CERTIFICATE, "a certificate without its key", help);
                return None;
            }
            (None, Some(_)) => {
                let help = "name the file with its certificate as `certificate` in [tls]";
                self.fault(&KEY, "a key without its certificate", help);
                return None;
            }
            (Some(certificate), Some(key)) => (self.folder.join(certificate), self.folder.join(key)),
        };
        if !self.reads_keys {
            return None;
        }
        match Certificate::load(&certificate, &key) {
            Ok(loaded) => Some((TlsFiles { certificate, key }, loaded)),
            Err(why) => {
                let (path, help) = place_and_help(&why, &key);
                self.fault(path, why.to_string(), help);
                None
            }
        }
    }

    /// The certificate that ACME has brought, if it has by now.
    fn tls_by_acme(&mut self, settings: &Settings, acme: Option<&Acme>) -> Option<(TlsFiles, Certificate)> {
        let both = [(CERTIFICATE, &settings.tls.certificate), (KEY, &settings.tls.key)];
        if let Some((path, _)) = both.into_iter().find(|(_, file)| file.is_some()) {
            let help = "remove `certificate` and `key` from [tls], or `contact` from [acme]";
            self.fault(&path, "the certificate comes by ACME", help);
        }
        let files = acme?.files();
        match Certificate::load(&files.certificate, &files.key) {
            Ok(loaded) => Some((files, loaded)),
            Err(CertificateError::Io(_, why)) if why.kind() == std::io::ErrorKind::NotFound => None,
            Err(why) => {
                self.warnings.push(format!("the certificate that came by ACME cannot be used: {why}"));
                None
            }
        }
    }

    /// What cannot be had without a certificate, and what others can read on the way.
    pub(super) fn needs_tls(&mut self, settings: &Settings, listen: &[SocketAddr]) {
        let by_acme = settings.acme.contact.is_some();
        let is_set = by_acme || settings.tls.certificate.is_some() || settings.tls.key.is_some();
        let public = listen.iter().find(|address| !is_private(address.ip()));
        if let (false, Some(address)) = (is_set, public) {
            let warning = format!(
                "mail comes in unprotected at {address}: set `certificate` and `key` in [tls], and STARTTLS is offered"
            );
            self.warnings.push(warning);
        }
        if is_set {
            return;
        }
        let help = "set `certificate` and `key` in [tls]";
        if !settings.smtp.listen_tls.is_empty() {
            self.fault(&["smtp", "listen_tls"], "there is no certificate", help);
        }
        if settings.smtp.require_tls {
            self.fault(&["smtp", "require_tls"], "there is no certificate: no mail could be taken", help);
        }
        for (key, listen) in
            [("listen", &settings.submission.listen), ("listen_tls", &settings.submission.listen_tls)]
        {
            if !listen.is_empty() {
                self.fault(
                    &["submission", key],
                    "there is no certificate, and nobody signs in without TLS",
                    help,
                );
            }
        }
        if settings.console.tls {
            self.fault(&["console", "tls"], "there is no certificate", help);
        }
    }
}

fn place_and_help(why: &CertificateError, key: &std::path::Path) -> (&'static [&'static str], String) {
    let is_key = |path: &PathBuf| path == key;
    match why {
        CertificateError::Io(path, error) => {
            let place: &[&str] = if is_key(path) { &KEY } else { &CERTIFICATE };
            let help = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "correct the path; a relative one starts at the folder of the configuration file"
                }
                std::io::ErrorKind::PermissionDenied => {
                    "let the user who starts the server, and `[server] user`, read it"
                }
                _ => "the file must be readable, and no larger than 1 MiB",
            };
            (place, help.to_owned())
        }
        CertificateError::NoCertificate(_) | CertificateError::BadCertificate(_) => (
            &CERTIFICATE,
            "name the PEM file with the whole chain, the server's own certificate first".to_owned(),
        ),
        CertificateError::NoKey(_) | CertificateError::BadKey(..) => (
            &KEY,
            "name the PEM file with the private key of that certificate, without a passphrase".to_owned(),
        ),
    }
}
