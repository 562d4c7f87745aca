//! What may have been meant by a file that cannot be read.

use std::ops::Range;

/// Letters that may be wrong in a key for it to be taken for another.
const MOST_WRONG: usize = 2;

/// What to do about a fault of `text` at `span`, for which the reader has `message`. None: nothing
/// that is known.
pub(super) fn of(text: &str, span: Option<&Range<usize>>, message: &str) -> Option<String> {
    let before = text.get(..span?.start)?;
    let at = before.matches('\n').count();
    if message.contains("duplicate key") {
        return twice(text, at);
    }
    if message.ends_with("expected a sequence") {
        return Some(list_wanted(text, at));
    }
    let unknown = message.strip_prefix("unknown field ")?;
    if unknown.starts_with("`password`") && heading(text, at) == Some("[[pickup]]") {
        let help = "no password is written here: name where it is, with `password_file`, `password_env` or `password_command`";
        return Some(help.to_owned());
    }
    if let Some((table, name)) = unquoted_name(text, at) {
        return Some(format!("write the name in quotes: [{table}.\"{name}\"]"));
    }
    did_you_mean(unknown)
}

/// The table or key in the line `at` (from 0) stands in an earlier one, too.
fn twice(text: &str, at: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().take(at + 1).map(str::trim).collect();
    let (last, earlier) = lines.split_last()?;
    if last.starts_with('[') {
        let name = |line: &str| line.split_once(']').map_or(line.to_owned(), |(name, _)| name.to_owned());
        let line = earlier.iter().position(|line| name(line) == name(last))? + 1;
        return Some(format!("this table stands at line {line} already: change it there"));
    }
    let key = |line: &str| line.split_once('=').map(|(key, _)| key.trim().to_owned());
    let table = earlier.iter().rposition(|line| line.starts_with('[')).unwrap_or(0);
    let line = table + earlier[table..].iter().position(|line| key(line) == key(last))? + 1;
    Some(format!("this key stands at line {line} already: change it there"))
}

/// One stands in the line `at` (from 0) where there may be several.
fn list_wanted(text: &str, at: usize) -> String {
    let line = text.lines().nth(at).unwrap_or_default().trim();
    match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => format!("write [[{name}]]: there may be several"),
        None => "write a list: [\"…\", \"…\"]".to_owned(),
    }
}

/// The heading of the table that the line `at` (from 0) is in.
fn heading(text: &str, at: usize) -> Option<&str> {
    text.lines().take(at + 1).map(str::trim).filter(|line| line.starts_with('[')).last()
}

/// The table and the domain whose heading stands at or above the line `at` (from 0), if its dots part keys.
fn unquoted_name(text: &str, at: usize) -> Option<(&str, &str)> {
    let (table, name) = heading(text, at)?.strip_prefix('[')?.split_once(']')?.0.split_once('.')?;
    let is_named = ["domains", "next_hops"].contains(&table);
    (is_named && name.contains('.') && !name.contains(['"', '\''])).then_some((table, name))
}

/// Of `` `wrong`, expected one of `a`, `b` `` the one that is nearest to the wrong one.
fn did_you_mean(unknown: &str) -> Option<String> {
    let mut names = unknown.split('`').skip(1).step_by(2);
    let wrong = names.next()?;
    let near = names.map(|name| (distance(wrong, name), name)).min()?;
    (near.0 <= MOST_WRONG).then(|| format!("did you mean `{}`?", near.1))
}

/// How many letters are to be changed, put in or taken out to make `b` of `a`. Time and memory grow
/// with the product of their lengths; a name that is longer than any key is as far as it is long.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > MOST_WRONG {
        return a.len().max(b.len());
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn letters_are_counted() {
        for (a, b, expected) in [
            ("", "", 0),
            ("via", "via", 0),
            ("vai", "via", 2),
            ("vi", "via", 1),
            ("vias", "via", 1),
            ("x", "via", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
        assert_eq!(
            did_you_mean("`hostnam`, expected one of `data`, `hostname`").unwrap(),
            "did you mean `hostname`?"
        );
        assert_eq!(did_you_mean("`colour`, expected `data` or `hostname`"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "([a-z\"=\\[\\]. `\n]|ü|domains){0,40}", at in 0usize..60, kind in 0usize..3) {
            let message = ["duplicate key", "unknown field `x`, expected `y`", "expected a sequence"][kind];
            of(&text, Some(&(at..at + 1)), message);
        }

        #[test]
        fn it_is_the_same_both_ways(a in "[ab]{0,6}", b in "[ab]{0,6}") {
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            prop_assert_eq!(distance(&a, &b) == 0, a == b);
        }
    }
}
