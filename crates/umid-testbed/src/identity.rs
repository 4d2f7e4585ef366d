//! Who a person is: a name, and the latent attributes of a face.
//!
//! Attributes are drawn independently of each other and of the name. Seven are categorical and
//! some twenty continuous, so that 1,500 people stay apart in 32x32 pixels. What a photo changes
//! (pose, light, backdrop) is in [`crate::capture`]; everything here stays with the person.

use crate::names::Name;
use crate::palette::{self, Rgb};
use crate::stream::Stream;

/// A named person.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Position in the order in which the world's people were drawn; it says nothing about
    /// membership.
    pub index: usize,
    /// The name, unique in the world.
    pub name: Name,
    /// What the face looks like.
    pub attributes: Attributes,
}

/// A categorical attribute: its values, how likely each is, and the words of a caption, if a
/// caption would mention it.
macro_rules! category {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident: $weight:literal, $words:expr;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$value_doc])* $value,)+ }

        impl $name {
            const WEIGHTS: &[(Self, f32)] = &[$((Self::$value, $weight),)+];

            /// What a caption calls it, if it would be mentioned at all.
            pub fn words(self) -> Option<&'static str> {
                match self { $(Self::$value => $words,)+ }
            }

            fn draw(stream: &mut Stream) -> Self {
                stream.weighted(Self::WEIGHTS)
            }
        }
    };
}

category! {
    /// Hair colour; a shade is added to it.
    HairColour {
        /// Black.
        Black: 3.0, Some("black hair");
        /// Dark brown.
        Brown: 2.0, Some("brown hair");
        /// Reddish brown.
        Chestnut: 1.5, Some("chestnut hair");
        /// Red.
        Red: 1.5, Some("red hair");
        /// Blond.
        Blond: 2.0, Some("blond hair");
        /// Grey.
        Grey: 1.0, Some("grey hair");
        /// White.
        White: 1.0, Some("white hair");
        /// Dyed blue.
        Blue: 0.7, Some("blue hair");
        /// Dyed pink.
        Pink: 0.7, Some("pink hair");
    }
}

category! {
    /// Shape of the hair.
    HairStyle {
        /// None.
        Bald: 1.0, Some("no hair");
        /// A thin cap.
        Cropped: 1.5, Some("cropped hair");
        /// Short, parted at the side.
        Parted: 1.5, Some("parted hair");
        /// Straight over the forehead.
        Fringe: 1.5, Some("a fringe");
        /// A round volume.
        Curly: 1.5, Some("curly hair");
        /// To the chin.
        Bob: 1.5, Some("a bob");
        /// Past the shoulders.
        Long: 1.5, Some("long hair");
        /// Tied on top.
        Bun: 1.0, Some("a bun");
        /// A strip in the middle.
        Mohawk: 0.5, Some("a mohawk");
    }
}

category! {
    /// Colour of the iris.
    EyeColour {
        /// Brown.
        Brown: 2.0, Some("brown eyes");
        /// Hazel.
        Hazel: 1.0, Some("hazel eyes");
        /// Green.
        Green: 1.0, Some("green eyes");
        /// Blue.
        Blue: 1.0, Some("blue eyes");
        /// Grey.
        Grey: 1.0, Some("grey eyes");
    }
}

category! {
    /// Glasses.
    Glasses {
        /// None.
        None: 2.2, None;
        /// Round frames.
        Round: 0.8, Some("round glasses");
        /// Square frames.
        Square: 0.8, Some("square glasses");
        /// Dark lenses.
        Dark: 0.4, Some("dark glasses");
    }
}

category! {
    /// Hair on the face.
    Beard {
        /// None.
        None: 2.4, None;
        /// A shadow.
        Stubble: 0.6, Some("stubble");
        /// On the upper lip.
        Moustache: 0.7, Some("a moustache");
        /// On the chin.
        Goatee: 0.7, Some("a goatee");
        /// From ear to ear.
        Full: 0.9, Some("a beard");
    }
}

category! {
    /// What is worn on the head.
    Headwear {
        /// Nothing.
        None: 3.5, None;
        /// A peaked cap.
        Cap: 0.6, Some("a cap");
        /// A knitted hat.
        Beanie: 0.6, Some("a woolly hat");
        /// A band.
        Band: 0.6, Some("a headband");
    }
}

category! {
    /// Cut of the clothes.
    Neckline {
        /// Round.
        Crew: 1.0, None;
        /// Open in a V.
        Open: 1.0, Some("an open neck");
        /// A white collar.
        Collar: 1.0, Some("a collar");
        /// Striped.
        Striped: 1.0, Some("a striped shirt");
        /// A scarf of the accent colour.
        Scarf: 0.6, Some("a scarf");
    }
}

/// The lasting looks of a face. A shape is a number in -1..1, 0 being the average face.
#[derive(Clone, Debug, PartialEq)]
pub struct Attributes {
    /// Light (0) to dark (1).
    pub skin_depth: f32,
    /// Cool (-1) to warm (1).
    pub skin_undertone: f32,
    /// Hair colour.
    pub hair_colour: HairColour,
    /// Hair shade, dark (-1) to light (1).
    pub hair_shade: f32,
    /// Hair style.
    pub hair_style: HairStyle,
    /// Hairline, low (-1) to high (1).
    pub hairline: f32,
    /// Iris colour.
    pub eye_colour: EyeColour,
    /// Width of the head.
    pub face_width: f32,
    /// Height of the head.
    pub face_height: f32,
    /// Jaw, pointed (-1) to square (1).
    pub jaw: f32,
    /// Distance between the eyes.
    pub eye_spacing: f32,
    /// Size of the eyes.
    pub eye_size: f32,
    /// Height of the eyes in the face, low (-1) to high (1).
    pub eye_height: f32,
    /// Thickness of the brows.
    pub brow_thickness: f32,
    /// Slope of the brows, outer end up (-1) to down (1).
    pub brow_slope: f32,
    /// Length of the nose.
    pub nose_length: f32,
    /// Width of the nose.
    pub nose_width: f32,
    /// Width of the mouth.
    pub mouth_width: f32,
    /// Fullness of the lips.
    pub lip_fullness: f32,
    /// Corners of the mouth at rest, down (-1) to up (1).
    pub smile: f32,
    /// Size of the ears.
    pub ear_size: f32,
    /// Freckles: how many in 0..1, 0 for most people.
    pub freckles: f32,
    /// A mole at (across, down) in -1..1 of the face, for some.
    pub mole: Option<(f32, f32)>,
    /// Glasses.
    pub glasses: Glasses,
    /// Facial hair.
    pub beard: Beard,
    /// Headwear.
    pub headwear: Headwear,
    /// Cut of the clothes.
    pub neckline: Neckline,
    /// Colour of the clothes: hue in turns from red, saturation and value in 0..1.
    pub clothes: [f32; 3],
    /// Hue of headwear, scarf and frames in turns from red.
    pub accent_hue: f32,
}

/// Share of people with freckles, and with a mole.
const FRECKLED: f32 = 0.2;
const MOLED: f32 = 0.25;

impl Attributes {
    /// Draws one person's attributes. The order of the fields is the order of the draws and part
    /// of every world.
    pub(crate) fn draw(stream: &mut Stream) -> Self {
        let shape = |stream: &mut Stream| stream.between(-1.0, 1.0);
        Self {
            skin_depth: stream.unit(),
            skin_undertone: shape(stream),
            hair_colour: HairColour::draw(stream),
            hair_shade: shape(stream),
            hair_style: HairStyle::draw(stream),
            hairline: shape(stream),
            eye_colour: EyeColour::draw(stream),
            face_width: shape(stream),
            face_height: shape(stream),
            jaw: shape(stream),
            eye_spacing: shape(stream),
            eye_size: shape(stream),
            eye_height: shape(stream),
            brow_thickness: shape(stream),
            brow_slope: shape(stream),
            nose_length: shape(stream),
            nose_width: shape(stream),
            mouth_width: shape(stream),
            lip_fullness: shape(stream),
            smile: shape(stream),
            ear_size: shape(stream),
            freckles: if stream.chance(FRECKLED) { stream.between(0.4, 1.0) } else { 0.0 },
            mole: stream.chance(MOLED).then(|| (shape(stream), shape(stream))),
            glasses: Glasses::draw(stream),
            beard: Beard::draw(stream),
            headwear: Headwear::draw(stream),
            neckline: Neckline::draw(stream),
            clothes: [stream.unit(), stream.between(0.25, 0.95), stream.between(0.25, 0.95)],
            accent_hue: stream.unit(),
        }
    }

    /// Colour of the skin.
    pub(crate) fn skin(&self) -> Rgb {
        palette::skin(self.skin_depth, self.skin_undertone)
    }

    /// Colour of the hair.
    pub(crate) fn hair(&self) -> Rgb {
        let base = match self.hair_colour {
            HairColour::Black => [0.10, 0.09, 0.10],
            HairColour::Brown => [0.32, 0.20, 0.12],
            HairColour::Chestnut => [0.48, 0.25, 0.14],
            HairColour::Red => [0.78, 0.33, 0.12],
            HairColour::Blond => [0.90, 0.76, 0.42],
            HairColour::Grey => [0.55, 0.55, 0.57],
            HairColour::White => [0.93, 0.93, 0.90],
            HairColour::Blue => [0.20, 0.36, 0.80],
            HairColour::Pink => [0.92, 0.45, 0.66],
        };
        // A shade moves the colour by less than the distance to the next one.
        palette::scaled(base, 1.0 + 0.15 * self.hair_shade)
    }

    /// Colour of the iris.
    pub(crate) fn iris(&self) -> Rgb {
        match self.eye_colour {
            EyeColour::Brown => [0.30, 0.17, 0.09],
            EyeColour::Hazel => [0.55, 0.40, 0.15],
            EyeColour::Green => [0.20, 0.55, 0.25],
            EyeColour::Blue => [0.20, 0.45, 0.85],
            EyeColour::Grey => [0.50, 0.56, 0.62],
        }
    }

    /// Colour of the clothes.
    pub(crate) fn cloth(&self) -> Rgb {
        let [hue, saturation, value] = self.clothes;
        palette::hsv(hue, saturation, value)
    }

    /// Colour of headwear and scarf.
    pub(crate) fn accent(&self) -> Rgb {
        palette::hsv(self.accent_hue, 0.75, 0.80)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Purpose;

    fn people(count: u64) -> Vec<Attributes> {
        (0..count)
            .map(|i| Attributes::draw(&mut Stream::new(4, Purpose::PersonAttributes, i, 0)))
            .collect()
    }

    #[test]
    fn categories_alone_keep_most_people_apart() {
        let people = people(1_500);
        let kinds: std::collections::HashSet<_> = people
            .iter()
            .map(|a| {
                (
                    a.hair_colour,
                    a.hair_style,
                    a.eye_colour,
                    a.glasses,
                    a.beard,
                    a.headwear,
                    a.neckline,
                )
            })
            .collect();
        assert!(kinds.len() > 1_350, "{} kinds of 1,500 people", kinds.len());
    }

    #[test]
    fn every_value_of_a_category_occurs() {
        let people = people(1_500);
        for &(style, _) in HairStyle::WEIGHTS {
            assert!(people.iter().any(|a| a.hair_style == style), "{style:?}");
        }
        for &(colour, _) in HairColour::WEIGHTS {
            assert!(people.iter().any(|a| a.hair_colour == colour), "{colour:?}");
        }
    }

    #[test]
    fn colours_are_colours() {
        for person in people(300) {
            for colour in [person.skin(), person.hair(), person.cloth(), person.accent()] {
                assert!(colour.iter().all(|c| (0.0..=1.0).contains(c)), "{colour:?}");
            }
        }
    }
}
