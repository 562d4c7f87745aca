//! Every reason in words: for the operator, for logs, and (refusals only) for the sender.

use crate::facts::Ms;
use crate::limits::Limits;
use crate::policy::Policy;
use crate::verdict::{Class, Copies, Reason};

mod near;
mod storm;
mod suspicion;

/// An SMTP reply: code, enhanced code (RFC 3463), text.
pub type Reply = (u16, &'static str, &'static str);

/// One reply for every refusal after a failure, so that it does not tell which, nor how often.
const FAILED: Reply = (554, "5.0.0", "This message could not be delivered; do not send it again");
const LOOP: Reply = (550, "5.4.6", "Routing loop detected");
/// The same for every class: it tells nothing of what others sent or have.
const SUSPECT: Reply = (550, "5.7.1", "Refused by the policy of this server");

impl Class {
    /// What is going on in a storm of this class: a sentence, ASCII, with a line's end where it is long.
    pub fn words(self) -> &'static str {
        match self {
            Self::Retry => "A server keeps sending the same message because our answer was late or lost.",
            Self::Loop => "A message that has passed here keeps coming back.",
            Self::New | Self::Copies => "The same message keeps arriving.",
            Self::Resent => "A message that has arrived comes again with another identity, by other servers.",
            Self::Reinjected => {
                "A message from outside leaves this house for the people in its own To and Cc: one of our\n\
                 machines reads recipients out of the header."
            }
            Self::ReplyAll => "Many people answer all in one conversation.",
            Self::AutoReply => "Two machines answer each other.",
            Self::Bounces => "Very many reports of failed deliveries arrive.",
            Self::Flood => "A source brings far more mail than is usual at this hour.",
            Self::UserLimit => {
                "A user who has signed in sends more than people do, or to very many they never wrote to:\n\
                 a mailing, or somebody who has their password."
            }
        }
    }

    /// What one arrival of such a storm is called.
    pub fn of_one(self) -> &'static str {
        if self.suspects() { "message" } else { "copy" }
    }

    /// The same of several.
    pub fn of_many(self) -> &'static str {
        if self.suspects() { "messages" } else { "copies" }
    }
}

impl Reason {
    /// The name in logs and the API; it does not change.
    pub fn name(&self) -> &'static str {
        match self {
            Self::FirstArrival => "first_arrival",
            Self::NoExactKey => "no_exact_key",
            Self::TokenWithoutRow => "token_without_row",
            Self::Exempt(_) => "exempt",
            Self::CopyOfWaiting(_) => "copy_of_waiting",
            Self::CopyOfDelivered(_) => "copy_of_delivered",
            Self::CopyOfHeld(_) => "copy_of_held",
            Self::OtherSourceThanHeld => "other_source_than_held",
            Self::CopyOfUnknown(_) => "copy_of_unknown",
            Self::CopyOfDiscarded(_) => "copy_of_discarded",
            Self::FailedJustNow => "failed_just_now",
            Self::NewLife { .. } => "new_life",
            Self::NoMoreLives { .. } => "no_more_lives",
            Self::NewAfterDiscard => "new_after_discard",
            Self::LoopDelivered => "loop_delivered",
            Self::LoopSent => "loop_sent",
            Self::TooManyHops { .. } => "too_many_hops",
            Self::Suspect(suspicion, _) => suspicion.class().name(),
            Self::Excepted(..) => "excepted",
        }
    }

    /// The class it belongs to.
    pub fn class(&self) -> Class {
        match self {
            Self::CopyOfWaiting(c)
            | Self::CopyOfDelivered(c)
            | Self::CopyOfHeld(c)
            | Self::CopyOfUnknown(c)
            | Self::CopyOfDiscarded(c) => c.class,
            Self::FailedJustNow | Self::NoMoreLives { .. } => Class::Copies,
            Self::LoopDelivered | Self::LoopSent | Self::TooManyHops { .. } => Class::Loop,
            Self::Suspect(suspicion, _) => suspicion.class(),
            Self::FirstArrival
            | Self::NoExactKey
            | Self::TokenWithoutRow
            | Self::Exempt(_)
            | Self::Excepted(..)
            | Self::OtherSourceThanHeld
            | Self::NewLife { .. }
            | Self::NewAfterDiscard => Class::New,
        }
    }

    /// For the operator: which rule, its numbers and threshold, the evidence, and which setting
    /// would change it. `limits` are the ones in force. Never for strangers.
    pub fn operator(&self, limits: &Limits) -> String {
        match self {
            Self::CopyOfWaiting(c)
            | Self::CopyOfDelivered(c)
            | Self::CopyOfHeld(c)
            | Self::CopyOfUnknown(c)
            | Self::CopyOfDiscarded(c) => self.of_copy(c, limits),
            Self::FailedJustNow | Self::NewLife { .. } | Self::NoMoreLives { .. } => self.of_failed(limits),
            Self::LoopDelivered | Self::LoopSent | Self::TooManyHops { .. } => self.of_loop(),
            Self::Suspect(suspicion, policy) => suspicion.operator(*policy, limits),
            Self::Excepted(suspicion, by) => suspicion.let_pass(*by, limits),
            Self::FirstArrival
            | Self::NoExactKey
            | Self::TokenWithoutRow
            | Self::Exempt(_)
            | Self::OtherSourceThanHeld
            | Self::NewAfterDiscard => self.of_new(limits),
        }
    }

    /// What the sender is told; None unless it refuses. It names no recipient and tells nothing
    /// of what any recipient has.
    pub fn sender_reply(&self) -> Option<Reply> {
        match self {
            Self::LoopSent | Self::TooManyHops { .. } => Some(LOOP),
            Self::FailedJustNow | Self::NoMoreLives { .. } => Some(FAILED),
            Self::Suspect(_, Policy::Refuse) => Some(SUSPECT),
            Self::Suspect(..) => None,
            Self::FirstArrival
            | Self::NoExactKey
            | Self::TokenWithoutRow
            | Self::Exempt(_)
            | Self::Excepted(..)
            | Self::CopyOfWaiting(_)
            | Self::CopyOfDelivered(_)
            | Self::CopyOfHeld(_)
            | Self::OtherSourceThanHeld
            | Self::CopyOfUnknown(_)
            | Self::CopyOfDiscarded(_)
            | Self::NewLife { .. }
            | Self::NewAfterDiscard
            | Self::LoopDelivered => None,
        }
    }

    fn of_copy(&self, copies: &Copies, limits: &Limits) -> String {
        let row = match self {
            Self::CopyOfDelivered(_) => "the recipient has it already, or the next hop took it",
            Self::CopyOfHeld(_) => "it is held, and this copy is from the same source",
            Self::CopyOfUnknown(_) => {
                "it was sent and the answer is not known; quell tries that again by itself"
            }
            Self::CopyOfDiscarded(_) => return of_discarded(copies, limits),
            _ => "it is waiting here to be delivered",
        };
        format!("{}: {row}. {}", rule(copies.class), numbers(copies, limits))
    }

    fn of_failed(&self, limits: &Limits) -> String {
        match self {
            Self::NewLife { life } => format!(
                "Passed: the same message failed for this recipient before; this copy is tried \
                 anew, number {life} of at most {} in 24 h ([judge] max_lives_per_day).",
                limits.max_lives_per_day
            ),
            Self::NoMoreLives { limit } => format!(
                "Refused by rule copies: the same message has failed for this recipient and was \
                 tried anew {limit} times in 24 h, the limit ([judge] max_lives_per_day)."
            ),
            _ => format!(
                "Refused by rule copies: the same source brought the same message, and it failed \
                 for good at this recipient (5.1.x or 5.2.x) less than {} ago ([judge] \
                 failed_window_secs).",
                span(limits.failed_window_ms)
            ),
        }
    }

    fn of_loop(&self) -> String {
        match self {
            Self::TooManyHops { hops, limit } => format!(
                "Refused by rule loop: it has {hops} Received fields, and {limit} or more are \
                 refused ([judge] max_hops)."
            ),
            Self::LoopDelivered => "Absorbed by rule loop: it has passed here before, as a \
                 Received field with our own token (or Delivered-To above one) proves, and the \
                 recipient has it. No setting changes that."
                .to_owned(),
            _ => "Refused by rule loop: it has passed here before, as a Received field with our \
                 own token (or Delivered-To above one) proves, and was sent on to this recipient; \
                 the next hop, or a forwarding behind it, sends it back. No setting changes that."
                .to_owned(),
        }
    }

    fn of_new(&self, limits: &Limits) -> String {
        match self {
            Self::NoExactKey => "Passed: it is compared with nothing, since it has not exactly \
                 one well-formed Message-ID and one Date within 30 days of its arrival."
                .to_owned(),
            Self::TokenWithoutRow => "Passed: it has been here before, as our own token in it \
                 proves, but not for this recipient: a forwarding or a list."
                .to_owned(),
            Self::Exempt(class) => {
                format!("Passed: a person released this message from rule {class}.")
            }
            Self::OtherSourceThanHeld => "Passed: the same message from another source is held \
                 for this recipient, and one from here is judged on its own, so that nobody gets \
                 a message held by sending it first."
                .to_owned(),
            Self::NewAfterDiscard => format!(
                "Passed: the same message was discarded for this recipient, but with `quell \
                 queue remove`, or its storm closed {} ago or more ([judge] discarded_window_secs).",
                span(limits.discarded_window_ms)
            ),
            _ => "Passed: the first arrival of this message for this recipient.".to_owned(),
        }
    }
}

fn of_discarded(copies: &Copies, limits: &Limits) -> String {
    format!(
        "{}: a person, or the end of its time in hold, discarded it, and its storm is open or \
         closed less than {} ago ([judge] discarded_window_secs). {}",
        rule(copies.class),
        span(limits.discarded_window_ms),
        numbers(copies, limits)
    )
}

fn rule(class: Class) -> String {
    let known = match class {
        Class::Retry => {
            "the same message from the same source, after an answer that was late or \
             did not arrive"
        }
        _ => "the same message (equal exact key) again",
    };
    format!("Absorbed by rule {class}: {known}")
}

fn numbers(copies: &Copies, limits: &Limits) -> String {
    format!(
        "Copies within {}: {} for this recipient, {} over all; a storm opens at {} ([judge] \
         storm_rcpt_copies) or {} (storm_key_copies). Absorbing itself has no threshold.",
        span(limits.window_ms),
        at_least(copies.of_recipient, limits.storm_rcpt_copies),
        at_least(copies.of_key, limits.storm_key_copies),
        limits.storm_rcpt_copies,
        limits.storm_key_copies
    )
}

/// Counts go no further than the threshold they serve ([`crate::window::CopyTimes`]).
fn at_least(n: u32, threshold: u32) -> String {
    if n < threshold { n.to_string() } else { format!("at least {n}") }
}

/// A duration in the largest unit that keeps it whole.
pub(crate) fn span(ms: Ms) -> String {
    match ms {
        ms if ms != 0 && ms % 3_600_000 == 0 => format!("{} h", ms / 3_600_000),
        ms if ms != 0 && ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}
