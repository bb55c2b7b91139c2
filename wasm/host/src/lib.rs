//! The host module: what runs beside the model on the main thread. One instance, its own memory.
pub mod codec;
pub mod sampler;
pub mod tokenizer;
pub mod vector;
