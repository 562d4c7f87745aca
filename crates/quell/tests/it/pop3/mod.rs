//! POP3 against other programs: our collecting session from Dovecot, curl from our serving session.

mod collect;
mod dovecot;
mod serve;
