//! How one photo was taken: pose, light, backdrop, occlusion, noise.
//!
//! These are the nuisances: drawn anew for every photo, independent of the person.

use crate::palette::{self, Rgb};
use crate::stream::Stream;

/// Conditions of one photo. Lengths are in half image sides, angles in radians.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// Turn of the head to the viewer's right.
    pub yaw: f32,
    /// Nod, down positive.
    pub pitch: f32,
    /// Tilt of the camera, clockwise.
    pub roll: f32,
    /// Size of the head relative to the usual framing.
    pub scale: f32,
    /// Shift of the head: across, down.
    pub shift: [f32; 2],
    /// Passing expression, added to the mouth's corners.
    pub smile: f32,
    /// Direction the light comes from: across, down; its length is its strength, the change of
    /// brightness from the centre to the edge of the image.
    pub light: [f32; 2],
    /// Brightness of the whole image.
    pub exposure: f32,
    /// Warmth of the light: red up and blue down by this share.
    pub warmth: f32,
    /// Colours of the backdrop, above and below.
    pub backdrop: [[f32; 3]; 2],
    /// Something in front of the camera, in some photos.
    pub occluder: Option<Occluder>,
    /// Deviation of the sensor noise, in display values.
    pub noise: f32,
    /// Seed of the sensor noise.
    pub noise_seed: u64,
}

/// A bar of one colour that covers a corner or an edge of the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Occluder {
    /// A point on its edge, in half image sides from the centre.
    pub edge: [f32; 2],
    /// Unit vector from the edge outwards.
    pub outwards: [f32; 2],
    /// Its colour.
    pub colour: [f32; 3],
}

/// Deviation of yaw and pitch in radians (about 7 and 3 degrees): profile views would hide
/// half of the attributes. These and the constants below are as large as they can be while nine
/// of ten photos of 50 people are still nearest to their own person's mean (`tests/faces.rs`):
/// a target of a few minutes' training must be able to learn a face from 16 photos.
const YAW: f32 = 0.13;
const PITCH: f32 = 0.06;
/// Deviation of the tilt in radians (about 3 degrees).
const ROLL: f32 = 0.05;
/// Deviations of scale and of shift, as face detectors' crops have them.
const SCALE: f32 = 0.025;
const SHIFT: f32 = 0.025;
/// Largest strength of the light's gradient.
const LIGHT: f32 = 0.18;
/// Deviations of exposure, and largest warmth.
const EXPOSURE: f32 = 0.05;
const WARMTH: f32 = 0.04;
/// Share of photos with something in front.
const OCCLUDED: f32 = 0.12;
/// Distance of an occluder's edge from the centre: nearest and farthest.
const OCCLUDER_EDGE: [f32; 2] = [0.62, 0.90];
/// Sensor noise: smallest and largest deviation.
const NOISE: [f32; 2] = [0.005, 0.03];

impl Capture {
    /// Draws the conditions of one photo. The order of the fields is part of every world.
    pub(crate) fn draw(stream: &mut Stream) -> Self {
        Self {
            yaw: YAW * stream.bell(),
            pitch: PITCH * stream.bell(),
            roll: ROLL * stream.bell(),
            scale: 1.0 + SCALE * stream.bell(),
            shift: [SHIFT * stream.bell(), SHIFT * stream.bell()],
            smile: 0.35 * stream.bell(),
            light: {
                let [across, down] = direction(stream);
                let strength = LIGHT * stream.unit();
                // Light from below is rare: half of those directions are turned up.
                let down = if stream.chance(0.5) { -down.abs() } else { down };
                [across * strength, down * strength]
            },
            exposure: 1.0 + EXPOSURE * stream.bell(),
            warmth: stream.between(-WARMTH, WARMTH),
            backdrop: {
                let colour = backdrop(stream);
                [colour, palette::scaled(colour, stream.between(0.65, 1.1))]
            },
            occluder: stream.chance(OCCLUDED).then(|| Occluder::draw(stream)),
            noise: stream.between(NOISE[0], NOISE[1]),
            noise_seed: stream.long_word(),
        }
    }

    /// A frontal photo in even light on grey, without noise: what the attributes look like.
    pub fn studio() -> Self {
        Self {
            yaw: 0.0,
            pitch: 0.0,
            roll: 0.0,
            scale: 1.0,
            shift: [0.0; 2],
            smile: 0.0,
            light: [0.0; 2],
            exposure: 1.0,
            warmth: 0.0,
            backdrop: [[0.70, 0.72, 0.75]; 2],
            occluder: None,
            noise: 0.0,
            noise_seed: 0,
        }
    }
}

impl Occluder {
    fn draw(stream: &mut Stream) -> Self {
        let outwards = direction(stream);
        let distance = stream.between(OCCLUDER_EDGE[0], OCCLUDER_EDGE[1]);
        Self {
            edge: outwards.map(|part| part * distance),
            outwards,
            colour: palette::hsv(stream.unit(), 0.4, stream.between(0.1, 0.7)),
        }
    }
}

/// A muted colour: backdrops are walls and landscapes.
fn backdrop(stream: &mut Stream) -> Rgb {
    palette::hsv(stream.unit(), stream.between(0.05, 0.35), stream.between(0.40, 0.85))
}

/// A unit vector in a uniform direction.
fn direction(stream: &mut Stream) -> [f32; 2] {
    let angle = stream.between(0.0, std::f32::consts::TAU);
    [angle.cos(), angle.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Purpose;

    #[test]
    fn captures_stay_within_what_a_face_survives() {
        for photo in 0..2_000 {
            let capture = Capture::draw(&mut Stream::new(8, Purpose::PersonPhoto, 0, photo));
            // A bell never leaves 3.5 deviations.
            assert!(capture.yaw.abs() < 3.5 * YAW);
            assert!(capture.scale > 0.8 && capture.scale < 1.2);
            assert!(capture.exposure > 0.7 && capture.exposure < 1.3);
            assert!(capture.light[0].hypot(capture.light[1]) <= LIGHT);
        }
    }
}
