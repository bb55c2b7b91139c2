//! Queries of a few adjacent rows that share one KV head, and their walk over a slice of the context.

use super::chunk::{score, weigh, CHUNK};
use super::state::State;
use crate::cache::Cache;
use crate::element::Element;
use crate::vector::Lanes;
use core::ops::Range;

/// Keys between two fixed points where states are combined: what one thread takes when a single long context is split.
pub const SLICE: usize = 16 * CHUNK;
/// Queries of a tile, unless one row has more: with K and V of a chunk in float32 they fill the first-level cache.
pub const TILE_QUERIES: usize = 32;
/// From so many quads on, a chunk is converted to float32 once instead of in each product.
const CONVERT_QUADS: usize = 3;

/// Rows of one sequence, `group` queries each; query `i` belongs to row `i / group`.
#[derive(Clone, Copy)]
pub struct Tile {
    pub rows: usize,
    pub group: usize,
    /// Keys that the first row sees; each row sees one more than the one before.
    pub visible: usize,
    /// Only the last so many of them, if not 0.
    pub window: usize,
}

impl Tile {
    /// Most rows of a tile.
    pub fn most_rows(group: usize) -> usize {
        (TILE_QUERIES / group).max(1)
    }

    pub fn queries(&self) -> usize {
        self.rows * self.group
    }

    pub fn quads(&self) -> usize {
        self.queries().div_ceil(4)
    }

    fn keys_of(&self, row: usize) -> Range<usize> {
        let end = self.visible + row;
        match self.window {
            0 => 0..end,
            window => end.saturating_sub(window)..end,
        }
    }

    /// Keys that any row sees.
    pub fn keys(&self) -> Range<usize> {
        self.keys_of(0).start..self.keys_of(self.rows - 1).end
    }
}

/// Where a thread works on a tile.
#[derive(Clone, Copy)]
pub struct Scratch {
    /// Queries `[quads, dim / 4, 4 lanes, 4]`, scaled.
    queries: *mut f32,
    scores: *mut f32,
    keys: *mut f32,
    values: *mut f32,
    /// Over a slice.
    pub slice: State,
    /// Over all of them.
    pub total: State,
}

impl Scratch {
    /// Floats of the scratch of a tile of up to `quads` and rows of `dim` elements, a multiple of 4.
    pub const fn floats(quads: usize, dim: usize) -> usize {
        4 * quads * dim + 4 * CHUNK + 2 * CHUNK * dim + 2 * State::floats(quads, dim)
    }

    /// Lays the scratch out for a tile at `data`, which takes [`Scratch::floats`].
    pub fn new(data: *mut f32, quads: usize, dim: usize) -> Self {
        let mut at = data;
        let mut take = |floats: usize| {
            let start = at;
            at = at.wrapping_add(floats);
            start
        };
        let floats = State::floats(quads, dim);
        Self {
            queries: take(4 * quads * dim),
            scores: take(4 * CHUNK),
            keys: take(CHUNK * dim),
            values: take(CHUNK * dim),
            slice: State {
                data: take(floats),
                quads,
                dim,
            },
            total: State {
                data: take(floats),
                quads,
                dim,
            },
        }
    }

    /// Copies the queries of a tile in, times `scale`. Rows of `q` are `stride` apart, heads `head_dim`.
    ///
    /// # Safety
    /// `q` covers the tile's queries, which the scratch was made for.
    pub unsafe fn load(
        &self,
        tile: &Tile,
        q: *const f32,
        stride: usize,
        head_dim: usize,
        scale: f32,
    ) {
        let dim = self.slice.dim;
        let floats = 4 * self.slice.quads * dim;
        // SAFETY: inside the queries and `q`.
        unsafe {
            core::slice::from_raw_parts_mut(self.queries, floats).fill(0.0);
            for query in 0..tile.queries() {
                let from = q.add(query / tile.group * stride + query % tile.group * head_dim);
                let to = self.queries.add(query / 4 * 4 * dim + query % 4 * 4);
                for i in 0..head_dim {
                    *to.add(i / 4 * 16 + i % 4) = *from.add(i) * scale;
                }
            }
        }
    }

    /// Resets the slice's state and walks `keys`, which lie in one slice. `blocks` are the sequence's.
    ///
    /// # Safety
    /// The queries are loaded, every block of these keys is the cache's, and their K and V are stored.
    pub unsafe fn walk<V: Lanes, E: Element>(
        &self,
        tile: &Tile,
        cache: &Cache<E>,
        head: usize,
        blocks: *const u32,
        keys: Range<usize>,
    ) {
        let dim = self.slice.dim;
        // SAFETY: the scratch was made for this tile.
        unsafe { self.slice.reset() };
        let mut start = keys.start;
        while start < keys.end {
            let end = (start / CHUNK * CHUNK + CHUNK).min(keys.end);
            let mut k = [core::ptr::null(); CHUNK];
            let mut v = [core::ptr::null(); CHUNK];
            let count = end - start;
            let (mut block, mut offset) = (start / cache.block_size, start % cache.block_size);
            for i in 0..count {
                // SAFETY: the block table covers every key.
                let slot = unsafe { *blocks.add(block) } as usize * cache.block_size + offset;
                k[i] = cache.key(head, slot);
                v[i] = cache.value(head, slot);
                offset += 1;
                if offset == cache.block_size {
                    (block, offset) = (block + 1, 0);
                }
            }
            // SAFETY: rows of K and V of this head.
            unsafe {
                if self.slice.quads < CONVERT_QUADS {
                    self.chunk::<V, E>(tile, start, &k[..count], &v[..count], E::SCALE);
                } else {
                    let k = convert::<V, E>(&k[..count], dim, self.keys);
                    let v = convert::<V, E>(&v[..count], dim, self.values);
                    self.chunk::<V, f32>(tile, start, &k[..count], &v[..count], E::SCALE);
                }
            }
            start = end;
        }
    }

    /// One chunk, whose first key is `start`; values are loaded divided by `scale`.
    ///
    /// # Safety
    /// Every pointer is a row of `dim` elements.
    unsafe fn chunk<V: Lanes, E: Element>(
        &self,
        tile: &Tile,
        start: usize,
        k: &[*const E],
        v: &[*const E],
        scale: f32,
    ) {
        let state = &self.slice;
        for quad in 0..state.quads {
            let lanes = (tile.queries() - 4 * quad).min(4);
            let seen: [Range<usize>; 4] = core::array::from_fn(|lane| {
                let seen = tile.keys_of((4 * quad + lane.min(lanes - 1)) / tile.group);
                seen.start.max(start) - start..seen.end.min(start + k.len()).saturating_sub(start)
            });
            // Rows follow one another, and so do the ranges that they see.
            let (from, to) = (seen[0].start, seen[3].end);
            if from >= to {
                continue;
            }
            let (keys, values, scores) = (&k[from..to], &v[from..to], self.scores);
            let queries = self.queries.wrapping_add(4 * quad * state.dim);
            // SAFETY: all inside the scratch.
            unsafe {
                match lanes {
                    1 => score::<V, E, 1>(queries, keys, state.dim, scores),
                    2 => score::<V, E, 2>(queries, keys, state.dim, scores),
                    3 => score::<V, E, 3>(queries, keys, state.dim, scores),
                    _ => score::<V, E, 4>(queries, keys, state.dim, scores),
                }
                for (lane, seen) in seen.iter().enumerate() {
                    for key in (from..seen.start.min(to)).chain(seen.end.max(from)..to) {
                        *scores.add(4 * (key - from) + lane) = f32::NEG_INFINITY;
                    }
                }
                let old = V::load(state.greatest(quad));
                let mut greatest = old;
                for key in 0..keys.len() {
                    greatest = greatest.max(V::load(scores.add(4 * key)));
                }
                let shrink = old.sub(greatest).exp_negative();
                let mut total = V::load(state.weights(quad)).mul(shrink);
                for key in 0..keys.len() {
                    let at = scores.add(4 * key);
                    let weight = V::load(at).sub(greatest).exp_negative();
                    total = total.add(weight);
                    weight.mul(V::splat(scale)).store(at);
                }
                greatest.store(state.greatest(quad));
                total.store(state.weights(quad));
                state.scale::<V>(quad, shrink.to_array());
                let sums = state.sums(quad);
                match lanes {
                    1 => weigh::<V, E, 1>(scores, values, state.dim, sums),
                    2 => weigh::<V, E, 2>(scores, values, state.dim, sums),
                    3 => weigh::<V, E, 3>(scores, values, state.dim, sums),
                    _ => weigh::<V, E, 4>(scores, values, state.dim, sums),
                }
            }
        }
    }

    /// Writes the total of each query, divided by its sum of weights. Rows of `out` are `stride` apart, heads `head_dim`.
    ///
    /// # Safety
    /// The total is complete and `out` covers the tile.
    pub unsafe fn store(&self, tile: &Tile, out: *mut f32, stride: usize, head_dim: usize) {
        for query in 0..tile.queries() {
            let (quad, lane) = (query / 4, query % 4);
            // SAFETY: inside the state and `out`.
            unsafe {
                let to = out.add(query / tile.group * stride + query % tile.group * head_dim);
                let factor = 1.0 / *self.total.weights(quad).add(lane);
                let sums = self.total.sums(quad).add(4 * lane);
                for i in 0..head_dim {
                    *to.add(i) = *sums.add(i / 4 * 16 + i % 4) * factor;
                }
            }
        }
    }
}

/// Copies rows to `to` as float32, and returns where each lies.
///
/// # Safety
/// Rows have `dim` elements and `to` takes them all.
unsafe fn convert<V: Lanes, E: Element>(
    rows: &[*const E],
    dim: usize,
    to: *mut f32,
) -> [*const f32; CHUNK] {
    let mut copies = [core::ptr::null(); CHUNK];
    for (i, &row) in rows.iter().enumerate() {
        let copy = to.wrapping_add(i * dim);
        for at in (0..dim).step_by(4) {
            // SAFETY: at + 4 <= dim.
            unsafe { E::load::<V>(row.add(at)).store(copy.add(at)) };
        }
        copies[i] = copy.cast_const();
    }
    copies
}
