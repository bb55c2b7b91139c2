//! Attention of a tile of queries over the keys and values of one KV head, as an online softmax.
//!
//! What is added to what, and in which order, depends on the absolute index of a key alone: keys are taken in chunks of [`CHUNK`], chunks in slices
//! of [`SLICE`] that are combined in order. Results are therefore the same bits for every block size, tile, batch and number of threads.

mod chunk;
mod state;
mod tile;

pub use chunk::CHUNK;
pub use state::State;
pub use tile::{Scratch, Tile, SLICE, TILE_QUERIES};
