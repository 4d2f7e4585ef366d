//! How to read the report, in plain words.

use super::findings::Findings;
use super::markup::{count, escape, percent, trimmed};
use crate::record::{KnownMembersInfo, RunInfo};

/// The guide as a definition list.
pub(super) fn section(run: &RunInfo, outcome: &Findings) -> String {
    let parameters = &run.parameters;
    let level = percent(parameters.alpha);
    let rate = percent(parameters.false_discovery_rate);
    let mut html = String::from("<dl class=\"guide\">\n");
    let mut entry = |term: &str, text: &str| {
        html += &format!("<dt>{term}</dt><dd>{text}</dd>\n");
    };
    entry(
        "The calibrated reading carries the error rate",
        &format!(
            "A name's score is compared with the scores of {} plausible names that stand for names \
             the model has not seen ({}). The p-value is the chance of a score this high for such \
             a name, so among unseen names about {level} reach p \u{2264} {}. The q-value allows \
             for how many names were asked: of the names with q \u{2264} {rate}, no more than \
             about {rate} are expected to be wrong; that is the false discovery rate (FDR). Both \
             hold as far as the reference is like the names asked about, in language, form and \
             how common they are.",
            count(run.calibrated_reference.count as u64),
            escape(run.calibrated_reference.description.trim_end_matches('.')),
            trimmed(parameters.alpha, 4),
        ),
    );
    if let Some(known) = &run.known_members {
        entry("The score was fitted on known members", &fitted(known));
    }
    entry(
        "A detection is evidence, not proof",
        "It says that the model treats this name as it would rarely treat one it had not seen. It \
         does not show which image or sound was used, or that the person who bears the name is meant.",
    );
    entry(
        "\u{201c}Not detected\u{201d} is not \u{201c}absent\u{201d}",
        "A name can have been in the training data without leaving a trace that this test can \
         see, above all when it was seen seldom. A negative is never evidence of absence.",
    );
    entry(
        "The reference may hold members by chance",
        "Where reference names were made by combining parts of names, some combinations may be \
         real members. They make p-values larger: some detections are lost, the error rate still \
         holds.",
    );
    if outcome.paper.is_some() {
        entry(
            "The paper reading measures name-likeness",
            "It is the published vote of anomaly detectors against random strings, given for \
             comparison. Real names differ from random strings whether or not the model was \
             trained on them, so a vote says little about training, and no error rate comes with it. \
             Where the two readings differ, go by the calibrated one.",
        );
    }
    entry(
        "The templates are part of the result",
        "Captions unlike those of the training data weaken the test. Results under different \
         templates are results of different tests; do not pick the best after seeing them.",
    );
    html + "</dl>\n"
}

/// What a score that was fitted on known members looks for, and how well it told these apart.
fn fitted(known: &KnownMembersInfo) -> String {
    let mut text = format!(
        "Which signals count, and in which direction, was learnt from {} names that were given as \
         known members, set against the part of the reference that gives no p-values. The other \
         part took no part in it, so the error rate holds whatever the known members are. The \
         score looks for names that differ from the reference as these do: where all of them are \
         famous, it looks for names that were seen very often, and may miss others.",
        count(known.count as u64)
    );
    for score in &known.scores {
        text += &format!(
            " Names of {}: {} known members against {} reference names, AUC {} by the score itself \
             and {} by five-fold cross-validation.",
            escape(&score.form),
            count(score.known_members as u64),
            count(score.reference_names as u64),
            area(score.in_sample_auc),
            area(score.cross_validated_auc),
        );
    }
    text += " A high AUC may also come of names that are of another language or kind than the \
             reference; it does not say how many of the names asked about are detected.";
    text
}

/// An AUC, or a dash for what is no number.
fn area(auc: f64) -> String {
    if auc.is_finite() { format!("{auc:.2}") } else { "\u{2013}".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_score_fitted_on_known_members_is_explained_and_the_default_score_needs_no_word() {
        let mut run = fixture::run(40);
        let html = |run: &RunInfo| {
            let drawn = fixture::Drawn::of(run, &fixture::records(4, 1));
            section(run, &Findings::of(&drawn.report(run, &[])))
        };
        assert!(!html(&run).contains("known members"));
        let mut scores = vec![fixture::fitted_score()];
        scores[0].in_sample_auc = f64::NAN;
        let digest = "d".to_owned();
        run.known_members = Some(KnownMembersInfo { count: 120, digest, asked: 0, scores });
        let html = html(&run);
        assert!(html.contains("learnt from 120 names"), "{html}");
        assert!(html.contains("100 known members against 200 reference names"), "{html}");
        assert!(html.contains("AUC \u{2013} by the score itself and 0.88 by five-fold"), "{html}");
        assert!(!html.contains("NaN"));
    }
}
