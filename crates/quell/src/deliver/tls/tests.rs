//! Handshakes with servers of every kind of certificate.

use std::fs;
use std::path::PathBuf;

use quell_relay::attempt::Address;
use quell_relay::tls::dane::Tlsa;
use quell_relay::tls::{Rule, Tls};
use quell_wire::client::Starttls;
use ring::digest;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::tls::Certificate;
use crate::tls::testing::Authority;

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("quell-outtls-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn part(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn target(check: Check) -> Target {
    let tls = Tls { starttls: Starttls::Required, implicit: false, check, rule: "mx.b.example".to_owned() };
    Target {
        address: Address::Tcp("192.0.2.1:25".parse().unwrap()),
        name: "mx.b.example".to_owned(),
        lmtp: false,
        tls,
    }
}

fn by_name(name: &str) -> Check {
    Check::Name { name: name.to_owned(), by: By::Configuration }
}

/// Clients that know this authority alone.
fn clients(authority: &Authority, identity: Option<Certificate>) -> Clients {
    let mut authorities = RootCertStore::empty();
    authorities.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let rule = Rule { name: "mx.b.example".to_owned(), ..Rule::default() };
    Clients::new(&[NextHopTls { rule, authorities: Some(Arc::new(authorities)), identity }])
}

/// What a handshake comes to with a server that shows `chain`.
async fn shake(clients: &Clients, check: Check, server: &ServerConfig) -> Result<String, String> {
    let (ours, theirs) = tokio::io::duplex(1 << 14);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server.clone()));
    let server = tokio::spawn(async move {
        if let Ok(mut stream) = acceptor.accept(theirs).await {
            stream.write_all(b"hello").await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let (mut stream, facts) = clients.connect(&target(check), ours).await?;
    let mut said = String::new();
    stream.read_to_string(&mut said).await.map_err(|why| in_words(&why))?;
    server.await.unwrap();
    assert_eq!(said, "hello");
    Ok(facts)
}

fn server(files: &(PathBuf, PathBuf)) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(&files.0).unwrap().map(Result::unwrap).collect();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(&files.1).unwrap();
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    builder.with_no_client_auth().with_single_cert(chain, key).unwrap()
}

fn leaf(files: &(PathBuf, PathBuf)) -> CertificateDer<'static> {
    CertificateDer::pem_file_iter(&files.0).unwrap().next().unwrap().unwrap()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

fn public_key(certificate: &CertificateDer<'_>) -> Vec<u8> {
    ParsedCertificate::try_from(certificate).unwrap().subject_public_key_info().to_vec()
}

#[tokio::test]
async fn certificates_of_every_kind() {
    let (folder, authority, stranger) = (Folder::new("kinds"), Authority::new(), Authority::new());
    let clients = clients(&authority, None);
    let issue = |authority: &Authority, name: &str, host: &str, days| {
        authority.issue(&folder.part(name), &[host], days)
    };
    let expired = "its certificate has expired";
    for (files, expected) in [
        (issue(&authority, "right", "mx.b.example", (-1, 30)), Ok(())),
        (issue(&authority, "wildcard", "*.b.example", (-1, 30)), Ok(())),
        (issue(&authority, "expired", "mx.b.example", (-30, -1)), Err(expired)),
        (issue(&authority, "early", "mx.b.example", (2, 30)), Err("its certificate is not valid yet")),
        (issue(&authority, "other", "mx.c.example", (-1, 30)), Err("its certificate is for another name")),
        (issue(&authority, "deep", "a.mx.b.example", (-1, 30)), Err("its certificate is for another name")),
        (
            issue(&stranger, "stranger", "mx.b.example", (-1, 30)),
            Err("its certificate is by no authority that is known here"),
        ),
    ] {
        let server = server(&files);
        let found = shake(&clients, by_name("mx.b.example"), &server).await;
        let expected = expected.map(|()| "TLSv1.3 TLS_AES_256_GCM_SHA384 verified".to_owned());
        assert_eq!(found, expected.map_err(str::to_owned), "{}", files.0.display());
        // Whoever wants TLS and nothing else has it with each of them.
        let anybody = shake(&clients, Check::Nothing, &server).await;
        assert_eq!(
            anybody.as_deref(),
            Ok("TLSv1.3 TLS_AES_256_GCM_SHA384 unverified"),
            "{}",
            files.0.display()
        );
    }
    let other = server(&issue(&authority, "named", "relay.example", (-1, 30)));
    assert!(shake(&clients, by_name("relay.example"), &other).await.is_ok());
    let unknown = shake(&Clients::new(&[]), Check::Nothing, &other).await;
    assert_eq!(unknown.as_deref(), Ok("TLSv1.3 TLS_AES_256_GCM_SHA384 unverified"));
}

#[tokio::test]
async fn what_is_known_of_one_check_does_not_serve_another() {
    let (folder, authority) = (Folder::new("kept"), Authority::new());
    let clients = clients(&authority, None);
    let files = authority.issue(&folder.0, &["mx.c.example"], (-1, 30));
    let server = server(&files);
    // Sessions are remembered: of an unverified one nothing is taken over into a verified one.
    for _ in 0..3 {
        assert!(shake(&clients, Check::Nothing, &server).await.is_ok());
        let found = shake(&clients, by_name("mx.b.example"), &server).await;
        assert_eq!(found, Err("its certificate is for another name".to_owned()));
    }
}

#[tokio::test]
async fn tlsa_records_decide() {
    let (folder, authority) = (Folder::new("dane"), Authority::new());
    let clients = clients(&Authority::new(), None);
    let expired = authority.issue(&folder.part("expired"), &["any.example"], (-30, -1));
    let named = authority.issue(&folder.part("named"), &["b.example"], (-1, 30));
    let other = authority.issue(&folder.part("other"), &["c.example"], (-1, 30));
    let root = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    let record = |usage, selector, matching, data: Vec<u8>| Tlsa { usage, selector, matching, data };
    let sha512 = |bytes: &[u8]| digest::digest(&digest::SHA512, bytes).as_ref().to_vec();
    let no_match = Err(verifiers::NO_MATCH);
    for (place, (files, records, expected)) in [
        (&expired, vec![record(3, 1, 1, sha256(&public_key(&leaf(&expired))))], Ok(())),
        (&expired, vec![record(3, 0, 2, sha512(&leaf(&expired)))], Ok(())),
        (&expired, vec![record(3, 0, 0, leaf(&expired).to_vec())], Ok(())),
        (&expired, vec![record(3, 0, 1, sha256(&leaf(&named)))], no_match),
        // A record of the authority does not do as one of the server, nor the other way round.
        (&named, vec![record(3, 0, 1, sha256(&root))], no_match),
        (&named, vec![record(2, 0, 1, sha256(&leaf(&named)))], no_match),
        (&named, vec![record(2, 0, 1, sha256(&root))], Ok(())),
        (&named, vec![record(2, 1, 1, sha256(&public_key(&root)))], Ok(())),
        (&named, vec![record(2, 0, 0, root.to_vec())], Ok(())),
        (&expired, vec![record(2, 0, 1, sha256(&root))], Err("its certificate has expired")),
        (&other, vec![record(2, 0, 1, sha256(&root))], Err("its certificate is for another name")),
        (&other, vec![record(2, 0, 1, sha256(&root)), record(3, 0, 1, sha256(&leaf(&other)))], Ok(())),
    ]
    .into_iter()
    .enumerate()
    {
        let names = vec!["mx.b.example".to_owned(), "b.example".to_owned()];
        let found = shake(&clients, Check::Dane { records: records.into(), names }, &server(files)).await;
        let expected = expected.map(|()| "TLSv1.3 TLS_AES_256_GCM_SHA384 dane".to_owned());
        assert_eq!(found, expected.map_err(str::to_owned), "{place}");
    }
}

#[tokio::test]
async fn a_server_that_asks_is_shown_our_certificate() {
    let (folder, authority) = (Folder::new("client"), Authority::new());
    let files = authority.issue(&folder.part("server"), &["mx.b.example"], (-1, 30));
    let own = authority.issue(&folder.part("client"), &["client.example"], (-1, 30));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let asks = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
    let chain = CertificateDer::pem_file_iter(&files.0).unwrap().map(Result::unwrap).collect();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(&files.1).unwrap();
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let server = builder.with_client_cert_verifier(asks).with_single_cert(chain, key).unwrap();
    let identity = Certificate::load(&own.0, &own.1).unwrap();
    let with = clients(&authority, Some(identity));
    assert!(shake(&with, by_name("mx.b.example"), &server).await.is_ok());
    let found = shake(&clients(&authority, None), by_name("mx.b.example"), &server).await;
    assert_eq!(found, Err("it breaks TLS off (CertificateRequired)".to_owned()));
}

#[tokio::test]
async fn what_is_no_tls_is_said_so() {
    let clients = Clients::new(&[]);
    for (said, expected) in [
        (&b"220 mx.b.example ESMTP\r\n"[..], "what it sends is no TLS"),
        (b"", "it closed the connection in the handshake"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "it breaks TLS off (HandshakeFailure)"),
    ] {
        let (ours, mut theirs) = tokio::io::duplex(1 << 14);
        theirs.write_all(said).await.unwrap();
        theirs.shutdown().await.unwrap();
        let found = clients.connect(&target(Check::Nothing), ours).await;
        assert_eq!(found.map(|(_, facts)| facts), Err(expected.to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_hangs_is_given_up() {
    let (ours, _theirs) = tokio::io::duplex(1 << 14);
    let found = Clients::new(&[]).connect(&target(Check::Nothing), ours).await;
    assert_eq!(found.map(|(_, facts)| facts), Err("the handshake takes too long".to_owned()));
}

#[test]
fn names_are_asked_for_where_there_are_some() {
    for (name, check, expected) in [
        ("mx.b.example", Check::Nothing, "DnsName(\"mx.b.example\")"),
        ("192.0.2.1", Check::Nothing, "IpAddress(V4(Ipv4Addr([192, 0, 2, 1])))"),
        ("/run/lmtp", Check::Nothing, "IpAddress(V4(Ipv4Addr([0, 0, 0, 0])))"),
        ("192.0.2.1", by_name("relay.example"), "DnsName(\"relay.example\")"),
    ] {
        let target = Target { name: name.to_owned(), ..target(check) };
        assert_eq!(format!("{:?}", server_name(&target)), expected);
    }
}
