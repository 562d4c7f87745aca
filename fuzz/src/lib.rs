//! What the fuzz targets do with their bytes: each function feeds them to one reader of input from
//! outside, and fails an assertion where a promise of that reader is broken. The test `fuzz_seeds`
//! of the crate `quell` pushes the seeds through the same functions at every `make test`.

mod collect;
mod digest;
mod kept;
mod mail;
mod mbox;
mod outgoing;
mod recent;
mod report;
mod said;
mod sign_in;
mod sim;
mod trace;
mod typed;
mod wire;

pub use collect::collect;
pub use digest::digest;
pub use kept::{copy_times, dots, filter, sample, storm_id};
pub use mail::{
    body, content_key, date, fingerprint, header, hop, letter, mailbox_list, message_id, reading, received,
};
pub use mbox::mbox;
pub use outgoing::{attempt, client, client_bytes, encoder, mta_sts, next_hop};
pub use recent::recent;
pub use report::report;
pub use said::said;
pub use sign_in::dovecot_auth;
pub use sim::sim_host;
pub use trace::{hop_line, replay, trace};
pub use typed::{address, config, control, maildir_name};
pub use wire::{content, imap_ask, imap_guard, imap_opening, lines, pop3_client, pop3_server, sasl, session};

/// A target's body.
pub type Target = fn(&[u8]);

/// All targets, by the name of their binary and of their folder in `seeds/`.
pub const TARGETS: [(&str, Target); 46] = [
    ("address", address),
    ("attempt", attempt),
    ("body", body),
    ("client", client),
    ("client_bytes", client_bytes),
    ("collect", collect),
    ("config", config),
    ("content", content),
    ("content_key", content_key),
    ("control", control),
    ("copy_times", copy_times),
    ("date", date),
    ("digest", digest),
    ("dots", dots),
    ("dovecot_auth", dovecot_auth),
    ("encoder", encoder),
    ("filter", filter),
    ("fingerprint", fingerprint),
    ("header", header),
    ("hop", hop),
    ("hop_line", hop_line),
    ("imap_ask", imap_ask),
    ("imap_guard", imap_guard),
    ("imap_opening", imap_opening),
    ("letter", letter),
    ("lines", lines),
    ("mailbox_list", mailbox_list),
    ("maildir_name", maildir_name),
    ("mbox", mbox),
    ("message_id", message_id),
    ("mta_sts", mta_sts),
    ("next_hop", next_hop),
    ("pop3_client", pop3_client),
    ("pop3_server", pop3_server),
    ("reading", reading),
    ("received", received),
    ("recent", recent),
    ("replay", replay),
    ("report", report),
    ("said", said),
    ("sample", sample),
    ("sasl", sasl),
    ("session", session),
    ("sim_host", sim_host),
    ("storm_id", storm_id),
    ("trace", trace),
];
