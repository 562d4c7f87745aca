//! Mail on its way out: the real server, real next hops, a real DNS.

mod bounds;
mod broken;
mod crash;
mod dots;
mod hops;
mod loops;
mod mx;
mod power;
mod refused;
mod tls;
mod told;
