//! Next hops that are down, and what waits for them.

use std::collections::HashMap;

use quell_queue::clock::Now;
use quell_queue::destination::Destination;
use quell_queue::door::{Door, DownView};
use quell_queue::store::Reader;
use quell_storm::storm::rfc3339;

use crate::ops::DownShown;

/// The next hops that are down, looked up once for all rows of an answer.
#[derive(Default)]
pub struct Downs(HashMap<Destination, DownView>);

impl Downs {
    pub fn of<R: Reader, T>(door: &Door<R, T>, now: &Now) -> Self {
        if door.destinations_down() == 0 {
            return Self::default();
        }
        let views = door.destinations(now).into_iter();
        Self(views.filter_map(|view| Some((view.destination, view.down?))).collect())
    }

    pub fn get(&self, destination: &Destination) -> Option<&DownView> {
        self.0.get(destination)
    }
}

pub fn shown(down: &DownView) -> DownShown {
    DownShown { since: rfc3339(down.since_ms), next: rfc3339(down.until_ms), status: down.status.clone() }
}
