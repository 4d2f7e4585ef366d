//! How a branch takes the hidden state: what its body reads, and what the body's result is added to.

use crate::block::AddedTo;
use crate::elementwise::{norm, norm_backward};
use crate::folded::Norm;

#[derive(Debug, Clone)]
pub(super) struct Entry {
    width: usize,
    /// Of the norm; `None` where the body reads the hidden state as it is.
    epsilon: Option<f32>,
    /// Gain and shift of the norm, where the body's result is added to what it read.
    carried: Option<[Vec<f32>; 2]>,
}

impl Entry {
    pub(super) fn new(width: usize, norm: Option<Norm>, added_to: AddedTo) -> Self {
        let carried = norm.filter(|_| added_to == AddedTo::Normed);
        Self {
            width,
            epsilon: norm.map(|norm| norm.epsilon),
            carried: carried.map(|norm| [norm.gain.to_vec(), norm.shift.to_vec()]),
        }
    }

    /// Sets what the body reads, but for the gain and the shift that are in its weights, and leaves in
    /// `hidden` what the body's result is added to.
    ///
    /// # Shapes
    ///
    /// - hidden, normed: `[rows, width]`
    /// - scales: `[rows]`
    pub(super) fn enter(&self, hidden: &mut [f32], normed: &mut [f32], scales: &mut [f32]) {
        match self.epsilon {
            Some(epsilon) => norm(hidden, self.width, epsilon, normed, scales),
            None => normed.copy_from_slice(hidden),
        }
        let Some([gain, shift]) = &self.carried else { return };
        let rows = hidden.chunks_exact_mut(self.width).zip(normed.chunks_exact(self.width));
        for (hidden, normed) in rows {
            for (((hidden, normed), gain), shift) in
                hidden.iter_mut().zip(normed).zip(gain).zip(shift)
            {
                *hidden = normed * gain + shift;
            }
        }
    }

    /// The gradient of the hidden state that entered: `gradients` has that of what was added to, and
    /// `normed_gradients` that of what the body read.
    pub(super) fn back(
        &self,
        normed: &[f32],
        scales: &[f32],
        normed_gradients: &mut [f32],
        gradients: &mut [f32],
    ) {
        if let Some([gain, _]) = &self.carried {
            let rows = normed_gradients.chunks_exact_mut(self.width);
            for (to, from) in rows.zip(gradients.chunks_exact_mut(self.width)) {
                for ((to, from), gain) in to.iter_mut().zip(from).zip(gain) {
                    *to += gain * std::mem::take(from);
                }
            }
        }
        match self.epsilon {
            Some(_) => norm_backward(normed, scales, self.width, normed_gradients, gradients),
            None => gradients.iter_mut().zip(normed_gradients).for_each(|(to, from)| *to += *from),
        }
    }
}
