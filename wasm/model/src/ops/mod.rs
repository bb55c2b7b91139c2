//! The ops of `engine/program.ts`, one a file. A walker puts a barrier after each.

mod attention;
#[cfg(test)]
mod attention_tests;
mod embed;
mod gather;
mod linear_add;
mod norm_gated_linear;
mod norm_linear;
mod rope_store;

pub use attention::{attention, partial_bytes, scratch_bytes, Attention};
pub use embed::embed;
pub use gather::gather;
pub use linear_add::linear_add;
pub use norm_gated_linear::{norm_gated_linear, NormGatedLinear};
pub use norm_linear::{norm_linear, NormLinear};
pub use rope_store::{rope_store, RopeStore};
