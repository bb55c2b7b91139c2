//! How the numbers of a weight are stored, and exact scalar dequantization of one block: the oracle of every kernel.
//!
//! Block layouts are those of ggml-common.h (all little-endian); a weight is row-major, a row a whole number of blocks.

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
}

impl Format {
    /// Every format, by its number.
    pub const ALL: [Format; 9] = [
        Format::F32,
        Format::F16,
        Format::Bf16,
        Format::Q8_0,
        Format::Q4_0,
        Format::Q4_1,
        Format::Q4K,
        Format::Q5K,
        Format::Q6K,
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
        }
    }

    /// Whether int8 activations apply; the other formats always multiply with float32 activations.
    pub const fn quantized(self) -> bool {
        !matches!(self, Format::F32 | Format::F16 | Format::Bf16)
    }

    /// Bytes of one row-major row of `cols` values, `cols` a whole number of blocks.
    pub const fn row_bytes(self, cols: usize) -> usize {
        let (values, bytes) = self.block();
        cols / values * bytes
    }
}

/// The value of a half, exactly (infinities and NaN excepted: a weight holds none).
pub fn f16_to_f32(bits: u16) -> f32 {
    let sign = (bits as u32 & 0x8000) << 16;
    // Exponent and mantissa moved into place read as 2^-112 times the value, subnormals included.
    f32::from_bits((bits as u32 & 0x7fff) << 13 | sign) * f32::from_bits(239 << 23)
}

fn half(block: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([block[at], block[at + 1]]))
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

/// Dequantizes one block into `out` (as many values as the block holds).
pub fn dequantize(format: Format, block: &[u8], out: &mut [f32]) {
    match format {
        Format::F32 => out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]),
        Format::F16 => out[0] = half(block, 0),
        Format::Bf16 => {
            out[0] = f32::from_bits((u16::from_le_bytes([block[0], block[1]]) as u32) << 16)
        }
        Format::Q8_0 => {
            let d = half(block, 0);
            for i in 0..32 {
                out[i] = d * block[2 + i] as i8 as f32;
            }
        }
        Format::Q4_0 => {
            let d = half(block, 0);
            for i in 0..16 {
                out[i] = d * ((block[2 + i] & 15) as f32 - 8.0);
                out[16 + i] = d * ((block[2 + i] >> 4) as f32 - 8.0);
            }
        }
        Format::Q4_1 => {
            let (d, m) = (half(block, 0), half(block, 2));
            for i in 0..16 {
                out[i] = d * (block[4 + i] & 15) as f32 + m;
                out[16 + i] = d * (block[4 + i] >> 4) as f32 + m;
            }
        }
        Format::Q4K | Format::Q5K => {
            let (d, dmin) = (half(block, 0), half(block, 2));
            let five = format == Format::Q5K;
            for i in 0..256 {
                let sub = i / 32;
                let (scale, min) = scale_min(&block[4..16], sub);
                let byte = block[if five { 48 } else { 16 } + sub / 2 * 32 + i % 32];
                let low = byte >> (4 * (sub % 2)) & 15;
                let high = if five {
                    block[16 + i % 32] >> sub & 1
                } else {
                    0
                };
                out[i] = d * scale as f32 * (low | high << 4) as f32 - dmin * min as f32;
            }
        }
        Format::Q6K => {
            let d = half(block, 208);
            for i in 0..256 {
                // Two halves of 128 values; in each, 64 bytes of low nibbles and 32 bytes of high pairs of bits.
                let (part, at) = (i / 128, i % 128);
                let low = block[part * 64 + at % 64] >> (4 * (at / 64)) & 15;
                let high = block[128 + part * 32 + at % 32] >> (2 * (at / 32)) & 3;
                let scale = block[192 + i / 16] as i8;
                out[i] = d * scale as f32 * ((low | high << 4) as f32 - 32.0);
            }
        }
    }
}
