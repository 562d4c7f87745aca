//! A small blocking SMTP client that does what it is told, wrong things too.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A test waits this long for one reply: longer than the server's own 30 s for the dot.
const REPLY_LIMIT: Duration = Duration::from_secs(45);

/// A reply, its lines without code and separator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

impl Reply {
    pub fn is_ok(&self) -> bool {
        (200..400).contains(&self.code)
    }

    /// The whole text in one line.
    pub fn text(&self) -> String {
        self.lines.join(" ")
    }
}

/// A connection. Dropping it disconnects without QUIT.
pub struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects to 127.0.0.1 and reads the greeting.
    pub fn connect(port: u16) -> std::io::Result<(Self, Reply)> {
        Self::connect_to(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Connects and reads the greeting.
    pub fn connect_to(address: SocketAddr) -> std::io::Result<(Self, Reply)> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        stream.set_write_timeout(Some(REPLY_LIMIT))?;
        stream.set_nodelay(true)?;
        let mut client = Client { reader: BufReader::new(stream.try_clone()?), stream };
        let greeting = client.reply()?;
        Ok((client, greeting))
    }

    /// Connected from this address of ours (127.0.0.2, say) and past EHLO; panics otherwise.
    pub fn hello_from(source: [u8; 4], port: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            socket.bind(SocketAddr::from((source, 0))).expect("an address of ours");
            let stream = socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await;
            stream.expect("a connection").into_std().expect("a stream")
        });
        stream.set_nonblocking(false).expect("a blocking stream");
        stream.set_read_timeout(Some(REPLY_LIMIT)).expect("a time limit");
        let mut client = Client { reader: BufReader::new(stream.try_clone().expect("a stream")), stream };
        assert_eq!(client.reply().expect("a greeting").code, 220);
        assert_eq!(client.command("EHLO client.example").expect("a reply").code, 250);
        client
    }

    /// Connected and past EHLO; panics otherwise.
    pub fn hello(port: u16) -> Self {
        let (mut client, greeting) = Self::connect(port).expect("a connection");
        assert_eq!(greeting.code, 220, "{greeting:?}");
        assert_eq!(client.command("EHLO client.example").expect("a reply").code, 250);
        client
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads one reply, of one or several lines. An end of the connection is an error of
    /// kind `UnexpectedEof`.
    pub fn reply(&mut self) -> std::io::Result<Reply> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let bad = || std::io::Error::other(format!("not a reply: {line:?}"));
            let code = line.get(..3).and_then(|code| code.parse().ok()).ok_or_else(bad)?;
            lines.push(line.get(4..).unwrap_or("").trim_end().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, lines });
            }
        }
    }

    /// Sends a line and reads its reply.
    pub fn command(&mut self, line: &str) -> std::io::Result<Reply> {
        self.raw(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// Sends all lines at once and reads a reply for each (RFC 2920).
    pub fn pipelined(&mut self, lines: &[String]) -> std::io::Result<Vec<Reply>> {
        self.raw((lines.join("\r\n") + "\r\n").as_bytes())?;
        lines.iter().map(|_| self.reply()).collect()
    }

    /// One message, step by step; the reply that ended it: to the dot, or the first bad one.
    pub fn send(&mut self, from: &str, to: &[&str], message: &[u8]) -> std::io::Result<Reply> {
        let reply = self.command(&format!("MAIL FROM:<{from}>"))?;
        if !reply.is_ok() {
            return Ok(reply);
        }
        for to in to {
            let reply = self.command(&format!("RCPT TO:<{to}>"))?;
            if !reply.is_ok() {
                return Ok(reply);
            }
        }
        let reply = self.command("DATA")?;
        if reply.code != 354 {
            return Ok(reply);
        }
        self.data(message)?;
        self.reply()
    }

    /// The same in two round trips (RFC 2920): all replies, the one to the dot last, if
    /// DATA was taken.
    pub fn send_pipelined(&mut self, from: &str, to: &[&str], message: &[u8]) -> std::io::Result<Vec<Reply>> {
        let mut lines = vec![format!("MAIL FROM:<{from}>")];
        lines.extend(to.iter().map(|to| format!("RCPT TO:<{to}>")));
        lines.push("DATA".to_owned());
        let mut replies = self.pipelined(&lines)?;
        if replies.last().is_some_and(|reply| reply.code == 354) {
            self.data(message)?;
            replies.push(self.reply()?);
        }
        Ok(replies)
    }

    /// A message in chunks of the given bytes, the last one with the rest and LAST (RFC 3030);
    /// all replies, from MAIL on. Nothing is added to the message, not even a last newline.
    pub fn send_chunks(
        &mut self,
        mail: &str,
        to: &[&str],
        message: &[u8],
        chunk_bytes: usize,
    ) -> std::io::Result<Vec<Reply>> {
        let mut replies = vec![self.command(mail)?];
        for to in to {
            replies.push(self.command(&format!("RCPT TO:<{to}>"))?);
        }
        let mut rest = message;
        while rest.len() > chunk_bytes {
            let (chunk, behind) = rest.split_at(chunk_bytes);
            self.raw(&[format!("BDAT {chunk_bytes}\r\n").as_bytes(), chunk].concat())?;
            replies.push(self.reply()?);
            rest = behind;
        }
        self.raw(&[format!("BDAT {} LAST\r\n", rest.len()).as_bytes(), rest].concat())?;
        replies.push(self.reply()?);
        Ok(replies)
    }

    /// The message with dots stuffed, and the dot; reads nothing.
    pub fn data(&mut self, message: &[u8]) -> std::io::Result<()> {
        self.raw(&dot_stuffed(message))
    }

    /// Waits for the server to close; what it said before.
    pub fn rest(mut self) -> String {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = self.reader.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// QUIT and its reply.
    pub fn quit(mut self) -> std::io::Result<Reply> {
        self.command("QUIT")
    }
}

/// RFC 5321 §4.5.2, with the final dot; a missing CRLF at the end is added.
pub fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 8);
    let mut at_start = true;
    for &byte in message {
        if at_start && byte == b'.' {
            out.push(b'.');
        }
        out.push(byte);
        at_start = byte == b'\n';
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

/// A message that [`super::maildir`] finds again by `id`: Message-ID `<id@client.example>`
/// and `X-Test-Id: id`. `date` as RFC 5322 has it.
pub fn message(id: &str, date: &str, body: &str) -> Vec<u8> {
    format!(
        "From: Sender <sender@client.example>\r\nTo: jane@firm.example\r\n\
         Subject: Test {id}\r\nDate: {date}\r\nMessage-ID: <{id}@client.example>\r\n\
         X-Test-Id: {id}\r\n\r\n{body}\r\n"
    )
    .into_bytes()
}

/// The time now as a Date field has it.
pub fn date_now() -> String {
    super::process::run(std::process::Command::new("date").args(["-u", "-R"])).trim().to_owned()
}

/// Sends messages one after the other in one connection; one reply each, the last being
/// the one that ended it.
pub fn send_all(port: u16, from: &str, to: &[&str], messages: &[Vec<u8>]) -> Vec<Reply> {
    let mut client = Client::hello(port);
    let send = |message: &Vec<u8>| client.send(from, to, message).expect("a reply");
    let replies = messages.iter().map(send).collect();
    client.quit().expect("a reply");
    replies
}

/// Whether a server on this port says something (a greeting) within a second.
pub fn greets(port: u16) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
        return false;
    };
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a time limit");
    stream.read(&mut [0; 64]).is_ok_and(|count| count > 0)
}

/// `GET path` over HTTP/1.0: status and body.
pub fn http_get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
    let host = format!("127.0.0.1:{port}");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.expect("a status"), body.to_owned())
}
