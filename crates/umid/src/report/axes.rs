//! Scales, ticks and frames of the charts. Coordinates are SVG user units. [`Axis`] also serves
//! the figures of the evaluation.

use super::markup::{count, trimmed};

/// How values are placed along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    Logarithmic,
}

/// A range of values with ticks.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Value at the axis' start.
    pub low: f64,
    /// Value at the axis' end; larger than `low`.
    pub high: f64,
    scale: Scale,
    ticks: Vec<f64>,
    /// Decimals that the labels need.
    decimals: usize,
}

impl Axis {
    /// About this many intervals between ticks.
    const INTERVALS: f64 = 5.0;
    /// Most decimals of a label.
    const MOST_DECIMALS: usize = 9;

    /// A linear axis from `low` to `high` exactly, with round ticks. `low` is below `high`.
    pub fn between(low: f64, high: f64) -> Self {
        Self::with_step(low, high, round_step((high - low) / Self::INTERVALS))
    }

    fn with_step(low: f64, high: f64, step: f64) -> Self {
        debug_assert!(low < high);
        // Half a thousandth of a step forgives rounding at both ends.
        let slack = step * 5e-4;
        let first = ((low - slack) / step).ceil();
        let last = ((high + slack) / step).floor();
        let ticks = (0..=(last - first).max(0.0) as usize).map(|i| (first + i as f64) * step);
        let decimals = (-step.log10() + 1e-9).ceil().clamp(0.0, Self::MOST_DECIMALS as f64);
        let (scale, ticks) = (Scale::Linear, ticks.collect());
        Self { low, high, scale, ticks, decimals: decimals as usize }
    }

    /// A logarithmic axis with ticks at those of the given values that it holds; `None` unless
    /// both ends are finite and above zero, and the first is below the second.
    pub fn logarithmic(low: f64, high: f64, ticks: &[f64]) -> Option<Self> {
        let ticks = ticks.iter().copied().filter(|tick| (low..=high).contains(tick)).collect();
        let (scale, decimals) = (Scale::Logarithmic, Self::MOST_DECIMALS);
        (0.0 < low && low < high && high.is_finite()).then_some(Self {
            low,
            high,
            scale,
            ticks,
            decimals,
        })
    }

    /// A linear axis that holds all finite values with a little room; `None` if there are none.
    pub fn covering(values: impl Iterator<Item = f64>) -> Option<Self> {
        const ROOM: f64 = 0.04;
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|v| v.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            return None;
        }
        // One value, or values that differ by rounding only, get an axis of their own size.
        let least = low.abs().max(high.abs()).max(1.0) * 1e-6;
        let spread = high - low;
        let room = if spread > least { spread * ROOM } else { 0.5 * least.max(0.1) };
        let (low, high) = (low - room, high + room);
        (low.is_finite() && high.is_finite() && (high - low).is_finite())
            .then(|| Self::between(low, high))
    }

    /// A linear axis from zero to a round value at or above `high`.
    pub(super) fn up_to(high: f64) -> Self {
        let high = if high > 0.0 && high.is_finite() { high } else { 1.0 };
        let step = round_step(high / (Self::INTERVALS - 1.0));
        Self::with_step(0.0, (high / step - 1e-9).ceil() * step, step)
    }

    /// The same axis without ticks.
    #[must_use]
    pub fn without_ticks(self) -> Self {
        Self { ticks: Vec::new(), ..self }
    }

    /// Where a value lies between two coordinates.
    pub fn place(&self, value: f64, from: f64, to: f64) -> f64 {
        let along = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.ln(),
        };
        let start = along(self.low);
        from + (along(value) - start) / (along(self.high) - start) * (to - from)
    }

    /// A value held within the ends.
    pub fn within(&self, value: f64) -> f64 {
        value.clamp(self.low, self.high)
    }

    /// Values of the ticks, from the lowest to the highest, with their labels.
    pub fn ticks(&self) -> impl Iterator<Item = (f64, String)> {
        self.ticks.iter().map(|&tick| (tick, self.label(tick)))
    }

    fn label(&self, tick: f64) -> String {
        if tick.fract() == 0.0 && (1000.0..1e15).contains(&tick) {
            return count(tick as u64);
        }
        trimmed(tick, self.decimals)
    }
}

/// 1, 2, 5 or 10 times a power of ten, near `step`.
fn round_step(step: f64) -> f64 {
    // About the ratio up to which rounding down is the smaller change.
    const DOWN: f64 = 1.4;
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|f| f * power * DOWN >= step);
    factor.unwrap_or(10.0) * power
}

/// The plotting area inside a chart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame {
    /// Width of the chart.
    pub width: f64,
    /// Height of the chart.
    pub height: f64,
}

impl Frame {
    /// Coordinates of the area's sides.
    pub(super) const LEFT: f64 = 58.0;
    pub(super) const TOP: f64 = 14.0;

    pub(super) fn right(self) -> f64 {
        self.width - 14.0
    }

    pub(super) fn bottom(self) -> f64 {
        self.height - 50.0
    }

    /// Horizontal coordinate of a value.
    pub(crate) fn x(self, axis: &Axis, value: f64) -> f64 {
        axis.place(value, Self::LEFT, self.right())
    }

    /// Vertical coordinate of a value.
    pub(crate) fn y(self, axis: &Axis, value: f64) -> f64 {
        axis.place(value, self.bottom(), Self::TOP)
    }

    /// Grid, ticks, tick labels and axis titles. The titles are the report's own words, not
    /// text from outside.
    pub(crate) fn draw(self, x: &Axis, y: &Axis, x_title: &str, y_title: &str) -> String {
        let (left, right, top, bottom) = (Self::LEFT, self.right(), Self::TOP, self.bottom());
        let mut svg = String::from("<g class=\"axes\">");
        for (tick, label) in y.ticks() {
            let at = self.y(y, tick);
            svg += &format!(
                "<path class=\"grid\" d=\"M{left} {at:.1}H{right}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                left - 7.0,
                at + 4.0,
            );
        }
        for (tick, label) in x.ticks() {
            let at = self.x(x, tick);
            svg += &format!(
                "<path class=\"axis\" d=\"M{at:.1} {bottom}v5\"/>\
                 <text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
                bottom + 19.0,
            );
        }
        svg += &format!(
            "<path class=\"axis\" d=\"M{left} {bottom}H{right}\"/>\
             <text class=\"axis-title\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{x_title}\
             </text><text class=\"axis-title\" transform=\"translate(13 {:.1}) rotate(-90)\" \
             text-anchor=\"middle\">{y_title}</text></g>",
            f64::midpoint(left, right),
            bottom + 41.0,
            f64::midpoint(top, bottom),
        );
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::between(0.0, 1.0);
        let labels = |axis: &Axis| axis.ticks().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels(&axis), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(
            labels(&Axis::between(-0.2, 0.3)),
            ["\u{2212}0.2", "\u{2212}0.1", "0", "0.1", "0.2", "0.3"]
        );

        let axis = Axis::covering([-3.1, 4.2, f64::NAN].into_iter()).expect("two finite values");
        assert!(axis.low < -3.1 && axis.high > 4.2);
        assert!(axis.ticks().all(|(t, _)| t >= axis.low && t <= axis.high));
    }

    #[test]
    fn one_value_and_none_are_handled() {
        for value in [0.0, 0.93, -1e6, 1e-12] {
            let axis = Axis::covering(std::iter::once(value)).expect("one finite value");
            assert!(axis.low < value && value < axis.high, "{axis:?}");
            assert!(axis.ticks().count() < 20);
        }
        assert_eq!(Axis::covering([f64::NAN, f64::INFINITY].into_iter()), None);
        assert_eq!(Axis::covering([-f64::MAX, f64::MAX].into_iter()), None);
    }

    #[test]
    fn a_logarithmic_axis_places_decades_evenly_and_refuses_other_ends() {
        let decades = [1e-3, 1e-2, 1e-1, 1.0, 10.0];
        let axis = Axis::logarithmic(1e-3, 1.0, &decades).expect("two ends");
        let places: Vec<f64> = axis.ticks().map(|(t, _)| axis.place(t, 0.0, 300.0)).collect();
        assert_eq!(places.len(), 4);
        assert!(places.iter().zip([0.0, 100.0, 200.0, 300.0]).all(|(a, b)| (a - b).abs() < 1e-9));
        assert!(axis.ticks().map(|(_, label)| label).eq(["0.001", "0.01", "0.1", "1"]));
        for (low, high) in [(0.0, 1.0), (1.0, 1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
            assert_eq!(Axis::logarithmic(low, high, &decades), None);
        }
    }

    #[test]
    fn a_count_axis_starts_at_zero_and_ends_at_a_tick() {
        let axis = Axis::up_to(13.0);
        assert_eq!(axis.low.to_bits(), 0);
        for (highest, end) in [(13.0, 15.0), (15.0, 15.0), (0.0, 1.0), (f64::NAN, 1.0)] {
            assert!((Axis::up_to(highest).high - end).abs() < 1e-12, "{highest}");
        }
    }
}
