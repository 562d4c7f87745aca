//! Content under way: DATA (RFC 5321 §4.1.1.4) and BDAT (RFC 3030).

use super::commands::too_big;
use super::session::{Asked, Session, State};
use super::{BareNewlines, Closing, Step};
use crate::data::{Decoder, Piece};
use crate::reply::Reply;

/// The content of one transaction.
#[derive(Debug)]
pub(super) struct Body {
    decoder: Decoder,
    bytes: u64,
    refused: Option<Refused>,
}

/// Content that is read to its end and thrown away.
#[derive(Debug)]
struct Refused {
    reply: Reply,
    thrown_away_bytes: u64,
    closes: bool,
}

impl Body {
    fn taken(decoder: Decoder) -> Self {
        Self { decoder, bytes: 0, refused: None }
    }

    /// Chunks that are refused from their first byte.
    pub fn refused(reply: Reply) -> Self {
        let mut body = Self::taken(Decoder::for_chunks());
        body.refuse(reply, 0);
        body
    }

    fn refuse(&mut self, reply: Reply, thrown_away_bytes: u64) {
        self.refused = Some(Refused { reply, thrown_away_bytes, closes: false });
    }
}

impl Session {
    /// The answer to DATA. A refused one leaves the transaction as it is.
    pub(super) fn data_answered(&mut self, reply: &Reply) {
        if !reply.is_positive() {
            return self.say(reply);
        }
        self.say(&Reply::go_ahead());
        self.body = Some(Body::taken(Decoder::for_data()));
        self.state = State::Data;
    }

    /// The answer to the first BDAT. Its reply follows the chunk, but for one that closes.
    pub(super) fn chunk_answered(&mut self, bytes: u64, last: bool, reply: &Reply) {
        if reply.closes() {
            return self.say(reply);
        }
        self.body = Some(match reply.is_positive() {
            true => Body::taken(Decoder::for_chunks()),
            false => Body::refused(reply.clone()),
        });
        self.state = State::Chunk { left_bytes: bytes, last };
    }

    /// A further chunk that would pass the limit is refused before it is read.
    pub(super) fn check_size(&mut self, chunk_bytes: u64) -> Option<Step<'static>> {
        let limit = self.settings.max_message_bytes;
        let body = self.body.as_mut().filter(|body| body.refused.is_none())?;
        if body.bytes.saturating_add(chunk_bytes) <= limit {
            return None;
        }
        body.refuse(too_big(), 0);
        Some(Step::Reset)
    }

    pub(super) fn next_content<'a>(&mut self, input: &'a [u8]) -> (usize, Step<'a>) {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            self.give_up_if_much_too_big();
            let (taken, step) = match self.state {
                State::Data => self.decode(rest),
                State::Chunk { left_bytes: 0, last } => (0, self.chunk_end(last)),
                State::Chunk { left_bytes, last } => self.decode_chunk(rest, left_bytes, last),
                _ => {
                    let (taken, step) = self.next(rest);
                    return (used + taken, step);
                }
            };
            used += taken;
            if let Some(step) = step {
                return (used, step);
            }
        }
    }

    fn decode_chunk<'a>(
        &mut self,
        input: &'a [u8],
        left_bytes: u64,
        last: bool,
    ) -> (usize, Option<Step<'a>>) {
        let most = usize::try_from(left_bytes).unwrap_or(usize::MAX);
        let (taken, step) = self.decode(&input[..input.len().min(most)]);
        if let State::Chunk { .. } = self.state {
            self.state = State::Chunk { left_bytes: left_bytes - taken as u64, last };
        }
        (taken, step)
    }

    fn decode<'a>(&mut self, input: &'a [u8]) -> (usize, Option<Step<'a>>) {
        let Some(body) = self.body.as_mut().filter(|_| !input.is_empty()) else {
            return (0, Some(Step::NeedInput));
        };
        let (taken, piece) = body.decoder.next(input);
        let step = match piece {
            Piece::More => None,
            Piece::Content(content) => self.content(content),
            Piece::End => self.data_end(),
        };
        (taken, step)
    }

    /// A piece of content: given out, or thrown away.
    fn content<'a>(&mut self, content: &'a [u8]) -> Option<Step<'a>> {
        let limit = self.settings.max_message_bytes;
        let refuses_bare = self.settings.bare_newlines == BareNewlines::Refuse;
        let bdat = matches!(self.state, State::Chunk { .. });
        let body = self.body.as_mut()?;
        if let Some(refused) = &mut body.refused {
            refused.thrown_away_bytes += content.len() as u64;
            return None;
        }
        body.bytes += content.len() as u64;
        if refuses_bare && body.decoder.bare_newlines() > 0 {
            // After DATA the client and we may not agree where this message ends, so what follows
            // it is not read either. The end of a chunk is beyond doubt.
            let reply = Reply::new(550, (6, 0), "bare <CR> or <LF> in message, RFC 5321 2.3.8");
            body.refused = Some(Refused { reply, thrown_away_bytes: 0, closes: !bdat });
            return Some(Step::Reset);
        }
        if body.bytes > limit {
            body.refuse(too_big(), body.bytes - limit);
            return Some(Step::Reset);
        }
        Some(Step::Data(content))
    }

    /// Refused content is not read for ever.
    fn give_up_if_much_too_big(&mut self) {
        let limit = self.settings.max_message_bytes;
        let refused = self.body.as_ref().and_then(|body| body.refused.as_ref());
        if let Some(refused) = refused.filter(|refused| refused.thrown_away_bytes > limit) {
            // The refusal first: after a 421 alone the client would bring it again and again.
            let reply = refused.reply.clone();
            self.content_refused(reply);
            self.close_421("closing, see above", Closing::TooMuch);
        }
    }

    /// CRLF.CRLF was read.
    fn data_end(&mut self) -> Option<Step<'static>> {
        self.state = State::Command;
        let body = self.body.take()?;
        match body.refused {
            None => Some(self.ask_end(&body)),
            Some(refused) => {
                self.content_refused(refused.reply);
                match refused.closes {
                    true => self.close_421("closing, see above", Closing::BareNewline),
                    false => None,
                }
            }
        }
    }

    /// All bytes of a chunk were read.
    fn chunk_end(&mut self, last: bool) -> Option<Step<'static>> {
        let mut body = self.body.take()?;
        if last
            && body.refused.is_none()
            && let Some(owed) = body.decoder.finish()
        {
            self.body = Some(body);
            return self.content(owed);
        }
        self.state = State::Command;
        if let Some(refused) = &body.refused {
            self.say(&refused.reply);
            match last {
                true => self.end_transaction(),
                // The client has to say RSET (RFC 3030 §2), or to send its last chunk.
                false => self.body = self.transaction.is_some().then_some(body),
            }
            return None;
        }
        if last {
            return Some(self.ask_end(&body));
        }
        self.say(&Reply::new(250, (0, 0), "chunk ok"));
        self.body = Some(body);
        None
    }

    fn ask_end(&mut self, body: &Body) -> Step<'static> {
        Step::End {
            question: self.ask(Asked::End),
            bytes: body.bytes,
            bare_newlines: body.decoder.bare_newlines(),
        }
    }
}
