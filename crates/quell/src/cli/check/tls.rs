//! What `quell check` says of the certificate.

use std::path::Path;

use crate::config::{Acme, Config};
use crate::serve::certificate::{SOON_SECS, now_secs, until};
use crate::tls::Leaf;

/// Where TLS can be had.
pub(super) fn facts(config: &Config) -> Vec<String> {
    let mut facts: Vec<_> = config.acme.iter().map(about_acme).collect();
    let Some((files, certificate)) = &config.tls else {
        let none = match &config.acme {
            None => "no TLS: [tls] names no certificate",
            Some(_) => {
                "no TLS yet: the certificate comes after the start, and STARTTLS is offered from then on"
            }
        };
        facts.push(none.to_owned());
        return facts;
    };
    let leaf = &certificate.leaf;
    facts.push(format!(
        "the certificate in {} is for {}, until {}",
        files.certificate.display(),
        if leaf.names.is_empty() { "no name".to_owned() } else { leaf.names.join(", ") },
        until(leaf)
    ));
    let must = if config.settings.smtp.require_tls { "and demanded before MAIL" } else { "and not demanded" };
    facts.push(format!("STARTTLS is offered at {}, {must}", super::list(&config.smtp_listen)));
    if !config.submission_listen.is_empty() {
        let at = super::list(&config.submission_listen);
        facts.push(format!("STARTTLS is offered at {at}, and demanded before sign-in"));
    }
    let tls_first = [&config.smtp_listen_tls[..], &config.submission_listen_tls].concat();
    if !tls_first.is_empty() {
        facts.push(format!("TLS begins with the first byte at {}", super::list(&tls_first)));
    }
    facts
}

fn about_acme(acme: &Acme) -> String {
    format!(
        "a certificate for {} is asked of {}, and renewed, by {}: the authority must reach {}, which it \
         tries at port {}",
        acme.names.join(", "),
        acme.directory,
        acme.challenge.name(),
        acme.listen,
        acme.challenge.port()
    )
}

/// What is wrong with the certificate or its key file.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let Some((files, certificate)) = &config.tls else { return Vec::new() };
    let mut warnings = about(&certificate.leaf, &config.hostname, now_secs());
    warnings.extend(about_key(&files.key));
    warnings
}

fn about(leaf: &Leaf, hostname: &str, now_secs: i64) -> Vec<String> {
    let mut found = Vec::new();
    if leaf.not_after_secs < now_secs {
        found.push(format!("the certificate has ended on {}: renew it", until(leaf)));
    } else if leaf.not_after_secs - now_secs < SOON_SECS {
        found.push(format!("the certificate ends on {}: renew it", until(leaf)));
    }
    if leaf.not_before_secs > now_secs {
        found.push("the certificate is not valid yet: is this machine's clock right?".to_owned());
    }
    if !leaf.is_for(hostname) {
        let help = "clients that check it will not send mail here";
        found.push(format!("the certificate is not for {hostname}, the name of this server: {help}"));
    }
    if leaf.is_self_signed {
        found.push(
            "the certificate is signed by itself: clients that check it will not send mail here".to_owned(),
        );
    }
    found
}

fn about_key(key: &Path) -> Option<String> {
    crate::data::check_key_mode(key).err().map(|open| open.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const DAY: i64 = 86_400;

    #[test]
    fn what_is_wrong_with_a_certificate_is_said() {
        let leaf = Leaf {
            names: vec!["mx.firm.example".to_owned()],
            not_before_secs: 0,
            not_after_secs: 100 * DAY,
            is_self_signed: false,
        };
        let said = |leaf: &Leaf, day: i64| about(leaf, "mx.firm.example", day * DAY).join("\n");
        assert_eq!(said(&leaf, 50), "");
        assert_eq!(said(&leaf, 90), "the certificate ends on 1970-04-11 00:00 UTC: renew it");
        assert_eq!(said(&leaf, 101), "the certificate has ended on 1970-04-11 00:00 UTC: renew it");
        assert!(said(&leaf, -1).contains("clock"));
        assert!(about(&leaf, "other.example", 0).join("").contains("not for other.example"));
        assert!(said(&Leaf { is_self_signed: true, ..leaf }, 50).contains("signed by itself"));
    }

    #[test]
    fn a_key_that_everybody_can_read_is_told_of() {
        let file = std::env::temp_dir().join(format!("quell-key-{}", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert!(about_key(&file).unwrap().contains("chmod 640"));
        mode(0o640);
        assert_eq!(about_key(&file), None);
        std::fs::remove_file(&file).unwrap();
    }
}
