//! A connection of the load's own, in the clear or in TLS 1.3: one read(2) and one write(2) each time, since
//! what the load takes of the processors the servers lack.

use crate::support::tls::NAME;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, HandshakeKind, RootCertStore};
use rustls::{ServerConfig, ServerConnection};
use std::io::{ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

/// Trusts the authority in this file alone. Without `resumes` each handshake is a whole one.
pub fn client_config(ca: &Path, resumes: bool) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).expect("an authority")).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    let mut config = config.expect("TLS 1.3").with_root_certificates(roots).with_no_client_auth();
    if !resumes {
        config.resumption = rustls::client::Resumption::disabled();
    }
    Arc::new(config)
}

/// With this certificate; sessions can be resumed.
pub fn server_config(chain: &Path, key: &Path) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(chain).expect("a chain").collect::<std::result::Result<_, _>>();
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    let config = config.expect("TLS 1.3").with_no_client_auth();
    let mut config = config.with_single_cert(chain.expect("a chain"), key).expect("a certificate");
    config.ticketer = rustls::crypto::ring::Ticketer::new().expect("random numbers");
    Arc::new(config)
}

/// A blocking socket, with TLS on it or not.
pub struct Line {
    stream: TcpStream,
    tls: Option<Connection>,
}

impl Line {
    pub fn plain(stream: TcpStream) -> Self {
        Line { stream, tls: None }
    }

    /// Says the first word of a handshake.
    pub fn client(stream: TcpStream, config: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from(NAME).expect("a name");
        let tls = ClientConnection::new(Arc::clone(config), name).expect("a client");
        let mut line = Line { stream, tls: Some(tls.into()) };
        line.flush().expect("written");
        line
    }

    /// Waits for the first word of a handshake.
    pub fn server(stream: TcpStream, config: &Arc<ServerConfig>) -> Self {
        let tls = ServerConnection::new(Arc::clone(config)).expect("a server");
        Line { stream, tls: Some(tls.into()) }
    }

    /// Writes all of it; until the handshake is done it waits for that.
    pub fn say(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(tls) = &mut self.tls else { return self.stream.write_all(bytes) };
        tls.writer().write_all(bytes)?;
        self.flush()
    }

    /// One read; what came of the other side's words is put behind `into`. False when the other side has closed.
    pub fn read(&mut self, buffer: &mut [u8], into: &mut Vec<u8>) -> Result<bool> {
        let count = self.stream.read(buffer)?;
        let Some(tls) = &mut self.tls else {
            into.extend_from_slice(&buffer[..count]);
            return Ok(count > 0);
        };
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            tls.read_tls(&mut rest)?;
            tls.process_new_packets().map_err(std::io::Error::other)?;
            // It says that there is no more, or that the other side has taken its leave.
            match tls.reader().read_to_end(into) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        // The rest of a handshake, and what waited for it.
        self.flush()?;
        Ok(count > 0)
    }

    /// Whether the handshake took up an earlier session.
    pub fn has_resumed(&self) -> bool {
        self.tls.as_ref().and_then(|tls| tls.handshake_kind()) == Some(HandshakeKind::Resumed)
    }

    fn flush(&mut self) -> Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            tls.write_tls(&mut self.stream)?;
        }
        Ok(())
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
