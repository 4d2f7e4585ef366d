//! Augmentation-enhanced attack: Ko, Jin, Wang and Jia, ICCV 2023.
//!
//! A model fits the very image that it trained on more than altered copies of it, so a member's
//! similarity is high and falls under augmentation: the score is
//! `cos(x, t) + sum_k (cos(x, t) - cos(T_k(x), t))`. The authors' code (reds-lab/CLIP-MIA) holds
//! their weakly supervised attack only, so the set of augmentations here is our own; see
//! [`Augmentation`].
//!
//! **Needs** images of the queried person. **Costs** `1 + augmentations` forward passes of the image
//! tower per image and one of the text tower; no gradient, no reference model.

mod augment;

pub use augment::{Augmentation, augmentations};

use ndarray::{ArrayView1, ArrayView2, ArrayView3};

use crate::checks;
use crate::error::Result;

/// Similarity plus its summed drops under augmentation, averaged over images; higher for members.
///
/// # Shapes
/// - `text`: `[dim]`, normalised or not
/// - `images`: `[images, dim]`
/// - `augmented`: `[images, augmentations, dim]`; the embeddings of each image's altered copies
///
/// # Errors
/// When there is no image or no augmentation, the sizes differ, or an embedding is not finite or
/// has length zero.
///
/// ```
/// use ndarray::array;
///
/// let augmented = array![[[0.0, 1.0], [1.0, 0.0]]];
/// let (text, image) = (array![1.0, 0.0], array![[1.0, 0.0]]);
/// let score = umid_baselines::augmentation_enhanced(&text.view(), &image.view(), &augmented.view())?;
/// // The cosine is 1 and falls to 0 under the first augmentation, not at all under the second.
/// assert_eq!(score, 2.0);
/// # Ok::<(), umid_baselines::BaselineError>(())
/// ```
pub fn augmentation_enhanced(
    text: &ArrayView1<'_, f32>,
    images: &ArrayView2<'_, f32>,
    augmented: &ArrayView3<'_, f32>,
) -> Result<f64> {
    checks::same_size("images that were augmented", images.nrows(), augmented.dim().0)?;
    let images = checks::unit_rows("image embeddings", images)?;
    checks::same_size("width of the text embedding", images.ncols(), text.len())?;
    let text = checks::unit("text embedding", text)?;
    let mut sum = 0.0;
    for (image, copies) in images.outer_iter().zip(augmented.outer_iter()) {
        let copies = checks::unit_rows("augmented embeddings", &copies)?;
        checks::same_size("width of the augmented embeddings", text.len(), copies.ncols())?;
        let original = image.dot(&text);
        let drops: f64 = copies.dot(&text).iter().map(|cosine| original - cosine).sum();
        sum += original + drops;
    }
    Ok(sum / images.nrows() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::BaselineError;
    use ndarray::{Array3, array};

    #[test]
    fn without_a_drop_it_is_the_plain_similarity() {
        let (text, images) = (array![0.6f32, 0.8], array![[1.0f32, 0.0], [0.0, 2.0]]);
        let copies = array![[[1.0f32, 0.0], [3.0, 0.0]], [[0.0, 1.0], [0.0, 4.0]]];
        let score = augmentation_enhanced(&text.view(), &images.view(), &copies.view());
        assert!((score.expect("usable") - 0.7).abs() < 1e-7);
    }

    #[test]
    fn missing_copies_are_refused() {
        let (text, images) = (array![1.0f32, 0.0], array![[1.0f32, 0.0]]);
        for (shape, name) in [((1, 0, 2), "none"), ((2, 1, 2), "two images"), ((1, 1, 3), "wide")] {
            let copies = Array3::ones(shape);
            let result = augmentation_enhanced(&text.view(), &images.view(), &copies.view());
            let refused =
                matches!(result, Err(BaselineError::TooFew { .. } | BaselineError::Size { .. }));
            assert!(refused, "{name}: {result:?}");
        }
    }
}
