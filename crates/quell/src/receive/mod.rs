//! Mail coming in: listeners, limits on connections, and the bytes of each connection.

pub mod complete;
pub mod limits;
mod refusals;
pub mod room;
pub mod smtp;
