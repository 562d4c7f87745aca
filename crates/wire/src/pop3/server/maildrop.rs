//! A maildrop as one session sees it (RFC 1939 §4).

use crate::pop3::Uidl;

/// A message of a maildrop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its size in bytes, every newline counted as CRLF (RFC 1939 §11).
    pub bytes: u64,
    /// Its unique-id.
    pub uidl: Uidl,
}

/// The messages, and which of them are marked as deleted.
#[derive(Debug)]
pub(super) struct Maildrop {
    messages: Vec<(Listed, bool)>,
}

impl Maildrop {
    /// The first `most` of these.
    pub fn new(mut messages: Vec<Listed>, most: usize) -> Self {
        messages.truncate(most.min(u32::MAX as usize));
        Self { messages: messages.into_iter().map(|message| (message, false)).collect() }
    }

    /// How many there are, marked or not.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// The message of this number, unless it is marked.
    pub fn get(&self, number: u32) -> Option<&Listed> {
        let (message, deleted) = self.messages.get(place(number)?)?;
        (!deleted).then_some(message)
    }

    /// Marks a message; false if there is none.
    pub fn delete(&mut self, number: u32) -> bool {
        let Some((_, deleted)) = place(number).and_then(|place| self.messages.get_mut(place)) else {
            return false;
        };
        !std::mem::replace(deleted, true)
    }

    /// Takes all marks away.
    pub fn reset(&mut self) {
        self.messages.iter_mut().for_each(|(_, deleted)| *deleted = false);
    }

    /// Count and bytes of what is not marked (RFC 1939 §5, STAT).
    pub fn stat(&self) -> (usize, u64) {
        let left = self.messages.iter().filter(|(_, deleted)| !deleted);
        left.fold((0, 0), |(count, bytes), (message, _)| (count + 1, message.bytes.saturating_add(bytes)))
    }

    /// The numbers of what is marked, ascending.
    pub fn deleted(&self) -> Vec<u32> {
        (1..).zip(&self.messages).filter(|(_, (_, deleted))| *deleted).map(|(number, _)| number).collect()
    }
}

/// Numbers begin at 1.
fn place(number: u32) -> Option<usize> {
    number.checked_sub(1).map(|place| place as usize)
}
