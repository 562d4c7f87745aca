//! What of a message's lines leaves the house on a page for a server's owner.

use quell::cli::trace::clean::harmless;
use quell::cli::trace::owner::hop;

/// A line of a header, cut down to what it says about machines: no local part is left in it, and
/// what a terminal would obey is not either.
pub fn hop_line(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let line = hop::hop_line(&text);
    assert_eq!(line.matches('@').count(), line.matches("…@").count(), "{line}");
    assert!(!line.chars().any(char::is_control), "{line:?}");
    let shown = harmless(&text);
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    assert_eq!(harmless(&shown), shown);
}
