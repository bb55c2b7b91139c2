//! `out[r] = softmax(q[r] . K^T / sqrt(head_dim)) . V` over the visible keys of the row's sequence.

use crate::attention::{Scratch, State, Tile, SLICE, TILE_QUERIES};
use crate::cache::Cache;
use crate::element::Element;
use crate::step::{Batch, Workspace};
use crate::team::{Aborted, Team};
use crate::vector::Lanes;
use core::ops::Range;

/// Operands: `qkv [rows, (heads + 2 kv_heads) * head_dim]`, `out [rows, heads * head_dim]`, float32; the last `window` keys if not 0.
pub struct Attention<E> {
    pub qkv: *const f32,
    pub cache: Cache<E>,
    pub out: *mut f32,
    pub heads: usize,
    pub window: usize,
}

/// So many items a thread, and the work is even enough.
const ITEMS_PER_THREAD: usize = 2;

/// Bytes of a thread's scratch for `group` query heads a KV head.
pub const fn scratch_bytes(group: usize, head_dim: usize) -> usize {
    let queries = if group > TILE_QUERIES {
        group
    } else {
        TILE_QUERIES
    };
    4 * Scratch::floats(queries.div_ceil(4), head_dim.next_multiple_of(4))
}

/// Bytes for the states of slices that several threads make of few long contexts.
pub const fn partial_bytes(threads: usize, context: usize, group: usize, head_dim: usize) -> usize {
    if threads == 1 {
        return 0;
    }
    let state = State::floats(group.div_ceil(4), head_dim.next_multiple_of(4));
    4 * ITEMS_PER_THREAD * threads * context.div_ceil(SLICE) * state
}

/// A KV head of a tile of rows.
struct Item {
    tile: Tile,
    first_row: usize,
    sequence: usize,
    head: usize,
}

impl<E: Element> Attention<E> {
    fn group(&self) -> usize {
        self.heads / self.cache.kv_heads
    }

    /// Rows of a sequence.
    fn rows(batch: &Batch, sequence: usize) -> Range<usize> {
        // SAFETY: sequence < sequences.
        unsafe {
            let first = batch.query_starts.add(sequence);
            *first as usize..*first.add(1) as usize
        }
    }

    fn items(&self, batch: &Batch, tile_rows: usize) -> usize {
        let tiles = |s| Self::rows(batch, s).len().div_ceil(tile_rows);
        (0..batch.sequences).map(tiles).sum::<usize>() * self.cache.kv_heads
    }

    fn item(&self, batch: &Batch, tile_rows: usize, mut index: usize) -> Item {
        let mut sequence = 0;
        loop {
            let rows = Self::rows(batch, sequence);
            let tiles = rows.len().div_ceil(tile_rows);
            if index >= tiles * self.cache.kv_heads {
                index -= tiles * self.cache.kv_heads;
                sequence += 1;
                continue;
            }
            // The last rows see the most: they come first, so that no thread starts on them when the others are done.
            let first_row = rows.start + (tiles - 1 - index % tiles) * tile_rows;
            // SAFETY: sequence < sequences.
            let context = unsafe { *batch.context_lengths.add(sequence) } as usize;
            let tile = Tile {
                rows: tile_rows.min(rows.end - first_row),
                group: self.group(),
                visible: context - (rows.end - 1 - first_row),
                window: self.window,
            };
            return Item {
                tile,
                first_row,
                sequence,
                head: index / tiles,
            };
        }
    }

    fn scratch(&self, work: &Workspace, item: &Item) -> Scratch {
        Scratch::new(work.own().cast(), item.tile.quads(), self.cache.row())
    }

    unsafe fn load(&self, item: &Item, scratch: &Scratch) {
        let dim = self.cache.head_dim;
        let stride = (self.heads + 2 * self.cache.kv_heads) * dim;
        let q = self
            .qkv
            .wrapping_add(item.first_row * stride + item.head * self.group() * dim);
        let scale = E::SCALE / (dim as f32).sqrt();
        // SAFETY: the tile's queries.
        unsafe { scratch.load(&item.tile, q, stride, dim, scale) }
    }

    /// The part of a slice that the item sees.
    unsafe fn walk<V: Lanes>(&self, batch: &Batch, item: &Item, scratch: &Scratch, slice: usize) {
        let keys = item.tile.keys();
        let keys = keys.start.max(slice * SLICE)..keys.end.min((slice + 1) * SLICE);
        let blocks = batch
            .block_tables
            .wrapping_add(item.sequence * batch.blocks_per_sequence);
        // SAFETY: the sequence's blocks.
        unsafe { scratch.walk::<V, E>(&item.tile, &self.cache, item.head, blocks, keys) }
    }

    unsafe fn store(&self, item: &Item, scratch: &Scratch) {
        let (dim, stride) = (self.cache.head_dim, self.heads * self.cache.head_dim);
        let out = self
            .out
            .wrapping_add(item.first_row * stride + item.head * self.group() * dim);
        // SAFETY: the tile's outputs.
        unsafe { scratch.store(&item.tile, out, stride, dim) }
    }
}

/// Slices that hold some of the keys.
fn slices(keys: Range<usize>) -> Range<usize> {
    keys.start / SLICE..keys.end.div_ceil(SLICE)
}

/// Scores, weights and sums in float32; each KV head is read once for all its query heads. Items (KV head x tile of rows) are split over the team;
/// when there are too few, the slices of their contexts are.
///
/// # Safety
/// Pointers cover the shapes of [`Attention`], block tables the contexts, and K and V of every visible key are stored.
/// All threads of the team call it.
#[inline(never)]
pub unsafe fn attention<V: Lanes, E: Element>(
    team: &Team,
    work: &Workspace,
    batch: &Batch,
    op: &Attention<E>,
) -> Result<(), Aborted> {
    let enough = ITEMS_PER_THREAD * team.threads;
    let mut tile_rows = Tile::most_rows(op.group());
    if team.threads > 1 && op.items(batch, tile_rows) < enough {
        tile_rows = 1;
    }
    let items = op.items(batch, tile_rows);
    let most = (0..batch.sequences)
        // SAFETY: sequence < sequences.
        .map(|s| unsafe { *batch.context_lengths.add(s) } as usize)
        .max()
        .unwrap_or(0)
        .div_ceil(SLICE);
    if team.threads > 1 && items < enough && most > 1 {
        // SAFETY: the caller's promise.
        return unsafe { sliced::<V, E>(team, work, batch, op, items, most) };
    }
    while let Some(piece) = team.claim(items, 1) {
        for index in piece {
            let item = op.item(batch, tile_rows, index);
            let scratch = op.scratch(work, &item);
            // SAFETY: the item's outputs are this thread's alone.
            unsafe {
                op.load(&item, &scratch);
                scratch.total.reset();
                for slice in slices(item.tile.keys()) {
                    op.walk::<V>(batch, &item, &scratch, slice);
                    scratch.total.merge::<V>(&scratch.slice);
                }
                op.store(&item, &scratch);
            }
        }
    }
    Ok(())
}

/// The same with `items` of one row, each slice (at most `most`) on its own.
///
/// # Safety
/// That of [`attention`].
unsafe fn sliced<V: Lanes, E: Element>(
    team: &Team,
    work: &Workspace,
    batch: &Batch,
    op: &Attention<E>,
    items: usize,
    most: usize,
) -> Result<(), Aborted> {
    let floats = State::floats(op.group().div_ceil(4), op.cache.row());
    let partial =
        |item: usize, slice: usize| work.partials.wrapping_add((item * most + slice) * floats);
    while let Some(piece) = team.claim(items * most, 1) {
        for unit in piece {
            let (index, slice) = (unit / most, unit % most);
            let item = op.item(batch, 1, index);
            if !slices(item.tile.keys()).contains(&slice) {
                continue;
            }
            let mut scratch = op.scratch(work, &item);
            scratch.slice.data = partial(index, slice);
            // SAFETY: the partial state is this thread's alone.
            unsafe {
                op.load(&item, &scratch);
                op.walk::<V>(batch, &item, &scratch, slice);
            }
        }
    }
    team.barrier()?;
    while let Some(piece) = team.claim(items, 1) {
        for index in piece {
            let item = op.item(batch, 1, index);
            let scratch = op.scratch(work, &item);
            // SAFETY: the item's outputs are this thread's alone, and all partial states are complete.
            unsafe {
                scratch.total.reset();
                for slice in slices(item.tile.keys()) {
                    let data = partial(index, slice);
                    scratch.total.merge::<V>(&State {
                        data,
                        ..scratch.slice
                    });
                }
                op.store(&item, &scratch);
            }
        }
    }
    Ok(())
}
