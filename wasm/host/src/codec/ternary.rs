//! Values of -1, 0 and 1 under one scale for 256: tq1_0 and tq2_0.

use super::block::{f16_at, Block};

/// `{ u8 quants[48]; u8 rest[4]; f16 d }`: five values a byte (four in `rest`) as a fraction in base 3, the first value its first digit.
pub fn tq1_0(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 52);
    let mut out = block.quants.iter_mut();
    for (packed, digits) in [(&bytes[..32], 5), (&bytes[32..48], 5), (&bytes[48..52], 4)] {
        for n in 0..digits {
            for byte in packed {
                let rest = byte.wrapping_mul([1, 3, 9, 27, 81][n]);
                *out.next().unwrap() = ((rest as u16 * 3) >> 8) as i8 - 1;
            }
        }
    }
}

/// `{ u8 quants[64]; f16 d }`: 32 bytes hold four runs of 32 values, two bits each.
pub fn tq2_0(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 64);
    for (i, out) in block.quants.chunks_exact_mut(32).enumerate() {
        let packed = &bytes[i / 4 * 32..];
        for (out, byte) in out.iter_mut().zip(packed) {
            *out = (byte >> (2 * (i % 4)) & 3) as i8 - 1;
        }
    }
}
