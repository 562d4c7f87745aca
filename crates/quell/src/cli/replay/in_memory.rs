//! The replay of messages that lie in memory: for tests and fuzzing.

use quell_queue::store::StoreError;
use quell_storm::limits::Limits;

use super::again::{Again, Agains, Wanted};
use super::mails::Mails;
use super::record::Found;
use super::replaying::replay;
use super::when::Times;
use crate::archive::{Damages, Place};
use crate::cli::trace::mails::Plain;

/// How many of `messages`, all of one mailbox, would have become what: pass, absorb, hold, refuse; and on how
/// many each class had something to decide. `now_ms` is the present, since 1970.
///
/// # Errors
/// Those of the store in memory: there are none.
pub fn replayed(messages: &[&[u8]], now_ms: i64) -> Result<([u64; 4], Vec<u64>), StoreError> {
    let mut found = Found::default();
    let place = |n: usize, whole: &[u8]| {
        Place::new(0, n as u64, u32::try_from(whole.len()).unwrap_or(u32::MAX), false)
    };
    for (n, whole) in messages.iter().enumerate() {
        found.add(&Plain::alone(whole), place(n, whole), "jane@firm.example", Times::latest(now_ms));
    }
    let mut mails = Mails::of(vec![found]);
    mails.put_in_order(|_, _| true);
    let read = |all: &[Wanted]| {
        let again = |wanted: &Wanted| {
            let whole = usize::try_from(wanted.place.offset()).ok().and_then(|n| messages.get(n))?;
            let plain = Plain::alone(whole);
            Some((wanted.place, Again::of(&plain, *wanted)))
        };
        (all.iter().filter_map(again).collect::<Agains>(), Damages::default())
    };
    let (answer, _) = replay(&mails, &Limits::default(), false, &read)?;
    let figures = [answer.pass, answer.absorb, answer.hold, answer.refuse];
    Ok((figures, answer.opportunities.into_values().collect()))
}
