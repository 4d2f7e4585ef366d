//! Rows in chunks, for what is computed row by row.

use std::ops::Range;

/// Rows of a chunk at most, so that it stays in a core's cache from one step to the next.
const CHUNK: usize = 320;

/// Chunks of nearly the same length.
pub(crate) fn chunks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    chunks_of(rows, longest_chunk(rows))
}

pub(crate) fn longest_chunk(rows: usize) -> usize {
    rows.div_ceil(rows.div_ceil(CHUNK).max(1)).max(1)
}

/// Chunks of some rows, but for the last.
pub(crate) fn chunks_of(rows: usize, each: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(each).map(move |first| first..(first + each).min(rows))
}

pub(crate) fn part<'a>(rows: &'a [f32], chunk: &Range<usize>, width: usize) -> &'a [f32] {
    &rows[chunk.start * width..chunk.end * width]
}

pub(crate) fn part_mut<'a>(
    rows: &'a mut [f32],
    chunk: &Range<usize>,
    width: usize,
) -> &'a mut [f32] {
    &mut rows[chunk.start * width..chunk.end * width]
}
