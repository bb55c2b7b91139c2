//! RMS normalization of one row: the first half of `norm_linear` and `norm_gated_linear`.

use crate::step::{quantize, Input, Matrix, Workspace};
use crate::team::{Aborted, Team};
use crate::vector::Lanes;

/// `out = x / sqrt(mean(x^2) + eps) * norm`, all `cols` floats. Source: SmolLM3RMSNorm of Transformers.
///
/// # Safety
/// The three cover `cols` floats; `out` may be `x`.
pub unsafe fn rms_norm<V: Lanes>(
    x: *const f32,
    norm: *const f32,
    eps: f32,
    out: *mut f32,
    cols: usize,
) {
    let whole = cols - cols % 16;
    let mut squares = [V::splat(0.0); 4];
    for at in (0..whole).step_by(16) {
        for (i, sum) in squares.iter_mut().enumerate() {
            // SAFETY: at + 16 <= cols.
            let v = unsafe { V::load(x.add(at + 4 * i)) };
            *sum = v.mul_add(v, *sum);
        }
    }
    let [a, b, c, d] = V::sums(squares).to_array();
    let mut sum = (a + b) + (c + d);
    for at in whole..cols {
        // SAFETY: at < cols.
        let v = unsafe { *x.add(at) };
        sum += v * v;
    }
    let scale = 1.0 / (sum / cols as f32 + eps).sqrt();
    let whole = cols - cols % 4;
    for at in (0..whole).step_by(4) {
        // SAFETY: at + 4 <= cols.
        unsafe {
            let v = V::load(x.add(at)).mul(V::splat(scale));
            v.mul(V::load(norm.add(at))).store(out.add(at));
        }
    }
    for at in whole..cols {
        // SAFETY: at < cols.
        unsafe { *out.add(at) = *x.add(at) * scale * *norm.add(at) }
    }
}

/// Normalized rows, ready to meet `matrix`. One row: each thread makes its own copy, which costs less than a barrier.
///
/// # Safety
/// `x` is `[rows, matrix.cols]` and complete, `norm` holds `matrix.cols` floats, and the workspace has room. All threads of the team call it.
pub unsafe fn normalize<V: Lanes>(
    team: &Team,
    work: &Workspace,
    x: *const f32,
    norm: *const f32,
    eps: f32,
    rows: usize,
    matrix: &Matrix,
) -> Result<Input, Aborted> {
    let cols = matrix.cols;
    if rows == 1 {
        let own = work.own().cast::<f32>();
        // SAFETY: private memory holds one row.
        unsafe {
            rms_norm::<V>(x, norm, eps, own, cols);
            return quantize(team, work, own, 1, matrix);
        }
    }
    while let Some(piece) = team.claim(rows, 1) {
        for row in piece {
            // SAFETY: the row is this thread's alone.
            unsafe {
                let out = work.normalized.add(row * cols);
                rms_norm::<V>(x.add(row * cols), norm, eps, out, cols)
            }
        }
    }
    team.barrier()?;
    // SAFETY: all rows are normalized.
    unsafe { quantize(team, work, work.normalized, rows, matrix) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_equals_the_scalar_oracle() {
        for cols in 1..70 {
            let x: Vec<f32> = (0..cols).map(|i| (i as f32 * 0.7).sin() * 3.0).collect();
            let norm: Vec<f32> = (0..cols).map(|i| 1.0 + (i as f32).cos() * 0.1).collect();
            let mut out = vec![0.0f32; cols];
            // SAFETY: all three hold `cols` floats.
            unsafe {
                rms_norm::<[f32; 4]>(x.as_ptr(), norm.as_ptr(), 1e-6, out.as_mut_ptr(), cols)
            };
            let mean = x.iter().map(|&v| v as f64 * v as f64).sum::<f64>() / cols as f64;
            for i in 0..cols {
                let want = x[i] as f64 / (mean + 1e-6).sqrt() * norm[i] as f64;
                assert!((out[i] as f64 - want).abs() < 1e-6, "{cols} values, {i}");
            }
        }
    }
}
