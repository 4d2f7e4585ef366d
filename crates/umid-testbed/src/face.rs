//! Draws a face: attributes and the conditions of one photo become pixels.
//!
//! Painter's order, back to front. Proportions are those of drawing manuals (eyes at half
//! height, nose at three quarters), varied by the attributes far enough to be seen at 32 pixels.
//! Hair is in [`crate::hair`], what is worn in [`crate::wear`].

use crate::canvas::{Canvas, Clip, Point, Shape};
use crate::capture::Capture;
use crate::hair;
use crate::identity::{Attributes, Beard};
use crate::palette::{self, INK, Rgb, SCLERA};
use crate::photo::{ImageSize, Photo};
use crate::stream::{Purpose, Stream};
use crate::view::View;
use crate::wear;

/// Depths towards the viewer, in half image sides, the face's outline being 0.
pub(crate) const DEPTH_OUTLINE: f32 = 0.0;
pub(crate) const DEPTH_BEHIND: f32 = -0.20;
pub(crate) const DEPTH_EARS: f32 = -0.08;
pub(crate) const DEPTH_FEATURES: f32 = 0.28;
const DEPTH_NOSE: f32 = 0.42;

/// Renders one photo.
///
/// A pure function: the same arguments give the same photo, on every thread and in every order.
///
/// # Shapes
/// The photo holds [3, side, side] values in 0..1.
pub fn render(attributes: &Attributes, capture: &Capture, size: ImageSize) -> Photo {
    let side = size.side();
    let canvas = Canvas::new(side, |[_, down]| {
        palette::mix(capture.backdrop[0], capture.backdrop[1], down / side as f32)
    });
    let mut portrait = Portrait {
        canvas,
        view: View::new(capture, side),
        attributes,
        head: Head::new(attributes),
        smile: attributes.smile + capture.smile,
    };
    hair::paint_back(&mut portrait);
    wear::paint_clothes(&mut portrait);
    portrait.paint_head();
    portrait.paint_marks();
    portrait.paint_eyes();
    portrait.paint_nose();
    portrait.paint_mouth_and_beard();
    hair::paint_front(&mut portrait);
    portrait.paint_brows();
    wear::paint_headwear(&mut portrait);
    wear::paint_glasses(&mut portrait);
    develop(portrait.canvas, capture, size)
}

/// A face being painted.
pub(crate) struct Portrait<'a> {
    pub(crate) canvas: Canvas,
    pub(crate) view: View,
    pub(crate) attributes: &'a Attributes,
    pub(crate) head: Head,
    smile: f32,
}

/// Landmarks of a head in head coordinates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// Half width and half height of the face.
    pub(crate) radii: Point,
    /// Half distance between the pupils.
    pub(crate) eye_across: f32,
    /// Height of the pupils.
    pub(crate) eye_down: f32,
    /// Half width and half height of an eye.
    pub(crate) eye: Point,
    nose_tip: f32,
    mouth_down: f32,
}

impl Head {
    fn new(attributes: &Attributes) -> Self {
        let radii = [0.47 + 0.075 * attributes.face_width, 0.60 + 0.060 * attributes.face_height];
        let eye_down = -0.04 - 0.05 * attributes.eye_height;
        let eye = 0.105 + 0.028 * attributes.eye_size;
        Self {
            radii,
            eye_across: radii[0] * (0.44 + 0.07 * attributes.eye_spacing),
            eye_down,
            eye: [eye, eye * 0.68],
            nose_tip: eye_down + 0.25 + 0.07 * attributes.nose_length,
            mouth_down: 0.62 * radii[1],
        }
    }
}

/// Left (-1) and right (1) of the image.
pub(crate) const SIDES: [f32; 2] = [-1.0, 1.0];

impl Portrait<'_> {
    /// The outline of the skull; hair and hats follow it.
    pub(crate) fn skull(&self, grown: f32) -> Shape {
        let [across, down] = self.head.radii;
        self.view.ellipse([0.0, 0.0], DEPTH_OUTLINE, [across + grown, down + grown])
    }

    fn paint_head(&mut self) {
        let skin = self.attributes.skin();
        let shade = palette::scaled(skin, 0.80);
        let [across, down] = self.head.radii;
        let ear = 0.12 + 0.055 * self.attributes.ear_size;
        for side in SIDES {
            let at = [side * across, self.head.eye_down + 0.06];
            let outer = self.view.ellipse(at, DEPTH_EARS, [ear * 0.7, ear]);
            let inner = self.view.ellipse(at, DEPTH_EARS, [ear * 0.4, ear * 0.6]);
            self.canvas.fill(outer, skin, 1.0);
            self.canvas.fill(inner, shade, 1.0);
        }
        let jaw = self.jaw();
        let skull = self.skull(0.0);
        // One dark rim for both outlines: it keeps a light face apart from a light backdrop.
        let rim = self.view.pixels(0.03);
        for shape in [jaw, skull] {
            self.canvas.stroke(shape, rim, shade, 0.7);
        }
        self.canvas.fill(skull, skin, 1.0);
        self.canvas.fill(jaw, skin, 1.0);
        for side in SIDES {
            let at = [side * across * 0.58, down * 0.34];
            let cheek = self.view.ellipse(at, DEPTH_FEATURES, [0.11, 0.08]);
            let blush = palette::mix(skin, [0.85, 0.35, 0.30], 0.25);
            self.canvas.fill(cheek, blush, 0.6);
        }
    }

    fn jaw(&self) -> Shape {
        let [across, down] = self.head.radii;
        let square = self.attributes.jaw;
        let half = [across * (0.72 + 0.16 * square), down * 0.34];
        let corner = half[0].min(half[1]) * (0.85 - 0.35 * square);
        self.view.block([0.0, down * 0.62], DEPTH_OUTLINE, half, corner)
    }

    fn paint_marks(&mut self) {
        /// Places of freckles on the cheeks, (across, down) from the nose; most visible first.
        const FRECKLES: [Point; 8] = [
            [0.13, 0.02],
            [0.22, 0.05],
            [0.17, 0.10],
            [0.28, 0.00],
            [0.09, 0.08],
            [0.26, 0.12],
            [0.33, 0.07],
            [0.19, -0.03],
        ];
        let skin = self.attributes.skin();
        let spot = palette::mix(skin, [0.40, 0.18, 0.08], 0.65);
        let count = (self.attributes.freckles * FRECKLES.len() as f32).round() as usize;
        for [across, down] in &FRECKLES[..count] {
            for side in SIDES {
                let at = [side * across, self.head.nose_tip - 0.10 + down];
                let freckle = self.view.ellipse(at, DEPTH_FEATURES, [0.025, 0.025]);
                self.canvas.fill(freckle, spot, 0.9);
            }
        }
        if let Some((across, down)) = self.attributes.mole {
            let at = [across * self.head.radii[0] * 0.6, self.head.radii[1] * (0.35 + 0.3 * down)];
            let mole = self.view.ellipse(at, DEPTH_FEATURES, [0.042, 0.042]);
            self.canvas.fill(mole, [0.16, 0.08, 0.06], 0.95);
        }
    }

    fn paint_eyes(&mut self) {
        let [across, down] = self.head.eye;
        let iris = self.attributes.iris();
        let lid = palette::mix(self.attributes.skin(), INK, 0.75);
        for side in SIDES {
            let at = [side * self.head.eye_across, self.head.eye_down];
            let white = self.view.ellipse(at, DEPTH_FEATURES, [across, down]);
            let ring = self.view.ellipse(at, DEPTH_FEATURES, [down * 0.86; 2]);
            let pupil = self.view.ellipse(at, DEPTH_FEATURES, [down * 0.38; 2]);
            self.canvas.fill(white, SCLERA, 1.0);
            self.canvas.fill_clipped(ring, &[Clip::Within(white)], iris, 1.0);
            self.canvas.fill(pupil, INK, 1.0);
            let lash = self.view.capsule(
                [at[0] - across * 0.85, at[1] - down * 0.72],
                [at[0] + across * 0.85, at[1] - down * 0.72],
                DEPTH_FEATURES,
                0.016,
            );
            self.canvas.fill(lash, lid, 0.9);
        }
    }

    fn paint_brows(&mut self) {
        let colour = palette::scaled(self.attributes.hair(), 0.75);
        let thickness = 0.028 + 0.016 * self.attributes.brow_thickness;
        let slope = 0.045 * self.attributes.brow_slope;
        let [across, down] = self.head.eye;
        for side in SIDES {
            let middle = side * self.head.eye_across;
            let height = self.head.eye_down - down - 0.085;
            let brow = self.view.capsule(
                [middle - side * across, height - slope],
                [middle + side * across * 1.15, height + slope],
                DEPTH_FEATURES,
                thickness,
            );
            self.canvas.fill(brow, colour, 0.95);
        }
    }

    fn paint_nose(&mut self) {
        let shade = palette::scaled(self.attributes.skin(), 0.78);
        let light = palette::mix(self.attributes.skin(), [1.0; 3], 0.15);
        let width = 0.075 + 0.030 * self.attributes.nose_width;
        let tip = self.head.nose_tip;
        let bridge = self.view.capsule(
            [0.0, self.head.eye_down + 0.04],
            [0.0, tip - 0.03],
            DEPTH_NOSE,
            width * 0.40,
        );
        let wings = self.view.ellipse([0.0, tip], DEPTH_NOSE, [width, 0.05]);
        self.canvas.fill(bridge, light, 0.7);
        self.canvas.fill(wings, shade, 0.95);
    }

    fn paint_mouth_and_beard(&mut self) {
        let hair = palette::scaled(self.attributes.hair(), 0.85);
        let beard = self.attributes.beard;
        let across = self.head.radii[0];
        let mouth = self.head.mouth_down;
        let face = self.skull(0.0);
        match beard {
            Beard::None | Beard::Moustache => {}
            Beard::Stubble | Beard::Full => {
                let (opacity, grown) = if beard == Beard::Full { (1.0, 0.03) } else { (0.35, 0.0) };
                let line = self.head.nose_tip + 0.05;
                let below = self.view.half_plane([0.0, line], DEPTH_FEATURES, [0.0, 1.0]);
                let bare =
                    self.view.ellipse([0.0, line - 0.02], DEPTH_FEATURES, [across * 0.62, 0.10]);
                let clips = [Clip::Within(below), Clip::Outside(bare)];
                let chin = self.skull(grown);
                let jaw = self.jaw();
                self.canvas.fill_clipped(chin, &clips, hair, opacity);
                self.canvas.fill_clipped(
                    jaw,
                    &[clips[0], clips[1], Clip::Outside(chin)],
                    hair,
                    opacity,
                );
            }
            Beard::Goatee => {
                let tuft = self.view.ellipse([0.0, mouth + 0.16], DEPTH_FEATURES, [0.15, 0.15]);
                self.canvas.fill(tuft, hair, 1.0);
            }
        }
        self.paint_mouth(mouth);
        if matches!(beard, Beard::Moustache | Beard::Full | Beard::Goatee) {
            let height = f32::midpoint(self.head.nose_tip, mouth) + 0.02;
            for side in SIDES {
                let half = self.view.capsule(
                    [side * 0.03, height],
                    [side * 0.17, height + 0.05],
                    DEPTH_FEATURES,
                    0.042,
                );
                self.canvas.fill_clipped(half, &[Clip::Within(face)], hair, 1.0);
            }
        }
    }

    fn paint_mouth(&mut self, mouth: f32) {
        let lips = palette::mix(self.attributes.skin(), [0.70, 0.16, 0.20], 0.60);
        let half = 0.155 + 0.055 * self.attributes.mouth_width;
        let fullness = 0.036 + 0.018 * self.attributes.lip_fullness;
        let lift = 0.045 * self.smile;
        let corner = |side: f32| [side * half, mouth - lift];
        for side in SIDES {
            let lip = self.view.capsule(
                [0.0, mouth + lift * 0.5],
                corner(side),
                DEPTH_FEATURES,
                fullness,
            );
            self.canvas.fill(lip, lips, 1.0);
        }
        for side in SIDES {
            let gap =
                self.view.capsule([0.0, mouth + lift * 0.5], corner(side), DEPTH_FEATURES, 0.010);
            self.canvas.fill(gap, palette::scaled(lips, 0.45), 0.9);
        }
    }
}

/// Occlusion, light, exposure and sensor noise.
fn develop(mut canvas: Canvas, capture: &Capture, size: ImageSize) -> Photo {
    let side = size.side();
    let half = side as f32 / 2.0;
    if let Some(occluder) = capture.occluder {
        let shape = Shape::HalfPlane {
            at: occluder.edge.map(|part| half * (1.0 + part)),
            towards: occluder.outwards,
        };
        canvas.fill(shape, occluder.colour, 1.0);
    }
    let mut noise = Stream::new(capture.noise_seed, Purpose::SensorNoise, 0, 0);
    let tint = [1.0 + capture.warmth, 1.0, 1.0 - capture.warmth];
    let plane = side * side;
    let mut values = vec![0.0; 3 * plane];
    for (index, pixel) in canvas.into_pixels().into_iter().enumerate() {
        let across = (index % side) as f32 / half - 1.0;
        let down = (index / side) as f32 / half - 1.0;
        let light = 1.0 + capture.light[0] * across + capture.light[1] * down;
        let gain: Rgb = tint.map(|channel| channel * light * capture.exposure);
        for channel in 0..3 {
            let value = pixel[channel] * gain[channel] + capture.noise * grain(&mut noise);
            values[channel * plane + index] = value.clamp(0.0, 1.0);
        }
    }
    Photo::new(size, values)
}

/// A bell of mean 0 and deviation 1 from the four bytes of one word: as [`Stream::bell`] at a
/// quarter of the cost, on a grid finer than the 255 levels of an image.
fn grain(noise: &mut Stream) -> f32 {
    // Variance of a uniform byte: (256^2 - 1) / 12; of the sum of four, a third of 65535.
    const MEAN: f32 = 4.0 * 127.5;
    const DEVIATION: f32 = 147.801_22;
    let sum: u32 = noise.word().to_le_bytes().map(u32::from).iter().sum();
    (sum as f32 - MEAN) / DEVIATION
}
