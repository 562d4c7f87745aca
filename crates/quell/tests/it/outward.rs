//! Mail on its way out: the real server, real next hops, a real DNS.

mod hops;
mod mx;
