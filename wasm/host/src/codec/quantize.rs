//! Quantization with GGML's reference rounding, straight from f32, f16 or bf16: q8_0, q4_0, q4_1.
//!
//! Each kernel is generic over where the numbers come from and over the vector; `oracle` below has the same as plain loops.

use super::half::{bf16_to_f32, f16_to_f32, f32_to_f16, widen_f16};
use crate::vector::Vector;

/// Plain numbers as a file holds them.
pub trait Source {
    const BYTES: usize;
    /// Four values; `bytes` holds `4 * BYTES`.
    fn load<V: Vector>(bytes: &[u8]) -> V;
    /// One value; `bytes` holds `BYTES`.
    fn value(bytes: &[u8]) -> f32;
}

pub struct FromF32;
pub struct FromF16;
pub struct FromBf16;

impl Source for FromF32 {
    const BYTES: usize = 4;
    #[inline(always)]
    fn load<V: Vector>(bytes: &[u8]) -> V {
        V::load(bytes.try_into().unwrap())
    }
    #[inline(always)]
    fn value(bytes: &[u8]) -> f32 {
        f32::from_le_bytes(bytes.try_into().unwrap())
    }
}
impl Source for FromF16 {
    const BYTES: usize = 2;
    #[inline(always)]
    fn load<V: Vector>(bytes: &[u8]) -> V {
        widen_f16(V::load_u16(bytes.try_into().unwrap()))
    }
    #[inline(always)]
    fn value(bytes: &[u8]) -> f32 {
        f16_to_f32(u16::from_le_bytes(bytes.try_into().unwrap()))
    }
}
impl Source for FromBf16 {
    const BYTES: usize = 2;
    #[inline(always)]
    fn load<V: Vector>(bytes: &[u8]) -> V {
        V::load_u16(bytes.try_into().unwrap()).shl::<16>()
    }
    #[inline(always)]
    fn value(bytes: &[u8]) -> f32 {
        bf16_to_f32(u16::from_le_bytes(bytes.try_into().unwrap()))
    }
}

/// The 32 values of a block.
#[inline(always)]
fn load_block<V: Vector, S: Source>(bytes: &[u8]) -> [V; 8] {
    core::array::from_fn(|i| S::load(&bytes[4 * S::BYTES * i..4 * S::BYTES * (i + 1)]))
}
#[inline(always)]
fn largest<V: Vector>(x: &[V; 8]) -> f32 {
    let max = x[1..].iter().fold(x[0], |a, b| a.max(*b)).to_array();
    max[0].max(max[1]).max(max[2].max(max[3]))
}
#[inline(always)]
fn smallest<V: Vector>(x: &[V; 8]) -> f32 {
    let min = x[1..].iter().fold(x[0], |a, b| a.min(*b)).to_array();
    min[0].min(min[1]).min(min[2].min(min[3]))
}
#[inline(always)]
fn reciprocal(d: f32) -> f32 {
    if d == 0.0 {
        0.0
    } else {
        1.0 / d
    }
}
/// Bytes whose low halves are the first 16 lanes and whose high halves are the last 16; lanes hold 0..=15.
#[inline(always)]
fn pack_nibbles<V: Vector>(q: [V; 8]) -> [u8; 16] {
    V::narrow_u8(core::array::from_fn(|i| q[i].or(q[i + 4].shl::<4>())))
}

/// `d = max |x| / 127`, `q = round(x / d)` with halves away from zero.
pub fn q8_0<V: Vector, S: Source>(bytes: &[u8], out: &mut [u8]) {
    let (sign, magnitude) = (V::splat_bits(0x8000_0000), V::splat_bits(0x7fff_ffff));
    // The largest number below a half: added to one it rounds to even, so that exactly the halves reach the next whole number.
    let half = V::splat(0.5f32.next_down());
    for (bytes, out) in bytes
        .chunks_exact(32 * S::BYTES)
        .zip(out.chunks_exact_mut(34))
    {
        let x = load_block::<V, S>(bytes);
        let d = largest(&x.map(|x| x.and(magnitude))) / 127.0;
        let times = V::splat(reciprocal(d));
        let q = x.map(|x| {
            let x = x.mul(times);
            x.add(x.and(sign).or(half)).truncate()
        });
        out[..2].copy_from_slice(&f32_to_f16(d).to_le_bytes());
        out[2..18].copy_from_slice(&V::narrow_i8([q[0], q[1], q[2], q[3]]));
        out[18..34].copy_from_slice(&V::narrow_i8([q[4], q[5], q[6], q[7]]));
    }
}

/// `d = m / -8` where m is the first value of the largest magnitude, `q = min(15, trunc(x / d + 8.5))`.
pub fn q4_0<V: Vector, S: Source>(bytes: &[u8], out: &mut [u8]) {
    let (offset, limit) = (V::splat(8.5), V::splat_bits(15));
    for (bytes, out) in bytes
        .chunks_exact(32 * S::BYTES)
        .zip(out.chunks_exact_mut(18))
    {
        let x = load_block::<V, S>(bytes);
        let (max, min) = (largest(&x), smallest(&x));
        let extreme = if max == -min {
            let first = x.iter().flat_map(|x| x.to_array()).find(|x| x.abs() == max);
            first.unwrap_or(0.0) + 0.0 // a block of -0 counts as 0
        } else if max > -min {
            max
        } else {
            min
        };
        let d = extreme / -8.0;
        let times = V::splat(reciprocal(d));
        let q = x.map(|x| x.mul(times).add(offset).truncate().min_int(limit));
        out[..2].copy_from_slice(&f32_to_f16(d).to_le_bytes());
        out[2..].copy_from_slice(&pack_nibbles(q));
    }
}

/// `d = (max - min) / 15`, `q = min(15, trunc((x - min) / d + 0.5))`, and min beside d.
pub fn q4_1<V: Vector, S: Source>(bytes: &[u8], out: &mut [u8]) {
    let (offset, limit) = (V::splat(0.5), V::splat_bits(15));
    for (bytes, out) in bytes
        .chunks_exact(32 * S::BYTES)
        .zip(out.chunks_exact_mut(20))
    {
        let x = load_block::<V, S>(bytes);
        let (max, min) = (largest(&x), smallest(&x));
        let d = (max - min) / 15.0;
        let (times, base) = (V::splat(reciprocal(d)), V::splat(min));
        let q = x.map(|x| x.sub(base).mul(times).add(offset).truncate().min_int(limit));
        out[..2].copy_from_slice(&f32_to_f16(d).to_le_bytes());
        out[2..4].copy_from_slice(&f32_to_f16(min).to_le_bytes());
        out[4..].copy_from_slice(&pack_nibbles(q));
    }
}

#[cfg(test)]
mod oracle {
    use super::{f32_to_f16, reciprocal};

    fn nibbles(q: Vec<u8>) -> Vec<u8> {
        (0..16).map(|i| q[i] | q[i + 16] << 4).collect()
    }
    pub fn q8_0(x: &[f32]) -> Vec<u8> {
        let d = x.iter().fold(0f32, |a, x| a.max(x.abs())) / 127.0;
        let q = x.iter().map(|x| (x * reciprocal(d)).round() as i8 as u8);
        f32_to_f16(d).to_le_bytes().into_iter().chain(q).collect()
    }
    pub fn q4_0(x: &[f32]) -> Vec<u8> {
        let d = x
            .iter()
            .fold(0f32, |a, x| if x.abs() > a.abs() { *x } else { a })
            / -8.0;
        let q = x
            .iter()
            .map(|x| 15.min((x * reciprocal(d) + 8.5) as u8))
            .collect();
        f32_to_f16(d)
            .to_le_bytes()
            .into_iter()
            .chain(nibbles(q))
            .collect()
    }
    pub fn q4_1(x: &[f32]) -> Vec<u8> {
        let (min, max) = x
            .iter()
            .fold((f32::MAX, f32::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
        let d = (max - min) / 15.0;
        let q = x
            .iter()
            .map(|x| 15.min(((x - min) * reciprocal(d) + 0.5) as u8))
            .collect();
        [f32_to_f16(d), f32_to_f16(min)]
            .into_iter()
            .flat_map(u16::to_le_bytes)
            .chain(nibbles(q))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::half::f32_to_bf16;

    /// Blocks of noise, zeros, ties of both signs, exact halves and tiny numbers.
    fn blocks() -> Vec<[f32; 32]> {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let mut blocks: Vec<[f32; 32]> = (0..200)
            .map(|i| core::array::from_fn(|_| noise() * 2f32.powi(i % 40 - 20)))
            .collect();
        blocks.push([0.0; 32]);
        blocks.push([-0.0; 32]);
        blocks.push(core::array::from_fn(
            |i| if i % 2 == 0 { 3.0 } else { -3.0 },
        ));
        blocks.push(core::array::from_fn(
            |i| if i % 2 == 0 { -3.0 } else { 3.0 },
        ));
        blocks.push(core::array::from_fn(|i| {
            if i == 0 {
                127.0
            } else {
                i as f32 - 15.5
            }
        }));
        blocks.push(core::array::from_fn(|i| {
            if i == 9 {
                -8.0
            } else {
                i as f32 / 4.0 - 4.0
            }
        }));
        blocks.push([1e-7; 32]);
        blocks
    }

    type Kernel = fn(&[u8], &mut [u8]);
    fn run(kernel: Kernel, bytes: Vec<u8>, block_bytes: usize) -> Vec<u8> {
        let mut out = vec![0; block_bytes];
        kernel(&bytes, &mut out);
        out
    }

    #[test]
    fn kernels_are_their_oracles() {
        type N = [u32; 4];
        type Case = (fn(&[f32]) -> Vec<u8>, usize, [Kernel; 3]);
        let cases: [Case; 3] = [
            (
                oracle::q8_0,
                34,
                [q8_0::<N, FromF32>, q8_0::<N, FromF16>, q8_0::<N, FromBf16>],
            ),
            (
                oracle::q4_0,
                18,
                [q4_0::<N, FromF32>, q4_0::<N, FromF16>, q4_0::<N, FromBf16>],
            ),
            (
                oracle::q4_1,
                20,
                [q4_1::<N, FromF32>, q4_1::<N, FromF16>, q4_1::<N, FromBf16>],
            ),
        ];
        for block in blocks() {
            let f16 = block.map(f32_to_f16);
            let bf16 = block.map(f32_to_bf16);
            for (oracle, size, [from_f32, from_f16, from_bf16]) in &cases {
                assert_eq!(
                    run(
                        *from_f32,
                        block.iter().flat_map(|x| x.to_le_bytes()).collect(),
                        *size
                    ),
                    oracle(&block)
                );
                assert_eq!(
                    run(
                        *from_f16,
                        f16.iter().flat_map(|x| x.to_le_bytes()).collect(),
                        *size
                    ),
                    oracle(&f16.map(f16_to_f32))
                );
                assert_eq!(
                    run(
                        *from_bf16,
                        bf16.iter().flat_map(|x| x.to_le_bytes()).collect(),
                        *size
                    ),
                    oracle(&bf16.map(bf16_to_f32))
                );
            }
        }
    }
}
