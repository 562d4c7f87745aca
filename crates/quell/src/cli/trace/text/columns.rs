//! Lines of a terminal: their width, their breaks, their colours.

use super::super::clean::is_mark;

/// Colours, by what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Plain,
    Bold,
    Dim,
    /// A server that makes copies.
    Alarm,
    /// An open question.
    Doubt,
    /// Equal in both copies.
    Same,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Alarm => "\x1b[1;31m",
            Self::Doubt => "\x1b[33m",
            Self::Same => "\x1b[32m",
        }
    }
}

/// What ends a colour.
const END: &str = "\x1b[0m";

/// Lines being written.
#[derive(Debug)]
pub struct Lines {
    /// What is written.
    pub text: String,
    /// Columns there are.
    pub width: usize,
    colour: bool,
}

impl Lines {
    pub fn new(width: usize, colour: bool) -> Self {
        Self { text: String::new(), width, colour }
    }

    /// One line of pieces, as they are.
    pub fn line(&mut self, pieces: &[(&str, Ink)]) {
        for (piece, ink) in pieces {
            if self.colour && *ink != Ink::Plain && !piece.trim().is_empty() {
                self.text.extend([ink.code(), piece, END]);
            } else {
                self.text.push_str(piece);
            }
        }
        let kept = self.text.trim_end_matches(' ').len();
        self.text.truncate(kept);
        self.text.push('\n');
    }

    pub fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A sentence on as many lines as it needs, each set in by `indent`.
    pub fn wrapped(&mut self, indent: usize, text: &str, ink: Ink) {
        let margin = " ".repeat(indent);
        for line in wrap(text, self.width.saturating_sub(indent)) {
            self.line(&[(&margin, Ink::Plain), (&line, ink)]);
        }
    }
}

/// Columns that `text` takes: two for the wide letters of East Asia and for emoji, none for marks.
pub fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

fn width_of(c: char) -> usize {
    let wide = matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{303e}' | '\u{3041}'..='\u{a4cf}')
        || matches!(c, '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}')
        || matches!(c, '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}')
        || matches!(c, '\u{231a}'..='\u{231b}' | '\u{23e9}'..='\u{23f3}' | '\u{2614}'..='\u{2615}')
        || matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}');
    match c {
        c if is_mark(c) => 0,
        _ if wide => 2,
        _ => 1,
    }
}

/// As much of `text` as fits into `room` columns; an ellipsis stands for the rest.
pub fn fit(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let (mut kept, mut taken) = (String::new(), 0);
    for c in text.chars() {
        taken += width_of(c);
        if taken + 1 > room {
            break;
        }
        kept.push(c);
    }
    kept + "…"
}

/// `text` in exactly `room` columns.
pub fn padded(text: &str, room: usize) -> String {
    let text = fit(text, room);
    let missing = room.saturating_sub(width(&text));
    text + &" ".repeat(missing)
}

/// `text` in lines of at most `room` columns, at least one column; long words are broken.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let room = room.max(2);
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_whitespace() {
        let needs = width(word) + usize::from(!line.is_empty());
        if !line.is_empty() && width(&line) + needs > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        let mut taken = width(&line);
        for c in word.chars() {
            if taken + width_of(c) > room {
                lines.push(std::mem::take(&mut line));
                taken = 0;
            }
            line.push(c);
            taken += width_of(c);
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_are_never_too_wide(text in "[a-z日e\u{301} ]{0,200}", room in 2_usize..80) {
            let lines = wrap(&text, room);
            prop_assert!(lines.iter().all(|line| width(line) <= room));
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
            prop_assert_eq!(width(&padded(&text, room)), room);
        }
    }
}
