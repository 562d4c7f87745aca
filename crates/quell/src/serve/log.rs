//! The log, on standard error: `text` for people, `json` for programs.

mod lines;

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use self::lines::Lines;
use crate::config::Config;

/// How the log is written at the moment; a reload changes it.
pub struct Log {
    json: Arc<AtomicBool>,
    level: Box<dyn Fn(LevelFilter) + Send + Sync>,
}

impl Log {
    /// Takes format and level of `config`.
    pub fn set(&self, config: &Config) {
        self.json.store(config.settings.log.format == "json", Ordering::Relaxed);
        (self.level)(level(config));
    }
}

fn level(config: &Config) -> LevelFilter {
    config.settings.log.level.parse().unwrap_or(LevelFilter::INFO)
}

/// Starts it. A second start in one process (tests) changes nothing. Lines are written at once; it makes
/// no thread until they are to be gathered.
pub(super) fn start(config: &Config) -> (Log, Lines) {
    let lines = Lines::new(std::io::stderr());
    let json = Arc::new(AtomicBool::new(config.settings.log.format == "json"));
    let format = Either { json: Arc::clone(&json), text: Format::default().with_target(false) };
    let base = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::default().add_directive(level(config).into()))
        .with_writer(lines.clone())
        .with_ansi(std::io::stderr().is_terminal())
        .event_format(format)
        .with_filter_reloading();
    let handle = base.reload_handle();
    if base.try_init().is_err() {
        tracing::debug!("the log was started before");
    }
    let level = move |level: LevelFilter| {
        // Fails only where the subscriber is gone, and then nobody can be told.
        let _ = handle.reload(EnvFilter::default().add_directive(level.into()));
    };
    (Log { json, level: Box::new(level) }, lines)
}

/// One of the two formats.
struct Either {
    json: Arc<AtomicBool>,
    text: Format,
}

impl<S, N> FormatEvent<S, N> for Either
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if self.json.load(Ordering::Relaxed) {
            Json.format_event(ctx, out, event)
        } else {
            self.text.format_event(ctx, out, event)
        }
    }
}

/// One object a line: `ts`, `level`, then the event's own fields, `event` among them; the sentence
/// for people is `text`.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let mut fields = Fields(Map::new());
        fields.0.insert("ts".to_owned(), quell_storm::storm::rfc3339(ms).into());
        fields.0.insert("level".to_owned(), event.metadata().level().as_str().to_lowercase().into());
        event.record(&mut fields);
        writeln!(out, "{}", Value::Object(fields.0))
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        let name = if field.name() == "message" { "text" } else { field.name() };
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn json_lines_have_the_fixed_names() {
        let sink = Sink::default();
        let writer = sink.clone();
        let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).event_format(Json).finish();
        tracing::subscriber::with_default(log, || {
            tracing::info!(event = "delivered", id = %"06h", rcpt = "a\"b\n@x", delay_ms = 7u64, "It lies there");
        });
        let line: Value = serde_json::from_slice(&sink.0.lock().unwrap()).unwrap();
        assert_eq!(line["event"], "delivered");
        assert_eq!(line["rcpt"], "a\"b\n@x");
        assert_eq!(line["delay_ms"], 7);
        assert_eq!(line["level"], "info");
        assert_eq!(line["text"], "It lies there");
        assert!(line["ts"].as_str().unwrap().ends_with('Z'));
    }
}
