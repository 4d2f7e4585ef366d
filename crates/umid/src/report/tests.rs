//! The page as a whole.

use super::*;
use crate::record::{CalibratedReading, QueryRecord};
use fixture::Drawn;

const HOSTILE: &str = "<script>alert(1)</script><!--\u{2028}</ScRiPt>\"'{{data}}&";

fn page(run: &RunInfo, records: &[QueryRecord], q_values: &[Option<f64>]) -> String {
    html(&Drawn::of(run, records).report(run, q_values))
}

fn html(report: &Report<'_>) -> String {
    let mut html = Vec::new();
    render(report).expect("a report").write_to(&mut html).expect("memory takes all");
    String::from_utf8(html).expect("a page is text")
}

/// The embedded data, as the browser would read it.
fn data(html: &str) -> serde_json::Value {
    let start =
        html.find("id=\"umid-data\">").expect("the data element") + "id=\"umid-data\">".len();
    let end = start + html[start..].find("</script>").expect("its end");
    serde_json::from_str(&html[start..end]).expect("valid JSON")
}

/// The page up to its data and script.
fn markup(html: &str) -> &str {
    html.split("<script").next().expect("the page has markup before its script")
}

#[test]
fn hostile_text_stays_text() {
    let mut run = fixture::run(40);
    run.model.name = HOSTILE.to_owned();
    run.model.architecture = HOSTILE.to_owned();
    run.model.digest = HOSTILE.to_owned();
    run.queries_digest = HOSTILE.to_owned();
    run.device = HOSTILE.to_owned();
    run.parameters.optimiser = HOSTILE.to_owned();
    run.parameters.templates = vec![HOSTILE.to_owned()];
    run.parameters.calibrated_signals = [(HOSTILE.to_owned(), 1.0)].into();
    run.calibrated_reference.description = HOSTILE.to_owned();
    run.calibrated_reference.signals = [(HOSTILE.to_owned(), vec![Some(1.0)])].into();
    run.wall_s = [(HOSTILE.to_owned(), 1.0)].into();
    run.warnings = vec![HOSTILE.to_owned()];
    let mut records = fixture::records(2, 1);
    for record in &mut records {
        record.id += HOSTILE;
        record.text = HOSTILE.to_owned();
        record.signals.insert(HOSTILE.to_owned(), Some(1.0));
        record.warnings = vec![HOSTILE.to_owned()];
    }
    let imagined = Imagined { png: vec![1, 2, 3], wav: Some(vec![4, 5]) };
    let preview = Preview { caption: HOSTILE.to_owned(), imagined, note: HOSTILE.to_owned() };
    let drawn = Drawn::of(&run, &records);
    let html =
        html(&Report { previews: &[preview], ..drawn.report(&run, &[Some(0.1), Some(0.2)]) });

    assert!(!html.contains("<script>alert"));
    assert!(!html.contains('\u{2028}') || !data(&html).is_null());
    let lower = html.to_lowercase();
    assert_eq!(lower.matches("<script").count(), 2, "the data and the script");
    assert_eq!(lower.matches("</script").count(), 2);
    assert_eq!(data(&html)["rows"][0]["text"], HOSTILE);
}

#[test]
fn nothing_comes_from_outside() {
    let run = fixture::run(40);
    let records = fixture::records(30, 3);
    let html = page(&run, &records, &[Some(0.5); 30]);
    for address in ["http://", "https://", "src=\"//", "url(", "@import", "<link"] {
        assert!(!html.contains(address), "{address}");
    }
    assert!(html.contains("default-src 'none'"));
    assert!(!html.contains("unsafe-inline"));
    // The policy has no place for style attributes or inline handlers.
    assert!(!html.contains(" style=\"") && !html.contains(" onclick="));
}

#[test]
fn the_template_is_filled() {
    let run = fixture::run(40);
    let html = page(&run, &fixture::records(3, 1), &[]);
    assert!(!html.contains("{{"), "a placeholder is left");
    assert!(html.starts_with("<!doctype html>"));
    assert!(html.trim_end().ends_with("</html>"));
}

#[test]
fn no_record_and_one_record_are_drawn() {
    let run = fixture::run(40);
    let html = page(&run, &[], &[]);
    assert!(html.contains("No name has been answered yet."));
    assert_eq!(data(&html)["rows"].as_array().map(Vec::len), Some(0));

    let html = page(&run, &fixture::records(1, 1), &[Some(0.03)]);
    assert!(html.contains("1 of 1 name detected"));
}

#[test]
fn numbers_that_do_not_exist_are_never_printed() {
    let mut run = fixture::run(0);
    run.wall_s.insert("load".to_owned(), f64::NAN);
    let mut records = fixture::records(4, 1);
    for record in &mut records {
        for value in record.signals.values_mut() {
            *value = Some(f64::NAN);
        }
        record.calibrated = Some(CalibratedReading {
            score: f64::NEG_INFINITY,
            p_value: f64::NAN,
            tail_p_value: None,
            ranked_among: 0,
            signals_used: vec![],
            detected: false,
            known_members: None,
        });
    }
    let html = page(&run, &records, &[Some(f64::NAN); 4]);
    let drawn = markup(&html);
    for word in ["NaN", "inf", "-inf"] {
        assert!(!drawn.split(|c: char| !c.is_alphanumeric()).any(|w| w == word), "{word}");
    }
    assert!(data(&html)["rows"][0]["p"].is_null());
}

#[test]
fn q_values_must_match_the_records() {
    let run = fixture::run(40);
    let drawn = Drawn::of(&run, &fixture::records(3, 1));
    for count in [2, 4] {
        let error = render(&drawn.report(&run, &vec![Some(0.1); count])).expect_err("a mismatch");
        assert!(matches!(error, ReportError::QValueCount { expected: 3, .. }), "{error}");
    }
}

#[test]
fn overview_and_table_must_belong_to_the_run() {
    let run = fixture::run(40);
    let (drawn, other) =
        (Drawn::of(&run, &fixture::records(3, 1)), Drawn::of(&run, &fixture::records(4, 1)));
    let mixed = Report { table: &other.table, ..drawn.report(&run, &[]) };
    assert!(matches!(render(&mixed), Err(ReportError::OtherTable)));
    let mut other_run = run.clone();
    other_run.calibrated_reference.signals.clear();
    let error = render(&drawn.report(&other_run, &[])).expect_err("another run");
    assert!(matches!(error, ReportError::OtherRun { expected: None, .. }), "{error}");
}

#[test]
fn a_run_without_inversions_says_so() {
    let mut run = fixture::run(40);
    run.parameters.restarts = 0;
    run.paper_reference = None;
    let mut records = fixture::records(5, 2);
    for record in &mut records {
        record.paper = None;
        record.signals.retain(|name, _| name == "part_interaction");
    }
    let html = page(&run, &records, &[]);
    let places = markup(&html).matches("made without inversions").count();
    assert_eq!(places, 4, "panel, chart, images and reference");
    assert_eq!(data(&html)["has_paper"], false);
    assert!(html.contains("again with restarts"));

    run.model.text_alone = Some("it has no image tower".to_owned());
    let html = page(&run, &records, &[]);
    assert_eq!(markup(&html).matches("read with its text tower alone").count(), 3, "{html}");
    assert!(!html.contains("again with restarts"), "restarts cannot help");
}

#[test]
fn the_paragraph_to_quote_says_what_was_done_and_found() {
    let mut run = fixture::run(40);
    let records = fixture::records(4, 1);
    let drawn = Drawn::of(&run, &records);
    let report = drawn.report(&run, &[Some(0.01), Some(0.9), None, Some(0.05)]);
    let html = audited::methods(&run, &Findings::of(&report)).replace('\u{a0}', " ");
    assert!(html.contains("2 names were detected"), "{html}");
    assert!(html.contains("by text alone") && html.contains("a fixed score"), "{html}");
    run.parameters.bank = Some("digest".to_owned());
    run.model.name = "<b>".to_owned();
    let report = drawn.report(&run, &[]);
    let html = audited::methods(&run, &Findings::of(&report));
    assert!(html.contains("with a bank") && !html.contains("were detected"), "{html}");
    assert!(html.contains("&lt;b&gt;") && !html.contains("<b>"), "{html}");
}

#[test]
fn a_negative_is_not_called_absent() {
    let run = fixture::run(40);
    let html = page(&run, &fixture::records(5, 2), &[Some(0.9); 5]);
    assert!(html.contains("not detected"));
    assert!(!markup(&html).contains("non-member"), "that word needs known members");
    assert!(!html.contains("not in the training data"));
}

#[test]
fn a_redacted_run_is_labelled() {
    let mut run = fixture::run(40);
    run.parameters.redact = true;
    assert!(page(&run, &[], &[]).contains("keyed hashes"));
}

#[test]
fn large_seeds_are_exact_in_the_data() {
    let html = page(&fixture::run(40), &[], &[]);
    assert_eq!(data(&html)["run"]["parameters"]["seed"].as_u64(), Some(u64::MAX));
}

#[test]
fn order_of_the_records_does_not_matter() {
    let run = fixture::run(40);
    let records = fixture::records(50, 4);
    let q_values: Vec<Option<f64>> =
        records.iter().map(|r| r.calibrated.as_ref().map(|c| c.p_value * 2.0)).collect();
    let reversed: Vec<_> = records.iter().rev().cloned().collect();
    let reversed_q: Vec<_> = q_values.iter().rev().copied().collect();
    assert!(page(&run, &records, &q_values) == page(&run, &reversed, &reversed_q));
}
