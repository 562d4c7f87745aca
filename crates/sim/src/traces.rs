//! Worlds for `quell trace`: mailboxes full of copies, and the truth about who made them.
//!
//! A seed makes a world: providers, firms, lists and faulty servers, each with its software, names, addresses
//! and clock; a story of one [`Kind`]; and the mails that an investigator finds in the mailboxes that he has.
//! They share no code with what parses stamps and dates: a mistake must not be on both sides.
//!
//! What the truth says is what could be known from the mails: see [`TrueGroup`].

mod case;
mod cast;
mod copy;
mod kinds;
mod letter;
mod machine;
mod stamp;
mod story;
mod truth;
mod way;

use std::net::IpAddr;

use crate::{clock, dice};

use case::Case;
pub(crate) use letter::{base64, quoted_printable};

/// One kind of world.
#[derive(Clone, Copy)]
pub struct Kind {
    name: &'static str,
    about: &'static str,
    story: fn(&mut Case),
}

impl Kind {
    /// What it is called in tables.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What happens in it, in a sentence.
    pub fn about(&self) -> &'static str {
        self.about
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Kind").field(&self.name).finish()
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Kind {}

const fn kind(name: &'static str, about: &'static str, story: fn(&mut Case)) -> Kind {
    Kind { name, about, story }
}

static KINDS: [Kind; 22] = [
    kind("clean", "A newsletter goes to many, one copy each, through several providers.", kinds::clean),
    kind(
        "list",
        "A list or two send to their readers, some of whom are addressed directly too.",
        kinds::list,
    ),
    kind(
        "forwarder",
        "Old addresses and aliases lead to mailboxes that are addressed themselves.",
        kinds::forwarder,
    ),
    kind(
        "filter",
        "A message passes one host's filter several times, and many servers of one house.",
        kinds::filter,
    ),
    kind(
        "resend_trace",
        "A server that collects by POP3 sends again and again; the trace piles up.",
        kinds::resend_trace,
    ),
    kind(
        "resend_identity",
        "The same, but the trace is lost and each copy has a new identity.",
        kinds::resend_identity,
    ),
    kind(
        "several_behind_isp",
        "Two to five faulty servers behind one provider, which is innocent.",
        kinds::several_behind_isp,
    ),
    kind("smart_host", "A faulty server sends through its provider's smart host.", kinds::smart_host),
    kind("chain", "A faulty server multiplies the copies of another faulty server.", kinds::chain),
    kind("retry", "The sender's server tries again since the receiver answers too late.", kinds::retry),
    kind("retry_no_stamp", "The same, and the sender leaves no stamp.", kinds::retry_no_stamp),
    kind(
        "inject",
        "A script or client submits the same message again and again within seconds.",
        kinds::inject,
    ),
    kind(
        "loop",
        "Two servers send a message to each other, and a mailbox has a copy of each turn.",
        kinds::looping,
    ),
    kind(
        "same_names",
        "Several firms' servers have the same internal name, and one is faulty.",
        kinds::same_names,
    ),
    kind("forged", "A client's copies bear forged stamps that name innocent servers.", kinds::forged),
    kind(
        "lost_trace",
        "The copies keep their identity, but the trace below the faulty server is gone.",
        kinds::lost_trace,
    ),
    kind("pair", "An original and one copy that was put in again, with marks that convict.", kinds::pair),
    kind(
        "multidrop",
        "A collector of a catch-all mailbox routes by the header and sends out again.",
        kinds::multidrop,
    ),
    kind(
        "innocent_marks",
        "Marks that faulty servers leave, in mail of innocent ones.",
        kinds::innocent_marks,
    ),
    kind("lookalikes", "Messages that look alike, each a message of its own.", kinds::lookalikes),
    kind(
        "duplicates_of_archive",
        "One delivered mail stands in two files, or twice in one.",
        kinds::duplicates_of_archive,
    ),
    kind("no_evidence", "A storm of which nothing survives that tells who made it.", kinds::no_evidence),
];

/// Every kind, always in the same order.
pub fn kinds() -> &'static [Kind] {
    &KINDS
}

/// The world of this kind and seed: always the same. At most 2,500 mails and 14 MiB.
pub fn world(kind: Kind, seed: u64) -> World {
    made(kind, seed).0
}

/// The world, and the true times of each mail's stamps, oldest first.
fn made(kind: Kind, seed: u64) -> (World, Vec<Vec<i64>>) {
    let mut case = Case::new(kind, seed);
    (kind.story)(&mut case);
    case.finish()
}

/// What an investigator has, and what he should find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// Its kind.
    pub kind: Kind,
    /// Its seed.
    pub seed: u64,
    /// The mails, in the order in which they stand in their mailboxes.
    pub mails: Vec<Mail>,
    /// What really happened.
    pub truth: Truth,
}

/// One mail as it lies in a mailbox that the investigator has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The whole message; its lines end in LF or all in CRLF.
    pub bytes: Vec<u8>,
    /// Whose mailbox it lies in, such as `bob@firm7.example`.
    pub mailbox: String,
    /// When it came, in true time; ms since 1970.
    pub arrived_ms: i64,
    /// Which message it is a copy of: mails with the same number belong in one group.
    pub message: usize,
    /// The last faulty machine that made this copy (its place in [`Truth::culprits`]); none for originals. Of a
    /// sender that tries again and of a client that submits again, the first copy is one like the others.
    pub maker: Option<usize>,
}

/// What really happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// All faulty machines, those too of which too little is seen.
    pub culprits: Vec<TrueCulprit>,
    /// One for each message number of which a mail is seen, in rising order; so also for single mails.
    pub groups: Vec<TrueGroup>,
}

/// What can be known of one message.
///
/// A culprit stands in `culprits` only if it can be convicted from what is seen: one and the same mailbox has
/// mails that descend from at least two of its deeds (from one, in the kind `pair`, whose copies bear marks that
/// convict), and its name or its address stands in one of these mails. One deed alone is what any innocent
/// forwarder does as well, and copies for different mailboxes are what a list makes; so a machine of which no
/// more is seen must not count against recall. To name it is right none the less: a machine that is the
/// [`Mail::maker`] of a mail of the group did make it. The mails of a chain of culprits descend from the deeds of
/// each: the first one is convicted by partings within what the second sent.
///
/// `no_culprit` and `list` say the same of blame; `list` stands where a list server took part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrueGroup {
    /// The message's number.
    pub message: usize,
    /// `culprit`, `retry`, `loop`, `list`, `no_culprit` or `cannot_tell`.
    pub verdict: &'static str,
    /// Those of [`Truth::culprits`] that made copies of it and can be convicted.
    pub culprits: Vec<usize>,
    /// False: no line of evidence survives; then `cannot_tell` (or `no_culprit`) is right, and to name anyone is
    /// wrong who is not a maker.
    pub decidable: bool,
}

/// A faulty machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrueCulprit {
    /// Every name it goes by in any seen mail: as a client, in the DNS, in its own stamps. Innocent machines may
    /// have the same internal name: where there is an address, the address tells. Empty where no stamp names it.
    pub names: Vec<String>,
    /// Its address as the next honest server sees it (one of them, where it has a pool of addresses); none where
    /// no seen mail tells.
    pub ip: Option<IpAddr>,
    /// `resends`, `retries`, `injects` or `loops`.
    pub class: &'static str,
}

/// One file in the format mboxrd for each mailbox, with its name, in the order of the mailboxes' names.
pub fn mbox(world: &World) -> Vec<(String, Vec<u8>)> {
    let mut files: std::collections::BTreeMap<&str, Vec<u8>> = std::collections::BTreeMap::new();
    for mail in &world.mails {
        let file = files.entry(&mail.mailbox).or_default();
        let end: &[u8] = if mail.bytes.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
        // Some archives know no time: theirs is that of the file.
        let start = match world.seed % 7 {
            0 => format!("From archive@localhost {}", clock::asctime(0)),
            _ => format!("From MAILER-DAEMON {}", clock::asctime(mail.arrived_ms)),
        };
        file.extend_from_slice(start.as_bytes());
        file.extend_from_slice(end);
        for line in mail.bytes.split_inclusive(|byte| *byte == b'\n') {
            let quotes = line.iter().take_while(|byte| **byte == b'>').count();
            if line[quotes..].starts_with(b"From ") {
                file.push(b'>');
            }
            file.extend_from_slice(line);
        }
        file.extend_from_slice(end);
    }
    files.into_iter().map(|(mailbox, file)| (mailbox.to_owned(), file)).collect()
}

#[cfg(test)]
mod tests;
