//! The command's end of the control socket; blocking.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{MAX_ANSWER_BYTES, short_name};
use crate::ops::{Request, Response};

/// Longest wait for an answer; the server gives up on its desk after half of it.
const WAIT: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens: no server runs, or it has just stopped.
    #[error("no server listens at the control socket")]
    NobodyThere,
    /// The socket is not ours to use.
    #[error("the control socket may be used by the server's own user and root only")]
    NotAllowed,
    /// It listens, and does not answer.
    #[error("the server does not answer at its control socket: {0}")]
    Silent(#[source] io::Error),
    /// What came is no answer of this version.
    #[error("the server's answer cannot be read ({0}); is it of another version?")]
    Strange(String),
}

/// A connection to the running server.
#[derive(Debug)]
pub struct Client {
    read: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// [`ClientError::NobodyThere`] where no server runs.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = short_name(path).and_then(|(name, _dir)| UnixStream::connect(name));
        let stream = stream.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NobodyThere,
            io::ErrorKind::PermissionDenied => ClientError::NotAllowed,
            _ => ClientError::Silent(e),
        })?;
        stream.set_read_timeout(Some(WAIT)).map_err(ClientError::Silent)?;
        stream.set_write_timeout(Some(WAIT)).map_err(ClientError::Silent)?;
        Ok(Self::on(stream))
    }

    pub(super) fn on(stream: UnixStream) -> Self {
        Self { read: BufReader::new(stream) }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`ClientError`]; the connection is then of no more use.
    pub fn ask(&mut self, request: &Request) -> Result<Response, ClientError> {
        let strange = |e: serde_json::Error| ClientError::Strange(e.to_string());
        let mut line = serde_json::to_vec(request).map_err(strange)?;
        line.push(b'\n');
        self.read.get_mut().write_all(&line).map_err(ClientError::Silent)?;
        line.clear();
        let mut answer = (&mut self.read).take(MAX_ANSWER_BYTES);
        answer.read_until(b'\n', &mut line).map_err(ClientError::Silent)?;
        if line.is_empty() {
            return Err(ClientError::Silent(io::ErrorKind::UnexpectedEof.into()));
        }
        serde_json::from_slice(&line).map_err(strange)
    }
}
