//! What people and programs write: header fields, subjects, texts.

use std::rc::Rc;

use super::clock::{self, Zone};
use super::dice::Dice;

/// One who writes or reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub name: String,
    pub address: String,
}

impl Person {
    /// The domain of the address.
    pub fn domain(&self) -> &str {
        self.address.rsplit('@').next().unwrap_or_default()
    }
}

/// What a letter is made of.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub author: Person,
    pub to: Vec<Person>,
    pub cc: Vec<Person>,
    pub subject: String,
    pub date_ms: i64,
    pub zone: Zone,
    pub message_id: String,
    pub references: Vec<String>,
    pub text: String,
}

/// Header fields in the order in which they are written.
pub(super) type Fields = Vec<(&'static str, String)>;

const TOPICS: [&str; 40] = [
    "autumn list",
    "conveyancing seminar",
    "library closing",
    "offer for readers",
    "new volume",
    "practice note",
    "annual update",
    "statute review",
    "bulletin",
    "property market",
    "evening lecture",
    "land register",
    "second edition",
    "office move",
    "lease contract",
    "client account",
    "partners' meeting",
    "minutes",
    "invoice",
    "spring catalogue",
    "training dates",
    "price list",
    "conference programme",
    "survey",
    "delivery note",
    "site visit",
    "budget draft",
    "holiday rota",
    "insurance renewal",
    "audit questions",
    "parking permits",
    "network maintenance",
    "car pool",
    "staff lunch",
    "charity run",
    "fire drill",
    "quarterly figures",
    "travel booking",
    "tender documents",
    "safety course",
];
const WORDS: [&str; 60] = [
    "autumn",
    "seminar",
    "chambers",
    "library",
    "offer",
    "volume",
    "practice",
    "update",
    "annual",
    "review",
    "statute",
    "bulletin",
    "property",
    "evening",
    "speaker",
    "register",
    "edition",
    "reader",
    "office",
    "lease",
    "contract",
    "account",
    "meeting",
    "minutes",
    "invoice",
    "please",
    "find",
    "attached",
    "we",
    "would",
    "like",
    "to",
    "invite",
    "you",
    "and",
    "your",
    "colleagues",
    "the",
    "for",
    "with",
    "will",
    "be",
    "in",
    "our",
    "new",
    "from",
    "next",
    "week",
    "until",
    "further",
    "notice",
    "price",
    "discount",
    "terms",
    "apply",
    "by",
    "post",
    "order",
    "before",
    "Friday",
];

/// A subject that is not likely to be drawn twice.
pub(super) fn subject(dice: &mut Dice) -> String {
    let topic = *dice.of(&TOPICS);
    match dice.below(5) {
        0 => format!("{topic} {}", dice.digits(4)),
        1 => format!("{} and {}: {topic}", dice.of(&WORDS), dice.of(&TOPICS)),
        2 => format!(
            "=?iso-8859-1?Q?{}_=2D_{}?=",
            topic.replace(' ', "_").replace('\'', "=27"),
            dice.digits(3)
        ),
        3 => format!("Your {topic} ({})", dice.letters(5)),
        _ => format!("{topic}, {} {}", dice.of(&WORDS), dice.digits(3)),
    }
}

/// Prose of about so many bytes.
pub(super) fn prose(bytes: usize, dice: &mut Dice) -> String {
    let mut text = String::with_capacity(bytes + 80);
    let mut columns = 0;
    while text.len() < bytes {
        let word = *dice.of(&WORDS);
        text += word;
        columns += word.len() + 1;
        match (columns > 64, dice.below(12)) {
            (true, 0) => text += ".\n\n",
            (true, _) => text += "\n",
            (false, 0) => text += ". ",
            (false, _) => text += " ",
        }
        if columns > 64 {
            columns = 0;
        }
    }
    text.trim_end_matches([' ', '\n', '.']).to_owned() + ".\n"
}

/// An address list, folded after commas.
pub(super) fn addresses(people: &[Person], bare: bool) -> String {
    let mut text = String::new();
    let mut columns = 4;
    for (place, person) in people.iter().enumerate() {
        let one = if bare || person.name.is_empty() {
            format!("<{}>", person.address)
        } else {
            format!("\"{}\" <{}>", person.name, person.address)
        };
        if place > 0 {
            let fold = columns + one.len() > 74;
            text += if fold { ",\n\t" } else { ", " };
            columns = if fold { 8 } else { columns + 2 };
        }
        columns += one.len();
        text += &one;
    }
    text
}

/// How the author's program writes: its fields in its order.
pub(super) fn fields(letter: &Letter, old: bool, dice: &mut Dice) -> (Fields, Rc<str>) {
    let bare = dice.one_in(3);
    let date = match dice.below(3) {
        0 => clock::zeroed(letter.date_ms, letter.zone),
        _ => clock::plain(letter.date_ms, letter.zone),
    };
    let author = addresses(std::slice::from_ref(&letter.author), false);
    let mut fields: Fields = vec![("From", author)];
    fields.push((
        "To",
        if letter.to.is_empty() {
            "undisclosed-recipients:;".to_owned()
        } else {
            addresses(&letter.to, bare)
        },
    ));
    if !letter.cc.is_empty() {
        fields.push(("Cc", addresses(&letter.cc, bare)));
    }
    fields.push(("Subject", letter.subject.clone()));
    fields.push(("Date", date));
    fields.push((dice.pick(["Message-ID", "Message-Id"]), letter.message_id.clone()));
    if let Some(last) = letter.references.last() {
        fields.push(("In-Reply-To", last.clone()));
        fields.push(("References", letter.references.join("\n ")));
    }
    fields.push(("MIME-Version", "1.0".to_owned()));
    let body = body(letter, &mut fields, dice);
    program(&mut fields, old, dice);
    if dice.one_in(3) {
        fields.rotate_left(4);
    }
    (fields, body)
}

fn program(fields: &mut Fields, old: bool, dice: &mut Dice) {
    match dice.below(5) {
        0 if old => {
            fields.push(("X-Priority", "3".to_owned()));
            fields.push(("X-MSMail-Priority", "Normal".to_owned()));
            fields.push(("X-Mailer", "Microsoft Outlook Express 6.00.2900.2180".to_owned()));
            fields.push(("X-MimeOLE", "Produced By Microsoft MimeOLE V6.00.2900.2180".to_owned()));
        }
        0 => {
            fields.push(("X-MS-Has-Attach", String::new()));
            fields.push(("Thread-Index", format!("AQH{}==", dice.letters(25))));
            fields.push(("Accept-Language", "en-GB, en-US".to_owned()));
        }
        1 => {
            fields.push(("X-Mailer", "Microsoft Office Outlook, Build 11.0.6353".to_owned()));
            fields.push(("Thread-Index", format!("AcX{}==", dice.letters(25))));
        }
        2 if old => fields.push(("User-Agent", "Mozilla Thunderbird 1.0.7 (Windows/20050923)".to_owned())),
        2 => fields.push(("User-Agent", "Mozilla Thunderbird 115.4.1".to_owned())),
        3 => fields.push((
            "X-Mailer",
            dice.pick([
                "PHPMailer 5.2.9",
                "Lotus Notes Release 6.5.4",
                "git-send-email 2.32.0",
                "Apple Mail (2.746.2)",
            ])
            .to_owned(),
        )),
        _ => {}
    }
}

fn body(letter: &Letter, fields: &mut Fields, dice: &mut Dice) -> Rc<str> {
    let kind = |fields: &mut Fields, kind: String, encoding: &str| {
        fields.push(("Content-Type", kind));
        fields.push(("Content-Transfer-Encoding", encoding.to_owned()));
    };
    let text = &letter.text;
    match dice.below(8) {
        0 | 1 => {
            let boundary = format!(
                "----=_NextPart_000_{}_01C5{}.{}",
                dice.upper_hex(4),
                dice.upper_hex(4),
                dice.upper_hex(8)
            );
            kind(fields, format!("multipart/alternative;\n\tboundary=\"{boundary}\""), "7bit");
            let html = text.replace("\n\n", "</p>\n<p>");
            Rc::from(format!(
                "This is a multi-part message in MIME format.\n\n--{boundary}\nContent-Type: text/plain;\n\tcharset=\"us-ascii\"\n\n{text}\n\
                 --{boundary}\nContent-Type: text/html;\n\tcharset=\"us-ascii\"\n\n<html><body><p>{html}</p></body></html>\n--{boundary}--\n"
            ))
        }
        2 => {
            let boundary = dice.letters(28);
            kind(fields, format!("multipart/mixed; boundary=\"{boundary}\""), "7bit");
            let data: Vec<String> = (0..dice.count(2, 8)).map(|_| dice.letters(76)).collect();
            Rc::from(format!(
                "--{boundary}\nContent-Type: text/plain; charset=utf-8\n\n{text}\n--{boundary}\n\
                 Content-Type: application/pdf; name=\"list.pdf\"\nContent-Disposition: attachment\nContent-Transfer-Encoding: base64\n\n{}\n--{boundary}--\n",
                data.join("\n")
            ))
        }
        3 => {
            kind(fields, "text/plain; charset=\"iso-8859-1\"".to_owned(), "quoted-printable");
            Rc::from(text.replace(". ", ".=20\n"))
        }
        _ => {
            kind(fields, "text/plain; charset=us-ascii".to_owned(), "7bit");
            Rc::from(text.as_str())
        }
    }
}

/// A text of one part in quoted-printable, as some servers pass it on: soft breaks at 76 columns.
pub(crate) fn quoted_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut columns = 0;
    for c in text.chars() {
        let piece = match c {
            '\n' => "\n".to_owned(),
            '=' => "=3D".to_owned(),
            c if c.is_ascii() => c.to_string(),
            c => c.to_string().bytes().map(|byte| format!("={byte:02X}")).collect(),
        };
        if c != '\n' && columns + piece.len() > 75 {
            out += "=\n";
            columns = 0;
        }
        columns = if c == '\n' { 0 } else { columns + piece.len() };
        out += &piece;
    }
    out
}

/// A text in base64, in lines of 76 columns.
pub(crate) fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(text.len() * 4 / 3 + 64);
    for line in text.as_bytes().chunks(57) {
        for three in line.chunks(3) {
            let bits = three
                .iter()
                .enumerate()
                .fold(0_u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
            for at in 0..4 {
                let sextet = (bits >> (18 - 6 * at)) & 63;
                out.push(if at > three.len() { '=' } else { char::from(ALPHABET[sextet as usize]) });
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_those_of_rfc_2045() {
        assert_eq!(base64("Many hands\n"), "TWFueSBoYW5kcwo=\n");
        assert_eq!(base64("Many hand"), "TWFueSBoYW5k\n");
        assert_eq!(quoted_printable("a=b\né\n"), "a=3Db\n=C3=A9\n");
        let long = quoted_printable(&"word ".repeat(40));
        assert!(long.lines().all(|line| line.len() <= 76) && long.contains("=\n"));
        assert!(base64(&"word ".repeat(40)).lines().all(|line| line.len() <= 76));
    }

    #[test]
    fn subjects_and_texts_differ() {
        let mut dice = Dice::new("x", 1);
        let one = prose(800, &mut dice);
        assert!((800..900).contains(&one.len()) && one.ends_with(".\n"), "{one}");
        assert_ne!(one, prose(800, &mut dice));
        assert_ne!(subject(&mut dice), subject(&mut dice));
    }
}
