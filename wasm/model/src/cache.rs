//! Where K and V of one layer lie: `[kv_heads, slots, 2, head_dim rounded up to 4]`, so that a head's keys and values are one stream.

/// A layer's cache. Zero at the start; the padding of a row stays zero.
#[derive(Clone, Copy)]
pub struct Cache<E> {
    pub data: *const E,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub slots: usize,
    pub block_size: usize,
}

impl<E> Cache<E> {
    /// Elements of a row of K or V.
    pub fn row(&self) -> usize {
        self.head_dim.next_multiple_of(4)
    }

    /// Row of K of a head.
    pub fn key(&self, head: usize, slot: usize) -> *const E {
        self.data
            .wrapping_add((head * self.slots + slot) * 2 * self.row())
    }

    /// Row of V of a head.
    pub fn value(&self, head: usize, slot: usize) -> *const E {
        self.key(head, slot).wrapping_add(self.row())
    }
}
