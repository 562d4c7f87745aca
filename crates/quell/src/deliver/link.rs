//! A connection to a next hop: bytes out and in, each within its time.

use std::io;
use std::time::Duration;

use quell_relay::attempt::{Address, CONNECT_SECS, Target};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

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
    stream: Box<dyn Stream>,
    gathered: Vec<u8>,
    input: Vec<u8>,
    alarm: Alarm,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::TimedOut`] after [`CONNECT_SECS`].
    pub async fn connect(target: &Target) -> io::Result<Self> {
        let stream: Box<dyn Stream> = match &target.address {
            Address::Tcp(address) => {
                let stream = timeout(CONNECT_WITHIN, TcpStream::connect(address)).await??;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Address::Unix(path) => Box::new(timeout(CONNECT_WITHIN, UnixStream::connect(path)).await??),
        };
        Ok(Self { stream, gathered: Vec::new(), input: vec![0; READ_BYTES], alarm: Alarm::default() })
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
        timeout(within, self.stream.write_all(&self.gathered)).await??;
        self.gathered.clear();
        Ok(())
    }

    /// Reads what is there, or comes by `by`; nothing at the end of the connection.
    ///
    /// # Errors
    /// As [`Link::flush`].
    pub async fn read(&mut self, by: Instant) -> io::Result<&[u8]> {
        let n = tokio::select! {
            biased;
            read = self.stream.read(&mut self.input) => read?,
            () = self.alarm.at(by) => return Err(io::ErrorKind::TimedOut.into()),
        };
        Ok(self.input.get(..n).unwrap_or_default())
    }

    /// Closes, without waiting for the other side.
    pub async fn close(mut self) {
        // It may be gone already.
        let _gone = timeout(Duration::from_secs(1), self.stream.shutdown()).await;
    }
}
