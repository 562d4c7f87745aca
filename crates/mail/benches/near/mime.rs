//! The parts of a message, taken apart and put together again. Another reading of MIME than the one that
//! is measured: simple, and for mail that is well-formed.

use quell_mail::header::{fields, split};

use crate::mail::Message;

/// A part, or a whole message.
#[derive(Clone)]
pub struct Part {
    pub header: Vec<u8>,
    pub body: Body,
}

#[derive(Clone)]
pub enum Body {
    Leaf(Vec<u8>),
    Parts { boundary: String, parts: Vec<Part> },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    None,
    QuotedPrintable,
    Base64,
}

const MAX_DEPTH: usize = 8;

impl Part {
    pub fn of(message: &Message) -> Self {
        Self::read(&message.header, &message.body, 0)
    }

    pub fn message(&self) -> Message {
        Message { header: self.header.clone(), body: self.body_bytes() }
    }

    fn read(header: &[u8], body: &[u8], depth: usize) -> Self {
        let leaf = || Self { header: header.to_vec(), body: Body::Leaf(body.to_vec()) };
        let Some(boundary) = boundary(header).filter(|_| depth < MAX_DEPTH) else { return leaf() };
        let Some(pieces) = pieces(body, &boundary) else { return leaf() };
        let part = |piece: &[u8]| {
            // A part without header begins with the empty line.
            let (header, body) = match piece.strip_prefix(b"\n") {
                Some(body) => (&b""[..], body),
                None => split(piece),
            };
            Self::read(header, body, depth + 1)
        };
        let parts = pieces.into_iter().map(part).collect();
        Self { header: header.to_vec(), body: Body::Parts { boundary, parts } }
    }

    fn body_bytes(&self) -> Vec<u8> {
        match &self.body {
            Body::Leaf(bytes) => bytes.clone(),
            Body::Parts { boundary, parts } => {
                let mut bytes = Vec::new();
                for part in parts {
                    bytes.extend_from_slice(format!("--{boundary}\n").as_bytes());
                    bytes.extend_from_slice(&part.header);
                    bytes.push(b'\n');
                    bytes.extend(part.body_bytes());
                    bytes.push(b'\n');
                }
                bytes.extend_from_slice(format!("--{boundary}--\n").as_bytes());
                bytes
            }
        }
    }

    /// Calls `change` with each leaf; whether one of them was changed.
    pub fn change(&mut self, change: &mut dyn FnMut(&mut Part) -> bool) -> bool {
        match &mut self.body {
            Body::Leaf(_) => change(self),
            // No short cut: each is to be changed.
            Body::Parts { parts, .. } => parts.iter_mut().fold(false, |any, part| part.change(change) | any),
        }
    }

    fn value(&self, name: &str) -> String {
        let field = fields(&self.header).find(|f| f.is(name));
        field.map(|f| String::from_utf8_lossy(f.value).trim().to_owned()).unwrap_or_default()
    }

    /// `text/plain`, `text/html`, …; of a file nothing, as nobody changes those.
    pub fn kind(&self) -> String {
        let (says, shown) = (self.value("content-type"), self.value("content-disposition"));
        if shown.to_lowercase().starts_with("attachment") || says.contains("name=") || shown.contains("name=")
        {
            return "file".to_owned();
        }
        let kind = says.split(';').next().unwrap_or_default().trim().to_lowercase();
        if kind.is_empty() { "text/plain".to_owned() } else { kind }
    }

    pub fn is_text(&self) -> bool {
        matches!(&self.kind()[..], "text/plain" | "text/html")
    }

    pub fn encoding(&self) -> Encoding {
        match &self.value("content-transfer-encoding").to_lowercase()[..] {
            "quoted-printable" => Encoding::QuotedPrintable,
            "base64" => Encoding::Base64,
            _ => Encoding::None,
        }
    }

    pub fn charset(&self) -> String {
        parameter(&self.value("content-type"), "charset").unwrap_or_default().to_lowercase()
    }

    /// The bytes of a leaf, its transfer encoding undone.
    pub fn decoded(&self) -> Vec<u8> {
        let Body::Leaf(bytes) = &self.body else { return Vec::new() };
        match self.encoding() {
            Encoding::None => bytes.clone(),
            Encoding::QuotedPrintable => unquoted_printable(bytes),
            Encoding::Base64 => unbase64(bytes).into_iter().filter(|b| *b != b'\r').collect(),
        }
    }

    /// Gives the leaf these bytes in this encoding.
    pub fn encode(&mut self, bytes: &[u8], encoding: Encoding) {
        let (name, encoded) = match encoding {
            Encoding::None => ("8bit", bytes.to_vec()),
            Encoding::QuotedPrintable => ("quoted-printable", quoted_printable(bytes)),
            Encoding::Base64 => ("base64", base64(bytes)),
        };
        self.set("Content-Transfer-Encoding", name);
        self.body = Body::Leaf(encoded);
    }

    /// Gives it this field in the place of those of its name.
    pub fn set(&mut self, name: &str, value: &str) {
        let message = Message { header: std::mem::take(&mut self.header), body: Vec::new() };
        self.header = message.with(name, value.as_bytes()).header;
    }
}

/// The boundary, if it is a multipart.
fn boundary(header: &[u8]) -> Option<String> {
    let value = fields(header).find(|f| f.is("content-type"))?.value;
    let value = String::from_utf8_lossy(value).into_owned();
    value.trim().to_lowercase().starts_with("multipart/").then_some(())?;
    parameter(&value, "boundary")
}

fn parameter(value: &str, name: &str) -> Option<String> {
    let at = value.to_lowercase().find(&format!("{name}="))? + name.len() + 1;
    let rest = value.get(at..)?;
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().map(str::to_owned),
        None => rest.split([';', ' ', '\t', '\n']).next().map(str::to_owned),
    }
}

/// What stands between the boundaries. None: they never come, or the last does not.
fn pieces<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<&'a [u8]>> {
    let delimiter = format!("--{boundary}");
    let (mut found, mut start, mut at) = (Vec::new(), None, 0);
    while at < body.len() {
        let len = memchr::memchr(b'\n', &body[at..]).map_or(body.len() - at, |lf| lf + 1);
        let line = body[at..at + len].trim_ascii_end();
        if let Some(rest) =
            line.strip_prefix(delimiter.as_bytes()).filter(|rest| matches!(*rest, b"" | b"--"))
        {
            found.extend(start.map(|start: usize| body[start..at].strip_suffix(b"\n").unwrap_or_default()));
            if rest == b"--" {
                return Some(found);
            }
            start = Some(at + len);
        }
        at += len;
    }
    None
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for (n, three) in bytes.chunks(3).enumerate() {
        let block = [0, three[0], *three.get(1).unwrap_or(&0), *three.get(2).unwrap_or(&0)];
        let bits = u32::from_be_bytes(block);
        for place in 0..4 {
            let six = (bits >> (18 - 6 * place)) & 63;
            text.push(if place > three.len() { b'=' } else { LETTERS[six as usize] });
        }
        if n % 19 == 18 {
            text.push(b'\n');
        }
    }
    text.push(b'\n');
    text
}

fn unbase64(text: &[u8]) -> Vec<u8> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for six in text.iter().take_while(|b| **b != b'=').filter_map(|b| LETTERS.iter().position(|l| l == b)) {
        (bits, held) = ((bits << 6 | six as u32) & 0xffff, held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let (mut text, mut column) = (Vec::new(), 0);
    for byte in bytes {
        if column > 70 && *byte != b'\n' {
            text.extend_from_slice(b"=\n");
            column = 0;
        }
        match byte {
            b'\n' => {
                text.push(b'\n');
                column = 0;
                continue;
            }
            b'!'..=b'<' | b'>'..=b'~' => text.push(*byte),
            // A space may stand at the end of a line, so each is written out.
            other => text.extend_from_slice(format!("={other:02X}").as_bytes()),
        }
        column += 3;
    }
    text
}

fn unquoted_printable(text: &[u8]) -> Vec<u8> {
    let (mut bytes, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let hex = |at: usize| text.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (text[at], text.get(at + 1), hex(at + 1), hex(at + 2)) {
            (b'=', Some(b'\n'), ..) => at += 2,
            (b'=', _, Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    bytes
}
