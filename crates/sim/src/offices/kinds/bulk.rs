//! Newsletters that come in; our own newsletters and invoices, with the bounces and answers that they bring.

use crate::clock::{DAY, HOUR, MINUTE, SECOND};
use crate::dice::Dice;
use crate::offices::cast::{BULK, Cast, DOMAIN, Home};
use crate::offices::dsn::{self, Lost};
use crate::offices::letter::{Letter, Party};
use crate::offices::office::Office;
use crate::offices::{Kind, Truth, words};

/// A newsletter that some of ours have asked for.
#[derive(Debug, Clone)]
pub(in crate::offices) struct Newsletter {
    pub from: Party,
    pub publisher: usize,
    pub readers: Vec<usize>,
    /// Each reader's has his own name in it.
    pub personal: bool,
    /// All readers stand in To, as in the bad old days.
    pub visible: bool,
    pub every_days: i64,
}

/// What we send to all our customers.
#[derive(Debug, Clone)]
pub(in crate::offices) struct Mailings {
    pub customers: usize,
    /// One in so many addresses is gone.
    pub gone_one_in: u64,
    /// One message, the customers in the envelope only; else each has his own.
    pub blind: bool,
    pub news_days: i64,
}

impl Mailings {
    pub fn new(dice: &mut Dice) -> Self {
        Self {
            customers: dice.tail(500, 5_000),
            gone_one_in: dice.pick([33, 50, 50, 100, 200]),
            blind: dice.one_in(3),
            news_days: dice.pick([7, 14, 14, 30]),
        }
    }
}

pub(super) fn newsletters(cast: &Cast, dice: &mut Dice) -> Vec<Newsletter> {
    (0..6 + cast.ours / 4)
        .map(|_| {
            let house = *dice.of(&words::HOUSES);
            let wanted = dice.tail(1, cast.ours);
            Newsletter {
                from: Party::new(&format!("{house} News"), &format!("news@{house}-letters.example")),
                publisher: *dice.of(&cast.publishers),
                readers: dice.some_of(cast.ours, wanted),
                personal: dice.one_in(2),
                visible: dice.one_in(12),
                every_days: dice.pick([1, 1, 7, 7, 7, 14, 30]),
            }
        })
        .collect()
}

pub(super) fn day(office: &mut Office, day: i64) {
    for at in 0..office.habits.subscriptions.len() {
        if (day + at as i64) % office.habits.subscriptions[at].every_days == 0 {
            let news = office.habits.subscriptions[at].clone();
            let ms = office.hours.midnight(day) + office.dice.between(5 * HOUR, 15 * HOUR);
            publish(office, &news, ms);
        }
    }
    if day % office.habits.mailings.news_days == 3 {
        mailing(office, day, false);
    }
    if day % 30 == 1 {
        mailing(office, day, true);
    }
}

fn publish(office: &mut Office, news: &Newsletter, ms: i64) {
    let count = office.dice.count(8, 40);
    let text = words::prose(count, &mut office.dice);
    let subject = words::topic(&mut office.dice);
    let readers: Vec<Party> = news.readers.iter().map(|at| office.cast.party(*at)).collect();
    let home = Home::Outside(news.publisher);
    if news.visible {
        let mut letter = office.plain(news.from.clone(), readers, subject, text, ms);
        letter.fields.push(("Precedence", "bulk".to_owned()));
        let to = letter.addresses();
        office.send_by(home, &news.from.address, to, letter, Truth::Real(Kind::Newsletter));
        return;
    }
    for (nth, reader) in readers.into_iter().enumerate() {
        let domain = office.cast.providers[news.publisher].domain.clone();
        let reverse_path =
            format!("bounce-{}-{}@{domain}", office.number(), reader.address.replace('@', "="));
        let address = reader.address.clone();
        let text = match news.personal {
            true => format!(
                "Dear {},\n\n{text}\n\nLeave: https://{domain}/off/{}\n",
                reader.name,
                office.dice.letters(40)
            ),
            false => text.clone(),
        };
        let at = ms + nth as i64 * office.dice.between(50, 4_000);
        let mut letter = office.plain(news.from.clone(), vec![reader], subject.clone(), text, at);
        letter.fields.push(("List-Unsubscribe", format!("<https://{domain}/u/{}>", office.dice.letters(30))));
        office.send_by(home, &reverse_path, vec![address], letter, Truth::Real(Kind::Newsletter));
    }
}

/// To all customers, at night. Some addresses are gone: their servers say so within minutes. Some customers are
/// away.
fn mailing(office: &mut Office, day: i64, invoices: bool) {
    let Mailings { customers, gone_one_in, blind, .. } = office.habits.mailings;
    let start = office.hours.midnight(day) + HOUR + office.dice.between(0, 3 * HOUR);
    let name = if invoices { "invoices" } else { "newsletter" };
    let from = Party::new("The Firm", &format!("{name}@{DOMAIN}"));
    let count = office.dice.count(5, 20);
    let (text, subject) = (words::prose(count, &mut office.dice), words::topic(&mut office.dice));
    let one = office.plain(from.clone(), vec![from.clone()], subject.clone(), text.clone(), start);
    let customer = |at: usize, office: &Office| {
        let provider = at * 7 % (office.cast.large + 3);
        let domain = match provider < office.cast.large {
            true => office.cast.providers[provider].domain.clone(),
            false => format!("{}{}.example", words::HOUSES[at % 40], at % 12),
        };
        format!("customer{at}@{domain}")
    };
    if blind && !invoices {
        let all: Vec<String> = (0..customers).map(|at| customer(at, office)).collect();
        office.send_by(Home::Inside(BULK), &from.address, all, one.clone(), Truth::Real(Kind::Bulk));
    }
    for at in 0..customers {
        let address = customer(at, office);
        let ms = start + at as i64 * 400;
        let letter = if blind && !invoices {
            one.clone()
        } else {
            let text = match invoices {
                true => format!(
                    "Dear customer {at},\n\nyour invoice is {}.{:02} EUR.\n\n{text}",
                    at % 900,
                    at % 100
                ),
                false => format!("Dear customer {at},\n\n{text}"),
            };
            let mut letter =
                office.plain(from.clone(), vec![Party::new("", &address)], subject.clone(), text, ms);
            if !invoices {
                letter.fields.push(("Precedence", "bulk".to_owned()));
            }
            let to = vec![address.clone()];
            office.send_by(Home::Inside(BULK), &from.address, to, letter.clone(), Truth::Real(Kind::Bulk));
            letter
        };
        comes_back(office, &letter, &address, ms, gone_one_in);
    }
}

fn comes_back(office: &mut Office, letter: &Letter, address: &str, ms: i64, gone_one_in: u64) {
    if office.dice.one_in(gone_one_in) {
        let at = ms + SECOND + soon(office, 3 * MINUTE);
        bounces(office, letter, address, at);
    } else if office.dice.one_in(250) {
        let at = ms + 5 * SECOND + soon(office, MINUTE);
        let id = office.id(address);
        let text = format!("I am away until Monday.\n{}\n", words::sentence(&mut office.dice));
        let mut answer = letter.answer(Party::new("", address), false, text, at, id);
        answer.subject = format!("Automatic reply: {}", letter.subject);
        let marked = office.dice.one_in(2);
        if marked {
            answer.fields.push(("Auto-Submitted", "auto-replied".to_owned()));
        }
        let provider = office.dice.below(office.cast.large);
        let reverse_path = if marked { "" } else { address };
        let to = vec![letter.from.address.clone()];
        office.send_by(Home::Outside(provider), reverse_path, to, answer, Truth::Real(Kind::OutOfOffice));
    }
}

fn soon(office: &mut Office, mean: i64) -> i64 {
    office.dice.wait(mean).min(DAY)
}

/// The report that somebody's server could not deliver it.
pub(super) fn bounces(office: &mut Office, letter: &Letter, address: &str, ms: i64) {
    let provider = office.dice.below(office.cast.large);
    let server = office.dice.of(&office.cast.providers[provider].pool).helo.clone();
    let report = dsn::report(&Lost::new(letter, address), &server, ms, office.hours.zone, &mut office.dice);
    let to = vec![letter.from.address.clone()];
    office.send_by(Home::Outside(provider), "", to, report, Truth::Real(Kind::Bounce));
}
