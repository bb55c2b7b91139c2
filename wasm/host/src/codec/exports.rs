//! What `wasm/codec.ts` calls.

use super::non_finite::find_non_finite;
use super::storage::StorageType;
use wasm_bindgen::prelude::*;

/// Room in this memory for one piece of a conversion: JavaScript writes the input and reads the output in place.
#[wasm_bindgen]
#[derive(Default)]
pub struct Converter {
    input: Vec<u8>,
    output: Vec<u8>,
}

#[wasm_bindgen]
impl Converter {
    #[wasm_bindgen(constructor)]
    pub fn new() -> Converter {
        Converter::default()
    }

    /// Makes room for the input and gives its address, valid until the next call.
    pub fn input(&mut self, bytes: usize) -> *mut u8 {
        self.input.resize(bytes, 0);
        self.input.as_mut_ptr()
    }

    /// Converts the input, whole blocks of both types.
    ///
    /// Returns the address of the output, valid until the next call; zero when there is no such conversion.
    pub fn convert(&mut self, from: &str, to: &str) -> *const u8 {
        let (Some(from), Some(to)) = (StorageType::from_name(from), StorageType::from_name(to))
        else {
            return core::ptr::null();
        };
        let values = self.input.len() / from.block_bytes() * from.block_values();
        self.output
            .resize(values / to.block_values() * to.block_bytes(), 0);
        match super::convert(from, to, &self.input, &mut self.output) {
            true => self.output.as_ptr(),
            false => core::ptr::null(),
        }
    }

    /// Index of the first value of the input that is not finite, or -1.
    #[wasm_bindgen(js_name = findNonFinite)]
    pub fn find_non_finite(&self, from: &str) -> i32 {
        let found =
            StorageType::from_name(from).and_then(|from| find_non_finite(from, &self.input));
        found.map_or(-1, |at| at as i32)
    }
}
