//! A cell of a table and the one way in which its value is written.

use serde::Serialize;
use umid::report::count as grouped;
use umid_detect::Interval;

const MINUS: char = '\u{2212}';
pub(super) const NO_BREAK: char = '\u{a0}';

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A count: `12,000`.
    Count(u64),
    /// A single number, with digits after the point: `0.42`.
    Number {
        /// The value.
        value: f64,
        /// Digits after the point.
        digits: usize,
    },
    /// An estimate with its interval: `.917 (.899–.935)`.
    Interval {
        /// The values.
        interval: Interval,
        /// Digits after the point.
        digits: usize,
    },
    /// A difference with its interval and with signs: `+.021 (−.003 to +.045)`.
    Difference {
        /// The values.
        interval: Interval,
        /// Digits after the point.
        digits: usize,
    },
    /// A share with its interval, in per cent: `12.3 % (8.0–17.1)`. In a CSV file it stays a
    /// fraction of 1.
    Share {
        /// The values, as fractions of 1.
        interval: Interval,
        /// Digits after the point, of the percentage.
        digits: usize,
    },
    /// The sample cannot resolve the value; why not.
    Unresolved(String),
    /// The computation failed; why.
    Failed(String),
    /// Nothing was asked for.
    Empty,
}

/// How a cell is written, before any markup.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shown {
    Words(String),
    Number(String),
    Unresolved(String),
    Failed(String),
    Empty,
}

impl Cell {
    /// Words.
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// The value as it is shown in every format but CSV.
    pub(super) fn shown(&self) -> Shown {
        match self {
            Self::Text(text) => Shown::Words(text.clone()),
            Self::Count(count) => Shown::Number(grouped(*count)),
            Self::Number { value, digits } => match number(*value, *digits) {
                Some(text) => Shown::Number(text),
                None => not_finite(),
            },
            Self::Interval { interval, digits } => {
                shown_interval(interval, |x| number(x, *digits).map(without_leading_zero), "")
            }
            Self::Difference { interval, digits } => shown_interval(
                interval,
                |x| number(x, *digits).map(|text| with_sign(without_leading_zero(text))),
                "",
            ),
            Self::Share { interval, digits } => {
                let unit = format!("{NO_BREAK}%");
                shown_interval(interval, |x| number(100.0 * x, *digits), &unit)
            }
            Self::Unresolved(reason) => Shown::Unresolved(reason.clone()),
            Self::Failed(reason) => Shown::Failed(reason.clone()),
            Self::Empty => Shown::Empty,
        }
    }

    /// Estimate, lower and upper end, to the last digit; `None` for a cell without a finite value.
    pub(super) fn values(&self) -> Option<Interval> {
        let single = |x: f64| Interval { estimate: x, low: x, high: x };
        let values = match self {
            Self::Count(count) => single(*count as f64),
            Self::Number { value, .. } => single(*value),
            Self::Interval { interval, .. }
            | Self::Difference { interval, .. }
            | Self::Share { interval, .. } => *interval,
            Self::Text(_) | Self::Unresolved(_) | Self::Failed(_) | Self::Empty => return None,
        };
        is_finite(&values).then_some(values)
    }
}

/// `.917 (.899–.935)`, as tables and figures write an area; `None` when a value is not finite.
pub fn interval_text(interval: &Interval, digits: usize) -> Option<String> {
    match (Cell::Interval { interval: *interval, digits }).shown() {
        Shown::Number(text) => Some(text),
        _ => None,
    }
}

fn not_finite() -> Shown {
    Shown::Failed("the value is not a finite number".to_owned())
}

fn is_finite(interval: &Interval) -> bool {
    [interval.estimate, interval.low, interval.high].iter().all(|x| x.is_finite())
}

fn shown_interval(interval: &Interval, write: impl Fn(f64) -> Option<String>, unit: &str) -> Shown {
    let texts = (write(interval.estimate), write(interval.low), write(interval.high));
    let (Some(estimate), Some(low), Some(high)) = texts else {
        return not_finite();
    };
    // A dash between signs would read as one of them.
    let signed = [&low, &high].iter().any(|text| text.starts_with([MINUS, '+']));
    let to = if signed { " to " } else { "\u{2013}" };
    Shown::Number(format!("{estimate}{unit} ({low}{to}{high})"))
}

/// A number with a true minus sign and without a negative zero; `None` when it is not finite.
fn number(value: f64, digits: usize) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let text = format!("{:.digits$}", value.abs());
    let is_zero = text.chars().all(|c| matches!(c, '0' | '.'));
    Some(if value < 0.0 && !is_zero { format!("{MINUS}{text}") } else { text })
}

/// `.917` for `0.917`; zero itself keeps its form: `.000`.
fn without_leading_zero(text: String) -> String {
    match text.strip_prefix(MINUS) {
        Some(magnitude) => format!("{MINUS}{}", without_leading_zero(magnitude.to_owned())),
        None => match text.strip_prefix("0.") {
            Some(digits) => format!(".{digits}"),
            None => text,
        },
    }
}

fn with_sign(text: String) -> String {
    let is_zero = text.chars().all(|c| matches!(c, '0' | '.'));
    if is_zero || text.starts_with(MINUS) { text } else { format!("+{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(estimate: f64, low: f64, high: f64) -> Interval {
        Interval { estimate, low, high }
    }

    #[test]
    fn numbers_are_written_one_way() {
        let cases = [
            (Cell::Count(1_234_567), "1,234,567"),
            (Cell::Number { value: -0.0004, digits: 2 }, "0.00"),
            (Cell::Number { value: -1.5, digits: 2 }, "\u{2212}1.50"),
            (
                Cell::Interval { interval: interval(0.9172, 0.8991, 0.9349), digits: 3 },
                ".917 (.899\u{2013}.935)",
            ),
            (
                Cell::Interval { interval: interval(1.0, 0.99951, 1.0), digits: 3 },
                "1.000 (1.000\u{2013}1.000)",
            ),
            (
                Cell::Difference { interval: interval(0.021, -0.003, 0.045), digits: 3 },
                "+.021 (\u{2212}.003 to +.045)",
            ),
            (
                Cell::Difference { interval: interval(0.0, 0.0, 0.0), digits: 3 },
                ".000 (.000\u{2013}.000)",
            ),
            (
                Cell::Share { interval: interval(0.123, 0.08, 0.1705), digits: 1 },
                "12.3\u{a0}% (8.0\u{2013}17.1)",
            ),
        ];
        for (cell, text) in cases {
            assert_eq!(cell.shown(), Shown::Number(text.to_owned()));
        }
    }

    #[test]
    fn a_value_that_is_not_finite_is_no_value() {
        let cell = Cell::Interval { interval: interval(0.5, f64::NAN, 0.6), digits: 3 };
        assert!(matches!(cell.shown(), Shown::Failed(_)));
        assert_eq!(cell.values(), None);
        assert_eq!(interval_text(&interval(f64::INFINITY, 0.0, 1.0), 3), None);
    }
}
