//! Messages as mail programs write them.

use super::words;
use crate::clock::{self, Zone};
use crate::dice::Dice;
use crate::random::Random;
use crate::text::address_field;
use crate::traces::{base64, quoted_printable};

/// A name and an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Party {
    pub name: String,
    pub address: String,
}

impl Party {
    pub fn new(name: &str, address: &str) -> Self {
        Self { name: name.to_owned(), address: address.to_owned() }
    }

    fn print(&self) -> String {
        match self.name.is_empty() {
            true => self.address.clone(),
            false if self.name.contains(|c: char| !c.is_alphanumeric() && c != ' ') => {
                format!("\"{}\" <{}>", self.name, self.address)
            }
            false => format!("{} <{}>", self.name, self.address),
        }
    }
}

/// How a text is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Alternative,
    Quoted,
    Base64,
    /// With a file of so many bytes.
    Attached(usize),
    /// Content-Type and body as they are.
    Raw(String, String),
}

impl Form {
    /// One that people's programs choose.
    pub fn any(dice: &mut Dice) -> Self {
        match dice.below(10) {
            0..4 => Self::Alternative,
            4 => Self::Quoted,
            5 => Self::Base64,
            6 => Self::Attached(dice.count(400, 6_000)),
            _ => Self::Plain,
        }
    }
}

/// A message without its trace.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub from: Party,
    pub to: Vec<Party>,
    pub cc: Vec<Party>,
    pub subject: String,
    pub text: String,
    pub id: String,
    pub date_ms: i64,
    pub zone: Zone,
    /// The message that it answers is the last one.
    pub references: Vec<String>,
    pub fields: Vec<(&'static str, String)>,
    pub form: Form,
}

impl Letter {
    /// An answer: to the author, or to all; `subject` grows by `Re:` only once.
    pub fn answer(&self, from: Party, all: bool, text: String, ms: i64, id: String) -> Self {
        let keep = |party: &&Party| party.address != from.address && party.address != self.from.address;
        let others = |list: &[Party]| list.iter().filter(keep).cloned().collect::<Vec<_>>();
        let mut to = vec![self.from.clone()];
        let mut cc = Vec::new();
        if all {
            to.extend(others(&self.to));
            cc = others(&self.cc);
        }
        if self.from.address == from.address {
            to.remove(0);
            if to.is_empty() {
                to.clone_from(&self.to);
            }
        }
        let subject = match self.subject.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:")) {
            true => self.subject.clone(),
            false => format!("Re: {}", self.subject),
        };
        let kept = self.references.len().saturating_sub(19);
        let references = self.references[kept..].iter().chain([&self.id]).cloned().collect();
        let zone = self.zone;
        Self {
            from,
            to,
            cc,
            subject,
            text,
            id,
            date_ms: ms,
            zone,
            references,
            fields: Vec::new(),
            form: Form::Plain,
        }
    }

    /// The text as it stands beneath an answer to it.
    pub fn quoted(&self) -> String {
        let date = clock::plain(self.date_ms, self.zone);
        let mut text = format!("\nOn {date}, {} wrote:\n", self.from.name);
        for line in self.text.lines().take(60) {
            let mark = if line.starts_with('>') { ">" } else { "> " };
            text += &format!("{mark}{line}\n");
        }
        text
    }

    /// Every address of To and Cc.
    pub fn addresses(&self) -> Vec<String> {
        self.to.iter().chain(&self.cc).map(|party| party.address.clone()).collect()
    }

    /// Header and body; lines end in CRLF.
    pub fn print(&self) -> String {
        let mut dice = Dice::new(&self.id, 0);
        let mut text = String::with_capacity(2_000 + self.text.len());
        let mut field = |name: &str, value: &str| text += &format!("{name}: {value}\r\n");
        let date = clock::plain(self.date_ms, self.zone);
        let order = Random::of(0, &self.from.address).below(2);
        if order == 0 {
            field("Message-ID", &self.id);
            field("Date", &date);
        }
        field("From", &self.from.print());
        field("Subject", &subject(&self.subject));
        if order == 1 {
            field("Date", &date);
            field("Message-ID", &self.id);
        }
        if let Some(answered) = self.references.last() {
            field("In-Reply-To", answered);
            field("References", &self.references.join("\r\n\t"));
        }
        self.fields.iter().for_each(|(name, value)| field(name, value));
        for (name, list) in [("To", &self.to), ("Cc", &self.cc)] {
            let printed: Vec<String> = list.iter().map(Party::print).collect();
            if !printed.is_empty() {
                text += &address_field(name, printed.iter().map(String::as_str));
            }
        }
        let (kind, encoding, body) = self.content(&mut dice);
        text += &format!("MIME-Version: 1.0\r\nContent-Type: {kind}\r\n");
        if !encoding.is_empty() {
            text += &format!("Content-Transfer-Encoding: {encoding}\r\n");
        }
        text += "\r\n";
        text + &body.replace('\n', "\r\n")
    }

    fn content(&self, dice: &mut Dice) -> (String, &'static str, String) {
        let text = &self.text;
        match &self.form {
            Form::Plain => ("text/plain; charset=us-ascii".to_owned(), "7bit", text.clone()),
            Form::Quoted => {
                ("text/plain; charset=\"utf-8\"".to_owned(), "quoted-printable", quoted_printable(text))
            }
            Form::Base64 => {
                ("text/plain; charset=utf-8".to_owned(), "base64", base64(&text.replace('\n', "\r\n")))
            }
            Form::Raw(kind, body) => (kind.clone(), "", body.clone()),
            Form::Alternative => {
                let line = dice.hex(24);
                let html = text.replace('\n', "<br>\n");
                let body = format!(
                    "--{line}\nContent-Type: text/plain; charset=\"UTF-8\"\n\n{text}\n--{line}\n\
                     Content-Type: text/html; charset=\"UTF-8\"\n\n<html><body><div dir=\"ltr\">{html}</div></body></html>\n\n--{line}--\n"
                );
                (format!("multipart/alternative; boundary=\"{line}\""), "", body)
            }
            Form::Attached(bytes) => {
                let (line, name) = (dice.hex(24), words::topic(dice));
                let file: Vec<String> = (0..bytes.div_ceil(76)).map(|_| dice.letters(76)).collect();
                let body = format!(
                    "--{line}\nContent-Type: text/plain; charset=us-ascii\n\n{text}\n--{line}\n\
                     Content-Type: application/pdf; name=\"{name}.pdf\"\nContent-Disposition: attachment; filename=\"{name}.pdf\"\n\
                     Content-Transfer-Encoding: base64\n\n{}\n\n--{line}--\n",
                    file.join("\n")
                );
                (format!("multipart/mixed; boundary=\"{line}\""), "", body)
            }
        }
    }
}

/// As an encoded word, where that is needed.
fn subject(text: &str) -> String {
    match text.is_ascii() {
        true => text.to_owned(),
        false => format!("=?utf-8?B?{}?=", base64(text).trim_end().replace('\n', "?=\r\n\t=?utf-8?B?")),
    }
}
