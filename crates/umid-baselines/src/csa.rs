//! Cosine-similarity attack: Ko, Jin, Wang and Jia, "Practical Membership Inference Attacks Against
//! Large-Scale Multi-Modal Models: A Pilot Study", ICCV 2023 (their baseline attack).
//!
//! **Needs** images of the queried person and both towers' outputs. **Costs** one forward pass of
//! the text tower and one of the image tower per image; no gradient, no reference model.

use ndarray::{ArrayView1, ArrayView2};

use crate::checks;
use crate::error::Result;

/// Mean cosine between a text and images of the person it names; higher for members.
///
/// The paper scores one image; with several, their cosines are averaged.
///
/// # Shapes
/// - `text`: `[dim]`, normalised or not
/// - `images`: `[images, dim]`, normalised or not
///
/// # Errors
/// When there is no image, the widths differ, or an embedding is not finite or has length zero.
///
/// ```
/// use ndarray::array;
///
/// let images = array![[2.0, 0.0], [0.0, 3.0]];
/// let score = umid_baselines::cosine_similarity(&array![1.0, 0.0].view(), &images.view())?;
/// assert_eq!(score, 0.5);
/// # Ok::<(), umid_baselines::BaselineError>(())
/// ```
pub fn cosine_similarity(text: &ArrayView1<'_, f32>, images: &ArrayView2<'_, f32>) -> Result<f64> {
    let images = checks::unit_rows("image embeddings", images)?;
    checks::same_size("width of the text embedding", images.ncols(), text.len())?;
    let text = checks::unit("text embedding", text)?;
    Ok(images.dot(&text).sum() / images.nrows() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::BaselineError;
    use ndarray::array;

    #[test]
    fn lengths_do_not_matter() {
        let images = array![[1.0f32, 2.0], [-0.5, 0.1]];
        let text = array![0.3f32, -0.7];
        let score = cosine_similarity(&text.view(), &images.view()).expect("usable");
        let scaled = cosine_similarity(&(text * 9.0).view(), &(images * 0.1).view());
        assert!((score - scaled.expect("usable")).abs() < 1e-6);
    }

    #[test]
    fn arrays_that_do_not_fit_are_refused() {
        let images = array![[1.0f32, 2.0]];
        let narrow = cosine_similarity(&array![1.0f32].view(), &images.view());
        assert!(matches!(narrow, Err(BaselineError::Size { expected: 2, found: 1, .. })));
        let zero = cosine_similarity(&array![0.0f32, 0.0].view(), &images.view());
        assert!(matches!(zero, Err(BaselineError::ZeroRow { .. })));
    }
}
