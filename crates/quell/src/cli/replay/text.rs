//! The answer for a terminal.

use std::path::Path;

use quell_storm::limits::Limits;
use quell_storm::storm::Storm;
use quell_storm::verdict::Class;

use super::answer::{Answer, Example};
use crate::cli::trace::clean::harmless;
use crate::cli::trace::text::TextOptions;
use crate::cli::trace::text::columns::{Ink, Lines};
use crate::cli::trace::words::{self, counted, number};

/// Storms shown; of more only the number.
const MAX_STORMS: usize = 20;
/// Culprits shown of one.
const MAX_CULPRITS: usize = 5;

/// By which settings it was judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings<'a> {
    pub(super) limits: &'a Limits,
    /// Where they were read from.
    pub(super) file: Option<&'a Path>,
    /// Only the classes without thresholds were asked.
    pub(super) exact: bool,
}

/// The whole answer; every line ends in LF. Nothing of mail reaches the terminal as anything but letters.
pub(super) fn text(answer: &Answer, settings: &Settings<'_>, options: &TextOptions) -> String {
    let mut lines = Lines::new(options.width.clamp(40, 240), options.colour);
    lines.wrapped(0, &summary(answer), Ink::Bold);
    if answer.lie_twice > 0 {
        let are = if answer.lie_twice == 1 { "is" } else { "are" };
        let text = format!(
            "Of what was absorbed, {} {are} equal to one before to the last stamp: mail that lies there twice \
             (in two folders, in a backup) rather than mail that came twice.",
            number(answer.lie_twice)
        );
        lines.wrapped(0, &text, Ink::Plain);
    }
    classes(answer, &mut lines);
    storms(answer, &mut lines);
    examples(&answer.examples, &mut lines);
    what_would_change_it(settings, &mut lines);
    lines.text
}

fn summary(answer: &Answer) -> String {
    format!(
        "Of {} quell would have let {} pass, absorbed {}, held {}, refused {}.",
        counted(answer.messages, "message", "messages"),
        number(answer.pass),
        counted(answer.absorb, "copy", "copies"),
        number(answer.hold),
        number(answer.refuse)
    )
}

fn classes(answer: &Answer, lines: &mut Lines) {
    lines.blank();
    lines.line(&[("Class        to decide on    absorbed        held     refused", Ink::Dim)]);
    for (class, verdicts) in &answer.verdicts {
        let chances = answer.opportunities.get(class).copied().unwrap_or_default();
        let row = format!(
            "{class:<12}{:>13}{:>12}{:>12}{:>12}",
            number(chances),
            number(verdicts.absorb),
            number(verdicts.hold),
            number(verdicts.refuse)
        );
        lines.line(&[(&row, Ink::Plain)]);
    }
}

fn storms(answer: &Answer, lines: &mut Lines) {
    lines.blank();
    let count = answer.storms.len() as u64;
    if count == 0 {
        return lines.wrapped(0, "No storm.", Ink::Bold);
    }
    lines.wrapped(0, &format!("{}:", counted(count, "storm", "storms")), Ink::Bold);
    let ids = answer.storm_ids.iter().map(Option::as_deref).chain(std::iter::repeat(None));
    for (storm, id) in answer.storms.iter().zip(ids).take(MAX_STORMS) {
        one_storm(storm, id, lines);
    }
    if answer.storms.len() > MAX_STORMS {
        let more = answer.storms.len() - MAX_STORMS;
        lines.wrapped(2, &format!("and {more} more: --json has them"), Ink::Dim);
    }
}

fn one_storm(storm: &Storm, id: Option<&str>, lines: &mut Lines) {
    let when = words::from_to(Some(storm.first_seen_ms), Some(storm.last_seen_ms)).unwrap_or_default();
    let recipients = storm
        .recipients
        .map_or_else(String::new, |n| format!(" for {}", counted(n, "recipient", "recipients")));
    let copies = match storm.class().is_of_one_message() {
        true => counted(storm.copies, "copy", "copies"),
        false => counted(storm.copies, "message", "messages"),
    };
    let class = storm.class();
    let name = harmless(id.unwrap_or(what(class)));
    lines.wrapped(2, &format!("{name}: {copies}{recipients}, {when} ({class})"), Ink::Plain);
    if storm.culprits.is_empty() && class.is_of_one_message() {
        lines.wrapped(4, "The copies do not tell who makes them.", Ink::Plain);
    }
    for culprit in storm.culprits.iter().take(MAX_CULPRITS) {
        let (who, does) = (words::name_and_address(culprit), words::does(culprit.class));
        let sure = words::how_sure(culprit).map(|sure| format!(" ({sure})")).unwrap_or_default();
        lines.wrapped(4, &harmless(&format!("{who} {does}{sure}")), Ink::Alarm);
    }
}

/// What a storm without a Message-ID of its own is about.
fn what(class: Class) -> &'static str {
    match class {
        Class::ReplyAll => "a conversation",
        Class::AutoReply => "two machines",
        Class::Bounces => "reports for one recipient",
        Class::Flood => "a source",
        Class::UserLimit => "a user",
        _ => "a message",
    }
}

/// The thresholds of the classes of suspicion, and what is done with what they suspect.
fn suspicions(limits: &Limits, lines: &mut Lines) {
    for setting in [
        format!(
            "resent_arrivals = {}, resent_least_words = {}",
            limits.resent_arrivals, limits.resent_least_words
        ),
        format!(
            "reply_all_people = {}, reply_all_replies = {}, reply_all_authors = {}, reply_all_list_factor = {}",
            limits.reply_all_people,
            limits.reply_all_replies,
            limits.reply_all_authors,
            limits.reply_all_list_factor
        ),
        format!("auto_reply_turns = {}", limits.auto_reply_turns),
        format!(
            "bounces_per_recipient = {}, bounces_per_message = {}",
            limits.bounces_per_recipient, limits.bounces_per_message
        ),
        format!("flood_factor = {}, flood_least_hour = {}", limits.flood.factor, limits.flood.least_hour),
    ] {
        lines.wrapped(2, &format!("[judge] {setting}"), Ink::Plain);
    }
    let policies = Class::ALL.into_iter().filter(|class| class.suspects());
    let policies = policies.map(|class| format!("{class} = \"{}\"", limits.policies.of(class).name()));
    lines.wrapped(2, &format!("[policy] {}", policies.collect::<Vec<_>>().join(", ")), Ink::Plain);
    lines.wrapped(2, "[exceptions] senders, lists and hosts that no class suspects", Ink::Plain);
}

fn examples(examples: &[Example], lines: &mut Lines) {
    if examples.is_empty() {
        return;
    }
    lines.blank();
    lines.wrapped(0, "Examples, one for each message and reason:", Ink::Bold);
    for example in examples {
        let id = example.message_id.as_deref().unwrap_or("a message without a Message-ID");
        lines.wrapped(2, &harmless(id), Ink::Plain);
        lines.wrapped(4, &harmless(&example.reason), Ink::Dim);
    }
}

fn what_would_change_it(settings: &Settings<'_>, lines: &mut Lines) {
    let limits = settings.limits;
    let file = settings.file.map_or_else(
        || "the defaults; --config FILE takes those of a file".to_owned(),
        |file| format!("those of {}", harmless(&file.display().to_string())),
    );
    lines.blank();
    lines.wrapped(0, &format!("Settings that would change this ({file}):"), Ink::Bold);
    for (setting, what) in [
        (
            format!("storm_rcpt_copies = {}", limits.storm_rcpt_copies),
            "copies for one recipient in 24 hours that open a storm",
        ),
        (
            format!("storm_key_copies = {}", limits.storm_key_copies),
            "copies for all recipients in 24 hours that open a storm",
        ),
        (format!("max_hops = {}", limits.max_hops), "Received fields that are refused as a loop"),
    ] {
        lines.wrapped(2, &format!("[judge] {setting}: {what}"), Ink::Plain);
    }
    if !settings.exact {
        suspicions(limits, lines);
    }
    lines.wrapped(
        2,
        "Absorbing has no threshold: who has a message, to the byte, does not get it again.",
        Ink::Plain,
    );
    lines.blank();
    lines.wrapped(0, "Nothing was delivered, and nothing was changed.", Ink::Bold);
}
