//! What a message says, apart from who carried it: the content key (DESIGN.md, "Words").
//!
//! A faulty server sends a message again under a new Message-ID and Date, with a torn To, through
//! another transfer encoding; a gateway or a list adds its lines at each pass. Content finds those
//! copies. It knows nothing of identity and says nothing of guilt: whether two messages with one
//! content are a storm or a person who sends twice is the caller's question.
//!
//! [`bucket`] is the sieve for every message; [`content`] is for those whose bucket is taken.

pub(crate) mod address;
pub(crate) mod decode;
mod fingerprint;
mod html;
mod marks;
mod own;
mod parts;
pub(crate) mod subject;
mod text;
pub(crate) mod words;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::header::{Field, fields};
use parts::{Kind, Outer, Part};
use subject::Hash64;
use text::Text;

pub use fingerprint::Fingerprint;

/// Bytes of a From or Subject that are looked at; the rest of a longer one counts for nothing.
pub const MAX_FIELD_BYTES: usize = 2_048;
/// Bytes of In-Reply-To, References and Thread-Index that are looked at, each.
pub const MAX_THREAD_BYTES: usize = 64 << 10;
/// Bytes of a body that are looked at. Of an attachment that is cut there whole blocks of 16 KiB
/// count, so that a line more before it does not change what is left of it. A text that is cut is
/// known again only in the same encoding.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// Fewest words of a text that may have got lines added: less says too little to be known again.
const MIN_WORDS: u32 = 3;

/// Cheap first sieve, from the values of the header fields From and Subject alone: messages with
/// one content are in one bucket. None: there is neither author nor subject.
///
/// A plain ASCII field is read in place; at most [`MAX_FIELD_BYTES`] of each are read.
pub fn bucket(from: Option<&[u8]>, subject: Option<&[u8]>) -> Option<u64> {
    let mut hash = Hash64::default();
    let author = address::author(start_of(from), |byte| hash.push(byte));
    // A byte that neither part has: where the author ends says something.
    hash.push(0);
    let about = subject::normal(start_of(subject), |byte| hash.push(byte));
    (author || about).then(|| hash.finish())
}

pub(crate) fn start_of(value: Option<&[u8]>) -> &[u8] {
    let value = value.unwrap_or_default();
    &value[..value.len().min(MAX_FIELD_BYTES)]
}

/// Hash of author, subject, thread and canonical text (BLAKE3): equal for copies that differ only
/// in identity, recipients, encoding, charset, boundaries and wrapping.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentKey(pub [u8; 32]);

/// 32 hex digits: what people see.
impl fmt::Display for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..16].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How alike two contents are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Likeness {
    /// All that counts is equal; so are the keys.
    Same,
    /// One is the other with something put in on its way: a warning at the start, a footer at the
    /// end, a disclaimer between.
    Added {
        /// Lines that were put in, empty ones not counted, in the text that got more of them; 0 if
        /// only a Thread-Index was added.
        lines: usize,
    },
    /// Two messages.
    Different,
}

/// 16 bytes of BLAKE3.
type Digest = [u8; 16];

/// The content of one message; at most some 8 KiB, however long the message is.
#[derive(Debug, Clone)]
pub struct Content {
    key: ContentKey,
    /// See [`Fingerprint::place`].
    place: u64,
    author: Digest,
    subject: Digest,
    /// The ids of In-Reply-To and References.
    thread: Digest,
    /// The first 22 bytes of Thread-Index, which name the conversation (\[MS-OXOMSG\] 2.2.1.3).
    thread_index: Option<Digest>,
    /// The text in plain parts, those that a list appended included.
    plain: Option<Text>,
    /// The text in HTML parts.
    html: Option<Text>,
    attachments: Digest,
    has_list_id: bool,
    /// The id in List-Id: in no key.
    list_id: Digest,
}

/// The content of the message with this header block and body. The body may be cut: what stands
/// behind the cut, or behind [`MAX_BODY_BYTES`], counts for nothing. Linear time, no panic: what
/// cannot be understood is taken as text as it stands.
pub fn content(header: &[u8], body: &[u8]) -> Content {
    let named = Named::find(header);
    let cut = body.len() > MAX_BODY_BYTES;
    let outer = Outer { content_type: named.content_type, encoding: named.encoding };
    let said = Said::read(&outer, &body[..body.len().min(MAX_BODY_BYTES)], cut);
    let mut content = Content {
        key: ContentKey([0; 32]),
        place: 0,
        author: collected(|out| address::author(start_of(named.from), out)),
        subject: collected(|out| subject::normal(start_of(named.subject), out)),
        thread: collected(|out| words::ids(&[named.in_reply_to, named.references], out)),
        thread_index: words::conversation(named.thread_index).map(|start| digest(&start)),
        plain: said.plain,
        html: said.html,
        attachments: said.attachments,
        has_list_id: named.list_id.is_some(),
        list_id: named.list_id.map_or([0; 16], |id| digest(words::list_id(start_of(Some(id))).as_bytes())),
    };
    (content.key, content.place) = (content.whole_key(), content.whole_place());
    content
}

impl Content {
    /// The key: equal exactly for contents that compare as [`Likeness::Same`].
    pub fn key(&self) -> ContentKey {
        self.key
    }

    /// Whether the message came through a mailing list: a copy with List-Id and one without are
    /// never compared (DESIGN.md, "Words").
    pub fn has_list_id(&self) -> bool {
        self.has_list_id
    }

    /// Bytes this holds on the heap, for those who count what they keep.
    pub fn heap_bytes(&self) -> usize {
        [&self.plain, &self.html].into_iter().flatten().map(Text::heap_bytes).sum()
    }

    /// The same as if it had not come through a list: for a caller that has other reasons to compare what a
    /// list handed on.
    #[must_use]
    pub fn without_list(mut self) -> Self {
        (self.has_list_id, self.list_id) = (false, [0; 16]);
        (self.key, self.place) = (self.whole_key(), self.whole_place());
        self
    }

    /// How alike the two are; the same in both directions.
    pub fn compare(&self, other: &Content) -> Likeness {
        if self.key == other.key {
            return Likeness::Same;
        }
        match self.added_in(other).or_else(|| other.added_in(self)) {
            Some(lines) => Likeness::Added { lines },
            None => Likeness::Different,
        }
    }

    /// How many lines `longer` has more, if it is this content with something put in.
    fn added_in(&self, longer: &Content) -> Option<usize> {
        let fixed = |c: &Content| (c.author, c.subject, c.thread, c.attachments, c.has_list_id);
        let index_fits = self.thread_index.is_none() || self.thread_index == longer.thread_index;
        if fixed(self) != fixed(longer) || !index_fits || self.words() < MIN_WORDS {
            return None;
        }
        let html = match (&self.html, &longer.html) {
            (None, None) => 0,
            (Some(ours), Some(theirs)) => ours.added_in(theirs)?,
            // HTML that only one of them has may say anything beside an empty plain text.
            _ => return None,
        };
        let plain = match (&self.plain, &longer.plain) {
            (None, None) => 0,
            (Some(ours), Some(theirs)) => ours.added_in(theirs)?,
            // A list puts its footer beside an HTML text as a plain part of its own.
            (None, Some(theirs)) => theirs.footer_lines()?,
            (Some(_), None) => return None,
        };
        Some(html.max(plain))
    }

    fn words(&self) -> u32 {
        let words = |text: &Option<Text>| text.as_ref().map_or(0, Text::words);
        words(&self.plain).max(words(&self.html))
    }

    fn whole_key(&self) -> ContentKey {
        let mut hasher = blake3::Hasher::new_derive_key("quell content key, version 1");
        hasher.update(&self.author).update(&self.subject).update(&self.thread);
        hasher.update(&[u8::from(self.has_list_id), u8::from(self.thread_index.is_some())]);
        hasher.update(&self.thread_index.unwrap_or_default());
        for text in [&self.plain, &self.html] {
            hasher.update(&[u8::from(text.is_some())]);
            hasher.update(&text.as_ref().map_or([0; 32], Text::digest));
        }
        ContentKey(*hasher.update(&self.attachments).finalize().as_bytes())
    }
}

/// The values of the fields that count: of each the first.
#[derive(Default)]
struct Named<'a> {
    from: Option<&'a [u8]>,
    subject: Option<&'a [u8]>,
    in_reply_to: &'a [u8],
    references: &'a [u8],
    thread_index: &'a [u8],
    content_type: &'a [u8],
    encoding: &'a [u8],
    list_id: Option<&'a [u8]>,
}

impl<'a> Named<'a> {
    fn find(header: &'a [u8]) -> Self {
        let mut named = Self::default();
        fields(header).for_each(|field| named.take(&field));
        named
    }

    fn take(&mut self, field: &Field<'a>) {
        let value = &field.value[..field.value.len().min(MAX_THREAD_BYTES)];
        // The length first: most fields are none of these.
        let slot = match field.name.len() {
            4 if field.is("from") => return self.from = self.from.or(Some(value)),
            7 if field.is("subject") => return self.subject = self.subject.or(Some(value)),
            7 if field.is("list-id") => return self.list_id = self.list_id.or(Some(value)),
            11 if field.is("in-reply-to") => &mut self.in_reply_to,
            10 if field.is("references") => &mut self.references,
            12 if field.is("thread-index") => &mut self.thread_index,
            12 if field.is("content-type") => &mut self.content_type,
            25 if field.is("content-transfer-encoding") => &mut self.encoding,
            _ => return,
        };
        if slot.is_empty() {
            *slot = value;
        }
    }
}

/// What the parts of a body say.
struct Said {
    plain: Option<Text>,
    html: Option<Text>,
    attachments: Digest,
}

impl Said {
    fn read(outer: &Outer<'_>, body: &[u8], cut: bool) -> Self {
        let (mut plain, mut html): (Option<text::Builder>, Option<text::Builder>) = (None, None);
        let mut attached = blake3::Hasher::new();
        // Parts are read as one text: where a list put the text of its footer must not count.
        parts::walk(outer, body, cut, |part: Part<'_>| match part.kind {
            Kind::Plain => plain.get_or_insert_default().add(&decode::text(&part)),
            Kind::Html => html.get_or_insert_default().add(&html::text(&decode::text(&part))),
            Kind::Attached => {
                attached.update(&digest_attached(&decode::bytes(&part), part.cut));
            }
        });
        let text =
            |said: Option<text::Builder>| said.map(text::Builder::finish).filter(|text| text.words() > 0);
        Self { plain: text(plain), html: text(html), attachments: cut_digest(&attached) }
    }
}

/// Hash of an attachment, without CR and without line ends at its end: both come and go with the
/// transfer encoding.
fn digest_attached(bytes: &[u8], cut: bool) -> Digest {
    const BLOCK_BYTES: usize = 16 << 10;
    let whole_blocks = bytes.len() - bytes.len() % BLOCK_BYTES;
    let bytes = if cut && whole_blocks > 0 { &bytes[..whole_blocks] } else { bytes };
    let end = bytes.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let mut hasher = blake3::Hasher::new();
    bytes[..end].split(|b| *b == b'\r').for_each(|piece| {
        hasher.update(piece);
    });
    cut_digest(&hasher)
}

fn collected<T>(write: impl FnOnce(&mut dyn FnMut(u8)) -> T) -> Digest {
    let mut bytes = Vec::new();
    write(&mut |byte| bytes.push(byte));
    digest(&bytes)
}

fn digest(bytes: &[u8]) -> Digest {
    cut_digest(blake3::Hasher::new().update(bytes))
}

fn cut_digest(hasher: &blake3::Hasher) -> Digest {
    let mut cut = [0; 16];
    cut.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    cut
}

/// A field's value with its encoded words decoded (RFC 2047); at most [`MAX_FIELD_BYTES`] of it.
pub fn decoded(value: &[u8]) -> String {
    words::decoded(start_of(Some(value))).into_owned()
}
