//! Histogram of the p-values with the line that they would follow by chance.

use super::axes::{Axis, Frame};
use super::markup::{count, names, percent, trimmed};
use crate::overview::Overview;
use crate::record::RunInfo;

const FRAME: Frame = Frame { width: 520.0, height: 300.0 };

/// Queries from which on the histogram has the finer bins.
const FINE_FROM: usize = 60;

/// The figure, or a sentence when there is nothing to draw.
pub(super) fn figure(run: &RunInfo, overview: &Overview) -> String {
    let p_values: Vec<f64> = overview.p_values().collect();
    if p_values.is_empty() {
        return "<figure><h3>P-values of the calibrated reading</h3><p class=\"figure-note\">There \
                are no p-values to draw yet.</p></figure>\n"
            .to_owned();
    }
    let bins = if p_values.len() >= FINE_FROM { 20 } else { 10 };
    let width = 1.0 / bins as f64;
    let counts = histogram(&p_values, bins);
    let uniform = p_values.len() as f64 * width;
    let alpha = run.parameters.alpha;

    let highest = counts.iter().copied().max().unwrap_or(0) as f64;
    let x = Axis::between(0.0, 1.0);
    let y = Axis::up_to(highest.max(uniform * 1.15));
    let mut bars = String::new();
    for (i, &height) in counts.iter().enumerate() {
        let (from, to) = (i as f64 * width, (i + 1) as f64 * width);
        let (left, right) = (FRAME.x(&x, from) + 0.75, FRAME.x(&x, to) - 0.75);
        let top = FRAME.y(&y, height as f64);
        let class = if to <= alpha * (1.0 + 1e-9) { "bar bar-hit" } else { "bar" };
        bars += &format!(
            "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" \
             height=\"{:.1}\"><title>{} with p above {} up to {} (uniform: {})</title></rect>",
            right - left,
            FRAME.bottom() - top,
            names(height),
            trimmed(from, 3),
            trimmed(to, 3),
            trimmed(uniform, 1),
        );
    }
    let level = if alpha > 0.0 && alpha < 1.0 {
        let at = FRAME.x(&x, alpha);
        format!(
            "<path class=\"level\" d=\"M{at:.1} {}V{}\"/>\
             <text class=\"label\" x=\"{:.1}\" y=\"{}\">level {}</text>",
            Frame::TOP,
            FRAME.bottom(),
            at + 5.0,
            Frame::TOP + 11.0,
            percent(alpha),
        )
    } else {
        String::new()
    };
    let line = FRAME.y(&y, uniform);
    format!(
        "<figure>\n<h3 id=\"h-p\">P-values of the calibrated reading</h3>\n\
         <svg viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"h-p d-p\">\
         {axes}{bars}<path class=\"uniform\" d=\"M{} {line:.1}H{}\"/>{level}</svg>\n\
         <figcaption id=\"d-p\">{} of {} have p at most {}. The dashed line ({} a bin) is where \
         the bars would lie if no name had been in the training data and the reference were like \
         the names; a peak at the left is what members would leave.</figcaption>\n</figure>\n",
        FRAME.width,
        FRAME.height,
        Frame::LEFT,
        FRAME.right(),
        count(p_values.iter().filter(|p| **p <= alpha).count() as u64),
        names(p_values.len()),
        trimmed(alpha, 4),
        trimmed(uniform, 1),
        axes = FRAME.draw(
            &x,
            &y,
            "Conformal p-value",
            &format!("Names in a bin of {}", trimmed(width, 2))
        ),
    )
}

/// Counts over equal bins of 0..1. A bin includes its upper edge, so that a level at an edge
/// separates what is detected from what is not.
fn histogram(p_values: &[f64], bins: usize) -> Vec<usize> {
    // Forgives the rounding of products such as 0.15 * 20.
    const SLACK: f64 = 1e-9;
    let mut counts = vec![0; bins];
    for p in p_values {
        let bin = (p * bins as f64 - SLACK).ceil() as usize;
        counts[bin.saturating_sub(1).min(bins - 1)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_includes_its_upper_edge() {
        let counts = histogram(&[0.0, 0.05, 0.050_01, 0.15, 0.951, 1.0], 20);
        assert_eq!(counts[0], 2);
        assert_eq!(counts[1], 1);
        assert_eq!(counts[2], 1);
        assert_eq!(counts[19], 2);
        assert_eq!(counts.iter().sum::<usize>(), 6);
    }
}
