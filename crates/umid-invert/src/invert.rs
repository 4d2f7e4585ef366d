//! The inversion loop: from many starts, raise the cosine between an input's embedding and a
//! text's (UMID, arXiv 2603.14222; TUNI, arXiv 2405.14517).
//!
//! Rows (text, start) are independent and share device batches. Inside the loop nothing is
//! copied to the host: cosines stay on the device until a batch is done, unless rows are to stop
//! at a cosine, which is then read at every step. A row that turns non-finite stays so without
//! touching the others and is reported at the end.

use burn::tensor::{Device, Int, Tensor, TensorData};
use ndarray::{Array1, Array2, ArrayView2, s};
use umid_core::{InputTower, Space, to_host};

use crate::optimiser::{Stepper, row_norms};
use crate::params::{Clamp, InvertParams};
use crate::space::Bounds;
use crate::{InvertError, Result, starts};

/// Whether the final inputs are copied back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepInputs {
    /// Signals need only embeddings and cosines.
    No,
    /// For previews and for replaying.
    Yes,
}

/// The inversion of one text, a row a restart.
#[derive(Debug, Clone, PartialEq)]
pub struct Inversion {
    /// Cosine with the text before each step and after the last: `[restarts, steps + 1]`. A restart
    /// that stopped keeps its last cosine.
    pub cosines: Array2<f32>,
    /// Steps that each restart took.
    pub steps: Vec<usize>,
    /// Final embeddings, not normalised: `[restarts, embedding_dim]`.
    pub embeddings: Array2<f32>,
    /// Norm of the gradient of the cosine with respect to the variable at the last step.
    pub gradient_norms: Array1<f32>,
    /// Final model inputs, flattened, where asked for: `[restarts, channels * height * width]`.
    pub inputs: Option<Array2<f32>>,
    /// Final variables of the space, where inputs were asked for: `[restarts, dim]`.
    pub variables: Option<Array2<f32>>,
    /// How each restart ended.
    pub outcomes: Vec<Outcome>,
}

/// How one restart ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps were taken, or as many as were needed, and every number is finite.
    Finished,
    /// A value was not finite.
    NonFinite {
        /// Index of the first cosine that is not finite; `steps + 1` where all cosines are
        /// finite and the final embedding or gradient is not.
        step: usize,
    },
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::NonFinite { step: 0 } => f.write_str("not finite from the start"),
            Self::NonFinite { step } => write!(f, "not finite at step {step}"),
        }
    }
}

impl Inversion {
    /// Indices of the restarts that finished.
    pub fn usable(&self) -> Vec<usize> {
        let finished = |(_, o): &(usize, &Outcome)| **o == Outcome::Finished;
        self.outcomes.iter().enumerate().filter(finished).map(|(i, _)| i).collect()
    }

    /// Cosine of each restart after its last step.
    pub fn final_cosines(&self) -> Array1<f32> {
        self.cosines.column(self.cosines.ncols() - 1).to_owned()
    }
}

/// A tower, a space and parameters, ready to invert texts.
#[derive(Debug)]
pub struct Inverter<'a, T, S> {
    tower: &'a T,
    space: &'a S,
    params: InvertParams,
    bounds: Option<Bounds>,
    device: Device,
}

impl<'a, T: InputTower, S: Space> Inverter<'a, T, S> {
    /// Checks the parameters. `device` is where the tower's weights are.
    ///
    /// # Errors
    ///
    /// [`InvertError::InvalidParameter`].
    pub fn new(tower: &'a T, space: &'a S, params: InvertParams, device: &Device) -> Result<Self> {
        params.check()?;
        let device = device.clone().without_autodiff();
        let bounds = match params.clamp {
            Clamp::ValidRange => Some(Bounds::new(&space.valid_range(), &device)),
            Clamp::Off => None,
        };
        Ok(Self { tower, space, params, bounds, device })
    }

    /// The parameters.
    pub fn params(&self) -> &InvertParams {
        &self.params
    }

    /// The starts that every text of this seed has: `[restarts, dim]`.
    pub fn starts(&self) -> Array2<f32> {
        let range = self.space.valid_range();
        starts::draw(self.params.starts, self.params.seed, self.params.restarts, &range)
    }

    /// Inverts texts from the seed's starts, the same for every text.
    ///
    /// # Shapes
    ///
    /// - texts: `[texts, embedding_dim]`, normalised or not
    ///
    /// # Errors
    ///
    /// [`InvertError::Target`] for an embedding that is zero or not finite.
    pub fn invert(&self, texts: ArrayView2<f32>, keep: KeepInputs) -> Result<Vec<Inversion>> {
        self.invert_from(texts, self.starts().view(), keep)
    }

    /// Inverts texts from given starts, the same for every text; their number takes the place
    /// of the parameters' `restarts`.
    ///
    /// # Shapes
    ///
    /// - texts: `[texts, embedding_dim]`
    /// - starts: `[restarts, dim]`
    ///
    /// # Errors
    ///
    /// [`InvertError::Target`], and [`InvertError::Shape`] for starts of another space.
    pub fn invert_from(
        &self,
        texts: ArrayView2<f32>,
        starts: ArrayView2<f32>,
        keep: KeepInputs,
    ) -> Result<Vec<Inversion>> {
        let (restarts, dim) = starts.dim();
        if dim != self.space.dim() || restarts == 0 {
            return Err(InvertError::Shape {
                what: "the array of starts",
                found: vec![restarts, dim],
                expected: vec![restarts.max(1), self.space.dim()],
            });
        }
        let texts = unit_rows(texts)?;
        let starts_on_device = self.upload(starts);
        let texts_on_device = self.upload(texts.view());
        let rows = texts.nrows() * restarts;
        let mut batches = Vec::with_capacity(rows.div_ceil(self.params.batch_rows));
        for first in (0..rows).step_by(self.params.batch_rows) {
            let batch: Vec<usize> = (first..(first + self.params.batch_rows).min(rows)).collect();
            let variables = self.gather(&starts_on_device, batch.iter().map(|r| r % restarts));
            let targets = self.gather(&texts_on_device, batch.iter().map(|r| r / restarts));
            batches.push(self.run(variables, targets, keep));
        }
        let whole = Batch::concatenate(&batches, texts.ncols());
        Ok((0..texts.nrows()).map(|text| whole.text(text, restarts)).collect())
    }

    /// The hot loop, for one batch of rows.
    ///
    /// # Shapes
    ///
    /// - variables: `[rows, dim]`
    /// - targets: `[rows, embedding_dim]`, unit rows
    fn run(&self, variables: Tensor<2>, targets: Tensor<2>, keep: KeepInputs) -> Batch {
        let ([count, dim], [_, embedding_dim]) = (variables.dims(), targets.dims());
        let kept = (keep == KeepInputs::Yes).then(|| Kept {
            inputs: Array2::zeros((count, self.tower.input_shape().iter().product())),
            variables: Array2::zeros((count, dim)),
        });
        let mut batch = Batch::new(count, self.params.steps, embedding_dim, kept);
        let mut stepper = Stepper::new(self.params.optimiser, &variables);
        let mut rows: Vec<usize> = (0..count).collect();
        let mut variables = self.clamp(variables);
        let mut targets = targets;
        let mut cosines = Vec::with_capacity(self.params.steps);
        let mut gradient_norms = None;
        for step in 0..self.params.steps {
            // Only the variable is tracked; the tower's weights stay constants, so the
            // backward pass computes no weight gradient.
            let tracked = variables.clone().autodiff().require_grad();
            let embeddings = self.tower.embed(self.space.inputs(tracked.clone()));
            let cosine = cosine(embeddings.clone(), targets.clone());
            let now = cosine.clone().without_autodiff();
            let mut gradients = cosine.sum().backward();
            let mut gradient =
                tracked.grad_remove(&mut gradients).expect("the variable requires its gradient");
            let mut norms = row_norms(gradient.clone());
            match self.params.stop_at {
                None => cosines.push(now),
                Some(stop_at) => {
                    let now = to_host(now);
                    batch.note(step, &rows, &now);
                    let there = |place: &usize| now[*place] >= stop_at;
                    let (done, going): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(there);
                    if !done.is_empty() {
                        let part = |tensor: Tensor<2>, places: &[usize]| {
                            self.gather(&tensor, places.iter().copied())
                        };
                        let done_rows: Vec<usize> = done.iter().map(|place| rows[*place]).collect();
                        let ended = Ended {
                            embeddings: part(embeddings.without_autodiff(), &done),
                            gradient_norms: part(norms.clone(), &done),
                            variables: part(variables.clone(), &done),
                        };
                        self.end(&mut batch, step, &done_rows, ended);
                        rows = going.iter().map(|place| rows[*place]).collect();
                        if rows.is_empty() {
                            return batch;
                        }
                        stepper.keep(&self.places(going.iter().copied()));
                        for tensor in [&mut variables, &mut targets, &mut gradient, &mut norms] {
                            *tensor = part(tensor.clone(), &going);
                        }
                    }
                }
            }
            variables = self.clamp(stepper.step(variables, gradient, norms.clone()));
            gradient_norms = Some(norms);
        }
        if !cosines.is_empty() {
            batch.note_all(&host_matrix(Tensor::cat(cosines, 1)));
        }
        let embeddings = self.tower.embed(self.space.inputs(variables.clone()));
        let steps = self.params.steps;
        batch.note(steps, &rows, &to_host(cosine(embeddings.clone(), targets)));
        let gradient_norms = gradient_norms.expect("at least one step");
        self.end(&mut batch, steps, &rows, Ended { embeddings, gradient_norms, variables });
        batch
    }

    /// Takes down how rows ended, after some steps.
    fn end(&self, batch: &mut Batch, steps: usize, rows: &[usize], ended: Ended) {
        if let Some(Kept { inputs, variables }) = &mut batch.kept {
            let ended_inputs = self.space.inputs(ended.variables.clone()).flatten(1, 3);
            scatter(inputs, rows, &host_matrix(ended_inputs));
            scatter(variables, rows, &host_matrix(ended.variables));
        }
        scatter(&mut batch.embeddings, rows, &host_matrix(ended.embeddings));
        for (row, norm) in rows.iter().zip(to_host(ended.gradient_norms)) {
            batch.gradient_norms[*row] = norm;
            batch.steps[*row] = steps;
            // What stands still keeps its cosine.
            let last = batch.cosines[[*row, steps]];
            batch.cosines.slice_mut(s![*row, steps..]).fill(last);
        }
    }

    fn clamp(&self, variables: Tensor<2>) -> Tensor<2> {
        match &self.bounds {
            Some(bounds) => bounds.clamp(variables),
            None => variables,
        }
    }

    fn upload(&self, rows: ArrayView2<f32>) -> Tensor<2> {
        let shape = [rows.nrows(), rows.ncols()];
        let values: Vec<f32> = rows.iter().copied().collect();
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }

    fn gather(&self, rows: &Tensor<2>, places: impl Iterator<Item = usize>) -> Tensor<2> {
        rows.clone().select(0, self.places(places))
    }

    fn places(&self, places: impl Iterator<Item = usize>) -> Tensor<1, Int> {
        let places: Vec<i64> = places.map(|i| i as i64).collect();
        let shape = [places.len()];
        Tensor::from_data(TensorData::new(places, shape), &self.device)
    }
}

/// Where rows are when they end, on the device.
struct Ended {
    embeddings: Tensor<2>,
    gradient_norms: Tensor<2>,
    variables: Tensor<2>,
}

/// Results of consecutive rows.
struct Batch {
    cosines: Array2<f32>,
    steps: Vec<usize>,
    embeddings: Array2<f32>,
    gradient_norms: Vec<f32>,
    /// Where they are asked for.
    kept: Option<Kept>,
}

struct Kept {
    inputs: Array2<f32>,
    variables: Array2<f32>,
}

impl Batch {
    fn new(rows: usize, steps: usize, embedding_dim: usize, kept: Option<Kept>) -> Self {
        Self {
            cosines: Array2::zeros((rows, steps + 1)),
            steps: vec![0; rows],
            embeddings: Array2::zeros((rows, embedding_dim)),
            gradient_norms: vec![0.0; rows],
            kept,
        }
    }

    /// Cosines of some rows before a step.
    fn note(&mut self, step: usize, rows: &[usize], cosines: &[f32]) {
        for (row, cosine) in rows.iter().zip(cosines) {
            self.cosines[[*row, step]] = *cosine;
        }
    }

    /// Cosines of all rows before each of the first steps.
    fn note_all(&mut self, cosines: &Array2<f32>) {
        self.cosines.slice_mut(s![.., ..cosines.ncols()]).assign(cosines);
    }

    fn concatenate(batches: &[Self], embedding_dim: usize) -> Self {
        let join = |part: &dyn Fn(&Self) -> Option<ArrayView2<f32>>| {
            let parts: Vec<_> = batches.iter().filter_map(part).collect();
            let joined = ndarray::concatenate(ndarray::Axis(0), &parts);
            (!parts.is_empty()).then(|| joined.expect("batches have the same width"))
        };
        Self {
            cosines: join(&|b| Some(b.cosines.view())).unwrap_or_default(),
            steps: batches.iter().flat_map(|b| b.steps.clone()).collect(),
            embeddings: join(&|b| Some(b.embeddings.view()))
                .unwrap_or_else(|| Array2::zeros((0, embedding_dim))),
            gradient_norms: batches.iter().flat_map(|b| b.gradient_norms.clone()).collect(),
            kept: join(&|b| Some(b.kept.as_ref()?.inputs.view()))
                .zip(join(&|b| Some(b.kept.as_ref()?.variables.view())))
                .map(|(inputs, variables)| Kept { inputs, variables }),
        }
    }

    fn text(&self, text: usize, restarts: usize) -> Inversion {
        let rows = text * restarts..(text + 1) * restarts;
        let cosines = self.cosines.slice(s![rows.clone(), ..]).to_owned();
        let embeddings = self.embeddings.slice(s![rows.clone(), ..]).to_owned();
        let gradient_norms = Array1::from(self.gradient_norms[rows.clone()].to_vec());
        let steps = self.steps[rows.clone()].to_vec();
        let kept = |values: fn(&Kept) -> &Array2<f32>| {
            let values = values(self.kept.as_ref()?);
            Some(values.slice(s![rows.clone(), ..]).to_owned())
        };
        let (inputs, variables) = (kept(|k| &k.inputs), kept(|k| &k.variables));
        let outcomes = (0..restarts)
            .map(|r| {
                let step = cosines.row(r).iter().position(|c| !c.is_finite());
                let rest_finite = gradient_norms[r].is_finite()
                    && embeddings.row(r).iter().all(|v| v.is_finite());
                match step {
                    Some(step) => Outcome::NonFinite { step },
                    None if !rest_finite => Outcome::NonFinite { step: cosines.ncols() },
                    None => Outcome::Finished,
                }
            })
            .collect();
        Inversion { cosines, steps, embeddings, gradient_norms, inputs, variables, outcomes }
    }
}

/// Cosine of each row with its unit target.
///
/// # Shapes
///
/// - embeddings, targets: `[rows, embedding_dim]`
/// - output: `[rows, 1]`
fn cosine(embeddings: Tensor<2>, targets: Tensor<2>) -> Tensor<2> {
    let norms = row_norms(embeddings.clone());
    (embeddings * targets).sum_dim(1) / norms
}

/// Puts rows where they belong.
fn scatter(to: &mut Array2<f32>, rows: &[usize], values: &Array2<f32>) {
    for (row, values) in rows.iter().zip(values.rows()) {
        to.row_mut(*row).assign(&values);
    }
}

fn host_matrix(tensor: Tensor<2>) -> Array2<f32> {
    let [rows, columns] = tensor.dims();
    Array2::from_shape_vec((rows, columns), to_host(tensor)).expect("a tensor fills its shape")
}

fn unit_rows(rows: ArrayView2<f32>) -> Result<Array2<f32>> {
    let mut unit = rows.to_owned();
    for (row, mut values) in unit.rows_mut().into_iter().enumerate() {
        let norm = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        if !norm.is_finite() {
            return Err(InvertError::Target { row, found: "not finite" });
        }
        if norm == 0.0 {
            return Err(InvertError::Target { row, found: "zero" });
        }
        values.mapv_inplace(|v| (f64::from(v) / norm) as f32);
    }
    Ok(unit)
}
