//! What a person wears: clothes, headwear, glasses.

use crate::canvas::Clip;
use crate::face::{DEPTH_BEHIND, DEPTH_FEATURES, DEPTH_OUTLINE, Portrait, SIDES};
use crate::identity::{Glasses, Headwear, Neckline};
use crate::palette::{self, INK};

/// Paints neck and clothes.
pub(crate) fn paint_clothes(portrait: &mut Portrait<'_>) {
    const SHOULDER: f32 = 0.72;
    let view = portrait.view;
    let skin = palette::scaled(portrait.attributes.skin(), 0.86);
    let cloth = portrait.attributes.cloth();
    let accent = portrait.attributes.accent();
    let chest = view.ellipse([0.0, SHOULDER + 0.62], DEPTH_BEHIND, [0.98, 0.62]);
    let neck = view.block([0.0, SHOULDER - 0.08], DEPTH_BEHIND, [0.20, 0.26], 0.05);
    portrait.canvas.fill(neck, skin, 1.0);
    portrait.canvas.fill(chest, cloth, 1.0);
    match portrait.attributes.neckline {
        Neckline::Crew => {
            let opening = view.ellipse([0.0, SHOULDER], DEPTH_BEHIND, [0.24, 0.14]);
            portrait.canvas.fill(opening, skin, 1.0);
        }
        Neckline::Open => {
            // Two half planes meet in the point of the V.
            let sides = SIDES.map(|side| {
                Clip::Within(view.half_plane([0.0, 1.02], DEPTH_BEHIND, [side * 0.83, -0.55]))
            });
            portrait.canvas.fill_clipped(chest, &sides, skin, 1.0);
        }
        Neckline::Collar => {
            for side in SIDES {
                let flap = view.capsule(
                    [side * 0.10, SHOULDER + 0.20],
                    [side * 0.30, SHOULDER + 0.03],
                    DEPTH_BEHIND,
                    0.075,
                );
                portrait.canvas.fill(flap, [0.96, 0.96, 0.94], 1.0);
            }
        }
        Neckline::Striped => {
            let stripe = if cloth.iter().sum::<f32>() > 1.5 {
                palette::scaled(cloth, 0.45)
            } else {
                palette::mix(cloth, [1.0; 3], 0.65)
            };
            for row in 0..3 {
                let height = SHOULDER + 0.09 + 0.17 * row as f32;
                let band = view.block([0.0, height], DEPTH_BEHIND, [1.0, 0.042], 0.0);
                portrait.canvas.fill_clipped(band, &[Clip::Within(chest)], stripe, 1.0);
            }
        }
        Neckline::Scarf => {
            let wrap = view.ellipse([0.0, SHOULDER], DEPTH_BEHIND, [0.40, 0.15]);
            portrait.canvas.fill(wrap, accent, 1.0);
        }
    }
}

/// Paints what is on the head.
pub(crate) fn paint_headwear(portrait: &mut Portrait<'_>) {
    let view = portrait.view;
    let [across, down] = portrait.head.radii;
    let colour = portrait.attributes.accent();
    let dark = palette::scaled(colour, 0.70);
    let brim = -down * 0.52;
    let line = |height: f32, towards: f32| {
        Clip::Within(view.half_plane([0.0, height], 0.12, [0.0, towards]))
    };
    match portrait.attributes.headwear {
        Headwear::None => {}
        Headwear::Cap => {
            let crown = portrait.skull(0.11);
            portrait.canvas.fill_clipped(crown, &[line(brim, -1.0)], colour, 1.0);
            let peak = view.ellipse([0.0, brim], DEPTH_FEATURES, [across * 0.95, 0.085]);
            portrait.canvas.fill(peak, dark, 1.0);
        }
        Headwear::Beanie => {
            let pompom = view.ellipse([0.0, -down - 0.16], DEPTH_OUTLINE, [0.11, 0.10]);
            portrait.canvas.fill(pompom, [0.95, 0.95, 0.95], 1.0);
            let crown = portrait.skull(0.13);
            portrait.canvas.fill_clipped(crown, &[line(brim, -1.0)], colour, 1.0);
            let fold = [line(brim, -1.0), line(brim - 0.15, 1.0)];
            portrait.canvas.fill_clipped(crown, &fold, dark, 1.0);
        }
        Headwear::Band => {
            let around = portrait.skull(0.10);
            let strip = [line(brim - 0.02, -1.0), line(brim - 0.15, 1.0)];
            portrait.canvas.fill_clipped(around, &strip, colour, 1.0);
        }
    }
}

/// Paints glasses.
pub(crate) fn paint_glasses(portrait: &mut Portrait<'_>) {
    let kind = portrait.attributes.glasses;
    if kind == Glasses::None {
        return;
    }
    let view = portrait.view;
    let head = portrait.head;
    let radius = (head.eye_across * 0.80).min(0.185);
    let width = view.pixels(0.045);
    for side in SIDES {
        let at = [side * head.eye_across, head.eye_down + 0.01];
        let lens = match kind {
            Glasses::Square => view.block(at, DEPTH_FEATURES, [radius, radius * 0.78], 0.03),
            Glasses::None | Glasses::Round | Glasses::Dark => {
                view.ellipse(at, DEPTH_FEATURES, [radius; 2])
            }
        };
        if kind == Glasses::Dark {
            portrait.canvas.fill(lens, INK, 0.92);
        }
        portrait.canvas.stroke(lens, width, INK, 0.95);
        let temple = view.capsule(
            [side * (head.eye_across + radius), at[1]],
            [side * head.radii[0], at[1] - 0.02],
            DEPTH_OUTLINE + 0.15,
            0.018,
        );
        portrait.canvas.fill(temple, INK, 0.95);
    }
    let inner = head.eye_across - radius;
    let bridge =
        view.capsule([-inner, head.eye_down], [inner, head.eye_down], DEPTH_FEATURES, 0.020);
    portrait.canvas.fill(bridge, INK, 0.95);
}
