//! How the numbers of a weight are stored in a file: blocks of ggml-common.h and of bitsandbytes (`engine/formats.ts`), little-endian; a row is
//! a whole number of blocks.

/// A storage type that the kernels multiply with as it is. The order is the number in an encoded program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Format {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q4_0,
    Q4_1,
    Q4K,
    Q5K,
    Q6K,
    Nf4,
    Nf4Bf16,
    Nf4F16,
    Fp4,
    Fp4Bf16,
    Fp4F16,
}

impl Format {
    /// Every format, by its number.
    pub const ALL: [Format; 15] = [
        Format::F32,
        Format::F16,
        Format::Bf16,
        Format::Q8_0,
        Format::Q4_0,
        Format::Q4_1,
        Format::Q4K,
        Format::Q5K,
        Format::Q6K,
        Format::Nf4,
        Format::Nf4Bf16,
        Format::Nf4F16,
        Format::Fp4,
        Format::Fp4Bf16,
        Format::Fp4F16,
    ];

    /// The format with this number.
    pub fn from_u32(number: u32) -> Option<Format> {
        Self::ALL.get(number as usize).copied()
    }

    /// `(values, bytes)` of one block.
    pub const fn block(self) -> (usize, usize) {
        match self {
            Format::F32 => (1, 4),
            Format::F16 | Format::Bf16 => (1, 2),
            Format::Q8_0 => (32, 34),
            Format::Q4_0 => (32, 18),
            Format::Q4_1 => (32, 20),
            Format::Q4K => (256, 144),
            Format::Q5K => (256, 176),
            Format::Q6K => (256, 210),
            Format::Nf4 | Format::Nf4Bf16 | Format::Nf4F16 => (64, 36),
            Format::Fp4 | Format::Fp4Bf16 | Format::Fp4F16 => (64, 36),
        }
    }

    /// Whether int8 activations apply; the other formats always multiply with float32 activations.
    pub const fn quantized(self) -> bool {
        use Format::*;
        matches!(self, Q8_0 | Q4_0 | Q4_1 | Q4K | Q5K | Q6K)
    }

    /// Bytes of one row-major row of `cols` values, `cols` a whole number of blocks.
    pub const fn row_bytes(self, cols: usize) -> usize {
        let (values, bytes) = self.block();
        cols / values * bytes
    }
}

/// Scale and minimum of sub-block `i` of Q4_K and Q5_K: 6 bits each, packed in 12 bytes.
pub fn scale_min(packed: &[u8], i: usize) -> (u8, u8) {
    if i < 4 {
        (packed[i] & 63, packed[i + 4] & 63)
    } else {
        (
            packed[i + 4] & 15 | (packed[i - 4] >> 6) << 4,
            packed[i + 4] >> 4 | (packed[i] >> 6) << 4,
        )
    }
}
