//! Rotates the heads of q and k in place, then stores k and v in the cache.

use crate::cache::Cache;
use crate::element::Element;
use crate::step::Batch;
use crate::team::Team;
use crate::vector::Lanes;

/// Operands: `qkv [rows, (heads + 2 kv_heads) * head_dim]` float32, in place; `batch.rope [rows, head_dim]` = cos, then sin, of each angle.
pub struct RopeStore<E> {
    pub qkv: *mut f32,
    pub cache: Cache<E>,
    pub heads: usize,
    pub rope: bool,
}

/// For each head of q and k, in its halves `a` and `b`: `a cos - b sin | b cos + a sin` if `rope`; then `cache[slots[r]] = k, v`.
/// Source: apply_rotary_pos_emb of Transformers.
///
/// # Safety
/// Pointers cover those shapes and every slot is the cache's. All threads of the team call it.
#[inline(never)]
pub unsafe fn rope_store<V: Lanes, E: Element>(team: &Team, batch: &Batch, op: &RopeStore<E>) {
    let (dim, kv_heads) = (op.cache.head_dim, op.cache.kv_heads);
    let stride = (op.heads + 2 * kv_heads) * dim;
    let turned = op.heads + kv_heads;
    // One unit is a head of k, then one of v, then the query heads: each row has heads + 2 kv_heads of them.
    let units = op.heads + 2 * kv_heads;
    while let Some(piece) = team.claim(batch.rows * units, 4) {
        for unit in piece {
            let (row, head) = (unit / units, unit % units);
            // SAFETY: head `head` of row `row` is this thread's alone, and so is its place in the cache.
            unsafe {
                let values = op.qkv.add(row * stride + head * dim);
                if op.rope && head < turned {
                    rotate::<V>(values, batch.rope.add(row * dim), dim);
                }
                if head >= op.heads {
                    let slot = *batch.slots.add(row) as usize;
                    let to = match head < turned {
                        true => op.cache.key(head - op.heads, slot),
                        false => op.cache.value(head - turned, slot),
                    };
                    for i in 0..dim {
                        *to.cast_mut().add(i) = E::from_f32(*values.add(i));
                    }
                }
            }
        }
    }
}

/// Rotates one head of `dim` floats by the cos and sin at `rope`.
///
/// # Safety
/// Both cover `dim` floats.
unsafe fn rotate<V: Lanes>(values: *mut f32, rope: *const f32, dim: usize) {
    let half = dim / 2;
    let whole = half - half % 4;
    // SAFETY: every index is below dim.
    unsafe {
        for i in (0..whole).step_by(4) {
            let (a, b) = (V::load(values.add(i)), V::load(values.add(half + i)));
            let (cos, sin) = (V::load(rope.add(i)), V::load(rope.add(half + i)));
            a.mul(cos).sub(b.mul(sin)).store(values.add(i));
            b.mul(cos).add(a.mul(sin)).store(values.add(half + i));
        }
        for i in whole..half {
            let (a, b) = (*values.add(i), *values.add(half + i));
            let (cos, sin) = (*rope.add(i), *rope.add(half + i));
            *values.add(i) = a * cos - b * sin;
            *values.add(half + i) = b * cos + a * sin;
        }
    }
}
