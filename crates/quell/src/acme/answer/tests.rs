use super::*;
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::net::SocketAddr;
use tokio::io::AsyncReadExt;
use x509_parser::prelude::{FromDer, X509Certificate};

async fn serving(challenge: Challenge, pending: &Arc<Pending>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Answering::new(challenge, pending).unwrap()));
    address
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

#[tokio::test]
async fn only_the_token_of_an_open_challenge_is_answered_over_http() {
    let pending = Arc::new(Pending::default());
    let address = serving(Challenge::Http01, &pending).await;
    pending.add_http("token-1", "token-1.thumb");
    pending.add_http("token-2", "token-2.thumb");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: mx.firm.example\r\n\r\n");
    let said = ask(address, &get("/.well-known/acme-challenge/token-2")).await;
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    assert!(said.ends_with("\r\n\r\ntoken-2.thumb"), "{said}");
    for path in [
        "/",
        "/.well-known/acme-challenge/",
        "/.well-known/acme-challenge/token",
        "/.well-known/acme-challenge/token-1/",
        "/.well-known/acme-challenge/../acme-challenge/token-1",
        "/.well-known/acme-challenge/TOKEN-1",
        "//.well-known/acme-challenge/token-1",
    ] {
        let said = ask(address, &get(path)).await;
        assert!(said.starts_with("HTTP/1.1 404 ") && said.ends_with("\r\n\r\n"), "{path}: {said}");
    }
    let post = get("/.well-known/acme-challenge/token-1").replace("GET", "POST");
    assert!(ask(address, &post).await.starts_with("HTTP/1.1 404 "));
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(2 * MAX_HEADER_BYTES));
    assert!(ask(address, &long).await.starts_with("HTTP/1.1 431 "));
    pending.clear();
    let said = ask(address, &get("/.well-known/acme-challenge/token-2")).await;
    assert!(said.starts_with("HTTP/1.1 404 "), "{said}");
}

/// The test looks at the certificate itself: rustls refuses one whose critical extension it does not know. That
/// the key is the certificate's, Pebble finds (`tests/acme`).
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crate::tls::provider().signature_verification_algorithms.supported_schemes()
    }
}

async fn shown(address: SocketAddr, name: &str, protocol: &[u8]) -> io::Result<Vec<u8>> {
    let config = ClientConfig::builder_with_provider(crate::tls::provider());
    let config = config.with_safe_default_protocol_versions().unwrap().dangerous();
    let mut config = config.with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(ALPN));
    Ok(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec())
}

/// RFC 8737 §3: one name, and the digest in a critical extension 1.3.6.1.5.5.7.1.31.
#[tokio::test]
async fn only_the_name_of_an_open_challenge_is_answered_by_tls() {
    let pending = Arc::new(Pending::default());
    let address = serving(Challenge::TlsAlpn01, &pending).await;
    assert!(pending.add_tls("mx.firm.example", &[1; 31]).is_err());
    pending.add_tls("mx.firm.example", &[7; 32]).unwrap();
    pending.add_tls("other.example", &[8; 32]).unwrap();
    let der = shown(address, "MX.firm.example", ALPN).await.unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names, [x509_parser::prelude::GeneralName::DNSName("mx.firm.example")]);
    let of_acme = |e: &&x509_parser::prelude::X509Extension<'_>| e.oid.to_id_string() == "1.3.6.1.5.5.7.1.31";
    let extension = certificate.extensions().iter().find(of_acme).unwrap();
    assert!(extension.critical);
    assert_eq!(extension.value, [&[4, 32], &[7; 32][..]].concat());
    assert!(shown(address, "unknown.example", ALPN).await.is_err());
    assert!(shown(address, "mx.firm.example", b"h2").await.is_err());
    pending.clear();
    assert!(shown(address, "mx.firm.example", ALPN).await.is_err());
}
