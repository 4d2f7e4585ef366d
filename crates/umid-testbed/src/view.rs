//! Where a head in space falls on the image.
//!
//! Head coordinates: across and down from the middle of the face, in half image sides of the
//! usual framing, and a depth towards the viewer. A turn of the head moves near parts more than
//! far ones (orthographic projection, rotation by yaw then pitch, linear in depth) and narrows
//! what lies flat on the face; the camera then rolls, scales and shifts.

use crate::canvas::{Point, Shape};
use crate::capture::Capture;

/// A projection from head coordinates to pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    centre: Point,
    pixels_per_unit: f32,
    axis: Point,
    yaw_sin: f32,
    yaw_cos: f32,
    pitch_sin: f32,
    pitch_cos: f32,
}

impl View {
    /// The view of one photo of `side` pixels.
    pub(crate) fn new(capture: &Capture, side: usize) -> Self {
        let half = side as f32 / 2.0;
        Self {
            centre: capture.shift.map(|shift| half * (1.0 + shift)),
            pixels_per_unit: half * capture.scale,
            axis: [capture.roll.cos(), capture.roll.sin()],
            yaw_sin: capture.yaw.sin(),
            yaw_cos: capture.yaw.cos(),
            pitch_sin: capture.pitch.sin(),
            pitch_cos: capture.pitch.cos(),
        }
    }

    /// A length in pixels.
    pub(crate) fn pixels(&self, length: f32) -> f32 {
        length * self.pixels_per_unit
    }

    /// An ellipse on the face; its first radius lies across.
    pub(crate) fn ellipse(&self, at: Point, depth: f32, radii: Point) -> Shape {
        Shape::Ellipse {
            centre: self.place(at, depth),
            radii: self.flattened(radii),
            axis: self.axis,
        }
    }

    /// A line with round ends.
    pub(crate) fn capsule(&self, from: Point, to: Point, depth: f32, radius: f32) -> Shape {
        Shape::Capsule {
            from: self.place(from, depth),
            to: self.place(to, depth),
            radius: self.pixels(radius),
        }
    }

    /// A rectangle with round corners.
    pub(crate) fn block(&self, at: Point, depth: f32, half: Point, corner: f32) -> Shape {
        Shape::Block {
            centre: self.place(at, depth),
            half: self.flattened(half),
            corner: self.pixels(corner),
            axis: self.axis,
        }
    }

    /// Everything on the side of a line that `towards` (unit length) points to.
    pub(crate) fn half_plane(&self, at: Point, depth: f32, towards: Point) -> Shape {
        Shape::HalfPlane { at: self.place(at, depth), towards: self.rolled(towards) }
    }

    fn place(&self, [across, down]: Point, depth: f32) -> Point {
        let turned = [
            across * self.yaw_cos + depth * self.yaw_sin,
            down * self.pitch_cos + depth * self.pitch_sin,
        ];
        let [x, y] = self.rolled(turned);
        [self.centre[0] + self.pixels(x), self.centre[1] + self.pixels(y)]
    }

    fn rolled(&self, [across, down]: Point) -> Point {
        let [cos, sin] = self.axis;
        [across * cos - down * sin, across * sin + down * cos]
    }

    fn flattened(&self, [across, down]: Point) -> Point {
        [self.pixels(across * self.yaw_cos), self.pixels(down * self.pitch_cos)]
    }
}
