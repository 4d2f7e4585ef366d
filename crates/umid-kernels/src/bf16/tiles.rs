//! Products in bf16 with tiles (Intel AMX): an instruction multiplies 16 rows of 32 numbers with 32
//! rows of 16. A block of 2 x 2 tiles of the result stays in registers, 2 tiles of each operand go by.
//!
//! The standard library has no stable functions for these instructions, so they stand as assembly.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::sync::OnceLock;

use super::{BLOCK_ROWS, PANEL, Pairs, REGISTERS, Strip};
use crate::product::{LANES, Start};

/// Rows of a tile, and bytes of one of its rows.
const TILE_ROWS: usize = 16;
const ROW_BYTES: usize = 64;
/// Parts in which the next panel is prefetched: one part with each block of rows, four cache lines
/// with each step.
const PARTS_AHEAD: usize = 8;

/// Whether the processor has tiles and the system lets this process use them.
pub(super) fn are_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| processor_has_them() && are_permitted())
}

fn processor_has_them() -> bool {
    const FEATURES: u32 = 7;
    /// AMX-BF16 and AMX-TILE, of the second word of features in EDX.
    const NEEDED: u32 = 1 << 22 | 1 << 24;
    __cpuid(0).eax >= FEATURES && __cpuid_count(FEATURES, 0).edx & NEEDED == NEEDED
}

/// Linux saves tiles only of processes that asked to use them.
#[cfg(target_os = "linux")]
fn are_permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    #[expect(unsafe_code, reason = "a system call that the standard library does not have")]
    // SAFETY: it takes two numbers and touches no memory of this process.
    let answer =
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) };
    answer == 0
}

#[cfg(not(target_os = "linux"))]
fn are_permitted() -> bool {
    false
}

/// Layout of the eight tiles, as the processor reads it.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    first_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// All eight tiles at their full size, on this thread, for as long as it lives.
pub(super) struct Configured {
    /// Tiles are a thread's.
    _here: std::marker::PhantomData<*const ()>,
}

impl Configured {
    /// # Panics
    ///
    /// If tiles are not available.
    pub(super) fn new() -> Self {
        assert!(are_available(), "no tiles on this processor");
        let mut configuration = Configuration {
            palette: 1,
            first_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        configuration.row_bytes[..8].fill(ROW_BYTES as u16);
        configuration.rows[..8].fill(TILE_ROWS as u8);
        #[expect(unsafe_code, reason = "an instruction that the standard library does not have")]
        // SAFETY: the processor has the instruction and the system permits it, as asserted above. It
        // reads the 64 bytes it is given and sets this thread's tiles, which only `block` uses.
        unsafe {
            asm!(
                "ldtilecfg [{configuration}]",
                configuration = in(reg) &raw const configuration,
                options(nostack, readonly, preserves_flags)
            );
        }
        Self { _here: std::marker::PhantomData }
    }

    /// One panel of a product.
    pub(super) fn strip(&mut self, strip: &Strip, output: &mut [f32]) {
        let (column, columns) = (strip.right.first, strip.right.registers * LANES);
        let depth = strip.depth.start / LANES..strip.depth.end / LANES;
        for (i, row) in (0..strip.count).step_by(BLOCK_ROWS).enumerate() {
            let left = &strip.left[row * strip.width..];
            let left = &left[depth.start * BLOCK_ROWS..depth.end * BLOCK_ROWS];
            let ahead = if i < PARTS_AHEAD {
                let part = strip.right.pairs.len() / PARTS_AHEAD;
                strip.right.pairs.as_ptr().wrapping_add(strip.ahead + i * part).cast()
            } else {
                left.as_ptr()
            };
            let operands = Operands { left, right: strip.right.pairs, ahead };
            let place = row * strip.columns + column;
            let rows = (strip.count - row).min(BLOCK_ROWS);
            if rows == BLOCK_ROWS && columns == PANEL {
                let before = match strip.start {
                    Start::Zero => Before::Row(&ZEROS),
                    Start::Bias(bias) => Before::Row(&bias[column..]),
                    Start::Stored => Before::Stored,
                };
                block(self, &operands, before, &mut output[place..], strip.columns);
                continue;
            }
            self.edge(&operands, strip, [row, rows], [column, columns], output);
        }
    }

    /// A block that the result has not all of: first and number of its rows and of its columns.
    fn edge(
        &mut self,
        operands: &Operands,
        strip: &Strip,
        [row, rows]: [usize; 2],
        [column, columns]: [usize; 2],
        output: &mut [f32],
    ) {
        let mut whole = [[0.0; PANEL]; BLOCK_ROWS];
        let mut place = row * strip.columns + column;
        for to in &mut whole[..rows] {
            match strip.start {
                Start::Zero => {}
                Start::Bias(bias) => copy(&bias[column..][..columns], to),
                Start::Stored => copy(&output[place..][..columns], to),
            }
            place += strip.columns;
        }
        block(self, operands, Before::Stored, whole.as_flattened_mut(), PANEL);
        place = row * strip.columns + column;
        for from in &whole[..rows] {
            copy(from, &mut output[place..][..columns]);
            place += strip.columns;
        }
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "an instruction that the standard library does not have")]
        // SAFETY: the processor has the instruction, or there would be no `Configured`. It empties
        // this thread's tiles, which only `block` uses.
        unsafe {
            asm!("tilerelease", options(nostack, nomem, preserves_flags));
        }
    }
}

/// `to = from + left * right`, of 32 rows and 32 columns. `stride` numbers are between rows of
/// `to`.
fn block(_: &mut Configured, operands: &Operands, from: Before, to: &mut [f32], stride: usize) {
    let Operands { left, right, ahead } = *operands;
    let steps = right.len() / LANES;
    // What is read and written below, to its last number.
    assert!(right.len().is_multiple_of(LANES) && steps > 0);
    assert!(left.len() >= BLOCK_ROWS * steps);
    assert!(to.len() >= (BLOCK_ROWS - 1) * stride + PANEL);
    let to = to.as_mut_ptr();
    let (from, from_stride) = match from {
        Before::Stored => (to.cast_const(), stride),
        Before::Row(row) => (row[..PANEL].as_ptr(), 0),
    };
    #[expect(unsafe_code, reason = "instructions that the standard library does not have")]
    // SAFETY: there is a `Configured`, so this thread's tiles are ready. A tile's row is a register:
    // of `left` 32 registers are read at every step, of `right` 16 times two, and both move on as
    // many times as there are steps, which the assertions bound; so are the 32 rows of 32 numbers
    // of `from` and `to`. What is ahead is asked for and not read.
    unsafe {
        asm!(
            "tileloadd tmm0, [{from} + {from_stride}*1]",
            "tileloadd tmm1, [{from} + {from_stride}*1 + 64]",
            "mov {lower}, {from_stride}",
            "shl {lower}, 4",
            "add {lower}, {from}",
            "tileloadd tmm2, [{lower} + {from_stride}*1]",
            "tileloadd tmm3, [{lower} + {from_stride}*1 + 64]",
            "mov {lower:e}, {row_bytes}",
            "2:",
            "tileloadd tmm4, [{left} + {lower}*1]",
            "tileloadd tmm6, [{right} + {lower}*2]",
            "tileloadd tmm7, [{right} + {lower}*2 + {row_bytes}]",
            "prefetcht1 [{ahead}]",
            "prefetcht1 [{ahead} + 64]",
            "prefetcht1 [{ahead} + 128]",
            "prefetcht1 [{ahead} + 192]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{left} + {lower}*1 + {tile_bytes}]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {left}, 2 * {tile_bytes}",
            "add {right}, 2 * {tile_bytes}",
            "add {ahead}, 2 * {tile_bytes} / {parts}",
            "dec {steps}",
            "jnz 2b",
            "mov {lower}, {to_stride}",
            "shl {lower}, 4",
            "add {lower}, {to}",
            "tilestored [{to} + {to_stride}*1], tmm0",
            "tilestored [{to} + {to_stride}*1 + 64], tmm1",
            "tilestored [{lower} + {to_stride}*1], tmm2",
            "tilestored [{lower} + {to_stride}*1 + 64], tmm3",
            from = in(reg) from,
            from_stride = in(reg) from_stride * size_of::<f32>(),
            left = inout(reg) left.as_ptr() => _,
            right = inout(reg) right.as_ptr() => _,
            ahead = inout(reg) ahead => _,
            steps = inout(reg) steps => _,
            to = in(reg) to,
            to_stride = in(reg) stride * size_of::<f32>(),
            lower = out(reg) _,
            row_bytes = const ROW_BYTES,
            tile_bytes = const TILE_ROWS * ROW_BYTES,
            parts = const PARTS_AHEAD,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack)
        );
    }
}

/// As much as both have; a whole row of a block, which is the usual case, without a call.
fn copy(from: &[f32], to: &mut [f32]) {
    if let (Some(from), Some(to)) = (from.first_chunk::<PANEL>(), to.first_chunk_mut::<PANEL>()) {
        *to = *from;
        return;
    }
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

static ZEROS: [f32; PANEL] = [0.0; PANEL];

/// What a block is added to.
#[derive(Clone, Copy)]
enum Before<'a> {
    Stored,
    /// The same for all rows.
    Row(&'a [f32]),
}

struct Operands<'a> {
    /// 32 rows' registers of each step, from the first step on.
    left: &'a [Pairs],
    /// Pairs of rows of a panel.
    right: &'a [[Pairs; REGISTERS]],
    /// What will be read next; any address will do.
    ahead: *const Pairs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_configured_only_where_they_are_available() {
        let configured = std::panic::catch_unwind(|| drop(Configured::new()));
        assert_eq!(configured.is_ok(), are_available());
    }
}
