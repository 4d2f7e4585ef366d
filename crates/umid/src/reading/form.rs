//! The form of a name: of how many words its parts are. Names of different forms are not
//! exchangeable, since a text tower answers a long name otherwise than a short one, so a name is
//! ranked among reference names of its own form and among no others.

use std::collections::BTreeMap;
use std::fmt;

use umid_detect::{DEFAULT_FIT_FRACTION, Split};

use crate::queries::Query;

/// Words of a name, part by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Form {
    /// Words of the first part, or of the whole name if it has no parts.
    first: usize,
    /// Words of the last part; 0 for a name without parts.
    last: usize,
}

impl Form {
    /// Two parts of one word each.
    pub(crate) const TWO_WORDS: Self = Self { first: 1, last: 1 };

    pub(crate) fn of(name: &Query) -> Self {
        let words = |text: &str| text.split_whitespace().count();
        match &name.parts {
            Some((first, last)) => Self { first: words(first), last: words(last) },
            None => Self { first: words(&name.text), last: 0 },
        }
    }

    pub(crate) fn words(self) -> usize {
        self.first + self.last
    }

    pub(crate) fn has_parts(self) -> bool {
        self.last > 0
    }

    /// The form of names with as many words and no parts.
    pub(crate) fn without_parts(self) -> Self {
        Self { first: self.words(), last: 0 }
    }

    /// Whether a name of this form can be ranked among names of the form `reference`. A name
    /// without parts is scored without them, so it does not matter whether the others have any.
    pub(crate) fn is_ranked_among(self, reference: Self) -> bool {
        if self.has_parts() { self == reference } else { self == reference.without_parts() }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (1, 0) => f.write_str("1 word"),
            (words, 0) => write!(f, "{words} words"),
            (first, last) => write!(f, "{first} + {last} words"),
        }
    }
}

/// Most names of a form that set scales: more would give the same scales, and less to rank among.
pub(crate) const MOST_THAT_SET_SCALES: usize = 500;

/// Of so many names of a form, how many calibrate.
pub fn ranked_of(names: usize) -> usize {
    Split::new(names.max(2), fit_fraction(names), 0).map_or(0, |split| split.calibration.len())
}

fn fit_fraction(names: usize) -> f64 {
    DEFAULT_FIT_FRACTION.min(MOST_THAT_SET_SCALES as f64 / names.max(1) as f64)
}

/// Splits a reference, form by form, so that each form has names that set scales and names that
/// calibrate. A form with one name gives it to the former.
///
/// # Errors
///
/// Those of [`Split::new`].
pub(crate) fn split(names: &[Query], seed: u64) -> Result<Split, umid_detect::DetectError> {
    let mut forms: BTreeMap<Form, Vec<usize>> = BTreeMap::new();
    for (row, name) in names.iter().enumerate() {
        forms.entry(Form::of(name)).or_default().push(row);
    }
    let mut whole = Split { fit: Vec::new(), calibration: Vec::new() };
    for rows in forms.values() {
        if let [only] = rows[..] {
            whole.fit.push(only);
            continue;
        }
        let part = Split::new(rows.len(), fit_fraction(rows.len()), seed)?;
        whole.fit.extend(part.fit.iter().map(|place| rows[*place]));
        whole.calibration.extend(part.calibration.iter().map(|place| rows[*place]));
    }
    whole.fit.sort_unstable();
    whole.calibration.sort_unstable();
    Ok(whole)
}

/// The rows of a split that a name of this form is scaled by and ranked among.
pub(crate) fn rows_for(form: Form, names: &[Query], split: &Split) -> Split {
    let own = |rows: &[usize]| {
        let rows = rows.iter().copied();
        rows.filter(|row| form.is_ranked_among(Form::of(&names[*row]))).collect()
    };
    Split { fit: own(&split.fit), calibration: own(&split.calibration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(first: &str, last: &str) -> Query {
        let parts = (!last.is_empty()).then(|| (first.to_owned(), last.to_owned()));
        let text = format!("{first} {last}").trim().to_owned();
        Query { id: text.clone(), text, parts }
    }

    #[test]
    fn a_name_is_ranked_among_names_of_its_own_form() {
        let form = |first, last| Form::of(&name(first, last));
        let (two, three, unsplit) =
            (form("Ann", "Lee"), form("Ann", "van Lee"), form("Ann Lee", ""));
        assert_eq!(two, Form::TWO_WORDS);
        assert_eq!([two, three, unsplit].map(Form::words), [2, 3, 2]);
        assert!(two.is_ranked_among(two) && !two.is_ranked_among(three));
        assert!(!three.is_ranked_among(form("Mary Ann", "Lee")));
        assert!(unsplit.is_ranked_among(two) && !two.is_ranked_among(unsplit));
        assert!(!form("Cher", "").is_ranked_among(two));
        assert_eq!(three.to_string(), "1 + 2 words");
    }

    #[test]
    fn of_many_names_some_set_scales_and_the_others_calibrate() {
        let names: Vec<Query> = (0..6_000).map(|i| name(&format!("A{i}"), "Lee")).collect();
        let Split { fit, calibration } = split(&names, 3).unwrap();
        assert_eq!((fit.len(), calibration.len()), (500, 5_500));
        let Split { fit, .. } = split(&names[..1_500], 3).unwrap();
        assert_eq!(fit.len(), 500);
    }

    #[test]
    fn each_form_is_split_and_one_form_alone_as_the_whole() {
        let two: Vec<Query> = (0..60).map(|i| name(&format!("A{i}"), "Lee")).collect();
        assert_eq!(split(&two, 3).unwrap(), Split::new(60, DEFAULT_FIT_FRACTION, 3).unwrap());
        let mut mixed = two;
        mixed.extend((0..30).map(|i| name(&format!("B{i}"), "van Lee")));
        mixed.push(name("Cher", ""));
        let whole = split(&mixed, 3).unwrap();
        let mut rows = [whole.fit.clone(), whole.calibration.clone()].concat();
        rows.sort_unstable();
        assert!(rows.into_iter().eq(0..91));
        let of = |name: &Query| rows_for(Form::of(name), &mixed, &whole);
        assert_eq!((of(&mixed[0]).fit.len(), of(&mixed[0]).calibration.len()), (20, 40));
        assert_eq!((of(&mixed[60]).fit.len(), of(&mixed[60]).calibration.len()), (10, 20));
        assert_eq!(of(&mixed[90]), Split { fit: vec![90], calibration: vec![] });
    }
}
