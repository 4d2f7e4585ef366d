//! Scales, ticks and frames of the charts. Coordinates are SVG user units.

use super::markup::{count, trimmed};

/// A range of values with round ticks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    /// Value at the axis' start.
    pub low: f64,
    /// Value at the axis' end; larger than `low`.
    pub high: f64,
    step: f64,
}

impl Axis {
    /// About this many intervals between ticks.
    const INTERVALS: f64 = 5.0;

    /// An axis from `low` to `high` exactly.
    pub(super) fn between(low: f64, high: f64) -> Self {
        debug_assert!(low < high);
        Self { low, high, step: round_step((high - low) / Self::INTERVALS) }
    }

    /// An axis that holds all finite values with a little room; `None` if there are none.
    pub(super) fn covering(values: impl Iterator<Item = f64>) -> Option<Self> {
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

    /// An axis from zero to a round value at or above `high`.
    pub(super) fn up_to(high: f64) -> Self {
        let high = if high > 0.0 && high.is_finite() { high } else { 1.0 };
        let step = round_step(high / (Self::INTERVALS - 1.0));
        Self { low: 0.0, high: (high / step - 1e-9).ceil() * step, step }
    }

    /// Where a value lies between two coordinates.
    pub(super) fn place(&self, value: f64, from: f64, to: f64) -> f64 {
        from + (value - self.low) / (self.high - self.low) * (to - from)
    }

    /// Values of the ticks.
    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> {
        // Half a thousandth of a step forgives rounding at both ends.
        let slack = self.step * 5e-4;
        let first = ((self.low - slack) / self.step).ceil();
        let last = ((self.high + slack) / self.step).floor();
        let step = self.step;
        (0..=(last - first).max(0.0) as usize).map(move |i| (first + i as f64) * step)
    }

    /// A tick's label, with the decimals that the step needs.
    pub(super) fn label(&self, tick: f64) -> String {
        if self.step >= 1.0 && (1000.0..1e15).contains(&tick) {
            return count(tick.round() as u64);
        }
        let decimals = (-self.step.log10() + 1e-9).ceil().clamp(0.0, 9.0) as usize;
        trimmed(tick, decimals)
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
pub(super) struct Frame {
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
    pub(super) fn x(self, axis: &Axis, value: f64) -> f64 {
        axis.place(value, Self::LEFT, self.right())
    }

    /// Vertical coordinate of a value.
    pub(super) fn y(self, axis: &Axis, value: f64) -> f64 {
        axis.place(value, self.bottom(), Self::TOP)
    }

    /// Grid, ticks, tick labels and axis titles. The titles are the report's own words, not
    /// text from outside.
    pub(super) fn draw(self, x: &Axis, y: &Axis, x_title: &str, y_title: &str) -> String {
        let (left, right, top, bottom) = (Self::LEFT, self.right(), Self::TOP, self.bottom());
        let mut svg = String::from("<g class=\"axes\">");
        for tick in y.ticks() {
            let at = self.y(y, tick);
            svg += &format!(
                "<path class=\"grid\" d=\"M{left} {at:.1}H{right}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 7.0,
                at + 4.0,
                y.label(tick)
            );
        }
        for tick in x.ticks() {
            let at = self.x(x, tick);
            svg += &format!(
                "<path class=\"axis\" d=\"M{at:.1} {bottom}v5\"/>\
                 <text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 19.0,
                x.label(tick)
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
        let labels: Vec<_> = axis.ticks().map(|t| axis.label(t)).collect();
        assert_eq!(labels, ["0", "0.2", "0.4", "0.6", "0.8", "1"]);

        let axis = Axis::covering([-3.1, 4.2, f64::NAN].into_iter()).expect("two finite values");
        assert!(axis.low < -3.1 && axis.high > 4.2);
        assert!(axis.ticks().all(|t| t >= axis.low && t <= axis.high));
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
    fn a_count_axis_starts_at_zero_and_ends_at_a_tick() {
        let axis = Axis::up_to(13.0);
        assert_eq!(axis.low.to_bits(), 0);
        for (highest, end) in [(13.0, 15.0), (15.0, 15.0), (0.0, 1.0), (f64::NAN, 1.0)] {
            assert!((Axis::up_to(highest).high - end).abs() < 1e-12, "{highest}");
        }
    }
}
