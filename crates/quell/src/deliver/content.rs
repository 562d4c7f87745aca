//! A stored message on its way out: what must be known of it before MAIL, and its bytes.

use std::io::{self, Read};
use std::sync::Arc;

use quell_queue::body::{BodyReader, BodyRef, SpoolReader};
use quell_relay::attempt::Content;

/// Up to this size a message is held in memory while it is sent; a larger one is read twice.
const HELD_BYTES: u64 = 256 << 10;
/// Bytes read at a time.
const PIECE_BYTES: usize = 64 << 10;

/// A message to be sent, once or several times.
pub struct Stored {
    /// What is known of it.
    pub content: Content,
    held: Option<Arc<Vec<u8>>>,
    bodies: SpoolReader,
    body: BodyRef,
}

/// Its bytes from the beginning.
pub enum Pieces<'a> {
    /// From memory.
    Held(Option<&'a [u8]>),
    /// From the body store.
    Disk {
        /// Where from.
        reader: Box<BodyReader>,
        /// Room for a piece.
        buffer: Vec<u8>,
    },
}

impl Stored {
    /// A message that is in memory already; `body` is where it lies, too.
    pub fn held(bytes: Arc<Vec<u8>>, bodies: &SpoolReader, body: &BodyRef) -> Self {
        let mut scan = Scan::default();
        scan.push(&bytes);
        Self { content: scan.content(), held: Some(bytes), bodies: bodies.clone(), body: *body }
    }

    /// Reads the message once. What lies in the store damaged is an error here, before anything
    /// of it has gone out.
    ///
    /// # Errors
    /// Those of the body store.
    pub fn open(bodies: &SpoolReader, body: &BodyRef) -> io::Result<Self> {
        let mut reader = bodies.open(body).map_err(io::Error::other)?;
        let mut scan = Scan::default();
        let (mut held, mut buffer) = (Some(Vec::new()), vec![0; PIECE_BYTES]);
        loop {
            let n = reader.read(&mut buffer)?;
            let piece = buffer.get(..n).unwrap_or_default();
            if piece.is_empty() {
                break;
            }
            scan.push(piece);
            if scan.size_bytes > HELD_BYTES {
                held = None;
            }
            if let Some(held) = &mut held {
                held.extend_from_slice(piece);
            }
        }
        let held = held.map(Arc::new);
        Ok(Self { content: scan.content(), held, bodies: bodies.clone(), body: *body })
    }

    /// Its bytes from the beginning. What is not in memory is read from the disk, during which other
    /// threads take over the tasks of this one.
    ///
    /// # Errors
    /// Those of the body store.
    pub fn pieces(&self) -> io::Result<Pieces<'_>> {
        match &self.held {
            Some(bytes) => Ok(Pieces::Held(Some(bytes.as_slice()))),
            None => {
                let opened = tokio::task::block_in_place(|| self.bodies.open(&self.body));
                let reader = Box::new(opened.map_err(io::Error::other)?);
                Ok(Pieces::Disk { reader, buffer: vec![0; PIECE_BYTES] })
            }
        }
    }
}

impl Pieces<'_> {
    /// The next piece; empty at the end. The end is given only if the checksum is right.
    ///
    /// # Errors
    /// Those of the body store: what was given before must not be ended.
    pub fn next(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Held(bytes) => Ok(bytes.take().unwrap_or_default()),
            Self::Disk { reader, buffer } => {
                let n = tokio::task::block_in_place(|| reader.read(buffer))?;
                Ok(buffer.get(..n).unwrap_or_default())
            }
        }
    }
}

/// What is found out while reading.
#[derive(Debug, Default)]
struct Scan {
    size_bytes: u64,
    eight_bit: bool,
    header_non_ascii: bool,
    header_over: bool,
    /// Bytes of the line so far, CR left out.
    line: usize,
}

impl Scan {
    fn content(&self) -> Content {
        Content {
            size_bytes: self.size_bytes,
            eight_bit: self.eight_bit,
            header_non_ascii: self.header_non_ascii,
        }
    }

    fn push(&mut self, piece: &[u8]) {
        self.size_bytes += piece.len() as u64;
        let header = if self.header_over { 0 } else { self.header_bytes(piece) };
        let (header, body) = piece.split_at(header);
        if !header.is_ascii() {
            (self.eight_bit, self.header_non_ascii) = (true, true);
        }
        self.eight_bit = self.eight_bit || !body.is_ascii();
    }

    /// How many bytes of the piece belong to the header: it ends with an empty line.
    fn header_bytes(&mut self, piece: &[u8]) -> usize {
        for (at, byte) in piece.iter().enumerate() {
            match byte {
                b'\n' if self.line == 0 => {
                    self.header_over = true;
                    return at + 1;
                }
                b'\n' => self.line = 0,
                b'\r' => {}
                _ => self.line += 1,
            }
        }
        piece.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(pieces: &[&[u8]]) -> (u64, bool, bool) {
        let mut scan = Scan::default();
        pieces.iter().for_each(|piece| scan.push(piece));
        (scan.size_bytes, scan.eight_bit, scan.header_non_ascii)
    }

    #[test]
    fn header_and_body_are_told_apart() {
        let cases: [(&str, bool, bool); 6] = [
            ("A: b\r\n\r\nplain\r\n", false, false),
            ("A: b\r\n\r\nk\u{f6}nnen\r\n", true, false),
            ("A: \u{f6}\r\n\r\nplain\r\n", true, true),
            ("A: b\n\n\u{f6}", true, false),
            ("A: b\r\nB: \u{f6}", true, true),
            ("\r\n\u{f6}", true, false),
        ];
        for (text, eight_bit, header) in cases {
            let whole = scanned(&[text.as_bytes()]);
            assert_eq!(whole, (text.len() as u64, eight_bit, header), "{text:?}");
            let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(scanned(&single), whole, "{text:?}");
        }
    }
}
