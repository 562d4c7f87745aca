//! What is kept and what was sent: door, ledger, claims, bodies, stores.

pub mod body;
pub mod claim;
pub mod clock;
pub mod contract;
pub mod destination;
pub mod door;
pub mod dots;
pub mod filter;
pub mod ids;
pub mod ledger;
pub mod pickups;
pub mod reserve;
pub mod store;
pub mod users;
