//! Reference texts: what a query is compared with. The paper's reading compares with
//! gibberish (UMID; the alphabet and length are TUNI's). The calibrated reading compares with
//! plausible names that are not queries: new combinations of parts, or names from a file.
//! Its p-values hold for names that are exchangeable with the reference, so the parts should
//! be distributed as the queries' parts are.
//!
//! A reference does not depend on the order in which queries or a file list their names.
//!
//! Item `i` of a generated reference is drawn from its own stream, keyed by (seed, kind,
//! `i`), and differs from all items before it. A longer reference therefore starts with the
//! shorter one.

mod error;
mod recombine;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::queries::{Query, QueryOptions, name_key, names_digest, read_names};
use crate::reading::known_members::KnownMembers;
use crate::shown::shown;

pub use error::ReferenceError;
pub use recombine::{ReferenceSize, choose_reference, recombined};

/// Of a reference of names of one form, how many a score is ranked among: those that do not set
/// scales.
pub use crate::reading::form::ranked_of;

/// Fewest texts of a reference: below, no scaler or detector can be fitted with any sense.
pub const MIN_REFERENCE: usize = 10;

/// Most texts of a reference; a guard against a slip of the keyboard.
pub const MAX_REFERENCE: usize = 1_000_000;

/// Length of a gibberish text, from TUNI's published code.
pub const GIBBERISH_CHARS: usize = 10;

/// Texts to compare queries with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceTexts {
    /// The texts. Ids number them from 1 and mean nothing outside the reference.
    pub texts: Vec<Query>,
    /// What kind of texts, and what that means for the reader of the report.
    pub description: String,
    /// What the user should know about the choice; no warning repeats a name.
    pub warnings: Vec<String>,
}

impl ReferenceTexts {
    /// Takes names that are known members out, and tells how many these were: a reference should
    /// hold no member.
    pub(crate) fn without(&mut self, known: &KnownMembers) {
        let before = self.texts.len();
        self.texts.retain(|name| !known.contains(name));
        self.texts = renumbered(std::mem::take(&mut self.texts));
        let taken = before - self.texts.len();
        if taken > 0 {
            self.warnings.push(format!(
                "{taken} of {before} reference names are known members and were taken out of the \
                 reference"
            ));
        }
    }

    /// BLAKE3 digest, in hex, of texts and parts in order.
    pub fn digest(&self) -> String {
        names_digest(&self.texts)
    }
}

/// `count` strings of [`GIBBERISH_CHARS`] characters, uniform over ASCII letters, digits and
/// punctuation, all different.
///
/// # Errors
/// A `count` outside [`MIN_REFERENCE`] to [`MAX_REFERENCE`].
pub fn gibberish(seed: u64, count: usize) -> Result<ReferenceTexts, ReferenceError> {
    check_count(count)?;
    let mut seen = HashSet::with_capacity(count);
    let mut texts = Vec::with_capacity(count);
    for index in 0..count {
        let mut stream = stream(seed, "gibberish", index);
        let text = loop {
            // `!` to `~` are exactly the 94 letters, digits and punctuation marks of ASCII.
            let text: String = (0..GIBBERISH_CHARS)
                .map(|_| char::from(stream.random_range(b'!'..=b'~')))
                .collect();
            if seen.insert(text.clone()) {
                break text;
            }
        };
        texts.push(Query { id: (index + 1).to_string(), text, parts: None });
    }
    Ok(ReferenceTexts {
        texts,
        description: format!(
            "{count} gibberish strings of {GIBBERISH_CHARS} random characters; being unlike \
             them is not membership, since names that the model never saw are unlike them too"
        ),
        warnings: Vec::new(),
    })
}

/// Plausible names from a file, read as queries are.
///
/// # Errors
/// What [`crate::queries::read_queries`] refuses, and fewer than [`MIN_REFERENCE`] or more than
/// [`MAX_REFERENCE`] names.
pub fn from_file(
    path: &Path,
    options: &QueryOptions,
    queries: &[Query],
) -> Result<ReferenceTexts, ReferenceError> {
    let file = read_names(path, options, "reference file")?;
    let count = file.queries.len();
    check_count(count)?;
    let mut warnings: Vec<String> =
        file.warnings.into_iter().map(|warning| format!("reference file: {warning}")).collect();
    let asked: HashSet<String> = queries.iter().map(|q| name_key(&q.text)).collect();
    let shared = file.queries.iter().filter(|n| asked.contains(&name_key(&n.text))).count();
    if shared > 0 {
        warnings.push(format!(
            "{shared} names of the reference file are queries too; a reference should hold no \
             possible member, so remove them from the file"
        ));
    }
    Ok(ReferenceTexts {
        texts: renumbered(in_order_of_name(file.queries)),
        description: format!(
            "{count} names from a file; the p-values hold as far as these names cannot be \
             members and are otherwise like the queries"
        ),
        warnings,
    })
}

/// How a reference is asked for on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferenceSpec {
    /// `gibberish:N`.
    Gibberish(usize),
    /// `names:N`: new combinations of parts, see [`choose_reference`].
    Names(usize),
    /// `file:PATH`.
    File(PathBuf),
}

impl FromStr for ReferenceSpec {
    type Err = ReferenceError;

    fn from_str(spec: &str) -> Result<Self, ReferenceError> {
        let unknown = || ReferenceError::ReferenceSpec { found: shown(spec) };
        let (kind, value) = spec.split_once(':').ok_or_else(unknown)?;
        let count = || value.parse::<usize>().map_err(|_| unknown()).and_then(check_count);
        match kind {
            "gibberish" => Ok(Self::Gibberish(count()?)),
            "names" => Ok(Self::Names(count()?)),
            "file" if !value.is_empty() => Ok(Self::File(PathBuf::from(value))),
            _ => Err(unknown()),
        }
    }
}

fn check_count(count: usize) -> Result<usize, ReferenceError> {
    if (MIN_REFERENCE..=MAX_REFERENCE).contains(&count) {
        Ok(count)
    } else {
        Err(ReferenceError::ReferenceCount { found: count, min: MIN_REFERENCE, max: MAX_REFERENCE })
    }
}

/// In an order that is the names' own: how the list was sorted decides nothing.
fn in_order_of_name(mut names: Vec<Query>) -> Vec<Query> {
    names.sort_by_cached_key(|name| (name_key(&name.text), name.text.clone(), name.parts.clone()));
    names
}

fn renumbered(names: Vec<Query>) -> Vec<Query> {
    let number = |(i, name): (usize, Query)| Query { id: (i + 1).to_string(), ..name };
    names.into_iter().enumerate().map(number).collect()
}

/// The random stream of item `index` of the reference `kind`.
fn stream(seed: u64, kind: &str, index: usize) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new_derive_key("umid 2026 reference stream");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&(index as u64).to_le_bytes());
    hasher.update(kind.as_bytes());
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(reference: &ReferenceTexts) -> Vec<&str> {
        reference.texts.iter().map(|q| q.text.as_str()).collect()
    }

    #[test]
    fn gibberish_is_distinct_printable_and_seeded() {
        let reference = gibberish(7, 500).unwrap();
        let texts = strings(&reference);
        assert_eq!(texts.iter().collect::<HashSet<_>>().len(), 500);
        assert!(texts.iter().all(|t| t.chars().count() == GIBBERISH_CHARS));
        assert!(texts.iter().all(|t| t.chars().all(|c| c.is_ascii_graphic())));
        assert_eq!(reference, gibberish(7, 500).unwrap());
        assert_ne!(texts, strings(&gibberish(8, 500).unwrap()));
        assert_eq!(&texts[..20], strings(&gibberish(7, 20).unwrap()));
    }

    #[test]
    fn gibberish_uses_all_94_characters_about_equally() {
        let reference = gibberish(0, 2000).unwrap();
        let mut counts = [0_u32; 94];
        for byte in reference.texts.iter().flat_map(|q| q.text.bytes()) {
            counts[usize::from(byte - b'!')] += 1;
        }
        let expected = 20_000.0 / 94.0;
        let chi_square: f64 =
            counts.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        // 93 degrees of freedom: mean 93, deviation 13.6; five deviations.
        assert!((25.0..161.0).contains(&chi_square), "{chi_square}");
    }

    #[test]
    fn specs_are_parsed() {
        let parse = |s: &str| s.parse::<ReferenceSpec>();
        assert_eq!(parse("gibberish:100").unwrap(), ReferenceSpec::Gibberish(100));
        assert_eq!(parse("names:1000").unwrap(), ReferenceSpec::Names(1000));
        assert_eq!(parse("file:a:b.csv").unwrap(), ReferenceSpec::File("a:b.csv".into()));
    }

    #[test]
    fn reference_spec_error() {
        for bad in ["", "gibberish", "gibberish:", "gibberish:x", "gibberish:-5", "file:", "x:9"] {
            let error = bad.parse::<ReferenceSpec>().unwrap_err();
            assert!(matches!(error, ReferenceError::ReferenceSpec { .. }), "{error}");
        }
    }

    #[test]
    fn reference_count_error() {
        for bad in ["gibberish:0", "names:9", "gibberish:1000001"] {
            let error = bad.parse::<ReferenceSpec>().unwrap_err();
            assert!(matches!(error, ReferenceError::ReferenceCount { .. }), "{error}");
        }
        assert!(gibberish(0, 0).is_err());
    }

    #[test]
    fn a_query_is_found_in_the_reference_whichever_way_its_accents_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("names.txt");
        let names: String =
            (0..12).fold(String::new(), |all, i| all + &format!("Jose\u{301} Roe{i}\n"));
        std::fs::write(&path, names).unwrap();
        let asked = Query { id: "1".into(), text: "José Roe3".into(), parts: None };
        let reference = from_file(&path, &QueryOptions::default(), &[asked]).unwrap();
        assert!(reference.warnings[0].starts_with("1 names of the reference file are queries"));
        // What is embedded and shown is what the file holds.
        assert!(reference.texts.iter().all(|name| name.text.starts_with("Jose\u{301}")));
    }

    #[test]
    fn a_file_is_read_as_queries_are_and_overlap_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("names.csv");
        let rows: String =
            (0..12).fold(String::new(), |rows, i| rows + &format!("\nx{i},Ann,Lee{i}"));
        std::fs::write(&path, format!("id,first,last{rows}\n")).unwrap();
        let asked = Query { id: "1".into(), text: "ann lee3".into(), parts: None };
        let reference = from_file(&path, &QueryOptions::default(), &[asked]).unwrap();
        assert_eq!(reference.texts.len(), 12);
        assert_eq!(reference.texts[11].id, "12");
        assert_eq!(reference.texts[11].parts, Some(("Ann".into(), "Lee9".into())));
        let backwards: Vec<&str> = rows.trim().lines().rev().collect();
        std::fs::write(&path, format!("id,first,last\n{}\n", backwards.join("\n"))).unwrap();
        let again = from_file(&path, &QueryOptions::default(), &[]).unwrap();
        assert_eq!(again.texts, reference.texts);
        assert!(reference.warnings[0].starts_with("1 names of the reference file are queries"));

        std::fs::write(&path, "name\nAnn Lee\n").unwrap();
        let error = from_file(&path, &QueryOptions::default(), &[]).unwrap_err();
        assert!(matches!(error, ReferenceError::ReferenceCount { found: 1, .. }), "{error}");
    }
}
