//! What a server offers to whoever has not signed in yet (RFC 9051 §6.1.1), behind the greeting and TLS.

use super::opening::{Fault, MAX_OPENING_LINE_BYTES, MAX_OPENING_LINES};
use crate::line::{Framed, Framer};

const CAPABILITY: &[u8] = b"S1 CAPABILITY\r\n";
const TAG: &[u8] = b"S1";

/// What is offered, as far as it decides how to sign in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offer {
    /// LOGIN is refused (LOGINDISABLED, §6.2.3).
    pub login_disabled: bool,
    /// AUTH=PLAIN (RFC 4616).
    pub plain: bool,
    /// AUTH=XOAUTH2.
    pub xoauth2: bool,
    /// AUTH=OAUTHBEARER (RFC 7628).
    pub oauthbearer: bool,
}

/// One question. Feed it input with [`Ask::next`], write [`Ask::output`] first. Memory is bounded by one line.
#[derive(Debug)]
pub struct Ask {
    framer: Framer,
    output: Vec<u8>,
    lines: usize,
    offer: Offer,
    ended: Option<Result<Offer, Fault>>,
}

impl Default for Ask {
    fn default() -> Self {
        let framer = Framer::new(MAX_OPENING_LINE_BYTES, false);
        Self { framer, output: CAPABILITY.to_vec(), lines: 0, offer: Offer::default(), ended: None }
    }
}

impl Ask {
    /// To be written.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Takes input: how many bytes, and the answer once it is there. Input that was not taken then is for the client. None: all
    /// was taken, and more is needed. A server that says NO or BAD offers nothing.
    pub fn next(&mut self, input: &[u8]) -> (usize, Option<Result<Offer, Fault>>) {
        let mut used = 0;
        while self.ended.is_none() {
            let (taken, framed) = self.framer.next(&input[used..]);
            used += taken;
            match framed {
                Framed::More => return (used, None),
                Framed::Line(line) => self.line(line),
                Framed::Joined => {
                    let line = self.framer.take_joined();
                    self.line(&line);
                    self.framer.give_back(line);
                }
                Framed::TooLong | Framed::Endless => self.ended = Some(Err(Fault::LongLine)),
                Framed::Bare(_) => self.ended = Some(Err(Fault::BareNewline)),
            }
        }
        (used, self.ended)
    }

    fn line(&mut self, line: &[u8]) {
        self.lines += 1;
        if self.lines > MAX_OPENING_LINES {
            self.ended = Some(Err(Fault::Lines));
            return;
        }
        let mut words = line.split(|b| *b == b' ');
        let (tag, what) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if tag == TAG {
            let is_ok = what.eq_ignore_ascii_case(b"OK");
            self.ended = Some(Ok(if is_ok { self.offer } else { Offer::default() }));
        } else if tag != b"*" {
            self.ended = Some(Err(Fault::NoAnswer));
        } else if what.eq_ignore_ascii_case(b"CAPABILITY") {
            words.for_each(|word| self.offer.read(word));
        }
    }
}

impl Offer {
    fn read(&mut self, word: &[u8]) {
        self.login_disabled |= word.eq_ignore_ascii_case(b"LOGINDISABLED");
        self.plain |= word.eq_ignore_ascii_case(b"AUTH=PLAIN");
        self.xoauth2 |= word.eq_ignore_ascii_case(b"AUTH=XOAUTH2");
        self.oauthbearer |= word.eq_ignore_ascii_case(b"AUTH=OAUTHBEARER");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(stream: &[u8], cut: usize) -> (usize, Option<Result<Offer, Fault>>) {
        let (mut ask, mut used, mut given) = (Ask::default(), 0, 0);
        loop {
            let (taken, answer) = ask.next(&stream[used..given]);
            used += taken;
            if answer.is_some() || given == stream.len() {
                return (used, answer);
            }
            given = stream.len().min(given + cut);
        }
    }

    #[test]
    fn what_is_offered_is_read() {
        let all = Offer { login_disabled: true, plain: true, xoauth2: true, oauthbearer: true };
        let said = "* OK hello\r\n* CAPABILITY IMAP4rev1 logindisabled AUTH=PLAIN auth=xoauth2 AUTH=OAUTHBEARER\r\nS1 OK done\r\n";
        assert_eq!(asked(said.as_bytes(), 7), (said.len(), Some(Ok(all))));
        let none = Some(Ok(Offer::default()));
        for (said, answer) in [
            ("S1 OK done\r\n", none),
            ("* CAPABILITY AUTH=PLAIN\r\nS1 BAD what\r\n", none),
            ("* CAPABILITY IMAP4rev1 AUTH=PLAINER\r\nS1 OK\r\n", none),
            ("S2 OK done\r\n", Some(Err(Fault::NoAnswer))),
            ("* CAPABILITY", None),
            ("a\nb\r\n", Some(Err(Fault::BareNewline))),
        ] {
            assert_eq!(asked(said.as_bytes(), 1).1, answer, "{said:?}");
        }
        let endless = "* OK x\r\n".repeat(MAX_OPENING_LINES + 1);
        assert_eq!(asked(endless.as_bytes(), 100).1, Some(Err(Fault::Lines)));
        assert_eq!(asked(&[b'x'; MAX_OPENING_LINE_BYTES + 1], 999).1, Some(Err(Fault::LongLine)));
        assert!(Ask::default().output().ends_with(b"\r\n"));
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(said in "(\\* |S1 |OK |CAPABILITY |AUTH=PLAIN |x|\r\n|\r|\n| ){0,60}", cut in 1usize..9) {
            prop_assert_eq!(asked(said.as_bytes(), usize::MAX >> 1), asked(said.as_bytes(), cut));
        }
    }
}
