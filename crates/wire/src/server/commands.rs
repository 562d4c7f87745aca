//! What each command does (RFC 5321 §4.1, the order of §4.1.4).

use smtp_proto::{Error, Request};

use super::content::Body;
use super::session::{Asked, Session, State, Transaction};
use super::{Closing, MailFrom, RcptTo, Settings, Step, fault};
use crate::params;
use crate::path::{MAX_DOMAIN_BYTES, Path};
use crate::reply::Reply;

const MAIL_SYNTAX: &str = "syntax: MAIL FROM:<address>";
const RCPT_SYNTAX: &str = "syntax: RCPT TO:<address>";

/// Most commands give no step, but a reply.
type Done = Option<Step<'static>>;

impl Session {
    /// One command line, without its end.
    pub(super) fn command(&mut self, line: &[u8]) -> Done {
        if self.counts_too_many_commands() {
            return self.close_421("too many commands", Closing::Commands);
        }
        let line = trim_end(line);
        if line.iter().any(u8::is_ascii_control) || line.first() == Some(&b' ') {
            return self.error(&fault(500, 2, "control character or leading space"));
        }
        match line.split_at_checked(4) {
            Some((verb, rest)) if verb.eq_ignore_ascii_case(b"MAIL") => self.mail(rest),
            Some((verb, rest)) if verb.eq_ignore_ascii_case(b"RCPT") => self.rcpt(rest),
            Some((verb, rest)) if verb.eq_ignore_ascii_case(b"BDAT") && matches!(rest, [] | [b' ', ..]) => {
                self.bdat(rest)
            }
            Some((verb, rest)) if verb.eq_ignore_ascii_case(b"AUTH") && matches!(rest, [] | [b' ', ..]) => {
                self.auth(rest)
            }
            _ if is_verb(line, b"STARTTLS") => self.starttls(line),
            _ => self.other_command(line),
        }
    }

    /// One more command, or line of an exchange.
    pub(super) fn counts_too_many_commands(&mut self) -> bool {
        self.commands += 1;
        self.commands > self.settings.max_commands
    }

    /// RFC 3207 §4. Whatever was sent behind it in the clear, the session throws away.
    fn starttls(&mut self, line: &[u8]) -> Done {
        if !self.settings.offer_starttls {
            return self.error(&fault(502, 1, "not implemented"));
        }
        if self.secure {
            return self.error(&fault(503, 1, "TLS is active"));
        }
        if line.len() > b"STARTTLS".len() {
            return self.error(&fault(501, 4, "no argument allowed"));
        }
        self.end_transaction();
        self.say(&Reply::new(220, (0, 0), "ready to start TLS"));
        self.state = State::Handshake;
        Some(Step::StartTls)
    }

    fn other_command(&mut self, line: &[u8]) -> Done {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.extend_from_slice(line);
        scratch.push(b'\n');
        let argument = line.get(5..).unwrap_or_default();
        let step = match params::parse(&scratch) {
            Ok(request) => self.request(&request, argument),
            // RFC 5321 §4.2.4: 500 for an unknown command, 501 for a fault in its arguments.
            Err(Error::UnknownCommand) => self.error(&unknown()),
            Err(_) => self.error(&fault(501, 4, "bad syntax")),
        };
        self.scratch = scratch;
        step
    }

    fn request(&mut self, request: &Request<std::borrow::Cow<'_, str>>, argument: &[u8]) -> Done {
        match request {
            // RFC 2033 §4.1: LMTP knows LHLO only, SMTP does not know it. A session that took both
            // could be made to answer content once where each recipient is waited for.
            Request::Ehlo { .. } if !self.settings.lmtp => self.hello(argument, true),
            Request::Lhlo { .. } if self.settings.lmtp => self.hello(argument, true),
            Request::Helo { .. } if !self.settings.lmtp => self.hello(argument, false),
            Request::Data | Request::Rset | Request::Quit if !argument.is_empty() => {
                self.error(&fault(501, 4, "no argument allowed"))
            }
            Request::Data => self.data(),
            Request::Rset => self.rset(),
            Request::Quit => self.quit(),
            Request::Noop { .. } => self.ok(&Reply::new(250, (0, 0), "ok")),
            Request::Help { .. } => self.ok(&Reply::new(214, (0, 0), self.help())),
            Request::Vrfy { .. } => self.ok(&Reply::new(252, (0, 0), "send mail and see")),
            Request::Expn { .. }
            | Request::StartTls
            | Request::Etrn { .. }
            | Request::Atrn { .. }
            | Request::Burl { .. } => self.error(&fault(502, 1, "not implemented")),
            // MAIL, RCPT, BDAT and AUTH never come here.
            Request::Ehlo { .. }
            | Request::Helo { .. }
            | Request::Lhlo { .. }
            | Request::Mail { .. }
            | Request::Rcpt { .. }
            | Request::Bdat { .. }
            | Request::Auth { .. } => self.error(&unknown()),
        }
    }

    fn help(&self) -> &'static str {
        if self.settings.lmtp { LMTP_HELP } else { HELP }
    }

    /// RFC 5321 §4.1.1.1, RFC 2033 §4.1. EHLO in the middle ends a transaction (§4.1.4).
    fn hello(&mut self, argument: &[u8], esmtp: bool) -> Done {
        let name = String::from_utf8_lossy(argument.trim_ascii()).into_owned();
        if name.is_empty() || name.len() > MAX_DOMAIN_BYTES {
            return self.error(&fault(501, 4, "bad name"));
        }
        self.end_transaction();
        self.mail_refused = false;
        self.greeted = true;
        let settings = &self.settings;
        let text = match esmtp {
            false => settings.hostname.clone(),
            true => format!(
                "{}\nPIPELINING\nSIZE {}\n8BITMIME\n{}{}{}SMTPUTF8\n{}ENHANCEDSTATUSCODES",
                settings.hostname,
                settings.max_message_bytes,
                if settings.offer_starttls && !self.secure { "STARTTLS\n" } else { "" },
                if self.offers_sign_in() { format!("AUTH {}\n", self.mechanisms()) } else { String::new() },
                if settings.offer_dsn { "DSN\n" } else { "" },
                if settings.lmtp { "" } else { "CHUNKING\n" },
            ),
        };
        self.say(&Reply::new(250, None, text));
        Some(Step::Hello { name, esmtp })
    }

    /// RFC 5321 §4.1.1.2; `rest` follows the verb.
    fn mail(&mut self, rest: &[u8]) -> Done {
        if !self.greeted || self.transaction.is_some() {
            let first = if self.settings.lmtp { "LHLO first" } else { "EHLO first" };
            return self.error(&fault(503, 1, if self.greeted { "nested MAIL" } else { first }));
        }
        let Settings { require_tls, auth_required, .. } = *self.settings;
        if (require_tls || auth_required) && !self.secure {
            return self.error(&Reply::new(530, (7, 0), "STARTTLS first"));
        }
        if auth_required && !self.signed_in {
            return self.error(&Reply::new(530, (7, 0), "sign in first"));
        }
        match self.read_mail(rest) {
            Ok(mail) => {
                let question = self.ask(Asked::Mail(Transaction::of(&mail)));
                Some(Step::Mail(question, mail))
            }
            Err(reply) => {
                self.mail_refused = true;
                // Too big is said politely (RFC 1870) by clients that send many messages.
                if reply.code() == 552 { self.ok(&reply) } else { self.error(&reply) }
            }
        }
    }

    fn read_mail(&self, rest: &[u8]) -> Result<MailFrom, Reply> {
        let text = after_keyword(rest, b" FROM:").ok_or(fault(501, 4, MAIL_SYNTAX))?;
        let (path, rest) = Path::parse(text).map_err(|e| Reply::new(501, (1, 7), e.to_string()))?;
        if path.domain().is_none() && !path.is_null() {
            return Err(Reply::new(501, (1, 7), "the address has no domain"));
        }
        let mail = params::mail(path, rest, self.settings.offer_dsn, self.offers_sign_in())?;
        if !mail.smtputf8 && !mail.reverse_path.is_ascii() {
            return Err(needs_smtputf8());
        }
        if mail.size_bytes.is_some_and(|size| size > self.settings.max_message_bytes) {
            return Err(too_big());
        }
        Ok(mail)
    }

    /// RFC 5321 §4.1.1.3; `rest` follows the verb.
    fn rcpt(&mut self, rest: &[u8]) -> Done {
        let Some(transaction) = &self.transaction else {
            return self.out_of_order("MAIL first");
        };
        if self.body.is_some() {
            return self.error(&fault(503, 1, "RCPT after BDAT"));
        }
        if transaction.accepted >= self.settings.max_recipients
            || transaction.refused >= self.settings.max_refused_recipients
        {
            return self.ok(&Reply::new(452, (5, 3), "too many recipients"));
        }
        match self.read_rcpt(rest, transaction.smtputf8) {
            Ok(rcpt) => Some(Step::Rcpt(self.ask(Asked::Rcpt), rcpt)),
            Err(reply) => {
                // A list with bad addresses in it is no attack: it counts as refused.
                if let Some(transaction) = &mut self.transaction {
                    transaction.refused += 1;
                }
                self.ok(&reply)
            }
        }
    }

    fn read_rcpt(&self, rest: &[u8], smtputf8: bool) -> Result<RcptTo, Reply> {
        let text = after_keyword(rest, b" TO:").ok_or(fault(501, 4, RCPT_SYNTAX))?;
        let (path, rest) = Path::parse(text).map_err(|e| Reply::new(501, (1, 3), e.to_string()))?;
        if path.domain().is_none() && !path.address().eq_ignore_ascii_case("postmaster") {
            return Err(Reply::new(501, (1, 3), "the address has no domain"));
        }
        if !smtputf8 && !path.is_ascii() {
            return Err(needs_smtputf8());
        }
        params::rcpt(path, rest, self.settings.offer_dsn)
    }

    /// RFC 5321 §4.1.1.4.
    fn data(&mut self) -> Done {
        let Some(transaction) = &self.transaction else {
            return self.out_of_order("MAIL first");
        };
        if self.body.is_some() {
            return self.error(&fault(503, 1, "DATA after BDAT"));
        }
        if transaction.accepted == 0 {
            return self.ok(&no_recipients(self.settings.lmtp));
        }
        let declared_bytes = transaction.declared_bytes;
        let question = self.ask(Asked::Data);
        Some(Step::Begin { question, declared_bytes, bdat: false })
    }

    /// RFC 3030 §2; `rest` follows the verb.
    fn bdat(&mut self, rest: &[u8]) -> Done {
        if self.settings.lmtp {
            // Not offered: how content is answered that no recipient was accepted for, RFC 2033
            // §4.3 and RFC 3030 read differently. The chunk may follow, and is no command.
            self.say(&fault(502, 1, "not implemented"));
            return self.close_421("closing, see above", Closing::BadChunk);
        }
        let Some((bytes, last)) = chunk_of(rest) else {
            // The chunk is under way, of a length nobody knows: read as commands, it would be
            // obeyed.
            self.say(&fault(501, 4, "syntax: BDAT size [LAST]"));
            return self.close_421("closing, see above", Closing::BadChunk);
        };
        if self.transaction.is_none() && !self.mail_refused && self.error_closes() {
            return self.close_421("too many errors", Closing::Errors);
        }
        self.chunk(bytes, last)
    }

    /// The chunk follows whatever we say, so a refused one is read and thrown away.
    fn chunk(&mut self, bytes: u64, last: bool) -> Done {
        let mut step = None;
        match (&self.transaction, &self.body) {
            (None, _) => self.body = Some(Body::refused(fault(503, 1, "MAIL first"))),
            (Some(_), Some(_)) => step = self.check_size(bytes),
            (Some(t), None) if t.accepted == 0 => self.body = Some(Body::refused(no_recipients(false))),
            (Some(_), None) if bytes > self.settings.max_message_bytes => {
                self.body = Some(Body::refused(too_big()));
            }
            (Some(t), None) => {
                let declared_bytes = if last { Some(bytes) } else { t.declared_bytes };
                let question = self.ask(Asked::Chunk { bytes, last });
                return Some(Step::Begin { question, declared_bytes, bdat: true });
            }
        }
        self.state = State::Chunk { left_bytes: bytes, last };
        step
    }

    fn error_closes(&mut self) -> bool {
        self.errors += 1;
        self.errors >= self.settings.max_errors
    }

    /// RFC 5321 §4.1.1.5.
    fn rset(&mut self) -> Done {
        self.end_transaction();
        self.mail_refused = false;
        self.say(&Reply::new(250, (0, 0), "ok"));
        Some(Step::Reset)
    }

    /// RFC 5321 §4.1.1.10.
    fn quit(&mut self) -> Done {
        self.close(&Reply::new(221, (0, 0), "bye"), Closing::Quit);
        None
    }

    /// A reply that is no fault of the client's.
    fn ok(&mut self, reply: &Reply) -> Done {
        self.say(reply);
        None
    }

    /// A command without its transaction: a fault, unless it was pipelined behind a MAIL that we
    /// refused.
    fn out_of_order(&mut self, text: &'static str) -> Done {
        let reply = fault(503, 1, text);
        if self.mail_refused { self.ok(&reply) } else { self.error(&reply) }
    }
}

const HELP: &str = "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP";
const LMTP_HELP: &str = "LHLO STARTTLS MAIL RCPT DATA RSET NOOP QUIT VRFY HELP";

/// Trailing white space is tolerated (RFC 5321 §4.1.1).
fn trim_end(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|b| !matches!(b, b' ' | b'\t')).map_or(0, |last| last + 1);
    &line[..end]
}

fn after_keyword<'a>(rest: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then_some(tail)
}

/// Size, and whether it is the last.
fn chunk_of(rest: &[u8]) -> Option<(u64, bool)> {
    let mut words = rest.split(|b| *b == b' ').filter(|word| !word.is_empty());
    let bytes = params::number(words.next()?)?;
    let last = words.next();
    let known = last.is_none_or(|word| word.eq_ignore_ascii_case(b"LAST"));
    (known && words.next().is_none()).then_some((bytes, last.is_some()))
}

/// Whether the line's first word is `verb`.
fn is_verb(line: &[u8], verb: &[u8]) -> bool {
    let word = line.split(|b| *b == b' ').next().unwrap_or_default();
    word.eq_ignore_ascii_case(verb)
}

fn unknown() -> Reply {
    fault(500, 1, "unknown command")
}

/// RFC 6531 §3.5.
fn needs_smtputf8() -> Reply {
    Reply::new(553, (6, 7), "address needs SMTPUTF8")
}

/// RFC 5321 §3.3 lets us choose between 503 and 554, RFC 2033 §4.2 does not.
fn no_recipients(lmtp: bool) -> Reply {
    fault(if lmtp { 503 } else { 554 }, 1, "no valid recipients")
}

/// RFC 1870 §6.
pub(super) fn too_big() -> Reply {
    Reply::new(552, (3, 4), "message too big")
}
