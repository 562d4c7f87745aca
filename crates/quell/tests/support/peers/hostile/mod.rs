//! A server of POP3 or IMAP that does what none should. Without faults it serves as one should.

mod imap;
mod pop3;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// What is sent without end ends here: whoever takes so much has no limit.
const ENDLESS_BYTES: u64 = 2 << 30;
/// Lines of the clients that are kept.
const MAX_SAID: usize = 200_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Pop3,
    Imap,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    Nothing,
    /// Lists so many messages, and closes when one is asked for.
    ListsMany(u64),
    /// The answer to STAT, or to SELECT.
    LineWithoutEnd,
    MessageWithoutEnd,
    /// Every message is said to have this size.
    SaysSize(u64),
    /// IMAP: a literal of so many bytes is announced for a message, and then nothing comes.
    AnnouncesLiteral(u64),
    /// IMAP: SELECT is answered under another's tag, too.
    WrongTag,
    /// POP3: all messages have one UIDL.
    SameUidl,
    /// POP3: it knows no UIDL.
    NoUidl,
    /// No greeting.
    Silent,
    /// More answers stand in the packet with the OK to STLS or STARTTLS. Needs a certificate.
    InjectsBeforeTls,
    /// The second message cannot be had.
    RefusesTheSecond,
    /// The first two messages cannot be had.
    RefusesTheFirstTwo,
    /// It goes when it is asked for the second message.
    EndsAtTheSecond,
    /// The second message comes, and is empty.
    EmptiesTheSecond,
    /// POP3: it knows neither CAPA nor UIDL.
    NoCapa,
    /// POP3: nothing is deleted.
    RefusesDele,
    /// POP3: QUIT deletes what was fetched (EXPIRE 0); the second message cannot be taken, for 100 stamps.
    DeletesFetched,
    /// IMAP: BAD to IDLE.
    RefusesIdle,
    /// IMAP: it goes at IDLE.
    EndsAtIdle,
    /// IMAP: another message comes while the first is fetched, and is told of once, then.
    TellsEarly,
    /// IMAP: the first listing leaves the last message out; IDLE tells of something, once.
    ListsLate,
    /// IMAP: no UIDPLUS, and NO to SEARCH.
    RefusesSearch,
    /// IMAP: no more than so many bytes of a message at a time.
    ShortSlices(usize),
    /// IMAP: sizes are wrong until a message is fetched.
    CorrectsSizes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its UIDL; over IMAP its UID is a number of its own.
    pub uidl: String,
    pub content: Vec<u8>,
    uid: u32,
}

/// Takes every name and password. Runs until dropped.
pub struct Hostile {
    /// On 127.0.0.1.
    pub port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    protocol: Protocol,
    tls: Option<Arc<ServerConfig>>,
    state: Mutex<State>,
    stopped: AtomicBool,
}

struct State {
    does: Does,
    messages: Vec<Message>,
    uid_validity: u32,
    next_uid: u32,
    said: Vec<String>,
    sessions: usize,
    streams: Vec<TcpStream>,
    /// What is done once was done.
    done: bool,
}

impl Hostile {
    /// Chain and key of a certificate: then it offers TLS.
    pub fn start(protocol: Protocol, does: Does, certificate: Option<&(PathBuf, PathBuf)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (messages, said, streams) = (Vec::new(), Vec::new(), Vec::new());
        let state =
            State { does, messages, uid_validity: 1, next_uid: 1, said, sessions: 0, streams, done: false };
        let shared = Arc::new(Shared {
            protocol,
            tls: certificate.map(config),
            state: Mutex::new(state),
            stopped: AtomicBool::new(false),
        });
        let inner = Arc::clone(&shared);
        let thread = std::thread::spawn(move || inner.listen(&listener));
        Self { port, shared, thread: Some(thread) }
    }

    pub fn does(&self, does: Does) {
        self.shared.state().does = does;
    }

    /// Adds a message.
    pub fn deliver(&self, uidl: &str, content: &[u8]) {
        let mut state = self.shared.state();
        let (uid, content) = (state.next_uid, content.to_vec());
        state.next_uid += 1;
        state.messages.push(Message { uidl: uidl.to_owned(), content, uid });
    }

    /// Puts these in the place of all messages; their UIDs begin with 1, under the UIDVALIDITY that there is.
    pub fn replace(&self, uidl: &str, content: &[u8]) {
        let mut state = self.shared.state();
        (state.messages, state.next_uid) = (Vec::new(), 1);
        drop(state);
        self.deliver(uidl, content);
    }

    /// IMAP: all UIDs count anew, from 1.
    pub fn reset_uidvalidity(&self) {
        let mut state = self.shared.state();
        state.uid_validity += 1;
        for (message, uid) in state.messages.iter_mut().zip(1..) {
            message.uid = uid;
        }
        state.next_uid = state.messages.len() as u32 + 1;
    }

    /// The UIDLs of what lies there.
    pub fn left(&self) -> Vec<String> {
        self.shared.state().messages.iter().map(|message| message.uidl.clone()).collect()
    }

    /// All lines of all clients.
    pub fn said(&self) -> Vec<String> {
        self.shared.state().said.clone()
    }

    /// How often somebody has connected.
    pub fn sessions(&self) -> usize {
        self.shared.state().sessions
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        for stream in self.shared.state().streams.drain(..) {
            // Fails only for one that has ended by itself.
            let _ended = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_some_and(|ended| ended.is_ok()), "hostile");
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            let stream = stream.expect("a connection");
            let mut state = self.state();
            state.sessions += 1;
            let clone = || stream.try_clone().expect("a stream");
            state.streams.push(clone());
            drop(state);
            let end = clone();
            let shared = Arc::clone(self);
            std::thread::spawn(move || {
                let wire = Wire { stream: Some(BufReader::new(Stream::Plain(stream))), shared };
                // A client may go when it likes.
                let _gone = match wire.shared.protocol {
                    Protocol::Pop3 => pop3::serve(wire),
                    Protocol::Imap => imap::serve(wire),
                };
                // A copy of it is kept.
                let _gone = end.shutdown(Shutdown::Both);
            });
        }
    }
}

fn config((chain, key): &(PathBuf, PathBuf)) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(chain).expect("a chain").map(|one| one.expect("PEM")).collect();
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(chain, key);
    Arc::new(config.expect("a certificate"))
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A connection with a client.
struct Wire {
    /// Taken only while TLS begins.
    stream: Option<BufReader<Stream>>,
    shared: Arc<Shared>,
}

fn gone() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

impl Wire {
    fn does(&self) -> Does {
        self.shared.state().does
    }

    fn reader(&mut self) -> io::Result<&mut BufReader<Stream>> {
        self.stream.as_mut().ok_or_else(gone)
    }

    /// The next line of the client's.
    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        if self.reader()?.read_until(b'\n', &mut line)? == 0 {
            return Err(gone());
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let mut state = self.shared.state();
        if state.said.len() < MAX_SAID {
            state.said.push(line.clone());
        }
        Ok(line)
    }

    fn exactly(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut all = vec![0; bytes];
        self.reader()?.read_exact(&mut all)?;
        Ok(all)
    }

    fn say(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        let stream = self.reader()?.get_mut();
        stream.write_all(text.as_ref())?;
        stream.flush()
    }

    /// Says this again and again, until the client goes.
    fn endless(&mut self, piece: &[u8]) -> io::Result<()> {
        let many = piece.repeat((64 << 10) / piece.len());
        let mut sent = 0;
        while sent < ENDLESS_BYTES {
            self.say(&many)?;
            sent += many.len() as u64;
        }
        Err(gone())
    }

    /// Lines that are made one by one.
    fn lines(&mut self, lines: impl Iterator<Item = String>) -> io::Result<()> {
        let mut text = String::new();
        for line in lines {
            text += &line;
            if text.len() > 64 << 10 {
                self.say(&text)?;
                text.clear();
            }
        }
        self.say(&text)
    }

    /// Says nothing more, until the client goes.
    fn silent(&mut self) -> io::Result<()> {
        loop {
            self.line()?;
        }
    }

    fn begin_tls(&mut self) -> io::Result<()> {
        let config = self.shared.tls.clone().ok_or_else(gone)?;
        let Some(Stream::Plain(stream)) = self.stream.take().map(BufReader::into_inner) else {
            return Err(gone());
        };
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        let stream = Stream::Tls(Box::new(StreamOwned::new(connection, stream)));
        self.stream = Some(BufReader::new(stream));
        Ok(())
    }

    /// True the first time, for all sessions.
    fn once(&self) -> bool {
        !std::mem::replace(&mut self.shared.state().done, true)
    }

    /// Takes away what the client has deleted.
    fn remove(&self, uids: &[u32]) {
        self.shared.state().messages.retain(|message| !uids.contains(&message.uid));
    }
}
