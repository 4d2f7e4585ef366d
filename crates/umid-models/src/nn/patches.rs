//! Images cut into square patches, products with them, and the way back.

use burn::nn::Linear;
use burn::tensor::Tensor;

use super::visit::{Form, Visitor};
use crate::Result;

/// Cuts images into patches, row by row. An image size that the patch size does not divide leaves a
/// margin, which a strided convolution would never read either.
///
/// # Shapes
///
/// - pixels: `[batch, channels, height, width]`
/// - output: `[batch * patches, channels * patch * patch]`
pub(crate) fn patches(pixels: Tensor<4>, patch: usize) -> Tensor<2> {
    let [batch, channels, height, width] = pixels.dims();
    let (rows, columns) = (height / patch, width / patch);
    pixels
        .narrow(2, 0, rows * patch)
        .narrow(3, 0, columns * patch)
        .reshape([batch, channels, rows, patch, columns, patch])
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([batch * rows * columns, channels * patch * patch])
}

/// Names a convolution whose patches do not overlap, and which is computed as one product with each.
pub(crate) fn describe_product(
    visitor: &mut impl Visitor,
    name: &str,
    side: usize,
    linear: &mut Linear,
) -> Result<()> {
    let [input, width] = linear.weight.lazy_shape().dims();
    let kernel = [width, input / (side * side), side, side];
    visitor.tensor(&format!("{name}.weight"), &kernel, Form::Transposed, &mut linear.weight)?;
    match &mut linear.bias {
        Some(bias) => visitor.plain(&format!("{name}.bias"), bias),
        None => Ok(()),
    }
}

/// The rows of square images as images.
///
/// # Shapes
///
/// - rows: `[batch * side * side, width]`
/// - output: `[batch, width, side, side]`
pub(crate) fn image(rows: Tensor<2>, batch: usize) -> Tensor<4> {
    let [count, width] = rows.dims();
    let side = (count / batch).isqrt();
    rows.reshape([batch, side, side, width]).permute([0, 3, 1, 2])
}

/// The pixels of images as rows: `[batch, width, rows, columns]` to `[batch * pixels, width]`.
pub(crate) fn rows(images: Tensor<4>) -> Tensor<2> {
    let [batch, width, rows, columns] = images.dims();
    images.permute([0, 2, 3, 1]).reshape([batch * rows * columns, width])
}
