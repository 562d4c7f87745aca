//! What the tests of collecting rely on, tried with curl and by hand.

mod cutter;
mod hostile;
mod provider;
mod second;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One who speaks line by line, in the clear.
struct Talk {
    stream: BufReader<TcpStream>,
    /// Whether the server has closed.
    over: bool,
}

impl Talk {
    /// Connected; the greeting, too.
    fn to(address: SocketAddr) -> (Self, String) {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        let mut talk = Self { stream: BufReader::new(stream), over: false };
        let greeting = talk.line();
        (talk, greeting)
    }

    /// The next line; empty at the end.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        // A connection that is cut has ended.
        let _cut = self.stream.read_until(b'\n', &mut line);
        self.over = line.is_empty();
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("so many bytes");
        bytes
    }

    fn say(&mut self, line: &str) {
        // Whoever has gone hears nothing: the next answer is empty.
        let _gone = self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes());
    }

    /// A command of POP3 and the first line of its answer.
    fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.line()
    }

    /// Lines of an answer, up to and with the one that begins like this (`.`: is this); or to the end.
    fn until(&mut self, start: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            let last = if start == "." { line == start } else { line.starts_with(start) };
            lines.push(line);
            if last || self.over {
                return lines;
            }
        }
    }
}
