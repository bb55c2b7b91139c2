//! Looks for NaN and infinity in weights before they are used.

use super::bitsandbytes;
use super::block::u16_at;
use super::grid_quants::iq1_m_scale;
use super::storage::StorageType::{self, *};

/// Values, or blocks, that are looked at without an exit: such a loop vectorizes.
const RUN: usize = 1024;

/// Exponent of the largest scale of mxfp4 that f16 holds, as whatever it becomes has it; 255 is NaN.
const MXFP4_LARGEST: u8 = 143;

/// Index of the first value that is not finite; in a quantized type the first value of the first block with such a scale.
pub fn find_non_finite(from: StorageType, bytes: &[u8]) -> Option<usize> {
    let size = from.block_bytes();
    let block = match from {
        F32 => first_large::<4, u32>(bytes, |b| u32::from_le_bytes(*b) & 0x7fff_ffff, 0x7f80_0000),
        F16 => first_large::<2, u16>(bytes, |b| u16::from_le_bytes(*b) & 0x7fff, 0x7c00),
        Bf16 => first_large::<2, u16>(bytes, |b| u16::from_le_bytes(*b) & 0x7fff, 0x7f80),
        Q4_0 => first_large::<18, u16>(bytes, |b| u16_at(b, 0) & 0x7fff, 0x7c00),
        Q8_0 => first_large::<34, u16>(bytes, |b| u16_at(b, 0) & 0x7fff, 0x7c00),
        _ => bytes.chunks_exact(size).position(|block| match from {
            Iq1M => f16_special(iq1_m_scale(block)),
            Mxfp4 => block[0] > MXFP4_LARGEST,
            _ if from.is_four_bit() => !bitsandbytes::largest(from, block).is_finite(),
            _ => from
                .scale_offsets()
                .iter()
                .any(|at| f16_special(u16_at(block, *at))),
        }),
    };
    block.map(|block| block * from.block_values())
}

fn f16_special(bits: u16) -> bool {
    bits & 0x7c00 == 0x7c00
}

/// The first block of `N` bytes whose magnitude, bits without a sign, is `special` or more.
fn first_large<const N: usize, T: Copy + Default + Ord>(
    bytes: &[u8],
    magnitude: impl Fn(&[u8; N]) -> T,
    special: T,
) -> Option<usize> {
    let (blocks, _) = bytes.as_chunks::<N>();
    let largest = |run: &[[u8; N]]| run.iter().map(&magnitude).fold(T::default(), T::max);
    let run = blocks.chunks(RUN).position(|run| largest(run) >= special)?;
    let at = blocks[run * RUN..]
        .iter()
        .position(|block| magnitude(block) >= special)?;
    Some(run * RUN + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_special_value() {
        for at in [0usize, 1, 1023, 1024, 2999] {
            let mut f32s = vec![1.0f32; 3000];
            let mut bf16s = vec![0x3f80u16; 3000];
            let mut f16s = vec![0x3c00u16; 3000];
            (f32s[at], bf16s[at], f16s[at]) = (f32::NAN, 0xff80, 0x7c01);
            let bytes: Vec<u8> = f32s.iter().flat_map(|x| x.to_le_bytes()).collect();
            assert_eq!(find_non_finite(F32, &bytes), Some(at));
            assert_eq!(find_non_finite(F32, &bytes[..4 * at]), None);
            let bytes: Vec<u8> = bf16s.iter().flat_map(|x| x.to_le_bytes()).collect();
            assert_eq!(find_non_finite(Bf16, &bytes), Some(at));
            let bytes: Vec<u8> = f16s.iter().flat_map(|x| x.to_le_bytes()).collect();
            assert_eq!(find_non_finite(F16, &bytes), Some(at));
        }
    }

    #[test]
    fn finds_every_scale() {
        for from in StorageType::ALL.into_iter().filter(|from| !from.is_float()) {
            let clean = vec![0u8; 3 * from.block_bytes()];
            assert_eq!(find_non_finite(from, &clean), None);
            for offset in from.scale_offsets() {
                let mut bytes = clean.clone();
                bytes[from.block_bytes() + offset + 1] = 0x7c;
                assert_eq!(
                    find_non_finite(from, &bytes),
                    Some(from.block_values()),
                    "{from:?} at {offset}"
                );
            }
        }
        let mut nf4 = vec![0u8; 72];
        nf4[36..40].copy_from_slice(&f32::NEG_INFINITY.to_le_bytes());
        assert_eq!(find_non_finite(Nf4, &nf4), Some(64));
        nf4[36..40].copy_from_slice(&65520f32.to_le_bytes());
        assert_eq!(find_non_finite(Nf4, &nf4), None);
        assert_eq!(find_non_finite(Nf4F16, &nf4), Some(64));
        let mut mxfp4 = vec![0u8; 34];
        for (exponent, found) in [(143, None), (144, Some(32)), (255, Some(32))] {
            mxfp4[17] = exponent;
            assert_eq!(find_non_finite(Mxfp4, &mxfp4), found);
        }
        let mut iq1_m = vec![0u8; 112];
        (iq1_m[109], iq1_m[111]) = (0xc0, 0x70);
        assert_eq!(find_non_finite(Iq1M, &iq1_m), Some(256));
    }
}
