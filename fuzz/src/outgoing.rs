//! What the other side of outgoing mail may say: servers, DNS, and whoever writes a next hop.

use quell_queue::destination::Destination;
use quell_relay::attempt::fuzz::fuzz_attempt;
use quell_relay::route::NextHop;
use quell_relay::tls::sts::fuzz_mta_sts;
use quell_wire::client::fuzz::{fuzz_client, fuzz_client_garbage, fuzz_encoder};

/// An attempt in a world of bytes: every claim is settled once, and no more is claimed than is known.
pub fn attempt(bytes: &[u8]) {
    fuzz_attempt(bytes);
}

/// A client session with replies that the bytes choose: one outcome for each recipient, however they
/// are cut.
pub fn client(bytes: &[u8]) {
    fuzz_client(bytes);
}

/// A client session with any bytes at all.
pub fn client_bytes(bytes: &[u8]) {
    fuzz_client_garbage(bytes);
}

/// A message on its way out: nobody can read it in two ways, and it is read as what it was.
pub fn encoder(bytes: &[u8]) {
    fuzz_encoder(bytes);
}

/// A domain's MTA-STS policy, its TXT record and the name of a host, parted by NUL.
pub fn mta_sts(bytes: &[u8]) {
    fuzz_mta_sts(bytes);
}

/// The name of a next hop: what is read is written so that it reads the same, and a destination is
/// always one.
pub fn next_hop(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(hop) = NextHop::parse(text) {
        assert_eq!(NextHop::parse(&hop.to_string()), Ok(hop));
    }
    let hop = NextHop::of_destination(&Destination::new(text));
    assert_eq!(NextHop::of_destination(&hop.destination()), hop);
}
