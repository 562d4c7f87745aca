//! From the greeting to the listing (RFC 1939 §4, §5), and what each response means.

use super::session::{Content, Expected, Read, Reading, Session, Stage};
use super::{At, Deletions, Fault, MAX_CAPABILITIES, Offer, Refusal, Request, Step, Why};

impl Session {
    /// The next command on the way to the listing, one at a time: a password is not sent after a
    /// refused name.
    pub(super) fn advance_stage(&mut self) -> Option<Step<'static>> {
        match self.stage {
            Stage::Capa => self.send_stage("CAPA", Expected::Capa, self.after_capa()),
            Stage::Stls => self.say_stls(),
            Stage::Tls => return Some(Step::StartTls),
            Stage::SignIn => self.sign_in(),
            Stage::Pass => self.say_password(),
            Stage::Stat => self.send_stage("STAT", Expected::Stat, Stage::List),
            Stage::List => match self.listing.stat_messages {
                0 => self.stage = Stage::Listed,
                _ => self.send_stage("LIST", Expected::List, Stage::Uidl),
            },
            Stage::Uidl if self.offer.uidl => self.send_stage("UIDL", Expected::Uidl, Stage::Listed),
            Stage::Uidl => self.stage = Stage::Listed,
            Stage::Listed | Stage::Ready => {
                self.stage = Stage::Ready;
                return Some(Step::Listed);
            }
        }
        None
    }

    fn send_stage(&mut self, command: &str, expected: Expected, then: Stage) {
        self.send(command, expected);
        self.stage = then;
    }

    /// A status line.
    pub(super) fn status(&mut self, line: &[u8]) -> Read<'static> {
        let Some(expected) = self.expected.front().copied() else {
            return self.fault(Fault::Unasked);
        };
        match (after(line, b"+OK"), after(line, b"-ERR")) {
            (Some(text), _) => self.accepted(expected, text),
            (_, Some(text)) => {
                self.expected.pop_front();
                self.refused(expected, Refusal::of(text))
            }
            _ => match after(line, b"+") {
                Some(text) if expected == Expected::Auth => self.challenged(text),
                _ => self.fault(Fault::NoStatus),
            },
        }
    }

    fn accepted(&mut self, expected: Expected, text: &[u8]) -> Read<'static> {
        match expected {
            Expected::Capa | Expected::List | Expected::Uidl => {
                self.offer.capa |= expected == Expected::Capa;
                self.lines = 0;
                self.reading = Reading::Lines;
                return Read::On;
            }
            Expected::Request(Request::Retrieve(number) | Request::Top(number)) => {
                self.reading = Reading::Content(Content::new());
                return Read::Step(Step::Begin { number });
            }
            _ => {}
        }
        self.expected.pop_front();
        match expected {
            // Whatever stands behind it came from anybody: input that is left is a fault, before the
            // caller hears of it.
            Expected::Stls => {
                self.stage = Stage::Tls;
                Read::On
            }
            Expected::Auth if !self.may_be_accepted() => self.fault(Fault::Exchange),
            Expected::Stat if !self.listing.stat(text) => self.fault(Fault::Listing),
            Expected::Request(request) => {
                self.marked = true;
                Read::Step(Step::Deleted { number: request.number() })
            }
            Expected::Quit => {
                self.deletions = if self.marked { Deletions::Done } else { Deletions::Nothing };
                self.end(Why::Quit);
                Read::On
            }
            _ => Read::On,
        }
    }

    fn refused(&mut self, expected: Expected, mut refusal: Refusal) -> Read<'static> {
        let at = match expected {
            // A server of before 1998 (RFC 2449): what it can do is found by trying.
            Expected::Capa => {
                self.offer = Offer::unknown();
                return Read::On;
            }
            Expected::Uidl => return Read::On,
            Expected::Stls => {
                self.give_up(Why::NoTls);
                return Read::On;
            }
            Expected::Request(request) => return Read::Step(Step::Refused { request, refusal }),
            Expected::Greeting => At::Greeting,
            Expected::User | Expected::Pass => At::SignIn,
            Expected::Auth => {
                refusal = self.explained(refusal);
                At::SignIn
            }
            Expected::Stat | Expected::List => At::Listing,
            Expected::Quit => At::Quit,
        };
        match at {
            At::SignIn | At::Listing => self.give_up(Why::Refused(at, refusal)),
            At::Greeting | At::Quit => self.end(Why::Refused(at, refusal)),
        }
        Read::On
    }

    /// A line of a listing, or its end.
    pub(super) fn listed_line(&mut self, line: &[u8]) -> Read<'static> {
        if line == b"." {
            self.expected.pop_front();
            self.reading = Reading::Status;
            return Read::On;
        }
        self.lines += 1;
        let right = match self.expected.front() {
            Some(Expected::Capa) => self.capability(line),
            Some(Expected::List) => self.listing.size(line, &self.settings),
            _ => self.lines <= self.settings.max_listing_lines && self.listing.uidl(line),
        };
        if right { Read::On } else { self.fault(Fault::Listing) }
    }

    fn capability(&mut self, line: &[u8]) -> bool {
        self.offer.read(&mut self.means, line);
        self.lines <= MAX_CAPABILITIES
    }
}

/// What follows a status indicator.
fn after<'a>(line: &'a [u8], status: &[u8]) -> Option<&'a [u8]> {
    let (head, tail) = line.split_at_checked(status.len())?;
    let fits = head.eq_ignore_ascii_case(status) && matches!(tail, [] | [b' ' | b'\t', ..]);
    fits.then_some(tail)
}
