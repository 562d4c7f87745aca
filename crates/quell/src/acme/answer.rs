//! What the authority finds when it connects to us: the answer to a challenge that is open, and nothing
//! else at any time.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Method, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::config::Challenge;

/// Connections at a time; further ones wait in the socket's queue.
const MAX_CONNECTIONS: usize = 64;
/// A connection ends after this time, whatever it does.
const LIFE: Duration = Duration::from_secs(10);
/// Header fields and bytes; more are answered 431, and the connection is closed.
const MAX_FIELDS: usize = 64;
const MAX_HEADER_BYTES: usize = 8 << 10;
/// Where the answers over HTTP lie (RFC 8555 §8.3).
const PATH: &str = "/.well-known/acme-challenge/";
/// The protocol in which the authority asks for a certificate (RFC 8737 §3).
const ALPN: &[u8] = b"acme-tls/1";

/// The challenges that are open: as many as an order has names.
#[derive(Default)]
pub struct Pending(RwLock<Vec<Answer>>);

enum Answer {
    Http { token: String, authorization: String },
    Tls { name: String, key: Arc<CertifiedKey> },
}

impl Pending {
    /// Whoever asks for `token` is told `authorization`.
    pub fn add_http(&self, token: &str, authorization: &str) {
        self.add(Answer::Http { token: token.to_owned(), authorization: authorization.to_owned() });
    }

    /// Whoever asks for `name` by TLS is shown a certificate with this digest of the key authorization
    /// (RFC 8737 §3).
    ///
    /// # Errors
    /// No such certificate can be made, for want of random numbers or because the name is none.
    pub fn add_tls(&self, name: &str, digest: &[u8]) -> Result<(), rcgen::Error> {
        let key = challenge_key(name, digest)?;
        self.add(Answer::Tls { name: name.to_owned(), key: Arc::new(key) });
        Ok(())
    }

    fn add(&self, answer: Answer) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(answer);
    }

    /// No challenge is open any more.
    pub fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn find<T>(&self, wanted: impl Fn(&Answer) -> Option<T>) -> Option<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).iter().find_map(wanted)
    }

    fn over_http(&self, path: &str) -> Option<String> {
        let asked = path.strip_prefix(PATH)?;
        self.find(|answer| match answer {
            Answer::Http { token, authorization } if token == asked => Some(authorization.clone()),
            _ => None,
        })
    }
}

fn challenge_key(name: &str, digest: &[u8]) -> Result<CertifiedKey, rcgen::Error> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    let digest: &[u8; 32] = digest.try_into().map_err(|_| rcgen::Error::RingUnspecified)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    let chain = vec![certificate.der().clone()];
    // Not by `from_der`: that reads the certificate, and refuses one whose critical extension it does not know.
    let key = crate::tls::provider().key_provider.load_private_key(key);
    Ok(CertifiedKey::new(chain, key.map_err(|_| rcgen::Error::CouldNotParseKeyPair)?))
}

/// So that it can be asked in a handshake.
struct Shown(Arc<Pending>);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown(…)")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name()?.to_ascii_lowercase();
        if !hello.alpn()?.any(|protocol| protocol == ALPN) {
            return None;
        }
        self.0.find(|answer| match answer {
            Answer::Tls { name, key } if *name == asked => Some(Arc::clone(key)),
            _ => None,
        })
    }
}

/// Gives answers, one connection after the other, until it is dropped.
pub async fn serve(listener: TcpListener, answering: Answering) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // They end with this task.
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let answering = answering.clone();
                clients.spawn(async move {
                    let _permit = permit;
                    // Whoever it was: what came of it, the authority tells.
                    let ended = timeout(LIFE, answering.answer(stream)).await;
                    debug!(event = "acme_asked", %peer, ?ended, "somebody has looked for an answer");
                });
            }
            Err(why) => {
                warn!(event = "accept_failed", reason = %why, "the authority's connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// How answers are given.
#[derive(Clone)]
pub enum Answering {
    /// Over HTTP.
    Http(Arc<Pending>),
    /// In a TLS handshake.
    Tls(TlsAcceptor),
}

impl Answering {
    /// Answers of `pending`, as `challenge` wants them.
    ///
    /// # Errors
    /// rustls has not what it needs.
    pub fn new(challenge: Challenge, pending: &Arc<Pending>) -> Result<Self, rustls::Error> {
        if challenge == Challenge::Http01 {
            return Ok(Self::Http(Arc::clone(pending)));
        }
        let mut config = ServerConfig::builder_with_provider(crate::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Shown(Arc::clone(pending))));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        Ok(Self::Tls(TlsAcceptor::from(Arc::new(config))))
    }

    async fn answer(&self, stream: TcpStream) -> io::Result<()> {
        match self {
            Self::Http(pending) => {
                let service = service_fn(move |request| std::future::ready(say(pending, &request)));
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .keep_alive(false)
                    .header_read_timeout(LIFE)
                    .max_headers(MAX_FIELDS)
                    .max_buf_size(MAX_HEADER_BYTES)
                    .serve_connection(TokioIo::new(stream), service);
                connection.await.map_err(io::Error::other)
            }
            // The handshake is all there is (RFC 8737 §3).
            Self::Tls(acceptor) => acceptor.accept(stream).await?.shutdown().await,
        }
    }
}

fn say<B>(pending: &Pending, request: &Request<B>) -> Result<Response<Body>, Infallible> {
    let asks = request.method() == Method::GET;
    let found = asks.then(|| pending.over_http(request.uri().path())).flatten();
    let mut response = Response::new(Body::empty());
    match found {
        Some(authorization) => {
            let kind = HeaderValue::from_static("application/octet-stream");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            *response.body_mut() = Body::from(authorization);
        }
        None => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(response)
}

#[cfg(test)]
mod tests;
