//! Dovecot is asked who may sign in: its authentication protocol, version 1.2, over the Unix socket
//! `auth-client`. Each exchange has a connection to itself; some are kept for the next.

pub mod line;
#[cfg(test)]
mod tests;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use self::line::{Line, Lines, MAJOR, MAX_LINE_BYTES, Malformed};

/// Each step of an exchange. Dovecot itself makes those wait who failed before, up to 15 s.
const STEP: Duration = Duration::from_secs(30);
/// Connecting and the greeting.
const GREETING: Duration = Duration::from_secs(5);
/// Exchanges at a time.
const AT_ONCE: usize = 64;
/// Connections kept for the next exchange.
const KEPT: usize = 4;
/// Which mechanisms there are is asked anew after this time.
const OFFER: Duration = Duration::from_secs(60);
/// Lines of a greeting.
const MAX_GREETING_LINES: usize = 256;
/// Mechanisms that we could pass on; others are not remembered.
const KNOWN: [&str; 4] = ["PLAIN", "LOGIN", "SCRAM-SHA-256", "OAUTHBEARER"];

/// Why Dovecot said nothing.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The socket.
    #[error("Dovecot's socket {}: {}", .0.display(), .1)]
    Socket(PathBuf, #[source] io::Error),
    /// No answer in time.
    #[error("Dovecot has not answered in time")]
    TooLate,
    /// It is no such protocol.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The versions do not fit together.
    #[error("Dovecot speaks version {0} of its protocol, quell {MAJOR}")]
    Version(u32),
    /// What the client said does not fit into a line.
    #[error("the client's message is too long for Dovecot")]
    TooLong,
    /// Dovecot's own trouble.
    #[error("Dovecot has trouble of its own; its log says more")]
    Temporary,
    /// Too many at a time.
    #[error("too many sign-ins are under way at Dovecot")]
    Busy,
}

/// Where an exchange stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The client must answer this.
    Continue(Vec<u8>),
    /// Signed in, under this name.
    Yes(String),
    /// Not signed in.
    No,
}

/// Dovecot, at a socket.
#[derive(Debug)]
pub struct Dovecot {
    path: PathBuf,
    room: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    offer: Mutex<Option<(Instant, Vec<&'static str>)>>,
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    lines: Lines,
    next_id: u32,
}

/// An exchange under way.
#[derive(Debug)]
pub struct Exchange<'a> {
    dovecot: &'a Dovecot,
    connection: Option<Connection>,
    id: u32,
    _room: OwnedSemaphorePermit,
}

impl Dovecot {
    /// The Dovecot that listens at `path`.
    pub fn at(path: &Path) -> Self {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        Self { path: path.to_owned(), room, idle: Mutex::default(), offer: Mutex::default() }
    }

    /// Which mechanisms it offers, of those that we know.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn mechanisms(&self) -> Result<Vec<&'static str>, Trouble> {
        if let Some((at, offer)) = self.offer()
            && at.elapsed() < OFFER
        {
            return Ok(offer);
        }
        let connection = self.connect().await?;
        self.keep(connection);
        Ok(self.offer().map(|(_, offer)| offer).unwrap_or_default())
    }

    fn offer(&self) -> Option<(Instant, Vec<&'static str>)> {
        self.offer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins an exchange. `mechanism`: one of those offered. `addresses`: the client's, and the one it
    /// came to. The session is protected by TLS.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn begin(
        &self,
        mechanism: &str,
        addresses: Option<(IpAddr, IpAddr)>,
        initial: Option<&[u8]>,
    ) -> Result<(Step, Exchange<'_>), Trouble> {
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| Trouble::Busy)?;
        let texts = addresses.map(|(remote, local)| (remote.to_string(), local.to_string()));
        let texts = texts.as_ref().map(|(remote, local)| (remote.as_str(), local.as_str()));
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(connection) = kept {
            match self.ask(connection, mechanism, texts, initial).await {
                // Dovecot has been started anew, or has closed what lay idle: it is asked once more.
                Err(Trouble::Socket(..)) => {}
                other => return other.map(|found| self.exchange(found, room)),
            }
        }
        let connection = self.connect().await?;
        let found = self.ask(connection, mechanism, texts, initial).await?;
        Ok(self.exchange(found, room))
    }

    fn exchange(
        &self,
        (step, id, connection): (Step, u32, Connection),
        room: OwnedSemaphorePermit,
    ) -> (Step, Exchange<'_>) {
        let mut exchange = Exchange { dovecot: self, connection: Some(connection), id, _room: room };
        exchange.settle(&step);
        (step, exchange)
    }

    async fn ask(
        &self,
        mut connection: Connection,
        mechanism: &str,
        addresses: Option<(&str, &str)>,
        initial: Option<&[u8]>,
    ) -> Result<(Step, u32, Connection), Trouble> {
        let id = connection.next_id;
        connection.next_id = id.checked_add(1).unwrap_or(1);
        let line = line::auth(id, mechanism, addresses, initial);
        let step = self.step(&mut connection, id, &line).await?;
        Ok((step, id, connection))
    }

    /// Sends a line, and waits for what is said of the request.
    async fn step(&self, connection: &mut Connection, id: u32, line: &str) -> Result<Step, Trouble> {
        if line.len() > MAX_LINE_BYTES {
            return Err(Trouble::TooLong);
        }
        let said = timeout(STEP, async {
            self.io(connection.stream.write_all(line.as_bytes()).await)?;
            loop {
                match self.read(connection).await? {
                    Line::Ok { id: of, user } if of == id => return Ok(user.map_or(Step::No, Step::Yes)),
                    Line::Continue { id: of, data } if of == id => return Ok(Step::Continue(data)),
                    Line::Fail { id: of, temporary: true } if of == id => return Err(Trouble::Temporary),
                    Line::Fail { id: of, .. } if of == id => return Ok(Step::No),
                    _ => {}
                }
            }
        });
        said.await.map_err(|_| Trouble::TooLate)?
    }

    async fn connect(&self) -> Result<Connection, Trouble> {
        let greeted = timeout(GREETING, async {
            let mut stream = self.io(UnixStream::connect(&self.path).await)?;
            self.io(stream.write_all(line::greeting(std::process::id()).as_bytes()).await)?;
            let mut connection = Connection { stream, lines: Lines::default(), next_id: 1 };
            let mut offer = Vec::new();
            for _ in 0..MAX_GREETING_LINES {
                match self.read(&mut connection).await? {
                    Line::Version(major) if major != MAJOR => return Err(Trouble::Version(major)),
                    Line::Mechanism(name) => offer.extend(KNOWN.into_iter().filter(|known| *known == name)),
                    Line::Done => {
                        let mut known = self.offer.lock().unwrap_or_else(PoisonError::into_inner);
                        *known = Some((Instant::now(), offer));
                        return Ok(connection);
                    }
                    _ => {}
                }
            }
            Err(Trouble::Malformed(Malformed::Line))
        });
        greeted.await.map_err(|_| Trouble::TooLate)?
    }

    async fn read(&self, connection: &mut Connection) -> Result<Line, Trouble> {
        loop {
            if let Some(line) = connection.lines.next_line()? {
                return Ok(line::parse(&line)?);
            }
            let mut bytes = [0; 4096];
            let len = self.io(connection.stream.read(&mut bytes).await)?;
            if len == 0 {
                return self.io(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            connection.lines.push(bytes.get(..len).unwrap_or_default());
        }
    }

    fn io<T>(&self, done: io::Result<T>) -> Result<T, Trouble> {
        done.map_err(|why| Trouble::Socket(self.path.clone(), why))
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT && connection.lines.is_empty() {
            idle.push(connection);
        }
    }
}

impl Exchange<'_> {
    /// The client's answer to a [`Step::Continue`].
    ///
    /// # Errors
    /// [`Trouble`]; the exchange is over.
    pub async fn answer(&mut self, data: &[u8]) -> Result<Step, Trouble> {
        let Some(mut connection) = self.connection.take() else { return Ok(Step::No) };
        let step = self.dovecot.step(&mut connection, self.id, &line::more(self.id, data)).await?;
        self.connection = Some(connection);
        self.settle(&step);
        Ok(step)
    }

    /// The client has had enough.
    pub async fn cancel(mut self) {
        if let Some(mut connection) = self.connection.take() {
            // The connection is not used again; whether Dovecot hears it matters little.
            let _ = timeout(GREETING, connection.stream.write_all(line::cancel(self.id).as_bytes())).await;
        }
    }

    fn settle(&mut self, step: &Step) {
        if !matches!(step, Step::Continue(_))
            && let Some(connection) = self.connection.take()
        {
            self.dovecot.keep(connection);
        }
    }
}
