//! Visitors that load: stored tensors become burn's parameters, or go into the kernels' panels.

use burn::module::Param;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;

use super::block::{Block, Transformer};
use super::visit::{Derived, Form, Visitor, parameter};
use crate::Result;
use crate::checkpoint::{Checkpoint, Naming, Stored, transpose};

/// A checkpoint, and what its family's files call a tensor.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) checkpoint: &'a Checkpoint,
    pub(crate) naming: Naming,
}

impl Source<'_> {
    fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (stored, view) = (self.naming)(name);
        self.checkpoint.take(&stored, view, shape)
    }

    fn pass(&self, name: &str, shape: &[usize]) -> Result<()> {
        let (stored, view) = (self.naming)(name);
        self.checkpoint.pass(&stored, view, shape)
    }

    fn skip(&self, name: &str) {
        self.checkpoint.skip(&(self.naming)(name).0);
    }
}

/// Takes every tensor of a module from a checkpoint.
pub(crate) struct Loader<'a> {
    source: Source<'a>,
    device: &'a Device,
    kernels: Option<umid_kernels::Precision>,
    has_laid_out: bool,
}

impl<'a> Loader<'a> {
    /// - kernels: their precision, where blocks that have kernels go to them
    pub(crate) fn new(
        source: Source<'a>,
        device: &'a Device,
        kernels: Option<umid_kernels::Precision>,
    ) -> Self {
        Self { source, device, kernels, has_laid_out: false }
    }

    /// Whether blocks of a transformer went to the kernels.
    pub(crate) fn has_laid_out(&self) -> bool {
        self.has_laid_out
    }
}

impl Visitor for Loader<'_> {
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        stored: &[usize],
        form: Form,
        param: &mut Param<Tensor<D>>,
    ) -> Result<()> {
        let values = self.source.take(name, stored)?;
        let values = match form {
            Form::Plain => values,
            Form::Transposed => transpose(&values, stored[0], values.len() / stored[0]),
        };
        *param = parameter(values, param.lazy_shape().dims(), self.device);
        Ok(())
    }

    fn derived(
        &mut self,
        tensors: &[(String, Vec<usize>)],
        module: &mut impl Derived,
    ) -> Result<()> {
        let stored = tensors.iter().map(|(name, shape)| self.source.take(name, shape));
        module.set(stored.collect::<Result<_>>()?, self.device);
        Ok(())
    }

    fn unused(&mut self, name: &str) {
        self.source.skip(name);
    }

    fn transformer(
        &mut self,
        transformer: &mut Transformer,
        name: &(impl Fn(usize) -> String + Sync),
    ) -> Result<()> {
        let Some(precision) = self.kernels.filter(|_| transformer.fits()) else {
            return transformer.describe_layers(self, name);
        };
        // On all cores; of several errors it is the first block's.
        let describe = |(layer, block): (usize, &mut Block)| {
            let mut panels = Panels::new(self.source);
            block.describe(&mut panels, &name(layer))?;
            Ok(panels)
        };
        let panels: Vec<Result<Panels<'_>>> =
            transformer.layers.par_iter_mut().enumerate().map(describe).collect();
        let panels = panels.into_iter().collect::<Result<Vec<_>>>()?;
        let lay_out = |(layer, block): (usize, &Block)| {
            let before = layer.checked_sub(1).map(|before| &panels[before].norms[1]);
            panels[layer].lay_out(block, before, precision)
        };
        let blocks: Vec<Result<umid_kernels::Block>> =
            transformer.layers.par_iter().enumerate().map(lay_out).collect();
        let blocks = blocks.into_iter().collect::<Result<_>>()?;
        let last_norm = transformer.last_norm().cloned().zip(panels.last());
        let last_norm = last_norm.map(|(mut norm, panels)| {
            let [gain, shift] = panels.norms[1].clone().map(|values| {
                let width = values.len();
                parameter(values, [width], self.device)
            });
            (norm.gamma, norm.beta) = (gain, Some(shift));
            norm
        });
        transformer.freeze(blocks, last_norm);
        self.has_laid_out = true;
        Ok(())
    }
}

/// Takes every tensor of a module from a checkpoint, by name and shape, without reading it.
pub(crate) struct Passer<'a> {
    pub(crate) source: Source<'a>,
}

impl Visitor for Passer<'_> {
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        stored: &[usize],
        _: Form,
        _: &mut Param<Tensor<D>>,
    ) -> Result<()> {
        self.source.pass(name, stored)
    }

    fn derived(&mut self, tensors: &[(String, Vec<usize>)], _: &mut impl Derived) -> Result<()> {
        tensors.iter().try_for_each(|(name, shape)| self.source.pass(name, shape))
    }

    fn unused(&mut self, name: &str) {
        self.source.skip(name);
    }
}

/// A stored linear layer: its weight, not yet read, and its bias.
type StoredLinear = (Stored, Option<Vec<f32>>);

/// Collects one block's tensors for the kernels, in the order of its description; weights go from
/// the mapped file into panels without a copy in between.
struct Panels<'a> {
    source: Source<'a>,
    linears: Vec<StoredLinear>,
    /// Gain and shift.
    norms: Vec<[Vec<f32>; 2]>,
    /// Everything else.
    tables: Vec<Vec<f32>>,
}

impl<'a> Panels<'a> {
    fn new(source: Source<'a>) -> Self {
        Self { source, linears: Vec::new(), norms: Vec::new(), tables: Vec::new() }
    }

    fn lay_out(
        &self,
        block: &Block,
        before: Option<&[Vec<f32>; 2]>,
        precision: umid_kernels::Precision,
    ) -> Result<umid_kernels::Block> {
        let linears: Vec<umid_kernels::Linear> = self
            .linears
            .iter()
            .map(|(weight, bias)| umid_kernels::Linear { weight, bias: bias.as_deref() })
            .collect();
        let block = block.kernel(&linears, &self.norms, before, &self.tables, precision);
        self.linears.iter().try_for_each(|(weight, _)| weight.check())?;
        Ok(block)
    }

    fn push(&mut self, name: &str, output: usize, input: usize, bias: bool) -> Result<()> {
        let (stored, view) = (self.source.naming)(&format!("{name}.weight"));
        let weight = self.source.checkpoint.take_stored(&stored, view, &[output, input])?;
        let bias = bias.then(|| self.source.take(&format!("{name}.bias"), &[output]));
        self.linears.push((weight, bias.transpose()?));
        Ok(())
    }
}

impl Visitor for Panels<'_> {
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        stored: &[usize],
        _: Form,
        _: &mut Param<Tensor<D>>,
    ) -> Result<()> {
        self.tables.push(self.source.take(name, stored)?);
        Ok(())
    }

    fn derived(&mut self, tensors: &[(String, Vec<usize>)], _: &mut impl Derived) -> Result<()> {
        for (name, shape) in tensors {
            self.tables.push(self.source.take(name, shape)?);
        }
        Ok(())
    }

    fn unused(&mut self, name: &str) {
        self.source.skip(name);
    }

    fn linear(&mut self, name: &str, linear: &mut Linear) -> Result<()> {
        let [input, output] = linear.weight.lazy_shape().dims();
        self.push(name, output, input, linear.bias.is_some())
    }

    fn side_by_side(&mut self, names: &[String; 3], linear: &mut Linear) -> Result<()> {
        let [input, outputs] = linear.weight.lazy_shape().dims();
        names.iter().try_for_each(|name| {
            self.push(name, outputs / names.len(), input, linear.bias.is_some())
        })
    }

    fn norm(&mut self, name: &str, norm: &mut LayerNorm) -> Result<()> {
        let width = norm.gamma.lazy_shape().dims::<1>();
        let [gain, shift] =
            ["weight", "bias"].map(|part| self.source.take(&format!("{name}.{part}"), &width));
        self.norms.push([gain?, shift?]);
        Ok(())
    }
}
