//! A copy read: its stamps from the oldest to the newest, its identity, its marks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use quell_mail::header::Field;
use quell_mail::hop::{self, HopKind, Protocol};
use quell_mail::{canon, date, message_id};
use xxhash_rust::xxh3::xxh3_64;

use super::actor::Actor;
use super::copy::{Copy, Place};
use super::names;
use crate::facts::Ms;

/// One stamp, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    /// The field's value with its folds undone: stamps with equal hashes are one stamp.
    pub(super) hash: u128,
    pub(super) kind: HopKind,
    /// Names of the sender, in lower case: as it called itself, and as its address is called.
    pub(super) helo: Option<String>,
    pub(super) rdns: Option<String>,
    /// What stands behind `from`, if it is neither.
    pub(super) from: Option<String>,
    pub(super) ip: Option<IpAddr>,
    /// The server that wrote the stamp.
    pub(super) by: Option<String>,
    pub(super) id: Option<String>,
    pub(super) for_: Option<String>,
    pub(super) at_ms: Option<Ms>,
    pub(super) software: Option<String>,
    /// It came from the same machine.
    pub(super) loopback: bool,
    /// The field's value as it stands there.
    raw: Box<[u8]>,
}

impl Hop {
    /// The whole field unfolded.
    pub(super) fn text(&self) -> String {
        format!("Received: {}", text_of(&self.raw))
    }

    /// Whether it tells of a sender on another machine.
    pub(super) fn has_sender(&self) -> bool {
        !self.loopback
            && (self.ip.is_some() || self.from.is_some() || self.helo.is_some() || self.rdns.is_some())
    }

    /// Names of the sender that mean something, the surest first.
    pub(super) fn sender_names(&self) -> impl Iterator<Item = &str> {
        let names = [&self.rdns, &self.helo, &self.from].into_iter().flatten();
        names.map(String::as_str).filter(|name| names::is_telling(name))
    }

    /// Made on the machine that stamped it: from a pickup folder, by a program, by a collector.
    pub(super) fn is_made_there(&self) -> bool {
        self.loopback
            || matches!(self.kind, HopKind::Pickup | HopKind::Local | HopKind::Collected | HopKind::Expanded)
    }
}

/// What a message calls itself: its Message-ID and its Date.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Identity {
    pub(super) message_id: Option<String>,
    pub(super) date_ms: Option<Ms>,
}

/// One copy, read.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    /// Oldest first.
    pub(super) hops: Vec<Arc<Hop>>,
    /// Older stamps that nobody vouches for: below a client that had nothing to do with who wrote them.
    pub(super) hearsay: usize,
    /// The machine that brought about each stamp; filled in once what nobody vouches for is gone.
    pub(super) machines: Vec<Arc<Actor>>,
    /// Where each stamp begins in the header.
    pub(super) at: Vec<u32>,
    pub(super) identity: Identity,
    pub(super) author: Option<String>,
    subject: Box<[u8]>,
    pub(super) recipient: Arc<str>,
    /// A hash of its List-Id.
    pub(super) list: Option<u64>,
    /// The name within its List-Id (RFC 2919), in lower case.
    pub(super) list_name: Option<String>,
    pub(super) marks: Marks,
    /// By the newest stamp, unless somebody knew better.
    pub(super) arrived_ms: Option<Ms>,
    pub(super) place: Option<Place>,
    pub(super) id: u64,
    /// Copies of the storm for which it stands; 0 for one that is kept for its recipient's sake.
    pub(super) weight: f64,
    /// Addresses in Delivered-To and the like, newest first.
    pub(super) delivered_to: Vec<String>,
    /// To and Cc, as far as they were kept.
    to: Vec<Box<[u8]>>,
    /// Its first Resent-Message-ID.
    pub(super) resent: Option<String>,
    /// Fields that are marks, with their place in the header.
    mark_fields: Vec<(u32, Box<[u8]>)>,
}

/// Marks of software that puts messages back into the stream. No single one convicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks {
    /// `mspop3connector.` in To or Cc.
    pub(super) pickup_address: bool,
    /// `X-OriginalArrivalTime`, `X-MimeOLE` or the mailer of CDO.
    pub(super) exchange: bool,
    /// The domain of the Message-ID is a name that only its own house knows.
    pub(super) inner_id: bool,
    /// To has addresses that nobody has: a torn one.
    pub(super) torn_to: bool,
}

/// Reads copies; equal stamps are read once.
#[derive(Debug, Default)]
pub(super) struct Reader {
    stamps: HashMap<u128, Arc<Hop>>,
}

impl Reader {
    pub(super) fn read(&mut self, copy: &Copy, weight: f64) -> Chain {
        let mut chain = Chain {
            hops: Vec::new(),
            hearsay: 0,
            machines: Vec::new(),
            at: Vec::new(),
            identity: Identity::default(),
            author: None,
            subject: Box::default(),
            recipient: Arc::clone(&copy.recipient),
            list: None,
            list_name: None,
            marks: Marks { pickup_address: copy.pickup_address, ..Marks::default() },
            arrived_ms: copy.arrived_ms,
            place: copy.place,
            id: copy.id,
            weight,
            delivered_to: Vec::new(),
            to: Vec::new(),
            resent: None,
            mark_fields: Vec::new(),
        };
        for (at, field) in copy.fields() {
            if field.is("received") {
                chain.hops.push(self.stamp(field.value));
                chain.at.push(at);
            } else {
                chain.take(at, &field);
            }
        }
        chain.hops.reverse();
        chain.at.reverse();
        chain.finish();
        chain
    }

    fn stamp(&mut self, value: &[u8]) -> Arc<Hop> {
        let hash = hop::stamp_hash(value);
        Arc::clone(self.stamps.entry(hash).or_insert_with(|| Arc::new(read_hop(hash, value))))
    }
}

fn read_hop(hash: u128, value: &[u8]) -> Hop {
    let hop = hop::parse(value);
    // Nobody says who handed it in: a program on the machine itself, or any client.
    let is_hidden = hop.kind == HopKind::Local && hop.has_no_from() && !is_said_to_be_local(&hop, value);
    let lower = |word: Option<hop::Word<'_>>| word.map(|word| names::clean(word.0)).filter(|n| !n.is_empty());
    Hop {
        hash,
        kind: if is_hidden { HopKind::Transfer } else { hop.kind },
        helo: lower(hop.helo),
        rdns: lower(hop.rdns),
        from: lower(hop.from),
        ip: hop.ip,
        by: lower(hop.by),
        id: hop.queue_id().map(|id| id.to_string()).filter(|id| !id.is_empty()),
        for_: lower(hop.for_),
        at_ms: hop.date_ms,
        software: hop.software.map(software),
        loopback: hop.is_loopback() || is_itself(&hop),
        raw: value.into(),
    }
}

fn software(software: hop::Software<'_>) -> String {
    let version = software.version.map(|version| format!(" {version}")).unwrap_or_default();
    format!("{}{version}", software.name)
}

/// Whether the sender is the server itself by its short name, at an address of its own house.
fn is_itself(hop: &hop::Hop<'_>) -> bool {
    let (Some(from), Some(by)) = (hop.from, hop.by) else { return false };
    let begins = by.0.get(..from.0.len()).is_some_and(|start| start.eq_ignore_ascii_case(from.0));
    begins && by.0.get(from.0.len()) == Some(&b'.') && !hop.ip.is_some_and(hop::is_public)
}

/// Whether a stamp says that the message was made on the machine, and does not just name nobody.
fn is_said_to_be_local(hop: &hop::Hop<'_>, value: &[u8]) -> bool {
    const WORDS: [&[u8]; 5] = [b"invoked ", b"(from ", b"userid ", b"/Submit", b"uid "];
    matches!(hop.protocol, Protocol::Local | Protocol::Mapi)
        || hop.by.is_none()
        || WORDS.iter().any(|word| memchr::memmem::find(value, word).is_some())
}

/// A field's value as one line.
fn text_of(value: &[u8]) -> String {
    String::from_utf8_lossy(&canon::relaxed_value_to_vec(value)).into_owned()
}

impl Chain {
    fn take(&mut self, at: u32, field: &Field<'_>) {
        let (name, value) = (field.name.to_ascii_lowercase(), field.value);
        let mut mark = || self.mark_fields.push((at, field.whole.into()));
        match name.as_slice() {
            b"message-id" if self.identity.message_id.is_none() => {
                let id = message_id::parse(value).unwrap_or_else(|| text_of(value));
                self.identity.message_id = Some(id);
                mark();
            }
            b"date" if self.identity.date_ms.is_none() => self.identity.date_ms = date::parse(value),
            b"from" if self.author.is_none() => self.author = names::address_in(&text_of(value)),
            b"subject" if self.subject.is_empty() => self.subject = value.into(),
            b"resent-message-id" if self.resent.is_none() => self.resent = Some(text_of(value)),
            b"list-id" => {
                let text = text_of(value).to_ascii_lowercase();
                self.list = Some(xxh3_64(text.as_bytes()));
                let inner = text.rsplit('<').next().unwrap_or_default();
                self.list_name = Some(inner.trim_end_matches('>').trim().to_owned());
            }
            b"delivered-to" | b"x-original-to" | b"envelope-to" => {
                self.delivered_to.extend(names::address_in(&text_of(value)));
            }
            b"to" => {
                self.marks.torn_to |= names::is_torn(value);
                self.to.push(value.into());
            }
            b"cc" => self.to.push(value.into()),
            b"x-originalarrivaltime" | b"x-mimeole" => {
                self.marks.exchange = true;
                mark();
            }
            b"x-mailer" if value.windows(13).any(|w| w == b"Microsoft CDO") => {
                self.marks.exchange = true;
                mark();
            }
            _ => {}
        }
    }

    fn finish(&mut self) {
        self.join_doubles();
        let newest = || self.hops.iter().rev().find_map(|hop| hop.at_ms);
        self.arrived_ms = self.arrived_ms.or_else(newest);
        self.marks.inner_id = self.id_domain().is_some_and(names::is_inner);
    }

    /// qmail writes two stamps, and the number of its process stands in the newer one: without it two messages
    /// of one second would have the same stamp.
    fn join_doubles(&mut self) {
        for i in 1..self.hops.len() {
            if self.hops[i].raw.trim_ascii_start().starts_with(b"(qmail ") {
                let hash = self.hops[i - 1].hash.rotate_left(1) ^ self.hops[i].hash;
                self.hops[i - 1] = Arc::new(Hop { hash, ..(*self.hops[i - 1]).clone() });
            }
        }
    }

    /// Takes the oldest `stamps` for hearsay: they are counted and no longer looked at.
    pub(super) fn distrust(&mut self, stamps: usize) {
        self.hearsay = stamps.min(self.hops.len());
        self.hops.drain(..self.hearsay);
        self.at.drain(..self.hearsay);
    }

    /// The domain of its Message-ID, in lower case.
    pub(super) fn id_domain(&self) -> Option<&str> {
        let id = self.identity.message_id.as_deref()?;
        let domain = id.trim_end_matches('>').rsplit_once('@')?.1;
        Some(domain)
    }

    /// Addresses of roles in the recipient's own domain that it was for too: he may be the one who reads them.
    pub(super) fn roles_there(&self) -> usize {
        if names::is_keepers(&self.recipient) {
            return usize::from(u16::MAX);
        }
        let domain = self.recipient.rsplit_once('@').map(|(_, domain)| domain);
        let there = |address: &&String| address.rsplit_once('@').map(|(_, other)| other) == domain;
        self.to().iter().filter(there).filter(|address| names::is_role(address)).count()
    }

    /// Addresses in To and Cc, as far as they were kept.
    pub(super) fn to(&self) -> Vec<String> {
        let addresses = |value: &[u8]| -> Vec<String> {
            text_of(value).split(',').filter_map(names::address_in).collect()
        };
        self.to.iter().flat_map(|value| addresses(value)).collect()
    }

    /// The address it is for, where To and Cc together name one.
    pub(super) fn only_address(&self) -> Option<String> {
        let [value] = &self.to[..] else { return None };
        if memchr::memchr_iter(b'@', value).count() != 1 {
            return None;
        }
        names::address_in(&text_of(value))
    }

    /// Its subject, unfolded.
    pub(super) fn subject(&self) -> String {
        text_of(&self.subject)
    }

    /// Lines that are marks, with their place in the header.
    pub(super) fn mark_lines(&self) -> impl Iterator<Item = (u32, String)> {
        self.mark_fields.iter().map(|(at, whole)| (*at, text_of(whole)))
    }

    /// The domain of its author.
    pub(super) fn author_domain(&self) -> Option<&str> {
        Some(self.author.as_deref()?.rsplit_once('@')?.1)
    }
}
