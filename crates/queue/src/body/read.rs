//! Reading bodies back, from any thread.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use quell_mail::id::QueueId;

use super::files::Files;
use super::record::{self, FILE_HEADER_BYTES, Kind, LARGE_PAYLOAD_AT, RECORD_HEADER_BYTES, RecordHeader};
use super::{BodyRef, SpoolError};

/// Opens bodies; one for each thread that wants one.
#[derive(Debug, Clone)]
pub struct SpoolReader {
    files: Arc<Files>,
}

impl SpoolReader {
    pub(super) fn new(files: &Arc<Files>) -> Self {
        Self { files: Arc::clone(files) }
    }

    /// Opens a body, also by a place that it has left since. It can be read to its end even if it
    /// is released or moved meanwhile.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Missing`], [`SpoolError::Damaged`], [`SpoolError::NewerVersion`],
    /// [`SpoolError::Io`].
    pub fn open(&self, body: &BodyRef) -> Result<BodyReader, SpoolError> {
        loop {
            let place = self.files.place(body);
            match self.open_at(&place) {
                // It moved at this very moment.
                Err(SpoolError::Missing { .. }) if self.files.place(body) != place => {}
                opened => return opened,
            }
        }
    }

    fn open_at(&self, body: &BodyRef) -> Result<BodyReader, SpoolError> {
        let name = record::file_name(body.file);
        let file = File::open(self.files.path(body.file)).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => SpoolError::Missing { file: name.clone() },
            _ => SpoolError::io("open", &name, e),
        })?;
        let mut header = [0; FILE_HEADER_BYTES as usize];
        read_exact(&file, &mut header, body.file, 0)?;
        record::check_file_header(body.file, &header)?;
        BodyReader::new(file, *body)
    }

    /// Reads a whole body to see that it is undamaged.
    ///
    /// # Errors
    ///
    /// As [`SpoolReader::open`].
    pub fn verify(&self, body: &BodyRef) -> Result<(), SpoolError> {
        let mut reader = self.open(body)?;
        let mut buffer = vec![0; 64 << 10];
        while reader.next_bytes(&mut buffer)? > 0 {}
        Ok(())
    }
}

/// Gives the bytes of one body. The last of them come only if the checksum is right; else there is
/// an [`io::Error`] of kind `InvalidData` with [`SpoolError::Damaged`] in it: what was given
/// before must not be used.
#[derive(Debug)]
pub struct BodyReader {
    file: File,
    body: BodyRef,
    header: RecordHeader,
    sum: [u8; 16],
    front: Vec<u8>,
    payload: blake3::Hasher,
    payload_at: u64,
    /// Bytes given so far.
    given: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Good,
    Bad,
}

impl BodyReader {
    fn new(file: File, body: BodyRef) -> Result<Self, SpoolError> {
        let mut bytes = [0; RECORD_HEADER_BYTES as usize];
        read_exact(&file, &mut bytes, body.file, body.offset)?;
        let (header, sum) =
            RecordHeader::parse(&body, &bytes).ok_or_else(|| damaged(&body, "record header"))?;
        let front_at = body.offset + RECORD_HEADER_BYTES;
        let mut front = vec![0; header.front_len.into()];
        read_exact(&file, &mut front, body.file, front_at)?;
        let payload_at = match Kind::of(body.file) {
            Kind::Segment => front_at,
            Kind::Large => LARGE_PAYLOAD_AT,
        };
        let payload = blake3::Hasher::new();
        let state = State::Reading;
        Ok(Self { file, body, header, sum, front, payload, payload_at, given: 0, state })
    }

    /// Whose body it is.
    pub fn queue_id(&self) -> &QueueId {
        &self.header.id
    }

    /// Bytes of the body.
    pub fn body_bytes(&self) -> u64 {
        self.header.len
    }

    /// As [`Read::read`], with our own error.
    pub(super) fn next_bytes(&mut self, out: &mut [u8]) -> Result<usize, SpoolError> {
        match self.state {
            State::Good => return Ok(0),
            State::Bad => return Err(damaged(&self.body, "checksum")),
            State::Reading => {}
        }
        if out.is_empty() {
            return Ok(0);
        }
        let n = match self.front.get(self.given as usize..) {
            Some(front) if !front.is_empty() => copy_some(front, out),
            _ => self.read_payload(out)?,
        };
        self.given += n as u64;
        if self.given == self.header.len {
            self.check()?;
        }
        Ok(n)
    }

    fn read_payload(&mut self, out: &mut [u8]) -> Result<usize, SpoolError> {
        let left = usize::try_from(self.header.len - self.given).unwrap_or(usize::MAX);
        let n = out.len().min(left);
        let at = self.payload_at + self.given - self.front.len() as u64;
        read_exact(&self.file, &mut out[..n], self.body.file, at)?;
        self.payload.update(&out[..n]);
        Ok(n)
    }

    /// Compares the checksum, and sees that the padding is zero.
    fn check(&mut self) -> Result<(), SpoolError> {
        let good = self.header.checksum(self.payload.clone(), &self.front) == self.sum
            && self.padding()?.iter().all(|b| *b == 0);
        self.state = if good { State::Good } else { State::Bad };
        if good { Ok(()) } else { Err(damaged(&self.body, "checksum")) }
    }

    fn padding(&self) -> Result<Vec<u8>, SpoolError> {
        if Kind::of(self.body.file) == Kind::Large {
            return Ok(Vec::new());
        }
        let used = RECORD_HEADER_BYTES + self.header.len;
        let mut padding = vec![0; (record::record_bytes(self.header.len) - used) as usize];
        read_exact(&self.file, &mut padding, self.body.file, self.body.offset + used)?;
        Ok(padding)
    }
}

impl Read for BodyReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.next_bytes(out).map_err(|e| match e {
            SpoolError::Io { source, .. } => source,
            e => io::Error::new(io::ErrorKind::InvalidData, e),
        })
    }
}

fn copy_some(from: &[u8], to: &mut [u8]) -> usize {
    let n = from.len().min(to.len());
    to[..n].copy_from_slice(&from[..n]);
    n
}

fn damaged(body: &BodyRef, what: &'static str) -> SpoolError {
    SpoolError::Damaged { file: record::file_name(body.file), offset: body.offset, what }
}

/// An end before the time is damage, and so is a place past all files.
fn read_exact(file: &File, out: &mut [u8], number: u64, at: u64) -> Result<(), SpoolError> {
    let name = record::file_name(number);
    let ends = SpoolError::Damaged { file: name.clone(), offset: at, what: "file ends early" };
    if i64::try_from(at).is_err() {
        return Err(ends);
    }
    file.read_exact_at(out, at).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => ends,
        _ => SpoolError::io("read", &name, e),
    })
}
