//! One copy of a message on its way.

use std::rc::Rc;

use super::clock::{self, SECOND};
use super::dice::Dice;
use super::letter;
use super::machine::{Machine, Peer, Software};
use super::stamp::{self, Envelope};

/// A copy: what stands on top of the header (oldest first, as it is written), the author's fields, the body.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    pub message: usize,
    /// Whole fields, folded, without a last line end.
    trace: Vec<String>,
    /// True times of the stamps, oldest first.
    pub times: Vec<i64>,
    pub fields: Vec<(&'static str, String)>,
    pub body: Rc<str>,
    /// Where it is in true time, ms since 1970.
    pub at: i64,
    /// The reverse-path, without brackets.
    pub sender: String,
    /// The faulty machines that made it, the last one last, each with the number of its deed: copies with the
    /// same number were one copy when that machine sent it.
    pub made: Vec<(usize, u64)>,
}

impl Copy {
    /// As its author has it.
    pub fn new(
        message: usize,
        sender: &str,
        fields: Vec<(&'static str, String)>,
        body: Rc<str>,
        at: i64,
    ) -> Self {
        Self {
            message,
            trace: Vec::new(),
            times: Vec::new(),
            fields,
            body,
            at,
            sender: sender.to_owned(),
            made: Vec::new(),
        }
    }

    fn stamped(&mut self, stamps: Vec<String>) {
        self.times.extend(std::iter::repeat_n(self.at, stamps.len()));
        self.trace.extend(stamps);
    }

    /// `to` takes it from `peer`; `rcpt` where the transaction has one recipient.
    pub fn smtp(&mut self, peer: &Peer, to: &Machine, rcpt: Option<&str>, dice: &mut Dice) {
        self.at += match dice.below(40) {
            0 => dice.between(60, 1_800) * SECOND,
            _ => dice.between(150, 9_000),
        };
        let env = Envelope { from: &self.sender, to: rcpt };
        if matches!(to.soft, Software::Exchange | Software::Microsoft365) && !to.by.len().is_multiple_of(3) {
            // These fold anew what they pass on.
            self.trace.iter_mut().for_each(|field| *field = stamp::refolded(field));
        }
        let stamps = stamp::by_smtp(to, peer, env, self.at, dice);
        self.stamped(stamps);
        if to.soft == Software::Smtpsvc && self.get("X-OriginalArrivalTime").is_none() && to.by.len() % 4 > 1
        {
            self.arrival_mark(to, dice);
        }
    }

    /// The field in which Windows' SMTP service says when it had the message first, over one that is there.
    pub fn arrival_mark(&mut self, on: &Machine, dice: &mut Dice) {
        let date = clock::bare(on.shown(self.at));
        let (low, high, ms) = (dice.upper_hex(8), dice.upper_hex(6), dice.count(0, 999));
        let value = format!("{}.{ms:04} (UTC) FILETIME=[{low}:01{high}]", date.trim_end_matches(" -0000"));
        self.set("X-OriginalArrivalTime", value);
    }

    /// From one house to another.
    pub fn hop(&mut self, from: &Machine, to: &Machine, rcpt: Option<&str>, dice: &mut Dice) {
        self.smtp(&from.outside(), to, rcpt, dice);
        if to.tls && !to.stampless && dice.one_in(4) {
            let (by, ip, sender) = (&to.by, from.ip, &self.sender);
            let field = match dice.below(3) {
                0 => format!(
                    "Received-SPF: pass ({by}: domain of {sender} designates {ip} as\n\tpermitted sender) client-ip={ip}; envelope-from={sender}"
                ),
                1 => format!("Authentication-Results: {by};\n\tspf=pass smtp.mailfrom={sender}; dkim=none"),
                _ => format!(
                    "X-Spam-Status: No, score=-{}.{} required=5.0",
                    dice.count(0, 4),
                    dice.count(0, 9)
                ),
            };
            self.note(field);
        }
    }

    /// From one machine to another of the same house.
    pub fn hop_inside(&mut self, from: &Machine, to: &Machine, rcpt: Option<&str>, dice: &mut Dice) {
        let named = from.by.len().is_multiple_of(2);
        self.smtp(&from.in_house(named), to, rcpt, dice);
    }

    /// A program on the machine hands it in.
    pub fn handed_in(&mut self, on: &Machine, rcpt: Option<&str>, dice: &mut Dice) {
        self.at += dice.between(20, 900);
        let env = Envelope { from: &self.sender, to: rcpt };
        let stamps = stamp::handed_in(on, env, self.at, dice);
        self.stamped(stamps);
    }

    /// A client hands it in whom the server does not name.
    pub fn anonymous(&mut self, on: &Machine, dice: &mut Dice) {
        self.at += dice.between(20, 900);
        self.stamped(vec![stamp::anonymous(on, self.at, dice)]);
    }

    /// It lies in the pickup folder of this machine, and is taken out.
    pub fn pickup(&mut self, on: &Machine, dice: &mut Dice) {
        self.at += dice.between(200, 4_000);
        self.stamped(vec![stamp::pickup(on, self.at)]);
    }

    /// It comes out of the store of this machine.
    pub fn mapi(&mut self, on: &Machine, dice: &mut Dice) {
        self.at += dice.between(100, 3_000);
        self.stamped(vec![stamp::mapi(on, self.at, dice)]);
    }

    /// A collector fetches it.
    pub fn fetched(&mut self, by: &Machine, pop: &Machine, to: &str, multi: bool, dice: &mut Dice) {
        self.at += dice.between(200, 4_000);
        self.stamped(vec![stamp::fetched(by, pop, to, multi, self.at, dice)]);
    }

    /// It goes through the content filter of this machine and back to its server.
    pub fn filtered(&mut self, on: &Machine, rcpt: Option<&str>, dice: &mut Dice) {
        self.at += dice.between(100, 2_000);
        self.stamped(vec![stamp::amavis(on, rcpt, self.at, dice)]);
        if !on.by.len().is_multiple_of(3) {
            self.note(format!("X-Virus-Scanned: by amavisd-new at {}", on.by));
        }
        self.smtp(&loopback("localhost"), on, rcpt, dice);
    }

    /// It goes into the mailbox through LMTP.
    pub fn lmtp(&mut self, on: &Machine, to: &str, dice: &mut Dice) {
        self.at += dice.between(20, 700);
        self.stamped(vec![stamp::lmtp(on, to, self.at, dice)]);
    }

    /// A list server expands it for a reader.
    pub fn listexpand(&mut self, on: &Machine, to: &str, dice: &mut Dice) {
        self.at += dice.between(500, 40_000);
        self.stamped(vec![stamp::listexpand(on, to, self.at, dice)]);
    }

    /// A field on top of all others that is no stamp.
    pub fn note(&mut self, field: String) {
        self.trace.push(field);
    }

    /// A stamp that nobody wrote where it says; `claimed` is the true time it must come after all.
    pub fn forged(&mut self, stamp: String) {
        self.times.push(self.at);
        self.trace.push(stamp);
    }

    /// All that stands above the author's fields is lost.
    pub fn lose_trace(&mut self) {
        self.trace.clear();
        self.times.clear();
    }

    /// The value of a field; its place stays where it has one.
    pub fn set(&mut self, name: &'static str, value: String) {
        match self.fields.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some(field) => field.1 = value,
            None => self.fields.push((name, value)),
        }
    }

    /// Whether its text is one part in seven bits, which servers dare to touch.
    fn is_plain(&self) -> bool {
        let plain = self.get("Content-Type").is_some_and(|kind| kind.starts_with("text/plain"));
        plain && self.get("Content-Transfer-Encoding") == Some("7bit")
    }

    /// Text under the text, where it is plain.
    pub fn add_text(&mut self, text: &str) {
        if self.is_plain() {
            self.body = format!("{}{text}", self.body).into();
        }
    }

    /// The text in base64 or in quoted-printable, where it is plain.
    pub fn recode(&mut self, base64: bool) {
        if !self.is_plain() {
            return;
        }
        let (body, name) = match base64 {
            true => (letter::base64(&self.body.replace('\n', "\r\n")), "base64"),
            false => (letter::quoted_printable(&self.body), "quoted-printable"),
        };
        self.body = body.into();
        self.set("Content-Transfer-Encoding", name.to_owned());
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The whole message, with LF.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(4_096 + self.body.len());
        for field in self.trace.iter().rev() {
            text += field;
            text += "\n";
        }
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\n");
        }
        text += "\n";
        text += &self.body;
        text
    }
}

/// A machine that talks to itself.
pub(super) fn loopback(helo: &str) -> Peer {
    Peer {
        helo: helo.to_owned(),
        rdns: Some("localhost".to_owned()),
        ip: [127, 0, 0, 1].into(),
        login: false,
    }
}
