//! Blocks of 32 values: q4_0, q4_1, q5_0, q5_1, q8_0. In the 4-bit part byte `j` holds value `j` below and value `j + 16` above.

use super::block::{f16_at, u32_at, Block};

fn nibbles(packed: &[u8], offset: i8, block: &mut Block) {
    let (low, high) = block.quants.split_at_mut(16);
    for (j, byte) in packed[..16].iter().enumerate() {
        low[j] = (byte & 15) as i8 - offset;
        high[j] = (byte >> 4) as i8 - offset;
    }
}

fn five_bits(high_bits: u32, packed: &[u8], offset: i8, block: &mut Block) {
    nibbles(packed, offset, block);
    for (j, quant) in block.quants[..32].iter_mut().enumerate() {
        *quant += ((high_bits >> j & 1) << 4) as i8;
    }
}

/// `{ f16 d; u8 quants[16] }`, value `d * (q - 8)`.
pub fn q4_0(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 0);
    nibbles(&bytes[2..], 8, block);
}

/// `{ f16 d, m; u8 quants[16] }`, value `d * q + m`.
pub fn q4_1(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 0);
    block.minimums[..2].fill(-f16_at(bytes, 2));
    nibbles(&bytes[4..], 0, block);
}

/// `{ f16 d; u32 high; u8 quants[16] }`, value `d * (q - 16)`.
pub fn q5_0(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 0);
    five_bits(u32_at(bytes, 2), &bytes[6..], 16, block);
}

/// `{ f16 d, m; u32 high; u8 quants[16] }`, value `d * q + m`.
pub fn q5_1(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 0);
    block.minimums[..2].fill(-f16_at(bytes, 2));
    five_bits(u32_at(bytes, 4), &bytes[8..], 0, block);
}

/// `{ f16 d; i8 quants[32] }`, value `d * q`.
pub fn q8_0(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 0);
    for (quant, byte) in block.quants.iter_mut().zip(&bytes[2..34]) {
        *quant = *byte as i8;
    }
}
