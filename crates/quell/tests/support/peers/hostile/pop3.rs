//! POP3 (RFC 1939), with faults.

use super::{Does, Message, Wire, gone};
use crate::support::smtp::dot_stuffed;
use std::io::Result;

pub(super) fn serve(mut wire: Wire) -> Result<()> {
    if wire.does() == Does::Silent {
        return wire.silent();
    }
    wire.say("+OK at your service\r\n")?;
    let mut session = Session { wire, messages: Vec::new(), deleted: Vec::new(), fetched: Vec::new() };
    loop {
        let line = session.wire.line()?;
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        if verb.eq_ignore_ascii_case("QUIT") {
            if session.wire.does() == Does::DeletesFetched {
                session.deleted.append(&mut session.fetched);
            }
            session.wire.remove(&session.deleted);
            return session.wire.say("+OK bye\r\n");
        }
        session.command(&verb.to_ascii_uppercase(), rest)?;
    }
}

struct Session {
    wire: Wire,
    /// As they were at the sign-in.
    messages: Vec<Message>,
    /// UIDs.
    deleted: Vec<u32>,
    fetched: Vec<u32>,
}

impl Session {
    fn command(&mut self, verb: &str, rest: &str) -> Result<()> {
        match verb {
            "CAPA" | "DELE"
                if self.wire.does() == [Does::NoCapa, Does::RefusesDele][usize::from(verb == "DELE")] =>
            {
                self.wire.say("-ERR no\r\n")
            }
            "CAPA" => {
                let uidl = if self.wire.does() == Does::NoUidl { "" } else { "UIDL\r\n" };
                let tls = if self.wire.shared.tls.is_some() { "STLS\r\n" } else { "" };
                let expire = if self.wire.does() == Does::DeletesFetched { "EXPIRE 0\r\n" } else { "" };
                let text =
                    format!("+OK\r\n{expire}USER\r\nTOP\r\nPIPELINING\r\nSASL PLAIN\r\n{uidl}{tls}.\r\n");
                self.wire.say(text)
            }
            "STLS" => {
                let injects = self.wire.does() == Does::InjectsBeforeTls;
                self.wire.say(if injects {
                    "+OK begin\r\n+OK\r\nUSER\r\n.\r\n+OK\r\n+OK\r\n"
                } else {
                    "+OK begin\r\n"
                })?;
                self.wire.begin_tls()
            }
            "AUTH" if rest.eq_ignore_ascii_case("PLAIN") => {
                self.wire.say("+ \r\n")?;
                self.wire.line()?;
                self.signed_in()
            }
            "PASS" | "AUTH" => self.signed_in(),
            "STAT" => self.stat(),
            "LIST" | "UIDL" => self.list(verb, rest),
            "RETR" | "TOP" => self.retrieve(verb, rest),
            "DELE" => {
                let uid = self.numbered(rest).map(|message| message.uid);
                self.deleted.extend(uid);
                self.wire.say(if uid.is_some() { "+OK\r\n" } else { "-ERR no such message\r\n" })
            }
            "RSET" => {
                self.deleted.clear();
                self.wire.say("+OK\r\n")
            }
            "USER" | "NOOP" => self.wire.say("+OK\r\n"),
            _ => self.wire.say("-ERR what is that\r\n"),
        }
    }

    fn signed_in(&mut self) -> Result<()> {
        self.messages = self.wire.shared.state().messages.clone();
        self.wire.say("+OK welcome\r\n")
    }

    fn stat(&mut self) -> Result<()> {
        match self.wire.does() {
            Does::LineWithoutEnd => self.wire.endless(b"x"),
            Does::ListsMany(count) => self.wire.say(format!("+OK {count} {}\r\n", count * 100)),
            _ => {
                let bytes: u64 = self.messages.iter().map(|message| self.size(message)).sum();
                self.wire.say(format!("+OK {} {bytes}\r\n", self.messages.len()))
            }
        }
    }

    fn size(&self, message: &Message) -> u64 {
        match self.wire.does() {
            Does::SaysSize(bytes) => bytes,
            _ => message.content.len() as u64,
        }
    }

    fn list(&mut self, verb: &str, rest: &str) -> Result<()> {
        let does = self.wire.does();
        if verb == "UIDL" && matches!(does, Does::NoUidl | Does::NoCapa) {
            return self.wire.say("-ERR what is that\r\n");
        }
        let value = |message: &Message| match (verb, does) {
            ("LIST", _) => self.size(message).to_string(),
            (_, Does::SameUidl) => "same".to_owned(),
            _ => message.uidl.clone(),
        };
        if !rest.is_empty() {
            let answer = self.numbered(rest).map(|message| format!("+OK {rest} {}\r\n", value(message)));
            return self.wire.say(answer.unwrap_or_else(|| "-ERR no such message\r\n".to_owned()));
        }
        if let Does::ListsMany(count) = does {
            let line = move |number: u64| match number {
                0 => "+OK\r\n".to_owned(),
                _ => format!("{number} 10{number}\r\n"),
            };
            self.wire.lines((0..=count).map(line))?;
            return self.wire.say(".\r\n");
        }
        let lines: Vec<String> =
            (1..).zip(&self.messages).map(|(n, message)| format!("{n} {}\r\n", value(message))).collect();
        self.wire.say(format!("+OK\r\n{}.\r\n", lines.concat()))
    }

    fn retrieve(&mut self, verb: &str, rest: &str) -> Result<()> {
        let number = rest.split(' ').next().unwrap_or_default();
        match self.wire.does() {
            Does::ListsMany(_) => return Err(gone()),
            Does::MessageWithoutEnd if verb == "RETR" => {
                self.wire.say("+OK\r\nFrom: a@b.example\r\n\r\n")?;
                return self.wire.endless(b"0123456789 0123456789 0123456789 0123456789\r\n");
            }
            Does::EndsAtTheSecond if number == "2" => return Err(gone()),
            Does::EmptiesTheSecond if number == "2" => return self.wire.say("+OK\r\n.\r\n"),
            Does::RefusesTheSecond if number == "2" => {
                return self.wire.say("-ERR [SYS/TEMP] cannot be read now\r\n");
            }
            _ => {}
        }
        let Some(message) = self.numbered(number) else {
            return self.wire.say("-ERR no such message\r\n");
        };
        let end = message.content.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.filter(|_| verb == "TOP").map_or(message.content.len(), |at| at + 4);
        let uid = message.uid;
        let text = [b"+OK\r\n", &dot_stuffed(&message.content[..end])[..]].concat();
        self.fetched.push(uid);
        self.wire.say(text)
    }

    fn numbered(&self, number: &str) -> Option<&Message> {
        let at = number.parse::<usize>().ok()?.checked_sub(1)?;
        self.messages.get(at).filter(|message| !self.deleted.contains(&message.uid))
    }
}
