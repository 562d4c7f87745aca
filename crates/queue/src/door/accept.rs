//! An arrival: look up, count, judge, gather.

use std::sync::Arc;

use quell_mail::content::decoded;
use quell_mail::header::fields;
use quell_mail::key::{KEY_VERSION, LedgerKey};
use quell_storm::book::{CopySeen, Fate};
use quell_storm::facts::{Counts, Facts, Ms, Notify, Recipient, RowState, RowView, SourceId};
use quell_storm::judge::judge;
use quell_storm::recent::Looked;
use quell_storm::signs::Signs;
use quell_storm::storm_id::StormId;
use quell_storm::verdict::{Class, Permit, Reason, Verdict};

use super::answered::{Kept, Unanswered};
use super::claims::Phase;
use super::distinct::keep_distinct;
use super::{Answer, Bytes, Door, Effect, Incoming, NewBody, Verdicts};
use crate::clock::Now;
use crate::ledger;
use crate::store::{
    Arrival, Envelope, Extra, KeyRow, MAX_ENVELOPES, MAX_SAID_CHARS, Reader, Row, RowId, StoreError,
};

/// Bodies gathered in memory while a batch is being written. A disk that hangs does not answer, and
/// clients that were told 451 come again: more than this is answered 451 at once.
const MAX_GATHERED_BYTES: usize = 128 << 20;

/// What was looked up of one arrival.
struct Met {
    source: SourceId,
    key: Option<LedgerKey>,
    key_row: Option<Arc<KeyRow>>,
    kid: quell_mail::id::QueueId,
    rows: Vec<Option<Arc<Row>>>,
    views: Vec<Option<RowView>>,
    counts: Counts,
}

impl<R: Reader, T> Door<R, T> {
    /// Takes one arrival. Its answer comes as an [`Effect::Answer`]: at once where nothing has to
    /// be written, else when what it needs is durable.
    pub fn accept(&mut self, mut incoming: Incoming, ticket: T, now: &Now) {
        let settles = incoming.settles.take();
        if settles.as_ref().is_some_and(|token| !self.is_report_out(token)) {
            return self.trouble(ticket, "this report is no longer due".to_owned());
        }
        if self.gathering.body_bytes > MAX_GATHERED_BYTES {
            settles.into_iter().for_each(|token| self.report_later(token, now));
            return self.trouble(ticket, "the disk does not keep up".to_owned());
        }
        keep_distinct(&mut incoming.facts);
        self.time_passes(now);
        match self.meet(&incoming.facts, now) {
            Ok(met) => {
                let kept = self.decide(incoming, met, ticket, now);
                match settles {
                    Some(token) if kept => self.report_made(&token, now),
                    Some(token) => self.report_dropped(token, now),
                    None => {}
                }
            }
            Err(why) => {
                self.trouble(ticket, why.to_string());
                if !self.is_shut() {
                    self.failed(&why);
                }
            }
        }
    }

    fn trouble(&mut self, ticket: T, why: String) {
        self.effects.push(Effect::Answer(ticket, Answer::Trouble(why)));
    }

    fn meet(&mut self, facts: &Facts, now: &Now) -> Result<Met, StoreError> {
        let key = facts.exact_key.as_ref().map(|key| self.secret.ledger_key(key));
        self.reader()?;
        let key_row = key.map(|key| self.key(&key)).transpose()?.flatten();
        let kid = key_row.as_ref().map_or(facts.queue_id, |k| k.kid);
        let (mut rows, mut views, mut counts) = (Vec::new(), Vec::new(), Counts::default());
        for recipient in &facts.recipients {
            let id = RowId { kid, rcpt: recipient.identity.clone() };
            let row = if key_row.is_some() { self.row(&id)? } else { None };
            let mut of_rcpt = 0;
            if let (Some(key_row), Some(row)) = (&key_row, &row) {
                let window = self.counters.in_window(key_row, row, &self.settings.limits, now.ms);
                counts.key_copies = window.0 + 1;
                of_rcpt = window.1 + 1;
            }
            counts.rcpt_copies.push(of_rcpt);
            let ended = key_row.as_ref().and_then(|k| k.storm_ended_ms);
            views.push(row.as_ref().map(|row| self.view(row, ended, now)).transpose()?);
            rows.push(row);
        }
        Ok(Met { source: facts.source.id(), key, key_row, kid, rows, views, counts })
    }

    /// A row as the judge sees it; `storm_ended`: when the last storm of its key did.
    fn view(&mut self, row: &Row, storm_ended: Option<Ms>, now: &Now) -> Result<RowView, StoreError> {
        let arrival = self.arrival(&row.id.kid, &row.queue_id)?;
        let day = 86_400_000;
        let lives = row.extra.lives_ms.iter().filter(|at| now.ms - **at < day);
        Ok(RowView {
            state: if self.phase(&row.id) == Some(Phase::Dot) { RowState::Dot } else { row.state },
            since_ms: row.since_ms,
            queue_id: row.queue_id,
            source: arrival.as_ref().map_or_else(|| SourceId(String::new()), |a| a.source.clone()),
            answered: arrival.as_ref().map(|a| a.answered).unwrap_or_default(),
            by_redirect: arrival.as_ref().is_some_and(|a| a.by_redirect),
            failed_recipient: row.extra.failed_recipient,
            lives_in_day: lives.count() as u32,
            storm_closed_ms: self.discarded_from(row, storm_ended, now)?,
            removed: row.extra.removed,
            exempt: row.extra.exempt.clone(),
        })
    }

    /// True: some of it is kept.
    fn decide(&mut self, incoming: Incoming, mut met: Met, ticket: T, now: &Now) -> bool {
        let facts = &incoming.facts;
        if met.key.is_some_and(|key| self.book.by_key(&key).is_some()) {
            let discarded = met.views.iter_mut().flatten().filter(|v| v.state == RowState::Discarded);
            discarded.for_each(|v| v.storm_closed_ms = None);
        }
        let looked = self.look_at_what_came_lately(facts, &met.views, now);
        met.counts.signs.clone_from(&looked.signs);
        let mut verdicts = judge(facts, &met.views, &met.counts, &self.settings.limits, now.ms);
        self.let_pass_what_finds_no_storm(facts, &looked, &mut verdicts);
        if let Some(why) = self.no_room_to_hold(facts, &looked, &verdicts) {
            self.effects.push(Effect::Answer(ticket, Answer::NoRoom(why)));
            return false;
        }
        self.note_what_came(facts, &looked, &verdicts, now);
        self.remember(facts, &met.source, &looked, &verdicts, now);
        let refusal = verdicts.iter().find(|v| !matches!(v, Verdict::Refuse(_)));
        let answer = match (refusal, verdicts.first()) {
            (None, Some(first)) => Answer::Refused(first.reason().clone()),
            _ => Answer::Accepted(facts.queue_id),
        };
        let met_rows: Vec<RowId> = met.rows.iter().flatten().map(|row| row.id.clone()).collect();
        let (mut stored, mut counted) = (Vec::new(), Vec::new());
        for (i, verdict) in verdicts.into_iter().enumerate() {
            self.count(&incoming, &met, i, &verdict, now);
            let storm = self.suspect(&incoming, &met.source, &looked, i, &verdict, &mut counted, now);
            if let (Verdict::Refuse(reason), Answer::Accepted(_)) = (&verdict, &answer) {
                self.refused_beside_others(facts, &met, i, reason, now);
            }
            if let Some(rcpt) = self.carry_out(&incoming, &mut met, i, verdict, storm, now) {
                stored.push(rcpt);
            }
        }
        if self.is_shut() {
            // The store failed in the middle: no part of this arrival may stay, nor its 250.
            self.forget_undone();
            self.trouble(ticket, "the store failed".to_owned());
            return false;
        }
        // After the copies have joined: an envelope that joined is promised by the answer, too.
        let wait_for = met_rows.iter().filter_map(|id| self.rows.batch(id)).max();
        if stored.is_empty() {
            self.answer_later(ticket, answer, wait_for);
            return false;
        }
        self.store(incoming, &met, stored, now);
        self.gathering.tickets.push((ticket, answer));
        true
    }

    /// A copy of a row that is not durable yet is answered after that row's commit, and fails with
    /// it; all others at once.
    fn answer_later(&mut self, ticket: T, answer: Answer, wait_for: Option<u64>) {
        match (wait_for, &mut self.writing) {
            (None, _) => self.effects.push(Effect::Answer(ticket, answer)),
            (Some(batch), Some(writing)) if writing.number == batch => writing.tickets.push((ticket, answer)),
            (Some(_), _) => self.gathering.tickets.push((ticket, answer)),
        }
    }

    fn carry_out(
        &mut self,
        incoming: &Incoming,
        met: &mut Met,
        i: usize,
        verdict: Verdict,
        storm: Option<StormId>,
        now: &Now,
    ) -> Option<Kept> {
        let facts = &incoming.facts;
        let old = met.rows.get_mut(i).and_then(Option::take);
        let recipient = facts.recipients.get(i)?;
        match verdict {
            Verdict::Refuse(_) => None,
            Verdict::Absorb(_) => {
                self.join(facts, recipient, old?);
                None
            }
            Verdict::Pass(permit, reason) => {
                let kept = Kept { rcpt: recipient.identity.clone(), former: old.clone() };
                let (before, row) = self.keep(facts, recipient, met.kid, old, permit, &reason, now);
                self.put_row(before, row);
                Some(kept)
            }
            Verdict::Hold(permit, reason) => {
                let held = old.as_ref().filter(|row| row.state == RowState::Held);
                let since_ms = held.map(|row| row.since_ms);
                let kept = Kept { rcpt: recipient.identity.clone(), former: old.clone() };
                let (before, mut row) = self.keep(facts, recipient, met.kid, old, permit, &reason, now);
                self.put_row(before, row.clone());
                (row.extra.author, row.extra.subject) = said_to_people(&incoming.header);
                // Our own reports and alerts are bounded where they are made, and no class holds them.
                if facts.source.address.is_some() {
                    self.hold(row, &reason, storm, since_ms, now);
                }
                Some(kept)
            }
        }
    }

    /// A new row, a new life, or a body that takes a held row over, to be put into the batch; and the
    /// state it was in.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one decision; a struct would only rename them"
    )]
    fn keep(
        &mut self,
        facts: &Facts,
        recipient: &Recipient,
        kid: quell_mail::id::QueueId,
        old: Option<Arc<Row>>,
        permit: Permit,
        reason: &Reason,
        now: &Now,
    ) -> (Option<RowState>, Row) {
        let before = old.as_ref().map(|row| row.state);
        let mut row = match old {
            Some(row) => {
                let mut row = Arc::unwrap_or_clone(row);
                if ledger::needs_body(row.state) {
                    self.let_body_go(&row.id.kid, &row.queue_id, None, now.ms);
                }
                ledger::new_life(&mut row, now.ms);
                (row.extra.held_for, row.extra.storm, row.extra.why) = (None, None, None);
                (row.extra.author, row.extra.subject) = (None, None);
                if !matches!(reason, Reason::NewLife { .. } | Reason::Exempt(_)) {
                    row.extra.lives_ms.pop();
                }
                row
            }
            None => new_row(facts, recipient, kid, self.settings.gateway, now),
        };
        row.queue_id = facts.queue_id;
        row.extra.as_given = Some(&recipient.as_given).filter(|a| **a != recipient.identity).cloned();
        let envelope = envelope(facts, recipient);
        if envelope.notify.is_some() || envelope.orcpt.is_some() || !row.extra.envelopes.is_empty() {
            add_envelope(&mut row, envelope);
        }
        row.extra.house_only = permit.is_for_the_house();
        self.permits.insert(row.id.clone(), permit);
        (before, row)
    }

    /// The answer is 250 for the sake of the others, so it cannot tell of this refusal. It changes
    /// nothing else of the row, and there is one: no refusal of a single recipient is without.
    fn refused_beside_others(&mut self, facts: &Facts, met: &Met, i: usize, reason: &Reason, now: &Now) {
        if let (Some(Some(row)), Some(recipient)) = (met.rows.get(i), facts.recipients.get(i)) {
            self.note_refused(row.as_ref().clone(), envelope(facts, recipient), reason, now);
        }
    }

    /// `since_ms`: when the row was held that this arrival takes over. Its time goes on: else a copy each day
    /// would keep it from ever coming to its end.
    fn hold(
        &mut self,
        mut row: Row,
        reason: &Reason,
        storm: Option<StormId>,
        since_ms: Option<Ms>,
        now: &Now,
    ) {
        let before = row.state;
        row.state = RowState::Held;
        row.since_ms = since_ms.unwrap_or(now.ms);
        row.extra.held_for = Some(reason.name().to_owned());
        row.extra.why = Some(reason.operator(&self.settings.limits));
        row.extra.storm = storm.map(|id| id.to_string());
        self.put_row(Some(before), row);
    }

    /// A copy joins the row it is absorbed by: what its sender wants reported is kept.
    fn join(&mut self, facts: &Facts, recipient: &Recipient, row: Arc<Row>) {
        if let Some(waits) = self.unanswered.get_mut(&row.queue_id) {
            waits.joined.insert(row.id.rcpt.clone());
        }
        let new = envelope(facts, recipient);
        let success = new.wants_success();
        let sent = matches!(row.state, RowState::Delivered | RowState::Relayed);
        if ledger::is_final(row.state) && !(sent && success) {
            return;
        }
        let found = self.arrival(&row.id.kid, &row.queue_id);
        let Some(Some(first)) = self.check(found) else { return };
        let own = Envelope {
            reverse_path: first.reverse_path.clone(),
            envid: first.envid.clone(),
            ret_full: first.ret_full,
            ..Envelope::default()
        };
        let envelopes = &row.extra.envelopes;
        // A row without envelopes has its arrival's own. Of a row that was sent, each reverse-path
        // is told once, whatever else differs.
        let told = |e: &Envelope| e.reverse_path == new.reverse_path && e.wants_success();
        let same = |e: &Envelope| e.is_same(&new);
        let known = if envelopes.is_empty() { same(&own) } else { envelopes.iter().any(same) };
        if known || envelopes.len() >= MAX_ENVELOPES || (sent && envelopes.iter().any(told)) {
            return;
        }
        let mut row = Arc::unwrap_or_clone(row);
        if row.extra.envelopes.is_empty() {
            row.extra.envelopes.push(own);
        }
        row.extra.report_due |= sent && success;
        add_envelope(&mut row, new);
        self.put_row(Some(row.state), row);
    }

    fn store(&mut self, incoming: Incoming, met: &Met, stored: Vec<Kept>, now: &Now) {
        let Incoming { facts, mut front, bytes, .. } = incoming;
        if let Some(key) = met.key {
            // Written also if it exists: its day may be dropped before this batch is committed, and
            // rows without their key are never found again.
            let row = met.key_row.as_deref().cloned().unwrap_or_else(|| KeyRow {
                key,
                kid: met.kid,
                key_version: KEY_VERSION,
                secret_id: self.secret.id(),
                last_seen_ms: now.ms,
                copies: 0,
                base_copies: 0,
                storm_ended_ms: None,
                times: Vec::new(),
            });
            let row = self.counters.refreshed_key(row);
            self.put_key(row);
        }
        self.gathering.kids.insert(facts.queue_id, met.kid);
        self.put_arrival(Arrival {
            queue_id: facts.queue_id,
            kid: met.kid,
            source: met.source.clone(),
            reverse_path: facts.reverse_path,
            envid: facts.envid,
            ret_full: facts.ret_full,
            smtputf8: facts.smtputf8,
            received_ms: facts.received_ms,
            size_bytes: facts.size_bytes,
            message_id: facts.message_id,
            by_redirect: !facts.tokens.is_empty(),
            answered: Default::default(),
            open: stored.len() as u32,
            asking: 0,
            release_ms: None,
            reports: 0,
            body: None,
        });
        self.unanswered.insert(facts.queue_id, Unanswered::new(met.kid, met.source.clone(), stored));
        match &bytes {
            Bytes::Small(bytes) => self.gathering.body_bytes += bytes.len(),
            Bytes::Large(_) => front.clear(),
        }
        self.gathering.bodies.push(NewBody { queue_id: facts.queue_id, front, bytes });
    }

    /// Counts a copy: a recipient whose row existed.
    fn count(&mut self, incoming: &Incoming, met: &Met, i: usize, verdict: &Verdict, now: &Now) {
        let (Some(key), Some(Some(row)), Some(public)) =
            (&met.key_row, met.rows.get(i), incoming.facts.exact_key)
        else {
            return;
        };
        let fate = Fate::of(verdict);
        let limits = &self.settings.limits;
        let (counted, evicted) = self.counters.count(key, row, fate, limits, now.ms);
        for (key, touches) in evicted {
            self.write_counts(key, touches);
        }
        let copy = CopySeen {
            key: key.key,
            public,
            recipient: &row.id.rcpt,
            // What is suspected has a storm of its own; here it is a copy.
            class: if verdict.reason().class().suspects() { Class::Copies } else { verdict.reason().class() },
            fate,
            key_copies: counted.of_key,
            rcpt_copies: counted.of_rcpt,
            totals: counted.totals,
            source: &met.source,
            header: &incoming.header,
            received: std::str::from_utf8(&incoming.front).ok(),
            queue_id: incoming.facts.queue_id,
            now: now.ms,
        };
        let events = self.book.copy(&copy, &mut *self.rng);
        self.storm_events(events, now);
    }

    fn remember(
        &mut self,
        facts: &Facts,
        source: &SourceId,
        looked: &Looked,
        verdicts: &[Verdict],
        now: &Now,
    ) {
        let each = facts.recipients.iter().zip(verdicts);
        let verdicts = Arc::new(Verdicts {
            queue_id: facts.queue_id,
            key: facts.exact_key,
            message_id: facts.message_id.clone(),
            reverse_path: facts.reverse_path.clone(),
            source: source.clone(),
            at_ms: now.ms,
            opportunities: looked.opportunities(),
            signs: if looked.signs.iter().any(Signs::has_numbers) {
                looked.signs.clone()
            } else {
                Vec::new()
            },
            recipients: each.map(|(r, v)| (r.identity.clone(), v.name(), v.reason().clone())).collect(),
        });
        self.remembered_rows += verdicts.recipients.len();
        while self.remembered_rows > super::REMEMBERED && !self.remembered.is_empty() {
            let gone = self.remembered.pop_front().map_or(0, |v| v.recipients.len());
            self.remembered_rows -= gone;
        }
        self.remembered.push_back(Arc::clone(&verdicts));
        self.effects.push(Effect::Judged(verdicts));
    }
}

fn new_row(
    facts: &Facts,
    recipient: &Recipient,
    kid: quell_mail::id::QueueId,
    gateway: u8,
    now: &Now,
) -> Row {
    Row {
        id: RowId { kid, rcpt: recipient.identity.clone() },
        queue_id: facts.queue_id,
        state: RowState::Waiting,
        since_ms: now.ms,
        next_ms: now.ms,
        tenant: recipient.tenant.clone(),
        gateway,
        key_version: if facts.exact_key.is_some() { KEY_VERSION } else { 0 },
        attempts: 0,
        sendings: 0,
        copies: 0,
        last_copy_ms: 0,
        times: Vec::new(),
        status: String::new(),
        extra: Extra::default(),
    }
}

/// Author and subject of what is held: a person who decides on it has to know what it is.
fn said_to_people(header: &[u8]) -> (Option<String>, Option<String>) {
    let of = |name: &str| {
        let field = fields(header).find(|field| field.is(name))?;
        let text = decoded(field.value);
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(text.chars().take(MAX_SAID_CHARS).collect::<String>()).filter(|text| !text.is_empty())
    };
    (of("from"), of("subject"))
}

fn envelope(facts: &Facts, recipient: &Recipient) -> Envelope {
    if let Some(to) = &facts.reports_to {
        // Of a failure only: a delay is nothing that they could do something about.
        let notify = Some(Envelope::letters(Notify { failure: true, ..Notify::default() }));
        return Envelope { reverse_path: to.clone(), notify, ..Envelope::default() };
    }
    Envelope {
        reverse_path: facts.reverse_path.clone(),
        envid: facts.envid.clone(),
        ret_full: facts.ret_full,
        notify: recipient.notify.map(Envelope::letters),
        orcpt: recipient.orcpt.clone(),
    }
}

fn add_envelope(row: &mut Row, envelope: Envelope) {
    let known = row.extra.envelopes.iter().any(|e| e.is_same(&envelope));
    if row.extra.envelopes.len() < MAX_ENVELOPES && !known {
        row.extra.envelopes.push(envelope);
    }
}
