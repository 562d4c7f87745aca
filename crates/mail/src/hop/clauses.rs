//! The clauses of a stamp, in whatever order they come.

use super::lexer::{Lexer, Token, is_space};
use super::{Hop, Word, comment, ip, summary, tls, when};
use crate::date;

/// Where the reader is: the name of the last clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clause {
    Start,
    From,
    By,
    Via,
    With,
    Id,
    For,
    /// Behind the date.
    After,
}

/// Marks met on the way that need the whole stamp to be judged.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub pickup: bool,
    pub expanded: bool,
    pub local: bool,
    pub starttls: bool,
    /// The HELO stands apart from the `from` word.
    pub helo: bool,
    /// The sender's address stands apart from the `from` word.
    pub ip_in_comment: bool,
}

/// So often in a stamp is all that follows tried as one date; then only plain dates are found.
const MAX_STRICT_DATES: usize = 4;

/// Stands for the two words before a name: Exim at some houses writes `id 1sOZwr-00 authenticated id
/// <jane>`.
const AUTHENTICATED_ID: &[u8] = b"authenticated id";

pub(super) struct Reader<'a> {
    pub hop: Hop<'a>,
    pub seen: Seen,
    pub clause: Clause,
    lexer: Lexer<'a>,
    /// Words of the clause so far.
    words: usize,
    /// Where the clause's first word begins, until something other than a word comes.
    span: Option<usize>,
    /// The last word.
    last: &'a [u8],
    /// How many semicolons had no plain date behind them.
    misses: usize,
}

pub(super) fn read(value: &[u8]) -> Hop<'_> {
    let mut reader = Reader::new(value);
    while let Some(token) = reader.lexer.next() {
        if let Token::Comment(text) = token {
            comment::read(&mut reader, text);
        }
        reader.take(token);
    }
    summary::finish(&mut reader.hop, reader.seen);
    reader.hop
}

/// Reads on until `wanted` is there. Comments are passed over: no clause begins or ends by what stands in
/// one, so whatever a clause alone tells is found as [`read`] finds it.
pub(super) fn first<'a>(value: &'a [u8], wanted: impl Fn(&Hop<'a>) -> Option<Word<'a>>) -> Option<Word<'a>> {
    let mut reader = Reader::new(value);
    while let Some(token) = reader.lexer.next() {
        reader.take(token);
        let found = wanted(&reader.hop);
        if found.is_some() {
            return found;
        }
    }
    None
}

impl<'a> Reader<'a> {
    fn new(value: &'a [u8]) -> Self {
        Self {
            hop: Hop::default(),
            seen: Seen::default(),
            clause: Clause::Start,
            lexer: Lexer::new(value),
            words: 0,
            span: None,
            last: b"",
            misses: 0,
        }
    }

    /// All but what stands in a comment.
    fn take(&mut self, token: Token<'a>) {
        match token {
            Token::Word(word) => self.word(word),
            Token::Comment(_) => {
                self.span = None;
                // `from ([192.0.2.1]) with …`: no word of the sender follows its comment.
                self.words = self.words.max(usize::from(self.clause == Clause::From));
            }
            Token::Semicolon => self.semicolon(),
            Token::Stray => self.hop.rest += 1,
        }
    }

    fn semicolon(&mut self) {
        self.span = None;
        if self.date_at(self.lexer.at) {
            return;
        }
        self.misses += 1;
        // A date with comments in it, which only the strict reader goes into.
        if self.misses <= MAX_STRICT_DATES
            && let Some(ms) = date::parse(&self.lexer.bytes[self.lexer.at..])
        {
            self.hop.date_ms = Some(ms);
            self.lexer.at = self.lexer.bytes.len();
        }
    }

    /// Takes the date that stands at `at`, if one does.
    fn date_at(&mut self, at: usize) -> bool {
        let Some((ms, len)) = when::read(&self.lexer.bytes[at..]) else { return false };
        self.hop.date_ms = Some(ms);
        self.lexer.at = at + len;
        self.clause = Clause::After;
        self.words = 0;
        true
    }

    /// Counts bytes that mean nothing to us.
    pub fn unknown(&mut self, bytes: &[u8]) {
        self.hop.rest += bytes.iter().filter(|b| !is_space(**b)).count();
    }

    fn word(&mut self, word: &'a [u8]) {
        if self.clause == Clause::Id && self.last == b"authenticated" && word == b"id" {
            self.last = AUTHENTICATED_ID;
            return;
        }
        if let Some(next) = clause_of(word)
            // `from id ([192.0.2.1])`: whatever a client calls itself, it is no clause.
            && (self.clause != Clause::From || self.words > 0 || next == Clause::By)
        {
            self.clause = next;
            self.words = 0;
            self.span = None;
            self.last = word;
            return;
        }
        if self.may_be_date(word) && self.date_at(self.lexer.start) {
            return;
        }
        self.words += 1;
        match self.clause {
            Clause::From => self.from(word),
            Clause::By => self.by(word),
            Clause::Via | Clause::With => self.protocol(word),
            Clause::Id => self.id(word),
            Clause::For => self.for_(word),
            Clause::Start | Clause::After => self.stray(word),
        }
        self.last = word;
    }

    /// Whether a date without a semicolon before it may begin here: `id BQB0hUH2 Thu, 20 Feb …`.
    fn may_be_date(&self, word: &[u8]) -> bool {
        if self.hop.date_ms.is_some() || word.len() > 10 {
            return false;
        }
        let is_day = matches!(word, [b'0'..=b'9'] | [b'0'..=b'9', b'0'..=b'9']);
        // SendGrid: `id x-61995BF8-2 2021-11-20 20:35:04.086457464 +0000 UTC m=+6905716.158116308`
        let is_iso = self.words > 0 && matches!(word, [b'1' | b'2', _, _, _, b'-', _, _, b'-', _, _]);
        is_day || is_iso || when::is_weekday(word)
    }

    fn from(&mut self, word: &'a [u8]) {
        if self.words == 1 {
            if self.hop.from.is_none() && !self.seen.pickup {
                self.hop.from = Some(Word(bare(word)));
            }
            return;
        }
        if word[0] == b'[' && self.hop.ip.is_none() && self.take_ip(word) {
            return;
        }
        match word {
            b"pickup" if self.hop.from == Some(Word(b"mail")) => {
                self.hop.from = None;
                self.seen.pickup = true;
            }
            b"service" if self.seen.pickup => {}
            // PureMessage and smtpd: `claiming to be "foo.example"`.
            _ if self.last == b"be" => self.take_helo(bare(word)),
            // IMP: `as user jane@localhost`.
            _ if self.last == b"user" => {
                self.hop.ident = Some(Word(word));
                self.hop.authenticated = Some(Word(word));
            }
            b"as" | b"user" | b"named" | b"authenticated" | b"unknown" | b"claiming" | b"to" | b"be" => {}
            b"HELO" | b"EHLO" => {}
            _ if matches!(self.last, b"HELO" | b"EHLO") => self.take_helo(word),
            _ => self.stray(word),
        }
    }

    pub fn take_helo(&mut self, name: &'a [u8]) {
        self.seen.helo = true;
        if self.hop.helo.is_none() && !name.is_empty() {
            self.hop.helo = Some(Word(name));
        }
    }

    /// Takes the sender's address; false: `text` is none.
    pub fn take_ip(&mut self, text: &[u8]) -> bool {
        let Some((ip, port)) = ip::read(text) else { return false };
        self.seen.ip_in_comment = true;
        if self.hop.ip.is_none() {
            (self.hop.ip, self.hop.port) = (Some(ip), port);
        }
        true
    }

    fn by(&mut self, word: &'a [u8]) {
        if self.words == 1 {
            // A second `by`, as of qmail-scanner's `by uid 7791`, says nothing of the host.
            if self.hop.by.is_none() {
                self.hop.by = Some(Word(bare(word)));
                self.hop.by_ip = ip::read(word).map(|(ip, _)| ip);
            }
            return;
        }
        match word {
            [b'[', ..] if self.hop.by_ip.is_none() => {
                self.hop.by_ip = ip::read(word).map(|(ip, _)| ip);
            }
            // Rockliffe: `by HOST <id>`.
            [b'<', ..] if self.hop.id.is_none() => self.hop.id = Some(Word(bare(word))),
            _ if self.last == b"uid" => {}
            // Host Europe: `authenticated by HOST running ExIM with …`.
            b"running" => {}
            _ if self.last == b"running" => super::software::read(self, word),
            _ => self.stray(word),
        }
    }

    /// All words after `via` and `with`, up to a comment or the next clause.
    fn protocol(&mut self, word: &'a [u8]) {
        let is_with = self.clause == Clause::With;
        if self.words == 1 {
            let set = if is_with { self.hop.with } else { self.hop.via };
            if set.is_some() {
                // Mimecast: `with ESMTP with STARTTLS`.
                self.seen.starttls |= word.eq_ignore_ascii_case(b"starttls");
                return;
            }
            self.span = Some(self.lexer.start);
        }
        if word.eq_ignore_ascii_case(b"tls") && self.words > 1 {
            self.span = None;
            return;
        }
        self.cipher(word);
        let Some(start) = self.span else {
            if !self.last.eq_ignore_ascii_case(b"tls") && self.words > 1 {
                self.unknown(word);
            }
            return;
        };
        let words = Word(&self.lexer.bytes[start..self.lexer.start + word.len()]);
        if is_with {
            self.hop.with = Some(words);
        } else {
            self.hop.via = Some(words);
            self.seen.expanded |= word.eq_ignore_ascii_case(b"listexpand");
        }
    }

    /// Ciphers outside of comments: `ESMTP/TLS/CIPHER`, Exim's `tls CIPHER`, qmail's `CIPHER
    /// encrypted SMTP`.
    fn cipher(&mut self, word: &'a [u8]) {
        if self.hop.tls_cipher.is_some() {
            return;
        }
        if self.last.eq_ignore_ascii_case(b"tls") && self.words > 1 {
            self.hop.tls_cipher = Some(Word(word));
        } else if word.eq_ignore_ascii_case(b"encrypted") && tls::looks_like_cipher(self.last) {
            self.hop.tls_cipher = Some(Word(self.last));
        } else if memchr::memchr(b'/', word).is_some() {
            for part in word.split(|b| *b == b'/').skip(1) {
                self.hop.tls_version = self.hop.tls_version.or(tls::version_of(part));
                if tls::looks_like_cipher(part) {
                    self.hop.tls_cipher = Some(Word(part));
                }
            }
        }
    }

    fn id(&mut self, word: &'a [u8]) {
        match word {
            _ if self.words == 1 && self.hop.id.is_none() => self.hop.id = Some(Word(bare(word))),
            // vger's list server.
            _ if self.last == AUTHENTICATED_ID => self.hop.authenticated = Some(Word(bare(word))),
            b"authenticated" | b"convert" | b"rfc822-to-8bit" | b"rfc822-to-quoted-printable" => {}
            _ => self.stray(word),
        }
    }

    fn for_(&mut self, word: &'a [u8]) {
        let address = bare(word);
        if self.hop.for_.is_none() {
            self.hop.for_ = Some(Word(address));
        } else if memchr::memchr(b'@', address).is_some() {
            self.hop.for_many |= self.hop.for_ != Some(Word(address));
        } else {
            self.stray(word);
        }
    }

    /// A word that belongs to no clause.
    fn stray(&mut self, word: &'a [u8]) {
        self.cipher(word);
        match word {
            b"envelope-from" | b"(envelope-from" | b"_" => {}
            [b'm', b'=', ..] if self.clause == Clause::After => {}
            _ if self.last == b"envelope-from" => {}
            _ => self.unknown(word),
        }
    }
}

/// The clause that a word begins.
fn clause_of(word: &[u8]) -> Option<Clause> {
    let clause = match *word {
        [a, b] => match [a | 32, b | 32] {
            [b'b', b'y'] => Clause::By,
            [b'i', b'd'] => Clause::Id,
            _ => return None,
        },
        [a, b, c] => match [a | 32, b | 32, c | 32] {
            [b'v', b'i', b'a'] => Clause::Via,
            [b'f', b'o', b'r'] => Clause::For,
            _ => return None,
        },
        [a, b, c, d] => match [a | 32, b | 32, c | 32, d | 32] {
            [b'f', b'r', b'o', b'm'] => Clause::From,
            [b'w', b'i', b't', b'h'] => Clause::With,
            _ => return None,
        },
        _ => return None,
    };
    Some(clause)
}

/// A word without its angle brackets or quotes.
pub(super) fn bare(word: &[u8]) -> &[u8] {
    match word {
        [b'<', inside @ .., b'>'] => bare(inside),
        [b'"', inside @ .., b'"'] if !inside.is_empty() && memchr::memchr(b'"', inside).is_none() => inside,
        _ => word,
    }
}
