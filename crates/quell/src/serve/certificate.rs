//! The certificate while the server runs: read again when its files change, told of before it ends.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::{error, info, warn};

use super::parts::{InForce, Parts, current};
use crate::config::{Config, TlsFiles};
use crate::tls::{Acceptor, Certificate, CertificateError, Leaf};

/// The files are looked at so often; tests ask for more.
pub(super) fn look_every() -> Duration {
    let wanted = std::env::var("QUELL_CERTIFICATE_LOOK_MS").ok().and_then(|text| text.parse().ok());
    wanted.map_or(Duration::from_secs(60), |ms: u64| Duration::from_millis(ms.max(1)))
}

/// So long before its end a certificate is told of. What renews itself does so 30 days before.
pub(crate) const SOON_SECS: i64 = 14 * DAY_SECS;
const DAY_SECS: i64 = 86_400;

/// When, how large, and which file: of a file that was replaced at least one is another.
type Stamp = Option<(i64, i64, u64, u64)>;

/// What was seen of the files.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: Option<(TlsFiles, Stamp, Stamp)>,
    /// The day, since 1970, on which its end was told of.
    told_day: Option<i64>,
}

impl Watch {
    /// Takes a new certificate into use, if there is one. A faulty one changes nothing.
    pub fn look(&mut self, parts: &Parts) {
        let now = current(&parts.in_force);
        let Some(files) = now.config.tls_files() else {
            self.seen = None;
            return;
        };
        let known = now.config.tls.as_ref().map(|(_, certificate)| certificate);
        let there = (files.clone(), stamp(&files.certificate), stamp(&files.key));
        // The first time too: the files may have changed since the configuration was read.
        let changed = self.seen.as_ref() != Some(&there);
        self.seen = Some(there);
        if !changed {
            known.iter().for_each(|certificate| self.tell_end(&certificate.leaf, &files));
            return;
        }
        let serves = |certificate| now.shared.tls.as_ref().is_some_and(|tls| tls.serves(certificate));
        match Certificate::load(&files.certificate, &files.key) {
            Ok(certificate) if serves(&certificate) => self.tell_end(&certificate.leaf, &files),
            Ok(certificate) => {
                self.told_day = None;
                info!(
                    event = "certificate",
                    until = until(&certificate.leaf),
                    "the certificate has changed and is in use"
                );
                self.tell_end(&certificate.leaf, &files);
                parts.use_certificate(files, certificate);
            }
            // It is still to come by ACME.
            Err(CertificateError::Io(..)) if known.is_none() => {}
            Err(why) => {
                error!(event = "certificate_refused", reason = %why, "the changed certificate cannot be used, the old one stays");
            }
        }
    }

    /// Once a day.
    fn tell_end(&mut self, leaf: &Leaf, files: &TlsFiles) {
        let now_secs = now_secs();
        if leaf.not_after_secs - now_secs > SOON_SECS || self.told_day == Some(now_secs / DAY_SECS) {
            return;
        }
        self.told_day = Some(now_secs / DAY_SECS);
        if leaf.not_after_secs < now_secs {
            error!(
                event = "certificate_ended",
                file = %files.certificate.display(),
                until = until(leaf),
                "the certificate has ended: clients that check it do not connect; renew it"
            );
            return;
        }
        warn!(
            event = "certificate_ends",
            file = %files.certificate.display(),
            until = until(leaf),
            "the certificate must be renewed: clients that check it will not connect after its end"
        );
    }
}

/// Makes handshakes with the certificate of `config`. Session tickets that clients have stay good. Where
/// there is none any more, what listens since the start goes on with the last.
pub(super) fn acceptor(config: &Config, before: Option<&InForce>) -> Option<Acceptor> {
    let Some((_, certificate)) = &config.tls else {
        // Where one is to come by ACME, the old one serves until then.
        let waits = config.acme.is_some();
        let kept =
            before.filter(|before| before.needs_tls || waits).and_then(|before| before.shared.tls.clone());
        if kept.is_some() && !waits {
            warn!(
                event = "reload_needs_restart",
                key = "tls",
                "taken away, but the ports that need it go on with the last certificate until a restart"
            );
        }
        return kept;
    };
    if let Some(acceptor) = before.and_then(|before| before.shared.tls.clone()) {
        acceptor.replace(certificate);
        return Some(acceptor);
    }
    Acceptor::new(certificate)
        .inspect_err(|why| error!(event = "no_tls", reason = %why, "TLS cannot be offered"))
        .ok()
}

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.mtime(), meta.mtime_nsec(), meta.size(), meta.ino()))
}

/// The end in words.
pub(crate) fn until(leaf: &Leaf) -> String {
    let end = jiff::Timestamp::from_second(leaf.not_after_secs);
    end.map_or_else(|_| "no time".to_owned(), |end| end.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// Seconds since 1970.
pub(crate) fn now_secs() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
