//! What the environment asks for: `make bench ONLY=relay,storm ROUNDS=1 QUICK=1`.

use std::path::PathBuf;

/// How a run is to be.
pub struct Options {
    /// Names of measurements ([`Options::wants`]); empty: all.
    pub only: Vec<String>,
    /// How often each is done.
    pub rounds: usize,
    /// A tenth of the messages.
    pub quick: bool,
    /// The program under test.
    pub quell: PathBuf,
    /// Write BENCHMARKS.md although not all was measured.
    write: bool,
}

impl Options {
    /// `ONLY`, `ROUNDS` (3), `QUICK`, `WRITE`, and `QUELL`: the program, else the one that cargo built with
    /// this bench.
    pub fn from_environment() -> Self {
        let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let only = value("ONLY").unwrap_or_default();
        Options {
            only: only
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
            rounds: value("ROUNDS").map_or(3, |text| text.parse().expect("ROUNDS: a number")),
            quick: value("QUICK").is_some(),
            quell: value("QUELL").map_or_else(|| env!("CARGO_BIN_EXE_quell").into(), PathBuf::from),
            write: value("WRITE").is_some(),
        }
    }

    /// Whether a measurement is asked for: `relay` asks for `relay` alone, `relay*` for all such.
    pub fn wants(&self, name: &str) -> bool {
        let matches = |wanted: &String| match wanted.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == wanted,
        };
        self.only.is_empty() || self.only.iter().any(matches)
    }

    /// Whether the result is one for BENCHMARKS.md: all measurements with all messages.
    pub fn is_whole(&self) -> bool {
        self.write || (self.only.is_empty() && !self.quick)
    }

    /// So many messages, or a tenth of it.
    pub fn scaled(&self, messages: usize) -> usize {
        if self.quick { messages / 10 } else { messages }
    }

    /// The command that does this again.
    pub fn command(&self) -> String {
        let mut command = "make bench".to_owned();
        if !self.only.is_empty() {
            command += &format!(" ONLY={}", self.only.join(","));
        }
        if self.rounds != 3 {
            command += &format!(" ROUNDS={}", self.rounds);
        }
        if self.quick {
            command += " QUICK=1";
        }
        command
    }
}
