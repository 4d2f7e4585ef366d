//! What a text signal may look at: one name, its siblings, and what all names of a reading share.

use std::cell::OnceCell;

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, concatenate, s};

use crate::interaction::{GroupStates, SiblingGrid};
use crate::siblings::mean;
use crate::summary::{SiblingSummary, Siblings};
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
    /// The same in contexts, a row for each name and context: of the first names, those that are read.
    pub(crate) context_responses: Array2<f32>,
    /// For each name, the mean of its normalised embeddings.
    pub(crate) means: Array2<f32>,
}

/// What is known of a name that is read, and not of its siblings.
#[derive(Debug)]
pub(crate) struct Asked {
    /// `None` for a name of one part.
    pub(crate) siblings: Option<Siblings>,
    pub(crate) reference_row: Option<usize>,
}

/// One name as a text signal sees it.
#[derive(Debug)]
pub struct NameView<'a> {
    shared: &'a Shared,
    names: &'a EmbeddedNames,
    place: usize,
    /// `None` for a sibling.
    asked: Option<&'a Asked>,
    interaction: OnceCell<Option<Interaction>>,
    response_interaction: OnceCell<Option<Interaction>>,
    bank_scores: OnceCell<Option<BankScores>>,
}

/// Bank scores of mean embeddings, corrected for hubs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BankScores {
    pub(crate) own: f64,
    /// The means over both groups of siblings; `None` for a name of one part.
    pub(crate) siblings: Option<(f64, f64)>,
}

impl<'a> NameView<'a> {
    pub(crate) fn asked(
        shared: &'a Shared,
        names: &'a EmbeddedNames,
        place: usize,
        asked: &'a Asked,
    ) -> Self {
        Self { asked: Some(asked), ..Self::sibling(shared, names, place) }
    }

    pub(crate) fn sibling(shared: &'a Shared, names: &'a EmbeddedNames, place: usize) -> Self {
        Self {
            shared,
            names,
            place,
            asked: None,
            interaction: OnceCell::new(),
            response_interaction: OnceCell::new(),
            bank_scores: OnceCell::new(),
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
        (self.asked.is_some() && self.shared.contexts > 0)
            .then(|| rows_of(&self.names.context_responses, self.place, self.shared.contexts))
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
        self.asked?.reference_row
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
    pub(crate) fn siblings(&self) -> Option<&'a Siblings> {
        self.asked?.siblings.as_ref()
    }

    /// The interaction of the name's parts in the states; `None` for a name of one part.
    ///
    /// # Errors
    /// A residual of exactly zero.
    pub fn interaction(&self) -> Result<Option<Interaction>> {
        computed_once(&self.interaction, || {
            self.interaction_in(&self.shared.state_grid, self.states(), |group| &group.states)
        })
        .copied()
    }

    /// The interaction of the name's parts in the responses; `None` for a name of one part.
    ///
    /// # Errors
    /// A residual of exactly zero.
    pub fn response_interaction(&self) -> Result<Option<Interaction>> {
        computed_once(&self.response_interaction, || {
            let grid = &self.shared.response_grid;
            self.interaction_in(grid, self.responses(), |group| &group.responses)
        })
        .copied()
    }

    /// The bank scores of the name and of its siblings; `None` without a bank. A name of the
    /// reference counts in no correction of its own or of its siblings' scores.
    ///
    /// # Errors
    /// Those of [`CslsBank::scores`].
    pub(crate) fn bank_scores(&self) -> Result<Option<BankScores>> {
        computed_once(&self.bank_scores, || {
            let Some(bank) = self.bank() else { return Ok(None) };
            let own = self.mean_embedding().insert_axis(Axis(0));
            let scale = self.logit_scale();
            let groups = self.siblings().and_then(|siblings| {
                siblings.same_first.bank.as_ref().zip(siblings.same_last.bank.as_ref())
            });
            let Some(row) = self.reference_row() else {
                let own = bank.scores(own, scale)?[0];
                let siblings = groups.map(|(first, last)| (first.mean_score, last.mean_score));
                return Ok(Some(BankScores { own, siblings }));
            };
            let mut texts = vec![own];
            texts.extend(
                groups
                    .iter()
                    .flat_map(|(first, last)| [first.embeddings.view(), last.embeddings.view()]),
            );
            let texts = concatenate(Axis(0), &texts).expect("embeddings of one width");
            let scores = bank.scores_without_reference(texts.view(), scale, row)?.to_vec();
            let siblings = groups.and_then(|(first, _)| {
                let (same_first, same_last) = scores[1..].split_at(first.embeddings.nrows());
                mean(same_first).zip(mean(same_last))
            });
            Ok(Some(BankScores { own: scores[0], siblings }))
        })
        .copied()
    }

    fn interaction_in(
        &self,
        grid: &SiblingGrid,
        own: ArrayView2<'_, f32>,
        of: impl Fn(&SiblingSummary) -> &GroupStates,
    ) -> Result<Option<Interaction>> {
        let Some(Siblings { same_first, same_last, left_out }) = self.siblings() else {
            return Ok(None);
        };
        grid.interaction(own, of(same_first), of(same_last), *left_out).map(Some)
    }
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
pub(crate) fn rows_of(
    vectors: &Array2<f32>,
    place: usize,
    templates: usize,
) -> ArrayView2<'_, f32> {
    vectors.slice(s![place * templates..(place + 1) * templates, ..])
}
