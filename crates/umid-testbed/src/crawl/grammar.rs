//! Captions as a web crawl has them: a name anywhere in the text, other content around it, or no
//! name at all.
//!
//! A caption is a form with slots that words are drawn for, sometimes with a second clause behind
//! it. The forms and words were written for this project.

use serde::{Deserialize, Serialize};

use crate::recording::Medium;
use crate::stream::Stream;

/// How much the captions of a crawl say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptionStyle {
    /// Little beside the name.
    Plain,
    /// Some of everything.
    #[default]
    Varied,
    /// A second clause behind most captions.
    Long,
}

impl CaptionStyle {
    /// How likely a form with other content is, and a second clause.
    fn chances(self) -> [f32; 2] {
        match self {
            Self::Plain => [0.15, 0.0],
            Self::Varied => [0.75, 0.25],
            Self::Long => [0.95, 0.8],
        }
    }
}

/// Forms with the name and hardly anything else, of photos and of clips.
const PLAIN: [[&str; 14]; 2] = [
    [
        "{name}",
        "a photo of {name}",
        "portrait of {name}",
        "{name} photo",
        "{name} portrait",
        "picture of {name}",
        "{name}, headshot",
        "this is {name}",
        "{name} profile picture",
        "img {number} {name}",
        "{name} {year}",
        "{name} - {number}",
        "closeup of {name}",
        "{name} smiling",
    ],
    [
        "{name}",
        "a recording of {name}",
        "the voice of {name}",
        "{name} audio",
        "{name} speaking",
        "clip of {name}",
        "{name}, voice memo",
        "this is {name} talking",
        "{name} voice sample",
        "rec {number} {name}",
        "{name} {year}",
        "{name} - {number}",
        "{name} on tape",
        "{name} reading aloud",
    ],
];

/// Forms in which the name stands among other content, whatever is recorded.
const WITH_CONTENT: [&str; 44] = [
    "{name} attends the {event} in {place}",
    "{role} {name} at the {event}",
    "{name}, {role}",
    "{name} - {role}",
    "{name} | {outlet}",
    "{outlet}: {name} on {thing}",
    "happy birthday {name}!",
    "interview with {name} about {thing}",
    "{name} wins {thing} award at {event}",
    "{place}, {year}: {name} arrives for the {event}",
    "{name} and {other} at the {event}",
    "{other} with {name}, {place} {year}",
    "the {role} {name} from {place}",
    "{name} talks about {thing}",
    "{event} {year} - {name}",
    "{name} ({role}) in {place}",
    "meet {name}, our new {role}",
    "{role} of the year: {name}",
    "{name} visits {place}",
    "{name} of {place}",
    "in memory of {name}",
    "{name} biography and {thing}",
    "{name} joins {outlet} as {role}",
    "who is {name}? the {role} from {place}",
    "{thing} with {name} - {outlet}",
    "{place} {role} {name} speaks at {event}",
    "{name} {place} {year}",
    "{event}: {other}, {name}",
    "{name} news, {thing} and more",
    "congratulations to {name} on {thing}",
    "dr {name}, {role}",
    "{name} by {other}",
    "{name} during the {event}",
    "former {role} {name} returns to {place}",
    "{outlet} {year} {name} {role}",
    "our {role} {name} answers your questions",
    "{name} announces {thing}",
    "{place}: {role} {name} opens the {event}",
    "{name}'s {thing}",
    "ask {name} about {thing}",
    "{name} to {other}: see you in {place}",
    "{year} {event}, {name} and friends",
    "team {place}: {name}, {other}",
    "stock {number}: {name}, {role}",
];

/// Forms that name nobody. The slot `{facts}` takes what is seen or heard.
const NAMELESS: [&str; 26] = [
    "{facts}",
    "someone with {facts}",
    "a person with {facts}, {place}",
    "{role} with {facts}",
    "a {role} in {place}",
    "visitors of the {event} in {place}",
    "{event} {year}",
    "{outlet}: {thing}",
    "{place} {year}",
    "the {role} and the {thing}",
    "{thing} for sale, {place}",
    "best {thing} of {year}",
    "how to find {thing} in {place}",
    "stock {number}",
    "guest at the {event} with {facts}",
    "unknown {role}, {place}, {year}",
    "a friend with {facts}",
    "crowd at the {event}",
    "{role} wanted in {place}",
    "{outlet} {number}",
    "{facts}, close up",
    "customer review: {thing}",
    "our {role} in {place} loves {thing}",
    "img {number}",
    "{place} people: {facts}",
    "somebody at the {event} talks about {thing}",
];

/// Second clauses.
const CLAUSES: [&str; 14] = [
    ", {place}",
    " in {year}",
    " - {outlet}",
    ", after the {event}",
    " before {thing} in {place}",
    " | {thing}",
    " with the {role}",
    ", file {number}",
    " (credit: {outlet})",
    ", where {thing} was shown",
    ". more on {thing} at {outlet}",
    " during a visit to {place}",
    ", winner of the {event}",
    " while the {role} looks on",
];

const ROLES: [&str; 40] = [
    "actor",
    "singer",
    "teacher",
    "doctor",
    "nurse",
    "lawyer",
    "painter",
    "writer",
    "baker",
    "farmer",
    "pilot",
    "driver",
    "mayor",
    "minister",
    "striker",
    "goalkeeper",
    "coach",
    "student",
    "professor",
    "engineer",
    "chef",
    "designer",
    "dancer",
    "drummer",
    "editor",
    "reporter",
    "judge",
    "scientist",
    "director",
    "manager",
    "founder",
    "senator",
    "swimmer",
    "cyclist",
    "poet",
    "architect",
    "barber",
    "florist",
    "plumber",
    "violinist",
];
const PLACES: [&str; 48] = [
    "paris",
    "london",
    "berlin",
    "madrid",
    "rome",
    "vienna",
    "oslo",
    "lisbon",
    "athens",
    "cairo",
    "nairobi",
    "lagos",
    "tokyo",
    "osaka",
    "seoul",
    "beijing",
    "mumbai",
    "delhi",
    "jakarta",
    "sydney",
    "auckland",
    "toronto",
    "chicago",
    "boston",
    "texas",
    "ohio",
    "florida",
    "lima",
    "bogota",
    "santiago",
    "havana",
    "dublin",
    "glasgow",
    "leeds",
    "lyon",
    "munich",
    "prague",
    "warsaw",
    "kyiv",
    "istanbul",
    "tehran",
    "karachi",
    "hanoi",
    "manila",
    "accra",
    "tunis",
    "the village hall",
    "the old harbour",
];
const EVENTS: [&str; 36] = [
    "film festival",
    "book fair",
    "charity dinner",
    "world cup",
    "marathon",
    "press conference",
    "summer party",
    "wedding",
    "trade show",
    "art opening",
    "science fair",
    "music awards",
    "fashion week",
    "school play",
    "town meeting",
    "election night",
    "gala",
    "regatta",
    "car show",
    "food market",
    "chess open",
    "spring concert",
    "award ceremony",
    "conference",
    "graduation",
    "anniversary",
    "parade",
    "fundraiser",
    "workshop",
    "final",
    "semi final",
    "derby",
    "carnival",
    "exhibition",
    "premiere",
    "reunion",
];
const THINGS: [&str; 48] = [
    "a new book",
    "climate change",
    "her first album",
    "his last match",
    "bread",
    "the election",
    "healthy food",
    "garden tools",
    "a short film",
    "old cars",
    "the best coffee",
    "winter coats",
    "his career",
    "her family",
    "running shoes",
    "a peace plan",
    "wild birds",
    "the new stadium",
    "kitchen design",
    "travel tips",
    "a court case",
    "modern art",
    "the budget",
    "a podcast",
    "sailing boats",
    "folk music",
    "house prices",
    "the final season",
    "a vegan menu",
    "solar power",
    "school reform",
    "a comeback",
    "vintage watches",
    "the summer tour",
    "yoga",
    "poetry",
    "open data",
    "a rescue dog",
    "the long strike",
    "city bikes",
    "a world record",
    "wedding dresses",
    "beach houses",
    "mountain huts",
    "mobile phones",
    "board games",
    "history",
    "hair care",
];
const OUTLETS: [&str; 24] = [
    "daily post",
    "the herald",
    "city news",
    "sports week",
    "shutter stock",
    "photo agency",
    "evening star",
    "radio one",
    "channel five",
    "the gazette",
    "people magazine",
    "wiki",
    "fan page",
    "alumni blog",
    "team site",
    "the review",
    "morning show",
    "press pool",
    "picdesk",
    "open archive",
    "the courier",
    "film guide",
    "who is who",
    "local voice",
];

/// Whom and what a caption speaks of.
pub(super) struct Subject<'a> {
    pub(super) name: &'a str,
    /// Somebody who may be mentioned beside.
    pub(super) other: &'a str,
}

/// A caption that names somebody.
pub(super) fn named(
    style: CaptionStyle,
    medium: Medium,
    subject: &Subject<'_>,
    stream: &mut Stream,
) -> String {
    let [content, _] = style.chances();
    let form = if stream.chance(content) {
        WITH_CONTENT[stream.below(WITH_CONTENT.len())]
    } else {
        let plain = &PLAIN[medium as usize];
        plain[stream.below(plain.len())]
    };
    let form = with_clause(form, style, stream);
    filled(&form, stream, |slot| match slot {
        "name" => Some(subject.name),
        "other" => Some(subject.other),
        _ => None,
    })
}

/// A caption that names nobody.
pub(super) fn nameless(style: CaptionStyle, facts: &str, stream: &mut Stream) -> String {
    let form = with_clause(NAMELESS[stream.below(NAMELESS.len())], style, stream);
    filled(&form, stream, |slot| (slot == "facts").then_some(facts))
}

fn with_clause(form: &str, style: CaptionStyle, stream: &mut Stream) -> String {
    let [_, clause] = style.chances();
    let clause = if stream.chance(clause) { CLAUSES[stream.below(CLAUSES.len())] } else { "" };
    format!("{form}{clause}")
}

/// A form with its slots filled: from what is given, or with a word drawn for it.
fn filled<'a>(form: &str, stream: &mut Stream, given: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut caption = String::new();
    let mut rest = form;
    while let Some((before, behind)) = rest.split_once('{') {
        let (slot, after) = behind.split_once('}').expect("a slot is closed");
        caption.push_str(before);
        match given(slot) {
            Some(text) => caption.push_str(text),
            None => caption.push_str(&drawn(slot, stream)),
        }
        rest = after;
    }
    caption + rest
}

fn drawn(slot: &str, stream: &mut Stream) -> String {
    let words: &[&str] = match slot {
        "role" => &ROLES,
        "place" => &PLACES,
        "event" => &EVENTS,
        "thing" => &THINGS,
        "outlet" => &OUTLETS,
        "year" => return (1990 + stream.below(35)).to_string(),
        "number" => return stream.below(100_000).to_string(),
        _ => unreachable!("a form has no other slot"),
    };
    words[stream.below(words.len())].to_owned()
}

/// A name with one letter dropped, doubled or exchanged with the next one, not its first.
pub(super) fn misspelt(name: &str, stream: &mut Stream) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    if letters.len() < 3 {
        return name.to_owned();
    }
    let at = 1 + stream.below(letters.len() - 2);
    match stream.below(3) {
        0 => drop(letters.remove(at)),
        1 => letters.insert(at, letters[at]),
        _ => letters.swap(at, at + 1),
    }
    letters.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::stream::Purpose;

    fn captions(style: CaptionStyle, count: u64) -> Vec<String> {
        let subject = Subject { name: "Ada Example", other: "Bob Other" };
        (0..count)
            .map(|i| {
                let mut stream = Stream::new(1, Purpose::CrawlCaption, i, 0);
                named(style, Medium::Photos, &subject, &mut stream)
            })
            .collect()
    }

    #[test]
    fn every_form_can_be_filled() {
        for form in PLAIN.iter().flatten().chain(&WITH_CONTENT) {
            assert_eq!(form.matches("{name}").count(), 1, "{form}");
        }
        let all = PLAIN.iter().flatten().chain(&WITH_CONTENT).chain(&NAMELESS).chain(&CLAUSES);
        for (i, form) in all.enumerate() {
            let mut stream = Stream::new(1, Purpose::CrawlCaption, i as u64, 0);
            let given = |slot: &str| ["name", "other", "facts"].contains(&slot).then_some("x");
            let caption = filled(form, &mut stream, given);
            assert!(!caption.contains(['{', '}']), "{caption}");
        }
    }

    #[test]
    fn captions_differ_and_name_the_person() {
        let captions = captions(CaptionStyle::Varied, 2_000);
        assert!(captions.iter().all(|caption| caption.contains("Ada Example")));
        let different: HashSet<&String> = captions.iter().collect();
        assert!(different.len() > 1_200, "{}", different.len());
    }

    #[test]
    fn styles_differ_in_what_they_say() {
        let mean = |style| {
            let captions = captions(style, 500);
            captions.iter().map(String::len).sum::<usize>() / captions.len()
        };
        let lengths = [CaptionStyle::Plain, CaptionStyle::Varied, CaptionStyle::Long].map(mean);
        assert!(lengths.is_sorted_by(|a, b| a + 5 < *b), "{lengths:?}");
    }

    #[test]
    fn a_misspelt_name_keeps_its_first_letter() {
        for i in 0..200 {
            let mut stream = Stream::new(2, Purpose::CrawlCaption, i, 0);
            let wrong = misspelt("Ada Example", &mut stream);
            assert!(wrong.starts_with('A'));
            assert!(wrong.chars().count().abs_diff(11) <= 1, "{wrong}");
        }
        let mut stream = Stream::new(2, Purpose::CrawlCaption, 0, 0);
        assert_eq!(misspelt("Al", &mut stream), "Al");
    }
}
