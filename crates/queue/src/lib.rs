//! What is kept and what was sent: door, ledger, claims, bodies, stores.
