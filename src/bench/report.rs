//! What a measurement says, and the table in which people read it.

use super::stats::Estimate;
use std::fmt::Write as _;

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The figure, with its unit.
    pub value: String,
    /// Its interval.
    pub interval: String,
    /// Samples, in words if they need some.
    pub samples: String,
    /// What it must reach; empty for a figure that is only told.
    pub bar: String,
    /// Whether it does; none where there is no bar.
    pub met: Option<bool>,
}

/// A group of lines that were measured together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Section {
    /// The lines.
    pub rows: Vec<Row>,
    /// How it was measured, and what a reader must know; one sentence or two each.
    pub notes: Vec<String>,
    /// True if something could not be measured.
    pub failed: bool,
}

/// An upper bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// The bound, in the row's unit.
    pub most: f64,
    /// In words.
    pub words: String,
}

impl Bar {
    /// At most `most`, in words.
    pub fn at_most(most: f64, words: impl Into<String>) -> Option<Self> {
        Some(Self { most, words: words.into() })
    }
}

impl Row {
    /// A figure that is only told.
    pub fn told(what: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            value: value.into(),
            interval: String::new(),
            samples: String::new(),
            bar: String::new(),
            met: None,
        }
    }

    /// A figure that a bar decides on.
    pub fn judged(what: impl Into<String>, value: impl Into<String>, bar: impl Into<String>, met: bool) -> Self {
        Self { bar: bar.into(), met: Some(met), ..Self::told(what, value) }
    }

    /// An estimate in `unit`, with a bar or without.
    pub fn estimated(what: impl Into<String>, estimate: Option<Estimate>, unit: &str, bar: Option<Bar>) -> Self {
        let Some(estimate) = estimate else { return Self::told(what, "no sample") };
        let word = if estimate.confident { "" } else { "all between " };
        let mut row = Self::told(what, join(&number(estimate.value), unit));
        row.interval = format!("{word}{} – {}", number(estimate.low), number(estimate.high));
        row.samples = estimate.count.to_string();
        if let Some(bar) = bar {
            row.met = Some(estimate.value <= bar.most);
            row.bar = bar.words;
        }
        row
    }

    fn verdict(&self) -> &'static str {
        match self.met {
            Some(true) => "met",
            Some(false) => "**not met**",
            None => "",
        }
    }
}

impl Section {
    /// A measurement that could not be made.
    pub fn failed(what: &str, why: &str) -> Self {
        Self { rows: vec![Row::told(what, "not measured")], notes: vec![format!("{what}: {why}")], failed: true }
    }
}

/// `value` with as many digits as a reader can use.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn join(number: &str, unit: &str) -> String {
    if unit.is_empty() { number.to_owned() } else { format!("{number} {unit}") }
}

/// The whole report as Markdown, its table padded so that it reads on a terminal too.
pub fn render(facts: &[(String, String)], sections: &[Section]) -> String {
    let mut text = String::from("# What falld reaches, measured\n\nMade by `falld bench`; do not edit.\n\n");
    for (name, value) in facts {
        let _ = writeln!(text, "- **{name}**: {value}");
    }
    text.push('\n');
    let head = ["Measured", "Value", "95 % interval", "n", "Bar", "Verdict"].map(str::to_owned);
    let rows = sections.iter().flat_map(|section| &section.rows).map(|row| {
        let verdict = row.verdict().to_owned();
        [&row.what, &row.value, &row.interval, &row.samples, &row.bar, &verdict].map(Clone::clone)
    });
    table(&mut text, &std::iter::once(head).chain(rows).collect::<Vec<_>>());
    text.push_str(
        "\nIntervals are order statistics, free of an assumption on the distribution. \"All between\" names the least \
         and the greatest of samples too few for an interval.\n\n",
    );
    for note in sections.iter().flat_map(|section| &section.notes) {
        let _ = writeln!(text, "- {note}");
    }
    text
}

fn table(text: &mut String, rows: &[[String; 6]]) {
    let mut widths = [3; 6];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for (index, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(text, "| {cell}{:pad$} ", "", pad = width - cell.chars().count());
        }
        text.push_str("|\n");
        if index == 0 {
            for width in widths {
                let _ = write!(text, "|{:-<width$}", "", width = width + 2);
            }
            text.push_str("|\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::stats::estimate;

    #[test]
    fn a_bar_is_met_or_not_in_plain_words() {
        let samples = || estimate((1..=100).map(f64::from), 0.5);
        let met = Row::estimated("a", samples(), "ms", Bar::at_most(60.0, "≤ 60 ms"));
        assert_eq!((met.value.as_str(), met.interval.as_str(), met.met), ("51.0 ms", "40.0 – 61.0", Some(true)));
        let missed = Row::estimated("b", samples(), "ms", Bar::at_most(50.0, "≤ 50 ms"));
        let section = Section { rows: vec![met, missed], ..Section::default() };
        let text = render(&[("Date".into(), "today".into())], &[section]);
        assert!(text.contains("- **Date**: today"), "{text}");
        assert!(text.contains("| **not met** |") && text.contains("| met         |"), "{text}");
    }

    #[test]
    fn few_samples_say_so_and_none_too() {
        assert_eq!(Row::estimated("a", estimate([1.0, 3.0], 0.5), "s", None).interval, "all between 1.00 – 3.00");
        assert_eq!(Row::estimated("a", None, "s", Bar::at_most(1.0, "≤ 1 s")).met, None);
    }

    #[test]
    fn small_figures_keep_their_digits() {
        assert_eq!([0.0, 0.0321, 0.5, 12.34, 187.4].map(number), ["0.00", "0.0321", "0.50", "12.3", "187"]);
    }
}
