//! `quell manual settings|example`: the files in `docs/` that are made from the declarations.

use std::io::{self, Write};

use crate::settings;

/// Print a generated document.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Which
    #[arg(value_enum)]
    pub document: Document,
}

/// What is generated.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Document {
    /// docs/settings.md
    Settings,
    /// docs/quell.toml.example
    Example,
}

/// Prints it.
pub fn run(args: &Args, out: &mut dyn Write) -> io::Result<()> {
    let text = match args.document {
        Document::Settings => settings::manual(),
        Document::Example => settings::example(),
    };
    out.write_all(text.as_bytes())
}
