//! What a message says, as the classes of suspicion see it.

use quell_mail::header::split;
use quell_storm::said::Said;

/// More than [`Said`] ever keeps on the heap.
const MOST_HEAP_BYTES: usize = 64 << 10;

/// A message, its reverse-path null if the first byte is even: little is kept of it however long it is, it says
/// the same each time, fields that count for nothing change nothing, and a stamp more takes away no house.
pub fn said(bytes: &[u8]) {
    let path = if bytes.first().is_none_or(|b| b % 2 == 0) { "" } else { "ann@client.example" };
    let (header, body) = split(bytes.get(1..).unwrap_or_default());
    let said = Said::read(header, body, path);
    assert!(said.heap_bytes() <= MOST_HEAP_BYTES, "{}", said.heap_bytes());
    assert!(!said.way.leaves(&said.way));
    assert!(said == Said::read(header, body, path));
    if header.starts_with(b" ") || header.starts_with(b"\t") {
        return;
    }
    let scanned = Said::read(&[b"X-Spam: no\r\n", header].concat(), body, path);
    assert!(said == scanned);
    let stamp =
        b"Received: from a.elsewhere.example by mx.elsewhere.example; Sat, 10 Dec 2005 09:00:00 +0000\r\n";
    let stamped = Said::read(&[stamp, header].concat(), body, path);
    assert!(!said.way.leaves(&stamped.way));
}
