//! Matrix products in bf16 with sums in f32, for processors that multiply so: twice as many
//! products an instruction as in f32.
//!
//! Laid out as in [`crate::product`], but that an instruction adds the products of two rows of the
//! weight at once. So rows of it are stored in pairs, and so are columns of the left operand, which
//! is rounded on the way. Two numbers of 16 bits are kept as one of 32.

use std::ops::Range;

use crate::product::{LANES, PANEL, Start};

/// Pairs of rows of the weight that go by while a tile is in registers.
const DEPTH: usize = 384;
/// Rows of a tile.
const TILE_ROWS: usize = 6;
/// Registers that a row of a tile takes.
const TILE_REGISTERS: usize = PANEL / LANES;

/// A pair of numbers for each of 16 columns: one register.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Pairs([u32; LANES]);

/// A weight `[rows, columns]`, rounded to bf16, in panels of 64 columns.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    rows: usize,
    columns: usize,
    panels: Vec<Pairs>,
}

impl Packed {
    /// Lays out the matrix whose elements `at(row, column)` gives.
    pub(crate) fn new(rows: usize, columns: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        assert!(columns.is_multiple_of(LANES), "{columns} columns");
        let mut panels = Vec::with_capacity(rows.div_ceil(2) * columns / LANES);
        let element = |row: usize, column| if row < rows { at(row, column) } else { 0.0 };
        for panel in (0..columns).step_by(PANEL) {
            for row in (0..rows).step_by(2) {
                for first in (panel..(panel + PANEL).min(columns)).step_by(LANES) {
                    panels.push(Pairs(std::array::from_fn(|lane| {
                        pair(element(row, first + lane), element(row + 1, first + lane))
                    })));
                }
            }
        }
        Self { rows, columns, panels }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The transposed matrix, laid out in the same way.
    pub(crate) fn transposed(&self) -> Self {
        Self::new(self.columns, self.rows, |column, row| self.at(row, column))
    }

    fn at(&self, row: usize, column: usize) -> f32 {
        let first = column / PANEL * PANEL;
        let registers = (self.columns - first).min(PANEL) / LANES;
        let panel = first / LANES * self.rows.div_ceil(2);
        let register = row / 2 * registers + (column - first) / LANES;
        let both = self.panels[panel + register].0[column % LANES];
        f32::from_bits(if row.is_multiple_of(2) { both << 16 } else { both & HIGH })
    }

    /// Registers of each panel, and where they begin.
    fn panels(&self) -> impl Iterator<Item = (usize, usize, &[Pairs])> {
        let pairs = self.rows.div_ceil(2);
        (0..self.columns).step_by(PANEL).map(move |first| {
            let registers = (self.columns - first).min(PANEL) / LANES;
            let from = first / LANES * pairs;
            (first, registers, &self.panels[from..from + registers * pairs])
        })
    }
}

/// Whether this processor multiplies in bf16.
pub(crate) fn is_available() -> bool {
    #[cfg(target_arch = "x86_64")]
    let available = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    let available = false;
    available
}

/// `output = start + left * weight`, the left operand rounded to bf16.
///
/// # Shapes
///
/// - left: `[count, weight rows]`
/// - output: `[count, weight columns]`
///
/// # Panics
///
/// If the processor has no such products.
pub(crate) fn product(
    left: &[f32],
    weight: &Packed,
    output: &mut [f32],
    start: Start,
    rounded: &mut Vec<u32>,
) {
    assert!(is_available(), "this processor does not multiply in bf16");
    let pairs = weight.rows.div_ceil(2);
    rounded.clear();
    for row in left.chunks_exact(weight.rows) {
        let whole = row.chunks_exact(2);
        let last = whole.remainder().first().map(|last| pair(*last, 0.0));
        rounded.extend(whole.map(|two| pair(two[0], two[1])).chain(last));
    }
    for first in (0..pairs).step_by(DEPTH) {
        let depth = first..(first + DEPTH).min(pairs);
        let start = if first == 0 { start } else { Start::Stored };
        for (column, registers, panel) in weight.panels() {
            let strip = Strip {
                left: rounded,
                pairs,
                right: &panel[depth.start * registers..depth.end * registers],
                registers,
                depth: depth.clone(),
                column,
                columns: weight.columns,
                start,
            };
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "a function for processors that have what was asked")]
            // SAFETY: the processor has the two features, as asserted above.
            unsafe {
                x86::strip(&strip, output);
            }
        }
    }
}

/// Columns of a product that fit in registers together, and some of the weight's rows.
struct Strip<'a> {
    /// `[count, pairs]`.
    left: &'a [u32],
    pairs: usize,
    /// `[depth, registers]`.
    right: &'a [Pairs],
    registers: usize,
    /// Pairs of rows of the weight that `right` has.
    depth: Range<usize>,
    /// Where the columns begin.
    column: usize,
    /// Columns of the whole result.
    columns: usize,
    start: Start<'a>,
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m512, __m512bh, _mm512_dpbf16_ps};

    use super::{LANES, Pairs, Start, Strip, TILE_REGISTERS, TILE_ROWS};

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn strip(strip: &Strip, output: &mut [f32]) {
        match strip.registers {
            1 => rows::<1>(strip, output),
            2 => rows::<2>(strip, output),
            3 => rows::<3>(strip, output),
            _ => rows::<TILE_REGISTERS>(strip, output),
        }
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    fn rows<const V: usize>(strip: &Strip, output: &mut [f32]) {
        let count = strip.left.len() / strip.pairs;
        for row in (0..count).step_by(TILE_ROWS) {
            match count - row {
                1 => tile::<V, 1>(strip, row, output),
                2 => tile::<V, 2>(strip, row, output),
                3 => tile::<V, 3>(strip, row, output),
                4 => tile::<V, 4>(strip, row, output),
                5 => tile::<V, 5>(strip, row, output),
                _ => tile::<V, TILE_ROWS>(strip, row, output),
            }
        }
    }

    /// Loops over constant bounds, indexed: so the compiler keeps the sums in registers.
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn tile<const V: usize, const R: usize>(strip: &Strip, row: usize, output: &mut [f32]) {
        let place = |r: usize| (row + r) * strip.columns + strip.column;
        let mut sums: [[__m512; V]; R] = match strip.start {
            Start::Zero => [[sums_from([0.0; LANES]); V]; R],
            Start::Bias(bias) => [std::array::from_fn(|v| sums_at(bias, strip.column, v)); R],
            Start::Stored => {
                std::array::from_fn(|r| std::array::from_fn(|v| sums_at(output, place(r), v)))
            }
        };
        let rows: [&[u32]; R] = std::array::from_fn(|r| {
            &strip.left[(row + r) * strip.pairs..][strip.depth.start..strip.depth.end]
        });
        for (p, right) in strip.right.as_chunks::<V>().0.iter().enumerate() {
            let right = right.map(factors);
            for r in 0..R {
                let left = factors(Pairs([rows[r][p]; LANES]));
                for v in 0..V {
                    sums[r][v] = _mm512_dpbf16_ps(sums[r][v], left, right[v]);
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
}

/// Bits of the second number of a pair.
const HIGH: u32 = 0xffff_0000;

fn pair(low: f32, high: f32) -> u32 {
    rounded(low) >> 16 | rounded(high) & HIGH
}

/// Bits whose upper half is the nearest bf16, ties to even; not a number stays that.
fn rounded(value: f32) -> u32 {
    const HALF: u32 = 0x7fff;
    const QUIET: u32 = 0x0040_0000;
    let bits = value.to_bits();
    if value.is_nan() { bits | QUIET } else { bits + (HALF + (bits >> 16 & 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_ties_to_even() {
        let upper = |value: f32| f32::from_bits(rounded(value) & HIGH);
        let one_up = 1.0 + 1.0 / 128.0;
        for (value, expected) in [
            (1.0, 1.0),
            (-1.5, -1.5),
            (1.0 + 1.0 / 512.0, 1.0),
            // Half-way between two, the even one.
            (1.0 + 1.0 / 256.0, 1.0),
            (one_up + 1.0 / 256.0, one_up + 1.0 / 128.0),
            (1.0 + 1.1 / 256.0, one_up),
            (-(1.0 + 1.1 / 256.0), -one_up),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
            (0.0, 0.0),
        ] {
            assert_eq!(upper(value), expected, "{value}");
        }
        assert!(upper(f32::NAN).is_nan());
        assert!(upper(f32::from_bits(0x7f80_0001)).is_nan());
    }

    #[test]
    fn what_is_packed_is_there() {
        for (rows, columns) in [(1, 16), (6, 48), (7, 80), (130, 144)] {
            let at = |row: usize, column: usize| (row * columns + column) as f32 % 251.0 - 125.0;
            let packed = Packed::new(rows, columns, at);
            for row in 0..rows {
                for column in 0..columns {
                    assert_eq!(packed.at(row, column), at(row, column), "{row} {column}");
                }
            }
        }
    }
}
