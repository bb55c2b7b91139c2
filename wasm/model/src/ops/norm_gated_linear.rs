//! `out[r] = activation(n * gate^T + bias_gate) * (n * up^T + bias_up)` with `n = rms_norm(x[r])`.

use crate::linear::{linear, Activation, Epilogue};
use crate::rms_norm::normalize;
use crate::step::{image_for, Matrix, Workspace};
use crate::team::{Aborted, Team};
use crate::vector::Native;

/// Operands: `x [rows, cols]`, `norm [cols]`, `weight` = two parts of equal shape, gate `[n, cols]` over up `[n, cols]`,
/// `bias [2n]` or null, `out [rows, n]`; all but the weight float32.
pub struct NormGatedLinear<'a> {
    pub x: *const f32,
    pub norm: *const f32,
    pub weight: Matrix<'a>,
    pub bias: *const f32,
    pub out: *mut f32,
    pub eps: f32,
    pub activation: Activation,
}

/// The first half of a gated MLP. A thread that makes a gate's outputs multiplies the same outputs by up: no barrier between the two.
///
/// # Safety
/// Pointers cover the shapes of [`NormGatedLinear`]. All threads of the team call it.
pub unsafe fn norm_gated_linear(
    team: &Team,
    work: &Workspace,
    rows: usize,
    op: &NormGatedLinear,
) -> Result<(), Aborted> {
    // SAFETY: the caller's promise.
    let input =
        unsafe { normalize::<Native>(team, work, op.x, op.norm, op.eps, rows, &op.weight)? };
    let [gate, up] = op.weight.parts else {
        panic!("gate and up")
    };
    let epilogues = [Epilogue::Set, Epilogue::Gate(op.activation)];
    while let Some(groups) = team.claim(gate.groups(), 1) {
        for (i, part) in [gate, up].into_iter().enumerate() {
            let bias = match op.bias.is_null() {
                true => op.bias,
                false => op.bias.wrapping_add(i * gate.rows),
            };
            // SAFETY: the groups' outputs are this thread's alone.
            unsafe {
                linear(
                    part,
                    input.x,
                    image_for(part, &input),
                    rows,
                    op.out,
                    gate.rows,
                    bias,
                    epilogues[i],
                    groups.clone(),
                    work.scratch(),
                )
            }
        }
    }
    Ok(())
}
