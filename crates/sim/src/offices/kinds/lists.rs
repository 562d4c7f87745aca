//! Mailing lists: posts beside direct copies, cross-posts, digests.

use crate::clock::{DAY, HOUR, MINUTE, SECOND};
use crate::dice::Dice;
use crate::offices::cast::{Cast, Home};
use crate::offices::letter::{Letter, Party};
use crate::offices::office::Office;
use crate::offices::{Kind, Truth, words};

/// A list that some of ours read.
#[derive(Debug, Clone)]
pub(in crate::offices) struct List {
    pub name: String,
    pub domain: String,
    pub server: usize,
    pub readers: Vec<usize>,
    /// Those who have a digest each day instead.
    pub digest: Vec<usize>,
    /// It puts its name before subjects, and a footer below texts.
    pub tags: bool,
    /// Threads in a day, in thousandths.
    pub milli: usize,
    today: String,
}

pub(super) fn lists(cast: &mut Cast, dice: &mut Dice) -> Vec<List> {
    let server = cast.provider("lists.example", 1, dice);
    let count = dice.few(2, 4 + cast.ours / 12);
    (0..count)
        .map(|nth| {
            let name = format!("{}-{nth}", dice.of(&words::HOUSES));
            let wanted = dice.tail(1, cast.ours);
            let all = dice.some_of(cast.ours, wanted);
            let (digest, readers) = all.into_iter().partition(|at| at % 7 == 0);
            let milli = 500 * dice.tail(1, 20);
            let tags = dice.one_in(2);
            let (domain, today) = ("lists.example".to_owned(), String::new());
            List { name, domain, server, readers, digest, tags, milli, today }
        })
        .collect()
}

pub(super) fn day(office: &mut Office, day: i64) {
    for at in 0..office.habits.lists.len() {
        let milli = office.habits.lists[at].milli;
        for _ in 0..office.dice.about(milli) {
            let ms = office.hours.midnight(day) + office.dice.between(0, DAY);
            thread(office, at, ms);
        }
        digest(office, at, office.hours.midnight(day) + DAY - MINUTE);
    }
}

/// Posts of a thread; some go to a second and third list as well, and to some readers directly.
fn thread(office: &mut Office, at: usize, ms: i64) {
    let mut lists = vec![at];
    if office.dice.one_in(6) {
        let wanted = office.dice.count(1, 2);
        lists.extend(office.dice.some_of(office.habits.lists.len(), wanted));
        lists.sort_unstable();
        lists.dedup();
    }
    let address = |office: &Office, at: usize| {
        let List { name, domain, .. } = &office.habits.lists[at];
        Party::new("", &format!("{name}@{domain}"))
    };
    let author = office.cast.outsider(&mut office.dice);
    let mut letter = office.letter(author, &[], ms);
    letter.to = lists.iter().map(|at| address(office, *at)).collect();
    let mut last = post(office, &lists, letter);
    for _ in 0..office.dice.tail(1, 40) - 1 {
        let at = last.date_ms + office.dice.wait(2 * HOUR) + MINUTE;
        let from = match office.habits.lists[lists[0]].readers.as_slice() {
            [] => office.cast.outsider(&mut office.dice),
            readers if office.dice.one_in(4) => *office.dice.of(readers),
            _ => office.cast.outsider(&mut office.dice),
        };
        let count = office.dice.tail(1, 12);
        let text = words::prose(count, &mut office.dice);
        let answer = office.answer(&last, from, true, text, at);
        last = post(office, &lists, answer);
    }
}

/// To the lists and, directly, to those of ours who are named; each list sends it to its readers.
fn post(office: &mut Office, lists: &[usize], letter: Letter) -> Letter {
    office.send(letter.clone(), Truth::Real(Kind::List));
    for at in lists {
        let list = office.habits.lists[*at].clone();
        if !list.digest.is_empty() {
            office.habits.lists[*at].today += &format!("{}\n\n{}\n", letter.subject, letter.text);
        }
        if !list.readers.is_empty() {
            let copy = from_list(&list, letter.clone());
            let to: Vec<String> = list.readers.iter().map(|at| office.cast.party(*at).address).collect();
            let reverse_path = format!("{}-bounces@{}", list.name, list.domain);
            office.send_by(Home::Outside(list.server), &reverse_path, to, copy, Truth::Real(Kind::List));
        }
    }
    letter
}

fn from_list(list: &List, mut letter: Letter) -> Letter {
    letter.fields.push(("List-Id", format!("<{}.{}>", list.name, list.domain)));
    letter.fields.push(("List-Unsubscribe", format!("<mailto:{}-leave@{}>", list.name, list.domain)));
    letter.fields.push(("Precedence", "list".to_owned()));
    if list.tags {
        letter.subject = format!("[{}] {}", list.name, letter.subject);
        letter.text +=
            &format!("\n_______________________________________________\n{} mailing list\n", list.name);
    }
    letter
}

fn digest(office: &mut Office, at: usize, ms: i64) {
    let list = office.habits.lists[at].clone();
    let today = std::mem::take(&mut office.habits.lists[at].today);
    if today.is_empty() || list.digest.is_empty() {
        return;
    }
    let from = Party::new("", &format!("{}-request@{}", list.name, list.domain));
    let to = Party::new("", &format!("{}@{}", list.name, list.domain));
    let subject = format!("{} Digest, Vol {}", list.name, ms / DAY);
    let mut letter = office.plain(from, vec![to], subject, today, ms - 10 * SECOND);
    letter.fields.push(("List-Id", format!("<{}.{}>", list.name, list.domain)));
    let readers = list.digest.iter().map(|at| office.cast.party(*at).address).collect();
    let reverse_path = format!("{}-bounces@{}", list.name, list.domain);
    office.send_by(Home::Outside(list.server), &reverse_path, readers, letter, Truth::Real(Kind::List));
}
