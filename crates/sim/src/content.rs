//! Messages whose long parts are kept once: a storm is the same newsletter a hundred thousand times.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Weak};

use quell_mail::header::{fields, split};

/// Parts that are at least so long are shared; shorter ones cost less than what it takes to share them.
const MIN_SHARED_BYTES: usize = 512;

/// A message, in pieces that others may share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    pieces: Vec<Arc<[u8]>>,
}

impl Content {
    /// The pieces; put together they are the message.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(|piece| &piece[..])
    }

    /// Size of the message.
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    /// The message in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces().collect::<Vec<_>>().concat()
    }

    /// The message with `lines` on top, nothing of it copied.
    pub fn under(&self, lines: &[u8]) -> Self {
        let mut pieces = Vec::with_capacity(self.pieces.len() + 1);
        pieces.push(Arc::from(lines));
        pieces.extend(self.pieces.iter().cloned());
        Self { pieces }
    }
}

impl From<Vec<u8>> for Content {
    fn from(message: Vec<u8>) -> Self {
        Self { pieces: vec![Arc::from(message)] }
    }
}

/// The long parts of the messages that are alive. Memory: one entry for each of them, and at most as many
/// for such as have died.
#[derive(Debug, Default)]
pub struct Pool {
    known: BTreeMap<u64, Weak<[u8]>>,
    clean_at: usize,
}

impl Pool {
    /// The message, its long header fields and its body shared with those that were there before.
    pub fn share(&mut self, message: &[u8]) -> Content {
        let (header, _) = split(message);
        let mut pieces = Vec::new();
        let (mut start, mut at) = (0, 0);
        for field in fields(header) {
            let end = at + field.whole.len();
            if field.whole.len() >= MIN_SHARED_BYTES {
                push_short(&mut pieces, &message[start..at]);
                pieces.push(self.shared(field.whole));
                start = end;
            }
            at = end;
        }
        let rest = &message[at..];
        if rest.len() >= MIN_SHARED_BYTES {
            push_short(&mut pieces, &message[start..at]);
            pieces.push(self.shared(rest));
        } else {
            push_short(&mut pieces, &message[start..]);
        }
        Content { pieces }
    }

    fn shared(&mut self, part: &[u8]) -> Arc<[u8]> {
        let mut hasher = DefaultHasher::new();
        hasher.write(part);
        let hash = hasher.finish();
        let known = self.known.get(&hash).and_then(Weak::upgrade);
        if let Some(known) = known.filter(|known| **known == *part) {
            return known;
        }
        self.clean();
        let new: Arc<[u8]> = Arc::from(part);
        self.known.insert(hash, Arc::downgrade(&new));
        new
    }

    /// Forgets the dead, each time there may be as many as there are living ones.
    fn clean(&mut self) {
        if self.known.len() >= self.clean_at {
            self.known.retain(|_, part| part.strong_count() > 0);
            self.clean_at = 2 * self.known.len() + 64;
        }
    }
}

fn push_short(pieces: &mut Vec<Arc<[u8]>>, part: &[u8]) {
    if !part.is_empty() {
        pieces.push(Arc::from(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn letter(received: &str, to: usize) -> Vec<u8> {
        let to = vec!["someone@firm.example"; to].join(",\r\n\t");
        let body = "All of our offers.\r\n".repeat(200);
        format!("Received: {received}\r\nTo: {to}\r\nSubject: x\r\n\r\n{body}").into_bytes()
    }

    #[test]
    fn long_parts_are_kept_once() {
        let mut pool = Pool::default();
        let (first, second) = (letter("one", 100), letter("two", 100));
        let (one, two) = (pool.share(&first), pool.share(&second));
        assert_eq!((one.to_vec(), two.to_vec()), (first, second));
        assert_eq!(pool.known.len(), 2, "the To field and the body");
        let shared = |a: &Content, b: &Content| {
            a.pieces.iter().filter(|piece| b.pieces.iter().any(|other| Arc::ptr_eq(piece, other))).count()
        };
        assert_eq!(shared(&one, &two), 2);
        assert!(two.bytes() > 6_000);
    }

    #[test]
    fn the_dead_are_forgotten() {
        let mut pool = Pool::default();
        for n in 0..2_000 {
            pool.share(format!("A: b\r\n\r\n{n}{}", "x".repeat(600)).as_bytes());
        }
        assert!(pool.known.len() <= 65, "{}", pool.known.len());
    }

    #[test]
    fn lines_go_on_top() {
        let content = Pool::default().share(b"A: b\r\n\r\nc\r\n").under(b"X: y\r\n");
        assert_eq!(content.to_vec(), b"X: y\r\nA: b\r\n\r\nc\r\n");
    }

    proptest! {
        #[test]
        fn any_message_comes_back(message in "([A-Z]: [a-z ]{0,700}\r?\n|\r\n| [a-z]{0,300}\r\n|[a-z\r\n]{0,900}){0,9}") {
            let mut pool = Pool::default();
            prop_assert_eq!(pool.share(message.as_bytes()).to_vec(), message.as_bytes());
            prop_assert_eq!(pool.share(message.as_bytes()).to_vec(), message.as_bytes());
        }
    }
}
