//! The terminal that the answer is for.

use std::io::{self, IsTerminal};

use super::text::TextOptions;

/// Columns where nothing tells how many there are: a file, a pipe.
const WIDTH: usize = 100;

/// What standard output and the environment ask for.
pub(in crate::cli) fn options(all: bool) -> TextOptions {
    let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let is_terminal = io::stdout().is_terminal();
    let columns = || terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    let width = width(value("COLUMNS").as_deref(), columns());
    let colour = colour(is_terminal, value("NO_COLOR").is_some(), value("TERM").as_deref());
    TextOptions { width, colour, all }
}

fn width(columns: Option<&str>, terminal: Option<usize>) -> usize {
    let said = columns.and_then(|columns| columns.trim().parse().ok());
    said.or(terminal).filter(|width| *width > 0).unwrap_or(WIDTH)
}

/// NO_COLOR: <https://no-color.org>.
fn colour(is_terminal: bool, no_colour: bool, term: Option<&str>) -> bool {
    is_terminal && !no_colour && term != Some("dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_comes_before_what_is_there() {
        assert_eq!(
            [width(Some("72"), Some(200)), width(None, Some(200)), width(None, None)],
            [72, 200, WIDTH]
        );
        assert_eq!([width(Some("wide"), Some(80)), width(Some("0"), None)], [80, WIDTH]);
        assert!(colour(true, false, Some("xterm")) && colour(true, false, None));
        assert!(!colour(false, false, Some("xterm")) && !colour(true, true, None));
        assert!(!colour(true, false, Some("dumb")));
    }
}
