//! New names from known parts. A combination of parts may by chance be a real member of the
//! training set: that makes the reference look more member-like, so it costs power and never
//! validity.
//!
//! The queries' own parts are the best source: a reference made of other parts leaves some
//! of the difference between lists of names in the test, where the same parts leave only the
//! pairing. Such a reference is a function of the whole list of queries, though not of its order,
//! so a list with one name more is another run with another reference; given the reference, no
//! query's numbers depend on another's.
//!
//! A query is ranked among names of its own [`Form`], so names are recombined within each form.
//!
//! What a part's siblings say is asked once for all names with that part, so names of given parts
//! ([`recombined`]) are made of few parts that recur. Their scores then depend on each other, which
//! makes thresholds vary more from one reference to the next and takes a little of their level:
//! with [`FEWEST_PARTS`] of each kind and [`NAMES_A_PART`] the rate of false positives at 5 % is at most
//! 5.3 %, also where parts decide most of a score (the test `parts_that_recur_keep_the_error_rate`).

use std::collections::{BTreeMap, HashSet};

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{MIN_REFERENCE, ReferenceError, ReferenceTexts, check_count, renumbered, stream};
use crate::names::NameList;
use crate::queries::{Query, name_key};
use crate::reading::form::{Form, MOST_THAT_SET_SCALES};

/// Fewest distinct parts on either side for the queries' own parts to be recombined; fewer
/// would repeat each of them too often.
const MIN_OWN_PARTS: usize = 12;

/// At most this share of the possible combinations is drawn, so that drawing is quick and the
/// reference is not an enumeration.
const MAX_DRAWN_SHARE: f64 = 0.5;

/// Draws by frequency, or of parts that recur, before a combination of any parts is drawn uniformly
/// instead.
const DRAWS_OF_SOME_PARTS: usize = 256;

/// Names of [`recombined`] are made of at least so many parts of each kind, where there are as many.
const FEWEST_PARTS: usize = 100;

/// Of how many names of [`recombined`] there is one part of each kind, once [`FEWEST_PARTS`] do not
/// suffice.
const NAMES_A_PART: usize = 6;

/// What every description of a drawn reference ends in.
const BY_CHANCE: &str = "one may by chance be a real member, which costs power and not validity";

/// How many names a drawn reference has of each form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReferenceSize {
    /// So many, as far as the parts give them.
    pub names: usize,
    /// Fewer than these are warned of.
    pub enough: usize,
}

impl ReferenceSize {
    /// Names of the default reference, at least.
    pub const LEAST: usize = 600;
    /// Names of the default reference for a list of up to as many names, at most.
    pub const MOST_FOR_SHORT_LISTS: usize = 2_000;
    /// Names of the default reference, at most.
    pub const MOST: usize = 20_000;

    /// Exactly so many.
    pub fn exactly(names: usize) -> Self {
        Self { names, enough: names }
    }

    /// The default for a list of so many names: as many as one member alone needs to be detected at a
    /// false discovery rate, but at least [`Self::LEAST`] and at most [`Self::MOST_FOR_SHORT_LISTS`]
    /// or, for longer lists, as many as the list has, up to [`Self::MOST`]. A reference then costs no
    /// more than a long list itself.
    pub fn for_list(queries: usize, false_discovery_rate: f64) -> Self {
        // One p-value of 1 / (ranked + 1) passes if it is at most the rate over the names.
        let ranked = (queries as f64 / false_discovery_rate).ceil() as usize;
        // Half as many set the scales.
        let names = ranked.saturating_add((ranked / 2).min(MOST_THAT_SET_SCALES));
        let most = queries.clamp(Self::MOST_FOR_SHORT_LISTS, Self::MOST);
        Self { names: names.clamp(Self::LEAST, most), enough: Self::LEAST }
    }
}

/// The calibrated reading's reference where no file is given: for each form of the queries,
/// as many new names of that form as `size` says, made of the queries' own parts if these have at least 12
/// different first and 12 different last ones. A name of more than two words without given parts
/// is recombined as its first word and the rest.
///
/// Where there are fewer parts, names of two words get the bundled lists recombined, with a
/// warning; for names of another form nothing is drawn, and the warning says that they get no
/// calibrated verdict. Of own parts fewer are drawn where they do not give as many, with a warning
/// where that is not enough.
///
/// # Errors
/// A size outside the limits, or one that the bundled lists do not give.
pub fn choose_reference(
    seed: u64,
    size: ReferenceSize,
    queries: &[Query],
) -> Result<ReferenceTexts, ReferenceError> {
    check_count(size.names)?;
    let excluded = keys(queries);
    let mut forms: BTreeMap<Form, Vec<&Query>> = BTreeMap::new();
    for query in queries {
        forms.entry(Form::of(query)).or_default().push(query);
    }
    let mut drawn: Vec<ReferenceTexts> = Vec::new();
    let mut undrawn = Vec::new();
    // Names of two words first, whether or not they have parts: these are served alike.
    let two_words = forms.remove(&Form::TWO_WORDS);
    let unsplit = forms.remove(&Form::TWO_WORDS.without_parts());
    if two_words.is_some() || unsplit.is_some() {
        let pairs = own_parts(two_words.as_deref().unwrap_or_default());
        drawn.push(match own(seed, size, Form::TWO_WORDS, &pairs, &excluded) {
            Some(own) => own,
            None => bundled(seed, size.names, &pairs, queries)?,
        });
    }
    for (form, names) in forms {
        match own(seed, size, form, &own_parts(&names), &excluded) {
            Some(own) => drawn.push(own),
            None => undrawn.push(no_reference(form, names.len(), queries.len())),
        }
    }
    if drawn.is_empty() {
        // What a model answers to any name is learnt from these, even if none is ranked.
        drawn.push(bundled(seed, size.names, &[], queries)?);
    }
    let descriptions: Vec<String> = drawn.iter().map(|one| one.description.clone()).collect();
    let mut warnings: Vec<String> = drawn.iter().flat_map(|one| one.warnings.clone()).collect();
    warnings.extend(undrawn);
    Ok(ReferenceTexts {
        texts: renumbered(drawn.into_iter().flat_map(|one| one.texts).collect()),
        description: format!("{}; {BY_CHANCE}", descriptions.join(", and ")),
        warnings,
    })
}

fn no_reference(form: Form, names: usize, of: usize) -> String {
    let why = if form.words() == 1 {
        "which cannot be taken apart"
    } else {
        "too few to make new names of the same form"
    };
    format!(
        "{names} of {of} queries are names of {form}, {why}, so they get no calibrated verdict; \
         give a file of plausible names of that form as the reference"
    )
}

/// First and last parts of names of one form: their own, or the first word and the rest.
fn own_parts<'a>(names: &[&'a Query]) -> Vec<(&'a str, &'a str)> {
    let pair = |name: &&'a Query| match &name.parts {
        Some((first, last)) => Some((first.as_str(), last.as_str())),
        None => name.text.split_once(char::is_whitespace).map(|(first, rest)| (first, rest.trim())),
    };
    names.iter().filter_map(pair).collect()
}

/// New names of `form` from the queries' own parts; `None` where these are too few.
fn own(
    seed: u64,
    size: ReferenceSize,
    form: Form,
    pairs: &[(&str, &str)],
    excluded: &HashSet<String>,
) -> Option<ReferenceTexts> {
    let parts = Parts::new(sorted(pairs, |pair| pair.0), sorted(pairs, |pair| pair.1));
    let possible = parts.drawable(excluded);
    let enough = |distinct: &[&str]| distinct.len() >= MIN_OWN_PARTS && possible >= MIN_REFERENCE;
    if !(enough(&parts.distinct_first) && enough(&parts.distinct_last)) {
        return None;
    }
    let drawn = size.names.min(possible);
    let (kind, of_form) = if form == Form::TWO_WORDS {
        ("recombined".to_owned(), String::new())
    } else {
        (format!("recombined, {form}"), format!(" (names of {form})"))
    };
    let mut texts = parts.draw(seed, &kind, drawn, excluded);
    if !form.has_parts() {
        for name in &mut texts {
            name.parts = None;
        }
    }
    let mut warnings = Vec::new();
    if drawn < size.enough {
        warnings.push(format!(
            "the queries' own parts give {drawn} new names{of_form} where {} were asked for, \
             so no p-value is below {:.2e}; give more queries, or a file of plausible names",
            size.enough,
            1.0 / (drawn as f64 + 1.0)
        ));
    }
    Some(ReferenceTexts {
        texts,
        description: format!(
            "{drawn} new combinations of the queries' own first and last parts{of_form}"
        ),
        warnings,
    })
}

/// One side of the pairs in an order that is the parts' own, so that the order of the queries is no
/// seed of the draw.
fn sorted<'a>(
    pairs: &[(&'a str, &'a str)],
    side: impl Fn(&(&'a str, &'a str)) -> &'a str,
) -> Vec<&'a str> {
    let mut parts: Vec<&str> = pairs.iter().map(side).collect();
    parts.sort_by_cached_key(|part| (name_key(part), *part));
    parts
}

/// New names of two words from the bundled lists.
fn bundled(
    seed: u64,
    count: usize,
    pairs: &[(&str, &str)],
    queries: &[Query],
) -> Result<ReferenceTexts, ReferenceError> {
    let mut reference =
        recombined(seed, count, &NameList::First.names(), &NameList::Last.names(), queries)?;
    reference.description =
        format!("{count} new combinations of the bundled lists of first and last names");
    let own = Parts::new(sorted(pairs, |pair| pair.0), sorted(pairs, |pair| pair.1));
    reference.warnings.push(format!(
        "the queries are too few or have no two parts, so the reference is made of bundled \
         names ({} of {} queries have two parts, with {} different first and {} different last \
         ones; {MIN_OWN_PARTS} of each would do); p-values are off where the queries' parts are \
         unlike the bundled ones, so give a file of plausible names",
        pairs.len(),
        queries.len(),
        own.distinct_first.len(),
        own.distinct_last.len(),
    ));
    Ok(reference)
}

/// `count` different names made of one of `firsts` and one of `lasts` each, none of them
/// equal to a name of `exclude` (case and spacing aside).
///
/// Names are made of few parts that recur: 100 of each kind up to 600 names, and a sixth of `count`
/// beyond. Which these are is the seed's choice.
///
/// # Errors
/// A `count` outside the limits, fewer than two different parts on a side, or more names
/// than half of the combinations.
pub fn recombined(
    seed: u64,
    count: usize,
    firsts: &[String],
    lasts: &[String],
    exclude: &[Query],
) -> Result<ReferenceTexts, ReferenceError> {
    check_count(count)?;
    let parts = Parts::new(
        firsts.iter().map(String::as_str).collect(),
        lasts.iter().map(String::as_str).collect(),
    );
    for (side, found) in
        [("first", parts.distinct_first.len()), ("last", parts.distinct_last.len())]
    {
        if found < 2 {
            return Err(ReferenceError::TooFewParts { side, found, needed: 2 });
        }
    }
    let excluded = keys(exclude);
    let possible = parts.drawable(&excluded);
    if count > possible {
        return Err(ReferenceError::TooFewCombinations { asked: count, possible });
    }
    Ok(ReferenceTexts {
        texts: parts.draw_recurring(seed, "recombined", count, &excluded),
        description: format!("{count} new combinations of given first and last parts; {BY_CHANCE}"),
        warnings: Vec::new(),
    })
}

fn keys(queries: &[Query]) -> HashSet<String> {
    queries.iter().map(|q| name_key(&q.text)).collect()
}

/// First and last parts, as listed and without repeats.
struct Parts<'a> {
    first: Vec<&'a str>,
    last: Vec<&'a str>,
    distinct_first: Vec<&'a str>,
    distinct_last: Vec<&'a str>,
}

impl<'a> Parts<'a> {
    fn new(first: Vec<&'a str>, last: Vec<&'a str>) -> Self {
        let (distinct_first, distinct_last) = (distinct(&first), distinct(&last));
        Self { first, last, distinct_first, distinct_last }
    }

    /// How many new names may be drawn: a share of the combinations that are not excluded.
    fn drawable(&self, excluded: &HashSet<String>) -> usize {
        let all = self.distinct_first.len().saturating_mul(self.distinct_last.len());
        let new = all.saturating_sub(excluded.len());
        (new as f64 * MAX_DRAWN_SHARE) as usize
    }

    /// `count` names, which must be [`Self::drawable`]; a part that is listed more often is drawn more
    /// often.
    fn draw(&self, seed: u64, kind: &str, count: usize, excluded: &HashSet<String>) -> Vec<Query> {
        let listed =
            |stream: &mut ChaCha8Rng, _| (pick(stream, &self.first), pick(stream, &self.last));
        self.draw_by(seed, kind, count, excluded, listed)
    }

    /// `count` names, which must be [`Self::drawable`], of parts that recur.
    fn draw_recurring(
        &self,
        seed: u64,
        kind: &str,
        count: usize,
        excluded: &HashSet<String>,
    ) -> Vec<Query> {
        let shuffled = |side: &str, parts: &[&'a str]| {
            let mut parts = parts.to_vec();
            parts.shuffle(&mut stream(seed, &format!("{kind}, order of {side} parts"), 0));
            parts
        };
        let first = shuffled("first", &self.distinct_first);
        let last = shuffled("last", &self.distinct_last);
        let recurring = |stream: &mut ChaCha8Rng, index: usize| {
            let so_far = FEWEST_PARTS.max((index + 1).div_ceil(NAMES_A_PART));
            let of = |parts: &[&'a str], stream: &mut ChaCha8Rng| {
                pick(stream, &parts[..so_far.min(parts.len())])
            };
            (of(&first, stream), of(&last, stream))
        };
        self.draw_by(seed, kind, count, excluded, recurring)
    }

    /// `count` names, each of the pair that `choose` gives for a stream and the name's index.
    fn draw_by(
        &self,
        seed: u64,
        kind: &str,
        count: usize,
        excluded: &HashSet<String>,
        choose: impl Fn(&mut ChaCha8Rng, usize) -> (&'a str, &'a str),
    ) -> Vec<Query> {
        let mut seen = HashSet::with_capacity(count);
        let draw_one = |index: usize| {
            let mut stream = stream(seed, kind, index);
            // At least half of the distinct combinations are free, so the uniform draws that
            // follow the chosen ones end soon.
            for attempt in 0_usize.. {
                let (first, last) = if attempt < DRAWS_OF_SOME_PARTS {
                    choose(&mut stream, index)
                } else {
                    (
                        pick(&mut stream, &self.distinct_first),
                        pick(&mut stream, &self.distinct_last),
                    )
                };
                let text = format!("{first} {last}");
                let key = name_key(&text);
                if !excluded.contains(&key) && seen.insert(key) {
                    let parts = Some((first.to_owned(), last.to_owned()));
                    return Query { id: (index + 1).to_string(), text, parts };
                }
            }
            unreachable!("the loop over attempts has no end")
        };
        (0..count).map(draw_one).collect()
    }
}

fn pick<'a>(stream: &mut ChaCha8Rng, parts: &[&'a str]) -> &'a str {
    parts[stream.random_range(0..parts.len())]
}

/// The parts without repeats (case and spacing aside), in order of first appearance.
fn distinct<'a>(parts: &[&'a str]) -> Vec<&'a str> {
    let mut seen = HashSet::with_capacity(parts.len());
    parts.iter().copied().filter(|part| seen.insert(name_key(part))).collect()
}

#[cfg(test)]
#[path = "recombine_tests.rs"]
mod tests;
