//! `out[r] += x[r] * weight^T + bias`.

use crate::linear::Epilogue;
use crate::step::{multiply, quantize, Matrix, Workspace};
use crate::team::{Aborted, Team};

/// Adds a projection to the residual stream. `x [rows, cols]` float32, `out [rows, weight.rows()]` float32 in place.
/// Accumulates in float32, or over blocks of 32 in integers where weights are quantized and activations int8.
///
/// # Safety
/// Pointers cover those shapes; `bias` is null or holds `weight.rows()` floats. All threads of the team call it.
pub unsafe fn linear_add(
    team: &Team,
    work: &Workspace,
    rows: usize,
    x: *const f32,
    weight: &Matrix,
    bias: *const f32,
    out: *mut f32,
) -> Result<(), Aborted> {
    // SAFETY: the caller's promise.
    unsafe {
        let input = quantize(team, work, x, rows, weight)?;
        multiply(team, work, &input, weight, bias, out, Epilogue::Add);
    }
    Ok(())
}
