//! Tables and figures from cells. A section of the page is one file with one function.

mod ablations;
mod confound;
mod controls;
mod cost;
mod counts;
mod decisions;
mod dose_response;
mod effectiveness;
mod exposure;
mod idia;
mod low_rates;
mod output;
mod paper;
mod power;
mod published;
mod results;
mod steps;
mod text_precision;
mod verdict;

pub use output::write;
pub use results::Results;

use super::page::Section;

/// The sections of the page, in order.
pub fn sections(results: &Results<'_>) -> Vec<Section> {
    [
        verdict::section,
        published::section,
        counts::section,
        effectiveness::section,
        paper::section,
        decisions::section,
        idia::section,
        low_rates::section,
        power::section,
        exposure::section,
        dose_response::section,
        confound::section,
        controls::section,
        ablations::section,
        steps::section,
        text_precision::section,
        cost::section,
    ]
    .into_iter()
    .filter_map(|section| section(results))
    .collect()
}
