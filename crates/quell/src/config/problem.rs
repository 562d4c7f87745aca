//! Faults of the configuration, drawn with the line they stand in.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `smtp.listen`; empty if the file cannot be read as TOML.
    pub key: String,
    /// Bytes of the file it is about; None: the key is not in the file.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// All faults of a file. Its text form is for people: file, line, column, key, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults {
    /// The file.
    pub file: PathBuf,
    /// Its text, to draw from.
    pub text: String,
    /// The faults, in no particular order.
    pub problems: Vec<Problem>,
}

impl Faults {
    /// Line and column of a problem, both from 1; columns count characters.
    pub fn position(&self, problem: &Problem) -> Option<(usize, usize)> {
        let start = problem.span.as_ref()?.start;
        let before = self.text.get(..start)?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Some((line, column))
    }

    fn draw(&self, problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        let key = if problem.key.is_empty() { String::new() } else { format!(" {}:", problem.key) };
        match self.position(problem) {
            None => writeln!(f, "{file}:{key} {}", problem.message)?,
            Some((line, column)) => {
                writeln!(f, "{file}:{line}:{column}:{key} {}", problem.message)?;
                self.draw_line(problem, (line, column), f)?;
            }
        }
        writeln!(f, "  help: {}", problem.help)
    }

    fn draw_line(
        &self,
        problem: &Problem,
        (line, column): (usize, usize),
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        let text = without_secret(&without_passwords(self.text.lines().nth(line - 1).unwrap_or("")));
        // A tab in the text is a tab under it, so that the caret stands right.
        let indent: String = text.chars().take(column - 1).map(|c| if c == '\t' { c } else { ' ' }).collect();
        let span = problem.span.clone().unwrap_or_default();
        let marked = self.text.get(span).and_then(|s| s.lines().next()).unwrap_or("");
        let carets = "^".repeat(marked.chars().count().max(1));
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, " {margin} |\n {number} | {text}\n {margin} | {indent}{carets}")
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted: Vec<_> = self.problems.iter().collect();
        sorted.sort_by_key(|p| p.span.as_ref().map_or(0, |s| s.start));
        sorted.into_iter().try_for_each(|problem| self.draw(problem, f))
    }
}

/// What stands before the last `@` of a line may hold a password, from `://` on, or from a quote if
/// there is a colon behind it: stars in its place.
fn without_passwords(line: &str) -> String {
    let Some((before, rest)) = line.rsplit_once('@') else { return line.to_owned() };
    let quoted = || before.rfind(['"', '\'']).map(|at| at + 1).filter(|at| before[*at..].contains(':'));
    let Some(at) = before.find("://").map(|at| at + 3).or_else(quoted) else { return line.to_owned() };
    let (front, secret) = before.split_at(at);
    format!("{front}{}@{rest}", "*".repeat(secret.chars().count()))
}

/// Whoever writes a password where none belongs does not want to read it in a log: stars in its place.
fn without_secret(line: &str) -> String {
    let Some((key, value)) = line.split_once('=') else { return line.to_owned() };
    let name = key.trim().to_ascii_lowercase();
    let is_secret = ["password", "passwd", "secret", "token"].iter().any(|word| name.contains(word));
    let is_place = ["_file", "_env", "_command"].iter().any(|end| name.ends_with(end));
    if !is_secret || is_place {
        return line.to_owned();
    }
    let stars = |c: char| if c.is_whitespace() { c } else { '*' };
    format!("{key}={}", value.chars().map(stars).collect::<String>())
}

/// Where keys stand in a file.
pub(super) struct Places<'a>(Option<DeTable<'a>>);

impl<'a> Places<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self(DeTable::parse(text).ok().map(|table| table.into_inner()))
    }

    /// The value at `path` (indices of lists as decimal numbers), or the deepest part of the path
    /// that is there.
    pub(super) fn span(&self, path: &[&str]) -> Option<Range<usize>> {
        Self::span_in(self.0.as_ref()?, path)
    }

    fn span_in(mut table: &DeTable<'_>, path: &[&str]) -> Option<Range<usize>> {
        let mut span = None;
        for (depth, step) in path.iter().enumerate() {
            let Some((key, value)) = table.get_key_value(*step) else {
                break;
            };
            span = Some(key.span());
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                DeValue::Array(items) => {
                    let index = path.get(depth + 1).and_then(|i| i.parse::<usize>().ok());
                    let item = index.and_then(|i| items.get(i));
                    let inside = item.and_then(|item| item.get_ref().as_table());
                    let (Some(inside), Some(rest)) = (inside, path.get(depth + 2..)) else {
                        return Some(item.map_or(value.span(), |item| item.span()));
                    };
                    let heading = item.map(|item| item.span());
                    return Self::span_in(inside, rest).or(heading);
                }
                _ => return Some(value.span()),
            }
        }
        span
    }

    /// The key whose value, or whose name, covers `at`.
    pub(super) fn key_at(&self, at: usize) -> String {
        let mut names: Vec<String> = Vec::new();
        let mut table = self.0.as_ref();
        while let Some(inside) = table.take() {
            for (key, value) in inside.iter() {
                let covers = |span: Range<usize>| span.start <= at && at < span.end.max(span.start + 1);
                if covers(key.span()) || covers(value.span()) || deep(value.get_ref(), &covers) {
                    names.push(key.get_ref().to_string());
                    table = match value.get_ref() {
                        DeValue::Array(items) => items
                            .iter()
                            .filter_map(|item| item.get_ref().as_table())
                            .find(|inside| inside.iter().any(|(k, v)| covers(k.span()) || covers(v.span()))),
                        other => other.as_table(),
                    };
                    break;
                }
            }
        }
        names.join(".")
    }
}

/// A table's own span is its heading alone: what stands below it is looked at too.
fn deep(value: &DeValue<'_>, covers: &impl Fn(Range<usize>) -> bool) -> bool {
    let of_table = |table: &DeTable<'_>| {
        table.iter().any(|(k, v)| covers(k.span()) || covers(v.span()) || deep(v.get_ref(), covers))
    };
    match value {
        DeValue::Table(table) => of_table(table),
        // Tables of one name, each under a heading of its own.
        DeValue::Array(items) => items.iter().filter_map(|item| item.get_ref().as_table()).any(of_table),
        _ => false,
    }
}
