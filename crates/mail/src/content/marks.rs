//! Words that tell what a line is: something that was put in on the way, or what a person writes
//! when a message is forwarded or answered.

/// What is known of a line, as bits.
pub(super) type Flags = u8;

/// Gateways and lists write this: a line of hyphens, a disclaimer, the address of a list.
pub(super) const FOOTER: Flags = 1;
/// Gateways put this above a message: a warning.
pub(super) const WARNING: Flags = 2;
/// A person forwards or answers from here on, or quotes: what stands here was not put in.
pub(super) const QUOTING: Flags = 4;
/// With [`QUOTING`]: an original stands below, as programs put it there when they forward.
pub(super) const ORIGINAL: Flags = 8;
/// With [`QUOTING`]: who wrote what is quoted below.
pub(super) const WROTE_LINE: Flags = 16;
/// With [`QUOTING`]: a field of a header.
pub(super) const FIELD: Flags = 32;
/// With [`FOOTER`]: a line of hyphens and the like.
pub(super) const RULE: Flags = 64;
/// It begins a paragraph.
pub(super) const START: Flags = 128;

/// Words of disclaimers and footers, in lower case.
const FOOTER_WORDS: [&str; 40] = [
    "addressee",
    "archived",
    "bcc",
    "confidential",
    "confidentiality",
    "confidentiel",
    "confidenziale",
    "destinataire",
    "destinatario",
    "disclaimer",
    "disclose",
    "disclosed",
    "disclosure",
    "empf\u{e4}nger",
    "geschaeftsfuehrer",
    "gesch\u{e4}ftsf\u{fc}hrer",
    "haftung",
    "handelsregister",
    "intended",
    "legally",
    "liability",
    "liable",
    "listinfo",
    "mailing",
    "monitored",
    "privileged",
    "recipient",
    "recipients",
    "registered",
    "rechtlich",
    "scanned",
    "unauthorised",
    "unauthorized",
    "unsubscribe",
    "vertraulich",
    "vertrauliche",
    "vertrouwelijk",
    "virus",
    "viruses",
    "viren",
];
/// Words of warnings, in lower case.
const WARNING_WORDS: [&str; 14] = [
    "achtung",
    "attention",
    "caution",
    "ext",
    "extern",
    "external",
    "externe",
    "externer",
    "outside",
    "spam",
    "suspicious",
    "vorsicht",
    "warning",
    "warnung",
];
/// Words that begin a quotation, before a colon at the end of a line.
const WROTE: [&str; 7] = ["wrote", "writes", "schrieb", "\u{e9}crit", "scritto", "escribi\u{f3}", "schreef"];
/// Fields that mail programs write above a message that they forward or quote.
const QUOTED_FIELDS: [&str; 10] =
    ["from", "von", "de", "da", "sent", "gesendet", "date", "datum", "subject", "betreff"];
/// With [`MESSAGE`], in a line of hyphens or before a colon: what is forwarded.
const FORWARDED: [&str; 5] =
    ["forwarded", "original", "weitergeleitete", "urspr\u{fc}ngliche", "transf\u{e9}r\u{e9}"];
const MESSAGE: [&str; 4] = ["message", "nachricht", "mail", "e-mail"];

/// Longest word that is looked up.
const MAX_WORD_BYTES: usize = 20;

/// For each length the first and the last letters of the words above, as bits: nearly every word of a text is
/// told from all of them by its length and these.
const ENDS: [(u32, u32); MAX_WORD_BYTES + 1] = ends();

const fn ends() -> [(u32, u32); MAX_WORD_BYTES + 1] {
    let lists: [&[&str]; 6] = [&FOOTER_WORDS, &WARNING_WORDS, &WROTE, &QUOTED_FIELDS, &FORWARDED, &MESSAGE];
    let mut ends = [(0, 0); MAX_WORD_BYTES + 1];
    let mut list = 0;
    while list < lists.len() {
        let mut word = 0;
        while word < lists[list].len() {
            let bytes = lists[list][word].as_bytes();
            ends[bytes.len()].0 |= bit(bytes[0]);
            ends[bytes.len()].1 |= bit(bytes[bytes.len() - 1]);
            word += 1;
        }
        list += 1;
    }
    ends
}

/// The same for a letter and its capital.
const fn bit(byte: u8) -> u32 {
    1 << (byte & 31)
}

/// Whether a word of up to [`MAX_WORD_BYTES`] may be one of those above.
fn may_be_known(core: &[u8]) -> bool {
    let (Some(first), Some(last)) = (core.first(), core.last()) else { return false };
    ENDS.get(core.len()).is_some_and(|(firsts, lasts)| firsts & bit(*first) != 0 && lasts & bit(*last) != 0)
}

/// `word` without the punctuation around it.
fn core(word: &str) -> &str {
    if !word.is_ascii() {
        return word.trim_matches(|c: char| !c.is_alphanumeric());
    }
    let is_clean = |byte: &u8| byte.is_ascii_alphanumeric();
    let start = word.bytes().position(|b| is_clean(&b)).unwrap_or(word.len());
    let end = word.bytes().rposition(|b| is_clean(&b)).map_or(start, |last| last + 1);
    &word[start..end]
}

/// Reads one line, word by word.
#[derive(Default)]
pub(super) struct Line {
    flags: Flags,
    words: usize,
    forwarded: bool,
    message: bool,
    wrote: bool,
    hyphens: bool,
    colon: bool,
}

impl Line {
    /// Takes the next word, with the punctuation that hangs on it.
    pub(super) fn word(&mut self, word: &str) {
        let first = self.words == 0;
        self.words += 1;
        let is_clean = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        if is_clean(word.as_bytes().first()) && is_clean(word.as_bytes().last()) {
            self.colon = false;
            return self.letters(word, word, first);
        }
        self.colon = word.ends_with(':');
        let core = core(word);
        if core.is_empty() {
            self.no_letters(word, first);
            return;
        }
        self.hyphens |= word.starts_with("---") || word.ends_with("---");
        self.flags |= if first && word.starts_with('>') { QUOTING } else { 0 };
        self.letters(word, core, first);
    }

    /// `core` is what `word` is without punctuation.
    fn letters(&mut self, word: &str, core: &str, first: bool) {
        if core.len() > MAX_WORD_BYTES {
            self.flags |= if word.contains("/listinfo/") { FOOTER } else { 0 };
        } else if may_be_known(core.as_bytes()) {
            self.known(core, first);
        }
    }

    /// A word that may be one of those above.
    fn known(&mut self, core: &str, first: bool) {
        let mut buffer = [0; MAX_WORD_BYTES];
        let Some(core) = lower(core, &mut buffer) else { return };
        self.flags |= if FOOTER_WORDS.contains(&core) { FOOTER } else { 0 };
        self.flags |= if WARNING_WORDS.contains(&core) { WARNING | FOOTER } else { 0 };
        self.flags |= if first && self.colon && QUOTED_FIELDS.contains(&core) { QUOTING | FIELD } else { 0 };
        self.forwarded |= FORWARDED.contains(&core);
        self.message |= MESSAGE.contains(&core);
        self.wrote |= WROTE.contains(&core);
    }

    /// A word of punctuation: a line of hyphens, or the mark of a quotation.
    fn no_letters(&mut self, word: &str, first: bool) {
        let is_rule = word.len() >= 2 && word.bytes().all(|b| b"-_=*#~".contains(&b));
        self.flags |= if is_rule { FOOTER | RULE } else { 0 };
        self.hyphens |= word.starts_with("---");
        self.flags |= if first && word.starts_with('>') { QUOTING } else { 0 };
    }

    /// The line has ended.
    pub(super) fn finish(self) -> Flags {
        let forwards = self.forwarded && self.message && (self.hyphens || self.colon);
        let quotes = self.wrote && self.colon;
        let original = if forwards { QUOTING | ORIGINAL } else { 0 };
        let wrote = if quotes { QUOTING | WROTE_LINE } else { 0 };
        self.flags | original | wrote
    }
}

/// `word` in lower case; None if it is longer than what is looked up.
fn lower<'a>(word: &str, buffer: &'a mut [u8; MAX_WORD_BYTES]) -> Option<&'a str> {
    let lower = buffer.get_mut(..word.len())?;
    lower.copy_from_slice(word.as_bytes());
    // Capitals above ASCII stay: none of the words begins with one.
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lines_are() {
        for (line, wanted) in [
            ("The figures are attached.", 0),
            ("_______________________________", FOOTER | RULE),
            ("-- ", FOOTER | RULE),
            ("This message is CONFIDENTIAL.", FOOTER),
            ("https://lists.example/mailman/listinfo/friends", FOOTER),
            ("[EXTERNAL] This message came from outside.", WARNING | FOOTER),
            ("*** Achtung: externe Nachricht ***", WARNING | FOOTER | RULE),
            ("> quoted", QUOTING),
            (">quoted", QUOTING),
            ("From: Jane", QUOTING | FIELD),
            ("-----Original Message-----", QUOTING | ORIGINAL),
            ("---------- Forwarded message ---------", QUOTING | ORIGINAL | FOOTER | RULE),
            ("Begin forwarded message:", QUOTING | ORIGINAL),
            ("please destroy the original message", 0),
            ("On Monday Jane wrote:", QUOTING | WROTE_LINE),
            ("as he wrote", 0),
            ("from Jane", 0),
        ] {
            let mut read = Line::default();
            line.split_whitespace().for_each(|word| read.word(word));
            assert_eq!(read.finish(), wanted, "{line}");
        }
    }
}
