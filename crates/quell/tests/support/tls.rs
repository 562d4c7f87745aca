//! A blocking client that speaks TLS, with a certificate authority of the test's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::TempDir;
use super::authority::Authority;

/// The name in the server's certificate.
pub const NAME: &str = "mx.firm.example";
const LIMIT: Duration = Duration::from_secs(30);

/// The files of an authority and of the certificate it issued for [`NAME`].
pub struct Files {
    pub authority: Authority,
    /// The authority's certificate.
    pub ca: PathBuf,
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Files {
    pub fn make(directory: &TempDir) -> Self {
        let folder = directory.join("tls");
        std::fs::create_dir_all(&folder).expect("a directory");
        let authority = Authority::new();
        let (chain, key) = authority.issue(&folder, &[NAME], (-1, 90));
        let ca = folder.join("ca.pem");
        std::fs::write(&ca, &authority.pem).expect("a file");
        Self { authority, ca, chain, key }
    }

    /// `[tls]` for the server's configuration.
    pub fn settings(&self) -> String {
        format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", self.chain, self.key)
    }

    /// Trusts this authority alone.
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).expect("PEM"))
            .expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        Arc::new(config.expect("versions").with_root_certificates(roots).with_no_client_auth())
    }
}

/// A secured connection.
pub struct Secure(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Secure {
    /// Does the handshake.
    pub fn handshake(stream: TcpStream, config: Arc<ClientConfig>) -> std::io::Result<Self> {
        stream.set_read_timeout(Some(LIMIT))?;
        let name = ServerName::try_from(NAME).expect("a name");
        let connection = ClientConnection::new(config, name).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(BufReader::new(stream)))
    }

    /// The server's own certificate, in DER.
    pub fn certificate(&self) -> Vec<u8> {
        let connection = &self.0.get_ref().conn;
        connection.peer_certificates().expect("a certificate")[0].to_vec()
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes)?;
        self.0.get_mut().flush()
    }

    /// One reply, all its lines.
    pub fn reply(&mut self) -> std::io::Result<String> {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let last = line.as_bytes().get(3) != Some(&b'-');
            text += &line;
            if last {
                return Ok(text);
            }
        }
    }

    /// A command and its reply.
    pub fn command(&mut self, line: &str) -> std::io::Result<String> {
        self.send(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// All that comes until the server closes.
    pub fn rest(mut self) -> String {
        let mut text = String::new();
        // A connection that is cut without TLS's own end counts as closed.
        let _cut = self.0.read_to_string(&mut text);
        text
    }
}

/// In the clear up to the answer to STARTTLS; `with_it` goes out in the same packet as STARTTLS.
pub fn starttls(port: u16, with_it: &[u8]) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    (&stream).write_all(b"EHLO before.example\r\n")?;
    loop {
        line.clear();
        lines.read_line(&mut line)?;
        if line.starts_with("250 ") {
            break;
        }
    }
    (&stream).write_all(&[b"STARTTLS\r\n", with_it].concat())?;
    line.clear();
    lines.read_line(&mut line)?;
    assert!(line.starts_with("220 ") && lines.buffer().is_empty(), "{line}");
    Ok(stream)
}
