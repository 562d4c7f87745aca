//! Why something was judged so, in plain words.

use quell_mail::id::QueueId;
use quell_queue::door::{Door, Verdicts};
use quell_queue::store::{Arrival, Reader, Row};
use quell_storm::facts::RowState;
use quell_storm::limits::Limits;
use quell_storm::storm::rfc3339;

use super::answer::not_found;
use super::queue::{message, shown_state};
use super::{ArrivalExplained, ErrorKind, Explained, Failure, RecipientExplained, SLICE, State};

/// Arrivals explained at a time.
const MAX_ARRIVALS: usize = 20;

pub(super) fn explain<R: Reader, T>(door: &Door<R, T>, what: &str) -> Result<Explained, Failure> {
    let arrivals = match what.parse::<QueueId>() {
        Ok(id) => vec![by_id(door, &id)?],
        Err(_) => about(door, what),
    };
    if arrivals.is_empty() {
        return Err(not_found(format!(
            "nothing is remembered of {}: verdicts are kept for the last 10,000 recipients and until \
             a restart; by its queue id, a message can be explained as long as its rows are kept",
            super::shown(what)
        )));
    }
    Ok(Explained { arrivals })
}

/// By key or by Message-ID, whose angle brackets may be left out.
fn about<R: Reader, T>(door: &Door<R, T>, what: &str) -> Vec<ArrivalExplained> {
    let bare = what.trim().trim_matches(['<', '>']);
    let forms = [what.trim().to_owned(), format!("<{bare}>"), bare.to_owned(), what.to_ascii_lowercase()];
    let found = forms.iter().map(|form| door.verdicts_about(form, MAX_ARRIVALS));
    let found = found.into_iter().find(|found| !found.is_empty()).unwrap_or_default();
    found.into_iter().map(|verdicts| of_verdicts(door, verdicts)).collect()
}

fn by_id<R: Reader, T>(door: &Door<R, T>, id: &QueueId) -> Result<ArrivalExplained, Failure> {
    if let Some(verdicts) = door.verdicts(id) {
        return Ok(of_verdicts(door, verdicts));
    }
    match message(door, &id.to_string(), None) {
        Ok((arrival, rows)) => Ok(of_rows(&arrival, &rows)),
        Err(failed) if failed.kind == ErrorKind::NotFound => Err(not_found(format!(
            "nothing is known of {id} any more: its verdicts are forgotten (they are kept for the last \
             10,000 recipients and until a restart), and no row has its body"
        ))),
        Err(failed) => Err(failed),
    }
}

fn of_verdicts<R: Reader, T>(door: &Door<R, T>, verdicts: &Verdicts) -> ArrivalExplained {
    // Without a store the verdicts still stand; only the rows' present states stay unknown.
    let rows = message(door, &verdicts.queue_id.to_string(), None).map(|(_, rows)| rows).unwrap_or_default();
    let limits = door.limits();
    let all_refused = verdicts.recipients.iter().all(|(_, verdict, _)| *verdict == "refuse");
    let of = |(recipient, verdict, reason): &(String, &'static str, quell_storm::verdict::Reason)| {
        let row = rows.iter().find(|row| row.id.rcpt == *recipient);
        RecipientExplained {
            recipient: recipient.clone(),
            verdict: Some((*verdict).to_owned()),
            class: Some(reason.class().name().to_owned()),
            reason: Some(reason.name().to_owned()),
            text: with_reply(reason, all_refused, limits),
            state: row.map(|row| shown_state(row.state, door.is_claimed(&row.id))),
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
        recipients: verdicts.recipients.iter().take(SLICE).map(of).collect(),
    }
}

fn with_reply(reason: &quell_storm::verdict::Reason, all_refused: bool, limits: &Limits) -> String {
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

fn of_rows(arrival: &Arrival, rows: &[Row]) -> ArrivalExplained {
    let own: Vec<&Row> = rows.iter().filter(|row| row.queue_id == arrival.queue_id).collect();
    let of = |row: &&Row| RecipientExplained {
        recipient: row.id.rcpt.clone(),
        verdict: None,
        class: None,
        reason: row.extra.held_for.clone(),
        text: row_text(row),
        state: Some(shown_state(row.state, false)),
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

/// What a row alone can tell.
fn row_text(row: &Row) -> String {
    let state = shown_state(row.state, false);
    let since = rfc3339(row.since_ms);
    let mut text = match state {
        State::Waiting | State::Claimed => format!("It waits for delivery since {since}."),
        State::Delivered => format!("It was delivered at {since}."),
        State::Relayed => format!("The next hop took it at {since}."),
        State::Failed => format!("It was given up at {since}."),
        State::Held => format!("It is held since {since}."),
        State::Unknown => format!("It was sent, and since {since} the answer is not known."),
        State::Discarded if row.extra.removed => format!("A person took it out of the queue at {since}."),
        State::Discarded => format!("It was discarded at {since}."),
    };
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
    text.push_str(" The verdict itself is no longer remembered.");
    text
}
