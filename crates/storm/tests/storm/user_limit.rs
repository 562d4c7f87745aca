//! What users send, counted: from the first message to the one that is held, and on.

use crate::make::*;
use quell_storm::facts::*;
use quell_storm::judge::judge;
use quell_storm::limits::{Limits, UserLimits};
use quell_storm::recent::Recent;
use quell_storm::signs::ClassSet;
use quell_storm::verdict::Class;

const DAY: Ms = 24 * HOUR;

struct Desk {
    recent: Recent,
    limits: Limits,
    now: Ms,
    count: u32,
    released: ClassSet,
}

impl Desk {
    fn new(messages_per_hour: u32, messages_per_day: u32, new_recipients_per_day: u32) -> Self {
        let user = UserLimits { messages_per_hour, messages_per_day, new_recipients_per_day };
        let limits = Limits { user, ..Limits::default() };
        let released = ClassSet::default();
        Self { recent: Recent::new(7, &limits), limits, now: NOW, count: 0, released }
    }

    /// What becomes of a message of the user's to these.
    fn sends(&mut self, user: Option<&str>, to: &[&str]) -> Vec<&'static str> {
        self.count += 1;
        // Another address each time.
        let source = Source { user: user.map(str::to_owned), inside: true, ..source(self.count as u8) };
        let facts =
            Facts { queue_id: id(self.count), source, exact_key: None, is_author_ours: true, ..arrival(to) };
        let mut looked = self.recent.look(&facts, &self.limits, self.now);
        (0..to.len()).for_each(|i| looked.release(i, self.released));
        let counts = Counts { key_copies: 0, rcpt_copies: vec![0; to.len()], signs: looked.signs.clone() };
        let verdicts = judge(&facts, &vec![None; to.len()], &counts, &self.limits, self.now);
        self.recent.note(&facts, &looked, &vec![true; to.len()], &self.limits, self.now);
        verdicts.iter().map(|verdict| verdict.name()).collect()
    }
}

#[test]
fn messages_within_an_hour_and_a_day() {
    let mut desk = Desk::new(3, 5, 1000);
    for wanted in ["pass", "pass", "pass", "hold"] {
        assert_eq!(desk.sends(Some("jane"), &["tom@firm.example"]), [wanted]);
    }
    // Nobody else is meant, and nobody without a name.
    assert_eq!(desk.sends(Some("tom"), &["jane@firm.example"]), ["pass"]);
    for _ in 0..9 {
        assert_eq!(desk.sends(None, &["jane@firm.example"]), ["pass"]);
    }
    desk.now += HOUR;
    assert_eq!(desk.sends(Some("jane"), &["tom@firm.example"]), ["pass"]);
    assert_eq!(desk.sends(Some("jane"), &["tom@firm.example"]), ["hold"], "the sixth of this day");
    desk.now += DAY;
    assert_eq!(desk.sends(Some("jane"), &["tom@firm.example"]), ["pass"]);
}

#[test]
fn only_new_recipients_that_are_too_many_are_held() {
    let mut desk = Desk::new(1000, 1000, 2);
    assert_eq!(desk.sends(Some("jane"), &["old@x.example"]), ["pass"]);
    desk.now += 14 * DAY;
    let to = ["a@x.example", "old@x.example", "b@x.example", "a@x.example", "c@x.example", "d@x.example"];
    let wanted = ["pass", "pass", "pass", "pass", "hold", "hold"];
    assert_eq!(desk.sends(Some("jane"), &to), wanted);
    // Whoever was held is no acquaintance for it; the others are.
    assert_eq!(desk.sends(Some("jane"), &to), wanted);
    // A person has released the storm: it goes on.
    desk.released.add(Class::UserLimit);
    assert_eq!(desk.sends(Some("jane"), &to), ["pass"; 6]);
    desk.released = ClassSet::default();
    assert_eq!(desk.sends(Some("jane"), &to), ["pass"; 6]);
    assert_eq!(desk.sends(Some("jane"), &["e@x.example"]), ["hold"]);
    desk.now += DAY;
    assert_eq!(desk.sends(Some("jane"), &["e@x.example"]), ["pass"]);
    // After thirty days without mail everybody is new.
    desk.now += 30 * DAY;
    assert_eq!(desk.sends(Some("jane"), &to[..5]), ["pass", "pass", "hold", "pass", "hold"]);
}

#[test]
fn after_a_start_four_times_as_many_may_be_new() {
    let mut desk = Desk::new(1000, 1000, 2);
    let to: Vec<String> = (0..10).map(|n| format!("r{n}@x.example")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let verdicts = desk.sends(Some("jane"), &to);
    assert_eq!(verdicts.iter().filter(|name| **name == "pass").count(), 8);
    assert_eq!(desk.sends(Some("tom"), &to), verdicts);
}

#[test]
fn a_storm_is_one_users() {
    let desk = Desk::new(1, 1, 1);
    let key = |user: &str, n: u8| {
        let source = Source { user: Some(user.to_owned()), ..source(n) };
        let facts = Facts { source, ..arrival(&["a@x.example"]) };
        let looked = desk.recent.look(&facts, &desk.limits, NOW);
        desk.recent.storm_key(&facts, &looked, 0, Class::UserLimit).0
    };
    assert_eq!(key("jane", 1), key("jane", 2));
    assert_ne!(key("jane", 1), key("tom", 1));
}
