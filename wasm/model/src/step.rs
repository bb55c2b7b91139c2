//! What a step works on: the batch, its place to work, its weights and its share of a layer's cache.

use crate::linear::{self, Epilogue, Part};
use crate::team::{Aborted, Team};

/// One replay's rows; the fields are those of `Batch` in the engine.
#[derive(Clone, Copy)]
pub struct Batch {
    pub rows: usize,
    pub outputs: usize,
    pub sequences: usize,
    pub blocks_per_sequence: usize,
    pub tokens: *const u32,
    pub rope: *const f32,
    pub slots: *const u32,
    pub query_starts: *const u32,
    pub context_lengths: *const u32,
    pub block_tables: *const u32,
    pub output_rows: *const u32,
}

/// Where steps put what lives no longer than they do.
#[derive(Clone, Copy)]
pub struct Workspace {
    /// Whether quantized weights meet int8 activations.
    pub int8: bool,
    /// Normalized rows of all threads.
    pub normalized: *mut f32,
    /// Int8 images of rows of all threads.
    pub prepared: *mut u8,
    /// Attention over slices of a context: `partial_bytes`.
    pub partials: *mut f32,
    /// This thread's own: [`linear::SCRATCH_BYTES`], then [`private_bytes`] less that.
    pub private: *mut u8,
}

impl Workspace {
    /// Scratch of [`linear::linear`].
    pub fn scratch(&self) -> *mut u8 {
        self.private
    }

    /// What follows it.
    pub fn own(&self) -> *mut u8 {
        self.private.wrapping_add(linear::SCRATCH_BYTES)
    }
}

/// Bytes of one thread's private memory for rows of up to `cols` values and attention scratch of `attention_bytes`.
pub fn private_bytes(cols: usize, attention_bytes: usize) -> usize {
    let row = cols * 4 + 16 + linear::input_bytes(1, cols);
    linear::SCRATCH_BYTES + row.max(attention_bytes).next_multiple_of(64)
}

/// A weight matrix: its parts lie one under the other.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    pub cols: usize,
    pub parts: &'a [Part],
}

impl Matrix<'_> {
    pub fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// Whether int8 images of its inputs are of use.
    pub fn quantized(&self) -> bool {
        self.parts.iter().any(|part| part.format.quantized())
    }
}

/// Rows that meet a matrix, and their int8 image (or null).
#[derive(Clone, Copy)]
pub struct Input {
    pub x: *const f32,
    pub prepared: *const u8,
    pub rows: usize,
}

/// Int8 images of the rows `x [rows, cols]`, where they are wanted. One row: each thread makes its own copy, which costs less than a barrier.
///
/// # Safety
/// `x` is complete; the workspace holds `rows` rows of `cols`. All threads of the team call it.
pub unsafe fn quantize(
    team: &Team,
    work: &Workspace,
    x: *const f32,
    rows: usize,
    matrix: &Matrix,
) -> Result<Input, Aborted> {
    let cols = matrix.cols;
    if !(work.int8 && matrix.quantized()) {
        let prepared = core::ptr::null();
        return Ok(Input { x, prepared, rows });
    }
    if rows == 1 {
        let prepared = work.own().wrapping_add((cols * 4).next_multiple_of(16));
        // SAFETY: private memory holds one row and its image.
        unsafe { linear::prepare(x, 0..1, 1, cols, prepared) };
        return Ok(Input { x, prepared, rows });
    }
    let prepared = work.prepared;
    while let Some(piece) = team.claim(rows, 4) {
        // SAFETY: rows of this piece are this thread's alone.
        unsafe { linear::prepare(x, piece, rows, cols, prepared) };
    }
    team.barrier()?;
    Ok(Input { x, prepared, rows })
}

/// The input's image if `part` multiplies with it.
pub fn image_for(part: &Part, input: &Input) -> *const u8 {
    if part.format.quantized() {
        input.prepared
    } else {
        core::ptr::null()
    }
}

/// `out[r] (=, +=) input[r] * matrix^T + bias`, groups of weight rows split over the team. No barrier at the end.
///
/// # Safety
/// `out` is `[input.rows, matrix.rows()]`, `bias` null or `matrix.rows()` floats. All threads of the team call it.
pub unsafe fn multiply(
    team: &Team,
    work: &Workspace,
    input: &Input,
    matrix: &Matrix,
    bias: *const f32,
    out: *mut f32,
    epilogue: Epilogue,
) {
    let stride = matrix.rows();
    let total = matrix.parts.iter().map(Part::groups).sum();
    while let Some(piece) = team.claim(total, 1) {
        let (mut first_group, mut first_row) = (0, 0);
        for part in matrix.parts {
            let groups = part.groups();
            let start = piece.start.max(first_group) - first_group;
            let end = piece
                .end
                .min(first_group + groups)
                .saturating_sub(first_group);
            if start < end {
                let bias = match bias.is_null() {
                    true => bias,
                    false => bias.wrapping_add(first_row),
                };
                // SAFETY: the groups are this thread's alone, and so are their outputs.
                unsafe {
                    linear::linear(
                        part,
                        input.x,
                        image_for(part, input),
                        input.rows,
                        out.add(first_row),
                        stride,
                        bias,
                        epilogue,
                        start..end,
                        work.scratch(),
                    )
                }
            }
            first_group += groups;
            first_row += part.rows;
        }
    }
}
