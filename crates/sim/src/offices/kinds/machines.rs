//! Programs that write: alarms, reports.

use crate::clock::{DAY, HOUR, MINUTE, SECOND, UTC, plain};
use crate::dice::Dice;
use crate::offices::cast::{Cast, DOMAIN, Home, Machine, PROGRAMS};
use crate::offices::hours::Hours;
use crate::offices::letter::{Form, Letter, Party};
use crate::offices::office::Office;
use crate::offices::way::Way;
use crate::offices::{Kind, Truth, words};

/// A machine, or several alike, of which alarms come.
#[derive(Debug, Clone)]
pub(in crate::offices) struct Watched {
    pub hosts: Vec<Machine>,
    pub inside: bool,
    /// It comes from another address each time: a laptop.
    pub roams: bool,
    pub to: Vec<String>,
    pub subject: String,
    pub text: String,
    /// The text says when; else it is the same each time.
    pub says_time: bool,
    /// One incident in so many days, with so many alarms at most, so far apart.
    pub days: u64,
    pub alarms: usize,
    pub every_ms: i64,
}

/// A report of every day or month.
#[derive(Debug, Clone)]
pub(in crate::offices) struct Report {
    pub from: Party,
    pub home: Home,
    pub to: Vec<String>,
    pub subject: String,
    pub text: String,
    /// A table of numbers, new each time.
    pub numbers: bool,
    pub monthly: bool,
    pub minute: i64,
}

fn readers(cast: &Cast, dice: &mut Dice) -> Vec<String> {
    match dice.below(3) {
        0 => vec![format!("it@{DOMAIN}")],
        _ => {
            let wanted = dice.few(1, 4);
            dice.some_of(cast.ours, wanted).into_iter().map(|at| cast.party(at).address).collect()
        }
    }
}

/// Those of an office.
pub(super) fn watched(cast: &mut Cast, dice: &mut Dice) -> Vec<Watched> {
    let count = dice.few(1, 4 + cast.ours / 8);
    (0..count).map(|_| one_watched(cast, dice)).collect()
}

fn one_watched(cast: &mut Cast, dice: &mut Dice) -> Watched {
    let inside = dice.one_in(2);
    let count = if dice.one_in(3) { dice.count(2, 12) } else { 1 };
    let name = *dice.of(&words::HOUSES);
    let host = |nth: usize, cast: &mut Cast, dice: &mut Dice| Machine {
        helo: if inside { format!("{name}{nth}.{DOMAIN}") } else { format!("{name}{nth}.cloud.example") },
        ip: if inside { [10, 0, 4, 1 + dice.below(250) as u8].into() } else { cast.ip(dice) },
    };
    let hosts = (0..count).map(|nth| host(nth, cast, dice)).collect();
    let what = dice.pick(["disk full", "backup failed", "service down", "high load", "certificate", "login"]);
    Watched {
        hosts,
        inside,
        roams: !inside && count == 1 && dice.one_in(3),
        to: readers(cast, dice),
        subject: format!("[ALERT] {name}: {what}"),
        text: format!("{what} on {name}\n\n{}", words::prose(dice.count(1, 5), dice)),
        says_time: dice.one_in(3),
        days: dice.count(1, 12) as u64,
        alarms: dice.tail(3, 300),
        every_ms: dice.pick([MINUTE, 2 * MINUTE, 5 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE]),
    }
}

pub(super) fn reports(cast: &mut Cast, dice: &mut Dice) -> Vec<Report> {
    let count = dice.few(3, 6 + cast.ours / 5);
    (0..count)
        .map(|_| {
            let name = *dice.of(&words::HOUSES);
            let home = if dice.one_in(2) {
                Home::Inside(PROGRAMS)
            } else {
                Home::Outside(*dice.of(&cast.publishers))
            };
            let domain =
                if matches!(home, Home::Inside(_)) { DOMAIN.to_owned() } else { format!("{name}.example") };
            let cron = dice.one_in(3);
            let subject = if cron {
                format!("Cron <root@{name}> /usr/bin/{name} --daily")
            } else {
                format!("Report of {name}")
            };
            Report {
                from: Party::new("", &format!("{}@{domain}", if cron { "root" } else { "reports" })),
                home,
                to: readers(cast, dice),
                subject,
                text: words::prose(dice.count(1, 10), dice),
                numbers: dice.one_in(2),
                monthly: dice.one_in(4),
                minute: dice.between(1, 9 * 60),
            }
        })
        .collect()
}

pub(super) fn day(office: &mut Office, day: i64) {
    for at in 0..office.habits.machines.len() {
        if office.dice.one_in(office.habits.machines[at].days) {
            let watched = office.habits.machines[at].clone();
            incident(office, &watched, day);
        }
    }
    for at in 0..office.habits.reports.len() {
        let report = office.habits.reports[at].clone();
        if !report.monthly || day % 30 == i64::from(report.minute % 2 == 0) {
            sends(office, &report, day);
        }
    }
}

fn incident(office: &mut Office, watched: &Watched, day: i64) {
    let start = office.hours.midnight(day) + office.dice.between(0, DAY);
    let count = office.dice.count(1, watched.alarms);
    let mut roaming = Vec::new();
    for nth in 0..count as i64 {
        let ms = start + nth * watched.every_ms + office.dice.between(0, 2 * SECOND);
        let mut host = office.dice.of(&watched.hosts).clone();
        if watched.roams {
            // A few networks a day.
            if roaming.is_empty() || office.dice.one_in(20) {
                roaming.push(office.cast.ip(&mut office.dice));
            }
            host.ip = roaming[roaming.len() - 1];
        }
        alarm(office, watched, host, ms);
    }
}

fn alarm(office: &mut Office, watched: &Watched, host: Machine, ms: i64) {
    let domain = host.helo.split_once('.').map_or("", |(_, domain)| domain).to_owned();
    let from = Party::new("", &format!("root@{domain}"));
    let to: Vec<Party> = watched.to.iter().map(|address| Party::new("", address)).collect();
    let mut text = watched.text.clone();
    if watched.says_time {
        text += &format!("at {}\n", plain(ms, UTC));
    }
    let mut letter = office.plain(from, to, watched.subject.clone(), text, ms);
    letter.form = Form::Plain;
    if watched.hosts.len() > 1 {
        letter.subject += &format!(" on {}", host.helo.split('.').next().unwrap_or_default());
    }
    let local = Machine { helo: "localhost".to_owned(), ip: [127, 0, 0, 1].into() };
    let stamps = office.stamp(&local, &host.helo, "ESMTP", ms);
    let way = Way { last: host, inside: watched.inside, stamps };
    let recipients = watched.to.clone();
    let reverse_path = letter.from.address.clone();
    office.push(ms + SECOND, &way, &reverse_path, recipients, &letter.print(), Truth::Real(Kind::Monitoring));
}

fn sends(office: &mut Office, report: &Report, day: i64) {
    let ms = office.hours.midnight(day) + report.minute * MINUTE + office.dice.between(0, 20 * SECOND);
    let mut text = report.text.clone();
    if report.numbers {
        for row in 0..office.dice.count(3, 30) {
            let (a, b) = (office.dice.below(10_000), office.dice.below(10_000));
            text += &format!("{:<12} {a:>8} {b:>8}\n", words::HOUSES[row % words::HOUSES.len()]);
        }
    }
    let to = report.to.iter().map(|address| Party::new("", address)).collect();
    let mut letter: Letter = office.plain(report.from.clone(), to, report.subject.clone(), text, ms);
    letter.form = Form::Plain;
    letter.fields.push(("Auto-Submitted", "auto-generated".to_owned()));
    let (home, reverse_path) = (report.home, report.from.address.clone());
    // On Mondays some come twice: a job runs again by hand, with the same result.
    let again = Hours::weekday(day) == 0 && office.dice.one_in(12);
    if again {
        let later = ms + office.dice.between(10 * MINUTE, 3 * HOUR);
        let id = office.id(DOMAIN);
        let second = Letter { id, date_ms: later, ..letter.clone() };
        office.send_by(home, &reverse_path, report.to.clone(), second, Truth::Real(Kind::Report));
    }
    office.send_by(home, &reverse_path, report.to.clone(), letter, Truth::Real(Kind::Report));
}
