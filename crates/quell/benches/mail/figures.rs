//! What a measurement gives: rows of numbers, figures with their aims, broken promises.

use std::collections::BTreeMap;

/// One row of a table: who, and the numbers of each round.
pub struct Row {
    pub who: String,
    /// In the order of [`Section::columns`]; each with its rounds.
    pub cells: Vec<Vec<f64>>,
}

/// A figure that is to be reached.
pub struct Figure {
    /// What it is, with its aim: `at least 8 × Postfix`.
    pub what: String,
    pub aim: Aim,
    pub measured: f64,
    /// Behind the number.
    pub unit: &'static str,
}

/// Which side of a number is the good one.
#[derive(Clone, Copy)]
pub enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Figure {
    pub fn is_reached(&self) -> bool {
        match self.aim {
            Aim::AtLeast(least) => self.measured >= least,
            Aim::AtMost(most) => self.measured <= most,
        }
    }
}

/// The result of one measurement.
#[derive(Default)]
pub struct Section {
    pub title: String,
    /// How it was measured, for those who read the numbers.
    pub notes: Vec<String>,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Row>,
    pub figures: Vec<Figure>,
    /// CPU milliseconds of each thread of a row's server, in the last round.
    pub threads: BTreeMap<String, BTreeMap<String, f64>>,
    /// Lost, doubled, or not counted.
    pub faults: Vec<String>,
}

impl Section {
    /// The median of a cell over its rounds; not a number where all of them failed.
    pub fn median(&self, who: &str, column: &str) -> f64 {
        let index = self.columns.iter().position(|name| *name == column).expect("a column");
        let row = self.rows.iter().find(|row| row.who == who);
        row.map_or(f64::NAN, |row| median(&row.cells[index]))
    }

    /// One row's number by another's: the median over the rounds, each round by itself, since what else
    /// the machine does changes from round to round.
    pub fn ratio(&self, who: &str, to: &str, column: &str) -> f64 {
        let index = self.columns.iter().position(|name| *name == column).expect("a column");
        let rounds = |who: &str| self.rows.iter().find(|row| row.who == who).map(|row| &row.cells[index]);
        let (Some(ours), Some(theirs)) = (rounds(who), rounds(to)) else { return f64::NAN };
        median(&ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
    }

    /// How it was measured.
    pub fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    /// A promise was broken, or a run did not come to its end. Said at once.
    pub fn fault(&mut self, who: &str, fault: &str) {
        println!("  {who}: FAILED: {fault}");
        self.faults.push(format!("{}: {who}: {fault}", self.title));
    }

    /// Adds the numbers of one round to a row, which is made if it is new.
    pub fn add(&mut self, who: &str, cells: &[f64]) {
        assert_eq!(cells.len(), self.columns.len(), "a number for each column");
        let index = self.rows.iter().position(|row| row.who == who).unwrap_or_else(|| {
            self.rows.push(Row { who: who.to_owned(), cells: vec![Vec::new(); cells.len()] });
            self.rows.len() - 1
        });
        self.rows[index].cells.iter_mut().zip(cells).for_each(|(rounds, cell)| rounds.push(*cell));
    }

    pub fn figure(&mut self, what: impl Into<String>, aim: Aim, measured: f64, unit: &'static str) {
        self.figures.push(Figure { what: what.into(), aim, measured, unit });
    }
}

/// The middle one; of an even number, the mean of the two in the middle. 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        len if len % 2 == 1 => sorted[len / 2],
        len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
    }
}

/// With as many places as a reader can use.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size.is_nan() => "–".to_owned(),
        size if size >= 1000.0 => thousands(value),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
