//! DANE: records that are proven decide who is taken for the next hop.

use super::*;
use crate::support::peers::dns::Fault;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `3 0 1` of the server's own certificate.
fn record(certificate: &(PathBuf, PathBuf)) -> String {
    let der = CertificateDer::from_pem_file(&certificate.0).expect("PEM");
    format!("3 0 1 {}", hex(ring::digest::digest(&ring::digest::SHA256, &der).as_ref()))
}

struct World {
    dns: Dns,
    server: Server,
    peer: Peer,
    _directory: TempDir,
}

/// A domain whose one host has these records, in a zone that is signed or not.
fn world(name: &str, signed: bool, records: &dyn Fn(&str, u16) -> String) -> World {
    let directory = TempDir::new(&format!("outtls-dane-{name}"));
    let files = Files::make(&directory);
    // By an authority that nobody knows, for a name that nobody asked for, and past its time.
    let certificate = issue(&files, &directory, "some.example", (-30, -1));
    let peer = Peer::start(&format!("dane-{name}"), &certificate, "");
    let zone = format!(
        "b.example MX 10 mx.b.example.\nmx.b.example A 127.0.0.1\n{}",
        records(&record(&certificate), peer.postfix.port)
    );
    let dns = if signed { Dns::start_signed(&zone) } else { Dns::start(&zone) };
    let anchor = directory.join("root.key");
    // A key of another root, where there is none.
    let text = if signed { dns.trust_anchor() } else { Dns::start_signed("").trust_anchor() };
    std::fs::write(&anchor, text).expect("a file");
    let text = format!(
        "[relay]\nport = {}\nmta_sts = false\n[dns]\nservers = [\"{}\"]\ndnssec = true\ntrust_anchor = {anchor:?}\n{JSON_LOG}",
        peer.postfix.port,
        dns.server()
    );
    let server = Server::start(&directory, &config(&text));
    World { dns, server, peer, _directory: directory }
}

fn at(port: u16, data: &str) -> String {
    format!("_{port}._tcp.mx.b.example TLSA {data}\n")
}

#[test]
fn a_proven_record_names_the_certificate() {
    if !postfix::available() {
        return;
    }
    let right = world("right", true, &|record, port| at(port, record));
    goes(&right.server, "a@b.example", &"TLSv1.3 TLS_AES_256_GCM_SHA384 dane".into());
    let none = world("none", true, &|_, _| String::new());
    goes(&none.server, "a@b.example", &unverified());
}

#[test]
fn another_certificate_than_the_records_gets_no_mail() {
    if !postfix::available() {
        return;
    }
    let wrong = world("wrong", true, &|_, port| at(port, &format!("3 0 1 {}", "00".repeat(32))));
    waits(&wrong.server, "a@b.example", "4.7.5 TLS failed: its certificate matches none of its TLSA records");
    // Usage 1 is not used with SMTP: TLS must be, with whomever.
    let unusable = world("unusable", true, &|_, port| at(port, &format!("1 0 1 {}", "00".repeat(32))));
    goes(&unusable.server, "a@b.example", &unverified());
}

#[test]
fn records_that_cannot_be_had_or_proven_stop_the_mail() {
    if !postfix::available() {
        return;
    }
    let failing = world("failing", true, &|record, port| at(port, record));
    let name = format!("_{}._tcp.mx.b.example", failing.peer.postfix.port);
    failing.dns.fault(&name, "TLSA", Fault::ServFail);
    waits(&failing.server, "a@b.example", "4.4.3 the TLSA of mx.b.example cannot be looked up");
    // Where the root should be signed and is not, nothing can be believed.
    let forged = world("forged", false, &|record, port| at(port, record));
    waits(&forged.server, "a@b.example", "4.4.3 ");
}

#[test]
fn who_sits_on_the_way_to_the_dns_cannot_switch_it_off() {
    if !postfix::available() {
        return;
    }
    let world = world("denied", true, &|record, port| {
        format!("{}foreign.example NS ns.foreign.example.\n", at(port, record))
    });
    let unproven = "the DNS says that there is none, and does not prove it";
    let name = format!("_{}._tcp.mx.b.example", world.peer.postfix.port);
    world.dns.fault(&name, "TLSA", Fault::ForeignSoa);
    waits(
        &world.server,
        "a@b.example",
        &format!("4.4.3 the TLSA of mx.b.example cannot be looked up: {unproven}"),
    );
    world.dns.heal(&name);
    world.dns.fault("b.example", "MX", Fault::ForeignSoa);
    retry(&world.server, "b.example");
    let why = format!("the MX of b.example cannot be looked up: {unproven}");
    assert!(wait_until(LIMIT, || world.server.output().contains(&why)), "{}", world.server.output());
    world.dns.heal("b.example");
    retry(&world.server, "b.example");
    goes(&world.server, "b@b.example", &"TLSv1.3 TLS_AES_256_GCM_SHA384 dane".into());
}
