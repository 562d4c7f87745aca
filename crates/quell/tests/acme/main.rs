//! A certificate by ACME: the built program, and Pebble, which behaves as Let's Encrypt does.
//! `make test-acme`.

// Test code: panics and prints are what it speaks with.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::print_stderr, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::support::peers::pebble::{self, Pebble};
use crate::support::server::config;
use crate::support::smtp::Client;
use crate::support::tls::{Files, Secure, starttls};
use crate::support::{Server, TempDir, free_port, wait_until};

const LIMIT: Duration = Duration::from_secs(60);
const DAYS_90: u32 = 90 * 86_400;

/// `[acme]` with what is in `more`, for the authority `pebble`.
fn acme(pebble: &Pebble, more: &str) -> String {
    config(&format!(
        "[acme]\ncontact = \"jane@firm.example\"\ndirectory = {:?}\nca_file = {:?}\n{more}\n",
        pebble.directory(),
        pebble.ca
    ))
}

fn by_http(pebble: &Pebble) -> String {
    format!("listen = \"127.0.0.1:{}\"", pebble.http_port)
}

/// Looks at its files more often than a server does.
fn start(directory: &TempDir, text: &str) -> Server {
    Server::start_with(directory, text, vec![("QUELL_CERTIFICATE_LOOK_MS", "50".into())])
}

fn offers_starttls(server: &Server) -> bool {
    let said = Client::hello(server.smtp_port).command("EHLO a.example").expect("a reply");
    said.text().contains("STARTTLS")
}

fn trusts(root: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).expect("PEM")).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Arc::new(config.expect("versions").with_root_certificates(roots).with_no_client_auth())
}

/// The certificate that is shown to a client who trusts Pebble alone, and checks it.
fn shown(server: &Server, pebble: &Pebble) -> Vec<u8> {
    let stream = starttls(server.smtp_port, b"").expect("220");
    let mut client = Secure::handshake(stream, trusts(&pebble.root())).expect("a handshake");
    assert!(client.command("EHLO a.example").expect("a reply").starts_with("250-mx.firm.example"));
    client.certificate()
}

fn wait_for(server: &Server, event: &str, times: usize) {
    let seen = || server.output().matches(event).count() >= times;
    assert!(wait_until(LIMIT, seen), "{event}: {}", server.output());
}

fn asked_for(server: &Server) -> usize {
    server.output().matches("is asked for").count()
}

fn kept(server: &Server, name: &str) -> serde_json::Value {
    let text = std::fs::read(server.data.join("acme").join(name)).expect("a file");
    serde_json::from_slice(&text).expect("JSON")
}

#[test]
fn a_first_start_gets_its_certificate_over_http_and_the_next_one_has_it() {
    if !pebble::available() {
        return;
    }
    let directory = TempDir::new("acme-http");
    let pebble = Pebble::start(&directory, DAYS_90);
    let names = "names = [\"mx.firm.example\", \"mail.firm.example\"]\n";
    let mut server = start(&directory, &acme(&pebble, &format!("{names}{}", by_http(&pebble))));
    assert!(wait_until(LIMIT, || offers_starttls(&server)), "{}\n{}", server.output(), pebble.output());
    let first = shown(&server, &pebble);
    let check = server.command(&["check", "--no-dns"]).output().expect("a check");
    let check = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.contains("is for mx.firm.example, mail.firm.example, until"), "{check}");
    assert!(check.contains("by http-01"), "{check}");
    // Nobody else's to read, and the server's log tells nothing of a key.
    let mode = |name: &str| {
        let meta = std::fs::metadata(server.data.join("acme").join(name)).expect("it is there");
        meta.permissions().mode() & 0o7777
    };
    assert_eq!(mode(""), 0o700);
    for name in ["account.json", "certificate.pem", "tries.json"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    let key = kept(&server, "account.json")["credentials"]["key_pkcs8"].as_str().expect("a key").to_owned();
    assert!(!server.output().contains(&key) && !server.output().contains("PRIVATE"));
    // The next start has it from the beginning, and asks for none.
    server.term();
    server.restart();
    assert!(offers_starttls(&server));
    assert_eq!(shown(&server, &pebble), first);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(asked_for(&server), 1, "{}", server.output());
}

#[test]
fn tls_alpn_01_gets_one_too() {
    if !pebble::available() {
        return;
    }
    let directory = TempDir::new("acme-alpn");
    let pebble = Pebble::start(&directory, DAYS_90);
    let more = format!("challenge = \"tls-alpn-01\"\nlisten = \"127.0.0.1:{}\"", pebble.tls_port);
    let server = start(&directory, &acme(&pebble, &more));
    assert!(wait_until(LIMIT, || offers_starttls(&server)), "{}\n{}", server.output(), pebble.output());
    shown(&server, &pebble);
    // Who comes there for something else is shown nothing.
    let stream = TcpStream::connect(("127.0.0.1", pebble.tls_port)).expect("a connection");
    assert!(Secure::handshake(stream, trusts(&pebble.root())).is_err());
}

#[test]
fn a_running_server_renews_its_certificate_and_keeps_its_account() {
    if !pebble::available() {
        return;
    }
    let directory = TempDir::new("acme-renews");
    let pebble = Pebble::start(&directory, 15);
    let text = acme(&pebble, &by_http(&pebble));
    let mut server = start(&directory, &text);
    assert!(wait_until(LIMIT, || offers_starttls(&server)), "{}\n{}", server.output(), pebble.output());
    let first = shown(&server, &pebble);
    let account = kept(&server, "account.json")["credentials"].clone();
    wait_for(&server, "acme_done", 2);
    assert!(wait_until(LIMIT, || shown(&server, &pebble) != first), "{}", server.output());
    assert_eq!(server.output().matches("acme_failed").count(), 0, "{}", server.output());
    // The authority is told of another address, and the account stays.
    server.term();
    let path = server.config_path().to_owned();
    let text = std::fs::read_to_string(&path).expect("a file");
    std::fs::write(&path, text.replace("contact = \"jane@", "contact = \"joe@")).expect("a file");
    let done = server.output().matches("acme_done").count();
    server.restart();
    wait_for(&server, "acme_done", done + 1);
    let now = kept(&server, "account.json");
    assert_eq!((&now["contact"], &now["credentials"]), (&"joe@firm.example".into(), &account));
}

#[test]
fn an_authority_that_has_forgotten_the_account_gets_a_new_one() {
    if !pebble::available() {
        return;
    }
    let directory = TempDir::new("acme-forgotten");
    let pebble = Pebble::start(&directory, DAYS_90);
    let mut server = start(&directory, &acme(&pebble, &by_http(&pebble)));
    wait_for(&server, "acme_done", 1);
    server.term();
    let mut account = kept(&server, "account.json");
    let old = account["credentials"]["key_pkcs8"].clone();
    let id = account["credentials"]["id"].as_str().expect("a URL").to_owned();
    account["credentials"]["id"] = format!("{id}-forgotten").into();
    let folder = server.data.join("acme");
    std::fs::write(folder.join("account.json"), account.to_string()).expect("a file");
    for file in ["certificate.pem", "tries.json"] {
        std::fs::remove_file(folder.join(file)).expect("a file");
    }
    server.restart();
    assert!(wait_until(LIMIT, || offers_starttls(&server)), "{}\n{}", server.output(), pebble.output());
    assert_ne!(kept(&server, "account.json")["credentials"]["key_pkcs8"], old);
}

#[test]
fn a_failure_is_told_in_the_authoritys_words_and_not_repeated_at_once() {
    if !pebble::available() {
        return;
    }
    let directory = TempDir::new("acme-fails");
    let pebble = Pebble::start(&directory, DAYS_90);
    // Nobody answers where the authority looks.
    let mut server = start(&directory, &acme(&pebble, &format!("listen = \"127.0.0.1:{}\"", free_port())));
    wait_for(&server, "acme_failed", 1);
    let said = server.output();
    let line = said.lines().find(|line| line.contains("acme_failed")).expect("the line");
    assert!(line.contains("mx.firm.example: API error: ") && line.contains("connection refused"), "{line}");
    assert!(line.contains("urn:ietf:params:acme:error:connection"), "{line}");
    assert_eq!(kept(&server, "tries.json")["tries"]["failures"], 1);
    assert!(!offers_starttls(&server));
    // Neither a new start nor a person comes again within the minute.
    server.term();
    server.restart();
    kill(Pid::from_raw(server.pid().cast_signed()), Signal::SIGHUP).expect("our own process");
    wait_for(&server, "event=\"reloaded\"", 1);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(asked_for(&server), 1, "{}", server.output());
    // By the clock of that state the try was long ago.
    server.term();
    let state = r#"{"from":"","tries":{"failures":1,"last_secs":1000}}"#;
    std::fs::write(server.data.join("acme/tries.json"), state).expect("a file");
    server.restart();
    wait_for(&server, "acme_failed", 2);
    assert_eq!(kept(&server, "tries.json")["tries"]["failures"], 2);
}

#[test]
fn an_authority_that_nobody_vouches_for_is_told_nothing() {
    if !pebble::available() {
        return;
    }
    let (directory, other) = (TempDir::new("acme-stranger"), TempDir::new("acme-stranger-ca"));
    let pebble = Pebble::start(&directory, DAYS_90);
    let text = acme(&pebble, &by_http(&pebble));
    let ca = Files::make(&other).ca;
    let text = text.replace(pebble.ca.to_str().expect("a path"), ca.to_str().expect("a path"));
    let server = start(&directory, &text);
    wait_for(&server, "acme_failed", 1);
    assert!(server.output().contains("localhost: invalid peer certificate"), "{}", server.output());
    assert!(!server.data.join("acme/account.json").exists());
}

#[test]
fn an_old_certificate_serves_until_the_new_one_is_there() {
    if !pebble::available() {
        return;
    }
    let directory = TempDir::new("acme-old");
    let pebble = Pebble::start(&directory, DAYS_90);
    let mut server = Server::prepare(&directory, &acme(&pebble, &by_http(&pebble)), Vec::new());
    // Its third has begun; it is from the same authority, by what is kept.
    let files = Files::make(&directory);
    files.authority.issue(&directory.join("tls"), &["mx.firm.example"], (-61, 29));
    let pem = [&files.chain, &files.key].map(|file| std::fs::read_to_string(file).expect("a file")).concat();
    let folder = server.data.join("acme");
    std::fs::create_dir_all(&folder).expect("a directory");
    std::fs::write(folder.join("certificate.pem"), pem).expect("a file");
    let state =
        serde_json::json!({ "from": pebble.directory(), "tries": { "failures": 0, "last_secs": 1000 } });
    std::fs::write(folder.join("tries.json"), state.to_string()).expect("a file");
    for file in ["", "certificate.pem", "tries.json"] {
        let mode = if file.is_empty() { 0o700 } else { 0o600 };
        let path = folder.join(file);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
    }
    server.restart();
    assert!(offers_starttls(&server));
    let is_new = || {
        let stream = starttls(server.smtp_port, b"").expect("220");
        Secure::handshake(stream, trusts(&pebble.root())).is_ok()
    };
    assert!(wait_until(LIMIT, is_new), "{}\n{}", server.output(), pebble.output());
}
