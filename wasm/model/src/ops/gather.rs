//! `out[i] = x[output_rows[i]]`.

use crate::step::Batch;
use crate::team::Team;

/// Copies the rows whose logits are wanted. `x [rows, cols]`, `out [outputs, cols]`, both float32.
///
/// # Safety
/// Every output row is a row of `x`; `out` takes them all. All threads of the team call it.
pub unsafe fn gather(team: &Team, batch: &Batch, x: *const f32, out: *mut f32, cols: usize) {
    while let Some(piece) = team.claim(batch.outputs, 1) {
        for i in piece {
            // SAFETY: rows of x and out, which do not overlap.
            unsafe {
                let row = *batch.output_rows.add(i) as usize;
                core::ptr::copy_nonoverlapping(x.add(row * cols), out.add(i * cols), cols);
            }
        }
    }
}
