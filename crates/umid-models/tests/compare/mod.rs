//! Comparisons that a NaN fails.

/// The largest of some differences, which are not negative; NaN if one of them is.
pub fn largest(differences: impl IntoIterator<Item = f32>) -> f32 {
    differences.into_iter().map(f32::abs).max_by(f32::total_cmp).expect("something to compare")
}

/// Largest difference between rows, relative to the norm of the expected row. A row that is to be
/// zero has to be.
pub fn row_error(found: &[f32], expected: &[f32], width: usize) -> f32 {
    assert_eq!(found.len(), expected.len());
    let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|x| x * x).sum::<f32>().sqrt();
    largest(found.chunks_exact(width).zip(expected.chunks_exact(width)).map(|(f, e)| {
        let difference = norm(&mut f.iter().zip(e).map(|(f, e)| f - e));
        if difference == 0.0 { 0.0 } else { difference / norm(&mut e.iter().copied()) }
    }))
}

#[test]
fn a_nan_in_any_row_is_seen() {
    let expected = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    for broken in 0..expected.len() {
        let mut found = expected;
        found[broken] = f32::NAN;
        assert!(row_error(&found, &expected, 2).is_nan(), "row {}", broken / 2);
    }
}
