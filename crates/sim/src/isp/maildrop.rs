//! A firm that collects its mail: the serving side of POP3.

use std::sync::Arc;

use quell_wire::pop3::server::{Admission, Listed, Session, Settings, Step};
use quell_wire::pop3::{Password, Uidl};

use super::mailbox::{Mailboxes, NotOpened, Stored};
use crate::content::Content;
use crate::host::Conn;

/// Messages that one session sees: the first of the mailbox.
const MAX_SEEN_MESSAGES: usize = 1_000;
/// What is sent before it is known that earlier output has left; one answer may pass it.
const MAX_BURST_BYTES: usize = 64 << 10;
/// Input that may wait while output does; more closes the connection.
const MAX_WAITING_BYTES: usize = 64 << 10;

/// The settings of an ISP's sessions.
pub(super) fn settings(hostname: &str) -> Arc<Settings> {
    Arc::new(Settings { max_messages: MAX_SEEN_MESSAGES, ..Settings::new(hostname) })
}

/// One connection.
#[derive(Debug)]
pub(super) struct MaildropLine {
    session: Session,
    conn: Conn,
    waiting: Vec<u8>,
    /// Output was sent that may not have left yet.
    is_full: bool,
    mailbox: Option<usize>,
    seen: Vec<Stored>,
    wanted: Wanted,
}

/// The message that is being sent.
#[derive(Debug, Default)]
struct Wanted {
    content: Content,
    piece: usize,
    offset: usize,
}

impl MaildropLine {
    /// A connection that was just accepted, and what to send on it.
    pub fn new(settings: Arc<Settings>, conn: Conn) -> (Self, Vec<u8>) {
        let mut session = Session::new(settings);
        let greeting = std::mem::take(session.output());
        let (waiting, is_full, mailbox) = (Vec::new(), false, None);
        let line =
            Self { session, conn, waiting, is_full, mailbox, seen: Vec::new(), wanted: Wanted::default() };
        (line, greeting)
    }

    /// Takes input; what to send, and whether the connection goes on.
    pub fn input(&mut self, bytes: &[u8], mailboxes: &mut Mailboxes) -> (Vec<u8>, bool) {
        self.waiting.extend_from_slice(bytes);
        if self.is_full {
            return (Vec::new(), self.waiting.len() <= MAX_WAITING_BYTES);
        }
        self.go_on(mailboxes)
    }

    /// What was sent has left.
    pub fn drained(&mut self, mailboxes: &mut Mailboxes) -> (Vec<u8>, bool) {
        match std::mem::take(&mut self.is_full) {
            true => self.go_on(mailboxes),
            false => (Vec::new(), true),
        }
    }

    fn go_on(&mut self, mailboxes: &mut Mailboxes) -> (Vec<u8>, bool) {
        let (mut output, mut at) = (Vec::new(), 0);
        let goes_on = loop {
            output.append(self.session.output());
            if output.len() >= MAX_BURST_BYTES {
                self.is_full = true;
                break true;
            }
            let (taken, step) = self.session.next(&self.waiting[at..]);
            at += taken;
            match step {
                Step::Flush => {}
                Step::NeedInput => break true,
                // Every question is answered at once: one that is open is a fault, and ends it.
                Step::NeedAnswer | Step::Closed(_) => break false,
                Step::SignIn { question, user, password } => {
                    let admission = self.sign_in(&user, &password, mailboxes);
                    self.session.admit(question, admission);
                }
                Step::Retrieve { number, .. } => self.retrieve(number),
                Step::NeedContent => self.content(),
                Step::Commit { question, deleted } => {
                    self.delete(&deleted, mailboxes);
                    self.session.committed(question, true);
                }
            }
        };
        output.append(self.session.output());
        self.waiting.drain(..at);
        (output, goes_on)
    }

    fn sign_in(&mut self, user: &str, password: &Password, mailboxes: &mut Mailboxes) -> Admission {
        match mailboxes.open(user, password.as_bytes(), self.conn) {
            Err(NotOpened::Credentials) => Admission::Refused,
            Err(NotOpened::InUse) => Admission::InUse,
            Ok(mailbox) => {
                self.mailbox = Some(mailbox);
                self.seen = mailboxes.first(mailbox, MAX_SEEN_MESSAGES);
                let listed = self.seen.iter().map(listed).collect::<Result<_, _>>();
                listed.map_or(Admission::Trouble, Admission::Admitted)
            }
        }
    }

    fn retrieve(&mut self, number: u32) {
        let place = (number as usize).wrapping_sub(1);
        let content = self.seen.get(place).map(|stored| stored.content.clone()).unwrap_or_default();
        self.wanted = Wanted { content, piece: 0, offset: 0 };
    }

    fn content(&mut self) {
        let Wanted { content, piece, offset } = &mut self.wanted;
        let Some(rest) = content.pieces().nth(*piece).map(|bytes| &bytes[*offset..]) else {
            return self.session.content_end();
        };
        let taken = self.session.content(rest);
        *offset += taken;
        if taken == rest.len() {
            (*piece, *offset) = (*piece + 1, 0);
        }
    }

    fn delete(&self, numbers: &[u32], mailboxes: &mut Mailboxes) {
        let stored = numbers.iter().filter_map(|number| self.seen.get((*number as usize).wrapping_sub(1)));
        let uids: Vec<u64> = stored.map(|stored| stored.uid).collect();
        if let Some(mailbox) = self.mailbox {
            mailboxes.remove(mailbox, &uids);
        }
    }
}

fn listed(stored: &Stored) -> Result<Listed, quell_wire::pop3::BadUidl> {
    Ok(Listed { bytes: stored.bytes, uidl: Uidl::new(format!("{:08x}", stored.uid).as_bytes())? })
}

#[cfg(test)]
mod tests {
    use super::super::mailbox::MailboxSettings;
    use super::*;

    const MESSAGE_BYTES: usize = 100_000;

    /// A mailbox with one large message, and a session that is signed in to it.
    fn signed_in() -> (Mailboxes, MaildropLine) {
        let (user, password, domain) = (Arc::from("firm"), "secret".to_owned(), "firm.example".to_owned());
        let mut mailboxes = Mailboxes::new(vec![MailboxSettings { user, password, domain }], 9);
        let message = format!("A: b\r\n\r\n{}", "0123456789\r\n".repeat(MESSAGE_BYTES / 12));
        mailboxes.put(0, "jane@firm.example", Content::from(message.into_bytes()));
        let (mut line, _) = MaildropLine::new(settings("isp"), Conn::accepted(1));
        let (said, goes_on) = line.input(b"USER firm\r\nPASS secret\r\n", &mut mailboxes);
        assert!(goes_on && said.ends_with(b"+OK 1 messages\r\n"), "{}", said.escape_ascii());
        (mailboxes, line)
    }

    #[test]
    fn it_does_not_say_more_than_is_taken() {
        let (mut mailboxes, mut line) = signed_in();
        let (mut said, goes_on) = line.input(&b"RETR 1\r\n".repeat(50), &mut mailboxes);
        let (mut total, mut bursts) = (0, 0);
        assert!(goes_on);
        while !said.is_empty() {
            assert!(said.len() < MAX_BURST_BYTES + (40 << 10), "{}", said.len());
            (total, bursts) = (total + said.len(), bursts + 1);
            said = line.drained(&mut mailboxes).0;
        }
        assert!(total > 50 * (MESSAGE_BYTES - 100) && bursts > 50, "{total} bytes in {bursts} bursts");
        assert!(line.input(b"NOOP\r\n", &mut mailboxes).0.starts_with(b"+OK"));
    }

    #[test]
    fn who_asks_on_without_reading_is_hung_up_on() {
        let (mut mailboxes, mut line) = signed_in();
        let asked = b"RETR 1\r\n".repeat(1_000);
        let answers = (0..20).map(|_| line.input(&asked, &mut mailboxes)).collect::<Vec<_>>();
        assert!(answers[0].1 && !answers[0].0.is_empty());
        let hung_up = answers.iter().position(|(_, goes_on)| !goes_on);
        assert_eq!(hung_up, Some(8), "8 KB a time");
    }

    #[test]
    fn deletions_are_made_at_quit_only() {
        for (last, left) in
            [(&b"DELE 1\r\n"[..], 1), (b"DELE 1\r\nRSET\r\nQUIT\r\n", 1), (b"DELE 1\r\nQUIT\r\n", 0)]
        {
            let (mut mailboxes, mut line) = signed_in();
            line.input(last, &mut mailboxes);
            mailboxes.close(Conn::accepted(1));
            assert_eq!(mailboxes.first(0, 9).len(), left, "{}", last.escape_ascii());
        }
    }
}
