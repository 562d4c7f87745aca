//! Sign-in asked of a real Dovecot, and `quell user` with the server running.

mod dovecot;
mod users;
