//! Tables for a terminal: columns aligned, sizes and ages for people, and nothing in a cell that a
//! terminal would obey.

use std::fmt::Write as _;

/// Widest a cell may be; a longer one is cut.
const MAX_CELL_CHARS: usize = 80;
/// The same for the last cell of a line, which nothing stands behind.
const MAX_LAST_CHARS: usize = 240;

/// A table with one line of headings.
#[derive(Debug, Clone)]
pub struct Table {
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings; a column whose heading begins with `>` is set to the right.
    pub fn new(headings: &[&str]) -> Self {
        let right = headings.iter().map(|h| h.starts_with('>')).collect();
        let names = headings.iter().map(|h| h.trim_start_matches('>').to_owned());
        Self { right, rows: vec![names.collect()] }
    }

    /// One more line; cells beyond the headings are left out.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let columns = self.right.len();
        let most = |n| if n + 1 == columns { MAX_LAST_CHARS } else { MAX_CELL_CHARS };
        let cells = cells.into_iter().take(columns).enumerate();
        self.rows.push(cells.map(|(n, cell)| cut(&plain(&cell), most(n))).collect());
    }

    /// True if there is no line but the headings.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// The table; every line ends in LF.
    pub fn text(&self) -> String {
        let mut widths = vec![0; self.right.len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                // Writing into a String cannot fail.
                let _ = match right {
                    true => write!(line, "{cell:>width$}  "),
                    false => write!(line, "{cell:<width$}  "),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    kept + "…"
}

/// `text` without what a terminal obeys: control characters (escape sequences begin with one) and
/// those that turn the direction of writing become U+FFFD.
pub fn plain(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if obeyed(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn aligns_and_cuts() {
        let mut table = Table::new(&["ID", ">SIZE", "TO"]);
        table.row(["a", "1 B", "jane"].map(str::to_owned));
        table.row(["bbb", "100 B", &"x".repeat(300)].map(str::to_owned));
        let text = table.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "ID    SIZE  TO");
        assert_eq!(lines[1], "a      1 B  jane");
        assert_eq!(lines[2].chars().count(), 12 + 240);
        let mut table = Table::new(&["TO", "SIZE"]);
        table.row(["x".repeat(300), "1 B".to_owned()]);
        assert!(table.text().ends_with("x…  1 B\n") && table.text().lines().all(|l| l.chars().count() < 90));
    }

    proptest! {
        #[test]
        fn nothing_a_terminal_obeys_comes_through(cells in prop::collection::vec(any::<String>(), 0..5)) {
            let mut table = Table::new(&["A", "B", ">C"]);
            table.row(cells);
            let text = table.text();
            prop_assert_eq!(text.lines().count(), 2);
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
