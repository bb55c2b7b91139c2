//! The int8 image of activation rows that quantized weights multiply with.
//!
//! Rows lie in tiles of [`TILE`]; the last tile holds what is left, so every row takes the same number of bytes. A tile of T rows holds,
//! for each block of 32 columns (`[T]`: one of each row; `sum` is of the block's quants):
//!
//! ```text
//! scale f32 [T] | scale * sum f32 [T] | -sum i32 [T] | -sum of the first and last 16, i16 [T] | 8 times: 4 quants i8 [T]
//! ```
//!
//! `quant = round(x / d)`, `d = max |x| / 127` of the row's block, `scale = d * 2^56`. Half-precision scales of weights are read as `2^-112`
//! times their value, which costs a shift and a mask instead of a conversion; so sums come out as `2^-56` times their value ([`SUM`]).
//! Halving the factor keeps both ends in range: nothing overflows below 2^71, nothing loses digits above 2^-70.

use super::vector::Vector;

/// Activation rows that a GEMM kernel multiplies at once.
pub const TILE: usize = 4;
/// Columns of a block: one activation scale each.
pub const BLOCK: usize = 32;
/// Bytes of one block of one row.
pub const BLOCK_BYTES: usize = 48;
/// What a half read by [`half`] lacks.
pub const HALF: f32 = f32::from_bits((112 + 127) << 23);
/// What a sum of products with an image lacks; its other half is in the image's scales.
pub const SUM: f32 = f32::from_bits((56 + 127) << 23);

/// Four halves as `2^-112` times their value, from i16 lanes that were sign-extended to i32. Exact, subnormals included.
#[inline(always)]
pub fn half<V: Vector>(lanes: V, mask: V) -> V {
    lanes.shl_i32::<13>().and(mask)
}

/// The mask for [`half`]: sign, exponent and mantissa.
#[inline(always)]
pub fn half_mask<V: Vector>() -> V {
    V::splat_i32(0x8fff_e000_u32 as i32).opaque()
}

/// Writes row `row` of `total_rows` into the image at `image`.
///
/// # Safety
/// `x` holds `cols` floats, `cols` a multiple of 32; `image` takes `total_rows * cols / 32 * BLOCK_BYTES` bytes.
pub unsafe fn write_row<V: Vector>(
    x: *const f32,
    row: usize,
    total_rows: usize,
    cols: usize,
    image: *mut u8,
) {
    let blocks = cols / BLOCK;
    let (tile, lane) = (row / TILE, row % TILE);
    let width = TILE.min(total_rows - tile * TILE);
    for b in 0..blocks {
        // SAFETY: block `b` of a tile inside the image, and of a row of `x`.
        unsafe {
            let x = x.add(b * BLOCK) as *const u8;
            let to = image.add((tile * TILE * blocks + b * width) * BLOCK_BYTES) as *mut [u8; 4];
            let (d, quants) = quantize::<V>(x);
            let halves = quants.map(sum_i8::<V>);
            let scale = d * SUM;
            let sum = halves[0] + halves[1];
            let head = [
                scale.to_bits(),
                (scale * sum as f32).to_bits(),
                -sum as u32,
                -halves[0] as u32 & 0xffff | (-halves[1] as u32) << 16,
            ];
            for (i, value) in head.iter().enumerate() {
                *to.add(i * width + lane) = value.to_le_bytes();
            }
            let mut words = [[0u8; 4]; 8];
            quants[0].store(words.as_mut_ptr() as *mut u8);
            quants[1].store(words[4..].as_mut_ptr() as *mut u8);
            for (i, word) in words.iter().enumerate() {
                *to.add((4 + i) * width + lane) = *word;
            }
        }
    }
}

/// Scale and quants of 32 floats.
#[inline(always)]
unsafe fn quantize<V: Vector>(x: *const u8) -> (f32, [V; 2]) {
    // SAFETY: the caller gives 32 floats.
    let values: [V; 8] = core::array::from_fn(|i| unsafe { V::load(x.add(16 * i)) });
    // Magnitudes are ordered as their bits are, NaN above all: it must not vanish.
    let mut peak = values[0].abs_f32();
    for value in &values[1..] {
        peak = peak.max_i32(value.abs_f32());
    }
    peak = peak
        .max_i32(peak.lane::<1>())
        .max_i32(peak.lane::<2>().max_i32(peak.lane::<3>()));
    let mut lanes = [0.0f32; 4];
    // SAFETY: 16 bytes.
    unsafe { peak.store(lanes.as_mut_ptr() as *mut u8) };
    let peak = lanes[0];
    let inverse = V::splat_f32(if peak > 1e-30 { 127.0 / peak } else { 0.0 });
    let q = values.map(|value| value.mul_f32(inverse).to_i32());
    let narrow = |i: usize| {
        q[i].narrow_i32(q[i + 1])
            .narrow_i16(q[i + 2].narrow_i32(q[i + 3]))
    };
    (peak / 127.0, [narrow(0), narrow(4)])
}

#[inline(always)]
fn sum_i8<V: Vector>(quants: V) -> i32 {
    let pairs = quants
        .widen_i8::<false>()
        .add_i16(quants.widen_i8::<true>());
    let mut lanes = [0i32; 4];
    // SAFETY: 16 bytes.
    unsafe {
        pairs
            .dot_i16(V::splat_i16(1))
            .store(lanes.as_mut_ptr() as *mut u8)
    };
    lanes.iter().sum()
}
