//! MTA-STS: a policy is fetched, holds while it cannot be fetched again, and outlives a restart.

use super::*;
use crate::support::peers::is_root;
use crate::support::peers::skip;
use std::sync::{Arc, Mutex};

/// Where the policy is: the port of HTTPS can be had by root alone.
const POLICY_HOST: &str = "127.0.7.9:443";

fn zone(id: &str, mx: &str) -> String {
    format!(
        "b.example MX {mx}\nmx.b.example A 127.0.0.1\nevil.example A 127.0.0.1\nmta-sts.b.example A 127.0.7.9\n_mta-sts.b.example TXT \"v=STSv1; id={id};\"\n"
    )
}

fn policy(mode: &str) -> String {
    let body = format!("version: STSv1\r\nmode: {mode}\r\nmx: mx.b.example\r\nmax_age: 86400\r\n");
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn sts() -> Value {
    "TLSv1.3 TLS_AES_256_GCM_SHA384 sts".into()
}

#[test]
fn a_policy_is_enforced_also_when_it_cannot_be_fetched_any_more() {
    if !postfix::available() || !(is_root() || skip("the port of HTTPS needs root")) {
        return;
    }
    let directory = TempDir::new("outtls-sts");
    let files = Files::make(&directory);
    let peer = Peer::start("sts", &issue(&files, &directory, "mx.b.example", (-1, 30)), "");
    let answer = Arc::new(Mutex::new(policy("enforce")));
    let web = Between::https(
        POLICY_HOST,
        &issue(&files, &directory, "mta-sts.b.example", (-1, 30)),
        Arc::clone(&answer),
    );
    let dns = Dns::start(&zone("1", "10 evil.example.\nb.example MX 20 mx.b.example."));
    let text = format!(
        "[relay]\nport = {}\nkeep_idle_secs = 0\n[dns]\nservers = [\"{}\"]\n{JSON_LOG}",
        peer.postfix.port,
        dns.server()
    );
    let environment = vec![("SSL_CERT_FILE", files.ca.clone().into_os_string())];
    let mut server = Server::start_with(&directory, &config(&text), environment);
    // Of two hosts the policy names the second.
    goes(&server, "a@b.example", &sts());
    assert!(
        web.seen().starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\nhost: mta-sts.b.example\r\n"),
        "{}",
        web.seen()
    );
    assert_eq!(dns.asked("_25._tcp.mx.b.example", "TLSA"), 0, "without DNSSEC nobody asks");
    // It is known now.
    goes(&server, "b@b.example", &sts());
    assert_eq!(web.seen().matches("GET ").count(), 1, "{}", web.seen());
    // A redirect is no policy; the old one counts, and only hosts that it names.
    *answer.lock().expect("no panic") =
        "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".to_owned();
    dns.set_zone(&zone("2", "10 evil.example."));
    waits(
        &server,
        "c@b.example",
        "4.7.0 the MTA-STS policy of the domain does not name its host evil.example",
    );
    assert!(server.output().contains("mta_sts_failed"), "{}", server.output());
    let kept = || std::fs::read_to_string(server.data.join("mta-sts.json")).unwrap_or_default();
    assert!(wait_until(LIMIT, || kept().contains("mx: mx.b.example")), "{}", kept());
    // Whoever can hide the record cannot end the policy, and a restart does not forget it.
    dns.set_zone("b.example MX 10 evil.example.\nevil.example A 127.0.0.1\n");
    server.restart();
    waits(
        &server,
        "d@b.example",
        "4.7.0 the MTA-STS policy of the domain does not name its host evil.example",
    );
    // The domain itself ends it.
    *answer.lock().expect("no panic") = policy("none");
    dns.set_zone(&zone("3", "10 evil.example."));
    retry(&server, "b.example");
    goes(&server, "e@b.example", &unverified());
}

#[test]
fn a_policy_that_nobody_vouches_for_is_none() {
    if !postfix::available() || !(is_root() || skip("the port of HTTPS needs root")) {
        return;
    }
    let directory = TempDir::new("outtls-sts-forged");
    let (files, stranger) = (Files::make(&directory), Files::make(&TempDir::new("outtls-sts-stranger")));
    let peer = Peer::start("sts-forged", &issue(&files, &directory, "other.example", (-1, 30)), "");
    let folder = directory.join("web");
    std::fs::create_dir_all(&folder).expect("a folder");
    let forged = stranger.authority.issue(&folder, &["mta-sts.b.example"], (-1, 30));
    let answer = Arc::new(Mutex::new(policy("enforce")));
    let _web = Between::https(&POLICY_HOST.replace(".9:", ".8:"), &forged, answer);
    let dns = Dns::start(&zone("1", "10 mx.b.example.").replace("127.0.7.9", "127.0.7.8"));
    let text =
        format!("[relay]\nport = {}\n[dns]\nservers = [\"{}\"]\n{JSON_LOG}", peer.postfix.port, dns.server());
    let environment = vec![("SSL_CERT_FILE", files.ca.clone().into_os_string())];
    let server = Server::start_with(&directory, &config(&text), environment);
    goes(&server, "a@b.example", &unverified());
    assert!(
        server.output().contains("its certificate is by no authority that is known here"),
        "{}",
        server.output()
    );
}
