//! The log, on standard error: `text` for people, `json` for programs.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;

use crate::config::Config;

/// Starts it. A second start in one process (tests) changes nothing.
pub(super) fn start(config: &Config) {
    let level = config.settings.log.level.parse().unwrap_or(LevelFilter::INFO);
    let base = fmt().with_max_level(level).with_target(false).with_writer(std::io::stderr);
    let started = if config.settings.log.format == "json" {
        // Flat records with `ts`, `level`, `event`, … as the design names them.
        base.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        base.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
    };
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
}
