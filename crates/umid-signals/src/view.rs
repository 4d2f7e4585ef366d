//! What a text signal may look at: one name, its siblings, and what all names of a reading share.

use std::cell::OnceCell;

use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, Axis, s};

use crate::interaction::{QueryStates, SiblingGrid};
use crate::{CslsBank, Interaction, Result, UnitRows};

/// What is the same for all names of a reading.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) templates: usize,
    pub(crate) contexts: usize,
    pub(crate) state_grid: SiblingGrid,
    pub(crate) response_grid: SiblingGrid,
    /// Mean embeddings of the reference names.
    pub(crate) reference: UnitRows,
    pub(crate) bank: Option<CslsBank>,
    pub(crate) logit_scale: f64,
}

/// What the text tower makes of some names, a row for each name and template: name by name, and
/// template by template within a name.
#[derive(Debug)]
pub(crate) struct EmbeddedNames {
    pub(crate) embeddings: Array2<f32>,
    pub(crate) states: Array2<f32>,
    /// Without the response that any name gets.
    pub(crate) responses: Array2<f32>,
    /// The same in contexts, of the names that are read alone: a row for each name and context.
    pub(crate) context_responses: Array2<f32>,
    /// For each name, the mean of its normalised embeddings.
    pub(crate) means: Array2<f32>,
}

/// A name and its siblings, as places among [`EmbeddedNames`].
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) own: usize,
    /// Place among the names that are read, each once.
    pub(crate) asked: usize,
    pub(crate) siblings: Option<SiblingPlaces>,
}

#[derive(Debug)]
pub(crate) struct SiblingPlaces {
    /// The name's first part with each public last part.
    pub(crate) same_first: Vec<usize>,
    /// Each public first part with the name's last part.
    pub(crate) same_last: Vec<usize>,
    /// Which public part is the name's own, if any.
    pub(crate) own_first: Option<usize>,
    pub(crate) own_last: Option<usize>,
}

/// One name as a text signal sees it.
#[derive(Debug)]
pub struct NameView<'a> {
    shared: &'a Shared,
    names: &'a EmbeddedNames,
    place: usize,
    kin: Kin<'a>,
    reference_row: Option<usize>,
    interaction: OnceCell<Option<Interaction>>,
    response_interaction: OnceCell<Option<Interaction>>,
    /// Corrected bank scores of the name and of its siblings, in the order of `family_places`.
    csls_scores: OnceCell<Vec<f64>>,
}

#[derive(Debug)]
enum Kin<'a> {
    /// A name that is read.
    Family(&'a Family),
    /// A sibling: the name that it is a sibling of, and its index among that name's family.
    SiblingOf(&'a NameView<'a>, usize),
}

/// Names that share a part with another one. A sibling that is the name itself, because a public
/// part is also the name's own, is left out.
#[derive(Debug)]
pub struct SiblingViews<'a> {
    /// The name's first part with public last parts.
    pub same_first: Vec<NameView<'a>>,
    /// Public first parts with the name's last part.
    pub same_last: Vec<NameView<'a>>,
}

impl<'a> NameView<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        names: &'a EmbeddedNames,
        family: &'a Family,
        reference_row: Option<usize>,
    ) -> Self {
        Self {
            shared,
            names,
            place: family.own,
            kin: Kin::Family(family),
            reference_row,
            interaction: OnceCell::new(),
            response_interaction: OnceCell::new(),
            csls_scores: OnceCell::new(),
        }
    }

    /// The embeddings of the name, not normalised: a row for each template, (T, d).
    pub fn embeddings(&self) -> ArrayView2<'a, f32> {
        rows_of(&self.names.embeddings, self.place, self.shared.templates)
    }

    /// The text tower's states before its last layer norm, (T, D).
    pub fn states(&self) -> ArrayView2<'a, f32> {
        rows_of(&self.names.states, self.place, self.shared.templates)
    }

    /// The responses ([`crate::responses`]), from which the direction of the mean response to the
    /// reference names is taken out, (T, d).
    pub fn responses(&self) -> ArrayView2<'a, f32> {
        rows_of(&self.names.responses, self.place, self.shared.templates)
    }

    /// The responses in contexts ([`crate::Setting::contexts`]), from which the direction of their
    /// mean over the reference names is taken out, (C, d); `None` without contexts, and for a sibling,
    /// which is not asked in them.
    pub fn context_responses(&self) -> Option<ArrayView2<'a, f32>> {
        let Kin::Family(family) = self.kin else { return None };
        (self.shared.contexts > 0)
            .then(|| rows_of(&self.names.context_responses, family.asked, self.shared.contexts))
    }

    /// The mean over templates of the normalised embedding, not normalised again, (d).
    pub fn mean_embedding(&self) -> ArrayView1<'a, f32> {
        self.names.means.row(self.place)
    }

    /// [`NameView::mean_embedding`] of every reference name.
    pub fn reference(&self) -> &'a UnitRows {
        &self.shared.reference
    }

    /// The row of [`NameView::reference`] that is this very name, to be left out of what it is
    /// compared with; `None` for a name that is not in the reference, and for a sibling.
    pub fn reference_row(&self) -> Option<usize> {
        self.reference_row
    }

    /// The bank of public inputs, if the run has one.
    pub fn bank(&self) -> Option<&'a CslsBank> {
        self.shared.bank.as_ref()
    }

    /// The model's own factor on cosines.
    pub fn logit_scale(&self) -> f64 {
        self.shared.logit_scale
    }

    /// The name's siblings; `None` for a name of one part, and for a sibling.
    pub fn siblings(&self) -> Option<SiblingViews<'_>> {
        let siblings = self.sibling_places()?;
        let sibling = |(index, place): (usize, usize)| NameView {
            shared: self.shared,
            names: self.names,
            place,
            kin: Kin::SiblingOf(self, index),
            reference_row: None,
            interaction: OnceCell::new(),
            response_interaction: OnceCell::new(),
            csls_scores: OnceCell::new(),
        };
        let first = siblings.of_first().count();
        Some(SiblingViews {
            same_first: (1..).zip(siblings.of_first()).map(sibling).collect(),
            same_last: (1 + first..).zip(siblings.of_last()).map(sibling).collect(),
        })
    }

    /// The interaction of the name's parts in the states; `None` for a name of one part.
    ///
    /// # Errors
    /// Fewer than two siblings besides the name itself, or a residual of exactly zero.
    pub fn interaction(&self) -> Result<Option<Interaction>> {
        computed_once(&self.interaction, || {
            self.interaction_in(&self.shared.state_grid, &self.names.states)
        })
        .copied()
    }

    /// The interaction of the name's parts in the responses; `None` for a name of one part.
    ///
    /// # Errors
    /// Fewer than two siblings besides the name itself, or a residual of exactly zero.
    pub fn response_interaction(&self) -> Result<Option<Interaction>> {
        computed_once(&self.response_interaction, || {
            self.interaction_in(&self.shared.response_grid, &self.names.responses)
        })
        .copied()
    }

    /// The bank score of the mean embedding, corrected for hubs; `None` without a bank. A name of
    /// the reference counts in no correction of its own or of its siblings' scores.
    ///
    /// # Errors
    /// Those of [`CslsBank::scores`].
    pub fn bank_csls_score(&self) -> Result<Option<f64>> {
        let (name, index) = match self.kin {
            Kin::Family(_) => (self, 0),
            Kin::SiblingOf(name, index) => (name, index),
        };
        let Some(bank) = self.bank() else { return Ok(None) };
        let scores = computed_once(&name.csls_scores, || {
            let means = self.names.means.select(Axis(0), &name.family_places());
            let scale = self.logit_scale();
            let scores: Array1<f64> = match name.reference_row {
                None => bank.scores(means.view(), scale)?,
                Some(row) => bank.scores_without_reference(means.view(), scale, row)?,
            };
            Ok(scores.to_vec())
        })?;
        Ok(Some(scores[index]))
    }

    fn sibling_places(&self) -> Option<&'a SiblingPlaces> {
        match self.kin {
            Kin::Family(family) => family.siblings.as_ref(),
            Kin::SiblingOf(..) => None,
        }
    }

    /// The name, its siblings with the same first part, and those with the same last part.
    fn family_places(&self) -> Vec<usize> {
        let siblings = self.sibling_places().into_iter();
        let siblings = siblings.flat_map(|s| s.of_first().chain(s.of_last()));
        std::iter::once(self.place).chain(siblings).collect()
    }

    fn interaction_in(
        &self,
        grid: &SiblingGrid,
        vectors: &Array2<f32>,
    ) -> Result<Option<Interaction>> {
        let Some(siblings) = self.sibling_places() else { return Ok(None) };
        let templates = self.shared.templates;
        let interaction = grid.interaction(&QueryStates {
            query: rows_of(vectors, self.place, templates),
            same_first: gather(vectors, &siblings.same_first, templates).view(),
            same_last: gather(vectors, &siblings.same_last, templates).view(),
            own_first: siblings.own_first,
            own_last: siblings.own_last,
        })?;
        Ok(Some(interaction))
    }
}

impl SiblingPlaces {
    fn of_first(&self) -> impl Iterator<Item = usize> {
        without(&self.same_first, self.own_last)
    }

    fn of_last(&self) -> impl Iterator<Item = usize> {
        without(&self.same_last, self.own_first)
    }
}

/// The places but for that at `index`.
fn without(places: &[usize], index: Option<usize>) -> impl Iterator<Item = usize> {
    places.iter().enumerate().filter(move |(i, _)| Some(*i) != index).map(|(_, place)| *place)
}

/// What the cell holds, which is computed if it is empty.
fn computed_once<T>(cell: &OnceCell<T>, compute: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = compute()?;
    Ok(cell.get_or_init(|| value))
}

/// The rows of the name at `place`, (T, width).
fn rows_of(vectors: &Array2<f32>, place: usize, templates: usize) -> ArrayView2<'_, f32> {
    vectors.slice(s![place * templates..(place + 1) * templates, ..])
}

/// The rows of the names at `places`, (places, T, width).
fn gather(vectors: &Array2<f32>, places: &[usize], templates: usize) -> Array3<f32> {
    let mut gathered = Array3::zeros((places.len(), templates, vectors.ncols()));
    for (mut name, &place) in gathered.outer_iter_mut().zip(places) {
        name.assign(&rows_of(vectors, place, templates));
    }
    gathered
}
