//! What is typed, by operators and by clients: addresses, configuration, requests.

use std::path::{Component, Path};

use quell::config::Config;
use quell::control::{MAX_REQUEST_BYTES, read_request};
use quell_mail::address::{self, Mailbox};
use quell_mail::maildir;
use quell_wire::path::{MAX_PATH_BYTES, Path as SmtpPath};

/// An address: its normal form is a fixed point, bounded and harmless, and SMTP and the directory
/// part it at the same place.
pub fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    parted_alike(text);
    let without_detail = address::strip_detail(text);
    assert!(text.starts_with(without_detail) && text.is_empty() == without_detail.is_empty());
    if let Ok(local) = address::normal_local(text) {
        let plain = !text.contains('"') && local.contains(['%', '!']);
        assert!(!plain || address::local_is_risky_from_outside(text), "{text}");
    }
    let Ok(mailbox) = Mailbox::parse(text) else { return };
    let normal = mailbox.to_string();
    assert!(!normal.chars().any(char::is_control), "{normal:?}");
    assert!(!mailbox.local.is_empty() && mailbox.domain.is_ascii());
    assert!(
        mailbox.domain.len() <= address::MAX_DOMAIN_BYTES && !mailbox.domain.contains(char::is_uppercase)
    );
    assert_eq!(address::normal_domain(&mailbox.domain).as_ref(), Ok(&mailbox.domain));
    assert_eq!(address::normal_local(&mailbox.local).as_deref(), Ok(&*mailbox.local));
    if normal.len() <= address::MAX_ADDRESS_BYTES {
        assert_eq!(Mailbox::parse(&normal), Ok(mailbox));
    }
}

/// `text` as a path of MAIL or RCPT.
fn parted_alike(text: &str) {
    let given = format!("<{text}> SIZE=1");
    let Ok((path, rest)) = SmtpPath::parse(given.as_bytes()) else { return };
    let end = [path.address().as_bytes(), b">", rest].concat();
    assert!(path.address().len() <= MAX_PATH_BYTES && given.as_bytes().ends_with(&end));
    let Some(domain) = path.domain() else { return };
    assert_eq!(address::split(path.address()), Some((path.local_part(), domain)));
    assert_eq!(path.is_quoted(), path.local_part().starts_with('"'));
    let again = format!("<{}>", path.address());
    let same = SmtpPath::parse(again.as_bytes()).is_ok_and(|(p, _)| p.address() == path.address());
    assert!(same, "{again}");
}

/// A folder's name: one component of a path, whatever the address; two addresses share it only
/// if they differ in case alone.
pub fn maildir_name(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (one, other) = text.split_once('\0').unwrap_or((&text, ""));
    let name = maildir::maildir_name(one);
    assert!(name.len() <= maildir::MAX_NAME_BYTES && !name.starts_with('.'));
    assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-%".contains(&b)), "{name}");
    let components: Vec<Component<'_>> = Path::new(&name).components().collect();
    assert!(matches!(components[..], [Component::Normal(only)] if only == &*name), "{name}");
    let same = name == maildir::maildir_name(other);
    assert_eq!(same, one.to_lowercase() == other.to_lowercase(), "{one:?} and {other:?}");
}

/// A configuration: taken, or refused with faults that stand in the text and say what to do.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // A list in a file of the fuzzer's choice could be a terminal or a device, and wait for ever.
    let text = text.replace("file:", "list:");
    let file = Path::new("/nonexistent/quell.toml");
    match Config::parse(file, &text, "mx.firm.example") {
        Ok(config) => {
            assert!(!config.smtp_listen.is_empty() && !config.hostname.is_empty());
            assert!(config.data.starts_with("/") && config.mail_root().starts_with(&config.data));
            assert!(Config::diff(&config, &config).is_empty());
            let again = Config::parse(file, &text, "mx.firm.example");
            assert!(again.is_ok_and(|again| Config::diff(&config, &again).is_empty()));
        }
        Err(faults) => {
            assert!(!faults.problems.is_empty());
            for problem in &faults.problems {
                assert!(!problem.message.is_empty() && !problem.help.is_empty(), "{problem:?}");
                let inside = |span: &std::ops::Range<usize>| text.get(span.clone()).is_some();
                assert!(problem.span.as_ref().is_none_or(inside), "{problem:?}");
            }
            let drawn = faults.to_string();
            assert!(drawn.matches("  help: ").count() >= faults.problems.len(), "{drawn}");
        }
    }
}

/// A line of the control socket: a request that is the same when written again, or an error in
/// proportion to the line.
pub fn control(bytes: &[u8]) {
    match read_request(bytes) {
        Ok(request) => {
            assert!(bytes.len() <= MAX_REQUEST_BYTES && bytes.ends_with(b"\n"));
            let mut line = serde_json::to_vec(&request).unwrap_or_default();
            line.push(b'\n');
            assert_eq!(read_request(&line).as_ref(), Ok(&request));
        }
        Err(why) => assert!(!why.is_empty() && why.len() <= 2 * bytes.len() + 1_000, "{why}"),
    }
}
