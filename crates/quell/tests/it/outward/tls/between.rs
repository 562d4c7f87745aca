//! Somebody on the way between two servers: hands on what is said, and does something to STARTTLS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// Any port that is free.
const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What is done to STARTTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// Nothing.
    Pass,
    /// It is not among what is offered.
    Strip,
    /// It is answered 454.
    Refuse,
    /// It is answered 220, and then no TLS comes.
    Garble,
    /// More replies come in the packet with the 220.
    Inject,
}

/// Runs until dropped.
pub(super) struct Between {
    /// On 127.0.0.1.
    pub(super) port: u16,
    seen: Arc<Mutex<Vec<u8>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Between {
    /// In front of this port of 127.0.0.1.
    pub(super) fn start(port: u16, does: Does) -> Self {
        Self::run(HERE, move |client, seen| async move { on_the_way(client, port, does, seen).await })
    }

    /// TLS from the first byte on, for clients with a certificate by this authority; in the clear behind it.
    pub(super) fn start_tls(port: u16, certificate: &(PathBuf, PathBuf), ca: &Path) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(asks(certificate, ca)));
        Self::run(HERE, move |client, _| {
            let acceptor = acceptor.clone();
            async move {
                let mut client = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                copy_bidirectional(&mut client, &mut server).await.map(|_| ())
            }
        })
    }

    /// A web server that answers each request with what `answer` says at that time.
    pub(super) fn https(address: &str, certificate: &(PathBuf, PathBuf), answer: Arc<Mutex<String>>) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(plain(certificate)));
        let address = address.parse().expect("an address");
        Self::run(address, move |client, seen| {
            let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
            async move {
                let mut client = BufReader::new(acceptor.accept(client).await?);
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") && client.read_until(b'\n', &mut request).await? > 0 {}
                seen.lock().expect("no panic").extend_from_slice(&request);
                let answer = answer.lock().expect("no panic").clone();
                client.write_all(answer.as_bytes()).await?;
                client.shutdown().await
            }
        })
    }

    fn run<F, W>(address: SocketAddr, serve: F) -> Self
    where
        F: Fn(TcpStream, Arc<Mutex<Vec<u8>>>) -> W + Send + 'static,
        W: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (stop, mut stopped) = oneshot::channel();
        let (started, ready) = std::sync::mpsc::channel();
        let all = Arc::clone(&seen);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = TcpListener::bind(address).await.expect("a port");
                started.send(listener.local_addr().expect("an address").port()).expect("the test waits");
                loop {
                    tokio::select! {
                        _ = &mut stopped => return,
                        accepted = listener.accept() => {
                            let (client, _) = accepted.expect("a connection");
                            // Either side may go when it likes.
                            drop(tokio::spawn(serve(client, Arc::clone(&all))));
                        }
                    }
                }
            });
        });
        let port = ready.recv().expect("it listens");
        Self { port, seen, stop: Some(stop), thread: Some(thread) }
    }

    /// All that the clients said, as it went by.
    pub(super) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("no panic")).into_owned()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_some_and(|ended| ended.is_ok()), "on the way");
    }
}

/// Line by line until STARTTLS is agreed on, then all bytes.
async fn on_the_way(
    client: TcpStream,
    port: u16,
    does: Does,
    seen: Arc<Mutex<Vec<u8>>>,
) -> std::io::Result<()> {
    let server = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    let (from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let (mut from_client, mut from_server) = (BufReader::new(from_client), BufReader::new(from_server));
    to_client.write_all(&reply(&mut from_server).await?).await?;
    loop {
        let mut line = Vec::new();
        if from_client.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        seen.lock().expect("no panic").extend_from_slice(&line);
        let starttls = line.starts_with(b"STARTTLS");
        match does {
            Does::Refuse if starttls => {
                to_client.write_all(b"454 TLS not available\r\n").await?;
                continue;
            }
            Does::Garble if starttls => {
                to_client.write_all(b"220 go\r\n").await?;
                // All of it: what is left unread when a connection is closed resets it.
                let hello = from_client.fill_buf().await?.len();
                from_client.consume(hello);
                return to_client.write_all(b"500 5.5.2 what is that\r\n").await;
            }
            _ => to_server.write_all(&line).await?,
        }
        if line == b"DATA\r\n" || (starttls && does != Does::Strip) {
            let mut said = reply(&mut from_server).await?;
            if does == Does::Inject {
                said.extend_from_slice(b"250-mx\r\n250 SIZE 1\r\n550 5.1.1 nobody\r\n");
            }
            to_client.write_all(&said).await?;
            break;
        }
        // Commands may come many at a time: each has its reply.
        let said = String::from_utf8_lossy(&reply(&mut from_server).await?).into_owned();
        let said = if does == Does::Strip { said.replace("250-STARTTLS\r\n", "") } else { said };
        to_client.write_all(said.as_bytes()).await?;
    }
    let to_server = async {
        let mut buffer = vec![0; 4096];
        loop {
            let n = from_client.read(&mut buffer).await?;
            if n == 0 {
                return to_server.shutdown().await;
            }
            seen.lock().expect("no panic").extend_from_slice(&buffer[..n]);
            to_server.write_all(&buffer[..n]).await?;
        }
    };
    let to_client = async {
        tokio::io::copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::try_join!(to_server, to_client).map(|_| ())
}

/// One reply, all its lines.
async fn reply(from: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let start = all.len();
        if from.read_until(b'\n', &mut all).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if all.get(start + 3) != Some(&b'-') {
            return Ok(all);
        }
    }
}

/// Asks clients for a certificate.
fn asks(certificate: &(PathBuf, PathBuf), ca: &Path) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).expect("PEM")).expect("a root");
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(chain(certificate), PrivateKeyDer::from_pem_file(&certificate.1).expect("PEM"))
        .expect("a certificate")
}

/// A server without questions.
fn plain(certificate: &(PathBuf, PathBuf)) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain(certificate), PrivateKeyDer::from_pem_file(&certificate.1).expect("PEM"))
        .expect("a certificate")
}

fn chain(certificate: &(PathBuf, PathBuf)) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(&certificate.0).expect("PEM").map(|one| one.expect("PEM")).collect()
}
