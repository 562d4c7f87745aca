//! IMAP (RFC 3501, RFC 4315), with faults: as much of it as one needs who collects.

use super::{Does, Message, Wire, gone};
use std::fmt::Write;
use std::io::Result;
use std::ops::RangeInclusive;

pub(super) fn serve(mut wire: Wire) -> Result<()> {
    if wire.does() == Does::Silent {
        return wire.silent();
    }
    wire.say("* OK at your service\r\n")?;
    let mut session = Session { wire, messages: Vec::new(), deleted: Vec::new(), told: Some(()) };
    loop {
        let line = session.command_line()?;
        let (tag, command) = line.split_once(' ').ok_or_else(gone)?;
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        session.command(tag, &verb.to_ascii_uppercase(), rest)?;
    }
}

struct Session {
    wire: Wire,
    /// As the client knows them.
    messages: Vec<Message>,
    /// UIDs.
    deleted: Vec<u32>,
    /// Until IDLE has told of something.
    told: Option<()>,
}

impl Session {
    /// With its literals in it.
    fn command_line(&mut self) -> Result<String> {
        let mut all = self.wire.line()?;
        while let Some(length) = all.strip_suffix('}').and_then(|line| line.rsplit_once('{')) {
            let waits = !length.1.ends_with('+');
            let length: usize = length.1.trim_end_matches('+').parse().map_err(|_| gone())?;
            if waits {
                self.wire.say("+ go on\r\n")?;
            }
            all += &String::from_utf8_lossy(&self.wire.exactly(length)?);
            all += &self.wire.line()?;
        }
        Ok(all)
    }

    fn command(&mut self, tag: &str, verb: &str, rest: &str) -> Result<()> {
        let done = format!("{tag} OK done\r\n");
        match verb {
            "CAPABILITY" => {
                let tls = if self.wire.shared.tls.is_some() { " STARTTLS" } else { "" };
                let uidplus = if self.wire.does() == Does::RefusesSearch { "" } else { " UIDPLUS" };
                self.wire
                    .say(format!("* CAPABILITY IMAP4rev1{uidplus} IDLE SASL-IR AUTH=PLAIN{tls}\r\n{done}"))
            }
            "STARTTLS" => {
                let injects = self.wire.does() == Does::InjectsBeforeTls;
                let more =
                    if injects { "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n* OK injected\r\n" } else { "" };
                self.wire.say(done + more)?;
                self.wire.begin_tls()
            }
            "AUTHENTICATE" => {
                if !rest.contains(' ') {
                    self.wire.say("+ \r\n")?;
                    self.wire.line()?;
                }
                self.wire.say(done)
            }
            "SELECT" | "EXAMINE" => self.select(&done),
            "UID" | "FETCH" => {
                let (of, rest) =
                    if verb == "UID" { rest.split_once(' ').unwrap_or((rest, "")) } else { (verb, rest) };
                let refused = self.on_set(&of.to_ascii_uppercase(), verb == "UID", rest)?;
                let no = format!("{tag} NO [SERVERBUG] some cannot be read now\r\n");
                self.wire.say(if refused { no } else { done })
            }
            "EXPUNGE" | "CLOSE" => {
                self.expunge(&self.deleted.clone(), verb == "EXPUNGE")?;
                self.wire.say(done)
            }
            "IDLE" if self.wire.does() == Does::EndsAtIdle => Err(gone()),
            "IDLE" if self.wire.does() == Does::RefusesIdle => self.wire.say(format!("{tag} BAD no\r\n")),
            "IDLE" => {
                self.wire.say("+ idling\r\n")?;
                if self.wire.does() == Does::ListsLate && self.told.take().is_some() {
                    self.wire.say("* 1 RECENT\r\n")?;
                }
                self.wire.line()?;
                self.wire.say(done)
            }
            "LOGOUT" => {
                self.wire.say(format!("* BYE\r\n{done}"))?;
                Err(gone())
            }
            "LIST" => self.wire.say(format!("* LIST () \"/\" INBOX\r\n{done}")),
            "LOGIN" | "NOOP" | "CHECK" | "UNSELECT" | "ENABLE" | "ID" => self.wire.say(done),
            _ => self.wire.say(format!("{tag} BAD what is that\r\n")),
        }
    }

    fn select(&mut self, done: &str) -> Result<()> {
        let state = self.wire.shared.state();
        self.messages = state.messages.clone();
        let (does, validity, next) = (state.does, state.uid_validity, state.next_uid);
        drop(state);
        let (count, next) = match does {
            Does::LineWithoutEnd => return self.wire.endless(b"x"),
            Does::ListsMany(count) => (count, count + 1),
            _ => (self.messages.len() as u64, next.into()),
        };
        if does == Does::WrongTag {
            self.wire.say("another OK done\r\n")?;
        }
        self.wire.say(format!(
            "* FLAGS (\\Seen \\Deleted)\r\n* {count} EXISTS\r\n* 0 RECENT\r\n\
             * OK [UIDVALIDITY {validity}] x\r\n* OK [UIDNEXT {next}] x\r\n{done}"
        ))
    }

    /// Of messages by UID, or by number; whether a part of it was refused.
    fn on_set(&mut self, verb: &str, by_uid: bool, rest: &str) -> Result<bool> {
        let (set, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let set = ranges(set);
        match (verb, self.wire.does()) {
            ("SEARCH", Does::ListsMany(count)) => {
                self.wire.say("* SEARCH")?;
                self.wire.lines((1..=count).map(|uid| format!(" {uid}")))?;
                self.wire.say("\r\n")?;
            }
            ("FETCH", Does::ListsMany(_)) if rest.contains('[') => return Err(gone()),
            ("FETCH", Does::ListsMany(count)) => {
                let line = |uid| format!("* {uid} FETCH (UID {uid} RFC822.SIZE 100 FLAGS ())\r\n");
                let uids = set.into_iter().flat_map(|range| *range.start()..=count.min(*range.end()));
                self.wire.lines(uids.map(line))?;
            }
            ("SEARCH", Does::RefusesSearch) => return Ok(true),
            ("SEARCH", _) => {
                let uids: Vec<String> = self.messages.iter().map(|message| message.uid.to_string()).collect();
                self.wire.say(format!("* SEARCH {}", uids.join(" ")).trim_end().to_owned() + "\r\n")?;
            }
            ("FETCH", does) => {
                let mut refused = false;
                let late = does == Does::ListsLate && rest.contains("SIZE") && self.wire.once();
                for (number, message) in (1..).zip(self.messages.clone()) {
                    if !(by_uid && within(&set, &message) || !by_uid && contains(&set, number)) {
                        continue;
                    }
                    let reads = rest.contains('[');
                    let refuses = reads
                        && match does {
                            Does::RefusesTheSecond => number == 2,
                            Does::RefusesTheFirstTwo => number <= 2,
                            Does::EndsAtTheSecond if number == 2 => return Err(gone()),
                            _ => false,
                        };
                    refused |= refuses;
                    if !(refuses || late && number == self.messages.len() as u64) {
                        self.fetch(number, &message, rest)?;
                    }
                }
                if does == Does::TellsEarly && rest.contains('[') && self.wire.once() {
                    let mut state = self.wire.shared.state();
                    let (mut second, uid) = (self.messages[0].clone(), state.next_uid);
                    (second.uidl, second.uid) = ("early".to_owned(), uid);
                    second.content =
                        String::from_utf8_lossy(&second.content).replace("first", "early").into();
                    state.next_uid += 1;
                    state.messages.push(second);
                    drop(state);
                    self.wire.say("* 2 EXISTS\r\n")?;
                }
                return Ok(refused);
            }
            ("STORE", _) => {
                let marked = self.messages.iter().filter(|message| within(&set, message));
                self.deleted.extend(marked.map(|message| message.uid));
            }
            ("EXPUNGE", _) => {
                let named = self.messages.iter().filter(|message| within(&set, message));
                let uids = named.map(|message| message.uid).filter(|uid| self.deleted.contains(uid));
                self.expunge(&uids.collect::<Vec<_>>(), true)?;
            }
            _ => return Err(gone()),
        }
        Ok(false)
    }

    fn expunge(&mut self, uids: &[u32], tells: bool) -> Result<()> {
        self.wire.remove(uids);
        while let Some(at) = self.messages.iter().position(|message| uids.contains(&message.uid)) {
            self.messages.remove(at);
            if tells {
                self.wire.say(format!("* {} EXPUNGE\r\n", at + 1))?;
            }
        }
        Ok(())
    }

    /// All attributes that are asked for, in an order of its own.
    fn fetch(&mut self, number: u64, message: &Message, items: &str) -> Result<()> {
        let (does, items) = (self.wire.does(), items.to_ascii_uppercase());
        let mut text = format!("* {number} FETCH (UID {} FLAGS ()", message.uid);
        if items.contains("RFC822.SIZE") {
            let bytes = match does {
                Does::SaysSize(bytes) => bytes,
                Does::CorrectsSizes if !self.wire.shared.state().done => message.content.len() as u64 + 7,
                _ => message.content.len() as u64,
            };
            write!(text, " RFC822.SIZE {bytes}").expect("memory");
        }
        if items.contains("INTERNALDATE") {
            text += " INTERNALDATE \"01-Jan-2024 00:00:00 +0000\"";
        }
        let Some(body) = Body::asked(&items) else { return self.wire.say(text + ")\r\n") };
        match does {
            Does::AnnouncesLiteral(bytes) => {
                self.wire
                    .say(format!("{text} BODY[{}] {{{bytes}}}\r\nFrom: a@b.example\r\n", body.section))?;
                return self.wire.silent();
            }
            Does::MessageWithoutEnd => {
                self.wire
                    .say(format!("{text} BODY[{}] {{4294967295}}\r\nFrom: a@b\r\n\r\n", body.section))?;
                return self.wire.endless(b"0123456789 0123456789 0123456789 0123456789\r\n");
            }
            _ => {}
        }
        let bytes = match does {
            Does::EmptiesTheSecond if number == 2 => b"",
            Does::ShortSlices(most) => {
                let all = body.of(&message.content);
                &all[..all.len().min(most)]
            }
            _ => body.of(&message.content),
        };
        self.wire.shared.state().done |= does == Does::CorrectsSizes;
        let origin = body.partial.map_or(String::new(), |(from, _)| format!("<{from}>"));
        write!(text, " BODY[{}]{origin} {{{}}}\r\n", body.section, bytes.len()).expect("memory");
        self.wire.say([text.as_bytes(), bytes, b")\r\n"].concat())
    }
}

/// A part of the content (RFC 3501 §6.4.5).
struct Body {
    section: String,
    partial: Option<(usize, usize)>,
}

impl Body {
    fn asked(items: &str) -> Option<Self> {
        let (_, behind) = items.split_once('[')?;
        let (section, rest) = behind.split_once(']')?;
        let partial = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let partial = partial.and_then(|(range, _)| range.split_once('.'));
        let partial = partial.and_then(|(from, count)| Some((from.parse().ok()?, count.parse().ok()?)));
        Some(Self { section: section.to_owned(), partial })
    }

    fn of<'a>(&self, content: &'a [u8]) -> &'a [u8] {
        let header =
            content.windows(4).position(|four| four == b"\r\n\r\n").map_or(content.len(), |at| at + 4);
        let all = if self.section.starts_with("HEADER") { &content[..header] } else { content };
        let Some((from, count)) = self.partial else { return all };
        let from = from.min(all.len());
        &all[from..all.len().min(from.saturating_add(count))]
    }
}

/// The ranges of a set; `*` is greater than all (RFC 3501 §9, sequence-set).
fn ranges(set: &str) -> Vec<RangeInclusive<u64>> {
    let end = |text: &str| if text == "*" { Some(u64::MAX) } else { text.parse().ok() };
    let range = |range: &str| {
        let (low, high) = range.split_once(':').unwrap_or((range, range));
        let (one, other): (u64, u64) = (end(low)?, end(high)?);
        Some(one.min(other)..=one.max(other))
    };
    set.split(',').filter_map(range).collect()
}

fn within(set: &[RangeInclusive<u64>], message: &Message) -> bool {
    contains(set, message.uid.into())
}

fn contains(set: &[RangeInclusive<u64>], number: u64) -> bool {
    set.iter().any(|range| range.contains(&number))
}
