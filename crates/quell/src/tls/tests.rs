use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::testing::Authority;
use super::*;

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("quell-tls-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_certificate_says_for_whom_and_until_when() {
    let folder = folder("says");
    let (chain, key) = Authority::new().issue(&folder, &["MX.firm.example", "*.b.example"], (-1, 30));
    let leaf = Certificate::load(&chain, &key).unwrap().leaf;
    assert_eq!(leaf.names, ["mx.firm.example", "*.b.example"]);
    assert!(leaf.is_for("mx.FIRM.example") && leaf.is_for("a.b.example"));
    assert!(!leaf.is_for("b.example") && !leaf.is_for("c.a.b.example") && !leaf.is_for("firm.example"));
    assert!(!leaf.is_self_signed && leaf.not_after_secs - leaf.not_before_secs == 31 * 86_400);
}

#[test]
fn faults_name_the_file_and_never_show_a_key() {
    let (folder, other) = (folder("faults"), folder("faults-other"));
    let authority = Authority::new();
    let (chain, key) = authority.issue(&folder, &["a.example"], (-1, 30));
    let (_, other_key) = authority.issue(&other, &["a.example"], (-1, 30));
    let empty = folder.join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let cut = folder.join("cut.pem");
    std::fs::write(&cut, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n").unwrap();
    let large = folder.join("large.pem");
    std::fs::write(&large, vec![b'x'; (1 << 20) + 1]).unwrap();
    for (chain, key, said) in [
        (&chain, &other_key, "the key is not that of the certificate in"),
        (&key, &key, "there is no certificate in it"),
        (&chain, &chain, "there is no private key in it"),
        (&empty, &key, "there is no certificate in it"),
        (&cut, &key, "a certificate in it cannot be read"),
        (&large, &key, "larger than 1 MiB"),
        (&folder.join("none.pem"), &key, "cannot be read: No such file"),
    ] {
        let why = Certificate::load(chain, key).unwrap_err().to_string();
        assert!(why.contains(said) && why.contains("quell-tls-faults"), "{why}");
    }
    let secret = std::fs::read_to_string(&key).unwrap();
    let line = secret.lines().nth(1).unwrap();
    assert!(!format!("{:?}", Certificate::load(&chain, &key).unwrap()).contains(line));
}

/// A client that trusts `authority` alone; what it got, and from which certificate.
async fn ask(authority: &Authority, acceptor: &Acceptor) -> (String, Vec<u8>) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = acceptor.clone();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(Stream::Plain(stream)).await.unwrap();
        let tls = stream.tls().unwrap();
        stream.write_all(format!("{} {}", tls.version, tls.cipher).as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream =
        connector.connect(ServerName::try_from("mx.firm.example").unwrap(), stream).await.unwrap();
    let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    server.await.unwrap();
    (said, leaf)
}

#[tokio::test]
async fn a_replaced_certificate_serves_the_next_handshake() {
    let folder = folder("replaced");
    let authority = Authority::new();
    let issue = || {
        let (chain, key) = authority.issue(&folder, &["mx.firm.example"], (-1, 30));
        Certificate::load(&chain, &key).unwrap()
    };
    let acceptor = Acceptor::new(&issue()).unwrap();
    let (said, first) = ask(&authority, &acceptor).await;
    assert_eq!(said, "TLSv1.3 TLS_AES_256_GCM_SHA384");
    acceptor.replace(&issue());
    let (_, second) = ask(&authority, &acceptor).await;
    assert_ne!(first, second);
}

#[tokio::test]
async fn what_is_no_handshake_fails_and_leaves_nothing_to_use() {
    let folder = folder("no-handshake");
    let (chain, key) = Authority::new().issue(&folder, &["mx.firm.example"], (-1, 30));
    let acceptor = Acceptor::new(&Certificate::load(&chain, &key).unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    client.write_all(b"EHLO in.clear.example\r\n").await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    assert!(acceptor.accept(Stream::Plain(stream)).await.is_err());
    let mut gone = Stream::Gone;
    assert!(gone.write_all(b"220 ").await.is_err());
    assert!(acceptor.accept(Stream::Gone).await.is_err());
}
