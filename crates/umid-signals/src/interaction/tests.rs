//! The residual against its definition, a planted interaction, and what must be refused.

use ndarray::{Array1, s};
use proptest::prelude::*;

use super::*;

/// f64 sums of a few dozen values of order one, through a logarithm.
const ROUND_OFF: f64 = 1e-9;
/// States are f32: an additive one is off by a few 2^-24 in each of four terms.
const F32_ROUND_OFF: f64 = 1e-5;

const PARTS: usize = 6;
const TEMPLATES: usize = 3;
const WIDTH: usize = 5;

/// States of all names of `PARTS` first and `PARTS` last parts: (first, last, T, D).
type Table = Array4<f32>;

/// The first three parts on each axis are public; the others are the queries'.
const PUBLIC: usize = 3;

fn grid(table: &Table) -> SiblingGrid {
    SiblingGrid::new(table.slice(s![..PUBLIC, ..PUBLIC, .., ..])).unwrap()
}

fn left_out(f: usize, l: usize) -> LeftOut {
    LeftOut { first: (f < PUBLIC).then_some(f), last: (l < PUBLIC).then_some(l) }
}

/// Both groups of siblings of the name (f, l), summed up.
fn groups(grid: &SiblingGrid, table: &Table, f: usize, l: usize) -> Result<[GroupStates; 2]> {
    let left_out = left_out(f, l);
    let lasts: Vec<usize> = others(PUBLIC, left_out.last).collect();
    let firsts: Vec<usize> = others(PUBLIC, left_out.first).collect();
    let same_first = table.index_axis(Axis(0), f).select(Axis(0), &lasts);
    let same_last = table.index_axis(Axis(1), l).select(Axis(0), &firsts);
    Ok([
        grid.group(SharedPart::First, left_out, same_first.view())?,
        grid.group(SharedPart::Last, left_out, same_last.view())?,
    ])
}

fn interaction(grid: &SiblingGrid, table: &Table, f: usize, l: usize) -> Result<Interaction> {
    let [same_first, same_last] = groups(grid, table, f, l)?;
    grid.interaction(table.slice(s![f, l, .., ..]), &same_first, &same_last, left_out(f, l))
}

/// The definition, term by term, on lists from which the query's own parts are struck.
fn by_definition(table: &Table, f: usize, l: usize, centred: bool) -> Interaction {
    let firsts: Vec<usize> = (0..PUBLIC).filter(|&i| i != f).collect();
    let lasts: Vec<usize> = (0..PUBLIC).filter(|&j| j != l).collect();
    let state = |f: usize, l: usize, t: usize| {
        let x = table.slice(s![f, l, t, ..]).mapv(f64::from);
        if centred { &x - x.mean().unwrap() } else { x }
    };
    let residual = |f: usize, l: usize, t: usize| {
        let mut r = state(f, l, t);
        for &j in &lasts {
            r -= &(state(f, j, t) / lasts.len() as f64);
        }
        for &i in &firsts {
            r -= &(state(i, l, t) / firsts.len() as f64);
            for &j in &lasts {
                r += &(state(i, j, t) / (firsts.len() * lasts.len()) as f64);
            }
        }
        r
    };
    let norm = |r: &Array1<f64>| r.dot(r).sqrt();
    let mean_residual = |f: usize, l: usize| {
        (1..TEMPLATES).fold(residual(f, l, 0), |sum, t| sum + residual(f, l, t)) / TEMPLATES as f64
    };
    let log = |f: usize, l: usize| norm(&mean_residual(f, l)).ln();
    let same_first: f64 = lasts.iter().map(|&j| log(f, j)).sum();
    let same_last: f64 = firsts.iter().map(|&i| log(i, l)).sum();
    let coherence = |f: usize, l: usize| {
        let squares: f64 = (0..TEMPLATES).map(|t| norm(&residual(f, l, t)).powi(2)).sum();
        (norm(&mean_residual(f, l)).powi(2) / (squares / TEMPLATES as f64)).ln()
    };
    let of_first = lasts.iter().map(|&j| coherence(f, j)).sum::<f64>() / lasts.len() as f64;
    let of_last = firsts.iter().map(|&i| coherence(i, l)).sum::<f64>() / firsts.len() as f64;
    Interaction {
        log_residual_contrast: log(f, l)
            - same_first / lasts.len() as f64
            - same_last / firsts.len() as f64,
        log_coherence: Some(coherence(f, l)),
        log_coherence_calibrated: Some(coherence(f, l) - 0.5 * of_first - 0.5 * of_last),
    }
}

fn table() -> impl Strategy<Value = Table> {
    prop::collection::vec(-1.0f32..1.0, PARTS * PARTS * TEMPLATES * WIDTH).prop_map(|values| {
        Array4::from_shape_vec((PARTS, PARTS, TEMPLATES, WIDTH), values).expect("as many values")
    })
}

/// `table` as noise of a hundredth on top of parts that add up.
fn additive(parts: &Table, noise: f32) -> Table {
    Array4::from_shape_fn(parts.dim(), |(f, l, t, k)| {
        parts[[f, 0, t, k]] + parts[[0, l, t, k]] + noise * parts[[f, l, t, k]]
    })
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < ROUND_OFF
}

proptest! {
    #[test]
    fn the_grid_agrees_with_the_definition(
        table in table(),
        f in 0..PARTS,
        l in 0..PARTS,
        centred: bool,
    ) {
        let grid = grid(&table);
        let grid = if centred { grid } else { grid.without_centring() };
        let fast = interaction(&grid, &table, f, l)?;
        let slow = by_definition(&table, f, l, centred);
        prop_assert!(close(fast.log_residual_contrast, slow.log_residual_contrast));
        prop_assert!(close(fast.log_coherence.unwrap(), slow.log_coherence.unwrap()));
        let coherences = fast.log_coherence_calibrated.zip(slow.log_coherence_calibrated);
        prop_assert!(coherences.is_some_and(|(fast, slow)| close(fast, slow)));
    }

    #[test]
    fn parts_that_add_up_leave_no_residual(parts in table()) {
        let table = additive(&parts, 0.0);
        let grid = grid(&table);
        let residual = residual(
            table.slice(s![4, 5, .., ..]),
            &mean_of(&table.slice(s![4, ..PUBLIC, .., ..])),
            &mean_of(&table.slice(s![..PUBLIC, 5, .., ..])),
            &grid.overall_mean(LeftOut::default()),
        );
        prop_assert!(residual.iter().all(|value| value.abs() < F32_ROUND_OFF));
    }

    #[test]
    fn the_planted_name_scores_highest(
        parts in table(),
        f in PUBLIC..PARTS,
        l in PUBLIC..PARTS,
    ) {
        // Noise below 0.01 in each feature, against 2 and -2 planted in two of them.
        let mut table = additive(&parts, 0.01);
        for mut state in table.slice_mut(s![f, l, .., ..]).outer_iter_mut() {
            state[0] += 2.0;
            state[3] -= 2.0;
        }
        let grid = grid(&table);
        let score = |f: usize, l: usize| {
            let own = interaction(&grid, &table, f, l).expect("noise leaves a residual");
            (own.log_residual_contrast, own.log_coherence.expect("three templates"))
        };
        let (planted, planted_coherence) = score(f, l);
        // What is planted is the same in every template, so next to all of it is coherent.
        prop_assert!(planted_coherence > -0.01);
        for other_f in PUBLIC..PARTS {
            for other_l in PUBLIC..PARTS {
                if (other_f, other_l) != (f, l) {
                    prop_assert!(planted > score(other_f, other_l).0);
                }
            }
        }
    }

    #[test]
    fn the_order_of_siblings_does_not_matter(table in table()) {
        let before = interaction(&grid(&table), &table, 4, 1)?;
        let order = [2, 0, 1, 3, 4, 5];
        let shuffled = table.select(Axis(0), &order).select(Axis(1), &order);
        // Last part 1 has moved to place 2.
        let after = interaction(&grid(&shuffled), &shuffled, 4, 2)?;
        prop_assert!(close(before.log_residual_contrast, after.log_residual_contrast));
        prop_assert!(close(before.log_coherence.unwrap(), after.log_coherence.unwrap()));
    }
}

#[test]
fn a_hand_computed_case() {
    // Two features, v and -v, so that centring changes nothing; |x| = |v| sqrt(2). As v:
    //   public firsts x public lasts     0 1 / 2 5     r of (f, l_j) uses column means 1 and 3
    //   query's first part               1 0           row mean 1/2
    //   query's last part                3 4           column mean 7/2, overall mean 2
    let states = |values: &[f32]| -> Vec<f32> { values.iter().flat_map(|&v| [v, -v]).collect() };
    let table = Array4::from_shape_vec((2, 2, 1, 2), states(&[0.0, 1.0, 2.0, 5.0])).unwrap();
    let same_first = Array3::from_shape_vec((2, 1, 2), states(&[1.0, 0.0])).unwrap();
    let same_last = Array3::from_shape_vec((2, 1, 2), states(&[3.0, 4.0])).unwrap();
    let grid = SiblingGrid::new(table.view()).unwrap();
    let none = LeftOut::default();
    let same_first = grid.group(SharedPart::First, none, same_first.view()).unwrap();
    let same_last = grid.group(SharedPart::Last, none, same_last.view()).unwrap();
    let of = |own: f32| {
        let own = Array2::from_shape_vec((1, 2), states(&[own])).unwrap();
        grid.interaction(own.view(), &same_first, &same_last, none)
    };
    let interaction = of(8.0).unwrap();
    // r(f, l) = 8 - 1/2 - 7/2 + 2 = 6. r(f, l_j) = 1 - 1/2 - 1 + 2 = 3/2 and 0 - 1/2 - 3 + 2 = -3/2.
    // r(f_i, l) = 3 - 1/2 - 7/2 + 2 = 1 and 4 - 7/2 - 7/2 + 2 = -1.
    let expected = 6f64.ln() - 1.5f64.ln() - 1f64.ln() - 2f64.sqrt().ln();
    assert!(close(interaction.log_residual_contrast, expected));
    assert_eq!(interaction.log_coherence, None);
    // r(f, l) = 2 - 1/2 - 7/2 + 2 = 0 has no log.
    assert!(matches!(of(2.0), Err(Error::ZeroResidual { residual: "the query" })));
}

#[test]
fn an_exact_zero_is_an_error_and_not_minus_infinity() {
    let table = Array4::ones((PARTS, PARTS, TEMPLATES, WIDTH));
    let result = groups(&grid(&table), &table, 4, 4);
    assert!(matches!(result, Err(Error::ZeroResidual { residual: "a sibling of the query" })));
}

#[test]
fn too_few_siblings_are_refused() {
    let one = Array4::<f32>::ones((1, 3, 1, 2));
    assert!(matches!(SiblingGrid::new(one.view()), Err(Error::TooFew { needed: 2, found: 1, .. })));
    let two = Array4::<f32>::ones((2, 3, 1, 2));
    let grid = SiblingGrid::new(two.view()).unwrap();
    let own_first = LeftOut { first: Some(0), last: None };
    let group = |siblings| grid.group(SharedPart::Last, own_first, siblings);
    let one = group(two.slice(s![1.., 0, .., ..]));
    assert!(matches!(one, Err(Error::TooFew { needed: 2, found: 1, .. })));
    // The query itself is none of its siblings.
    let all = group(two.slice(s![.., 0, .., ..]));
    assert!(matches!(all, Err(Error::Mismatch { axis: "names", expected: 1, found: 2, .. })));
}

#[test]
fn states_of_another_width_are_refused() {
    let table = Array4::from_shape_fn((PARTS, PARTS, TEMPLATES, WIDTH), |(f, l, t, k)| {
        ((f * 11 + l * 7 + t * 5 + k * 3) as f32).sin()
    });
    let grid = grid(&table);
    let [same_first, same_last] = groups(&grid, &table, 4, 4).unwrap();
    let narrower = table.slice(s![4, 4, .., 1..]);
    let result = grid.interaction(narrower, &same_first, &same_last, LeftOut::default());
    assert!(matches!(result, Err(Error::Mismatch { axis: "features", .. })));
}

#[test]
fn a_broken_state_is_named() {
    let mut table = Array4::<f32>::ones((PARTS, PARTS, TEMPLATES, WIDTH));
    table[[4, 1, 2, 3]] = f32::NAN;
    assert!(matches!(
        interaction(&grid(&table), &table, 4, 4),
        Err(Error::NotFinite { at, .. }) if at == [1, 2, 3]
    ));
    table[[0, 1, 2, 3]] = f32::INFINITY;
    assert!(matches!(
        SiblingGrid::new(table.slice(s![..PUBLIC, ..PUBLIC, .., ..])),
        Err(Error::NotFinite { at, .. }) if at == [0, 1, 2, 3]
    ));
}

#[test]
fn centred_states_have_mean_zero() {
    let states = ndarray::arr2(&[[1.0, 2.0, 6.0], [5.0, 5.0, 5.0]]);
    let expected = ndarray::arr2(&[[-2.0, -1.0, 3.0], [0.0, 0.0, 0.0]]);
    assert_eq!(center_over_features(states.view()), expected);
}
