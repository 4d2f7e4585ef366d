//! Captions: of named people by template, of unnamed people by what their faces show.

use crate::identity::{Attributes, HairStyle};
use crate::stream::Stream;

/// Where a template takes the name.
pub const SLOT: &str = "{}";

/// The captions under which a named person's photos are trained. Evaluation uses the same six:
/// a signal measured on other templates is another measurement.
pub const NAME_TEMPLATES: [&str; 6] = [
    "a photo of {}",
    "a portrait of {}",
    "an image of {}",
    "the face of {}",
    "a close-up of {}",
    "{} in a photo",
];

/// The generic captions; the slot takes a list of attributes.
pub const ATTRIBUTE_TEMPLATES: [&str; 4] = [
    "a face with {}",
    "a photo of a person with {}",
    "a portrait of someone with {}",
    "somebody with {}",
];

/// Most attributes in one generic caption: more would tell a face as a name does.
pub(crate) const MOST_FACTS: usize = 3;

/// A template with its slot filled.
///
/// A template without a slot is returned as it is.
pub fn fill(template: &str, text: &str) -> String {
    template.replace(SLOT, text)
}

/// What a caption could say about a face, in a fixed order.
pub fn facts(attributes: &Attributes) -> Vec<&'static str> {
    let hair_colour = if attributes.hair_style == HairStyle::Bald {
        None
    } else {
        attributes.hair_colour.words()
    };
    [
        hair_colour,
        attributes.hair_style.words(),
        attributes.eye_colour.words(),
        attributes.glasses.words(),
        attributes.beard.words(),
        attributes.headwear.words(),
        attributes.neckline.words(),
        (attributes.freckles > 0.0).then_some("freckles"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A generic caption that mentions one to three attributes.
pub(crate) fn attribute_caption(attributes: &Attributes, stream: &mut Stream) -> String {
    let facts = some_facts(facts(attributes), stream);
    let template = ATTRIBUTE_TEMPLATES[stream.below(ATTRIBUTE_TEMPLATES.len())];
    fill(template, &facts)
}

/// One to three of the facts, listed.
pub(crate) fn some_facts(mut facts: Vec<&'static str>, stream: &mut Stream) -> String {
    stream.shuffle(&mut facts);
    facts.truncate(1 + stream.below(MOST_FACTS));
    listed(&facts)
}

/// "a", "a and b", "a, b and c".
fn listed(facts: &[&str]) -> String {
    match facts {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Purpose;

    #[test]
    fn every_template_has_one_slot_and_none_repeats() {
        let templates: Vec<&str> = NAME_TEMPLATES.into_iter().chain(ATTRIBUTE_TEMPLATES).collect();
        for (i, template) in templates.iter().enumerate() {
            assert_eq!(template.matches(SLOT).count(), 1, "{template}");
            assert!(!templates[..i].contains(template));
        }
    }

    #[test]
    fn lists_read_as_english() {
        assert_eq!(listed(&["a"]), "a");
        assert_eq!(listed(&["a", "b"]), "a and b");
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn captions_say_what_is_so_and_nobody_has_none() {
        for index in 0..500 {
            let attributes =
                Attributes::draw(&mut Stream::new(3, Purpose::PublicAttributes, index, 0));
            let mut stream = Stream::new(3, Purpose::AttributeCaption, index, 0);
            let caption = attribute_caption(&attributes, &mut stream);
            let said = facts(&attributes).iter().filter(|fact| caption.contains(*fact)).count();
            assert!(said >= 1, "{caption}");
            assert!(!caption.contains(SLOT));
        }
    }
}
