//! Four bits that index a table of 16 values: iq4_nl, iq4_xs, mxfp4, nvfp4.

use super::block::{f16_at, u16_at, Block};

/// iq4's table, denser near zero.
const NON_LINEAR: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];
/// Twice the values of fp4 (e2m1).
const E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// `packed.len()` values from the low halves, then as many from the high ones.
fn look_up(table: &[i8; 16], packed: &[u8], out: &mut [i8]) {
    let (low, high) = out.split_at_mut(packed.len());
    for (j, byte) in packed.iter().enumerate() {
        low[j] = table[(byte & 15) as usize];
        high[j] = table[(byte >> 4) as usize];
    }
}

/// `{ f16 d; u8 quants[16] }`.
pub fn iq4_nl(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 0);
    look_up(&NON_LINEAR, &bytes[2..18], &mut block.quants[..32]);
}

/// `{ f16 d; u16 high; u8 low[4]; u8 quants[128] }`: factors of 6 bits, less 32, for groups of 32.
pub fn iq4_xs(bytes: &[u8], block: &mut Block) {
    block.scale = f16_at(bytes, 0);
    let high = u16_at(bytes, 2);
    for (i, out) in block.quants.chunks_exact_mut(32).enumerate() {
        let factor = bytes[4 + i / 2] >> (i % 2 * 4) & 15 | ((high >> (2 * i) & 3) << 4) as u8;
        block.factors[2 * i..2 * i + 2].fill(factor as f32 - 32.0);
        look_up(&NON_LINEAR, &bytes[8 + 16 * i..24 + 16 * i], out);
    }
}

/// `{ u8 exponent; u8 quants[16] }`: the scale is `2^(exponent - 127)`, here halved for [`E2M1`].
pub fn mxfp4(bytes: &[u8], block: &mut Block) {
    let exponent = bytes[0] as u32;
    block.scale = f32::from_bits(if exponent < 2 {
        0x0020_0000 << exponent
    } else {
        (exponent - 1) << 23
    });
    look_up(&E2M1, &bytes[1..17], &mut block.quants[..32]);
}

/// `{ u8 scales[4]; u8 quants[32] }`: scales are unsigned e4m3 for 16 values each, here halved for [`E2M1`].
pub fn nvfp4(bytes: &[u8], block: &mut Block) {
    block.scale = 1.0;
    for (i, out) in block.quants[..64].chunks_exact_mut(16).enumerate() {
        let (exponent, mantissa) = (bytes[i] >> 3 & 15, (bytes[i] & 7) as f32);
        let power = |exponent: u8| f32::from_bits((exponent as u32 + 127 - 11) << 23);
        block.factors[i] = match (bytes[i], exponent) {
            (0x7f, _) => 0.0, // NaN; GGML reads it as zero
            (_, 0) => mantissa * power(1),
            _ => (8.0 + mantissa) * power(exponent),
        };
        look_up(&E2M1, &bytes[4 + 8 * i..12 + 8 * i], out);
    }
}
