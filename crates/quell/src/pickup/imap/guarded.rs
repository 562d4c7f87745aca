//! A connection whose bytes pass [`Guard`] before the client's parser sees them: that buffers any literal a
//! server announces, up to 512 MiB.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use quell_wire::imap::{Guard, GuardFault};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::pickup::link::Stream;

/// Longest literal: more than is ever asked for ([`super::fetch::SLICE_BYTES`]).
const MAX_LITERAL_BYTES: u64 = super::fetch::SLICE_BYTES as u64 + 1_024;
/// Longest response, its literals not counted: SEARCH answers with one line, whatever it finds.
const MAX_LINE_BYTES: usize = 1 << 20;

/// What the client reads and writes.
pub struct Guarded {
    stream: Box<dyn Stream>,
    guard: Guard,
    /// Bytes that were read with the greeting.
    ahead: Vec<u8>,
    fault: Option<GuardFault>,
}

impl Guarded {
    /// `ahead`: what was read already, and comes first.
    pub fn new(stream: Box<dyn Stream>, ahead: Vec<u8>) -> Self {
        Self { stream, guard: Guard::new(MAX_LITERAL_BYTES, MAX_LINE_BYTES), ahead, fault: None }
    }

    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.guard.pass(bytes).map_err(|fault| {
            self.fault = Some(fault);
            io::Error::new(io::ErrorKind::InvalidData, fault)
        })
    }
}

/// The client wants to be able to show it; what was said on it is nobody's business.
impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guarded(..)")
    }
}

impl AsyncRead for Guarded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(fault) = this.fault {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault)));
        }
        let before = buf.filled().len();
        if this.ahead.is_empty() {
            match Pin::new(&mut this.stream).poll_read(cx, buf) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
        } else {
            let some = this.ahead.len().min(buf.remaining());
            buf.put_slice(&this.ahead[..some]);
            this.ahead.drain(..some);
        }
        let filled = buf.filled();
        if filled.len() == before && buf.remaining() > 0 {
            // The client takes the end of a connection for that of an answer.
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        Poll::Ready(this.pass(&filled[before..]))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
