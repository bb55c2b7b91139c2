//! The CPU backend of smolder: every op of a Program over SIMD and threads.

pub mod linear;
