//! Why something was judged so, in plain words.

use quell_mail::id::QueueId;
use quell_queue::clock::Now;
use quell_queue::door::{Door, Phase, Verdicts};
use quell_queue::store::{Arrival, Reader, Row};
use quell_storm::facts::RowState;
use quell_storm::limits::Limits;
use quell_storm::signs::Signs;
use quell_storm::storm::{Storm, rfc3339};
use quell_storm::storm_id::StormId;
use quell_storm::verdict::{Class, Reason};

use super::answer::{away, not_found};
use super::queue::{Downs, message, shown_state};
use super::{
    ArrivalExplained, ErrorKind, Explained, Failure, RecipientExplained, SLICE, State, StormExplained,
};

/// Of a row that was not held.
const NOT_REMEMBERED: &str = "The verdict itself is no longer remembered.";
/// Arrivals explained at a time.
const MAX_ARRIVALS: usize = 20;

pub(super) fn explain<R: Reader, T>(
    door: &mut Door<R, T>,
    what: &str,
    now: &Now,
) -> Result<Explained, Failure> {
    let storm = match what.trim().parse::<StormId>() {
        Ok(id) => door.storm(&id).map_err(away)?,
        Err(_) => None,
    };
    let rows = Rows { door, downs: Downs::of(door, now) };
    if let Some(storm) = storm {
        return Ok(rows.of_storm(&storm));
    }
    let arrivals = match what.parse::<QueueId>() {
        Ok(id) => vec![rows.by_id(&id)?],
        Err(_) => rows.about(what),
    };
    if arrivals.is_empty() {
        return Err(not_found(format!(
            "nothing is remembered of {}: name a queue id (16 characters, as in the 250 and in `Received`), a key of 32 \
             hex digits, or a Message-ID. Verdicts are kept for the last 10,000 recipients and until a restart; by its \
             queue id, a message can be explained as long as its rows are kept. Or name a storm (`quell storms list`)",
            super::shown(what)
        )));
    }
    Ok(Explained { storm: None, arrivals })
}

/// Where rows stand, and what they wait for.
struct Rows<'a, R, T> {
    door: &'a Door<R, T>,
    downs: Downs,
}

impl<R: Reader, T> Rows<'_, R, T> {
    /// By key or by Message-ID, whose angle brackets may be left out.
    fn about(&self, what: &str) -> Vec<ArrivalExplained> {
        let bare = what.trim().trim_matches(['<', '>']);
        let forms = [what.trim().to_owned(), format!("<{bare}>"), bare.to_owned(), what.to_ascii_lowercase()];
        let found = forms.iter().map(|form| self.door.verdicts_about(form, MAX_ARRIVALS));
        let found = found.into_iter().find(|found| !found.is_empty()).unwrap_or_default();
        found.into_iter().map(|verdicts| self.of_verdicts(verdicts)).collect()
    }

    /// A storm, and the last message of it that is known.
    fn of_storm(&self, storm: &Storm) -> Explained {
        let text = storm.operator(self.door.held_now(storm.id.as_str()), self.door.limits());
        let last = storm.evidence.last().and_then(|last| self.by_id(&last.queue_id).ok());
        let shown = StormExplained {
            id: storm.id.to_string(),
            class: storm.class().name().to_owned(),
            state: storm.state.name().to_owned(),
            text,
        };
        Explained { storm: Some(shown), arrivals: last.into_iter().collect() }
    }

    fn by_id(&self, id: &QueueId) -> Result<ArrivalExplained, Failure> {
        if let Some(verdicts) = self.door.verdicts(id) {
            return Ok(self.of_verdicts(verdicts));
        }
        match message(self.door, &id.to_string(), None) {
            Ok((arrival, rows)) => Ok(self.of_rows(&arrival, &rows)),
            Err(failed) if failed.kind == ErrorKind::NotFound => Err(not_found(format!(
                "nothing is known of {id} any more: its verdicts are forgotten (they are kept for the last \
                 10,000 recipients and until a restart), and no row has its body"
            ))),
            Err(failed) => Err(failed),
        }
    }

    fn of_verdicts(&self, verdicts: &Verdicts) -> ArrivalExplained {
        // Without a store the verdicts still stand; only the rows' present states stay unknown.
        let found = message(self.door, &verdicts.queue_id.to_string(), None);
        let rows = found.map(|(_, rows)| rows).unwrap_or_default();
        let limits = self.door.limits();
        let all_refused = verdicts.recipients.iter().all(|(_, verdict, _)| *verdict == "refuse");
        let of = |(i, (recipient, verdict, reason)): (usize, &(String, &'static str, Reason))| {
            let signs = verdicts.signs.get(i).filter(|_| *verdict == "pass");
            let row = rows.iter().find(|row| row.id.rcpt == *recipient);
            RecipientExplained {
                recipient: recipient.clone(),
                verdict: Some((*verdict).to_owned()),
                class: Some(reason.class().name().to_owned()),
                reason: Some(reason.name().to_owned()),
                text: with_reply(reason, all_refused, limits) + &near(reason, signs, limits),
                state: row.map(|row| self.state(row)),
                became: row.map(|row| self.became(row)),
            }
        };
        ArrivalExplained {
            id: verdicts.queue_id.to_string(),
            at: rfc3339(verdicts.at_ms),
            key: verdicts.key.map(|key| key.to_string()),
            message_id: verdicts.message_id.clone(),
            sender: verdicts.reverse_path.clone(),
            source: verdicts.source.0.clone(),
            remembered: true,
            recipients_total: verdicts.recipients.len() as u64,
            recipients: verdicts.recipients.iter().take(SLICE).enumerate().map(of).collect(),
        }
    }

    fn of_rows(&self, arrival: &Arrival, rows: &[Row]) -> ArrivalExplained {
        let own: Vec<&Row> = rows.iter().filter(|row| row.queue_id == arrival.queue_id).collect();
        let of = |row: &&Row| RecipientExplained {
            recipient: row.id.rcpt.clone(),
            verdict: None,
            class: row.extra.held_for.clone().filter(|name| Class::from_name(name).is_some()),
            reason: row.extra.held_for.clone(),
            // A row that was held has the words of that moment.
            text: row.extra.why.clone().unwrap_or_else(|| NOT_REMEMBERED.to_owned()),
            state: Some(self.state(row)),
            became: Some(self.became(row)),
        };
        ArrivalExplained {
            id: arrival.queue_id.to_string(),
            at: rfc3339(arrival.received_ms),
            key: None,
            message_id: arrival.message_id.clone(),
            sender: arrival.reverse_path.clone(),
            source: arrival.source.0.clone(),
            remembered: false,
            recipients_total: own.len() as u64,
            recipients: own.iter().map(of).collect(),
        }
    }

    fn state(&self, row: &Row) -> State {
        shown_state(row.state, self.door.is_claimed(&row.id))
    }

    /// What a row alone can tell, and where it stands.
    fn became(&self, row: &Row) -> String {
        let state = self.state(row);
        let since = rfc3339(row.since_ms);
        let mut text = match state {
            State::Claimed if self.door.phase(&row.id) == Some(Phase::Dot) => {
                "It is being delivered at this moment: its end was sent, the answer is awaited.".to_owned()
            }
            State::Claimed => "It is being delivered at this moment.".to_owned(),
            State::Waiting => format!("It waits for delivery since {since}."),
            State::Delivered => format!("It was delivered at {since}."),
            State::Relayed => format!("The next hop took it at {since}."),
            State::Failed => format!("It was given up at {since}."),
            State::Held => held(row, &since),
            State::Unknown => format!("It was sent, and since {since} the answer is not known."),
            State::Discarded if row.extra.removed => {
                format!("A person took it out of the queue at {since}.")
            }
            State::Discarded => format!("It was discarded at {since}."),
        };
        if matches!(state, State::Waiting | State::Unknown) {
            text.push_str(&self.next_try(row));
        }
        text.push_str(&past(row));
        text
    }

    fn next_try(&self, row: &Row) -> String {
        let destination = self.door.destination_of(&row.id.rcpt);
        match self.downs.get(&destination) {
            Some(down) => format!(
                " It waits for {destination}, which is down and is tried next at {}: {}.",
                rfc3339(down.until_ms),
                down.status
            ),
            None if destination.is_maildir() => format!(" It is tried at {} or later.", rfc3339(row.next_ms)),
            None => format!(" It goes to {destination}, at {} or later.", rfc3339(row.next_ms)),
        }
    }
}

fn held(row: &Row, since: &str) -> String {
    let storm = row.extra.storm.as_ref().map_or(String::new(), |id| format!(" for storm {id}"));
    let id = row.queue_id;
    format!(
        "It is held since {since}{storm}: `quell storms release --message {id}` delivers it, \
         `quell storms discard --message {id}` throws it away."
    )
}

/// What has happened to a row.
fn past(row: &Row) -> String {
    let mut text = String::new();
    if !row.status.is_empty() && row.state != RowState::Delivered {
        text.push_str(&format!(" The last outcome was: {}.", row.status));
    }
    if row.copies > 0 {
        text.push_str(&format!(
            " {} copies came after it, the last at {}; each was judged on its own.",
            row.copies,
            rfc3339(row.last_copy_ms)
        ));
    }
    if row.extra.maybe_delivered {
        text.push_str(" An answer once stayed away, so it may have been delivered more than once.");
    }
    text
}

/// How near what passed came to a threshold.
fn near(reason: &Reason, signs: Option<&Signs>, limits: &Limits) -> String {
    let signs = signs.filter(|_| !matches!(reason, Reason::Suspect(..) | Reason::Excepted(..)));
    let near = signs.map(|signs| signs.near(limits)).unwrap_or_default();
    near.iter().map(|sentence| format!(" Looked at by {sentence}")).collect()
}

fn with_reply(reason: &Reason, all_refused: bool, limits: &Limits) -> String {
    let text = reason.operator(limits);
    match reason.sender_reply() {
        Some((code, enhanced, reply)) if all_refused => {
            format!("{text} The sender was told: {code} {enhanced} {reply}.")
        }
        Some((_, enhanced, reply)) => format!(
            "{text} Others of the transaction were taken, so the answer was 250; a report tells the sender, \
             at most once a day: {enhanced} {reply}."
        ),
        None => text,
    }
}

#[cfg(test)]
mod tests;
