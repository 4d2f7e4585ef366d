//! A transformer block: a short program of residual branches with frozen weights.
//!
//! A branch computes `x + body(norm(x))`, or `norm(x) + body(norm(x))`. The norm's gain and shift, and
//! the scale of the attention scores, are multiplied into the weights that follow when a branch is
//! packed.
//!
//! A block that norms after it has added is a block of the second kind a step later: its norm is the
//! next branch's, and that of its last branch is the caller's.

mod attention;
mod entry;
mod perceptron;

use entry::Entry;

use crate::attention::{Groups, Scratch};
use crate::buffers::{Buffers, Values};
use crate::elementwise::Activation;
use crate::folded::{Linear, Norm};
use crate::layer::Layer;
use crate::product::LANES;
use crate::shared::Part;
use crate::weight::Precision;

/// A residual branch, as a checkpoint stores it.
#[derive(Debug, Clone)]
pub struct Branch<'a> {
    /// Columns of the hidden state.
    pub width: usize,
    /// Before the body; `None` where it takes the hidden state as it is.
    pub norm: Option<Norm<'a>>,
    /// What the body's result is added to.
    pub added_to: AddedTo,
    /// What the normed hidden state goes through before it is added.
    pub body: Body<'a>,
}

/// What a body's result is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddedTo {
    /// The hidden state.
    Hidden,
    /// The normed hidden state.
    Normed,
}

/// What a residual branch computes. `width` is that of the hidden state.
#[derive(Debug, Clone)]
pub enum Body<'a> {
    /// Multi-head self-attention.
    Attention {
        /// Query, key and value: `[width, width]` each.
        qkv: [Linear<'a>; 3],
        /// `[width, width]`.
        output: Linear<'a>,
        /// Number of heads.
        heads: usize,
        /// Which tokens attend to which.
        groups: Groups,
    },
    /// A perceptron of two layers.
    Perceptron {
        /// `[inner, width]`.
        fc1: Linear<'a>,
        /// `[width, inner]`.
        fc2: Linear<'a>,
        /// Between the layers.
        activation: Activation,
    },
}

/// Whether there are kernels for blocks of this shape: the width of the hidden state and the inner
/// width of the perceptrons are multiples of 16, and the number of heads divides the first.
#[must_use]
pub fn fits(width: usize, inner: usize, heads: usize) -> bool {
    width.is_multiple_of(LANES) && inner.is_multiple_of(LANES) && width.is_multiple_of(heads)
}

/// A block, packed for the forward pass and, when it is first needed, for the backward pass.
#[derive(Debug, Clone)]
pub struct Block {
    pub(crate) branches: Vec<Residual>,
}

impl Block {
    /// Packs a block.
    ///
    /// # Panics
    ///
    /// If weights do not have the shapes that their branch asks for, or if there are no kernels for
    /// these shapes ([`fits`]) or this precision ([`Precision::is_available`]).
    #[must_use]
    pub fn new(branches: &[Branch], precision: Precision) -> Self {
        assert!(precision.is_available(), "no kernels for {precision:?} on this processor");
        let pack = |branch| Residual::new(branch, precision);
        Self { branches: branches.iter().map(pack).collect() }
    }
}

/// A packed residual branch.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a model has a few dozen")]
pub(crate) enum Residual {
    Attention(attention::Attention),
    Perceptron(perceptron::Perceptron),
}

/// What a branch's backward pass needs of its forward pass.
#[derive(Debug)]
pub(crate) enum Saved {
    Attention(attention::Saved),
    Perceptron(perceptron::Saved),
}

/// What the branches of a stack share while one part of a batch passes through them.
pub(crate) struct Pass<'a> {
    /// Tokens of each sequence.
    pub(crate) tokens: usize,
    pub(crate) buffers: &'a Buffers,
    pub(crate) scratch: Scratch,
}

impl Residual {
    fn new(branch: &Branch, precision: Precision) -> Self {
        let (norm, width) = (branch.norm, branch.width);
        let entry = Entry::new(width, norm, branch.added_to);
        match &branch.body {
            Body::Attention { qkv, output, heads, groups } => {
                assert!(fits(width, LANES, *heads), "no kernels for {heads} heads of {width}");
                let heads = attention::Heads { count: *heads, width: width / heads };
                let groups = groups.clone();
                let attention =
                    attention::Attention::new(entry, norm, qkv, *output, heads, groups, precision);
                Self::Attention(attention)
            }
            Body::Perceptron { fc1, fc2, activation } => {
                let inner = fc1.weight.count() / width;
                assert!(fits(width, inner, 1), "no kernels for {width} and {inner} columns");
                let perceptron = perceptron::Perceptron::new(
                    entry,
                    norm,
                    *fc1,
                    *fc2,
                    inner,
                    *activation,
                    precision,
                );
                Self::Perceptron(perceptron)
            }
        }
    }

    /// Columns of the hidden state.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Attention(attention) => attention.width(),
            Self::Perceptron(perceptron) => perceptron.width(),
        }
    }

    pub(crate) fn attends(&self) -> bool {
        matches!(self, Self::Attention(_))
    }

    pub(crate) fn layers(&self) -> Vec<&Layer> {
        match self {
            Self::Attention(attention) => attention.layers().to_vec(),
            Self::Perceptron(perceptron) => perceptron.layers().to_vec(),
        }
    }

    /// # Shapes
    ///
    /// - hidden: `[rows, width]`
    /// - read: for each sequence the token whose output alone is computed, which a branch that
    ///   attends leaves the others out for; none for all
    /// - output: as hidden, or `[sequences, width]`
    pub(crate) fn forward(
        &self,
        hidden: Values,
        read: Option<&[usize]>,
        pass: &mut Pass,
    ) -> (Values, Saved) {
        match self {
            Self::Attention(attention) => {
                let (hidden, saved) = attention.forward(hidden, read, pass);
                (hidden, Saved::Attention(saved))
            }
            Self::Perceptron(perceptron) => {
                let (hidden, saved) = perceptron.forward(hidden, pass);
                (hidden, Saved::Perceptron(saved))
            }
        }
    }

    /// As [`Residual::forward`], of sequences that share rows; where `is_last`, the output of their last
    /// tokens alone.
    pub(crate) fn forward_shared(
        &self,
        hidden: Values,
        part: &Part,
        is_last: bool,
        pass: &mut Pass,
    ) -> Values {
        let (hidden, saved) = match self {
            Self::Attention(attention) => {
                let (hidden, saved) = attention.forward_shared(hidden, part, is_last, pass);
                (hidden, Saved::Attention(saved))
            }
            Self::Perceptron(_) => self.forward(hidden, None, pass),
        };
        saved.give(pass.buffers);
        hidden
    }

    /// The gradient of the branch's input, from that of its output.
    pub(crate) fn backward(
        &self,
        gradient: Values,
        saved: &Saved,
        read: Option<&[usize]>,
        pass: &mut Pass,
    ) -> Values {
        match (self, saved) {
            (Self::Attention(attention), Saved::Attention(saved)) => {
                attention.backward(gradient, saved, read, pass)
            }
            (Self::Perceptron(perceptron), Saved::Perceptron(saved)) => {
                perceptron.backward(gradient, saved, pass)
            }
            _ => panic!("what was kept came through another stack"),
        }
    }
}

impl Saved {
    pub(crate) fn give(self, buffers: &Buffers) {
        match self {
            Self::Attention(saved) => {
                saved.into_buffers().into_iter().for_each(|b| buffers.give(b));
            }
            Self::Perceptron(saved) => {
                saved.into_buffers().into_iter().for_each(|b| buffers.give(b));
            }
        }
    }
}
