//! The live display, on standard error: a few lines drawn over on a terminal, else a line now and then.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::figures::Sample;

/// Between two drawings on a terminal; without one, between two lines.
const DRAW_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(2);
/// Characters of the bar.
const BAR: usize = 24;

/// Shows how far it is.
pub struct Show {
    out: Box<dyn Write>,
    mode: Mode,
    drawn_lines: usize,
    last: Option<Instant>,
    before: Option<Sample>,
}

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Terminal,
    Lines,
    Silent,
}

/// What is shown.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// How far it is.
    pub sample: Sample,
    /// What it goes to.
    pub copies_limit: u64,
    /// The other mail: taken, arrived, the last delay.
    pub others: (u64, u64, Option<u64>),
    /// The faulty servers have been stopped, and what is under way arrives.
    pub draining: bool,
}

impl Show {
    /// On standard error. Without a terminal it is silent if `quiet`.
    pub fn new(quiet: bool) -> Self {
        let mode = match (io::stderr().is_terminal(), quiet) {
            (true, _) => Mode::Terminal,
            (false, true) => Mode::Silent,
            (false, false) => Mode::Lines,
        };
        Self { out: Box::new(io::stderr()), mode, drawn_lines: 0, last: None, before: None }
    }

    /// Says something that stays.
    pub fn say(&mut self, text: &str) {
        if self.mode != Mode::Silent {
            self.write(&format!("{text}\n"));
        }
        self.drawn_lines = 0;
        self.last = None;
        self.before = None;
    }

    /// Shows `scene`, if it is time.
    pub fn scene(&mut self, scene: &Scene) {
        let every = if self.mode == Mode::Terminal { DRAW_EVERY } else { LINE_EVERY };
        if self.last.is_none_or(|last| last.elapsed() >= every) {
            self.last_of_all(scene);
        }
    }

    /// Shows `scene` at any rate: the last one of a run.
    pub fn last_of_all(&mut self, scene: &Scene) {
        self.last = Some(Instant::now());
        let rate = rate(self.before, scene.sample);
        self.before = Some(scene.sample);
        match self.mode {
            Mode::Silent => {}
            Mode::Lines => self.write(&format!("{}\n", one_line(scene))),
            Mode::Terminal => {
                let text = drawing(scene, rate);
                // Back to the first line of the last drawing (ECMA-48 CPL), and over it.
                let back =
                    if self.drawn_lines > 0 { format!("\x1b[{}F", self.drawn_lines) } else { String::new() };
                self.drawn_lines = text.lines().count();
                let drawn: String = text.lines().map(|line| format!("{line}\x1b[K\n")).collect();
                // Without wrapping (DECAWM): a line that a narrow terminal broke would count as two.
                self.write(&format!("\x1b[?7l{back}{drawn}\x1b[?7h"));
            }
        }
    }

    fn write(&mut self, text: &str) {
        // A display that cannot be shown is not worth the demonstration.
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

/// Copies arriving at the gateway, in a second.
fn rate(before: Option<Sample>, now: Sample) -> Option<u64> {
    let before = before?;
    let (copies, ms) = (now.copies_sent.checked_sub(before.copies_sent)?, now.ms.checked_sub(before.ms)?);
    (copies * 1000).checked_div(ms)
}

fn drawing(scene: &Scene, rate: Option<u64>) -> String {
    let Sample { ms, copies_sent, arrived, absorbed } = scene.sample;
    let state = if scene.draining { ", cut off; the rest arrives" } else { "" };
    let share = (copies_sent.min(scene.copies_limit) as usize * BAR) / scene.copies_limit.max(1) as usize;
    let bar = "█".repeat(share) + &"░".repeat(BAR.saturating_sub(share));
    let rate = rate.map_or_else(String::new, |rate| format!("{} a second", thousands(rate)));
    let mut text = format!("  {}.{} s{state}\n", ms / 1000, ms / 100 % 10);
    let mut line = |name: &str, number: String, more: &str| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "    {name:<36}{number:>12}  {more}");
    };
    line("sent by the faulty servers", thousands(copies_sent), &bar);
    line("  arriving at the gateway", rate, "");
    let absorbed = absorbed.map_or_else(|| "-".to_owned(), thousands);
    line("absorbed", absorbed, "");
    line("delivered into mailboxes", thousands(arrived), "");
    let (sent, arrived, delay) = scene.others;
    let delay = delay.map_or_else(String::new, |ms| format!("the last one took {}", milliseconds(ms)));
    line("other mail sent, arrived", format!("{sent}, {arrived}"), &delay);
    text
}

fn one_line(scene: &Scene) -> String {
    let Sample { ms, copies_sent, arrived, absorbed } = scene.sample;
    let absorbed = absorbed.map_or_else(String::new, |n| format!(", {} absorbed", thousands(n)));
    let (sent, others_arrived, delay) = scene.others;
    let delay = delay.map_or_else(String::new, |ms| format!(", the last took {}", milliseconds(ms)));
    format!(
        "  {}.{} s: {} copies sent{absorbed}, {} delivered; other mail: {sent} sent, {others_arrived} arrived{delay}",
        ms / 1000,
        ms / 100 % 10,
        thousands(copies_sent),
        thousands(arrived),
    )
}

/// A number with commas between its thousands.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A short time for people.
pub fn milliseconds(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1000, ms / 100 % 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(ms: u64, copies_sent: u64) -> Scene {
        let sample = Sample { ms, copies_sent, arrived: 200, absorbed: Some(copies_sent) };
        let others = (12, 11, Some(7));
        Scene { sample, copies_limit: 10_000, others, draining: false }
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 999, 1000, 61_250].map(milliseconds), ["0 ms", "999 ms", "1.0 s", "61.2 s"]);
    }

    #[test]
    fn a_drawing_has_always_as_many_lines_and_fits() {
        for copies in [0, 4_999, 10_000, 1_000_000] {
            let text = drawing(&scene(1500, copies), Some(copies));
            assert_eq!(text.lines().count(), 6);
            assert!(text.lines().all(|line| line.chars().count() < 80), "{text}");
        }
        assert!(drawing(&scene(1500, 5_000), None).contains(&("█".repeat(12) + &"░".repeat(12))));
    }

    #[test]
    fn the_rate_is_that_since_the_last_drawing() {
        let (before, now) = (scene(1000, 500).sample, scene(1500, 1500).sample);
        assert_eq!(rate(Some(before), now), Some(2000));
        assert_eq!((rate(None, now), rate(Some(now), now), rate(Some(now), before)), (None, None, None));
    }
}
