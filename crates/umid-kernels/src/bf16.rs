//! Matrix products in bf16 with sums in f32, for processors that multiply so: in tiles of registers
//! (AMX), which multiply several times as fast as vectors of f32, or in vectors (AVX-512 BF16), twice
//! as fast where the processor has that many units for it.
//!
//! Packed as in [`crate::product`], in panels of 32 columns. An instruction adds the products of
//! two rows of the weight at once, so rows of it are stored in pairs, and so are columns of the left
//! operand, which is rounded here. Two numbers of 16 bits are stored as one of 32.

#[cfg(target_arch = "x86_64")]
mod tiles;
#[cfg(target_arch = "x86_64")]
mod vectors;

use std::ops::Range;
use std::sync::OnceLock;

use crate::product::{LANES, Start};
use crate::unit::Unit;

/// Registers, and columns, of a panel.
const REGISTERS: usize = 2;
const PANEL: usize = REGISTERS * LANES;
/// Pairs of rows of the weight that go by while a part of the result is in registers.
const DEPTH: usize = 384;
/// Rows of the left operand that tiles take together.
const BLOCK_ROWS: usize = 32;

/// Units that multiply in bf16, the fastest first.
const UNITS: [Unit; 2] = [Unit::Bf16Tiles, Unit::Bf16Vectors];

/// The fastest unit of this processor; none if it does not multiply in bf16.
pub(crate) fn unit() -> Option<Unit> {
    static UNIT: OnceLock<Option<Unit>> = OnceLock::new();
    *UNIT.get_or_init(|| UNITS.into_iter().find(|unit| is_available(*unit)))
}

#[cfg(target_arch = "x86_64")]
fn is_available(unit: Unit) -> bool {
    vectors::are_available() && (unit != Unit::Bf16Tiles || tiles::are_available())
}

#[cfg(not(target_arch = "x86_64"))]
fn is_available(_: Unit) -> bool {
    false
}

/// Sixteen pairs of numbers, of 16 columns of a weight or of one row of the left operand: one
/// register.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Pairs([u32; LANES]);

/// How the registers of a rounded left operand are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Row after row.
    Rows,
    /// In blocks of 32 rows. In a block, a register of each row goes before the next of any.
    Blocks,
}

impl Layout {
    /// Where a row begins, and registers from one of its registers to the next. `width` is how
    /// many registers a row has.
    fn row(self, row: usize, width: usize) -> (usize, usize) {
        match self {
            Self::Rows => (row * width, 1),
            Self::Blocks => {
                let within = row % BLOCK_ROWS;
                ((row - within) * width + within, BLOCK_ROWS)
            }
        }
    }
}

/// A weight `[rows, columns]`, rounded to bf16, in panels of 32 columns. Rows and columns that fill
/// registers and panels up are zeros.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    rows: usize,
    columns: usize,
    /// Pairs of rows, whole registers of them.
    pairs: usize,
    /// Panel after panel.
    panels: Vec<[Pairs; REGISTERS]>,
}

/// Columns of a weight that are stored together.
#[derive(Clone, Copy)]
struct Panel<'a> {
    /// Column at which it begins.
    first: usize,
    /// Registers that hold columns.
    registers: usize,
    /// Registers of each pair of rows.
    pairs: &'a [[Pairs; REGISTERS]],
}

impl Panel<'_> {
    /// Some of the pairs of rows.
    fn part(self, depth: &Range<usize>) -> Self {
        Self { pairs: &self.pairs[depth.clone()], ..self }
    }
}

impl Packed {
    /// Packs the matrix of which `at(row, column)` gives a register's columns, from one on.
    pub(crate) fn new(
        rows: usize,
        columns: usize,
        at: impl Fn(usize, usize) -> [f32; LANES],
    ) -> Self {
        assert!(columns.is_multiple_of(LANES), "{columns} columns");
        let pairs = rows.div_ceil(2).next_multiple_of(LANES);
        let mut panels = Vec::with_capacity(pairs * columns.div_ceil(PANEL));
        let register = |row: usize, column| {
            if row < rows && column < columns { at(row, column) } else { [0.0; LANES] }
        };
        for first in (0..columns).step_by(PANEL) {
            for row in (0..2 * pairs).step_by(2) {
                panels.push(std::array::from_fn(|i| {
                    let column = first + i * LANES;
                    let (low, high) = (register(row, column), register(row + 1, column));
                    Pairs(std::array::from_fn(|lane| pair(low[lane], high[lane])))
                }));
            }
        }
        Self { rows, columns, pairs, panels }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The transposed matrix, packed in the same way: block by block of 32 rows and columns.
    pub(crate) fn transposed(&self) -> Self {
        assert!(self.rows.is_multiple_of(LANES), "{} rows", self.rows);
        let pairs = self.columns.div_ceil(2).next_multiple_of(LANES);
        let zeros = [Pairs([0; LANES]); REGISTERS];
        let mut panels = vec![zeros; pairs * self.rows.div_ceil(PANEL)];
        for (i, to) in panels.chunks_exact_mut(pairs).enumerate() {
            let to = to.as_chunks_mut::<LANES>().0;
            for (from, to) in self.panels.chunks_exact(self.pairs).zip(to) {
                transpose(&from.as_chunks().0[i], to);
            }
        }
        Self { rows: self.columns, columns: self.rows, pairs, panels }
    }

    pub(crate) fn at(&self, row: usize, column: usize) -> f32 {
        let registers = &self.panels[column / PANEL * self.pairs + row / 2];
        let both = registers[column % PANEL / LANES].0[column % LANES];
        f32::from_bits(if row.is_multiple_of(2) { both << 16 } else { both & HIGH })
    }

    fn panels(&self) -> impl Iterator<Item = Panel<'_>> {
        let panels = self.panels.chunks_exact(self.pairs).zip((0..).step_by(PANEL));
        panels.map(|(pairs, first)| {
            let registers = (self.columns - first).min(PANEL) / LANES;
            Panel { first, registers, pairs }
        })
    }
}

/// A block of 32 rows and 32 columns, in pairs of rows.
type Block = [[Pairs; REGISTERS]; LANES];

fn transpose(from: &Block, to: &mut Block) {
    for (column, to) in to.iter_mut().enumerate() {
        // A pair of columns of `from` is a pair of rows of `to`.
        let (register, lane) = (2 * column / LANES, 2 * column % LANES);
        for (row, from) in from.iter().enumerate() {
            let (low, high) = (from[register].0[lane], from[register].0[lane + 1]);
            let two = &mut to[2 * row / LANES].0[2 * row % LANES..][..2];
            two.copy_from_slice(&[low & !HIGH | high << 16, low >> 16 | high & HIGH]);
        }
    }
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
    rounded: &mut Vec<Pairs>,
) {
    let unit = unit().expect("a precision is asked for where it is available");
    product_on(unit, left, weight, output, start, rounded);
}

#[cfg(not(target_arch = "x86_64"))]
fn product_on(unit: Unit, _: &[f32], _: &Packed, _: &mut [f32], _: Start, _: &mut Vec<Pairs>) {
    unreachable!("{unit:?} are not available");
}

#[cfg(target_arch = "x86_64")]
fn product_on(
    unit: Unit,
    left: &[f32],
    weight: &Packed,
    output: &mut [f32],
    start: Start,
    rounded: &mut Vec<Pairs>,
) {
    let count = output.len() / weight.columns;
    assert_eq!((count * weight.rows, count * weight.columns), (left.len(), output.len()));
    // Rows that pad a tile may hold anything: their results are not stored.
    let width = weight.pairs / LANES;
    let room = count.next_multiple_of(BLOCK_ROWS) * width;
    if rounded.len() < room {
        rounded.resize(room, Pairs([0; LANES]));
    }
    let layout = if unit == Unit::Bf16Tiles { Layout::Blocks } else { Layout::Rows };
    vectors::round(left, weight.rows, layout, rounded, width);
    let mut tiles = (unit == Unit::Bf16Tiles).then(tiles::Configured::new);
    for first in (0..weight.pairs).step_by(DEPTH) {
        let depth = first..(first + DEPTH).min(weight.pairs);
        let start = if first == 0 { start } else { Start::Stored };
        for panel in weight.panels() {
            let strip = Strip {
                left: &rounded[..room],
                width,
                right: panel.part(&depth),
                ahead: weight.pairs,
                depth: depth.clone(),
                columns: weight.columns,
                count,
                start,
            };
            match &mut tiles {
                Some(tiles) => tiles.strip(&strip, output),
                None => vectors::strip(&strip, output),
            }
        }
    }
}

/// A panel of a product, and some of the weight's rows.
struct Strip<'a> {
    /// `[count, width]` and rows that fill a block up, laid out as the unit has it.
    left: &'a [Pairs],
    /// Registers of a row.
    width: usize,
    right: Panel<'a>,
    /// Pairs of rows from `right` to what will be multiplied next.
    ahead: usize,
    /// Pairs of rows of the weight that `right` has.
    depth: Range<usize>,
    /// Columns of the whole result.
    columns: usize,
    /// Rows of it.
    count: usize,
    start: Start<'a>,
}

/// Bits of the second number of a pair.
const HIGH: u32 = 0xffff_0000;

fn pair(low: f32, high: f32) -> u32 {
    rounded(low) >> 16 | rounded(high) & HIGH
}

/// Bits whose upper half is the nearest bf16, ties to even; a NaN stays a NaN.
fn rounded(value: f32) -> u32 {
    const HALF: u32 = 0x7fff;
    const QUIET: u32 = 0x0040_0000;
    let bits = value.to_bits();
    if value.is_nan() { bits | QUIET } else { bits + (HALF + (bits >> 16 & 1)) }
}

#[cfg(test)]
#[path = "../tests/kernels/units.rs"]
mod units;

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a unit is here to be tested; if it is not, says so.
    fn tested(unit: Unit) -> bool {
        is_available(unit) || {
            units::skip(if unit == Unit::Bf16Tiles { "amx" } else { "bf16" });
            false
        }
    }

    /// What a sum of products may be off by, relative to the sum of their sizes: round-off in
    /// another order, the factors being exact.
    const TOLERANCE: f32 = 1e-6;

    fn waves(count: usize, speed: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * speed).sin()).collect()
    }

    #[test]
    fn rounding_is_to_nearest_ties_to_even() {
        let one_up = 1.0 + 1.0 / 128.0;
        let cases = [
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
        ];
        for (value, expected) in cases {
            assert_eq!(rounded(value) & HIGH, f32::to_bits(expected), "{value}");
        }
        for odd in [f32::NAN, f32::from_bits(0x7f80_0001)] {
            assert!(f32::from_bits(rounded(odd) & HIGH).is_nan());
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn vectors_round_as_numbers_do() {
        if !tested(Unit::Bf16Vectors) {
            return;
        }
        for width in [1, 2, 16, 31, 32, 33, 75] {
            let values = waves(40 * width, 0.7);
            let registers = width.div_ceil(2 * LANES);
            for layout in [Layout::Rows, Layout::Blocks] {
                let mut found = vec![Pairs([u32::MAX; LANES]); 64 * registers];
                vectors::round(&values, width, layout, &mut found, registers);
                for (i, row) in values.chunks(width).enumerate() {
                    let mut expected: Vec<u32> = row
                        .chunks(2)
                        .map(|two| pair(two[0], *two.get(1).unwrap_or(&0.0)))
                        .collect();
                    expected.resize(registers * LANES, 0);
                    let (first, step) = layout.row(i, registers);
                    let found = found[first..].iter().step_by(step).take(registers);
                    let found: Vec<u32> = found.flat_map(|register| register.0).collect();
                    assert_eq!(found, expected, "{layout:?} {width} {i}");
                }
            }
        }
    }

    #[test]
    fn what_is_packed_is_there() {
        for (rows, columns) in [(1, 16), (6, 48), (7, 80), (16, 96), (48, 16), (144, 80)] {
            let at = |row: usize, column: usize| (row * columns + column) as f32 % 251.0 - 125.0;
            let packed = Packed::new(rows, columns, |row, column| {
                std::array::from_fn(|lane| at(row, column + lane))
            });
            let transposed = rows.is_multiple_of(LANES).then(|| packed.transposed());
            for row in 0..rows {
                for column in 0..columns {
                    let expected = at(row, column).to_bits();
                    assert_eq!(packed.at(row, column).to_bits(), expected, "{row} {column}");
                    if let Some(transposed) = &transposed {
                        let found = transposed.at(column, row).to_bits();
                        assert_eq!(found, expected, "{row} {column}, transposed");
                    }
                }
            }
        }
    }

    #[test]
    fn each_unit_multiplies_what_was_rounded() {
        for unit in UNITS.into_iter().filter(|unit| tested(*unit)) {
            for (count, rows, columns) in
                [(1, 16, 16), (31, 7, 48), (32, 32, 64), (33, 96, 80), (70, 800, 112)]
            {
                let (left, weight) = (waves(count * rows, 0.37), waves(rows * columns, 0.73));
                let (bias, stored) = (waves(columns, 0.11), waves(count * columns, 0.19));
                let packed = Packed::new(rows, columns, |row, column| {
                    *weight[row * columns + column..].first_chunk().unwrap()
                });
                for start in [Start::Zero, Start::Bias(&bias), Start::Stored] {
                    let mut found = stored.clone();
                    // Room that something else was in before.
                    let mut room = vec![Pairs([u32::MAX; LANES]); 2_500];
                    product_on(unit, &left, &packed, &mut found, start, &mut room);
                    for (i, found) in found.iter().enumerate() {
                        let (row, column) = (i / columns, i % columns);
                        let near = |value: f32| f64::from(f32::from_bits(rounded(value) & HIGH));
                        let products = (0..rows).map(|r| {
                            near(left[row * rows + r]) * near(weight[r * columns + column])
                        });
                        let from = match start {
                            Start::Zero => 0.0,
                            Start::Bias(bias) => bias[column],
                            Start::Stored => stored[i],
                        };
                        let size: f64 = products.clone().map(f64::abs).sum();
                        let off =
                            (f64::from(*found) - products.sum::<f64>() - f64::from(from)).abs();
                        let most = TOLERANCE * (size as f32 + from.abs());
                        assert!(
                            off < f64::from(most),
                            "{unit:?} {count} {rows} {columns} {i} {off}"
                        );
                    }
                }
            }
        }
    }
}
