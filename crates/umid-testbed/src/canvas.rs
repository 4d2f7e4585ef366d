//! A small raster canvas: shapes with soft edges, painted one over the other.
//!
//! A shape is a signed distance in pixels, negative inside; a pixel is covered by
//! `0.5 - distance`, clamped to 0..1, which is the exact area for a straight edge parallel to
//! the grid and close to it otherwise. Edges are therefore one pixel soft at every size, and a
//! spot smaller than a pixel is drawn about a pixel wide instead of vanishing.

use crate::palette::Rgb;

/// A point in pixels: across, down.
pub(crate) type Point = [f32; 2];

/// A shape in pixel coordinates.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// An ellipse; `axis` is the direction of its first radius, of unit length.
    Ellipse { centre: Point, radii: Point, axis: Point },
    /// A line with round ends.
    Capsule { from: Point, to: Point, radius: f32 },
    /// A rectangle with round corners.
    Block { centre: Point, half: Point, corner: f32, axis: Point },
    /// Everything on the side of the line through `at` that `towards` points to (unit length).
    HalfPlane { at: Point, towards: Point },
}

/// What part of a shape is painted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clip {
    /// Only where the other shape is.
    Within(Shape),
    /// Only where the other shape is not.
    Outside(Shape),
}

/// A square picture being painted.
#[derive(Clone, Debug)]
pub(crate) struct Canvas {
    side: usize,
    pixels: Vec<Rgb>,
}

impl Canvas {
    /// A canvas of `side` x `side` pixels whose colour at (across, down) is given.
    pub(crate) fn new(side: usize, mut colour: impl FnMut(Point) -> Rgb) -> Self {
        let pixels = (0..side * side)
            .map(|index| colour(pixel_centre(index % side, index / side)))
            .collect();
        Self { side, pixels }
    }

    /// The pixels, row by row.
    pub(crate) fn into_pixels(self) -> Vec<Rgb> {
        self.pixels
    }

    /// Paints a shape.
    pub(crate) fn fill(&mut self, shape: Shape, colour: Rgb, opacity: f32) {
        self.paint(shape, 0.0, colour, opacity, |point| shape.distance(point));
    }

    /// Paints the part of a shape that every clip leaves.
    pub(crate) fn fill_clipped(&mut self, shape: Shape, clips: &[Clip], colour: Rgb, opacity: f32) {
        self.paint(shape, 0.0, colour, opacity, |point| {
            clips.iter().fold(shape.distance(point), |distance, clip| match clip {
                Clip::Within(other) => distance.max(other.distance(point)),
                Clip::Outside(other) => distance.max(-other.distance(point)),
            })
        });
    }

    /// Paints the outline of a shape, `width` pixels wide.
    pub(crate) fn stroke(&mut self, shape: Shape, width: f32, colour: Rgb, opacity: f32) {
        let half = width / 2.0;
        self.paint(shape, half, colour, opacity, |point| shape.distance(point).abs() - half);
    }

    fn paint(
        &mut self,
        bounds: Shape,
        margin: f32,
        colour: Rgb,
        opacity: f32,
        distance: impl Fn(Point) -> f32,
    ) {
        let ([left, top], [right, bottom]) = bounds.bounds(self.side as f32);
        // One pixel more than the outline: its soft edge is half a pixel outside.
        let first = |low: f32| (low - margin - 1.0).clamp(0.0, self.side as f32) as usize;
        let end = |high: f32| (high + margin + 2.0).clamp(0.0, self.side as f32) as usize;
        for down in first(top)..end(bottom) {
            for across in first(left)..end(right) {
                let covered = (0.5 - distance(pixel_centre(across, down))).clamp(0.0, 1.0);
                if covered > 0.0 {
                    let pixel = &mut self.pixels[down * self.side + across];
                    *pixel = crate::palette::mix(*pixel, colour, covered * opacity);
                }
            }
        }
    }
}

impl Shape {
    /// Signed distance to the outline in pixels, negative inside.
    fn distance(&self, point: Point) -> f32 {
        match *self {
            Self::Ellipse { centre, radii, axis } => {
                let [x, y] = in_frame(sub(point, centre), axis);
                // f / |grad f| for f = |p / r| - 1: the first-order distance of Taubin 1991,
                // exact for circles and on the outline.
                let reach = (x / radii[0]).hypot(y / radii[1]);
                let slope = (x / radii[0].powi(2)).hypot(y / radii[1].powi(2));
                if slope > 0.0 { reach * (reach - 1.0) / slope } else { -radii[0].min(radii[1]) }
            }
            Self::Capsule { from, to, radius } => {
                let (along, offset) = (sub(to, from), sub(point, from));
                let share =
                    (dot(offset, along) / dot(along, along).max(f32::MIN_POSITIVE)).clamp(0.0, 1.0);
                let [x, y] = sub(offset, along.map(|step| step * share));
                x.hypot(y) - radius
            }
            Self::Block { centre, half, corner, axis } => {
                let [x, y] = in_frame(sub(point, centre), axis);
                let (x, y) = (x.abs() - half[0] + corner, y.abs() - half[1] + corner);
                x.max(0.0).hypot(y.max(0.0)) + x.max(y).min(0.0) - corner
            }
            Self::HalfPlane { at, towards } => -dot(sub(point, at), towards),
        }
    }

    /// Corners of a box that holds the shape.
    fn bounds(&self, side: f32) -> (Point, Point) {
        let around = |centre: Point, reach: Point| {
            (sub(centre, reach), [centre[0] + reach[0], centre[1] + reach[1]])
        };
        match *self {
            Self::Ellipse { centre, radii: half, axis }
            | Self::Block { centre, half, axis, .. } => {
                let [cos, sin] = axis.map(f32::abs);
                let across = half[0] * cos + half[1] * sin;
                let down = half[0] * sin + half[1] * cos;
                around(centre, [across, down])
            }
            Self::Capsule { from, to, radius } => (
                [from[0].min(to[0]) - radius, from[1].min(to[1]) - radius],
                [from[0].max(to[0]) + radius, from[1].max(to[1]) + radius],
            ),
            Self::HalfPlane { .. } => ([0.0; 2], [side; 2]),
        }
    }
}

fn pixel_centre(across: usize, down: usize) -> Point {
    [across as f32 + 0.5, down as f32 + 0.5]
}

fn sub(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1]
}

/// Coordinates of an offset along a unit axis and along its perpendicular.
fn in_frame(offset: Point, axis: Point) -> Point {
    [dot(offset, axis), dot(offset, [-axis[1], axis[0]])]
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Rgb = [1.0; 3];

    fn area(shape: Shape) -> f32 {
        let mut canvas = Canvas::new(40, |_| [0.0; 3]);
        canvas.fill(shape, WHITE, 1.0);
        canvas.into_pixels().iter().map(|pixel| pixel[0]).sum()
    }

    #[test]
    fn painted_area_is_the_shape_s_area() {
        use std::f32::consts::PI;
        let centre = [20.2, 19.7];
        let cases = [
            (Shape::Ellipse { centre, radii: [9.0, 5.0], axis: [0.96, 0.28] }, PI * 45.0),
            (Shape::Block { centre, half: [8.0, 4.0], corner: 0.0, axis: [0.8, -0.6] }, 128.0),
            (
                Shape::Capsule { from: [10.0, 12.0], to: [22.0, 28.0], radius: 3.0 },
                PI * 9.0 + 120.0,
            ),
        ];
        for (shape, expected) in cases {
            let found = area(shape);
            // Coverage is exact only for edges along the grid: 2 % is what slanted edges cost.
            assert!((found / expected - 1.0).abs() < 0.02, "{shape:?}: {found} for {expected}");
        }
    }

    #[test]
    fn clips_split_a_shape_without_loss() {
        let shape = Shape::Ellipse { centre: [20.0, 20.0], radii: [9.0, 9.0], axis: [1.0, 0.0] };
        let plane = Shape::HalfPlane { at: [20.0, 17.0], towards: [0.0, 1.0] };
        let part = |clip| {
            let mut canvas = Canvas::new(40, |_| [0.0; 3]);
            canvas.fill_clipped(shape, &[clip], WHITE, 1.0);
            canvas.into_pixels().iter().map(|p| p[0]).sum::<f32>()
        };
        let whole = part(Clip::Within(plane)) + part(Clip::Outside(plane));
        assert!((whole - area(shape)).abs() < 1e-2, "{whole}");
    }

    #[test]
    fn shapes_off_the_canvas_paint_nothing() {
        let shape = Shape::Capsule { from: [-30.0, -9.0], to: [-20.0, 90.0], radius: 4.0 };
        assert!(area(shape).abs() < f32::EPSILON);
    }
}
