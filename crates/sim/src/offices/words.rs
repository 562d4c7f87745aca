//! What people write, made of few words: texts differ as real ones do.

use std::sync::LazyLock;

use crate::dice::Dice;
pub(super) use crate::names::{FIRST, HOUSES, LAST};

const TOPICS: [&str; 60] = [
    "lease contract",
    "minutes",
    "invoice",
    "price list",
    "site visit",
    "budget draft",
    "holiday rota",
    "insurance renewal",
    "audit questions",
    "parking permits",
    "car pool",
    "staff lunch",
    "charity run",
    "fire drill",
    "quarterly figures",
    "travel booking",
    "tender documents",
    "safety course",
    "new website",
    "printer on the second floor",
    "delivery note",
    "missing parcel",
    "order",
    "quote",
    "interview",
    "training",
    "keys for the archive",
    "phone numbers",
    "project plan",
    "test results",
    "drawings",
    "sample shipment",
    "warranty claim",
    "timesheets",
    "expenses",
    "conference room",
    "coffee machine",
    "contract draft",
    "land register",
    "offer for the roof",
    "server move",
    "backup tapes",
    "client account",
    "opening hours",
    "customs papers",
    "translation",
    "brochure",
    "photos from Friday",
    "birthday cake",
    "meeting on Monday",
    "meeting on Thursday",
    "call tomorrow",
    "agenda",
    "supplier list",
    "stock count",
    "complaint",
    "refund",
    "visit from Lyon",
    "first draft",
    "survey",
];
/// Frequent ones stand there twice.
const WORDS: &str = "the the the a a and to to of of in we you I for with is it on that be are have will can not this if \
    from by at as order price draft contract meeting number list letter customer delivery week month \
    Monday Tuesday Wednesday Thursday Friday morning afternoon report figures budget office room floor \
    door key desk printer server screen file folder page chapter drawing sample part box parcel truck \
    train flight hotel visit call phone address name account bank invoice payment tax insurance lawyer \
    court register permit roof wall window garden car bike lunch coffee team colleague manager director \
    supplier partner offer tender project plan step question answer problem error test result version \
    change copy original send receive check sign print move open close begin finish need find ask tell \
    agree wait soon later today tomorrow again still already perhaps please attached below enough other";
static WORDS_LIST: LazyLock<Vec<&str>> = LazyLock::new(|| WORDS.split(' ').collect());
const GREETINGS: [&str; 8] =
    ["Hi", "Hello", "Dear", "Good morning", "Good afternoon", "Hey", "Hallo", "Morning"];
const CLOSINGS: [&str; 8] =
    ["Regards", "Best regards", "Thanks", "Cheers", "Kind regards", "Best", "Many thanks", "Bye"];
const QUICK: [&str; 24] = [
    "ok",
    "Ok",
    "thanks!",
    "Thanks",
    "see you",
    "yes",
    "no",
    "+1",
    "fine with me",
    "great",
    "on my way",
    "done",
    "will do",
    "sounds good",
    "perfect, thanks",
    "5 minutes",
    "why?",
    "which one?",
    "now?",
    "same here",
    "thank you",
    "sure",
    "I'm in",
    "can't, sorry",
];

/// A sentence.
pub(super) fn sentence(dice: &mut Dice) -> String {
    let words = WORDS_LIST.as_slice();
    let count = dice.count(4, 14);
    let mut text = String::with_capacity(90);
    for at in 0..count {
        let word = words[dice.below(words.len())];
        match at {
            0 => text.extend(
                word.chars().next().map(|c| c.to_ascii_uppercase()).into_iter().chain(word.chars().skip(1)),
            ),
            _ => {
                text.push(' ');
                text += word;
            }
        }
    }
    match dice.below(12) {
        0 => text += "?",
        1 => text += &format!(" {}.", dice.below(900)),
        _ => text += ".",
    }
    text
}

/// So many sentences, in paragraphs and lines as people write them.
pub(super) fn prose(sentences: usize, dice: &mut Dice) -> String {
    let mut text = String::new();
    let mut columns = 0;
    for at in 0..sentences.max(1) {
        let new = sentence(dice);
        let paragraph = at > 0 && dice.one_in(4);
        if paragraph {
            text += "\n\n";
            columns = 0;
        } else if columns + new.len() > 76 && columns > 0 {
            text += "\n";
            columns = 0;
        } else if columns > 0 {
            text += " ";
        }
        columns += new.len() + 1;
        text += &new;
    }
    text + "\n"
}

/// A letter: greeting, text, closing, signature.
pub(super) fn letter(to: &str, from: &str, sentences: usize, dice: &mut Dice) -> String {
    let (greeting, closing) = (*dice.of(&GREETINGS), *dice.of(&CLOSINGS));
    let (first, text) = (first_name(to), prose(sentences, dice));
    format!("{greeting} {first},\n\n{text}\n{closing}\n{from}\n")
}

/// What is written in a hurry.
pub(super) fn quick(dice: &mut Dice) -> String {
    if dice.one_in(3) { sentence(dice) + "\n" } else { format!("{}\n", dice.of(&QUICK)) }
}

/// What a mail is about.
pub(super) fn topic(dice: &mut Dice) -> String {
    let topic = *dice.of(&TOPICS);
    match dice.below(5) {
        0 => format!("{topic} {}", dice.below(5_000)),
        1 => format!("{topic} {}", dice.of(&HOUSES)),
        2 => format!("{topic}, {}", dice.of(&TOPICS)),
        _ => topic.to_owned(),
    }
}

fn first_name(name: &str) -> &str {
    name.split(' ').next().unwrap_or(name)
}

/// With a capital.
pub(super) fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(chars).collect()
}
