//! aiosmtpd as a next hop that follows a [`Script`]: refuses, hangs, closes, delays at any
//! step, and keeps each message whose final dot it saw, answered or not.

use super::START_LIMIT;
use crate::support::{Running, TempDir, free_port, wait_until};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Debian's own Python: aiosmtpd is its package, and another Python may come first in PATH.
const PYTHON: &str = "/usr/bin/python3";
const MODULE: &str = "/usr/lib/python3/dist-packages/aiosmtpd/smtp.py";

pub fn available() -> bool {
    super::available(&[PYTHON, MODULE])
}

/// Where a fault happens. `Ehlo` is LHLO too; `Body` is behind 354, before the dot; `Dot` is
/// where the answer to the message belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum At {
    Greeting,
    Ehlo,
    Helo,
    Mail,
    Rcpt,
    Data,
    Body,
    Dot,
    Rset,
    Quit,
}

/// One thing to do wrong. Without more it happens each time its step comes.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    step: At,
    recipient: Option<String>,
    reply: Option<String>,
    delay_ms: u64,
    hang: bool,
    close: bool,
    cut: bool,
    skip: u32,
    times: Option<u32>,
    after_replies: usize,
    after_bytes: usize,
}

impl Fault {
    fn at(step: At) -> Self {
        Fault {
            step,
            recipient: None,
            reply: None,
            delay_ms: 0,
            hang: false,
            close: false,
            cut: false,
            skip: 0,
            times: None,
            after_replies: 0,
            after_bytes: 1,
        }
    }

    /// Says this in place of what belongs there; `\n` between the lines of a reply.
    pub fn reply(step: At, reply: &str) -> Self {
        Fault { reply: Some(reply.to_owned()), ..Self::at(step) }
    }

    /// Says this and closes, as with 421.
    pub fn reply_and_close(step: At, reply: &str) -> Self {
        Fault { close: true, ..Self::reply(step, reply) }
    }

    /// Says this without its end of line, and closes.
    pub fn cut(step: At, reply: &str) -> Self {
        Fault { cut: true, ..Self::reply_and_close(step, reply) }
    }

    /// Says nothing more, and keeps the connection.
    pub fn hang(step: At) -> Self {
        Fault { hang: true, ..Self::at(step) }
    }

    /// Closes the connection without a word.
    pub fn close(step: At) -> Self {
        Fault { close: true, ..Self::at(step) }
    }

    /// Takes its time, and goes on as usual.
    pub fn delay(step: At, delay_ms: u64) -> Self {
        Fault { delay_ms, ..Self::at(step) }
    }

    /// This recipient only (at `Rcpt`; at `Dot`, of a message to it, or its own reply of LMTP).
    pub fn of(mut self, recipient: &str) -> Self {
        self.recipient = Some(recipient.to_owned());
        self
    }

    /// The first times only. With LMTP each reply to a dot is a time.
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Not the first times.
    pub fn skip(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    /// Behind so many replies to the same dot (LMTP).
    pub fn after_replies(mut self, replies: usize) -> Self {
        self.after_replies = replies;
        self
    }

    /// With `Body`: once so many bytes of the message have come; 1 if not said.
    pub fn after_bytes(mut self, bytes: usize) -> Self {
        self.after_bytes = bytes;
        self
    }
}

/// What the server offers and does. The default takes everything and offers all but CHUNKING.
#[derive(Clone, Debug, Serialize)]
pub struct Script {
    pub lmtp: bool,
    /// EHLO is answered with 502.
    pub helo_only: bool,
    pub pipelining: bool,
    pub eightbit: bool,
    pub smtputf8: bool,
    pub dsn: bool,
    /// SIZE; `None`: neither offered nor limited.
    pub size_bytes: Option<u64>,
    /// Recipients of one transaction; more get `max_recipients_reply`.
    pub max_recipients: Option<usize>,
    pub max_recipients_reply: &'static str,
    pub faults: Vec<Fault>,
}

impl Default for Script {
    fn default() -> Self {
        Script {
            lmtp: false,
            helo_only: false,
            pipelining: true,
            eightbit: true,
            smtputf8: true,
            dsn: true,
            size_bytes: Some(32 << 20),
            max_recipients: None,
            max_recipients_reply: "452 4.5.3 Too many recipients",
            faults: Vec::new(),
        }
    }
}

impl Script {
    /// No extension at all but ENHANCEDSTATUSCODES.
    pub fn bare() -> Self {
        Self {
            pipelining: false,
            eightbit: false,
            smtputf8: false,
            dsn: false,
            size_bytes: None,
            ..Self::default()
        }
    }

    /// The default with these faults.
    pub fn with(faults: impl Into<Vec<Fault>>) -> Self {
        Script { faults: faults.into(), ..Self::default() }
    }
}

/// One recipient of a message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// As it stood in RCPT.
    pub to: String,
    /// NOTIFY, ORCPT.
    pub parameters: Vec<String>,
    /// What was answered to the dot; `None`: nothing.
    pub reply: Option<String>,
    /// Whether the whole answer was handed to the network.
    pub sent: bool,
}

impl Recipient {
    /// 2xx was sent.
    pub fn is_taken(&self) -> bool {
        self.sent && self.reply.as_ref().is_some_and(|reply| reply.starts_with('2'))
    }
}

/// A message whose final dot was seen.
#[derive(Clone, Debug)]
pub struct Sending {
    pub session: u64,
    pub peer: String,
    pub helo: String,
    pub esmtp: bool,
    /// Wall clock, Unix time.
    pub time_ms: u64,
    pub reverse_path: String,
    /// SIZE, BODY, SMTPUTF8, RET, ENVID as they stood in MAIL.
    pub parameters: Vec<String>,
    pub recipients: Vec<Recipient>,
    pub sha256: String,
    pub content: Vec<u8>,
}

impl Sending {
    /// The value of the first header field of this name.
    pub fn field(&self, name: &str) -> Option<String> {
        crate::support::maildir::field(&self.content, name)
    }
}

/// How often one recipient's messages came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// 2xx was sent.
    pub taken: usize,
    /// 4xx or 5xx was sent.
    pub refused: usize,
    /// The dot was seen and no whole answer sent.
    pub unanswered: usize,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Runs until dropped.
pub struct Scripted {
    running: Running,
    home: PathBuf,
    /// Of 127.0.0.1, or of the address asked for; 0 for a Unix socket.
    pub port: u16,
}

impl Scripted {
    /// Listens on a free port of 127.0.0.1.
    pub fn start(directory: &TempDir, script: &Script) -> Self {
        Self::start_on(directory, SocketAddr::from(([127, 0, 0, 1], free_port())), script)
    }

    /// Listens on this address: two servers of one MX set share a port, one that comes back
    /// has the port it had.
    pub fn start_on(directory: &TempDir, address: SocketAddr, script: &Script) -> Self {
        let (ip, port) = (address.ip().to_string(), address.port());
        Self::run(directory, script, [&ip, &port.to_string()], port)
    }

    /// Listens on a Unix socket.
    pub fn start_unix(directory: &TempDir, socket: &Path, script: &Script) -> Self {
        Self::run(directory, script, ["unix", socket.to_str().expect("a path")], 0)
    }

    fn run(directory: &TempDir, script: &Script, listen: [&str; 2], port: u16) -> Self {
        let home = directory.join(format!("scripted-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&home).expect("a directory");
        write_script(&home, script);
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/peers/scripted.py");
        let mut command = Command::new(PYTHON);
        // No compiled copies beside the source.
        command.arg("-B").arg(program).arg(home.join("script")).arg(&home).args(listen);
        let running = Running::start(command, &home.join("output"));
        let mut scripted = Scripted { running, home, port };
        // It says so itself: a connection to find out would be the first one of the script.
        let mut ended = None;
        let listens = wait_until(START_LIMIT, || {
            ended = scripted.running.ended();
            ended.is_some() || !scripted.events("listening").is_empty()
        });
        assert!(listens && ended.is_none(), "{ended:?} {}", scripted.output());
        scripted
    }

    /// Follows another script from now on; extensions change with the next connection.
    pub fn follow(&self, script: &Script) {
        write_script(&self.home, script);
    }

    /// What it printed: nothing, if all is well.
    pub fn output(&self) -> String {
        self.running.output()
    }

    fn events(&self, kind: &str) -> Vec<Value> {
        let text = fs::read(self.home.join("events")).unwrap_or_default();
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let events = lines.map(|line| serde_json::from_slice::<Value>(line).expect("an event"));
        events.filter(|event| event["event"] == kind).collect()
    }

    /// Connections that were made.
    pub fn sessions(&self) -> usize {
        self.events("open").len()
    }

    /// All command lines that begin with this verb, such as `RCPT`; all, if empty.
    pub fn commands(&self, verb: &str) -> Vec<String> {
        let lines = self.events("command").into_iter().map(|event| text(&event["line"]));
        lines.filter(|line| line.starts_with(verb)).collect()
    }

    /// All replies that begin with this, such as `452`.
    pub fn replies(&self, code: &str) -> Vec<String> {
        let lines = self.events("reply").into_iter().map(|event| text(&event["line"]));
        lines.filter(|line| line.starts_with(code)).collect()
    }

    /// What a client must never do: parameters that were not offered, commands ahead of a
    /// reply without PIPELINING, a bare CR or LF in a message.
    pub fn violations(&self) -> Vec<String> {
        self.events("violation").iter().map(|event| text(&event["what"])).collect()
    }

    /// All messages whose final dot was seen, in order.
    pub fn sendings(&self) -> Vec<Sending> {
        let (messages, replies, unsent) =
            (self.events("message"), self.events("reply"), self.events("unsent"));
        let is_sent = |reply: &Value| {
            let same = |other: &Value| ["message", "recipient"].iter().all(|key| other[key] == reply[key]);
            !unsent.iter().any(same)
        };
        let answers: Vec<(Value, bool)> =
            replies.into_iter().map(|reply| (reply.clone(), is_sent(&reply))).collect();
        messages.iter().map(|message| self.sending(message, &answers)).collect()
    }

    fn sending(&self, message: &Value, answers: &[(Value, bool)]) -> Sending {
        let number = &message["message"];
        let answers: Vec<_> = answers.iter().filter(|(answer, _)| answer["message"] == *number).collect();
        let recipients = message["recipients"].as_array().expect("recipients").iter().enumerate();
        Sending {
            session: message["session"].as_u64().expect("a number"),
            peer: text(&message["peer"]),
            helo: text(&message["helo"]),
            esmtp: message["esmtp"] == true,
            time_ms: message["time_ms"].as_u64().expect("a time"),
            reverse_path: text(&message["reverse_path"]),
            parameters: texts(&message["parameters"]),
            recipients: recipients.map(|(place, value)| recipient(place, value, &answers)).collect(),
            sha256: text(&message["sha256"]),
            content: fs::read(self.home.join(format!("{number}.eml"))).expect("a message"),
        }
    }

    /// For each recipient as it stood in RCPT: how often messages came, by their answer.
    pub fn counts(&self) -> BTreeMap<String, Count> {
        let mut counts: BTreeMap<String, Count> = BTreeMap::new();
        for recipient in self.sendings().into_iter().flat_map(|sending| sending.recipients) {
            let count = counts.entry(recipient.to.clone()).or_default();
            match recipient.sent {
                false => count.unanswered += 1,
                true if recipient.is_taken() => count.taken += 1,
                true => count.refused += 1,
            }
        }
        counts
    }

    /// What was taken, as pairs of recipient and message.
    pub fn deliveries(&self) -> Vec<(String, Sending)> {
        let taken = |sending: Sending| {
            let recipients = sending.recipients.clone().into_iter().filter(Recipient::is_taken);
            recipients.map(move |recipient| (recipient.to, sending.clone())).collect::<Vec<_>>()
        };
        self.sendings().into_iter().flat_map(taken).collect()
    }

    /// Waits until so many dots were seen, and that no more come at once.
    pub fn expect(&self, dots: usize) -> Vec<Sending> {
        let came = wait_until(Duration::from_secs(30), || self.events("message").len() >= dots);
        std::thread::sleep(Duration::from_millis(50));
        let sendings = self.sendings();
        assert!(came && sendings.len() == dots, "{} instead of {dots}: {}", sendings.len(), self.log());
        sendings
    }

    /// The whole conversation of all sessions, for a failed test to show.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.join("events")).unwrap_or_default() + &self.output()
    }
}

fn recipient(place: usize, value: &Value, answers: &[&(Value, bool)]) -> Recipient {
    // The answer of SMTP is to all.
    let own = |(answer, _): &&&(Value, bool)| answer["recipient"].is_null() || answer["recipient"] == place;
    let answer = answers.iter().find(own);
    Recipient {
        to: text(&value["to"]),
        parameters: texts(&value["parameters"]),
        reply: answer.map(|(answer, _)| text(&answer["line"])),
        sent: answer.is_some_and(|(_, sent)| *sent),
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("texts").iter().map(text).collect()
}

/// At once or not at all: the server may read at any time.
fn write_script(home: &Path, script: &Script) {
    let json = serde_json::to_vec(script).expect("JSON");
    fs::write(home.join("script.new"), json).expect("a script");
    fs::rename(home.join("script.new"), home.join("script")).expect("a script");
}

/// A port that is free on each of these addresses: the servers of one MX set share one.
pub fn shared_port(addresses: &[IpAddr]) -> u16 {
    let is_free = |port: &u16| addresses.iter().all(|ip| TcpListener::bind((*ip, *port)).is_ok());
    (0..100).map(|_| free_port()).find(is_free).expect("a port that is free on each")
}
