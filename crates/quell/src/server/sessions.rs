//! Which sessions to next hops are open, which of them are free, and whether there may be one more.
//! Belongs to the desk: it gives what is claimed to a free session, or starts another.

use std::collections::{HashMap, HashSet, VecDeque};

use quell_queue::claim::Claim;
use quell_queue::destination::Destination;
use quell_queue::door::GIVEN_BACK_WAIT_MS;
use tokio::sync::oneshot;

/// Sessions to a destination of which none has been greeted yet: one that is down or slow must not
/// take many.
const UNPROVEN: usize = 5;
/// One session in so many is kept for destinations that have greeted us when they were last reached:
/// however many others are mute, they do not take them all.
const FOR_KNOWN: usize = 4;
/// Destinations that are remembered to have greeted us; at the limit all are forgotten, and come back
/// one by one.
const MAX_KNOWN: usize = 10_000;
/// Messages after which a next hop that takes few sessions at a time is tried with one more.
const ONE_MORE_AFTER: usize = 100;

/// So long nothing is given out after a dot could not be written down: as long as what was given back
/// for it waits.
const REST_MS: u64 = GIVEN_BACK_WAIT_MS.unsigned_abs();

/// How many sessions there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// In all; 0: no new ones at all.
    pub most: usize,
    /// To one destination.
    pub per_destination: usize,
    /// Recipients given to a session at a time.
    pub recipients: usize,
}

/// Starts sessions; called by the desk, so it must not block.
pub trait Dispatch: Send {
    /// How many there may be at this moment.
    fn limits(&self) -> SessionLimits;
    /// A new session with its first claims: of one message. Its end is [`Sessions::over`].
    fn start(&self, destination: Destination, claims: Vec<Claim>);
}

/// A session's way to be given more.
pub type Free = oneshot::Sender<Vec<Claim>>;

#[derive(Debug, Default)]
struct Open {
    sessions: usize,
    free: VecDeque<Free>,
    proven: bool,
    /// One has been greeted when it was last reached, in an earlier session or in this one.
    known: bool,
    /// How many it takes at a time, once it has refused one while others were open.
    takes: Option<usize>,
    /// Messages since that was found or changed.
    messages: usize,
    /// Recipients that its hosts have said they take in one transaction (RFC 9422); 0: not known.
    recipients: usize,
}

/// The open sessions. Has at most as many entries as there are sessions.
pub struct Sessions {
    dispatch: Box<dyn Dispatch>,
    open: HashMap<Destination, Open>,
    total: usize,
    /// Of these, those to destinations that are not known.
    unknown: usize,
    known: HashSet<Destination>,
    /// One has been told to end, to make room, and none has ended since.
    making_room: bool,
    /// Until then nothing is given out.
    resting_until_ms: Option<u64>,
}

impl Sessions {
    /// None yet.
    pub fn new(dispatch: Box<dyn Dispatch>) -> Self {
        Self {
            dispatch,
            open: HashMap::new(),
            total: 0,
            unknown: 0,
            known: HashSet::new(),
            making_room: false,
            resting_until_ms: None,
        }
    }

    /// Nothing is given out for a while (milliseconds of the monotonic clock): trouble of our own would
    /// bring it all back, message after message, each sent nearly to its end.
    pub fn rest(&mut self, now_ms: u64) {
        self.resting_until_ms = Some(now_ms + REST_MS);
    }

    /// Time has passed.
    pub fn tick(&mut self, now_ms: u64) {
        self.resting_until_ms = self.resting_until_ms.filter(|until| now_ms < *until);
    }

    /// Recipients given to a session of the destination at a time: what is configured, or more where
    /// its hosts say that they take more.
    pub fn recipients(&self, destination: &Destination) -> usize {
        let more = self.open.get(destination).map_or(0, |open| open.recipients);
        self.dispatch.limits().recipients.max(more).max(1)
    }

    /// True if claims for `destination` could be handed out now; `probe`: it is down, and one session
    /// is to find out whether it still is. Where all sessions there may be are taken, and some of
    /// them by nobody, one of these is told to end.
    pub fn has_room(&mut self, destination: &Destination, probe: bool) -> bool {
        let limits = self.dispatch.limits();
        if limits.most == 0 || self.resting_until_ms.is_some() {
            return false;
        }
        let open = self.open.get_mut(destination).map(|open| {
            // Those that gave up waiting end by themselves.
            open.free.retain(|free| !free.is_closed());
            &*open
        });
        if open.is_some_and(|open| !open.free.is_empty()) {
            return true;
        }
        let most = match open {
            _ if probe => 1,
            Some(Open { proven: true, takes, .. }) => takes.unwrap_or(usize::MAX).min(limits.per_destination),
            _ => limits.per_destination.min(UNPROVEN),
        };
        if open.map_or(0, |open| open.sessions) >= most.max(1) {
            return false;
        }
        let known = open.map_or_else(|| is_known(&self.known, destination), |open| open.known);
        if !known && self.unknown >= limits.most - limits.most / FOR_KNOWN {
            return false;
        }
        if self.total >= limits.most {
            // It hears of it when its channel is dropped, and its end makes room: one at a time, since
            // this is asked again and again until then.
            if !self.making_room {
                let free = self.open.values_mut().find_map(|open| open.free.pop_front());
                self.making_room = free.is_some();
            }
            return false;
        }
        true
    }

    /// Gives claims of one message to a free session, or to a new one.
    pub fn give(&mut self, destination: Destination, mut claims: Vec<Claim>) {
        let known = is_known(&self.known, &destination);
        let open = self.open.entry(destination.clone()).or_insert_with(|| Open { known, ..Open::default() });
        while let Some(free) = open.free.pop_front() {
            match free.send(claims) {
                Ok(()) => return,
                // It ended at this very moment.
                Err(back) => claims = back,
            }
        }
        open.sessions += 1;
        self.total += 1;
        self.unknown += usize::from(!open.known);
        self.dispatch.start(destination, claims);
    }

    /// A session has nothing to do: it waits for more, for a while.
    /// `recipients`: so many it takes in one transaction.
    pub fn free(&mut self, destination: &Destination, session: Free, recipients: usize) {
        if let Some(open) = self.open.get_mut(destination) {
            open.recipients = recipients;
            // Those that gave up waiting are not kept.
            open.free.retain(|free| !free.is_closed());
            open.free.push_back(session);
            open.messages += 1;
            if open.messages >= ONE_MORE_AFTER {
                open.messages = 0;
                open.takes = open.takes.map(|takes| takes + 1);
            }
        }
    }

    /// What a session says of its destination: that a next hop has greeted us, or that none could be
    /// brought to that. False: the destination is not down for it, since others of its sessions are
    /// open that were greeted. It takes no more of them at a time.
    pub fn is_believed(&mut self, destination: &Destination, reached: bool) -> bool {
        let Some(open) = self.open.get_mut(destination) else { return true };
        let one_too_many = !reached && open.proven && open.sessions > 1;
        if one_too_many {
            // Several may say so before the first of them is over.
            let takes = open.takes.unwrap_or(usize::MAX).min(open.sessions) - 1;
            (open.takes, open.messages) = (Some(takes.max(1)), 0);
        } else {
            open.proven = reached;
            self.know(destination, reached);
        }
        !one_too_many
    }

    /// Notes whether a destination greets us.
    fn know(&mut self, destination: &Destination, greets: bool) {
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        match greets {
            true => self.known.insert(destination.clone()),
            false => self.known.remove(destination),
        };
        let Some(open) = self.open.get_mut(destination) else { return };
        match (std::mem::replace(&mut open.known, greets), greets) {
            (true, false) => self.unknown += open.sessions,
            (false, true) => self.unknown = self.unknown.saturating_sub(open.sessions),
            _ => {}
        }
    }

    /// A session has ended.
    pub fn over(&mut self, destination: &Destination) {
        self.making_room = false;
        let Some(open) = self.open.get_mut(destination) else { return };
        self.total = self.total.saturating_sub(1);
        self.unknown = self.unknown.saturating_sub(usize::from(!open.known));
        open.sessions = open.sessions.saturating_sub(1);
        if open.sessions == 0 {
            self.open.remove(destination);
        }
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.total
    }

    /// Free sessions are to end: the server stops.
    pub fn end_free(&mut self) {
        self.open.values_mut().for_each(|open| open.free.clear());
    }
}

/// What the configuration names is no stranger, also after a restart.
fn is_known(known: &HashSet<Destination>, destination: &Destination) -> bool {
    known.contains(destination) || destination.as_str().contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sessions in all.
    const MOST: usize = 100;

    struct Limits;

    impl Dispatch for Limits {
        fn limits(&self) -> SessionLimits {
            SessionLimits { most: MOST, per_destination: 20, recipients: 1 }
        }

        fn start(&self, _: Destination, _: Vec<Claim>) {}
    }

    /// Starts as many sessions as there is room for.
    fn fill(sessions: &mut Sessions, to: &Destination) -> usize {
        while sessions.has_room(to, false) {
            sessions.give(to.clone(), Vec::new());
        }
        sessions.open()
    }

    #[test]
    fn a_next_hop_that_takes_few_sessions_is_not_down() {
        let (mut sessions, to) = (Sessions::new(Box::new(Limits)), Destination::new("few.example"));
        assert_eq!(fill(&mut sessions, &to), UNPROVEN);
        assert!(sessions.is_believed(&to, true));
        assert_eq!(fill(&mut sessions, &to), 20);
        // It takes three. Some of the others say so before the first of them is over.
        for before_the_first in [9, 1, 1, 1, 1, 1, 1, 1, 1] {
            for _ in 0..before_the_first {
                assert!(!sessions.is_believed(&to, false));
            }
            for _ in 0..before_the_first {
                sessions.over(&to);
                assert!(!sessions.has_room(&to, false));
            }
        }
        assert_eq!(sessions.open(), 3);
        // One ends by itself: another has its place. After a while it is tried with one more.
        sessions.over(&to);
        assert_eq!(fill(&mut sessions, &to), 3);
        for _ in 0..ONE_MORE_AFTER {
            drop(free(&mut sessions, &to));
        }
        sessions.end_free();
        assert_eq!(fill(&mut sessions, &to), 4);
    }

    fn free(sessions: &mut Sessions, to: &Destination) -> oneshot::Receiver<Vec<Claim>> {
        let (tx, rx) = oneshot::channel();
        sessions.free(to, tx, 0);
        rx
    }

    #[test]
    fn a_next_hop_that_takes_more_recipients_is_given_more() {
        let (mut sessions, to) = (Sessions::new(Box::new(Limits)), Destination::new("many.example"));
        let usual = sessions.recipients(&to);
        sessions.give(to.clone(), Vec::new());
        let (tx, _rx) = oneshot::channel();
        sessions.free(&to, tx, usual + 400);
        assert_eq!(sessions.recipients(&to), usual + 400);
        assert_eq!(sessions.recipients(&Destination::new("other.example")), usual);
        sessions.over(&to);
        assert_eq!(sessions.recipients(&to), usual, "nothing is remembered of one without sessions");
    }

    #[test]
    fn a_next_hop_that_takes_none_is_down() {
        let (mut sessions, to) = (Sessions::new(Box::new(Limits)), Destination::new("down.example"));
        fill(&mut sessions, &to);
        assert!(sessions.is_believed(&to, false), "nobody has been greeted");
        assert!(sessions.is_believed(&to, true));
        for _ in 1..UNPROVEN {
            assert!(!sessions.is_believed(&to, false));
            sessions.over(&to);
        }
        assert!(sessions.is_believed(&to, false), "the last one");
        sessions.over(&to);
        assert_eq!((sessions.open(), fill(&mut sessions, &to)), (0, UNPROVEN));
    }

    #[test]
    fn one_free_session_ends_for_one_that_is_needed() {
        let mut sessions = Sessions::new(Box::new(Limits));
        let to = |n: usize| Destination::new(&format!("d{n}.example"));
        (0..MOST).for_each(|n| sessions.give(to(n), Vec::new()));
        let mut waiting: Vec<_> = (0..MOST).map(|n| free(&mut sessions, &to(n))).collect();
        (0..MOST).for_each(|n| assert!(sessions.is_believed(&to(n), true)));
        let needed = to(MOST);
        (0..9).for_each(|_| assert!(!sessions.has_room(&needed, false)));
        let mut ended = |n: &usize| waiting[*n].try_recv() == Err(oneshot::error::TryRecvError::Closed);
        let told: Vec<usize> = (0..MOST).filter(&mut ended).collect();
        assert_eq!(told.len(), 1);
        sessions.over(&to(told[0]));
        assert!(sessions.has_room(&needed, false));
    }

    #[test]
    fn destinations_that_never_greeted_leave_room_for_others() {
        let mut sessions = Sessions::new(Box::new(Limits));
        let (to, good) = (|n: usize| Destination::new(&format!("mute{n}.example")), Destination::new("good"));
        fill(&mut sessions, &good);
        assert!(sessions.is_believed(&good, true));
        let mute = |sessions: &mut Sessions| (0..40).map(|n| fill(sessions, &to(n))).last();
        assert_eq!(mute(&mut sessions), Some(UNPROVEN + 75));
        // A probe of one that is down has to wait, too.
        assert!(!sessions.has_room(&to(40), true));
        assert!(sessions.has_room(&Destination::new("smtp://10.0.0.2:25"), false), "the firm's own");
        assert_eq!(fill(&mut sessions, &good), 75 + 20);
        // One of them greets, and what it has counts no more among the mute; then it falls silent.
        assert!(sessions.is_believed(&to(0), true));
        assert_eq!(fill(&mut sessions, &to(39)), 75 + 20 + UNPROVEN);
        (1..UNPROVEN).for_each(|_| sessions.over(&to(0)));
        assert!(sessions.is_believed(&to(0), false));
        assert_eq!((sessions.unknown, sessions.open()), (76, 96));
        // One that was greeted earlier finds room, although it has no session open.
        (0..20).for_each(|_| sessions.over(&good));
        assert_eq!(fill(&mut sessions, &good), 76 + UNPROVEN);
        (0..UNPROVEN).for_each(|_| sessions.over(&good));
        for n in 0..40 {
            (0..UNPROVEN).for_each(|_| sessions.over(&to(n)));
        }
        assert_eq!((sessions.unknown, sessions.open(), sessions.open.len()), (0, 0, 0));
    }

    #[test]
    fn while_no_dot_can_be_written_nothing_is_given_out() {
        let (mut sessions, to) = (Sessions::new(Box::new(Limits)), Destination::new("a.example"));
        sessions.give(to.clone(), Vec::new());
        let _waits = free(&mut sessions, &to);
        sessions.rest(1_000);
        for (now_ms, room) in [(1_000, false), (1_000 + REST_MS - 1, false), (1_000 + REST_MS, true)] {
            sessions.tick(now_ms);
            assert_eq!(sessions.has_room(&to, false), room, "{now_ms}");
            assert_eq!(sessions.has_room(&Destination::new("b.example"), true), room, "{now_ms}");
        }
    }

    #[test]
    fn a_session_that_gave_up_waiting_is_no_room() {
        let (mut sessions, to) = (Sessions::new(Box::new(Limits)), Destination::new("a.example"));
        fill(&mut sessions, &to);
        drop(free(&mut sessions, &to));
        assert!(!sessions.has_room(&to, false));
        let _waits = free(&mut sessions, &to);
        assert!(sessions.has_room(&to, false));
    }
}
