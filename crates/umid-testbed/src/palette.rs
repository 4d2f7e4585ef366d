//! Colours: linear mixes, skin tones and the hues of clothes.
//!
//! All values are display values in 0..1 (what a PNG holds, divided by 255), not linear light:
//! the faces are drawings, and a CLIP model sees display values.

/// Red, green and blue in 0..1.
pub(crate) type Rgb = [f32; 3];

/// Near-black of lashes, pupils and frames.
pub(crate) const INK: Rgb = [0.08, 0.07, 0.08];

/// The white of the eye.
pub(crate) const SCLERA: Rgb = [0.95, 0.94, 0.92];

/// Skin from light to dark at equal steps, chosen by eye from photographs' typical values.
const SKIN_RAMP: [Rgb; 5] = [
    [0.98, 0.86, 0.77],
    [0.92, 0.74, 0.60],
    [0.79, 0.58, 0.42],
    [0.58, 0.39, 0.27],
    [0.36, 0.23, 0.17],
];

/// How far a full undertone moves red up and blue down.
const UNDERTONE: f32 = 0.045;

/// `a` at 0, `b` at 1.
pub(crate) fn mix(a: Rgb, b: Rgb, share: f32) -> Rgb {
    std::array::from_fn(|channel| a[channel] + (b[channel] - a[channel]) * share)
}

/// Every channel times `factor`, kept in 0..1.
pub(crate) fn scaled(colour: Rgb, factor: f32) -> Rgb {
    colour.map(|channel| (channel * factor).clamp(0.0, 1.0))
}

/// Skin of a depth in 0..1 (light to dark) and an undertone in -1..1 (cool to warm).
pub(crate) fn skin(depth: f32, undertone: f32) -> Rgb {
    let position = depth.clamp(0.0, 1.0) * (SKIN_RAMP.len() - 1) as f32;
    let step = (position as usize).min(SKIN_RAMP.len() - 2);
    let [red, green, blue] = mix(SKIN_RAMP[step], SKIN_RAMP[step + 1], position - step as f32);
    [
        (red + UNDERTONE * undertone).clamp(0.0, 1.0),
        green,
        (blue - UNDERTONE * undertone).clamp(0.0, 1.0),
    ]
}

/// Colour of a hue in 0..1 (a turn from red), a saturation and a value in 0..1.
///
/// The hexagon model of Smith, *Color gamut transform pairs*, SIGGRAPH 1978.
pub(crate) fn hsv(hue: f32, saturation: f32, value: f32) -> Rgb {
    // Channel c is full while the hue is within a sixth of a turn of its own, and falls to
    // nothing over the next sixth.
    let channel = |offset: f32| {
        let sixths = (hue * 6.0 + offset).rem_euclid(6.0);
        let ramp = sixths.min(4.0 - sixths).clamp(0.0, 1.0);
        value * (1.0 - saturation * ramp)
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hues_have_their_names() {
        let near = |found: Rgb, expected: Rgb| {
            let gap = (0..3).map(|c| (found[c] - expected[c]).abs());
            assert!(gap.fold(0.0, f32::max) < 1e-6, "{found:?} for {expected:?}");
        };
        near(hsv(0.0, 1.0, 1.0), [1.0, 0.0, 0.0]);
        near(hsv(0.5, 1.0, 1.0), [0.0, 1.0, 1.0]);
        near(hsv(0.3, 0.0, 0.7), [0.7, 0.7, 0.7]);
    }

    #[test]
    fn skin_darkens_with_depth() {
        let light: Vec<f32> = (0..=10).map(|i| skin(i as f32 / 10.0, 0.0).iter().sum()).collect();
        assert!(light.is_sorted_by(|a, b| a > b));
    }
}
