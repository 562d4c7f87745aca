//! Storms for people.

use quell_queue::door::Door;
use quell_queue::store::Reader;
use quell_storm::evidence::Sample;
use quell_storm::storm::{Storm, rfc3339};
use quell_storm::storm_id::StormId;

use super::answer::{away, bad, not_found};
use super::{ErrorKind, Failure, SLICE, SampleShown, SourceShown, StormShown, Storms};

pub(super) fn list<R: Reader, T>(door: &mut Door<R, T>, limit: usize) -> Result<Storms, Failure> {
    if !(1..=SLICE).contains(&limit) {
        return Err(bad(format!("limit must be 1 to {SLICE}")));
    }
    let storms = door.storms(limit).map_err(away)?;
    Ok(Storms { storms: storms.iter().map(|storm| api_form(door, storm)).collect::<Result<_, _>>()? })
}

pub(super) fn show<R: Reader, T>(door: &mut Door<R, T>, id: &str) -> Result<StormShown, Failure> {
    let storm = find(door, id)?;
    let evidence = &storm.evidence;
    let mut samples: Vec<&Sample> =
        evidence.first().into_iter().chain(evidence.random()).chain(evidence.last()).collect();
    samples.sort_by_key(|s| (s.time_ms, s.queue_id));
    // The last copy may stand in the random sample as well.
    samples.dedup_by(|a, b| (a.queue_id, &a.recipient) == (b.queue_id, &b.recipient));
    Ok(StormShown {
        storm: api_form(door, &storm)?,
        keys: storm.keys.iter().map(ToString::to_string).collect(),
        by_class: storm.by_class.named().map(|(class, n)| (class.name().to_owned(), n)).collect(),
        sources: sources(&storm),
        sources_partial: storm.sources.is_partial(),
        evidence: samples.into_iter().map(sample).collect(),
    })
}

fn find<R: Reader, T>(door: &mut Door<R, T>, id: &str) -> Result<Storm, Failure> {
    let known: StormId = id.parse().map_err(|_| unknown(id))?;
    door.storm(&known).map_err(away)?.ok_or_else(|| unknown(id))
}

pub(super) fn unknown(id: &str) -> Failure {
    not_found(format!("there is no storm {}", super::shown(id)))
}

/// What is fixed of a storm, and what only a server knows of it.
fn api_form<R: Reader, T>(door: &Door<R, T>, storm: &Storm) -> Result<serde_json::Value, Failure> {
    let mut form =
        serde_json::to_value(storm).map_err(|e| Failure { kind: ErrorKind::Away, message: e.to_string() })?;
    form["held_now"] = door.held_now(storm.id.as_str()).into();
    form["released"] = storm.released.into();
    Ok(form)
}

fn sources(storm: &Storm) -> Vec<SourceShown> {
    let shown = |c: &quell_storm::sources::SourceCount| SourceShown {
        source: c.source.0.clone(),
        copies: c.copies,
        over: c.over,
    };
    storm.sources.top().into_iter().map(shown).collect()
}

fn sample(sample: &Sample) -> SampleShown {
    SampleShown {
        id: sample.queue_id.to_string(),
        time: rfc3339(sample.time_ms),
        source: sample.source.0.clone(),
        recipient: sample.recipient.clone(),
        received: sample.received.clone(),
        header: String::from_utf8_lossy(&sample.header).into_owned(),
        header_bytes: sample.header_bytes,
    }
}
