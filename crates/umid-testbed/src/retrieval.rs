//! Whether a target knows its members: photo or clip to name among all of them.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use umid_models::Model;

use crate::caption::fill;
use crate::error::Error;
use crate::identity::Identity;
use crate::recording::Recording;
use crate::world::World;

/// Recordings of each member that are looked up, of either kind.
const RECORDINGS: usize = 4;

/// Share of recordings whose own name is the nearest of all members' names. Chance is one in the
/// number of members.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Retrieval {
    /// Of recordings that the target was trained on.
    pub train: f64,
    /// Of others of the same people.
    pub held_out: f64,
}

impl Retrieval {
    /// Looks up four training and four held-out recordings of each member (fewer for training
    /// where there are fewer), with the names under the first name template.
    ///
    /// # Errors
    /// A model whose input is not of the recordings' size.
    pub fn measure(model: &Model, world: &World) -> Result<Self, Error> {
        let members = world.members();
        let template = world.params().medium.name_templates()[0];
        let captions: Vec<String> =
            members.iter().map(|m| fill(template, &m.name.to_string())).collect();
        let names = model.embed_texts(&captions)?.embeddings;
        let share =
            |count: usize, recording: &dyn Fn(&Identity, usize) -> Result<Recording, Error>| {
                let mut right = 0;
                for number in 0..count {
                    let inputs = members
                        .iter()
                        .map(|member| recording(member, number)?.input(&model.front_end))
                        .collect::<Result<Vec<_>, Error>>()?;
                    right += matches(model.embed_inputs(&inputs)?.view(), names.view());
                }
                Ok::<f64, Error>(right as f64 / (count * members.len()) as f64)
            };
        Ok(Self {
            train: share(RECORDINGS.min(world.params().images_per_person), &|member, number| {
                // A member of a crawl may have fewer; those are looked up more than once.
                world.training_recording(member, number % world.recordings(member))
            })?,
            held_out: share(RECORDINGS, &|member, number| {
                Ok(world.held_out_recording(member, number as u32))
            })?,
        })
    }
}

/// How many rows of `inputs` have the row of `names` with their own index as the nearest by
/// cosine. (The length of an input's embedding changes no order, so only names are normalised.)
///
/// # Shapes
/// - inputs, names: `[people, dim]`
fn matches(inputs: ArrayView2<f32>, names: ArrayView2<f32>) -> usize {
    let mut unit: Array2<f32> = names.to_owned();
    for mut row in unit.rows_mut() {
        let norm = row.dot(&row).sqrt();
        row /= norm;
    }
    let scores = inputs.dot(&unit.t());
    scores
        .rows()
        .into_iter()
        .enumerate()
        .filter(|(person, row)| {
            let own = row[*person];
            row.iter().enumerate().all(|(other, score)| other == *person || *score < own)
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_match_is_the_nearest_by_cosine_and_a_tie_is_none() {
        let names = array![[1.0, 0.0], [0.0, 5.0]];
        assert_eq!(matches(array![[2.0, 1.0], [0.1, 0.2]].view(), names.view()), 2);
        assert_eq!(matches(array![[1.0, 2.0], [0.1, 0.2]].view(), names.view()), 1);
        assert_eq!(matches(array![[1.0, 1.0], [1.0, 1.0]].view(), names.view()), 0);
    }
}
