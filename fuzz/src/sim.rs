//! The simulated hosts, which `quell demo` runs with real sockets.

/// Any events, in any order: no host panics, and what it sends is bounded by what came in.
pub fn sim_host(bytes: &[u8]) {
    quell_sim::fuzz::host(bytes);
}
