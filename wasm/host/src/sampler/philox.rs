//! Philox4x32-10 (Salmon et al. 2011): random numbers that depend on nothing but a key and a counter.

/// Ten rounds over a counter of four words under a key of two.
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = 0xd251_1f53u64 * counter[0] as u64;
        let b = 0xcd9e_8d57u64 * counter[2] as u64;
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [
            key[0].wrapping_add(0x9e37_79b9),
            key[1].wrapping_add(0xbb67_ae85),
        ];
    }
    counter
}

/// The number in [0, 1) that a row draws with: key = seed (low word first), counter = (position low, position high, 0, 0),
/// and of the first word of the result the upper 24 bits over 2^24. The GPU's sampler draws the same.
pub fn uniform(seed: u64, position: u64) -> f64 {
    let [first, ..] = philox(
        [position as u32, (position >> 32) as u32, 0, 0],
        [seed as u32, (seed >> 32) as u32],
    );
    (first >> 8) as f64 / (1 << 24) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_random123() {
        assert_eq!(
            philox([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(
            philox(counter, [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn uniform_is_the_first_word() {
        assert_eq!(uniform(0, 0), 0x0066_27e8 as f64 / (1u32 << 24) as f64);
        assert_ne!(uniform(0, 1), uniform(1, 0));
        assert_ne!(uniform(0, 1), uniform(0, 1 << 32));
    }
}
