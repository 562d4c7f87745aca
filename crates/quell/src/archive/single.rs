//! Files of one message each.

use std::cell::Cell;
use std::io;

use super::sink::Sink;
use super::source::{FromHere, fill};
use super::unpack::unpack;
use super::{Packing, What};

/// The first read of a file, if it says nothing about its size.
const LEAST_BYTES: usize = 16 << 10;

/// Hands on the message of a file.
pub(super) fn read_single(file: u32, sink: &mut Sink<'_>) {
    let bytes = sink.archive.file(file).map_or(0, |info| info.bytes);
    let mut buffer = std::mem::take(&mut sink.buffer);
    match whole(file, sink, &mut buffer) {
        Err(error) => sink.damage(file, 0, What::Unreadable(error.to_string())),
        Ok((filled, taken, error)) => {
            let shrunk = error.is_none() && taken < bytes && filled <= sink.archive.limits.message_bytes;
            sink.message(file, 0, &buffer[..filled], shrunk || error.is_some());
            if shrunk {
                sink.damage(file, filled as u64, What::Shrunk);
            }
            if let Some(error) = error {
                sink.broken(file, filled as u64, &error);
            }
        }
    }
    sink.progress.bytes(bytes);
    if buffer.len() > super::stream::KEPT_BYTES {
        buffer = Vec::new();
    }
    sink.buffer = buffer;
}

type Whole = (usize, u64, Option<io::Error>);

/// Reads a file into `buffer`, up to one byte more than a message may have: how many bytes there are,
/// how many of the file they took, and what ended it.
fn whole(file: u32, sink: &Sink<'_>, buffer: &mut Vec<u8>) -> io::Result<Whole> {
    let archive = sink.archive;
    let source = archive.source(file)?;
    let most = archive.limits.message_bytes + 1;
    // The size is known, so that one read is enough; one byte more shows that the file has ended.
    let known = archive.file(file).and_then(|info| usize::try_from(info.bytes).ok()).unwrap_or(0);
    let want = known.saturating_add(1).clamp(LEAST_BYTES, most.max(LEAST_BYTES));
    if buffer.len() < want {
        buffer.resize(want, 0);
    }
    let mut plain = FromHere { source: &source, at: 0, end: u64::MAX };
    let (filled, error) = fill(&mut plain, &mut buffer[..want]);
    let packing = Packing::of(&buffer[..filled]);
    if packing == Packing::Plain && (filled < want || want >= most || error.is_some()) {
        return Ok((filled, filled as u64, error));
    }
    // It grew meanwhile, or is compressed: from the beginning, as a stream.
    let taken = Cell::new(0);
    let packed = FromHere { source: &source, at: 0, end: u64::MAX };
    let mut stream = unpack(packing, packed, &taken, &archive.limits);
    let (mut filled, mut size) = (0, want);
    loop {
        buffer.resize(buffer.len().max(size), 0);
        let (more, error) = fill(&mut stream, &mut buffer[filled..size]);
        filled += more;
        if filled < size || size >= most || error.is_some() {
            return Ok((filled, taken.get(), error));
        }
        size = size.saturating_mul(2).min(most);
    }
}
