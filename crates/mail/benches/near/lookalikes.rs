//! Messages that look alike and are two: what a person or a program wrote anew.

use quell_mail::content::MAX_BODY_BYTES;

use crate::mail::Message;
use crate::mime::{Body, Part};

/// A kind of look-alike, and the other message. None: there is nothing in it that could be changed so.
pub type Lookalike = (&'static str, fn(&Message) -> Option<Message>);

pub const LOOKALIKES: [Lookalike; 9] = [
    ("another name in a form letter", |m| plain(m, &another_name)),
    ("another number", |m| plain(m, &another_number)),
    ("a daily report: all numbers others", |m| plain(m, &other_numbers)),
    ("a word left out", |m| plain(m, &word_left_out)),
    ("a patch sent again, one line changed, v2 in the subject", patch_v2),
    ("the same without a word of it in the subject", |m| plain(m, &other_patch)),
    ("a line more at the end", |m| {
        plain(m, &|text| Some(format!("{text}\nI forgot: we meet at nine on Friday.\n")))
    }),
    ("a line more at the start", |m| {
        plain(m, &|text| Some(format!("I forgot to say that we meet at nine.\n\n{text}")))
    }),
    ("all of it quoted below an answer", |m| plain(m, &quoted)),
];

/// A footer that a machine puts under the other message: it must not hide the difference.
pub const FOOTER: &str =
    "\n_______________________\nFriends mailing list\nhttps://lists.example/mailman/listinfo/friends\n";

/// The message with its first plain text as `change` has it.
pub fn plain(message: &Message, change: &dyn Fn(&str) -> Option<String>) -> Option<Message> {
    // What stands behind the first megabyte counts for nothing: neither does a change in it.
    if message.body.len() > MAX_BODY_BYTES / 2 {
        return None;
    }
    let (mut whole, mut done) = (Part::of(message), false);
    whole.change(&mut |part| {
        // Only the first text, so that what is beside it must not hide the change.
        if done || part.kind() != "text/plain" || !matches!(part.body, Body::Leaf(_)) {
            return false;
        }
        let Ok(text) = String::from_utf8(part.decoded()) else { return false };
        let Some(changed) = change(&text).filter(|changed| *changed != text) else {
            return false;
        };
        let encoding = part.encoding();
        part.encode(changed.as_bytes(), encoding);
        done = true;
        true
    });
    done.then(|| whole.message())
}

/// The places of the words of a text.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_ascii_whitespace().map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

fn replaced(text: &str, at: usize, len: usize, by: &str) -> String {
    format!("{}{by}{}", &text[..at], &text[at + len..])
}

/// The first word that can be a name.
fn another_name(text: &str) -> Option<String> {
    let is_name = |word: &str| {
        word.len() > 2
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.bytes().all(|b| b.is_ascii_alphabetic())
    };
    let (at, name) = words(text).find(|(_, word)| is_name(word.trim_end_matches([',', '.', '!', ':'])))?;
    let len = name.trim_end_matches([',', '.', '!', ':']).len();
    Some(replaced(text, at, len, "Ottilie"))
}

fn another_number(text: &str) -> Option<String> {
    let at = text.bytes().position(|b| b.is_ascii_digit())?;
    let digit = (text.as_bytes()[at] - b'0' + 1) % 10;
    Some(replaced(text, at, 1, &digit.to_string()))
}

fn other_numbers(text: &str) -> Option<String> {
    let next = |c: char| c.to_digit(10).and_then(|d| char::from_digit((d + 3) % 10, 10)).unwrap_or(c);
    Some(text.chars().map(next).collect())
}

/// The word in the middle, which is more than a no-break space.
fn word_left_out(text: &str) -> Option<String> {
    let is_word = |word: &str| word.contains(|c: char| c.is_ascii_alphanumeric());
    let all: Vec<(usize, &str)> = words(text).filter(|(_, word)| is_word(word)).collect();
    let (at, word) = *all.get(all.len() / 2)?;
    (all.len() > 3).then(|| replaced(text, at, word.len(), ""))
}

/// One added line of a diff with another word in it.
fn other_patch(text: &str) -> Option<String> {
    let diff = text.find("\ndiff --git ").or_else(|| text.find("\n@@ -"))?;
    let line =
        diff + text[diff..].match_indices("\n+").find(|(at, _)| !text[diff + at..].starts_with("\n+++"))?.0;
    let end = text[line + 2..].find('\n')? + line + 2;
    Some(replaced(text, end, 0, " /* v2 */"))
}

fn patch_v2(message: &Message) -> Option<Message> {
    let subject = String::from_utf8_lossy(message.value("subject")?).into_owned();
    let subject = subject.contains("[PATCH").then(|| subject.replacen("[PATCH", "[PATCH v2", 1))?;
    Some(plain(message, &other_patch)?.with("Subject", subject.as_bytes()))
}

fn quoted(text: &str) -> Option<String> {
    Some(format!("Yes, I think so too.\n\nOn Monday Jane wrote:\n> {}\n", text.replace('\n', "\n> ")))
}
