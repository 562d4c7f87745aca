//! TLS for those who bring mail: real programs, and what somebody on the way might try.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::operate::done;
use crate::support::peers::{available, exim, opensmtpd, postfix, swaks};
use crate::support::server::config;
use crate::support::smtp::Client;
use crate::support::tls::{Files, NAME, Secure, starttls};
use crate::support::{Server, TempDir, free_port, maildir, wait_until};

const LIMIT: Duration = Duration::from_secs(60);
const MESSAGE: &[u8] = b"From: <a@client.example>\r\nSubject: sealed\r\n\r\nbody\r\n";

fn server(name: &str, more: &str) -> (TempDir, Files, Server, u16) {
    let directory = TempDir::new(name);
    let (files, port) = (Files::make(&directory), free_port());
    let listen = format!("listen = [\"127.0.0.1:{{smtp}}\"]\nlisten_tls = [\"127.0.0.1:{port}\"]\n{more}");
    let text = config(&files.settings()).replace("listen = [\"127.0.0.1:{smtp}\"]", &listen);
    let server = Server::start(&directory, &text);
    (directory, files, server, port)
}

/// The one message that jane has got by now.
fn only_mail(server: &Server) -> String {
    let jane = server.maildir("firm.example", "jane");
    assert!(wait_until(LIMIT, || maildir::count(&jane) == 1), "{}", server.output());
    String::from_utf8(maildir::read(&jane).remove(0).content).expect("text")
}

fn assert_sealed(server: &Server) {
    let mail = only_mail(server);
    assert!(mail.contains("\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\n"), "{mail}");
    assert!(mail.contains("by mx.firm.example with ESMTPS\n"), "{mail}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

#[test]
fn swaks_by_starttls_and_from_the_first_byte() {
    if !swaks::available() {
        return;
    }
    for by in ["--tls", "--tls-on-connect"] {
        let (_directory, files, server, port) = server(&format!("tls-swaks{by}"), "");
        let port = if by == "--tls" { server.smtp_port } else { port };
        let verified = [by, "--tls-verify", "--tls-ca-path", text(&files.ca)];
        let (content, said) = swaks::send(port, "a@client.example", "jane@firm.example", &verified);
        assert!(content && said.contains("TLSv1.3"), "{said}");
        assert_sealed(&server);
    }
}

#[test]
fn postfix_that_demands_and_verifies() {
    if !postfix::available() {
        return;
    }
    let (directory, files, server, _) = server("tls-postfix", "");
    let more = format!(
        "smtp_tls_security_level = secure\nsmtp_tls_CAfile = {}\nsmtp_tls_secure_cert_match = {NAME}\nsmtp_tls_loglevel = 1\n",
        text(&files.ca)
    );
    let postfix = postfix::Postfix::start_with(&directory, server.smtp_port, &more);
    postfix.send("a@client.example", &["jane@firm.example"], MESSAGE);
    assert_sealed(&server);
    assert!(postfix.log().contains("Verified TLS connection established"), "{}", postfix.log());
}

#[test]
fn exim_that_demands_and_verifies() {
    if !exim::available() {
        return;
    }
    let (directory, files, server, _) = server("tls-exim", "");
    let more = format!(
        "  hosts_require_tls = *\n  tls_verify_certificates = {}\n  tls_verify_hosts = *\n  tls_verify_cert_hostnames = :\n",
        text(&files.ca)
    );
    let exim = exim::Exim::start_with(&directory, server.smtp_port, &more);
    exim.send("a@client.example", &["jane@firm.example"], MESSAGE);
    let mail = only_mail(&server);
    assert!(mail.contains("with ESMTPS\n"), "{mail}\n{}", exim.log());
}

#[test]
fn opensmtpd_that_demands_it() {
    if !opensmtpd::available() {
        return;
    }
    let (directory, _, server, port) = server("tls-opensmtpd", "");
    for (host, mails) in
        [(format!("smtp+tls://127.0.0.1:{}", server.smtp_port), 1), (format!("smtps://127.0.0.1:{port}"), 2)]
    {
        let folder = TempDir::new(&format!("tls-opensmtpd-{mails}"));
        let opensmtpd = opensmtpd::OpenSmtpd::start_with(&folder, &host, "tls no-verify");
        assert!(opensmtpd.send("a@client.example", &["jane@firm.example"], MESSAGE).is_ok());
        let jane = server.maildir("firm.example", "jane");
        assert!(wait_until(LIMIT, || maildir::count(&jane) == mails), "{}", opensmtpd.log());
        let all = maildir::read(&jane);
        assert!(all.iter().all(|mail| String::from_utf8_lossy(&mail.content).contains("with ESMTPS\n")));
    }
    drop(directory);
}

#[test]
fn what_is_sent_before_the_handshake_is_never_obeyed() {
    let (_directory, files, server, _) = server("tls-injection", "");
    let injected =
        b"EHLO evil.example\r\nMAIL FROM:<evil@x.example>\r\nRCPT TO:<jane@firm.example>\r\nDATA\r\n";
    let stream = starttls(server.smtp_port, injected).expect("220");
    let mut client = Secure::handshake(stream, files.client()).expect("a handshake");
    // Were one obeyed, its answer would come first.
    assert_eq!(client.command("DATA").expect("a reply"), "503 5.5.1 MAIL first\r\n");
    let hello = client.command("EHLO after.example").expect("a reply");
    assert!(hello.starts_with("250-mx.firm.example\r\n") && !hello.contains("STARTTLS"), "{hello}");
    assert!(client.command("MAIL FROM:<a@b.example>").expect("a reply").starts_with("250 "));
    client.send(b"QUIT\r\n").expect("a reply");
    assert_eq!(client.rest(), "221 2.0.0 bye\r\n");
}

#[test]
fn a_client_that_checks_refuses_a_wrong_authority_and_the_server_goes_on() {
    let (_directory, files, server, port) = server("tls-wrong", "");
    let other = TempDir::new("tls-wrong-other");
    let stranger = Files::make(&other).client();
    for _ in 0..3 {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        assert!(Secure::handshake(stream, stranger.clone()).is_err());
    }
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    let mut client = Secure::handshake(stream, files.client()).expect("a handshake");
    assert!(client.reply().expect("a greeting").starts_with("220 mx.firm.example"));
    // Who speaks in the clear there is told nothing that SMTP would say.
    let mut in_clear = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    in_clear.write_all(b"EHLO in.clear.example\r\n").expect("sent");
    let mut said = Vec::new();
    // It may be cut as well as closed.
    let _cut = in_clear.read_to_end(&mut said);
    // An alert of TLS, or nothing (RFC 8446 §5.1: 0x15).
    assert!(said.is_empty() || said[0] == 0x15, "{}", said.escape_ascii());
    let failed = || {
        let (_, metrics) = server.get("/metrics");
        let line = metrics.lines().find(|line| line.contains("{why=\"handshake\"}")).expect("a counter");
        line.rsplit(' ').next().and_then(|number| number.parse::<u32>().ok())
    };
    assert!(wait_until(LIMIT, || failed() >= Some(3)), "{:?}", failed());
}

#[test]
fn mail_over_tls_only_where_that_is_set() {
    let (_directory, files, server, _) = server("tls-only", "require_tls = true\n");
    let mut client = Client::hello(server.smtp_port);
    let refused = client.command("MAIL FROM:<a@b.example>").expect("a reply");
    assert_eq!((refused.code, refused.text().as_str()), (530, "5.7.0 STARTTLS first"));
    let stream = starttls(server.smtp_port, b"").expect("220");
    let mut client = Secure::handshake(stream, files.client()).expect("a handshake");
    client.command("EHLO a.example").expect("a reply");
    assert!(client.command("MAIL FROM:<a@b.example>").expect("a reply").starts_with("250 "));
}

#[test]
fn a_renewed_certificate_is_in_use_after_a_reload_and_a_faulty_one_changes_nothing() {
    let (directory, files, server, port) = server("tls-renewed", "");
    let serves = |config: &Files| {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        Secure::handshake(stream, config.client()).expect("a handshake").certificate()
    };
    let reload = |event: &str| {
        let before = server.output().matches(event).count();
        kill(Pid::from_raw(server.pid().cast_signed()), Signal::SIGHUP).expect("our own process");
        assert!(wait_until(LIMIT, || server.output().matches(event).count() > before), "{}", server.output());
    };
    let first = serves(&files);
    std::fs::write(&files.key, "no key").expect("a file");
    reload("reload_refused");
    assert_eq!(serves(&files), first);
    // What is asked of the running server needs no certificate.
    assert_eq!(done(&server, &["user", "list"]), "");
    files.authority.issue(&directory.join("tls"), &[NAME], (-1, 90));
    reload("reloaded");
    assert_ne!(serves(&files), first);
}

#[test]
fn a_reload_that_takes_tls_away_leaves_it_to_the_ports_that_need_it() {
    let (_directory, files, server, port) = server("tls-taken", "");
    let serves = || {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        Secure::handshake(stream, files.client()).expect("a handshake").certificate()
    };
    let (first, text) = (serves(), std::fs::read_to_string(server.config_path()).expect("a configuration"));
    let without =
        text.replace(&files.settings(), "").replace(&format!("listen_tls = [\"127.0.0.1:{port}\"]"), "");
    assert!(!without.contains("[tls]") && !without.contains("listen_tls"), "{without}");
    std::fs::write(server.config_path(), without).expect("a configuration");
    // The second time nothing has changed any more.
    for times in 1..=2 {
        kill(Pid::from_raw(server.pid().cast_signed()), Signal::SIGHUP).expect("our own process");
        let done = || server.output().matches("the configuration was read again").count() == times;
        assert!(wait_until(LIMIT, done), "{}", server.output());
        assert_eq!(server.output().matches("go on with the last certificate").count(), times);
        assert_eq!(serves(), first);
        // Nobody else gets it.
        assert_ne!(Client::hello(server.smtp_port).command("STARTTLS").expect("a reply").code, 220);
    }
}

#[test]
fn a_renewed_certificate_is_found_without_being_told() {
    let directory = TempDir::new("tls-found");
    let files = Files::make(&directory);
    let looks = vec![("QUELL_CERTIFICATE_LOOK_MS", "50".into())];
    let server = Server::start_with(&directory, &config(&files.settings()), looks);
    files.authority.issue(&directory.join("tls"), &[NAME], (-1, 7));
    let told = || server.output().contains("certificate_ends");
    assert!(wait_until(LIMIT, told), "{}", server.output());
    assert!(server.output().contains("the certificate has changed and is in use"), "{}", server.output());
}

#[test]
fn the_end_of_a_certificate_that_was_replaced_is_told_no_more() {
    let directory = TempDir::new("tls-ended");
    let files = Files::make(&directory);
    files.authority.issue(&directory.join("tls"), &[NAME], (-1, 7));
    let looks = vec![("QUELL_CERTIFICATE_LOOK_MS", "50".into())];
    let server = Server::start_with(&directory, &config(&files.settings()), looks);
    let told = || server.output().matches("certificate_ends").count();
    assert!(wait_until(LIMIT, || told() == 1), "{}", server.output());
    files.authority.issue(&directory.join("tls"), &[NAME], (-1, 90));
    let changed = || server.output().contains("the certificate has changed and is in use");
    assert!(wait_until(LIMIT, changed), "{}", server.output());
    // Many looks later.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(told(), 1, "{}", server.output());
}

/// Findings that no server can pass with a certificate of a test's own: it names no place where its
/// revocation could be looked up, and DNS knows nothing of its host.
const BOUND_TO_A_PUBLIC_AUTHORITY: [&str; 3] =
    ["cert_revocation", "DNS_CAArecord", "certificate_transparency"];

#[test]
fn testssl_finds_nothing_above_low() {
    if !available(&["testssl"]) {
        return;
    }
    let (directory, files, server, _) = server("tls-testssl", "");
    let report = directory.join("testssl.json");
    let mut testssl = Command::new("testssl");
    testssl.args([
        "--quiet",
        "--warnings",
        "batch",
        "--color",
        "0",
        "--openssl-timeout",
        "10",
        "--nodns",
        "none",
    ]);
    testssl.args([
        "--protocols",
        "--std",
        "--fs",
        "--server-preference",
        "--server-defaults",
        "--vulnerable",
    ]);
    testssl.args([
        "--add-ca",
        text(&files.ca),
        "--jsonfile",
        text(&report),
        "-t",
        "smtp",
        "--ip",
        "127.0.0.1",
    ]);
    // It asks for minutes on a busy machine, and ends by itself.
    let said = testssl.arg(format!("{NAME}:{}", server.smtp_port)).output().expect("testssl");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let findings = std::fs::read_to_string(&report).unwrap_or_else(|why| panic!("{why}: {said}"));
    let findings: serde_json::Value = serde_json::from_str(&findings).expect("JSON");
    let findings = findings.as_array().expect("a list");
    let about = |id: &str| {
        findings.iter().find(|finding| finding["id"] == id).expect("asked for")["severity"].clone()
    };
    for (id, severity) in [
        ("TLS1", "INFO"),
        ("TLS1_2", "OK"),
        ("TLS1_3", "OK"),
        ("cert_chain_of_trust", "OK"),
        ("cipher_order", "OK"),
        ("heartbleed", "OK"),
    ] {
        assert_eq!(about(id), severity, "{id}: {said}");
    }
    let grave = findings.iter().filter(|finding| {
        let severity = finding["severity"].as_str().expect("a severity");
        let id = finding["id"].as_str().expect("an id");
        ["MEDIUM", "HIGH", "CRITICAL", "FATAL"].contains(&severity)
            && !BOUND_TO_A_PUBLIC_AUTHORITY.contains(&id)
    });
    let grave: Vec<_> = grave.collect();
    assert!(grave.is_empty(), "{grave:#?}");
}

#[test]
fn the_console_by_https() {
    let directory = TempDir::new("tls-console");
    let files = Files::make(&directory);
    let text = config(&files.settings()).replace("[console]", "[console]\ntls = true");
    let server = Server::start(&directory, &text);
    let stream = TcpStream::connect(("127.0.0.1", server.console_port)).expect("a connection");
    let mut client = Secure::handshake(stream, files.client()).expect("a handshake");
    let host = format!("127.0.0.1:{}", server.console_port);
    client
        .send(format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())
        .expect("sent");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
