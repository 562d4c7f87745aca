//! `[[pickup]]`.

use serde::{Deserialize, Serialize};

use super::{Section, Setting, literal};

/// `keep` as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "write true, false, or a number of days")]
pub enum Keep {
    /// For good, or not at all.
    Flag(bool),
    /// So many days after it was collected.
    Days(u64),
}

section! {
    /// A mailbox at a provider whose mail is collected. One table for each. Who gets it stands in `to`, or is
    /// what the provider has stamped (`envelope`); it is never read from To, Cc or Bcc, and collected mail
    /// goes to nobody outside our domains.
    PickupTable, PICKUP, "pickup" {
        /// Name of the account, in logs, in `quell pickup` and in `Received`; 1 to 64 letters, digits and
        /// `._@+-`. Under it is remembered what was collected: it stays if the server changes.
        name: Option<String> = None, "unset: `user`, and `@` with the server's host where there is none in it", hint "\"office\"";
        /// Server, as "pop3s://HOST" or "imaps://HOST" (TLS from the first byte), "pop3://HOST" or "imap://HOST"
        /// (TLS by STLS or STARTTLS), with :PORT if it is not the usual one.
        server: String = String::new(), "(it has to be named)", hint "\"pop3s://pop.provider.example\"";
        /// Name to sign in with.
        user: String = String::new(), "(it has to be named)", hint "\"office@firm.example\"";
        /// File whose first line is the password. Only the server's user and its group may be able to read it.
        password_file: Option<String> = None, "unset: another of the four says how to sign in",
            hint "\"/etc/quell/office.password\"";
        /// Environment variable of the server that has the password. A new value counts after a restart.
        password_env: Option<String> = None, "unset: another of the four says how to sign in",
            hint "\"QUELL_OFFICE_PASSWORD\"";
        /// Program and arguments that print the password, within 10 seconds; run at each sign-in, without a shell.
        password_command: Option<Vec<String>> = None, "unset: another of the four says how to sign in",
            hint "[\"/usr/bin/pass\", \"office\"]";
        /// Program and arguments that print an OAuth2 access token, within 10 seconds; run at each sign-in, without
        /// a shell.
        token_command: Option<Vec<String>> = None, "unset: another of the four says how to sign in",
            hint "[\"/usr/local/bin/office-token\"]";
        /// How a token is shown: "xoauth2" or "oauthbearer".
        auth: Option<String> = None, "unset: whichever the server offers", hint "\"xoauth2\"";
        /// "require": TLS with a certificate that is valid for the host. "never": in the clear, password and
        /// mail; only for pop3:// and imap://.
        tls: String = "require".to_owned(), "", hint "\"require\"";
        /// File with certificates in PEM of the authorities that count for this server.
        ca_file: Option<String> = None, "unset: the system's", hint "\"/etc/quell/tls/provider-ca.pem\"";
        /// Addresses in our domains that get the mail, whatever stands in it; somebody has to have each of them.
        to: Vec<String> = Vec::new(), "(none: `envelope` tells)", hint "[\"jane@firm.example\"]";
        /// In the place of `to`, for a mailbox that takes several people's mail: the field in which the provider's
        /// server notes whom it delivered to, as "Delivered-To", "X-Original-To", "Envelope-To" or another X- field, or
        /// "for", the clause of its `Received`. The top-most one counts, and only if it stands above a `Received` by a
        /// host in `stamped_by`. `quell pickup test` shows what comes of it.
        envelope: Option<String> = None, "unset: `to` tells", hint "\"Delivered-To\"";
        /// The provider's hosts whose `Received` vouches for `envelope`, as they stand behind `by`;
        /// "*.provider.example" for all hosts of that domain.
        stamped_by: Vec<String> = Vec::new(), "", hint "[\"mx.provider.example\"]";
        /// What the provider's server puts before the address in `envelope`.
        envelope_prefix: Option<String> = None, "unset: nothing", hint "\"mbox-\"";
        /// Address in our domains that gets what `envelope` gives to nobody of ours, and is told of what cannot be
        /// delivered.
        unplaced: Option<String> = None, "unset: the postmaster", hint "\"jane@firm.example\"";
        /// What stays on the server: false, nothing, once it is safe here; true, everything; a number, for so
        /// many days after it was collected. POP3 servers need UIDL for true and a number.
        keep: Keep = Keep::Flag(false), "", hint "false";
        /// Mailbox of an IMAP server. By POP3 there is the inbox alone.
        mailbox: String = "INBOX".to_owned(), "", hint "\"INBOX\"";
        /// Mark as seen what is collected and kept (IMAP). Off for whoever still reads there, too.
        seen: bool = true, "", hint "true";
        /// Look every so often; up to a tenth is added, so that accounts do not look all at once. A server that
        /// wants longer pauses (POP3 LOGIN-DELAY) gets them.
        poll_secs: u64 = 300, "seconds", hint "300", 10..=86400;
        /// Be told of new mail at once where the server can (IMAP IDLE, RFC 2177).
        idle: bool = true, "", hint "true";
    }
}
