//! A sink in the test itself that counts how often each recipient was sent each message.

use crate::support::{free_port, wait_until};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Takes all mail, SMTP or LMTP, as fast as it comes, and counts how often each recipient
/// was sent each message. Lives in the test itself, so it outlives the sender that a test
/// kills. Runs until dropped.
pub struct Counter {
    shared: Arc<Shared>,
    pub port: u16,
}

/// Connections at once; further ones are told 421 and closed.
const MAX_SESSIONS: usize = 512;
/// Different (reverse-path, recipient, message) that are counted; further ones are not, and the
/// test fails when it looks.
const MAX_COUNTED: usize = 2_000_000;
/// Longest line of commands and header; the rest of a longer one is left out.
const MAX_LINE_BYTES: usize = 16_384;

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Copy {
    pub reverse_path: Arc<str>,
    pub recipient: String,
    /// Value of the Message-ID field.
    pub message_id: Arc<str>,
}

/// How often it came. Each number includes those behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dots {
    /// The final dot was seen.
    pub seen: u32,
    /// And 250 was written to a connection that was still there.
    pub answered: u32,
    /// And the sender said something more: it has read the 250.
    pub confirmed: u32,
}

/// How a [`Counter`] was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub sessions: usize,
    /// Most sessions that were open at once, as this side saw it: one that closes without QUIT
    /// is open until that is noticed.
    pub peak_sessions: usize,
    /// Final dots, whatever the number of recipients.
    pub dots: usize,
    /// Most recipients of one transaction.
    pub peak_recipients: usize,
    /// Messages that broke off before their dot.
    pub broken_off: usize,
}

#[derive(Default)]
struct Shared {
    counts: Mutex<HashMap<Copy, Dots>>,
    usage: Mutex<Usage>,
    open: AtomicUsize,
    answer_delay_ms: AtomicU64,
    held: AtomicBool,
    stopped: AtomicBool,
}

impl Counter {
    /// Listens on a free port of 127.0.0.1.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", free_port())).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared::default());
        let inner = shared.clone();
        std::thread::spawn(move || inner.listen(&listener));
        Counter { shared, port }
    }

    /// Time between a dot and its answer, from now on.
    pub fn delay_answers(&self, delay_ms: u64) {
        self.shared.answer_delay_ms.store(delay_ms, Ordering::Relaxed);
    }

    /// While held no dot is answered.
    pub fn hold_answers(&self, held: bool) {
        self.shared.held.store(held, Ordering::Relaxed);
    }

    /// All that came.
    pub fn counts(&self) -> HashMap<Copy, Dots> {
        self.shared.whole().clone()
    }

    /// How many different copies came, without copying them.
    pub fn distinct(&self) -> usize {
        self.shared.whole().len()
    }

    /// What came more than once.
    pub fn repeated(&self) -> Vec<(Copy, Dots)> {
        let counts = self.shared.whole();
        let repeated = counts.iter().filter(|(_, dots)| dots.seen > 1);
        repeated.map(|(copy, dots)| (copy.clone(), *dots)).collect()
    }

    pub fn usage(&self) -> Usage {
        *self.shared.usage()
    }

    /// Waits until so many different copies have come; whether they did.
    pub fn wait_for(&self, distinct: usize, limit: Duration) -> bool {
        wait_until(limit, || self.distinct() >= distinct)
    }

    /// Sessions that are open now.
    pub fn open_sessions(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts; sessions end with their clients or their timeout.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Shared {
    /// For the test to look at.
    fn whole(&self) -> MutexGuard<'_, HashMap<Copy, Dots>> {
        let counts = self.counts();
        assert!(counts.len() < MAX_COUNTED, "more came than is counted");
        counts
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Copy, Dots>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn listen(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().map_while(Result::ok) {
            if self.is_stopped() {
                return;
            }
            let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
            let mut usage = self.usage();
            usage.sessions += 1;
            usage.peak_sessions = usage.peak_sessions.max(open);
            drop(usage);
            let shared = self.clone();
            std::thread::spawn(move || {
                // A client that goes away in the middle is what the tests are about.
                let _ = shared.serve(stream, open > MAX_SESSIONS);
            });
        }
    }

    fn serve(&self, stream: TcpStream, too_many: bool) -> io::Result<()> {
        let open = Some(Open(&self.open));
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        let reader = BufReader::with_capacity(1 << 16, stream.try_clone()?);
        let mut session =
            Session { shared: self, open, reader, stream, unconfirmed: Vec::new(), out: Vec::new() };
        if too_many {
            return session.stream.write_all(b"421 4.3.2 Too many sessions\r\n");
        }
        session.out.extend_from_slice(b"220 counter.example\r\n");
        session.run()
    }

    fn add(&self, copies: &[Copy], more: impl Fn(&mut Dots)) {
        let mut counts = self.counts();
        for copy in copies {
            if counts.len() < MAX_COUNTED || counts.contains_key(copy) {
                more(counts.entry(copy.clone()).or_default());
            }
        }
    }
}

/// Counts as open until dropped.
struct Open<'a>(&'a AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Session<'a> {
    shared: &'a Shared,
    open: Option<Open<'a>>,
    reader: BufReader<TcpStream>,
    stream: TcpStream,
    /// Answered, and nothing has come from the sender since.
    unconfirmed: Vec<Copy>,
    /// Replies that wait until there is nothing left to read.
    out: Vec<u8>,
}

impl Session<'_> {
    fn run(&mut self) -> io::Result<()> {
        let (mut lmtp, mut reverse_path, mut recipients) = (false, Arc::from(""), Vec::new());
        let mut line = Vec::new();
        while self.line(&mut line)? {
            let text = String::from_utf8_lossy(&line).into_owned();
            let verb = text.get(..4).unwrap_or_default().to_ascii_uppercase();
            let reply = match verb.as_str() {
                "EHLO" | "LHLO" => {
                    lmtp = verb == "LHLO";
                    "250-counter.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n\
                     250-SMTPUTF8\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES"
                }
                "MAIL" | "RSET" => {
                    (reverse_path, recipients) = (Arc::from(path(&text)), Vec::new());
                    "250 2.1.0 OK"
                }
                "RCPT" => {
                    recipients.push(path(&text).to_owned());
                    "250 2.1.5 OK"
                }
                "DATA" if recipients.is_empty() => "503 5.5.1 No recipients",
                "DATA" => {
                    self.data(lmtp, &reverse_path, std::mem::take(&mut recipients))?;
                    continue;
                }
                "QUIT" => {
                    // Before the answer: the client may open its next connection at once.
                    drop(self.open.take());
                    return self.stream.write_all(b"221 2.0.0 Bye\r\n");
                }
                "HELO" | "NOOP" => "250 2.0.0 OK",
                _ => "500 5.5.1 What?",
            };
            self.out.extend_from_slice(reply.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    /// The next line without its end; `false` at the end of the connection. What was said by
    /// the sender shows that it has read the answers before.
    fn line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        if self.reader.buffer().is_empty() {
            self.stream.write_all(&std::mem::take(&mut self.out))?;
        }
        while !line.ends_with(b"\n") {
            let room = MAX_LINE_BYTES - line.len();
            match self.reader.by_ref().take(room as u64).read_until(b'\n', line) {
                Ok(0) => return Ok(false),
                Err(error) if !waits(&error) || self.shared.is_stopped() => return Err(error),
                // Without an end of line: goes on, or the next read says that it is over.
                Ok(_) | Err(_) => {}
            }
            if line.len() == MAX_LINE_BYTES && !line.ends_with(b"\n") {
                line.truncate(MAX_LINE_BYTES / 2);
            }
        }
        let confirmed = std::mem::take(&mut self.unconfirmed);
        self.shared.add(&confirmed, |dots| dots.confirmed += 1);
        // Only CRLF ends a line: a dot before a bare LF is no end of a message.
        if line.ends_with(b"\r\n") {
            line.truncate(line.len() - 2);
        }
        Ok(true)
    }

    fn data(&mut self, lmtp: bool, reverse_path: &Arc<str>, recipients: Vec<String>) -> io::Result<()> {
        self.out.extend_from_slice(b"354 Go on\r\n");
        let Some(message_id) = self.message()? else {
            self.shared.usage().broken_off += 1;
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let copies = recipients.into_iter().map(|recipient| Copy {
            reverse_path: reverse_path.clone(),
            recipient,
            message_id: message_id.clone(),
        });
        let copies: Vec<Copy> = copies.collect();
        self.shared.add(&copies, |dots| dots.seen += 1);
        let mut usage = self.shared.usage();
        usage.dots += 1;
        usage.peak_recipients = usage.peak_recipients.max(copies.len());
        drop(usage);
        self.wait();
        if self.is_gone()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // LMTP answers each recipient (RFC 2033 §4.2).
        let replies = if lmtp { copies.len() } else { 1 };
        self.stream.write_all("250 2.0.0 Taken\r\n".repeat(replies).as_bytes())?;
        self.shared.add(&copies, |dots| dots.answered += 1);
        self.unconfirmed = copies;
        Ok(())
    }

    /// Reads up to the dot; the message's id, `None` if the connection ended before.
    fn message(&mut self) -> io::Result<Option<Arc<str>>> {
        let (mut line, mut id, mut in_header) = (Vec::new(), Arc::from(""), true);
        while self.line(&mut line)? {
            match line.as_slice() {
                b"." => return Ok(Some(id)),
                b"" => in_header = false,
                field
                    if in_header && field.len() > 11 && field[..11].eq_ignore_ascii_case(b"message-id:") =>
                {
                    id = Arc::from(String::from_utf8_lossy(&field[11..]).trim());
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Whether the sender has closed: the kernel would take a write all the same.
    fn is_gone(&self) -> io::Result<bool> {
        self.stream.set_nonblocking(true)?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        match peeked {
            Ok(count) => Ok(count == 0),
            Err(error) if waits(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn wait(&self) {
        std::thread::sleep(Duration::from_millis(self.shared.answer_delay_ms.load(Ordering::Relaxed)));
        while self.shared.held.load(Ordering::Relaxed) && !self.shared.is_stopped() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// What stands between the angle brackets of MAIL or RCPT.
fn path(line: &str) -> &str {
    let rest = line.split_once('<').map_or("", |(_, rest)| rest);
    rest.split_once('>').map_or("", |(path, _)| path)
}
