//! The sink that counts: takes all mail as cheaply as `smtp-sink` does, and notes for each message and
//! recipient how often it came. One thread, epoll, a process of its own.
//!
//! `XCOUNT` in any session asks for the numbers. On a second port, if there is one, TLS begins at once.

use crate::line::{Line, server_config};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rustls::ServerConfig;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Instant;

/// First argument of this program in this part.
pub const ROLE: &str = "sink";
/// Different pairs of message and recipient that are told apart; at one more it ends, and the
/// measurement with it.
const MAX_PAIRS: usize = 4_000_000;
/// Connections at once; at one more it ends.
const MAX_CONNECTIONS: usize = 4096;
/// Longest line, and what a session may leave unread behind a message; at more it ends.
const MAX_LINE_BYTES: usize = 1 << 16;
const READ_BYTES: usize = 1 << 18;
const PLAIN: u64 = u64::MAX;
const TLS: u64 = u64::MAX - 1;

/// Serves 127.0.0.1 at the given port until it is killed, or its parent ends; with TLS at a second one, behind
/// which stand the files of a certificate and its key.
pub fn run(arguments: &[String]) {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).expect("prctl");
    let epoll = Epoll::new(EpollCreateFlags::empty()).expect("epoll");
    let plain = listen(&arguments[0], &epoll, PLAIN);
    let tls = arguments
        .get(1)
        .map(|port| (listen(port, &epoll, TLS), server_config(arguments[2].as_ref(), arguments[3].as_ref())));
    let mut sessions: Vec<Option<Session>> = Vec::new();
    let mut counts = Counts::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut events = [EpollEvent::empty(); 128];
    loop {
        let ready = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(ready) => ready,
            Err(nix::Error::EINTR) => continue,
            Err(error) => panic!("epoll: {error}"),
        };
        for event in &events[..ready] {
            match (event.data(), &tls) {
                (PLAIN, _) => {
                    accept(&plain, None, &epoll, &mut sessions);
                    continue;
                }
                (TLS, Some((listener, config))) => {
                    accept(listener, Some(config), &epoll, &mut sessions);
                    continue;
                }
                _ => {}
            }
            let slot = &mut sessions[event.data() as usize];
            let goes_on = slot.as_mut().is_some_and(|session| session.serve(&mut buffer, &mut counts));
            if !goes_on {
                // Closing takes it out of epoll.
                *slot = None;
            }
        }
    }
}

fn listen(port: &str, epoll: &Epoll, name: u64) -> TcpListener {
    let port: u16 = port.parse().expect("a port");
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, name)).expect("epoll");
    listener
}

fn accept(
    listener: &TcpListener,
    tls: Option<&Arc<ServerConfig>>,
    epoll: &Epoll,
    sessions: &mut Vec<Option<Session>>,
) {
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nodelay(true).expect("a socket");
        let index = stream.as_raw_fd() as usize;
        assert!(index < MAX_CONNECTIONS, "more than {MAX_CONNECTIONS} connections");
        if sessions.len() <= index {
            sessions.resize_with(index + 1, || None);
        }
        let line = match tls {
            Some(config) => Line::server(stream, config),
            None => Line::plain(stream),
        };
        let mut session = Session::new(line);
        if session.line.say(b"220 sink.example ESMTP\r\n").is_ok() {
            epoll.add(&session.line, EpollEvent::new(EpollFlags::EPOLLIN, index as u64)).expect("epoll");
            sessions[index] = Some(session);
        }
    }
}

/// What came.
#[derive(Default)]
struct Counts {
    /// How often each message came for each recipient, by their hash.
    pairs: HashMap<u64, u32, std::hash::BuildHasherDefault<Identity>>,
    recipients: u64,
    /// Without a Message-ID, so it cannot be told whether they came twice.
    unnamed: u64,
    last: Option<Instant>,
}

impl Counts {
    fn message(&mut self, id: Option<u64>, recipients: &[u64]) {
        self.recipients += recipients.len() as u64;
        self.unnamed += u64::from(id.is_none());
        self.last = Some(Instant::now());
        for recipient in recipients {
            let pair = id.unwrap_or(0).rotate_left(17) ^ recipient;
            *self.pairs.entry(pair.wrapping_mul(0x9E37_79B9_7F4A_7C15)).or_default() += 1;
        }
        assert!(self.pairs.len() <= MAX_PAIRS, "more than {MAX_PAIRS} pairs");
    }

    /// Recipients, different pairs, messages without a name, microseconds since the last.
    fn line(&self) -> String {
        let since = self.last.map_or(0, |last| last.elapsed().as_micros());
        format!("250 {} {} {} {since}\r\n", self.recipients, self.pairs.len(), self.unnamed)
    }
}

/// The keys are hashes already.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

enum State {
    Commands,
    Header,
    Body,
}

struct Session {
    line: Line,
    state: State,
    unread: Vec<u8>,
    recipients: Vec<u64>,
    id: Option<u64>,
    out: Vec<u8>,
}

impl Session {
    fn new(line: Line) -> Self {
        let (unread, recipients, out) = (Vec::new(), Vec::new(), Vec::new());
        Session { line, state: State::Commands, unread, recipients, id: None, out }
    }

    /// Reads what is there and answers it; false when the session is over.
    fn serve(&mut self, buffer: &mut [u8], counts: &mut Counts) -> bool {
        match self.line.read(buffer, &mut self.unread) {
            Ok(false) => false,
            Ok(true) => {
                let goes_on = self.take_all(counts);
                // Replies are a few bytes: a client that does not read them would have to leave thousands.
                let out = std::mem::take(&mut self.out);
                (out.is_empty() || self.line.say(&out).is_ok()) && goes_on
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    /// All that is there in whole; false after QUIT.
    fn take_all(&mut self, counts: &mut Counts) -> bool {
        let unread = std::mem::take(&mut self.unread);
        let mut rest = unread.as_slice();
        let mut goes_on = true;
        while goes_on {
            if matches!(self.state, State::Body) {
                let Some(end) = memchr::memmem::find(rest, b"\r\n.\r\n") else {
                    // The end may have begun.
                    rest = &rest[rest.len().saturating_sub(4)..];
                    break;
                };
                rest = &rest[end + 5..];
                self.end_of_message(counts);
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', rest) else { break };
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            if matches!(self.state, State::Header) {
                // The CRLF of the empty line stays: the dot may follow at once.
                let empty = line.is_empty();
                self.header_line(line, counts);
                rest = if empty { &rest[end - 1..] } else { &rest[end + 1..] };
                continue;
            }
            goes_on = self.command(line, counts);
            rest = &rest[end + 1..];
        }
        assert!(rest.len() < MAX_LINE_BYTES, "a line of more than {MAX_LINE_BYTES} bytes");
        self.unread = rest.to_vec();
        goes_on
    }

    fn header_line(&mut self, line: &[u8], counts: &mut Counts) {
        const NAME: &[u8] = b"message-id:";
        match line {
            b"" => self.state = State::Body,
            b"." => self.end_of_message(counts),
            _ if line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME) => {
                self.id = Some(hash(line[NAME.len()..].trim_ascii()));
            }
            _ => {}
        }
    }

    fn end_of_message(&mut self, counts: &mut Counts) {
        counts.message(self.id.take(), &self.recipients);
        self.recipients.clear();
        self.state = State::Commands;
        self.out.extend_from_slice(b"250 2.0.0 Ok\r\n");
    }

    /// False after QUIT.
    fn command(&mut self, line: &[u8], counts: &Counts) -> bool {
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let reply: &[u8] = match verb.as_slice() {
            // What smtp-sink offers, as far as it matters here.
            b"EHLO" => b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n",
            b"MAIL" | b"RSET" => {
                self.recipients.clear();
                b"250 2.1.0 Ok\r\n"
            }
            b"RCPT" => {
                self.recipients.push(hash(&path(line).to_ascii_lowercase()));
                b"250 2.1.5 Ok\r\n"
            }
            b"DATA" => {
                (self.state, self.id) = (State::Header, None);
                b"354 End data with <CR><LF>.<CR><LF>\r\n"
            }
            b"QUIT" => b"221 Bye\r\n",
            b"HELO" | b"NOOP" => b"250 2.0.0 Ok\r\n",
            b"XCOU" => {
                self.out.extend_from_slice(counts.line().as_bytes());
                b""
            }
            _ => b"500 5.5.1 What?\r\n",
        };
        self.out.extend_from_slice(reply);
        verb.as_slice() != b"QUIT"
    }
}

/// What stands between the angle brackets.
fn path(line: &[u8]) -> &[u8] {
    let start = memchr::memchr(b'<', line).map_or(0, |at| at + 1);
    let end = memchr::memchr(b'>', line).unwrap_or(line.len());
    line.get(start..end).unwrap_or_default()
}
