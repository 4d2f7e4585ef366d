//! Products with one matrix, against the same in f64.

use umid_kernels::{Matrix, Precision};

use crate::common::{assert_close, exact, precisions, random};

/// Round-off of a sum in f32, as a share of the largest result.
const TOLERANCE: f64 = 2e-6;

#[test]
fn a_product_is_what_its_definition_says() {
    for precision in precisions() {
        // Tiles that are not whole, more rows than a part, more depth than a tile walks through at
        // once, and odd ones.
        let few = (1..18).map(|count| (count, 20 + count, 16 * count));
        for (count, rows, columns) in few.chain([(1, 1, 16), (7, 33, 80), (500, 1101, 208)]) {
            let (left, values) = (random(count * rows, 1), random(rows * columns, 2));
            let factors = |values: &[f32]| -> Vec<f64> {
                match precision {
                    Precision::F32 => exact(values),
                    Precision::Bf16 => {
                        values.iter().map(|x| half::bf16::from_f32(*x).to_f64()).collect()
                    }
                }
            };
            let (exact_left, weight) = (factors(&left), factors(&values));
            let expected: Vec<f64> = (0..count * columns)
                .map(|i| {
                    let (left, column) = (&exact_left[i / columns * rows..][..rows], i % columns);
                    left.iter().enumerate().map(|(r, x)| x * weight[r * columns + column]).sum()
                })
                .collect();
            let mut output = vec![0.0; count * columns];
            Matrix::new(&values, columns, precision).multiply(&left, &mut output);
            let what = format!("{precision:?}, {count} x {rows} x {columns}");
            assert_close(&output, &expected, TOLERANCE, &what);
        }
    }
}

#[test]
fn products_of_nothing_are_empty_or_zeros() {
    for precision in precisions() {
        Matrix::new(&random(7 * 16, 1), 16, precision).multiply(&[], &mut []);
        // A sum over no rows.
        let mut output = [f32::NAN; 32];
        Matrix::new(&[], 16, precision).multiply(&[], &mut output);
        assert!(output.iter().all(|x| *x == 0.0), "{output:?}");
    }
}

#[test]
#[should_panic(expected = "shapes")]
fn a_product_of_other_shapes_is_refused() {
    let matrix = Matrix::new(&random(7 * 16, 1), 16, Precision::F32);
    matrix.multiply(&random(7, 2), &mut [0.0; 32]);
}
