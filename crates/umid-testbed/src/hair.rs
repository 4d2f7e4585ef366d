//! Hair: what lies behind the head and what lies over it, one style at a time.

use crate::canvas::{Clip, Shape};
use crate::face::{DEPTH_BEHIND, DEPTH_OUTLINE, Portrait, SIDES};
use crate::identity::HairStyle;
use crate::palette;

/// Paints the hair behind head and neck.
pub(crate) fn paint_back(portrait: &mut Portrait<'_>) {
    let view = portrait.view;
    let [across, down] = portrait.head.radii;
    let shapes: Vec<Shape> = match portrait.attributes.hair_style {
        HairStyle::Long => vec![
            view.ellipse([0.0, -0.12], DEPTH_BEHIND, [across + 0.17, down + 0.06]),
            view.block([0.0, 0.55], DEPTH_BEHIND, [across + 0.17, 0.62], 0.12),
        ],
        HairStyle::Bob => vec![
            view.ellipse([0.0, -0.12], DEPTH_BEHIND, [across + 0.17, down + 0.06]),
            view.block([0.0, 0.16], DEPTH_BEHIND, [across + 0.17, 0.32], 0.10),
        ],
        HairStyle::Curly => {
            /// Curls from ear to ear over the top.
            const CURLS: usize = 9;
            (0..CURLS)
                .map(|curl| {
                    let turn = curl as f32 / (CURLS - 1) as f32;
                    // From a little below one ear, over the top, to the same on the other side.
                    let angle = std::f32::consts::PI * (0.92 + 1.16 * turn);
                    let at = [angle.cos() * (across + 0.08), angle.sin() * down * 0.88 - 0.10];
                    view.ellipse(at, DEPTH_BEHIND, [0.19, 0.19])
                })
                .collect()
        }
        HairStyle::Bun => {
            vec![view.ellipse([0.0, -down - 0.10], DEPTH_BEHIND, [0.21, 0.19])]
        }
        HairStyle::Bald
        | HairStyle::Cropped
        | HairStyle::Parted
        | HairStyle::Fringe
        | HairStyle::Mohawk => Vec::new(),
    };
    // Behind the head there is less light.
    let colour = palette::scaled(portrait.attributes.hair(), 0.82);
    for shape in shapes {
        portrait.canvas.fill(shape, colour, 1.0);
    }
}

/// Paints the hair over the forehead and on top of the skull.
pub(crate) fn paint_front(portrait: &mut Portrait<'_>) {
    let view = portrait.view;
    let down = portrait.head.radii[1];
    let hairline = -down * (0.58 + 0.12 * portrait.attributes.hairline);
    // The part of the skull above a line through (across, height), tilted by `slope`.
    let above = |across: f32, height: f32, slope: f32| {
        let length = 1.0_f32.hypot(slope);
        let towards = [slope / length, -1.0 / length];
        Clip::Within(view.half_plane([across, height], 0.15, towards))
    };
    let colour = portrait.attributes.hair();
    let style = portrait.attributes.hair_style;
    let mut cover = |grown: f32, clip: Clip, opacity: f32| {
        let skull = portrait.skull(grown);
        portrait.canvas.fill_clipped(skull, &[clip], colour, opacity);
    };
    match style {
        HairStyle::Bald => {}
        HairStyle::Cropped => cover(0.02, above(0.0, hairline, 0.0), 0.75),
        HairStyle::Parted => {
            cover(0.08, above(-0.22, hairline - 0.06, 0.35), 1.0);
            cover(0.08, above(-0.22, hairline - 0.06, -0.9), 1.0);
        }
        HairStyle::Fringe => cover(0.08, above(0.0, hairline + 0.20, 0.0), 1.0),
        HairStyle::Curly | HairStyle::Bun => cover(0.06, above(0.0, hairline, 0.0), 1.0),
        HairStyle::Bob => {
            cover(0.10, above(0.0, hairline + 0.13, 0.12), 1.0);
            paint_curtains(portrait, 0.25);
        }
        HairStyle::Long => {
            cover(0.10, above(0.0, hairline - 0.04, 0.5), 1.0);
            cover(0.10, above(0.0, hairline - 0.04, -0.5), 1.0);
            paint_curtains(portrait, 0.80);
        }
        HairStyle::Mohawk => {
            let crest = view.block([0.0, -down - 0.02], DEPTH_OUTLINE, [0.13, 0.30], 0.08);
            portrait.canvas.fill(crest, colour, 1.0);
        }
    }
}

/// Strands along both cheeks, down to `end`.
fn paint_curtains(portrait: &mut Portrait<'_>, end: f32) {
    let across = portrait.head.radii[0];
    let colour = portrait.attributes.hair();
    for side in SIDES {
        let strand = portrait.view.capsule(
            [side * (across + 0.03), -0.25],
            [side * (across + 0.06), end],
            DEPTH_OUTLINE,
            0.085,
        );
        portrait.canvas.fill(strand, colour, 1.0);
    }
}
