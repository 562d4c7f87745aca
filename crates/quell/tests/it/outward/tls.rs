//! TLS on the way out: certificates of every kind, whoever stands in between, LMTP, a next hop that asks
//! who we are; what domains say of themselves is in `sts` and `dane`.

mod between;
mod dane;
mod sts;

use std::path::{Path, PathBuf};

use self::between::{Between, Does};
use crate::operate::{JSON_LOG, LIMIT, accepted, done, mail, wait_for_row};
use crate::support::peers::dns::Dns;
use crate::support::peers::lmtp::{self, Lmtp};
use crate::support::peers::postfix::{self, Postfix};
use crate::support::peers::sink::Sink;
use crate::support::server::config;
use crate::support::tls::Files;
use crate::support::{Server, TempDir, maildir, wait_until};
use serde_json::Value;

/// A Postfix that offers TLS with one certificate, and hands on what it takes.
struct Peer {
    postfix: Postfix,
    _sink: Sink,
    _directory: TempDir,
}

impl Peer {
    fn start(name: &str, certificate: &(PathBuf, PathBuf), more: &str) -> Self {
        let directory = TempDir::new(&format!("outtls-{name}"));
        let sink = Sink::start(&directory);
        let (chain, key) = (text(&certificate.0), text(&certificate.1));
        let more = format!(
            "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {key}, {chain}\nsmtpd_tls_loglevel = 1\n{more}"
        );
        let postfix = Postfix::start_with(&directory, sink.port, &more);
        Self { postfix, _sink: sink, _directory: directory }
    }

    fn taken_in_tls(&self) -> usize {
        self.postfix.log().matches("TLS connection established from").count()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

/// A certificate by the test's authority in a folder of its own.
fn issue(files: &Files, directory: &TempDir, name: &str, days: (i64, i64)) -> (PathBuf, PathBuf) {
    let folder = directory.join(format!("certificate-{name}-{}", days.0));
    std::fs::create_dir_all(&folder).expect("a folder");
    files.authority.issue(&folder, &[name], days)
}

/// A server that sends to `NAME.example` by the host `NAME.host.example` at this port, and knows the
/// test's authority. `rules` are further lines of the configuration.
fn server(directory: &TempDir, dns: &Dns, files: &Files, hops: &[(&str, &str, u16)], rules: &str) -> Server {
    let hop = |(name, scheme, port): &(&str, &str, u16)| {
        format!(
            "[domains.\"{name}.example\"]\ndeliver = \"{scheme}://{name}.host.example:{port}\"\nrecipients = [\"*\"]\n"
        )
    };
    let hops: String = hops.iter().map(hop).collect();
    let rules = rules.replace("{ca}", text(&files.ca));
    let more = format!("{hops}[dns]\nservers = [\"{}\"]\n{rules}{JSON_LOG}", dns.server());
    Server::start(directory, &config(&more))
}

/// The DNS of all hosts of next hops: this machine.
fn dns() -> Dns {
    Dns::start("*.host.example A 127.0.0.1")
}

/// The line of the log that says how a message ended up.
fn line(server: &Server, id: &str, event: &str) -> Value {
    let found = || {
        let output = server.output();
        let mut lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["event"] == event && line["id"] == id)
    };
    assert!(wait_until(LIMIT, || found().is_some()), "no {event} of {id}:\n{}", server.output());
    found().expect("the line")
}

/// A new message is relayed, and the log says this of its TLS.
fn goes(server: &Server, to: &str, tls: &Value) {
    let id = accepted(server, &[to], &mail(&format!("goes-{to}")));
    wait_for_row(server, &id, |row| row["state"] == "relayed");
    assert_eq!(&line(server, &id, "relayed")["tls"], tls, "{to}\n{}", server.output());
}

/// The next hop counts as down after what it could not do: it is tried now.
fn retry(server: &Server, next_hop: &str) {
    done(server, &["queue", "retry", "--next-hop", next_hop]);
}

/// A new message waits, for this reason.
fn waits(server: &Server, to: &str, why: &str) {
    let id = accepted(server, &[to], &mail(&format!("waits-{to}")));
    let tried = |row: &Value| row["attempts"].as_u64().is_some_and(|tried| tried > 0);
    let row = wait_for_row(server, &id, |row| tried(row) && row["state"] != "claimed");
    let status = row["status"].as_str().unwrap_or_default();
    assert!(row["state"] == "waiting" && status.contains(why), "{to}: not {why}: {row}\n{}", server.output());
}

fn verified() -> Value {
    "TLSv1.3 TLS_AES_256_GCM_SHA384 verified".into()
}

fn unverified() -> Value {
    "TLSv1.3 TLS_AES_256_GCM_SHA384 unverified".into()
}

#[test]
fn certificates_are_looked_at_where_that_is_wanted() {
    if !postfix::available() {
        return;
    }
    let directory = TempDir::new("outtls-kinds");
    let (files, dns) = (Files::make(&directory), dns());
    let stranger = Files::make(&TempDir::new("outtls-stranger"));
    let right = Peer::start("right", &issue(&files, &directory, "right.host.example", (-1, 30)), "");
    let expired = Peer::start("expired", &issue(&files, &directory, "expired.host.example", (-30, -1)), "");
    let folder = directory.join("stranger");
    std::fs::create_dir_all(&folder).expect("a folder");
    let unknown =
        Peer::start("unknown", &stranger.authority.issue(&folder, &["unknown.host.example"], (-1, 30)), "");
    let hops = [
        ("right", "smtp", right.postfix.port),
        ("other", "smtp", right.postfix.port),
        ("named", "smtp", right.postfix.port),
        ("expired", "smtp", expired.postfix.port),
        ("unknown", "smtp", unknown.postfix.port),
        ("may", "smtp", expired.postfix.port),
        ("encrypt", "smtp", unknown.postfix.port),
        ("never", "smtp", right.postfix.port),
    ];
    let mut rules = String::new();
    for (name, level, more) in [
        ("right", "require", ""),
        ("other", "require", ""),
        ("named", "require", "name = \"right.host.example\"\n"),
        ("expired", "require", ""),
        ("unknown", "require", ""),
        ("encrypt", "encrypt", ""),
        ("never", "never", ""),
    ] {
        rules +=
            &format!("[next_hops.\"{name}.host.example\"]\ntls = \"{level}\"\nca_file = \"{{ca}}\"\n{more}");
    }
    let server = server(&directory, &dns, &files, &hops, &rules);
    goes(&server, "a@right.example", &verified());
    goes(&server, "a@named.example", &verified());
    goes(&server, "a@may.example", &unverified());
    goes(&server, "a@encrypt.example", &unverified());
    goes(&server, "a@never.example", &Value::Null);
    waits(&server, "a@other.example", "4.7.5 TLS failed: its certificate is for another name");
    waits(&server, "a@expired.example", "4.7.5 TLS failed: its certificate has expired");
    waits(&server, "a@unknown.example", "4.7.5 TLS failed: its certificate is by no authority");
    assert!(right.taken_in_tls() >= 1 && expired.taken_in_tls() >= 1, "{}", right.postfix.log());
}

#[test]
fn sighup_reads_the_authorities_again() {
    if !postfix::available() {
        return;
    }
    let directory = TempDir::new("outtls-reload");
    let (files, dns) = (Files::make(&directory), dns());
    let stranger = Files::make(&TempDir::new("outtls-reload-stranger"));
    let peer = Peer::start("reload", &issue(&files, &directory, "mx.host.example", (-1, 30)), "");
    std::fs::copy(&files.ca, directory.join("good.pem")).expect("a copy");
    std::fs::write(&files.ca, &stranger.authority.pem).expect("a file");
    let rules = "[next_hops.\"mx.host.example\"]\ntls = \"require\"\nca_file = \"{ca}\"\n";
    let server = server(&directory, &dns, &files, &[("mx", "smtp", peer.postfix.port)], rules);
    waits(&server, "a@mx.example", "its certificate is by no authority");
    std::fs::copy(directory.join("good.pem"), &files.ca).expect("a copy");
    sighup(&server);
    let told = || server.output().contains("next_hops.mx.host.example.ca_file");
    assert!(wait_until(LIMIT, told), "{}", server.output());
    retry(&server, &format!("smtp://mx.host.example:{}", peer.postfix.port));
    goes(&server, "b@mx.example", &verified());
}

fn sighup(server: &Server) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(server.pid()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).expect("a signal");
}

#[test]
fn a_connection_from_before_a_stricter_rule_takes_no_more() {
    if !postfix::available() {
        return;
    }
    let directory = TempDir::new("outtls-stricter");
    let (files, dns) = (Files::make(&directory), dns());
    let peer = Peer::start("stricter", &issue(&files, &directory, "*.host.example", (-1, 30)), "");
    let between = Between::start(peer.postfix.port, Does::Strip);
    // The connection would be kept for longer than all of this takes.
    let rules = "[relay]\nkeep_idle_secs = 300\n[next_hops.\"mx.host.example\"]\ntls = \"opportunistic\"\n";
    let server = server(&directory, &dns, &files, &[("mx", "smtp", between.port)], rules);
    goes(&server, "a@mx.example", &Value::Null);
    goes(&server, "b@mx.example", &Value::Null);
    let text = std::fs::read_to_string(server.config_path()).expect("a configuration");
    std::fs::write(server.config_path(), text.replace("\"opportunistic\"", "\"require\"")).expect("a file");
    sighup(&server);
    let read = || server.output().contains("\"event\":\"reloaded\"");
    assert!(wait_until(LIMIT, read), "{}", server.output());
    waits(&server, "c@mx.example", "4.7.4 TLS is required, and the next hop does not offer it");
    let seen = between.seen();
    assert_eq!(seen.matches("EHLO").count(), 2, "one connection before, one after: {seen}");
    assert!(seen.contains("b@mx.example") && !seen.contains("c@mx.example"), "{seen}");
}

#[test]
fn whoever_strips_or_refuses_starttls_gets_no_mail_that_must_be_protected() {
    if !postfix::available() {
        return;
    }
    let directory = TempDir::new("outtls-between");
    let (files, dns) = (Files::make(&directory), dns());
    let peer = Peer::start("between", &issue(&files, &directory, "*.host.example", (-1, 30)), "");
    for (does, in_clear, why) in [
        (Does::Strip, true, "4.7.4 TLS is required, and the next hop does not offer it"),
        (Does::Refuse, true, "4.7.4 454 TLS is required, and the next hop refuses it: TLS not available"),
        (Does::Garble, true, "4.7.5 TLS failed: what it sends is no TLS"),
        (Does::Inject, false, ""),
    ] {
        let between = Between::start(peer.postfix.port, does);
        let name = format!("{does:?}").to_lowercase();
        let inner = TempDir::new(&format!("outtls-between-{name}"));
        let hops = [("must", "smtp", between.port), ("may", "smtp", between.port)];
        let rules = "[next_hops.\"must.host.example\"]\ntls = \"require\"\nca_file = \"{ca}\"\n";
        let server = server(&inner, &dns, &files, &hops, rules);
        match in_clear {
            true => {
                waits(&server, "a@must.example", why);
                goes(&server, "a@may.example", &Value::Null);
            }
            // What was said before TLS is not heard in it.
            false => {
                goes(&server, "a@must.example", &verified());
                goes(&server, "a@may.example", &unverified());
            }
        }
        let seen = between.seen();
        assert_eq!(seen.contains("MAIL FROM"), in_clear, "{does:?}: {seen}");
        assert!(!seen.contains("a@must.example"), "{does:?}: {seen}");
    }
}

#[test]
fn tls_from_the_first_byte_and_a_certificate_of_our_own() {
    if !postfix::available() {
        return;
    }
    let directory = TempDir::new("outtls-implicit");
    let (files, dns) = (Files::make(&directory), dns());
    let certificate = issue(&files, &directory, "*.host.example", (-1, 30));
    let plain = Peer::start("implicit", &certificate, "");
    let front = Between::start_tls(plain.postfix.port, &certificate, &files.ca);
    let own = issue(&files, &directory, "client.example", (-1, 30));
    std::fs::set_permissions(&own.1, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    let hops = [("shows", "smtps", front.port), ("hides", "smtps", front.port)];
    let rules = format!(
        "[next_hops.\"shows.host.example\"]\nca_file = \"{{ca}}\"\ncertificate = {:?}\nkey = {:?}\n[next_hops.\"hides.host.example\"]\nca_file = \"{{ca}}\"\n",
        own.0, own.1
    );
    let server = server(&directory, &dns, &files, &hops, &rules);
    goes(&server, "a@shows.example", &verified());
    waits(&server, "a@hides.example", "CertificateRequired");
}

#[test]
fn lmtp_likewise() {
    if !lmtp::available() {
        return;
    }
    let directory = TempDir::new("outtls-lmtp");
    let (files, dns) = (Files::make(&directory), dns());
    let certificate = issue(&files, &directory, "right.host.example", (-1, 30));
    let tls =
        format!("ssl = yes\nssl_cert = <{}\nssl_key = <{}\n", text(&certificate.0), text(&certificate.1));
    let users = ["jane@right.example", "jane@other.example", "jane@may.example"];
    let dovecot = Lmtp::start_with(&directory, &users, &[], &tls);
    let hops = ["right", "other", "may"].map(|name| (name, "lmtp", dovecot.port));
    let mut rules = String::new();
    for name in ["right", "other"] {
        rules += &format!("[next_hops.\"{name}.host.example\"]\ntls = \"require\"\nca_file = \"{{ca}}\"\n");
    }
    let server = server(&directory, &dns, &files, &hops, &rules);
    for (to, tls) in [("jane@right.example", verified()), ("jane@may.example", unverified())] {
        let id = accepted(&server, &[to], &mail(to));
        wait_for_row(&server, &id, |row| row["state"] == "delivered");
        assert_eq!(line(&server, &id, "delivered")["tls"], tls);
        assert_eq!(maildir::read(&dovecot.maildir(to)).len(), 1, "{}", dovecot.log());
    }
    waits(&server, "jane@other.example", "its certificate is for another name");
}

/// `recipients = "ask"`: the question is put in TLS, too.
#[test]
fn who_exists_is_asked_in_tls() {
    if !lmtp::available() {
        return;
    }
    let directory = TempDir::new("outtls-ask");
    let (files, dns) = (Files::make(&directory), dns());
    let certificate = issue(&files, &directory, "ask.host.example", (-1, 30));
    let tls =
        format!("ssl = yes\nssl_cert = <{}\nssl_key = <{}\n", text(&certificate.0), text(&certificate.1));
    let dovecot = Lmtp::start_with(&directory, &["jane@ask.example"], &[], &tls);
    let between = Between::start(dovecot.port, Does::Pass);
    let text = format!(
        "[domains.\"ask.example\"]\ndeliver = \"lmtp://ask.host.example:{}\"\n[dns]\nservers = [\"{}\"]\n[next_hops.\"ask.host.example\"]\ntls = \"require\"\nca_file = {:?}\n{JSON_LOG}",
        between.port,
        dns.server(),
        files.ca
    );
    let server = Server::start(&directory, &config(&text));
    let id = accepted(&server, &["jane@ask.example"], &mail("asked"));
    wait_for_row(&server, &id, |row| row["state"] == "delivered");
    let mut client = crate::support::smtp::Client::hello(server.smtp_port);
    let reply = client.send("a@client.example", &["nobody@ask.example"], &mail("nobody")).expect("a reply");
    assert_eq!(reply.code / 100, 5, "{reply:?}");
    let seen = between.seen();
    assert!(seen.contains("STARTTLS") && !seen.contains("RCPT TO"), "{seen}");
}
