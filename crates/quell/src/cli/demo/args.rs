//! What can be asked for.

use serde::Serialize;

/// Show a mail storm on this machine, without quell and with it
///
/// The storm of 2005 over real SMTP, LMTP and POP3 on the loopback network: a publisher's newsletter to
/// many firms, of which five have a server that fetches it, reads the header, and sends it again to
/// everyone in it, at every poll. First with a plain relay at the gateway, then with quell. Nothing is
/// installed, and nothing is left behind.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How the copies look: with the same identity and a growing trace, or with a new identity and the
    /// trace lost
    #[arg(long, value_enum, default_value = "both")]
    pub shape: Asked,
    /// The faulty servers are stopped when they have sent so many copies: 100 to 500,000
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(100..=500_000))]
    pub copies: u64,
    /// Firms, each with one recipient: 10 to 2,000
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=2_000))]
    pub firms: u32,
    /// Seed of everything that is left to chance in the mail: any number from 0 to 2^64 - 1
    #[arg(long, value_name = "N", default_value_t = 2005)]
    pub seed: u64,
    /// Each run is cut off after so many seconds: 1 to 600
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Shapes to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Asked {
    /// The same Message-ID, longer and longer chains of Received
    Trace,
    /// A fresh Message-ID and Date, the trace lost
    Identity,
    /// One after the other
    Both,
}

impl Asked {
    /// In their order.
    pub fn shapes(self) -> &'static [Shape] {
        match self {
            Self::Trace => &[Shape::Trace],
            Self::Identity => &[Shape::Identity],
            Self::Both => &[Shape::Trace, Shape::Identity],
        }
    }
}

/// How the copies of a run look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// The same Message-ID, the trace piles up.
    Trace,
    /// A fresh Message-ID and Date, the trace lost.
    Identity,
}

impl Shape {
    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Trace => "Copies with the same identity (shape trace)",
            Self::Identity => "Copies with a new identity (shape identity)",
        }
    }
}
