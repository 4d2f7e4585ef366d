//! Hand-computed cases and invariances of the inversion signals.

use ndarray::{Array2, arr1, arr2};
use proptest::prelude::*;

use super::cross_template_transfer::cross_template_transfer;
use super::final_gradient_norm::final_gradient_norm;
use super::similarity::similarity;
use super::steps_to_threshold::{first_crossing, steps_to_threshold};
use super::variability::{variability, variability_tuni};
use super::*;
use crate::Error;

/// f64 sums of a few dozen values of order one.
const ROUND_OFF: f64 = 1e-12;
/// Multiplying an f32 embedding by a factor rounds each coordinate by up to 2^-24.
const F32_ROUND_OFF: f64 = 1e-6;

#[test]
fn too_few_restarts_give_no_number() {
    let none = Array2::<f32>::zeros((0, 3));
    let one = arr2(&[[1.0, 2.0, 3.0]]);
    assert_eq!(similarity(arr1(&[]).view()).unwrap(), None);
    assert_eq!(variability(none.view()).unwrap(), None);
    assert_eq!(variability(one.view()).unwrap(), None);
    assert_eq!(variability_tuni(one.view()).unwrap(), None);
    assert_eq!(steps_to_threshold(none.view(), 0.9).unwrap(), None);
    assert_eq!(final_gradient_norm(arr1(&[]).view()).unwrap(), None);
    let transfer = |restarts: &Array2<f32>, templates: &Array2<f32>| {
        cross_template_transfer(restarts.view(), templates.view()).unwrap()
    };
    assert_eq!(transfer(&none, &arr2(&[[1.0; 3], [2.0; 3]])), None);
    assert_eq!(transfer(&one, &arr2(&[[1.0; 3]])), None);
}

#[test]
fn similarity_is_the_mean_cosine() {
    assert_eq!(similarity(arr1(&[0.75, 0.5]).view()).unwrap(), Some(0.625));
}

#[test]
fn variability_normalises_and_tuni_does_not() {
    // Unit rows (1, 0) and (0, 1): both lie sqrt(1/2) from their mean.
    let embeddings = arr2(&[[4.0, 0.0], [0.0, 2.0]]);
    let v = variability(embeddings.view()).unwrap().unwrap();
    assert!((v - 0.5f64.sqrt()).abs() < ROUND_OFF);
    // Raw rows: both lie |(2, -1)| = sqrt(5) from (2, 1), and TUNI adds them up.
    let tuni = variability_tuni(embeddings.view()).unwrap().unwrap();
    assert!((tuni - 2.0 * 5f64.sqrt()).abs() < ROUND_OFF);
}

#[test]
fn the_first_crossing_counts_even_if_the_cosine_falls_again() {
    let cosines = arr2(&[[0.5, 0.25, 0.75, 0.0, 1.0]]);
    let steps = steps_to_threshold(cosines.view(), 0.5).unwrap();
    assert_eq!(steps, Some(0.0));
    let steps = steps_to_threshold(cosines.view(), 0.625).unwrap();
    assert_eq!(steps, Some(1.75));
    let steps = steps_to_threshold(cosines.view(), 1.0).unwrap();
    assert_eq!(steps, Some(4.0));
}

#[test]
fn transfer_leaves_the_inverted_template_out() {
    let restarts = arr2(&[[1.0, 0.0], [0.0, 1.0]]);
    let templates = arr2(&[[3.0, 0.0], [5.0, 0.0], [0.0, -1.0]]);
    // Template 1 meets cosines 1 and 0, template 2 meets 0 and -1.
    let transfer = cross_template_transfer(restarts.view(), templates.view()).unwrap();
    assert_eq!(transfer, Some(0.0));
    let wider = arr2(&[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]);
    assert!(matches!(
        cross_template_transfer(restarts.view(), wider.view()),
        Err(Error::Mismatch { found: 3, expected: 2, .. })
    ));
}

#[test]
fn broken_rows_are_errors_that_name_them() {
    let nan = arr2(&[[1.0, 0.0], [0.0, f32::NAN]]);
    for result in [variability(nan.view()), variability_tuni(nan.view())] {
        assert!(matches!(result, Err(Error::NotFinite { at, .. }) if at == [1, 1]));
    }
    let infinite = arr1(&[0.5, f32::INFINITY]);
    assert!(matches!(
        similarity(infinite.view()),
        Err(Error::NotFinite { at, .. }) if at == [1]
    ));
    assert!(matches!(
        final_gradient_norm(arr1(&[0.5, -0.1]).view()),
        Err(Error::NegativeNorm { row: 1, .. })
    ));
    assert!(matches!(
        usable_restarts(nan.view(), arr2(&[[1.0]]).view(), arr1(&[1.0, 1.0]).view()),
        Err(Error::Mismatch { array: "final embeddings", .. })
    ));
    assert!(matches!(
        usable_restarts(nan.view(), nan.view(), arr1(&[1.0]).view()),
        Err(Error::Mismatch { array: "final gradient norms", .. })
    ));
    assert!(matches!(
        usable_restarts(Array2::zeros((2, 0)).view(), nan.view(), arr1(&[1.0, 1.0]).view()),
        Err(Error::TooFew { .. })
    ));
}

#[test]
fn a_restart_without_a_direction_is_not_usable() {
    let cosines = arr2(&[[0.5], [0.5], [0.5], [0.5]]);
    let embeddings = arr2(&[[0.0, 0.0], [1.0, 0.0], [f32::INFINITY, 0.0], [1.0, 1.0]]);
    let norms = arr1(&[1.0, 1.0, 1.0, f32::NAN]);
    let usable = usable_restarts(cosines.view(), embeddings.view(), norms.view()).unwrap();
    assert_eq!(usable, [1]);
}

#[test]
fn a_broken_restart_changes_no_signal_of_the_others() {
    let cosines = arr2(&[[0.1, 0.5, 0.92], [0.2, f32::NAN, 0.3], [0.1, 0.91, 0.95]]);
    let embeddings = arr2(&[[1.0, 2.0], [3.0, 1.0], [2.0, 1.0]]);
    let norms = arr1(&[0.5, 0.25, 0.75]);
    let templates = arr2(&[[1.0, 1.0], [2.0, 0.5]]);
    let signals = |chosen: &[usize]| {
        let view = InversionView::new(
            cosines.select(Axis(0), chosen).view(),
            embeddings.select(Axis(0), chosen).view(),
            norms.select(Axis(0), chosen).view(),
            templates.view(),
        );
        view.unwrap().signals().unwrap()
    };
    let usable = signals(&[0, 2]);
    assert_eq!(usable.len(), INVERSION_SIGNALS.len());
    assert!(usable.values().all(Option::is_some));
    assert_eq!(signals(&[0, 1, 2]), usable);
    assert!(signals(&[1]).values().all(Option::is_none));
}

#[test]
fn versions_name_every_signal() {
    let names: Vec<&str> = inversion_signal_versions().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), INVERSION_SIGNALS.len());
    assert!(INVERSION_SIGNALS.iter().all(|signal| names.contains(&signal.card().name)));
}

/// Restarts away from the origin, so that every row has a direction.
fn restarts() -> impl Strategy<Value = Array2<f32>> {
    prop::collection::vec(0.1f32..1.0, 4 * 5)
        .prop_map(|values| Array2::from_shape_vec((4, 5), values).expect("4 x 5 values"))
}

proptest! {
    #[test]
    fn the_order_of_restarts_does_not_matter(restarts in restarts()) {
        let reversed = restarts.select(Axis(0), &[3, 1, 2, 0]);
        let close = |a: Option<f64>, b: Option<f64>| (a.unwrap() - b.unwrap()).abs() < ROUND_OFF;
        for signal in [variability, variability_tuni] {
            prop_assert!(close(signal(restarts.view())?, signal(reversed.view())?));
        }
        let signal = |rows: &Array2<f32>| steps_to_threshold(rows.view(), 0.8);
        prop_assert!(close(signal(&restarts)?, signal(&reversed)?));
        let signal = |rows: &Array2<f32>| similarity(rows.column(0));
        prop_assert!(close(signal(&restarts)?, signal(&reversed)?));
        let signal = |rows: &Array2<f32>| cross_template_transfer(rows.view(), restarts.view());
        prop_assert!(close(signal(&restarts)?, signal(&reversed)?));
    }

    #[test]
    fn the_length_of_an_embedding_does_not_matter(restarts in restarts(), factor in 0.01f32..100.0) {
        let mut scaled = restarts.clone();
        scaled.row_mut(2).mapv_inplace(|value| value * factor);
        let v = variability(restarts.view())?.unwrap();
        prop_assert!((v - variability(scaled.view())?.unwrap()).abs() < F32_ROUND_OFF);
        let transfer = cross_template_transfer(restarts.view(), restarts.view())?.unwrap();
        let of_scaled = cross_template_transfer(scaled.view(), scaled.view())?.unwrap();
        prop_assert!((transfer - of_scaled).abs() < F32_ROUND_OFF);
    }

    #[test]
    fn interpolation_stays_within_one_step(restarts in restarts(), threshold in 0.0f64..1.0) {
        for row in restarts.outer_iter() {
            let steps = first_crossing(row, threshold);
            let whole = row.iter().position(|&cosine| f64::from(cosine) >= threshold);
            match whole {
                None => prop_assert_eq!(Some(steps), Some(row.len() as f64)),
                Some(0) => prop_assert_eq!(Some(steps), Some(0.0)),
                Some(k) => prop_assert!(steps > (k - 1) as f64 && steps <= k as f64),
            }
        }
    }
}
