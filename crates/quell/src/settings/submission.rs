//! `[submission]`.

use serde::{Deserialize, Serialize};

use super::{Section, Setting, literal};

section! {
    /// Who may sign in to send mail.
    Submission, SUBMISSION, "submission" {
        /// Addresses and ports where users hand in mail (RFC 6409, usually port 587): over STARTTLS only, and
        /// after sign-in only. Needs `[tls] certificate`.
        listen: Vec<String> = Vec::new(), "(none)", hint "[\"0.0.0.0:587\"]";
        /// The same where TLS begins with the first byte (RFC 8314, usually port 465).
        listen_tls: Vec<String> = Vec::new(), "(none)", hint "[\"0.0.0.0:465\"]";
        /// Messages of one user within an hour; what is beyond that is held (class `user_limit`).
        messages_per_hour: u64 = 100, "messages", hint "100", 1..=1000000;
        /// The same within 24 hours.
        messages_per_day: u64 = 500, "messages", hint "500", 1..=10000000;
        /// Recipients within 24 hours to whom the user has not written in the last 30 days; what goes to more
        /// is held.
        new_recipients_per_day: u64 = 100, "recipients", hint "100", 1..=1000000;
        /// Who says whether a password is right: "store" for the users of `quell user`, or Dovecot, as
        /// "dovecot:/run/dovecot/auth-client" (a socket of its service `auth`).
        users: String = "store".to_owned(), "", hint "\"store\"";
        /// Program and arguments that say whose a bearer token (OAUTHBEARER) is. The token comes on
        /// standard input, the name that the client gave in `QUELL_USER`. It prints the user's address
        /// and ends with status 0, within 10 seconds; any other status refuses the token. An address in
        /// none of our domains is refused too, unless it is that of a user of `quell user`.
        token_command: Option<Vec<String>> = None, "unset: OAUTHBEARER is not offered, unless Dovecot has it",
            hint "[\"/usr/local/bin/whose-token\"]";
        /// Hosts that sign in for many people, such as a web mail server: there failures count for each
        /// name alone, and never refuse the host as a whole.
        shared_hosts: Vec<String> = Vec::new(), "", hint "[\"10.0.0.8\"]";
    }
}
