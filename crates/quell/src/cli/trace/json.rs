//! Answers as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::clean::is_obeyed;

/// Writes `answer` as JSON that means the same and that no terminal obeys.
///
/// # Errors
/// Those of `out`.
pub(in crate::cli) fn json(answer: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    // Standard output by itself writes every line.
    let mut out = io::BufWriter::new(out);
    serde_json::to_writer_pretty(Escaped(&mut out), answer)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// JSON may hold what a terminal obeys; here it is written as `\uXXXX`, which means the same.
struct Escaped<'a>(&'a mut dyn Write);

impl Write for Escaped<'_> {
    /// Each piece that comes is whole UTF-8: strings are written as they are, or in parts of them.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.iter().all(|b| matches!(b, b' '..=b'~' | b'\n')) {
            self.0.write_all(bytes)?;
            return Ok(bytes.len());
        }
        for c in String::from_utf8_lossy(bytes).chars() {
            if c != '\n' && is_obeyed(c) {
                write!(self.0, "\\u{:04x}", u32::from(c))?;
            } else {
                write!(self.0, "{c}")?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn json_means_the_same_and_is_obeyed_by_nothing(text in any::<String>(), odd in "[\u{7f}-\u{a0}\u{2000}-\u{2070}\\\\\"\n]{0,20}") {
            let mut out = Vec::new();
            serde_json::to_writer_pretty(Escaped(&mut out), &[&text, &odd]).unwrap();
            let written = String::from_utf8(out).unwrap();
            prop_assert!(!written.chars().any(|c| c != '\n' && is_obeyed(c)));
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&written).unwrap(), [text, odd]);
        }
    }
}
