//! What a message says, made ready for the classes: read once, before the judge is asked.

mod way;

use quell_mail::content::{Content, content};
use quell_mail::letter::{self, Letter};

pub use way::{Mark, Way};

/// What a message says of itself, what it says, and by which houses it came. At most some 25 KiB, however
/// long the message is.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// What its header says of it.
    pub letter: Letter,
    /// Its content; None: it was not looked at.
    pub content: Option<Box<Content>>,
    /// The houses it passed, as its stamps name them.
    pub way: Way,
    /// Whether somebody took it from a mailbox and put it back into the stream.
    pub mark: Mark,
}

impl Said {
    /// Reads a message. The body may be cut: what stands behind the cut counts for nothing. Linear time.
    pub fn read(header: &[u8], body: &[u8], reverse_path: &str) -> Self {
        let letter = letter::read(header, body, reverse_path);
        let (way, mark) = way::read(header);
        Self { letter, content: Some(Box::new(content(header, body))), way, mark }
    }

    /// Bytes this holds on the heap, for those who count what they keep.
    pub fn heap_bytes(&self) -> usize {
        let content = self.content.as_ref().map_or(0, |c| size_of::<Content>() + c.heap_bytes());
        content + (self.letter.addressed.capacity() + self.letter.domains.capacity()) * size_of::<u64>()
    }
}

/// Contents are compared by their keys.
impl PartialEq for Said {
    fn eq(&self, other: &Self) -> bool {
        let key = |said: &Self| said.content.as_ref().map(|c| c.key());
        (&self.letter, &self.way, self.mark, key(self)) == (&other.letter, &other.way, other.mark, key(other))
    }
}

impl Eq for Said {}
