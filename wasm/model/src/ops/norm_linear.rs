//! `out[r] = rms_norm(x[r]) * weight^T + bias`.

use crate::linear::Epilogue;
use crate::rms_norm::normalize;
use crate::step::{multiply, Matrix, Workspace};
use crate::team::{Aborted, Team};
use crate::vector::Native;

/// Operands: `x [rows, cols]`, `norm [cols]`, `weight [n, cols]`, `bias [n]` or null, `out [rows, n]`; all but the weight float32.
pub struct NormLinear<'a> {
    pub x: *const f32,
    pub norm: *const f32,
    pub weight: Matrix<'a>,
    pub bias: *const f32,
    pub out: *mut f32,
    pub eps: f32,
}

/// Normalizes rows and projects them.
///
/// # Safety
/// Pointers cover the shapes of [`NormLinear`]. All threads of the team call it.
pub unsafe fn norm_linear(
    team: &Team,
    work: &Workspace,
    rows: usize,
    op: &NormLinear,
) -> Result<(), Aborted> {
    // SAFETY: the caller's promise.
    unsafe {
        let input = normalize::<Native>(team, work, op.x, op.norm, op.eps, rows, &op.weight)?;
        multiply(
            team,
            work,
            &input,
            &op.weight,
            op.bias,
            op.out,
            Epilogue::Set,
        );
    }
    Ok(())
}
