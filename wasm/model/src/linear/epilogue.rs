//! What happens to the sums of a group: bias, then set, add or gate.

use super::{Activation, GROUP};
use crate::vector::Native;
use core::ops::Range;

/// What happens to a value `v = x[r] . weight[n] + bias[n]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// `out = v`
    Set,
    /// `out += v`
    Add,
    /// `out = activation(out) * v`: `out` already holds the gate projection.
    Gate(Activation),
}

/// Where the outputs go: `out[row * stride + column]`, `columns` of them in a row.
pub struct Output {
    pub out: *mut f32,
    pub stride: usize,
    /// `columns` floats, or null.
    pub bias: *const f32,
    pub epilogue: Epilogue,
    pub columns: usize,
}

impl Output {
    /// Writes the outputs of group `group` for `rows`: `factor` times their sums.
    ///
    /// # Safety
    /// `sums` is `[rows][GROUP]`; the outputs are writable and no other thread's.
    pub unsafe fn write(&self, sums: *const f32, factor: f32, rows: Range<usize>, group: usize) {
        let first = group * GROUP;
        let count = GROUP.min(self.columns - first);
        let mut bias = [0.0; GROUP];
        // SAFETY: the caller's promise; a last group has fewer columns.
        unsafe {
            if !self.bias.is_null() {
                core::ptr::copy_nonoverlapping(self.bias.add(first), bias.as_mut_ptr(), count);
            }
            for (i, row) in rows.enumerate() {
                let sums = &*(sums.add(i * GROUP) as *const [f32; GROUP]);
                let values = core::array::from_fn(|c| sums[c] * factor + bias[c]);
                let out = self.out.add(row * self.stride + first);
                if count == GROUP {
                    let out = &mut *(out as *mut [f32; GROUP]);
                    *out = self.apply(out, &values);
                } else {
                    let mut padded = [0.0; GROUP];
                    core::ptr::copy_nonoverlapping(out, padded.as_mut_ptr(), count);
                    padded = self.apply(&padded, &values);
                    core::ptr::copy_nonoverlapping(padded.as_ptr(), out, count);
                }
            }
        }
    }

    #[inline(always)]
    fn apply(&self, out: &[f32; GROUP], values: &[f32; GROUP]) -> [f32; GROUP] {
        match self.epilogue {
            Epilogue::Set => *values,
            Epilogue::Add => core::array::from_fn(|c| out[c] + values[c]),
            Epilogue::Gate(activation) => {
                let mut gated = *values;
                for (c, four) in gated.chunks_exact_mut(4).enumerate() {
                    let gate = core::array::from_fn(|i| out[4 * c + i]);
                    let active = activation.apply::<Native>(gate);
                    for i in 0..4 {
                        four[i] *= active[i];
                    }
                }
                gated
            }
        }
    }
}
