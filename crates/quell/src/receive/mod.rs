//! Mail coming in: listeners, limits on connections, and the bytes of each connection.

pub mod limits;
pub mod smtp;
