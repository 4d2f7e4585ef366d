//! Axes with ticks where a reader expects them: decades on a logarithmic axis, the measured numbers
//! of exposures, round steps on a linear one.

use anyhow::ensure;

use super::canvas::{Anchor, Canvas, FRAME, GRID, LINE, WIDTH, text_width};

/// About as many ticks as a linear axis gets.
const TICKS: f64 = 5.0;
/// Space at the left for the labels of the vertical axis.
pub(super) const LEFT: i32 = 104;
/// Space at the right for half a label.
const RIGHT: i32 = 30;

/// How values are placed along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    Logarithmic,
}

/// An axis: its ends, its scale and where its ticks are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub title: String,
    low: f64,
    high: f64,
    scale: Scale,
    ticks: Vec<f64>,
}

impl Axis {
    /// An axis with ticks at given values. The ends are finite, the lower below the upper, and above
    /// 0 on a logarithmic axis.
    pub(super) fn new(
        title: &str,
        (low, high): (f64, f64),
        scale: Scale,
        ticks: Vec<f64>,
    ) -> anyhow::Result<Self> {
        ensure!(
            low < high && low.is_finite() && high.is_finite(),
            "axis `{title}` has ends {low} and {high}; leave out values that are not finite"
        );
        ensure!(
            scale == Scale::Linear || low > 0.0,
            "axis `{title}` is logarithmic and starts at {low}; leave out values that are not above 0"
        );
        let within = |tick: &f64| (low..=high).contains(tick);
        let ticks = ticks.into_iter().filter(within).collect();
        Ok(Self { title: title.to_owned(), low, high, scale, ticks })
    }

    /// A linear axis with round ticks over the values and a margin.
    pub(super) fn covering(title: &str, values: impl Iterator<Item = f64>) -> anyhow::Result<Self> {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        ensure!(low <= high, "axis `{title}` has no finite value; there is nothing to draw");
        // One value alone still needs a range.
        let margin = 0.05 * (high - low).max(1e-3 * high.abs()).max(1e-9);
        Self::linear(title, (low - margin, high + margin))
    }

    /// A linear axis with round ticks.
    pub(super) fn linear(title: &str, (low, high): (f64, f64)) -> anyhow::Result<Self> {
        let step = round_step((high - low) / TICKS);
        let first = (low / step).ceil();
        let count = ((high / step - first).floor().max(0.0) as usize).min(20);
        let ticks = (0..=count).map(|i| (first + i as f64) * step).collect();
        Self::new(title, (low, high), Scale::Linear, ticks)
    }

    /// Place of a value between two coordinates.
    fn place(&self, value: f64, from: i32, to: i32) -> i32 {
        let along = |x: f64| match self.scale {
            Scale::Linear => x,
            Scale::Logarithmic => x.ln(),
        };
        let share = (along(value) - along(self.low)) / (along(self.high) - along(self.low));
        from + (share * f64::from(to - from)).round() as i32
    }

    /// A value held within the ends.
    pub(super) fn within(&self, value: f64) -> f64 {
        value.clamp(self.low, self.high)
    }
}

/// 1, 2, 5 or 10 times a power of ten, near `step`.
fn round_step(step: f64) -> f64 {
    // About the ratio up to which rounding down is the smaller change.
    const DOWN: f64 = 1.4;
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power * DOWN >= step);
    factor.unwrap_or(10.0) * power
}

/// A tick's value without needless digits: `.25`, `1`, `1,000` as `1000`.
fn tick_text(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text.strip_prefix("-") {
        Some("0") => "0".to_owned(),
        Some(magnitude) => format!("\u{2212}{magnitude}"),
        None => text.to_owned(),
    }
}

/// The area between two axes.
pub(super) struct Plot {
    pub x: Axis,
    pub y: Axis,
    left: i32,
    top: i32,
    bottom: i32,
}

impl Plot {
    /// Height of everything around the area: a title above it, labels and a title below.
    pub(super) const AROUND: i32 = 3 * LINE + Self::TITLE_GAP + 10;
    /// Between the vertical axis' title and its highest label.
    const TITLE_GAP: i32 = 12;

    /// An area that fills a sheet from `top` downwards, its titles included.
    pub(super) fn new(x: Axis, y: Axis, top: i32, height: i32) -> Self {
        let top = top + LINE + Self::TITLE_GAP;
        Self { x, y, left: LEFT, top, bottom: top + height }
    }

    /// The area over the whole width, for a vertical axis without labels.
    pub(super) fn over_the_whole_width(self) -> Self {
        Self { left: RIGHT, ..self }
    }

    pub(super) fn left(&self) -> i32 {
        self.left
    }

    pub(super) fn right() -> i32 {
        WIDTH - RIGHT
    }

    pub(super) fn top(&self) -> i32 {
        self.top
    }

    pub(super) fn bottom(&self) -> i32 {
        self.bottom
    }

    /// Where a point stands on the sheet.
    pub(super) fn at(&self, x: f64, y: f64) -> (i32, i32) {
        let across = self.x.place(x, self.left, Self::right());
        (across, self.y.place(y, self.bottom, self.top))
    }

    /// Grid, ticks and titles. The vertical axis has its title above it, where it needs no turning
    /// of the head.
    pub(super) fn draw(&self, canvas: &Canvas<'_>) -> anyhow::Result<()> {
        let (left, right) = (self.left, Self::right());
        for &tick in &self.y.ticks {
            let (_, y) = self.at(self.x.low, tick);
            canvas.line(&[(left, y), (right, y)], GRID, 2, &[])?;
            canvas.text(&tick_text(tick), (left - 14, y), Anchor::End)?;
        }
        let mut free_from = i32::MIN;
        for &tick in &self.x.ticks {
            let (x, _) = self.at(tick, self.y.low);
            canvas.line(&[(x, self.top), (x, self.bottom)], GRID, 2, &[])?;
            canvas.line(&[(x, self.bottom), (x, self.bottom + 10)], FRAME, 2, &[])?;
            let text = tick_text(tick);
            let half = text_width(&text) / 2 + 6;
            // Neighbouring numbers of exposures may be too close for two labels.
            if x - half >= free_from {
                canvas.text(&text, (x, self.bottom + 14), Anchor::Below)?;
                free_from = x + half;
            }
        }
        canvas.line(
            &[(left, self.top), (left, self.bottom), (right, self.bottom)],
            FRAME,
            2,
            &[],
        )?;
        canvas.text(&self.y.title, (8, self.top - Self::TITLE_GAP - LINE / 2), Anchor::Start)?;
        let middle = i32::midpoint(left, right);
        canvas.text(&self.x.title, (middle, self.bottom + LINE + 16), Anchor::Below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let axis = Axis::linear("a", (0.4, 1.0)).expect("a range");
        let texts: Vec<String> = axis.ticks.iter().map(|&tick| tick_text(tick)).collect();
        assert_eq!(texts, ["0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1"]);
        assert_eq!(tick_text(-0.25), "\u{2212}0.25");
        assert_eq!(tick_text(-0.0), "0");
    }

    #[test]
    fn a_logarithmic_axis_places_decades_evenly() {
        let ticks = vec![1e-3, 1e-2, 1e-1, 1.0, 10.0];
        let axis = Axis::new("a", (1e-3, 1.0), Scale::Logarithmic, ticks).expect("a range");
        let places: Vec<i32> = axis.ticks.iter().map(|&t| axis.place(t, 0, 300)).collect();
        assert_eq!(places, [0, 100, 200, 300]);
    }

    #[test]
    fn unusable_ranges_are_refused() {
        assert!(Axis::new("a", (0.0, 1.0), Scale::Logarithmic, vec![]).is_err());
        assert!(Axis::new("a", (1.0, 1.0), Scale::Linear, vec![]).is_err());
        assert!(Axis::new("a", (f64::NAN, 1.0), Scale::Linear, vec![]).is_err());
        assert!(Axis::covering("a", [f64::NAN].into_iter()).is_err());
        assert!(Axis::covering("a", [0.5].into_iter()).is_ok());
    }
}
