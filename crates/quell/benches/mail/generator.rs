//! The generator that pipelines (RFC 2920): the next MAIL, RCPT and DATA stand behind the dot of the
//! message before, so that a message costs one round trip; with BDAT (RFC 3030) several whole messages
//! are under way in each session. All it sends is made before it begins. One thread, epoll, a process
//! of its own; every reply is read, and one that is not as it should be ends it.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// First argument of this program in this part.
pub const ROLE: &str = "generator";
/// A server that says nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(60);

/// What is to be sent.
#[derive(Clone, Debug)]
pub struct Job {
    /// Of 127.0.0.1.
    pub port: u16,
    pub sessions: usize,
    pub messages: usize,
    /// Each message goes to one of `0@other.example`, `1@other.example`, … in turn.
    pub recipients: usize,
    /// With BDAT, so many messages under way in each session; 0: with DATA.
    pub window: usize,
    /// Messages a second at most; 0: as many as there can be.
    pub rate: usize,
    /// File with the message, CRLF, without lines that begin with a dot.
    pub message: std::path::PathBuf,
}

impl Job {
    /// As arguments of this program, [`ROLE`] first.
    pub fn arguments(&self) -> Vec<String> {
        let numbers =
            [self.port.into(), self.sessions, self.messages, self.recipients, self.window, self.rate];
        let path = self.message.to_str().expect("a path").to_owned();
        [ROLE.to_owned()].into_iter().chain(numbers.iter().map(usize::to_string)).chain([path]).collect()
    }

    fn parse(arguments: &[String]) -> Self {
        let number = |index: usize| arguments[index].parse::<usize>().expect("a number");
        Job {
            port: number(0) as u16,
            sessions: number(1),
            messages: number(2),
            recipients: number(3),
            window: number(4),
            rate: number(5),
            message: arguments[6].clone().into(),
        }
    }
}

/// Sends it all and waits for the last answer.
pub fn run(arguments: &[String]) {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).expect("prctl");
    let job = Job::parse(arguments);
    let epoll = Epoll::new(EpollCreateFlags::empty()).expect("epoll");
    let mut sessions: Vec<Session> = (0..job.sessions).map(|number| Session::open(&job, number)).collect();
    for (number, session) in sessions.iter().enumerate() {
        epoll.add(&session.stream, EpollEvent::new(EpollFlags::EPOLLIN, number as u64)).expect("epoll");
    }
    let mut pace = Pace { start: Instant::now(), rate: job.rate, sent: 0, left: job.messages };
    // One entry for each message that a session may send at this moment.
    let mut ready: VecDeque<usize> = (0..job.window.max(1)).flat_map(|_| 0..job.sessions).collect();
    let mut answered = 0;
    let mut buffer = vec![0; 1 << 16];
    let mut events = [EpollEvent::empty(); 64];
    while answered < job.messages {
        while let Some(number) = ready.front().copied().filter(|_| pace.may_send()) {
            ready.pop_front();
            sessions[number].send();
        }
        let waits = !ready.is_empty() && pace.left > 0;
        let timeout = if waits { Duration::from_millis(1) } else { SILENCE };
        let count = epoll.wait(&mut events, EpollTimeout::try_from(timeout).expect("a time")).expect("epoll");
        assert!(count > 0 || waits, "no answer for {SILENCE:?}");
        for event in &events[..count] {
            let number = event.data() as usize;
            let done = sessions[number].read(&mut buffer);
            answered += done;
            ready.extend(std::iter::repeat_n(number, done));
        }
    }
}

/// How many messages may go out by now.
struct Pace {
    start: Instant,
    rate: usize,
    sent: usize,
    left: usize,
}

impl Pace {
    fn may_send(&mut self) -> bool {
        let due = self.start.elapsed().as_secs_f64() * self.rate as f64;
        let may = self.left > 0 && (self.rate == 0 || (self.sent as f64) < due);
        self.sent += usize::from(may);
        self.left -= usize::from(may);
        may
    }
}

struct Session {
    stream: TcpStream,
    /// What one message is, each for its recipient.
    units: Vec<Vec<u8>>,
    next: usize,
    /// Codes of the replies to one unit.
    codes: &'static [&'static [u8]],
    /// How many of them have come for the unit whose answers are coming.
    seen: usize,
    unread: Vec<u8>,
}

impl Session {
    /// Past EHLO, and past the first MAIL, RCPT and DATA. Five names, as five firms' servers have.
    fn open(job: &Job, number: usize) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", job.port)).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(SILENCE)).expect("a socket");
        let units = units(job, number);
        // MAIL, RCPT and BDAT; with DATA the dot, and then MAIL, RCPT and DATA of the next.
        let codes: &[&[u8]] =
            if job.window > 0 { &[b"250", b"250", b"250"] } else { &[b"250", b"250", b"250", b"354"] };
        let mut session = Session { stream, units, next: 0, codes, seen: 0, unread: Vec::new() };
        session.expect(b"220");
        session.write(format!("EHLO sbs.firm{}.example\r\n", number % 5).as_bytes());
        session.expect(b"250");
        if job.window == 0 {
            session.write(&envelope(job, number, 0));
            for code in [b"250", b"250", b"354"] {
                session.expect(code);
            }
        }
        session
    }

    /// The next unit.
    fn send(&mut self) {
        let unit = &self.units[self.next % self.units.len()];
        self.next += 1;
        self.stream.write_all(unit).expect("written");
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("written");
    }

    /// Reads what is there; how many messages it was the last answer of.
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.stream.read(buffer).expect("an answer");
        assert!(count > 0, "the server closed; it had said {:?}", String::from_utf8_lossy(&self.unread));
        self.unread.extend_from_slice(&buffer[..count]);
        let (mut at, mut done) = (0, 0);
        while let Some(end) = memchr::memchr(b'\n', &self.unread[at..]) {
            let line = &self.unread[at..at + end];
            at += end + 1;
            let wanted = self.codes[self.seen];
            assert!(line.starts_with(wanted), "{:?} instead of {wanted:?}", String::from_utf8_lossy(line));
            if line.get(3) == Some(&b'-') {
                continue;
            }
            self.seen = (self.seen + 1) % self.codes.len();
            done += usize::from(self.seen == 0);
        }
        self.unread.drain(..at);
        done
    }

    /// Waits for one reply, and throws it away.
    fn expect(&mut self, code: &[u8]) {
        let mut byte = [0];
        loop {
            let mut line = Vec::new();
            while line.last() != Some(&b'\n') {
                self.stream.read_exact(&mut byte).expect("a reply");
                line.push(byte[0]);
            }
            assert!(line.starts_with(code), "{:?}", String::from_utf8_lossy(&line));
            if line.get(3) != Some(&b'-') {
                return;
            }
        }
    }
}

/// One for each message of this session until its recipients come again. With DATA the envelope in it
/// is that of the message behind it.
fn units(job: &Job, number: usize) -> Vec<Vec<u8>> {
    let message = std::fs::read(&job.message).expect("the message");
    let unit = |index: usize| {
        if job.window > 0 {
            let bdat = format!("BDAT {} LAST\r\n", message.len());
            return [&path(job, number, index)[..], bdat.as_bytes(), &message].concat();
        }
        [&message[..], b".\r\n", &envelope(job, number, index + 1)].concat()
    };
    (0..job.recipients).map(unit).collect()
}

fn envelope(job: &Job, number: usize, index: usize) -> Vec<u8> {
    [&path(job, number, index)[..], b"DATA\r\n"].concat()
}

/// Reverse-path and recipient of a session's message. Sessions begin at different recipients.
fn path(job: &Job, number: usize, index: usize) -> Vec<u8> {
    let recipient = (number + index * job.sessions) % job.recipients;
    format!("MAIL FROM:<source@client.example>\r\nRCPT TO:<{recipient}@other.example>\r\n").into_bytes()
}
