//! Base64 as an exchange has it (RFC 4954 §4): the standard alphabet, padded, and nothing else.

use ::base64::Engine;
use ::base64::engine::general_purpose::STANDARD;

/// What a response says. None: it is no base64, or its last bits are not zero.
pub fn decode(line: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(line).ok()
}

/// Bytes as a challenge has them.
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
