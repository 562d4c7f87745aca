//! What a table keeps of a content: enough to know a later copy by, and no more.

use super::text::{Sum, Text};
use super::{Content, Likeness, MIN_WORDS};

/// The content of one message in 48 bytes, of which nothing can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    key: u64,
    place: u64,
    /// 0: there is none.
    thread_index: u64,
    plain_hash: u64,
    html_hash: u64,
    plain_words: u32,
    html_words: u32,
}

impl Fingerprint {
    /// The place in a table: equal for all contents that [`Content::likeness_to`] can find alike. Author,
    /// subject without prefixes and tags, thread ids, attachments, and the id of the list that the message
    /// came by: what came by two lists, or by one and directly, is never compared.
    pub fn place(&self) -> u64 {
        self.place
    }

    /// Words of the longer of its two texts.
    pub fn words(&self) -> u32 {
        self.plain_words.max(self.html_words)
    }

    /// The first 8 bytes of the content key.
    pub fn key(&self) -> u64 {
        self.key
    }

    fn plain(&self) -> Sum {
        Sum { hash: self.plain_hash, words: self.plain_words }
    }

    fn html(&self) -> Sum {
        Sum { hash: self.html_hash, words: self.html_words }
    }
}

impl Content {
    /// What a table keeps of it.
    pub fn fingerprint(&self) -> Fingerprint {
        let sum = |text: &Option<Text>| text.as_ref().map(Text::sum).unwrap_or_default();
        let (plain, html) = (sum(&self.plain), sum(&self.html));
        Fingerprint {
            key: first_8(&self.key.0),
            place: self.place,
            thread_index: self.thread_index.map_or(0, |index| first_8(&index) | 1),
            plain_hash: plain.hash,
            html_hash: html.hash,
            plain_words: plain.words,
            html_words: html.words,
        }
    }

    /// Whether this content is that of `first`, or that with something put in on the way: a warning at
    /// the start, a footer at the end, a disclaimer between; footers of several passes too, each copy
    /// against the first. Only what was put in is seen: a copy that lost lines, as the original does that
    /// comes behind a copy with a footer, is another message.
    ///
    /// Wherever [`Content::compare`] finds the first alike and not longer, so does this, but for what
    /// came by different lists.
    pub fn likeness_to(&self, first: &Fingerprint) -> Likeness {
        let ours = self.fingerprint();
        if ours.place != first.place {
            return Likeness::Different;
        }
        if ours.key == first.key {
            return Likeness::Same;
        }
        self.lines_beside(&ours, first).map_or(Likeness::Different, |lines| Likeness::Added { lines })
    }

    /// Lines that this has more than `first`, which has its place in the table.
    fn lines_beside(&self, ours: &Fingerprint, first: &Fingerprint) -> Option<usize> {
        let index_fits = first.thread_index == 0 || first.thread_index == ours.thread_index;
        if !index_fits || first.words() < MIN_WORDS {
            return None;
        }
        let html = match &self.html {
            None => (first.html_words == 0).then_some(0)?,
            // HTML that only one of them has may say anything beside an empty plain text.
            Some(html) => html.lines_beside(Some(first.html()).filter(|sum| sum.words > 0)?)?,
        };
        let plain = match &self.plain {
            None => (first.plain_words == 0).then_some(0)?,
            // A list puts its footer beside an HTML text as a plain part of its own.
            Some(plain) if first.plain_words == 0 => plain.footer_lines()?,
            Some(plain) => plain.lines_beside(first.plain())?,
        };
        Some(html.max(plain))
    }

    /// Hash of the message's own words: without quoted lines, and without words that have a digit or an
    /// `@` in them. Equal for two answers of one machine to different tickets, whatever they quote. Of
    /// the plain text, or else the HTML. None: fewer than 3 words.
    pub fn template(&self) -> Option<u64> {
        [&self.plain, &self.html].into_iter().flatten().find_map(Text::template)
    }

    pub(super) fn whole_place(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.author).update(&self.subject).update(&self.thread);
        hasher.update(&self.attachments).update(&[u8::from(self.has_list_id)]);
        hasher.update(&self.list_id);
        first_8(hasher.finalize().as_bytes())
    }
}

fn first_8(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
