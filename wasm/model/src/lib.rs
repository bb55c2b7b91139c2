//! The CPU backend of smolder: every op of a Program over SIMD and threads.

// Not a line of it is called; wasm-pack insists.
use wasm_bindgen as _;

pub mod attention;
pub mod cache;
pub mod element;
#[cfg(target_arch = "wasm32")]
pub mod exports;
pub mod linear;
pub mod ops;
pub mod program;
pub mod rms_norm;
pub mod step;
pub mod team;
pub mod vector;
