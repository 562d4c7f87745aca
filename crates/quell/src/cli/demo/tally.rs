//! Counts what the hosts note.

use std::collections::HashMap;
use std::sync::Arc;

use quell_sim::host::{Moment, Note};

use super::figures::{OtherMail, Spread};

/// Most messages of others whose delay is measured; further ones are not counted at all.
const MAX_OTHERS: usize = 100_000;

/// Counts of one run.
#[derive(Debug)]
pub struct Tally {
    /// For each recipient of the newsletter, how many mails of the storm have come.
    at_recipient: HashMap<Arc<str>, u64>,
    others: HashMap<Arc<str>, Other>,
    /// So far.
    pub totals: Totals,
}

/// Sums; see [`super::figures::Run`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Recipients of the newsletter that the gateway has taken.
    pub originals: u64,
    /// Recipients of re-sends that the gateway has taken.
    pub copies_sent: u64,
    /// Transactions of these.
    pub sendings: u64,
    /// Recipients that it has refused.
    pub refused: u64,
    /// Originals and copies in mailboxes, of whichever address.
    pub arrived: u64,
    /// Other mail that the gateway has taken.
    pub others_sent: u64,
    /// Other mail in mailboxes.
    pub others_arrived: u64,
    /// Delay of that which arrived last, in milliseconds.
    pub last_delay_ms: Option<u64>,
    /// Bytes of all mail in mailboxes.
    pub mailbox_bytes: u64,
}

/// A message of others.
#[derive(Debug, Clone, Copy)]
struct Other {
    written: Moment,
    /// The gateway has said so, or it has arrived: its sender may hear of it later, or never.
    taken: bool,
    delay_ms: Option<u64>,
}

impl Tally {
    /// Nothing yet.
    pub fn new(recipients: impl IntoIterator<Item = Arc<str>>) -> Self {
        let at_recipient = recipients.into_iter().map(|recipient| (recipient, 0)).collect();
        Self { at_recipient, others: HashMap::new(), totals: Totals::default() }
    }

    /// Counts a note.
    pub fn note(&mut self, note: Note, now: Moment) {
        let totals = &mut self.totals;
        match note {
            Note::Written { message_id } if self.others.len() < MAX_OTHERS => {
                self.others.insert(message_id, Other { written: now, taken: false, delay_ms: None });
            }
            Note::Submitted { message_id, recipients } => match self.others.get_mut(&message_id) {
                Some(other) => totals.others_sent += other.take(u64::from(recipients)),
                None => totals.originals += u64::from(recipients),
            },
            Note::CopySent { recipients, .. } => {
                totals.copies_sent += u64::from(recipients);
                totals.sendings += 1;
            }
            Note::Refused { recipients, .. } => totals.refused += u64::from(recipients),
            Note::Arrived { recipient, message_id, bytes, .. } => {
                totals.mailbox_bytes += bytes;
                self.arrived(&recipient, &message_id, now);
            }
            Note::Written { .. } | Note::Polled { .. } | Note::Taken { .. } | Note::Passed { .. } => {}
        }
    }

    /// What is not other mail belongs to the storm. It may have gone to an address that the newsletter
    /// did not have: some faulty servers add one, or tear one in two.
    fn arrived(&mut self, recipient: &str, message_id: &str, now: Moment) {
        let Some(other) = self.others.get_mut(message_id) else {
            self.totals.arrived += 1;
            if let Some(count) = self.at_recipient.get_mut(recipient) {
                *count += 1;
            }
            return;
        };
        if other.delay_ms.is_none() {
            let delay_ms = now.ms_since(other.written);
            other.delay_ms = Some(delay_ms);
            self.totals.others_sent += other.take(1);
            self.totals.others_arrived += 1;
            self.totals.last_delay_ms = Some(delay_ms);
        }
    }

    /// Mail at a recipient; `None` without recipients.
    pub fn mail_at_recipient(&self) -> Option<Spread> {
        Spread::of(self.at_recipient.values().copied().collect())
    }

    /// How the other mail fared.
    pub fn other_mail(&self) -> OtherMail {
        let delays = self.others.values().filter_map(|other| other.delay_ms);
        let sent = self.others.values().filter(|other| other.taken).count();
        let arrived = self.totals.others_arrived;
        OtherMail { sent: sent as u64, arrived, delay_ms: Spread::of(delays.collect()) }
    }
}

impl Other {
    /// The gateway has taken it: how many recipients that adds to what was sent. It has one, and none is
    /// added twice.
    fn take(&mut self, recipients: u64) -> u64 {
        if std::mem::replace(&mut self.taken, true) { 0 } else { recipients }
    }
}

impl Totals {
    /// Recipients that the gateway has answered for with 250, other mail included.
    pub fn taken(&self) -> u64 {
        self.originals + self.copies_sent + self.others_sent
    }

    /// Copies sent: those answered with 250, and those whose sender was stopped before the answer, as far
    /// as they are seen to have been taken. `newsletter` is how many recipients that had, `judged` how
    /// many copies the gateway absorbed, held, or refused beside others.
    pub fn copies(&self, newsletter: u64, judged: u64) -> u64 {
        self.copies_sent.max((self.arrived + judged).saturating_sub(self.originals.max(newsletter)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Moment {
        Moment { ms }
    }

    fn arrived(recipient: &str, message_id: &str) -> Note {
        let (recipient, message_id) = (Arc::from(recipient), Arc::from(message_id));
        Note::Arrived { mailbox: Arc::from("a"), recipient, message_id, bytes: 10 }
    }

    #[test]
    fn counts_mail_at_each_recipient_and_the_delay_of_others() {
        let mut tally = Tally::new(["a@a", "b@b", "c@c"].map(Arc::from));
        tally.note(Note::Written { message_id: Arc::from("<o>") }, at(5));
        tally.note(Note::Submitted { message_id: Arc::from("<n>"), recipients: 3 }, at(6));
        for (recipient, id) in
            [("a@a", "<n>"), ("b@b", "<n>"), ("a@a", "<fresh>"), ("desk@a", "<o>"), ("torn", "<fresh>")]
        {
            tally.note(arrived(recipient, id), at(30));
        }
        // A second arrival of other mail does not change its delay.
        tally.note(arrived("desk@a", "<o>"), at(90));
        tally.note(Note::Submitted { message_id: Arc::from("<o>"), recipients: 1 }, at(31));
        tally.note(Note::CopySent { message_id: Arc::from("<fresh>"), recipients: 2 }, at(31));
        assert_eq!(tally.mail_at_recipient(), Some(Spread { most: 2, median: 1, least: 0 }));
        let delay_ms = Spread::of(vec![25]);
        assert_eq!(tally.other_mail(), OtherMail { sent: 1, arrived: 1, delay_ms });
        let totals = tally.totals;
        assert_eq!((totals.arrived, totals.copies_sent, totals.sendings, totals.taken()), (4, 2, 1, 6));
        assert_eq!((totals.mailbox_bytes, totals.last_delay_ms), (60, Some(25)));
    }

    #[test]
    fn other_mail_that_arrived_was_sent_though_its_sender_did_not_hear_so() {
        let mut tally = Tally::new([Arc::from("a@a")]);
        let sent_and_arrived = |tally: &Tally| (tally.totals.others_sent, tally.totals.others_arrived);
        tally.note(Note::Written { message_id: Arc::from("<o>") }, at(5));
        assert_eq!(sent_and_arrived(&tally), (0, 0));
        tally.note(arrived("desk@a", "<o>"), at(30));
        assert_eq!(sent_and_arrived(&tally), (1, 1));
        tally.note(Note::Submitted { message_id: Arc::from("<o>"), recipients: 1 }, at(31));
        assert_eq!((sent_and_arrived(&tally), tally.totals.taken()), ((1, 1), 1));
    }

    #[test]
    fn copies_that_are_seen_to_be_taken_were_sent() {
        let totals = |arrived| Totals { originals: 200, copies_sent: 1_000, arrived, ..Totals::default() };
        // All is answered; absorbed beyond the answers; in mailboxes beyond them.
        assert_eq!(totals(200).copies(200, 1_000), 1_000);
        assert_eq!(totals(200).copies(200, 1_099), 1_099);
        assert_eq!(totals(1_299).copies(200, 0), 1_099);
        // Under way; and originals that are not answered yet are no copies.
        assert_eq!(totals(150).copies(200, 10), 1_000);
        assert_eq!(Totals { arrived: 150, ..Totals::default() }.copies(200, 0), 0);
    }

    proptest! {
        #[test]
        fn memory_does_not_grow_with_what_arrives(ids in prop::collection::vec("[a-z]{1,3}", 0..200)) {
            let mut tally = Tally::new([Arc::from("a@a")]);
            for id in &ids {
                tally.note(arrived("a@a", id), at(0));
                tally.note(arrived("nobody@a", id), at(0));
            }
            prop_assert_eq!(tally.totals.arrived, 2 * ids.len() as u64);
            prop_assert!(tally.others.is_empty() && tally.at_recipient.len() == 1);
        }
    }
}
