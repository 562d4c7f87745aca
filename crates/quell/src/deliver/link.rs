//! A connection to a next hop: bytes out and in, each within its time.

use std::io;
use std::time::Duration;

use quell_relay::attempt::{Address, CONNECT_SECS, Target};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use super::session::in_words;
use super::tls::Clients;
use crate::server::alarm::Alarm;

/// A host that does not answer by then is given up, and the next is tried.
const CONNECT_WITHIN: Duration = Duration::from_secs(CONNECT_SECS);
/// Bytes that may wait here before they are written.
const GATHERED_BYTES: usize = 64 << 10;
/// Bytes read at a time.
const READ_BYTES: usize = 8 << 10;

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// An open connection. What is to be written is gathered until something is to be read, so that a
/// message and the commands around it go out together.
pub struct Link {
    /// None: a handshake failed on it.
    stream: Option<Box<dyn Stream>>,
    gathered: Vec<u8>,
    input: Vec<u8>,
    alarm: Alarm,
}

impl Link {
    /// Connects; for implicit TLS with its handshake, and what was negotiated.
    ///
    /// # Errors
    /// Why there is no connection, in words for the operator.
    pub async fn connect(target: &Target, clients: &Clients) -> Result<(Self, Option<String>), String> {
        let mut link = Self::open(target).await.map_err(|why| in_words(&why))?;
        if !target.tls.implicit {
            return Ok((link, None));
        }
        let facts = link.secure(target, clients).await.map_err(|why| format!("TLS failed: {why}"))?;
        Ok((link, Some(facts)))
    }

    /// Makes it TLS: what was negotiated. Nothing may be gathered.
    ///
    /// # Errors
    /// Why it cannot be, in words for the operator; the link is of no more use.
    pub async fn secure(&mut self, target: &Target, clients: &Clients) -> Result<String, String> {
        let stream = self.stream.take().ok_or("it is gone")?;
        let (stream, facts) = clients.connect(target, stream).await?;
        self.stream = Some(Box::new(stream));
        Ok(facts)
    }

    async fn open(target: &Target) -> io::Result<Self> {
        let stream: Box<dyn Stream> = match &target.address {
            Address::Tcp(address) => {
                let stream = timeout(CONNECT_WITHIN, TcpStream::connect(address)).await??;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Address::Unix(path) => Box::new(timeout(CONNECT_WITHIN, UnixStream::connect(path)).await??),
        };
        Ok(Self {
            stream: Some(stream),
            gathered: Vec::new(),
            input: vec![0; READ_BYTES],
            alarm: Alarm::default(),
        })
    }

    /// Gathers bytes. True: there are so many that they must be written before more are gathered.
    #[must_use]
    pub fn gather(&mut self, bytes: &[u8]) -> bool {
        self.gathered.extend_from_slice(bytes);
        self.gathered.len() >= GATHERED_BYTES
    }

    /// Writes what is gathered, within `within`.
    ///
    /// # Errors
    /// Those of the system, or that it took too long.
    pub async fn flush(&mut self, within: Duration) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let written = async {
            stream.write_all(&self.gathered).await?;
            stream.flush().await
        };
        timeout(within, written).await??;
        self.gathered.clear();
        Ok(())
    }

    /// Reads what is there, or comes by `by`; nothing at the end of the connection.
    ///
    /// # Errors
    /// As [`Link::flush`].
    pub async fn read(&mut self, by: Instant) -> io::Result<&[u8]> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let n = tokio::select! {
            biased;
            read = stream.read(&mut self.input) => read?,
            () = self.alarm.at(by) => return Err(io::ErrorKind::TimedOut.into()),
        };
        Ok(self.input.get(..n).unwrap_or_default())
    }

    /// Closes, without waiting for the other side.
    pub async fn close(mut self) {
        if let Some(stream) = &mut self.stream {
            // It may be gone already.
            let _gone = timeout(Duration::from_secs(1), stream.shutdown()).await;
        }
    }
}
