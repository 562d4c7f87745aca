//! Real mail, kind by kind: what happens of each on one day.

mod again;
mod bulk;
mod calendar;
pub(super) mod desks;
mod lists;
mod machines;
mod people;
mod threads;

use super::cast::Cast;
use super::office::Office;
use crate::dice::Dice;

/// What does not change from day to day.
#[derive(Debug)]
pub(super) struct Habits {
    pub machines: Vec<machines::Watched>,
    pub reports: Vec<machines::Report>,
    pub subscriptions: Vec<bulk::Newsletter>,
    pub mailings: bulk::Mailings,
    pub lists: Vec<lists::List>,
    pub tickets: u64,
}

impl Habits {
    pub fn new(cast: &mut Cast, dice: &mut Dice) -> Self {
        Self {
            machines: machines::watched(cast, dice),
            reports: machines::reports(cast, dice),
            subscriptions: bulk::newsletters(cast, dice),
            mailings: bulk::Mailings::new(dice),
            lists: lists::lists(cast, dice),
            tickets: 10_000 + dice.below(50_000) as u64,
        }
    }
}

/// Lets a day pass for every kind.
pub(super) fn day(office: &mut Office, day: i64) {
    people::day(office, day);
    threads::day(office, day);
    desks::day(office, day);
    machines::day(office, day);
    bulk::day(office, day);
    lists::day(office, day);
    again::day(office, day);
    calendar::day(office, day);
}
