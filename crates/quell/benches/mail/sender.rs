//! The sender that takes turns, as `smtp-source` does, which speaks no TLS: each command waits for the reply
//! to the one before. One thread, epoll, a process of its own; a reply that is not as it should be ends it.
//!
//! Either sessions stay open and send different messages, or each is a greeting, EHLO and QUIT.

use crate::line::{Line, client_config};
use crate::support::smtp;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rustls::ClientConfig;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// First argument of this program in this part.
pub const ROLE: &str = "sender";
/// A server that says nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(60);
/// Of what is read at once.
const READ_BYTES: usize = 1 << 16;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Job {
    /// Of 127.0.0.1.
    pub port: u16,
    /// At once.
    pub sessions: usize,
    /// Messages, or sessions that only greet.
    pub count: usize,
    /// Of a body; 0: no messages, each session only greets.
    pub body_bytes: usize,
    /// Take up earlier TLS sessions.
    pub resumes: bool,
    /// The authority of the server's certificate: TLS from the first byte. None: in the clear.
    pub ca: Option<PathBuf>,
}

impl Job {
    /// As arguments of this program, [`ROLE`] first.
    pub fn arguments(&self) -> Vec<String> {
        let numbers =
            [self.port.into(), self.sessions, self.count, self.body_bytes, usize::from(self.resumes)];
        let ca = self.ca.iter().map(|path| path.to_str().expect("a path").to_owned());
        [ROLE.to_owned()].into_iter().chain(numbers.iter().map(usize::to_string)).chain(ca).collect()
    }

    fn parse(arguments: &[String]) -> Self {
        let number = |index: usize| arguments[index].parse::<usize>().expect("a number");
        Job {
            port: number(0) as u16,
            sessions: number(1),
            count: number(2),
            body_bytes: number(3),
            resumes: number(4) == 1,
            ca: arguments.get(5).map(PathBuf::from),
        }
    }
}

/// Does it all, waits for the last answer, and says how many sessions were resumed.
pub fn run(arguments: &[String]) {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).expect("prctl");
    let job = Job::parse(arguments);
    let tls = job.ca.as_ref().map(|ca| client_config(ca, job.resumes));
    let epoll = Epoll::new(EpollCreateFlags::empty()).expect("epoll");
    let open = |number: usize| {
        let session = Session::open(job.port, tls.as_ref());
        epoll.add(&session.line, EpollEvent::new(EpollFlags::EPOLLIN, number as u64)).expect("epoll");
        session
    };
    let mut work = Work::new(&job);
    let first = job.sessions.min(job.count);
    let mut sessions: Vec<Session> = (0..first).map(&open).collect();
    let mut buffer = vec![0; READ_BYTES];
    let mut events = [EpollEvent::empty(); 64];
    let timeout = EpollTimeout::try_from(SILENCE).expect("a time");
    while work.done < job.count {
        let ready = epoll.wait(&mut events, timeout).expect("epoll");
        assert!(ready > 0, "no answer for {SILENCE:?}");
        for event in &events[..ready] {
            let number = event.data() as usize;
            let goes_on = sessions[number].serve(&mut buffer, &mut work);
            if !goes_on && work.take() {
                // Closing takes the old one out of epoll.
                sessions[number] = open(number);
            } else if !goes_on {
                epoll.delete(&sessions[number].line).expect("epoll");
            }
        }
    }
    println!("{}", work.resumed);
}

/// What all sessions have done, and what is left for them.
struct Work {
    /// Of a message, behind its Message-ID.
    rest: Option<Vec<u8>>,
    run: u32,
    /// Not yet begun. Sessions that only greet begin with one each.
    left: usize,
    named: usize,
    done: usize,
    resumed: usize,
}

impl Work {
    fn new(job: &Job) -> Self {
        let line = "The quick brown fox jumps over the lazy dog, again and again.\r\n";
        let rest = (job.body_bytes > 0).then(|| {
            let body = line.repeat(job.body_bytes.div_ceil(line.len()));
            let date = smtp::date_now();
            format!(
                "From: <source@client.example>\r\nTo: <jane@other.example>\r\nDate: {date}\r\n\
                 Subject: from sender\r\n\r\n{body}.\r\n"
            )
            .into_bytes()
        });
        let begun = if rest.is_some() { 0 } else { job.sessions.min(job.count) };
        Work { rest, run: std::process::id(), left: job.count - begun, named: 0, done: 0, resumed: 0 }
    }

    /// One more, if there is one.
    fn take(&mut self) -> bool {
        let is_left = self.left > 0;
        self.left -= usize::from(is_left);
        is_left
    }

    /// A message like no other.
    fn message(&mut self) -> Vec<u8> {
        self.named += 1;
        let id = format!("Message-ID: <{}.{}@client.example>\r\n", self.named, self.run);
        [id.as_bytes(), self.rest.as_deref().unwrap_or_default()].concat()
    }
}

/// Whose reply is awaited.
#[derive(Clone, Copy)]
enum Step {
    Greeting,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    Message,
    Quit,
}

impl Step {
    fn code(self) -> &'static [u8] {
        match self {
            Step::Greeting => b"220",
            Step::Data => b"354",
            Step::Quit => b"221",
            Step::Ehlo | Step::Mail | Step::Rcpt | Step::Message => b"250",
        }
    }
}

struct Session {
    line: Line,
    step: Step,
    unread: Vec<u8>,
}

impl Session {
    fn open(port: u16, tls: Option<&Arc<ClientConfig>>) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let line = match tls {
            Some(config) => Line::client(stream, config),
            None => Line::plain(stream),
        };
        Session { line, step: Step::Greeting, unread: Vec::new() }
    }

    /// Reads what is there and says what follows; false when the session is over.
    fn serve(&mut self, buffer: &mut [u8], work: &mut Work) -> bool {
        let goes_on = self.line.read(buffer, &mut self.unread).expect("an answer");
        assert!(goes_on, "the server closed; it had said {:?}", String::from_utf8_lossy(&self.unread));
        while let Some(end) = memchr::memchr(b'\n', &self.unread) {
            let reply: Vec<u8> = self.unread.drain(..=end).collect();
            let code = self.step.code();
            assert!(reply.starts_with(code), "{:?}", String::from_utf8_lossy(&reply));
            if reply.get(3) == Some(&b'-') {
                continue;
            }
            match self.step {
                Step::Quit => return self.end(work),
                step => self.follow(step, work),
            }
        }
        true
    }

    fn follow(&mut self, answered: Step, work: &mut Work) {
        let next = match answered {
            Step::Greeting => Step::Ehlo,
            Step::Mail => Step::Rcpt,
            Step::Rcpt => Step::Data,
            Step::Data => Step::Message,
            Step::Ehlo | Step::Message | Step::Quit => {
                work.done += usize::from(matches!(answered, Step::Message));
                if work.rest.is_some() && work.take() { Step::Mail } else { Step::Quit }
            }
        };
        let said = match next {
            Step::Greeting => Ok(()),
            Step::Ehlo => self.line.say(b"EHLO source.example\r\n"),
            Step::Mail => self.line.say(b"MAIL FROM:<source@client.example>\r\n"),
            Step::Rcpt => self.line.say(b"RCPT TO:<jane@other.example>\r\n"),
            Step::Data => self.line.say(b"DATA\r\n"),
            Step::Message => self.line.say(&work.message()),
            Step::Quit => self.line.say(b"QUIT\r\n"),
        };
        said.expect("written");
        self.step = next;
    }

    /// After the reply to QUIT.
    fn end(&self, work: &mut Work) -> bool {
        work.done += usize::from(work.rest.is_none());
        work.resumed += usize::from(self.line.has_resumed());
        false
    }
}
