//! How to read the report, in plain words.

use super::findings::Findings;
use super::markup::{count, escape, percent, trimmed};
use crate::record::RunInfo;

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
