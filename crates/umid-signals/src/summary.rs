//! What siblings say, summed up once for all names that share a part.
//!
//! A name (f, l) has two groups of siblings: (f, l_j) for each public last part l_j, and (f_i, l)
//! for each public first part f_i. What a signal takes from the first group depends on f alone, and
//! from the second on l alone; only a public part that is the name's own, and therefore left out,
//! ties a group to the other part. So a group's texts are embedded once for all names with its part.

mod cache;

use std::sync::Arc;

use ndarray::{Array2, Array3, Axis};

pub use cache::DEFAULT_SUMMARY_BYTES;
pub(crate) use cache::SummaryCache;

use crate::interaction::{GroupStates, LeftOut, SharedPart, others};
use crate::siblings::mean;
use crate::text::{TEXT_SIGNALS, TextSignal};
use crate::view::{EmbeddedNames, Shared, rows_of};
use crate::{NameView, Result, Setting, SignalRow, full_name, name_key};

/// A group of siblings: everything that it depends on besides the reader.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    shared: SharedPart,
    part: String,
    left_out: LeftOut,
}

impl Group {
    /// The siblings of a name with these parts: those with its first part, those with its last.
    pub(crate) fn both_of((first, last): (&str, &str), setting: &Setting<'_>) -> [Self; 2] {
        let left_out = LeftOut {
            first: position(setting.first_parts, first),
            last: position(setting.last_parts, last),
        };
        [(SharedPart::First, first), (SharedPart::Last, last)].map(|(shared, part)| Self {
            shared,
            part: part.to_owned(),
            left_out,
        })
    }

    /// The siblings' names, in the order of the public parts.
    pub(crate) fn names(&self, setting: &Setting<'_>) -> Vec<String> {
        let Setting { first_parts, last_parts, .. } = setting;
        match self.shared {
            SharedPart::First => others(last_parts.len(), self.left_out.last)
                .map(|j| full_name(&self.part, &last_parts[j]))
                .collect(),
            SharedPart::Last => others(first_parts.len(), self.left_out.first)
                .map(|i| full_name(&first_parts[i], &self.part))
                .collect(),
        }
    }
}

/// Position of a part among the public ones, case and spacing aside.
fn position(parts: &[String], part: &str) -> Option<usize> {
    let key = name_key(part);
    parts.iter().position(|public| name_key(public) == key)
}

/// Both groups of siblings of a name, summed up.
#[derive(Debug)]
pub(crate) struct Siblings {
    pub(crate) same_first: Arc<SiblingSummary>,
    pub(crate) same_last: Arc<SiblingSummary>,
    pub(crate) left_out: LeftOut,
}

impl Siblings {
    /// The summaries of [`Group::both_of`].
    pub(crate) fn new(
        [first, last]: &[Group; 2],
        summary: impl Fn(&Group) -> Arc<SiblingSummary>,
    ) -> Self {
        let left_out = first.left_out;
        Self { same_first: summary(first), same_last: summary(last), left_out }
    }

    /// The means of a signal that another one sets against siblings.
    pub(crate) fn means_of(&self, signal: &'static TextSignal) -> Option<(f64, f64)> {
        let of = |group: &SiblingSummary| group.means.get(&signal.signal()).copied().flatten();
        of(&self.same_first).zip(of(&self.same_last))
    }
}

/// What the signals of a name take from one group of its siblings.
#[derive(Debug)]
pub(crate) struct SiblingSummary {
    /// Of every signal that another one sets against siblings, the mean over the group; `None`
    /// where some sibling has none.
    means: SignalRow,
    pub(crate) states: GroupStates,
    pub(crate) responses: GroupStates,
    /// Only with a bank.
    pub(crate) bank: Option<GroupBank>,
}

/// What a bank says of a group of siblings.
#[derive(Debug)]
pub(crate) struct GroupBank {
    /// The siblings' mean embeddings, (n, d), with which a reference name scores them anew.
    pub(crate) embeddings: Array2<f32>,
    /// The mean of their corrected scores.
    pub(crate) mean_score: f64,
}

impl SiblingSummary {
    /// Sums up the siblings at `places`, in the order of [`Group::names`].
    ///
    /// # Errors
    /// Those of their signals, and of [`crate::interaction::SiblingGrid::group`].
    pub(crate) fn new(
        group: &Group,
        shared: &Shared,
        names: &EmbeddedNames,
        places: &[usize],
    ) -> Result<Self> {
        let siblings: Vec<NameView<'_>> =
            places.iter().map(|&place| NameView::sibling(shared, names, place)).collect();
        let mean_of = |signal: &'static TextSignal| {
            let values: Result<Option<Vec<f64>>> =
                siblings.iter().map(|sibling| signal.value(sibling)).collect();
            Ok((signal.signal(), values?.and_then(|values| mean(&values))))
        };
        let gathered = |vectors: &Array2<f32>| {
            let mut gathered = Array3::zeros((places.len(), shared.templates, vectors.ncols()));
            for (mut name, &place) in gathered.outer_iter_mut().zip(places) {
                name.assign(&rows_of(vectors, place, shared.templates));
            }
            gathered
        };
        let (states, responses) = (gathered(&names.states), gathered(&names.responses));
        let Group { shared: part, left_out, .. } = *group;
        let bank = shared.bank.as_ref().map(|bank| {
            let embeddings = names.means.select(Axis(0), places);
            let scores = bank.scores(embeddings.view(), shared.logit_scale)?.to_vec();
            let mean_score = mean(&scores).expect("a group of siblings is not empty");
            Ok(GroupBank { embeddings, mean_score })
        });
        Ok(Self {
            means: TEXT_SIGNALS
                .iter()
                .filter_map(|signal| signal.base())
                .map(mean_of)
                .collect::<Result<_>>()?,
            states: shared.state_grid.group(part, left_out, states.view())?,
            responses: shared.response_grid.group(part, left_out, responses.view())?,
            bank: bank.transpose()?,
        })
    }

    /// Bytes that it holds, but for a few hundred.
    fn bytes(&self) -> usize {
        let vectors = self.states.mean.len() + self.responses.mean.len();
        let embeddings = self.bank.as_ref().map_or(0, |bank| bank.embeddings.len());
        vectors * size_of::<f64>() + embeddings * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;
    use crate::interaction::SiblingGrid;

    pub(super) fn group(part: &str) -> Group {
        let (shared, left_out) = (SharedPart::First, LeftOut::default());
        Group { shared, part: part.to_owned(), left_out }
    }

    /// One of two templates and four features, without a bank.
    pub(super) fn summary() -> SiblingSummary {
        let state = |(i, j, t, k): (usize, usize, usize, usize)| {
            ((i * 11 + j * 7 + t * 5 + k * 3) as f32).sin()
        };
        let grid = SiblingGrid::new(Array4::from_shape_fn((3, 3, 2, 4), state).view()).unwrap();
        let siblings = Array3::from_shape_fn((3, 2, 4), |(j, t, k)| state((9, j, t, k)));
        let states = grid.group(SharedPart::First, LeftOut::default(), siblings.view()).unwrap();
        SiblingSummary { means: SignalRow::new(), responses: states.clone(), states, bank: None }
    }

    #[test]
    fn its_size_is_that_of_its_vectors() {
        let mut summary = summary();
        assert_eq!(summary.bytes(), 2 * 2 * 4 * size_of::<f64>());
        let embeddings = Array2::zeros((3, 5));
        summary.bank = Some(GroupBank { embeddings, mean_score: 0.0 });
        assert_eq!(summary.bytes(), 2 * 2 * 4 * size_of::<f64>() + 3 * 5 * size_of::<f32>());
    }

    #[test]
    fn names_are_grouped_by_part_and_by_what_is_left_out() {
        let [none, firsts, lasts] = [&[][..], &["Ann", "Bo"], &["Ash", "Bly"]]
            .map(|l| l.iter().map(ToString::to_string).collect::<Vec<_>>());
        let setting =
            Setting { templates: &none, contexts: &none, first_parts: &firsts, last_parts: &lasts };
        let of = |first, last| Group::both_of((first, last), &setting);
        let [sue, roe] = of("Sue", "Roe");
        assert_eq!(sue.names(&setting), ["Sue Ash", "Sue Bly"]);
        assert_eq!(roe.names(&setting), ["Ann Roe", "Bo Roe"]);
        assert_eq!([&of("Sue", "Poe")[0], &of("Tim", "Roe")[1]], [&sue, &roe]);
        // A part that is both a first and a last one is two groups.
        assert_ne!(of("Roe", "Sue")[0], roe);
        let [sue, bly] = of("Sue", "bly");
        assert_eq!(sue.names(&setting), ["Sue Ash"]);
        assert_eq!(bly.names(&setting), ["Ann bly", "Bo bly"]);
        assert_ne!(sue, of("Sue", "Roe")[0]);
    }
}
