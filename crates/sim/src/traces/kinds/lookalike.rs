//! Messages that look alike and are none the less each a message of its own.

use super::super::case::Case;
use super::super::clock::{self, DAY, HOUR, MINUTE, SECOND};
use super::super::letter::{self, Letter, Person};
use super::super::machine::Machine;
use super::super::story::Stage;

impl Case {
    /// A letter of its own, sent at this time.
    fn posted(&mut self, stage: &Stage, letter: &Letter, at: i64) {
        let letter = Letter { date_ms: at, ..letter.clone() };
        let message = self.message("no_culprit");
        let mut copy = self.written(message, &letter);
        let firm = if letter.author.domain() == stage.publisher.domain {
            stage.publisher.clone()
        } else {
            stage.firm_of(&letter.author).clone()
        };
        let out = self.send(&firm, &mut copy);
        self.spread(&copy, &out, &stage.firms, &stage.readers);
    }

    fn renewed(&mut self, letter: &Letter) -> Letter {
        Letter { message_id: self.message_id(letter.author.domain()), ..letter.clone() }
    }
}

/// Replies, patches, reports, form letters, and the like.
pub fn lookalikes(case: &mut Case) {
    let stage = case.stage(1, 12);
    for _ in 0..case.dice.count(1, 3) {
        match case.dice.below(8) {
            0 => replies(case, &stage),
            1 => patches(case, &stage),
            2 => reports(case, &stage),
            3 => form_letters(case, &stage),
            4 => sent_again(case, &stage, false),
            5 => sent_again(case, &stage, true),
            6 => monitoring(case, &stage),
            _ => reused_id(case, &stage),
        }
    }
    case.innocents(&stage);
}

fn first(case: &mut Case, stage: &Stage) -> Letter {
    let author = stage.publisher.people[0].clone();
    case.letter(&author, &stage.readers)
}

/// Answers that quote all of it.
fn replies(case: &mut Case, stage: &Stage) {
    let asked = first(case, stage);
    case.posted(stage, &asked, case.start);
    let mut quoted = asked.text.clone();
    let mut references = vec![asked.message_id.clone()];
    for turn in 1..=case.dice.count(1, 6) as i64 {
        let author = stage.readers[case.dice.below(stage.readers.len())].clone();
        let mut answer = case.letter(&author, &stage.readers);
        answer.subject = format!("Re: {}", asked.subject);
        answer.references.clone_from(&references);
        let own =
            if case.dice.one_in(2) { "Thank you.\n".to_owned() } else { letter::prose(100, &mut case.dice) };
        answer.text = format!("{own}\n> {}\n", quoted.trim_end().replace('\n', "\n> "));
        quoted.clone_from(&answer.text);
        references.push(answer.message_id.clone());
        let at = case.start + turn * case.dice.between(2 * MINUTE, 5 * HOUR);
        case.posted(stage, &answer, at);
    }
}

/// A series of patches within seconds, and perhaps its second version.
fn patches(case: &mut Case, stage: &Stage) {
    let start = first(case, stage);
    let (parts, topic) = (case.dice.count(2, 9), letter::subject(&mut case.dice));
    let texts: Vec<String> = (0..parts).map(|_| diff(case)).collect();
    let versions = case.dice.count(1, 2);
    for version in 0..versions {
        for (at, text) in texts.iter().enumerate() {
            let mut patch = case.renewed(&start);
            let mark = if version == 0 { String::new() } else { " v2".to_owned() };
            patch.subject = format!("[PATCH{mark} {}/{parts}] {topic}", at + 1);
            patch.text = if version == 0 || at > 0 { text.clone() } else { text.replace("index", "index2") };
            let sent = case.start + version as i64 * 3 * DAY + at as i64 * SECOND;
            case.posted(stage, &patch, sent);
        }
    }
}

fn diff(case: &mut Case) -> String {
    let file =
        format!("drivers/{}/{}.c", case.dice.letters(4).to_lowercase(), case.dice.letters(6).to_lowercase());
    let lines: Vec<String> = (0..case.dice.count(4, 30))
        .map(|_| format!("{}\t{};", case.dice.pick([" ", "+", "-"]), case.dice.letters(20)))
        .collect();
    format!(
        "Signed-off-by: A. Author\n---\ndiff --git a/{file} b/{file}\nindex {}..{} 100644\n{}\n-- \n2.34.1\n",
        case.dice.hex(7),
        case.dice.hex(7),
        lines.join("\n")
    )
}

/// The same text each month.
fn reports(case: &mut Case, stage: &Stage) {
    let report = first(case, stage);
    for month in 0..case.dice.count(2, 12) as i64 {
        let mut one = case.renewed(&report);
        if case.dice.one_in(3) {
            one.subject = format!("{} {month}", report.subject);
        }
        case.posted(stage, &one, case.start + month * 30 * DAY);
    }
}

/// One text to many names, all of which one mailbox may have.
fn form_letters(case: &mut Case, stage: &Stage) {
    let form = first(case, stage);
    let step = case.dice.pick([SECOND, MINUTE, DAY]);
    for at in 0..case.dice.count(2, 15) as i64 {
        let client: Person = case.person(&stage.publisher.domain);
        let mut one = case.renewed(&form);
        one.text = format!("Dear {},\n\nreference {}\n\n{}", client.address, case.dice.digits(7), form.text);
        case.posted(stage, &one, case.start + at * step);
    }
}

/// Somebody sends it again by hand, with a new date; the Message-ID may stay.
fn sent_again(case: &mut Case, stage: &Stage, keeps_id: bool) {
    let letter = first(case, stage);
    case.posted(stage, &letter, case.start);
    for turn in 1..=case.dice.count(1, 3) as i64 {
        let again = if keeps_id { letter.clone() } else { case.renewed(&letter) };
        let at = case.start + turn * case.dice.between(20 * MINUTE, 3 * DAY);
        case.posted(stage, &again, at);
    }
}

/// A machine that reports the same thing every few minutes.
fn monitoring(case: &mut Case, stage: &Stage) {
    let host: Machine = case.unix_server(&stage.publisher.domain, "monitor");
    let author = Person { name: "root".to_owned(), address: format!("root@{}", host.by) };
    let mut alarm = case.letter(&author, &stage.readers);
    alarm.subject = format!("** PROBLEM: {} is CRITICAL **", host.by);
    let (every, same) = (case.dice.pick([MINUTE, 5 * MINUTE, HOUR]), case.dice.one_in(2));
    for turn in 0..case.dice.count(2, 20) as i64 {
        let mut one = case.renewed(&alarm);
        one.date_ms = case.start + turn * every;
        if !same {
            one.text = format!(
                "Load {}\nAt {}\n{}",
                case.dice.digits(2),
                clock::plain(one.date_ms, clock::UTC),
                alarm.text
            );
        }
        let message = case.message("no_culprit");
        let mut copy = case.written(message, &one);
        copy.handed_in(&host, None, &mut case.dice);
        case.spread(&copy, &host, &stage.firms, &stage.readers);
    }
}

/// A program that gives all its messages one Message-ID.
fn reused_id(case: &mut Case, stage: &Stage) {
    let one = first(case, stage);
    for turn in 0..case.dice.count(2, 5) as i64 {
        let mut other = first(case, stage);
        other.message_id.clone_from(&one.message_id);
        let at = case.start + turn * case.dice.between(MINUTE, 2 * DAY);
        case.posted(stage, &other, at);
    }
}
