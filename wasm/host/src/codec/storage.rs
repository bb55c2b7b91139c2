//! The storage types of `engine/formats.ts`.

/// How the numbers of a tensor are stored; the names are GGML's and those of bitsandbytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageType {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq2Xxs,
    Iq2Xs,
    Iq3Xxs,
    Iq1S,
    Iq4Nl,
    Iq3S,
    Iq2S,
    Iq4Xs,
    Iq1M,
    Tq1_0,
    Tq2_0,
    Mxfp4,
    Nvfp4,
    Nf4,
    Nf4Bf16,
    Nf4F16,
    Fp4,
    Fp4Bf16,
    Fp4F16,
}

use StorageType::*;

/// Name, values of a block, bytes of a block, and where its f16 scales lie (iq1_m's is spread over four words, mxfp4's is an exponent, nvfp4's cannot be infinite, those of bitsandbytes are f32).
const TABLE: [(&str, StorageType, usize, usize, &[usize]); 32] = [
    ("f32", F32, 1, 4, &[]),
    ("f16", F16, 1, 2, &[]),
    ("bf16", Bf16, 1, 2, &[]),
    ("q4_0", Q4_0, 32, 18, &[0]),
    ("q4_1", Q4_1, 32, 20, &[0, 2]),
    ("q5_0", Q5_0, 32, 22, &[0]),
    ("q5_1", Q5_1, 32, 24, &[0, 2]),
    ("q8_0", Q8_0, 32, 34, &[0]),
    ("q2_k", Q2K, 256, 84, &[80, 82]),
    ("q3_k", Q3K, 256, 110, &[108]),
    ("q4_k", Q4K, 256, 144, &[0, 2]),
    ("q5_k", Q5K, 256, 176, &[0, 2]),
    ("q6_k", Q6K, 256, 210, &[208]),
    ("iq2_xxs", Iq2Xxs, 256, 66, &[0]),
    ("iq2_xs", Iq2Xs, 256, 74, &[0]),
    ("iq3_xxs", Iq3Xxs, 256, 98, &[0]),
    ("iq1_s", Iq1S, 256, 50, &[0]),
    ("iq4_nl", Iq4Nl, 32, 18, &[0]),
    ("iq3_s", Iq3S, 256, 110, &[0]),
    ("iq2_s", Iq2S, 256, 82, &[0]),
    ("iq4_xs", Iq4Xs, 256, 136, &[0]),
    ("iq1_m", Iq1M, 256, 56, &[]),
    ("tq1_0", Tq1_0, 256, 54, &[52]),
    ("tq2_0", Tq2_0, 256, 66, &[64]),
    ("mxfp4", Mxfp4, 32, 17, &[]),
    ("nvfp4", Nvfp4, 64, 36, &[]),
    ("nf4", Nf4, 64, 36, &[]),
    ("nf4_bf16", Nf4Bf16, 64, 36, &[]),
    ("nf4_f16", Nf4F16, 64, 36, &[]),
    ("fp4", Fp4, 64, 36, &[]),
    ("fp4_bf16", Fp4Bf16, 64, 36, &[]),
    ("fp4_f16", Fp4F16, 64, 36, &[]),
];

impl StorageType {
    pub const ALL: [StorageType; 32] = {
        let mut all = [F32; 32];
        let mut i = 0;
        while i < 32 {
            assert!(TABLE[i].1 as usize == i);
            all[i] = TABLE[i].1;
            i += 1;
        }
        all
    };

    /// The type of that name, if there is one.
    pub fn from_name(name: &str) -> Option<StorageType> {
        TABLE
            .iter()
            .find(|entry| entry.0 == name)
            .map(|entry| entry.1)
    }
    /// Values of one block.
    pub const fn block_values(self) -> usize {
        TABLE[self as usize].2
    }
    /// Bytes of one block.
    pub const fn block_bytes(self) -> usize {
        TABLE[self as usize].3
    }
    /// Offsets of the f16 scales in a block.
    pub const fn scale_offsets(self) -> &'static [usize] {
        TABLE[self as usize].4
    }
    /// A type of bitsandbytes.
    pub const fn is_four_bit(self) -> bool {
        matches!(self, Nf4 | Nf4Bf16 | Nf4F16 | Fp4 | Fp4Bf16 | Fp4F16)
    }
    /// Plain floating-point numbers, no blocks.
    pub const fn is_float(self) -> bool {
        matches!(self, F32 | F16 | Bf16)
    }
}
