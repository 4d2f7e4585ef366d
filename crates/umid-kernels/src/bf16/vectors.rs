//! Products in bf16 with vectors: AVX-512 BF16. A part of 12 rows and up to 32 columns of the result
//! stays in registers.

use std::arch::x86_64::{__m512, __m512bh, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps};

use super::{Layout, Pairs, REGISTERS, Strip};
use crate::product::{LANES, Start};

/// Rows of a part.
const PART_ROWS: usize = 12;

pub(super) fn are_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
}

/// Rounds rows to the nearest numbers, and fills each up with zeros.
///
/// # Shapes
///
/// - values: `[count, width]`
/// - to: `[count, registers]` in a layout, and more that is left as it is
pub(super) fn round(
    values: &[f32],
    width: usize,
    layout: Layout,
    to: &mut [Pairs],
    registers: usize,
) {
    assert!(are_available());
    #[expect(unsafe_code, reason = "a function for processors that have what was asked")]
    // SAFETY: the processor has the two features, as asserted above.
    unsafe {
        round_rows(values, width, layout, to, registers);
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn round_rows(values: &[f32], width: usize, layout: Layout, to: &mut [Pairs], registers: usize) {
    for (i, row) in values.chunks_exact(width).enumerate() {
        let (whole, rest) = row.as_chunks::<{ 2 * LANES }>();
        let (first, step) = layout.row(i, registers);
        let mut to = to[first..].iter_mut().step_by(step);
        let mut put = |values: &[f32; 2 * LANES]| {
            let (low, high) = values.split_at(LANES);
            let [low, high] = [low, high].map(|half| *half.first_chunk().expect("half of them"));
            let pairs = _mm512_cvtne2ps_pbh(sums_from(high), sums_from(low));
            *to.next().expect("a row of pairs is as long as a row of numbers") =
                Pairs(pairs_from(pairs));
        };
        whole.iter().for_each(&mut put);
        if !rest.is_empty() {
            let mut last = [0.0; 2 * LANES];
            last[..rest.len()].copy_from_slice(rest);
            put(&last);
        }
        to.take(registers - width.div_ceil(2 * LANES)).for_each(|to| to.0.fill(0));
    }
}

/// One panel of a product.
pub(super) fn strip(strip: &Strip, output: &mut [f32]) {
    assert!(are_available());
    #[expect(unsafe_code, reason = "a function for processors that have what was asked")]
    // SAFETY: the processor has the two features, as asserted above.
    unsafe {
        columns(strip, output);
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn columns(strip: &Strip, output: &mut [f32]) {
    match strip.right.registers {
        1 => rows::<1>(strip, output),
        _ => rows::<REGISTERS>(strip, output),
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn rows<const V: usize>(strip: &Strip, output: &mut [f32]) {
    for row in (0..strip.count).step_by(PART_ROWS) {
        match strip.count - row {
            1 => part::<V, 1>(strip, row, output),
            2 => part::<V, 2>(strip, row, output),
            3 => part::<V, 3>(strip, row, output),
            4 => part::<V, 4>(strip, row, output),
            5 => part::<V, 5>(strip, row, output),
            6 => part::<V, 6>(strip, row, output),
            7 => part::<V, 7>(strip, row, output),
            8 => part::<V, 8>(strip, row, output),
            9 => part::<V, 9>(strip, row, output),
            10 => part::<V, 10>(strip, row, output),
            11 => part::<V, 11>(strip, row, output),
            _ => part::<V, PART_ROWS>(strip, row, output),
        }
    }
}

/// Loops over constant bounds, indexed: so the compiler keeps the sums in registers.
#[target_feature(enable = "avx512f,avx512bf16")]
fn part<const V: usize, const R: usize>(strip: &Strip, row: usize, output: &mut [f32]) {
    let place = |r: usize| (row + r) * strip.columns + strip.right.first;
    let mut sums: [[__m512; V]; R] = match strip.start {
        Start::Zero => [[sums_from([0.0; LANES]); V]; R],
        Start::Bias(bias) => [std::array::from_fn(|v| sums_at(bias, strip.right.first, v)); R],
        Start::Stored => {
            std::array::from_fn(|r| std::array::from_fn(|v| sums_at(output, place(r), v)))
        }
    };
    let depth = strip.depth.start / LANES..strip.depth.end / LANES;
    let rows: [&[Pairs]; R] =
        std::array::from_fn(|r| &strip.left[(row + r) * strip.width..][depth.clone()]);
    for (i, right) in strip.right.pairs.as_chunks::<LANES>().0.iter().enumerate() {
        for (lane, right) in right.iter().enumerate() {
            let right: [_; V] = std::array::from_fn(|v| factors(right[v]));
            for r in 0..R {
                let left = factors(Pairs([rows[r][i].0[lane]; LANES]));
                for v in 0..V {
                    sums[r][v] = _mm512_dpbf16_ps(sums[r][v], left, right[v]);
                }
            }
        }
    }
    for (r, sums) in sums.into_iter().enumerate() {
        let to = &mut output[place(r)..][..V * LANES];
        for (to, sums) in to.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
            *to = sums_to(sums);
        }
    }
}

fn sums_at(values: &[f32], from: usize, register: usize) -> __m512 {
    let values = &values[from + register * LANES..];
    sums_from(*values.first_chunk().expect("columns fill registers"))
}

#[inline]
#[expect(unsafe_code, reason = "another name for the same bits")]
fn factors(pairs: Pairs) -> __m512bh {
    // SAFETY: both are 512 bits, and any of them is a value.
    unsafe { std::mem::transmute(pairs.0) }
}

#[inline]
#[expect(unsafe_code, reason = "another name for the same bits")]
fn pairs_from(factors: __m512bh) -> [u32; LANES] {
    // SAFETY: both are 512 bits, and any of them is a value.
    unsafe { std::mem::transmute(factors) }
}

#[inline]
#[expect(unsafe_code, reason = "another name for the same bits")]
fn sums_from(values: [f32; LANES]) -> __m512 {
    // SAFETY: both are 512 bits, and any of them is a value.
    unsafe { std::mem::transmute(values) }
}

#[inline]
#[expect(unsafe_code, reason = "another name for the same bits")]
fn sums_to(sums: __m512) -> [f32; LANES] {
    // SAFETY: both are 512 bits, and any of them is a value.
    unsafe { std::mem::transmute(sums) }
}
