//! A connection to a provider's server: made, protected, read and written within its time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quell_mail::trace::Tls as Negotiated;
use quell_relay::route::Host;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::account::{Account, Server, Tls};
use super::trouble::{Kind, Trouble};
use crate::deliver::resolver::Resolver;
use crate::deliver::tls::{in_words, is_of_tls, trusting};
use crate::tls::negotiated;

/// One address is tried for so long.
const CONNECT: Duration = Duration::from_secs(30);
/// A handshake takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// What is written is taken by then.
const WRITE: Duration = Duration::from_secs(60);
/// Addresses of one host that are tried.
const MAX_ADDRESSES: usize = 8;

/// What a connection is made of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> Stream for S {}

/// An open connection.
pub struct Link {
    stream: Option<Box<dyn Stream>>,
    name: ServerName<'static>,
    config: Option<Arc<ClientConfig>>,
    /// Where it leads.
    pub address: IpAddr,
    /// What protects it.
    pub tls: Option<Negotiated>,
}

impl Link {
    /// Connects, with TLS if that begins at once.
    ///
    /// # Errors
    /// [`Kind::Net`], [`Kind::Tls`].
    pub async fn open(account: &Account, resolver: &Resolver) -> Result<Self, Trouble> {
        let server = &account.server;
        let stream = connect(server, resolver).await?;
        let set = stream.set_nodelay(true);
        let address = set.and_then(|()| stream.peer_addr()).map_err(|why| net(server, &why))?;
        let config = match server.tls {
            Tls::Never => None,
            _ => {
                let made = account.client.get_or_init(|| trusting(account.authorities.clone())).clone();
                Some(made.map_err(|why| Trouble::new(Kind::Tls, why))?)
            }
        };
        let name = match &server.host {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) => {
                let name = ServerName::try_from(name.clone());
                name.map_err(|why| Trouble::new(Kind::Tls, format!("{}: {why}", server.host())))?
            }
        };
        let ip = address.ip().to_canonical();
        let mut link = Self { stream: Some(Box::new(stream)), name, config, address: ip, tls: None };
        if server.tls == Tls::Implicit {
            link.secure().await?;
        }
        Ok(link)
    }

    /// Makes it TLS.
    ///
    /// # Errors
    /// [`Kind::Tls`], [`Kind::Net`]; the connection is then gone.
    pub async fn secure(&mut self) -> Result<(), Trouble> {
        let gone = || Trouble::new(Kind::Net, "the connection is gone");
        let (stream, config) = self.stream.take().zip(self.config.clone()).ok_or_else(gone)?;
        let connecting = TlsConnector::from(config).connect(self.name.clone(), stream);
        let stream = match timeout(HANDSHAKE, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(why)) => {
                // A server that goes away in the middle says nothing of its certificate.
                let kind = if is_of_tls(&why) { Kind::Tls } else { Kind::Net };
                return Err(Trouble::new(
                    kind,
                    format!("TLS with {} failed: {}", self.name.to_str(), in_words(&why)),
                ));
            }
            Err(_) => return Err(Trouble::new(Kind::Net, "the TLS handshake takes too long")),
        };
        let connection = stream.get_ref().1;
        self.tls = negotiated(connection.protocol_version(), connection.negotiated_cipher_suite());
        self.stream = Some(Box::new(stream));
        Ok(())
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// Those of the system, or that it took too long.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        timeout(WRITE, async {
            stream.write_all(bytes).await?;
            stream.flush().await
        })
        .await?
    }

    /// Reads what is there, or comes; 0 at the end. Safe to be dropped while it waits.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.read(buffer).await
    }

    /// The connection itself.
    pub fn into_stream(mut self) -> Option<Box<dyn Stream>> {
        self.stream.take()
    }

    /// Closes, without waiting for the other side.
    pub async fn close(mut self) {
        if let Some(stream) = &mut self.stream {
            // It may be gone already.
            let _gone = timeout(Duration::from_secs(1), stream.shutdown()).await;
        }
    }
}

async fn connect(server: &Server, resolver: &Resolver) -> Result<TcpStream, Trouble> {
    let addresses: Vec<IpAddr> = match &server.host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => {
            let found = resolver.configured(name).await;
            found.map_err(|why| Trouble::new(Kind::Net, format!("{name} is not found: {why}")))?
        }
    };
    let mut last = Trouble::new(Kind::Net, format!("{} has no address", server.host()));
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        match timeout(CONNECT, TcpStream::connect(SocketAddr::new(address, server.port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(why)) => last = net(server, &why),
            Err(_) => last = net(server, &io::ErrorKind::TimedOut.into()),
        }
    }
    Err(last)
}

fn net(server: &Server, why: &io::Error) -> Trouble {
    Trouble::new(Kind::Net, format!("no connection to {server}: {why}"))
}
