//! Compressed files as a stream of plain bytes, with a bound on how much they become.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::{Limits, Packing};

/// Most memory an .xz file may want, in KiB (`xz -9` wants 64 MiB); one that wants more is not read.
const XZ_MEMORY_KIB: u32 = 160 << 10;

/// Largest window of a .zst file (`zstd --long`); one with a larger is not read.
const ZSTD_WINDOW_BYTES: u64 = 128 << 20;

const INPUT_BYTES: usize = 64 << 10;

/// Most that a decompressor is asked for at once: where the compressed bytes end too early, some give
/// nothing of what they were asked for last.
const OUTPUT_BYTES: usize = 16 << 10;

/// The plain bytes of `packed`; `taken` is how many of its bytes were read so far.
pub(super) fn unpack<'a>(
    packing: Packing,
    packed: impl Read + 'a,
    taken: &'a Cell<u64>,
    limits: &Limits,
) -> Box<dyn Read + 'a> {
    let packed = Counted { inner: packed, taken };
    let plain: Box<dyn Read + 'a> = match packing {
        Packing::Plain => return Box::new(packed),
        Packing::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(INPUT_BYTES, packed))),
        Packing::Xz => {
            let input = BufReader::with_capacity(INPUT_BYTES, packed);
            Box::new(XzReader::new_mem_limit(input, true, XZ_MEMORY_KIB))
        }
        Packing::Zstd => Box::new(Frames::new(BufReader::with_capacity(INPUT_BYTES, packed))),
    };
    Box::new(Bounded { inner: plain, taken, given: 0, limits: *limits })
}

struct Counted<'a, R> {
    inner: R,
    taken: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.taken.set(self.taken.get() + count as u64);
        Ok(count)
    }
}

/// The error of a stream that became too large.
#[derive(Debug)]
pub(super) struct Bomb;

impl fmt::Display for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "becomes too large when decompressed")
    }
}

impl std::error::Error for Bomb {}

struct Bounded<'a, R> {
    inner: R,
    taken: &'a Cell<u64>,
    given: u64,
    limits: Limits,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let limits = &self.limits;
        let by_ratio =
            self.taken.get().saturating_mul(limits.expansion_ratio).max(limits.expansion_free_bytes);
        if self.given > by_ratio.min(limits.expanded_bytes) {
            return Err(io::Error::other(Bomb));
        }
        let most = buf.len().min(OUTPUT_BYTES);
        let count = self.inner.read(&mut buf[..most])?;
        self.given += count as u64;
        Ok(count)
    }
}

/// All frames of a .zst file, one behind the other; skippable ones are skipped (RFC 8878 §3.1.2).
struct Frames<R: Read> {
    decoder: Option<StreamingDecoder<Ahead<R>, FrameDecoder>>,
    rest: Option<Ahead<R>>,
}

impl<R: Read> Frames<R> {
    fn new(inner: R) -> Self {
        Self { decoder: None, rest: Some(Ahead { inner, magic: [0; 4], at: 4 }) }
    }

    /// The next frame's decoder, or none at the end.
    fn next(&mut self, mut input: Ahead<R>) -> io::Result<()> {
        loop {
            if !input.peek()? {
                return Ok(());
            }
            if !matches!(input.magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18]) {
                let decoder = StreamingDecoder::new_with_max_window_size(input, ZSTD_WINDOW_BYTES);
                self.decoder = Some(decoder.map_err(|e| io::Error::other(e.to_string()))?);
                return Ok(());
            }
            let mut len = [0; 4];
            input.at = 4;
            input.inner.read_exact(&mut len)?;
            let len = u64::from(u32::from_le_bytes(len));
            if io::copy(&mut (&mut input.inner).take(len), &mut io::sink())? < len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(decoder) = &mut self.decoder {
                let count = decoder.read(buf)?;
                if count > 0 {
                    return Ok(count);
                }
            }
            if let Some(decoder) = self.decoder.take() {
                let (input, frame) = decoder.into_parts();
                let said = frame.get_checksum_from_data();
                if said.is_some() && said != frame.get_calculated_checksum() {
                    return Err(io::Error::other("wrong checksum"));
                }
                self.rest = Some(input);
            }
            let Some(input) = self.rest.take() else { return Ok(0) };
            self.next(input)?;
            if self.decoder.is_none() {
                return Ok(0);
            }
        }
    }
}

/// A reader whose next four bytes can be looked at.
struct Ahead<R> {
    inner: R,
    magic: [u8; 4],
    /// How many of `magic` were read.
    at: usize,
}

impl<R: Read> Ahead<R> {
    /// False at the end.
    fn peek(&mut self) -> io::Result<bool> {
        if self.inner.read(&mut self.magic[..1])? == 0 {
            return Ok(false);
        }
        self.inner.read_exact(&mut self.magic[1..])?;
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for Ahead<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let ready = &self.magic[self.at..];
        if ready.is_empty() {
            return self.inner.read(buf);
        }
        let count = ready.len().min(buf.len());
        buf[..count].copy_from_slice(&ready[..count]);
        self.at += count;
        Ok(count)
    }
}
