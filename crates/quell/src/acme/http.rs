//! HTTPS to the authority: bounded in time and size.

use std::error::Error;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{HOST, HeaderValue, USER_AGENT};
use hyper::Request;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// One request and its answer take no longer.
const LIMIT: Duration = Duration::from_secs(30);
/// Largest answer; certificates and directories have a few KiB.
const MAX_ANSWER_BYTES: usize = 256 << 10;

type Failure = Box<dyn Error + Send + Sync>;

/// Makes a connection for each request: there are a dozen for a certificate.
pub struct Https(TlsConnector);

impl Https {
    /// Trusts the authorities in `ca_file`, or else those of the system.
    ///
    /// # Errors
    /// There are none.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, Failure> {
        let roots = match ca_file {
            Some(file) => crate::tls::authorities(file)?,
            None => {
                let mut roots = RootCertStore::empty();
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    return Err(
                        "the system trusts no authority: install ca-certificates, or set ca_file".into()
                    );
                }
                roots
            }
        };
        let config = ClientConfig::builder_with_provider(crate::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

impl HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let tls = self.0.clone();
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            let done = tokio::time::timeout(LIMIT, exchange(&tls, request)).await;
            let done = done.unwrap_or_else(|_| Err("no answer within 30 s".into()));
            done.map_err(|why| instant_acme::Error::Other(format!("{host}: {}", chain(&*why)).into()))
        })
    }
}

/// An error and what caused it, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.fold(error.to_string(), |said, cause| {
        let cause = cause.to_string();
        if said.contains(&cause) { said } else { format!("{said}: {cause}") }
    })
}

async fn exchange(
    tls: &TlsConnector,
    mut request: Request<BodyWrapper<Bytes>>,
) -> Result<BytesResponse, Failure> {
    let uri = request.uri().clone();
    let (Some("https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err("the authority names a place that is no https URL".into());
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(443))).await?;
    let stream = tls.connect(ServerName::try_from(host.to_owned())?, stream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(authority.as_str())?);
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("quell/", env!("CARGO_PKG_VERSION"))));
    *request.uri_mut() = path.parse()?;
    let answer = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = to_bytes(Body::new(body), MAX_ANSWER_BYTES).await?;
        Ok(BytesResponse { parts, body: Box::new(body) })
    };
    // The connection does the work; it ends with the answer, whatever the server would send further.
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended?;
            answer.await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::Authority;
    use crate::tls::{Acceptor, Certificate, Stream};
    use instant_acme::Account;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// What is made of a directory that answers so.
    async fn said_of(name: &str, answer: String) -> String {
        let folder = std::env::temp_dir().join(format!("quell-acme-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let authority = Authority::new();
        let (chain, key) = authority.issue(&folder, &["localhost"], (-1, 30));
        let ca = folder.join("ca.pem");
        std::fs::write(&ca, &authority.pem).unwrap();
        let acceptor = Acceptor::new(&Certificate::load(&chain, &key).unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(Stream::Plain(stream)).await.unwrap();
            let mut asked = [0; 1024];
            let read = stream.read(&mut asked).await.unwrap();
            let asked = String::from_utf8_lossy(&asked[..read]).to_ascii_lowercase();
            assert!(asked.starts_with("get /dir?a=b http/1.1\r\n"), "{asked}");
            assert!(asked.contains(&format!("\r\nhost: localhost:{port}\r\n")), "{asked}");
            // It may hang up before all is written.
            let _cut = stream.write_all(answer.as_bytes()).await;
            let _cut = stream.shutdown().await;
        });
        let https = Https::new(Some(&ca)).unwrap();
        let new = instant_acme::NewAccount {
            contact: &[],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let directory = format!("https://localhost:{port}/dir?a=b");
        let made = Account::builder_with_http(Box::new(https)).create(&new, directory, None).await;
        std::fs::remove_dir_all(&folder).unwrap();
        made.err().unwrap().to_string()
    }

    #[tokio::test]
    async fn answers_without_end_and_without_sense_are_failures() {
        let long = "x".repeat(MAX_ANSWER_BYTES + 1);
        let endless =
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{long}", 1_u64 << 40);
        for (name, answer, word) in [
            ("large", format!("HTTP/1.1 200 OK\r\n\r\n{long}"), "length limit exceeded"),
            ("endless", endless, "length limit exceeded"),
            ("cut", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_owned(), "localhost: "),
            ("nothing", String::new(), "localhost: "),
            ("smtp", "220 mx.firm.example\r\n".to_owned(), "localhost: "),
            ("no-json", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno".to_owned(), "JSON"),
        ] {
            let said = said_of(name, answer).await;
            assert!(said.contains(word), "{name}: {said}");
        }
    }

    #[tokio::test]
    async fn nothing_is_asked_in_the_clear() {
        let file = std::env::temp_dir().join(format!("quell-acme-clear-{}", std::process::id()));
        std::fs::write(&file, Authority::new().pem).unwrap();
        let https = Https::new(Some(&file)).unwrap();
        std::fs::remove_file(&file).unwrap();
        let request = Request::get("http://127.0.0.1:9/").body(BodyWrapper::default()).unwrap();
        let why = https.request(request).await.err().unwrap().to_string();
        assert_eq!(why, "127.0.0.1: the authority names a place that is no https URL");
    }
}
