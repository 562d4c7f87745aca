//! How a row stands, in words: its last outcome, what it waits for, and what nobody knows.

use quell_queue::ledger::MAX_SENDINGS;
use quell_storm::facts::Ms;
use quell_wire::client::Wait;

use crate::cli::ask::until;
use crate::ops::{RowShown, State};

/// None: nothing has happened to the row yet, and nothing keeps it.
pub fn outcome(row: &RowShown, now: Ms) -> Option<String> {
    let at_dot = row.phase.as_deref() == Some("dot");
    let said = match row.state {
        State::Claimed if at_dot => Some(awaited()),
        State::Unknown => Some(unknown(row, now)),
        State::Held => Some(held(row)),
        _ => waits(row).or_else(|| row.status.clone()),
    };
    let told = row.state == State::Unknown || said.as_deref().is_some_and(|s| s.contains(MAYBE));
    match said {
        Some(said) if row.maybe_delivered && !told => Some(format!("{said}; {}", maybe(row))),
        None if row.maybe_delivered => Some(maybe(row).to_owned()),
        said => said,
    }
}

/// What a status says of a row that was given up ([`quell_queue::ledger`]).
const MAYBE: &str = "it may have been delivered";

fn awaited() -> String {
    format!("its end was sent, the answer is awaited ({} min at most)", Wait::FinalDot.secs() / 60)
}

fn unknown(row: &RowShown, now: Ms) -> String {
    let next = row.next.as_deref().and_then(|at| until(at, now));
    let when = match next.as_deref() {
        None | Some("now") => "now".to_owned(),
        Some(span) => format!("in {span}"),
    };
    let (sent, nth) = (times(row.sendings), row.sendings + 1);
    let text = format!(
        "sent {sent}, no answer: nobody knows whether it arrived; sent again {when} ({nth} of {MAX_SENDINGS}), \
         and may then arrive twice"
    );
    match (waits(row), &row.status) {
        (Some(waits), _) => format!("{text}; {waits}"),
        (None, Some(status)) => format!("{text}; last: {status}"),
        (None, None) => text,
    }
}

/// What it is held for.
fn held(row: &RowShown) -> String {
    let class = row.class.as_ref().map_or(String::new(), |class| format!(" ({class})"));
    let reason = row.held_for.as_deref().unwrap_or("unknown");
    match &row.storm {
        Some(storm) => format!("held: {reason}, storm {storm}{class}"),
        None => format!("held: {reason}"),
    }
}

fn waits(row: &RowShown) -> Option<String> {
    let down = row.down.as_ref()?;
    Some(format!("waits for {}, which is down: {}", row.next_hop, down.status))
}

fn maybe(row: &RowShown) -> &'static str {
    match row.state {
        State::Delivered | State::Relayed => "an earlier sending was not answered, so it may be there twice",
        _ => "it may have been delivered: an earlier sending was not answered",
    }
}

fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::DownShown;

    const NOW: Ms = 1_795_000_000_000;

    fn row(state: State) -> RowShown {
        let text = r#"{"id": "i", "key": "i", "recipient": "jane@firm.example", "next_hop": "smtp://10.0.0.2:25",
            "state": "waiting", "since": "2026-11-18T00:00:00Z", "tenant": "firm.example", "gateway": 0,
            "attempts": 1, "sendings": 0, "copies": 0, "maybe_delivered": false, "report_due": false}"#;
        RowShown { state, ..serde_json::from_str(text).unwrap() }
    }

    fn said(row: &RowShown) -> String {
        outcome(row, NOW).unwrap()
    }

    #[test]
    fn a_row_behind_a_next_hop_that_is_down_says_so() {
        let mut row = row(State::Waiting);
        assert_eq!(outcome(&row, NOW), None);
        row.status = Some("4.2.2 full".into());
        assert_eq!(said(&row), "4.2.2 full");
        let [since, next] = [NOW, NOW + 60_000].map(quell_storm::storm::rfc3339);
        row.down = Some(DownShown { since, next, status: "4.4.1 it refuses connections".into() });
        let waits = "waits for smtp://10.0.0.2:25, which is down: 4.4.1 it refuses connections";
        assert_eq!(said(&row), waits);
        (row.state, row.sendings, row.maybe_delivered) = (State::Unknown, 2, true);
        assert!(said(&row).ends_with(&format!("may then arrive twice; {waits}")), "{}", said(&row));
    }

    #[test]
    fn what_was_sent_and_not_answered_says_what_nobody_knows() {
        let mut row = row(State::Claimed);
        row.phase = Some("opened".into());
        assert_eq!(outcome(&row, NOW), None);
        row.phase = Some("dot".into());
        assert_eq!(said(&row), "its end was sent, the answer is awaited (10 min at most)");
        row.maybe_delivered = true;
        assert!(said(&row).ends_with("; it may have been delivered: an earlier sending was not answered"));
        (row.state, row.phase, row.sendings) = (State::Unknown, None, 1);
        row.status = Some("4.4.2 gone".into());
        row.next = Some(quell_storm::storm::rfc3339(NOW + 29 * 60_000));
        assert_eq!(
            said(&row),
            "sent once, no answer: nobody knows whether it arrived; sent again in 29m00s (2 of 5), and may \
             then arrive twice; last: 4.4.2 gone"
        );
        row.sendings = 3;
        row.next = Some(quell_storm::storm::rfc3339(NOW));
        assert!(said(&row).starts_with("sent 3 times, ") && said(&row).contains(" now (4 of 5)"));
    }

    #[test]
    fn that_it_may_be_there_is_said_once() {
        for (state, status, end) in [
            (State::Failed, "4.4.2 it may have been delivered; gone", "delivered; gone"),
            (
                State::Failed,
                "5.1.1 no",
                "5.1.1 no; it may have been delivered: an earlier sending was not answered",
            ),
            (
                State::Relayed,
                "2.0.0 taken",
                "2.0.0 taken; an earlier sending was not answered, so it may be there twice",
            ),
        ] {
            let mut row = row(state);
            (row.status, row.maybe_delivered) = (Some(status.into()), true);
            assert!(said(&row).ends_with(end), "{}", said(&row));
        }
    }
}
