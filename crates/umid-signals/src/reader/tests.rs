//! The reading against its definition, on a made-up text tower.

mod parts;

use std::hash::{DefaultHasher, Hash, Hasher};

use super::*;
use crate::siblings::Shares;
use crate::text::{
    BANK_CSLS, BANK_CSLS_CALIBRATED, BANK_CSLS_EXCESS, CONTEXT_AGREEMENT, INTERACTION,
    NEAREST_REFERENCE_COSINE, RESPONSE_AGREEMENT, RESPONSE_AGREEMENT_CALIBRATED,
    RESPONSE_COHERENCE_CALIBRATED, RESPONSE_NORM, RESPONSE_NORM_CALIBRATED, TEMPLATE_AGREEMENT,
    TEMPLATE_AGREEMENT_CALIBRATED, TEXT_NORM, TEXT_NORM_CALIBRATED, TextSignal,
};

/// f64 sums of a few dozen values of order one.
const ROUND_OFF: f64 = 1e-9;
/// The same of f32 vectors that another factor rounds anew.
const F32_ROUND_OFF: f64 = 1e-4;
const WIDTH: usize = 8;

/// Gives each text the sum of its words' random vectors and a little of its own, whatever its case.
#[derive(Debug, Clone, Copy)]
struct Tower {
    /// Factor on embeddings and responses.
    factor: f32,
}

impl TextEmbedder for Tower {
    type Error = Error;

    fn embed(&self, texts: &[String]) -> Result<EmbeddedTexts> {
        let mut states = Array2::zeros((texts.len(), WIDTH));
        for (text, mut state) in texts.iter().zip(states.rows_mut()) {
            let text = text.to_lowercase();
            for word in text.split_whitespace() {
                state += &vector(word);
            }
            state.scaled_add(0.3, &vector(&text));
        }
        let responses = states.mapv(|value: f32| self.factor * (value + 0.5));
        Ok(EmbeddedTexts { embeddings: responses.mapv(|value| 0.7 * value), states, responses })
    }

    fn logit_scale(&self) -> f64 {
        20.0
    }
}

fn vector(of: &str) -> Array1<f32> {
    let value = |k: usize| {
        let mut hasher = DefaultHasher::new();
        (of, k).hash(&mut hasher);
        (hasher.finish() % 2001) as f32 / 1000.0 - 1.0
    };
    (0..WIDTH).map(value).collect()
}

const TOWER: Tower = Tower { factor: 1.0 };

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&item| item.to_owned()).collect()
}

fn one_part(text: &str) -> Name<'_> {
    Name { text, parts: None }
}

fn two_parts(text: &str) -> Name<'_> {
    Name { text, parts: text.split_once(' ') }
}

fn bank() -> Bank {
    let inputs = Array2::from_shape_fn((40, WIDTH), |(i, k)| ((i * 7 + k * 3) as f32).sin());
    Bank::new(inputs.view()).unwrap()
}

/// Twelve names: the least that a bank takes and one more.
const REFERENCE: [&str; 12] = [
    "Flo Ames",
    "Gus Beck",
    "Hal Cole",
    "Ida Dean",
    "Jo Eads",
    "Kit Ford",
    "Lou Gray",
    "Max Hill",
    "Ned Ives",
    "Oda Jory",
    "Pia Kent",
    "Quin Long",
];

fn read_with(
    tower: Tower,
    reference: &[&str],
    names: &[(Name<'_>, Option<usize>)],
) -> Vec<SignalRow> {
    let templates = strings(&["a {}", "{} in a photo"]);
    let first_parts = strings(&["Ann", "Bo", "Cy", "Di"]);
    let last_parts = strings(&["Ash", "Bly", "Cox", "Day"]);
    let contexts = strings(&["{} in Paris", "happy birthday {}", "news of {}"]);
    let setting = Setting {
        templates: &templates,
        contexts: &contexts,
        first_parts: &first_parts,
        last_parts: &last_parts,
    };
    let reference: Vec<Name<'_>> = reference.iter().map(|text| two_parts(text)).collect();
    let reader = TextReader::new(tower, setting, &reference, Some(bank())).unwrap();
    let asked: Vec<Name<'_>> = names.iter().map(|(name, _)| *name).collect();
    let readings = reader.read(&asked, |i| names[i].1).unwrap();
    assert_eq!(readings.len(), names.len());
    readings.into_iter().map(|reading| reading.signals).collect()
}

fn read(names: &[Name<'_>]) -> Vec<SignalRow> {
    let names: Vec<(Name<'_>, Option<usize>)> = names.iter().map(|name| (*name, None)).collect();
    read_with(TOWER, &REFERENCE, &names)
}

fn value(row: &SignalRow, signal: &'static TextSignal) -> f64 {
    row[&signal.signal()].unwrap()
}

#[test]
fn a_public_part_that_is_the_names_own_is_left_out_whatever_its_case() {
    let names = ["Ann Roe", "ann roe", "ANN Roe", "Sue cox", "sue Cox", "bo DAY", "Bo Day"];
    let rows = read(&names.map(two_parts));
    assert!(rows.iter().flat_map(SignalRow::values).all(Option::is_some));
    for (one, other) in [(0, 1), (0, 2), (3, 4), (5, 6)] {
        assert_eq!(rows[one], rows[other]);
    }
    assert_ne!(rows[0], rows[3]);
}

#[test]
fn a_name_without_two_parts_lacks_what_needs_them_and_has_the_rest() {
    for row in read(&[one_part("Cher"), one_part("Ann van Roe")]) {
        assert_eq!(row.len(), TEXT_SIGNALS.len());
        let missing = row.iter().filter(|(_, value)| value.is_none());
        let missing: Vec<&str> = missing.map(|(signal, _)| signal.name()).collect();
        assert_eq!(
            missing,
            [
                "bank_csls_calibrated",
                "bank_csls_excess",
                "interaction",
                "interaction_coherence",
                "response_agreement_calibrated",
                "response_coherence_calibrated",
                "response_interaction",
                "response_norm_calibrated",
                "template_agreement_calibrated",
                "text_norm_calibrated",
            ]
        );
    }
}

#[test]
fn a_calibrated_signal_is_the_signal_against_the_names_siblings() {
    let own = read(&[two_parts("Sue Cox")]).remove(0);
    let group = |texts: [&str; 3]| read(&texts.map(one_part));
    // Cox is public, so the name itself is none of its siblings.
    let same_first = group(["Sue Ash", "Sue Bly", "Sue Day"]);
    let mut same_last = group(["Ann Cox", "Bo Cox", "Cy Cox"]);
    same_last.extend(read(&[one_part("Di Cox")]));
    let of_responses = Shares { same_first: 0.3, same_last: 0.6 };
    for (base, shares, calibrated) in [
        (&TEXT_NORM, Shares::HALVES, &TEXT_NORM_CALIBRATED),
        (&TEMPLATE_AGREEMENT, Shares::HALVES, &TEMPLATE_AGREEMENT_CALIBRATED),
        (&RESPONSE_NORM, of_responses, &RESPONSE_NORM_CALIBRATED),
        (&RESPONSE_AGREEMENT, of_responses, &RESPONSE_AGREEMENT_CALIBRATED),
        (&BANK_CSLS, Shares::HALVES, &BANK_CSLS_CALIBRATED),
    ] {
        let of = |rows: &[SignalRow]| {
            rows.iter().map(|row| value(row, base)).sum::<f64>() / rows.len() as f64
        };
        let expected = shares.taken_off(value(&own, base), of(&same_first), of(&same_last));
        let difference = value(&own, calibrated) - expected;
        assert!(difference.abs() < ROUND_OFF, "{}: {difference}", calibrated.card().name);
    }
}

#[test]
fn a_banks_score_below_that_of_siblings_counts_as_none() {
    let rows =
        read(&["Ann Roe", "Sue Cox", "Max Poe", "Eve Day", "Tom Fox", "Kim Lee"].map(two_parts));
    let both = |row| (value(row, &BANK_CSLS_EXCESS), value(row, &BANK_CSLS_CALIBRATED));
    let is_excess =
        |(excess, calibrated): (f64, f64)| (excess - calibrated.max(0.0)).abs() < ROUND_OFF;
    assert!(rows.iter().map(both).all(is_excess));
    assert!(rows.iter().map(both).any(|(excess, _)| excess > 0.0));
    assert!(rows.iter().map(both).any(|(_, calibrated)| calibrated < 0.0));
}

/// A name's agreement over contexts is what its agreement over templates would be, were they these.
#[test]
fn contexts_are_read_as_templates_are_and_siblings_have_none() {
    let (captions, others) =
        (["{} in Paris", "happy birthday {}", "news of {}"], ["a {}", "the {}"]);
    let (captions, others) = (strings(&captions), strings(&others));
    let parts = strings(&["Ann", "Bo", "Cy"]);
    let reference = REFERENCE.map(two_parts);
    let read = |templates, contexts| {
        let setting = Setting { templates, contexts, first_parts: &parts, last_parts: &parts };
        let reader = TextReader::new(TOWER, setting, &reference, None).unwrap();
        // Sue Roe twice: names that repeat are asked once.
        let asked = ["Sue Roe", "Cher Poe", "Sue Roe"].map(two_parts);
        reader.read(&asked, |_| None).unwrap()
    };
    let (in_contexts, as_templates) = (read(&others, &captions), read(&captions, &[]));
    assert_eq!((in_contexts.len(), as_templates.len()), (3, 3));
    for (one, other) in in_contexts.iter().zip(&as_templates) {
        let of_contexts = value(&one.signals, &CONTEXT_AGREEMENT);
        let difference = of_contexts - value(&other.signals, &RESPONSE_AGREEMENT);
        assert!(difference.abs() < ROUND_OFF, "{difference}");
        assert!((of_contexts - value(&one.signals, &RESPONSE_AGREEMENT)).abs() > 1e-3);
        assert_eq!(other.signals[&CONTEXT_AGREEMENT.signal()], None);
    }
}

/// A name of the reference sets scales, so it must be scored as a query is: against names that it is
/// not one of.
#[test]
fn a_reference_name_is_scored_as_if_it_were_none() {
    for (row, text) in REFERENCE.iter().enumerate() {
        let mut others = REFERENCE.to_vec();
        others.remove(row);
        let own = read_with(TOWER, &REFERENCE, &[(two_parts(text), Some(row))]);
        let as_query = read_with(TOWER, &others, &[(two_parts(text), None)]);
        for signal in [&BANK_CSLS, &BANK_CSLS_CALIBRATED, &NEAREST_REFERENCE_COSINE] {
            let difference = value(&own[0], signal) - value(&as_query[0], signal);
            assert!(difference.abs() < ROUND_OFF, "{}: {difference}", signal.card().name);
        }
    }
}

#[test]
fn the_reference_names_have_no_response_in_common_left() {
    let setting = Setting {
        templates: &strings(&["a {}"]),
        contexts: &[],
        first_parts: &strings(&["Ann", "Bo"]),
        last_parts: &strings(&["Ash", "Bly"]),
    };
    let reference = REFERENCE.map(one_part);
    let reader = TextReader::new(TOWER, setting, &reference, None).unwrap();
    let texts: Vec<String> = REFERENCE.iter().map(|name| format!("a {name}")).collect();
    let responses = TOWER.embed(&texts).unwrap().responses;
    let mean = |responses: &Array2<f32>| responses.mean_axis(Axis(0)).unwrap();
    assert!(mean(&responses).iter().any(|value| value.abs() > 0.1));
    let rest = without_direction(responses.view(), reader.to_any_name.view()).unwrap();
    assert!(mean(&rest).iter().all(|value| f64::from(value.abs()) < F32_ROUND_OFF));
}

#[test]
fn a_reading_depends_neither_on_the_other_names_nor_on_their_order() {
    let names = ["Ann Roe", "Sue Cox", "Sue Ash", "Bo Roe"].map(two_parts);
    let together = read(&names);
    let order = [2, 0, 3, 1];
    let shuffled = read(&order.map(|i| names[i]));
    for (place, i) in order.into_iter().enumerate() {
        assert_eq!(shuffled[place], together[i]);
    }
    for (name, row) in names.iter().zip(&together) {
        assert_eq!(&read(&[*name])[0], row);
    }
}

#[test]
fn the_scale_of_embeddings_moves_nothing_but_lengths() {
    let names = [(two_parts("Ann Roe"), None), (two_parts("Sue Cox"), None)];
    let one = read_with(TOWER, &REFERENCE, &names);
    let other = read_with(Tower { factor: 3.0 }, &REFERENCE, &names);
    for (one, other) in one.iter().zip(&other) {
        for signal in [
            &TEMPLATE_AGREEMENT,
            &TEMPLATE_AGREEMENT_CALIBRATED,
            &NEAREST_REFERENCE_COSINE,
            &BANK_CSLS,
            &BANK_CSLS_CALIBRATED,
            &INTERACTION,
            &RESPONSE_AGREEMENT,
            &RESPONSE_AGREEMENT_CALIBRATED,
            &RESPONSE_COHERENCE_CALIBRATED,
            &CONTEXT_AGREEMENT,
        ] {
            let difference = value(one, signal) - value(other, signal);
            assert!(difference.abs() < F32_ROUND_OFF, "{}: {difference}", signal.card().name);
        }
        let ratio = value(other, &TEXT_NORM) / value(one, &TEXT_NORM);
        assert!((ratio - 3.0).abs() < F32_ROUND_OFF, "{ratio}");
        let gain = value(other, &RESPONSE_NORM) - value(one, &RESPONSE_NORM);
        assert!((gain - 3f64.ln()).abs() < F32_ROUND_OFF, "{gain}");
        // A tenth is not taken off by siblings; it is the same for all names.
        let left = value(other, &RESPONSE_NORM_CALIBRATED) - value(one, &RESPONSE_NORM_CALIBRATED);
        assert!((left - 0.1 * 3f64.ln()).abs() < F32_ROUND_OFF, "{left}");
    }
}

#[test]
fn without_a_bank_its_signals_are_left_out() {
    let setting = Setting {
        templates: &strings(&["a {}", "the {}"]),
        contexts: &strings(&["{}"]),
        first_parts: &strings(&["Ann", "Bo", "Cy"]),
        last_parts: &strings(&["Ash", "Bly", "Cox"]),
    };
    let reference = REFERENCE.map(two_parts);
    let reader = TextReader::new(TOWER, setting, &reference, None).unwrap();
    let reading = reader.read(&[two_parts("Ann Roe")], |_| None).unwrap().remove(0);
    assert!(reading.signals.keys().all(|signal| !signal.name().starts_with("bank")));
    assert_eq!(reading.signals.len(), TEXT_SIGNALS.len() - 4);
    assert_eq!(reading.embeddings.dim(), (2, WIDTH));
}

#[test]
fn broken_settings_and_towers_are_errors() {
    #[derive(Debug)]
    struct Short;
    impl TextEmbedder for Short {
        type Error = Error;
        fn embed(&self, texts: &[String]) -> Result<EmbeddedTexts> {
            TOWER.embed(&texts[1..])
        }
        fn logit_scale(&self) -> f64 {
            1.0
        }
    }
    let parts = strings(&["Ann", "Bo", "Cy"]);
    let good = strings(&["a {}"]);
    let lists = [strings(&["a {}", "a"]), strings(&["a {}", "{} and {}"]), strings(&[])];
    let setting =
        |templates| Setting { templates, contexts: &good, first_parts: &parts, last_parts: &parts };
    let reference = REFERENCE.map(two_parts);
    for bad in &lists[..2] {
        let error = TextReader::new(TOWER, setting(bad), &reference, None).unwrap_err();
        assert!(matches!(error, Error::Template { .. }), "{error}");
        let setting = Setting { contexts: bad, ..setting(&good) };
        let error = TextReader::new(TOWER, setting, &reference, None).unwrap_err();
        assert!(matches!(error, Error::Template { .. }), "{error}");
    }
    let error = TextReader::new(TOWER, setting(&lists[2]), &reference, None).unwrap_err();
    assert!(matches!(error, Error::TooFew { items: "templates", .. }), "{error}");
    let error = TextReader::new(TOWER, setting(&good), &[], None).unwrap_err();
    assert!(matches!(error, Error::TooFew { items: "reference names", .. }), "{error}");
    let error = TextReader::new(Short, setting(&good), &reference, None).unwrap_err();
    assert!(matches!(error, Error::Mismatch { axis: "rows", .. }), "{error}");
}
