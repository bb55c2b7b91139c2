//! Four float32 lanes: what the ops are written over. Arrays implement them for native tests, `v128` for Wasm.

/// Four float32 values that are worked on together.
pub trait Lanes: Copy {
    /// All lanes `value`.
    fn splat(value: f32) -> Self;
    /// # Safety
    /// `from` holds four floats; any alignment.
    unsafe fn load(from: *const f32) -> Self;
    /// Four halves, each as 2^-112 times its value: exact for every finite half, subnormals included.
    ///
    /// # Safety
    /// `from` holds four halves; any alignment.
    unsafe fn load_f16(from: *const u16) -> Self;
    /// # Safety
    /// `from` holds four bfloat16; any alignment.
    unsafe fn load_bf16(from: *const u16) -> Self;
    /// # Safety
    /// `to` takes four floats; any alignment.
    unsafe fn store(self, to: *mut f32);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// The greater of each two lanes; `self` where `other` is NaN.
    fn max(self, other: Self) -> Self;
    /// `self * factor + addend`, rounded once or twice as the machine likes, but always alike.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// The nearest integers, as floats.
    fn nearest(self) -> Self;
    /// 2 to the power of integral lanes in -127..=127; 0 for -127.
    fn exp2_integral(self) -> Self;
    /// Lane `i` is the sum of the lanes of `rows[i]`, added in one fixed order.
    fn sums(rows: [Self; 4]) -> Self;
    /// Each lane in all four lanes.
    fn splats(self) -> [Self; 4];
    fn to_array(self) -> [f32; 4];

    /// `e^x` for `x <= 0` (0 below -87.7), relative error about 1e-7; exactly 1 at 0. Cephes' polynomial.
    #[inline(always)]
    fn exp_negative(self) -> Self {
        let splat = Self::splat;
        let x = self.max(splat(-88.0));
        let n = x.mul(splat(core::f32::consts::LOG2_E)).nearest();
        let r = n.mul_add(splat(-0.693_359_4), x);
        let r = n.mul_add(splat(2.121_944_4e-4), r);
        let p = splat(1.987_569_1e-4).mul_add(r, splat(1.398_199_9e-3));
        let p = p.mul_add(r, splat(8.333_452e-3));
        let p = p.mul_add(r, splat(4.166_579_6e-2));
        let p = p.mul_add(r, splat(1.666_666_5e-1));
        let p = p.mul_add(r, splat(0.5));
        let p = p.mul_add(r.mul(r), r).add(splat(1.0));
        p.mul(n.exp2_integral())
    }
}

impl Lanes for [f32; 4] {
    fn splat(value: f32) -> Self {
        [value; 4]
    }
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<Self>().read_unaligned() }
    }
    unsafe fn load_f16(from: *const u16) -> Self {
        // SAFETY: the caller's promise.
        let bits = unsafe { from.cast::<[i16; 4]>().read_unaligned() };
        bits.map(|half| f32::from_bits(((half as i32 as u32) << 13) & 0x8fff_e000))
    }
    unsafe fn load_bf16(from: *const u16) -> Self {
        // SAFETY: the caller's promise.
        let bits = unsafe { from.cast::<[u16; 4]>().read_unaligned() };
        bits.map(|half| f32::from_bits((half as u32) << 16))
    }
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }
    fn add(self, other: Self) -> Self {
        core::array::from_fn(|i| self[i] + other[i])
    }
    fn sub(self, other: Self) -> Self {
        core::array::from_fn(|i| self[i] - other[i])
    }
    fn mul(self, other: Self) -> Self {
        core::array::from_fn(|i| self[i] * other[i])
    }
    fn max(self, other: Self) -> Self {
        core::array::from_fn(|i| {
            if self[i] < other[i] {
                other[i]
            } else {
                self[i]
            }
        })
    }
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        core::array::from_fn(|i| self[i] * factor[i] + addend[i])
    }
    fn nearest(self) -> Self {
        self.map(f32::round_ties_even)
    }
    fn exp2_integral(self) -> Self {
        self.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    fn sums(rows: [Self; 4]) -> Self {
        rows.map(|r| (r[0] + r[2]) + (r[1] + r[3]))
    }
    fn splats(self) -> [Self; 4] {
        self.map(Self::splat)
    }
    fn to_array(self) -> [f32; 4] {
        self
    }
}

#[cfg(target_arch = "wasm32")]
mod wasm {
    use core::arch::wasm32::*;

    impl super::Lanes for v128 {
        #[inline(always)]
        fn splat(value: f32) -> Self {
            f32x4_splat(value)
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller's promise.
            unsafe { v128_load(from.cast()) }
        }
        #[inline(always)]
        unsafe fn load_f16(from: *const u16) -> Self {
            // SAFETY: the caller's promise.
            let bits = unsafe { i32x4_load_extend_i16x4(from.cast()) };
            v128_and(i32x4_shl(bits, 13), u32x4_splat(0x8fff_e000))
        }
        #[inline(always)]
        unsafe fn load_bf16(from: *const u16) -> Self {
            // SAFETY: the caller's promise.
            i32x4_shl(unsafe { i32x4_load_extend_u16x4(from.cast()) }, 16)
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller's promise.
            unsafe { v128_store(to.cast(), self) }
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            f32x4_add(self, other)
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            f32x4_sub(self, other)
        }
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            f32x4_mul(self, other)
        }
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            f32x4_pmax(self, other)
        }
        #[cfg(target_feature = "relaxed-simd")]
        #[inline(always)]
        fn mul_add(self, factor: Self, addend: Self) -> Self {
            f32x4_relaxed_madd(self, factor, addend)
        }
        #[cfg(not(target_feature = "relaxed-simd"))]
        #[inline(always)]
        fn mul_add(self, factor: Self, addend: Self) -> Self {
            f32x4_add(f32x4_mul(self, factor), addend)
        }
        #[inline(always)]
        fn nearest(self) -> Self {
            f32x4_nearest(self)
        }
        #[inline(always)]
        fn exp2_integral(self) -> Self {
            i32x4_shl(i32x4_add(i32x4_trunc_sat_f32x4(self), i32x4_splat(127)), 23)
        }
        #[inline(always)]
        fn sums([a, b, c, d]: [Self; 4]) -> Self {
            let ab = f32x4_add(
                i32x4_shuffle::<0, 4, 1, 5>(a, b),
                i32x4_shuffle::<2, 6, 3, 7>(a, b),
            );
            let cd = f32x4_add(
                i32x4_shuffle::<0, 4, 1, 5>(c, d),
                i32x4_shuffle::<2, 6, 3, 7>(c, d),
            );
            f32x4_add(i64x2_shuffle::<0, 2>(ab, cd), i64x2_shuffle::<1, 3>(ab, cd))
        }
        #[inline(always)]
        fn splats(self) -> [Self; 4] {
            [
                i32x4_shuffle::<0, 0, 0, 0>(self, self),
                i32x4_shuffle::<1, 1, 1, 1>(self, self),
                i32x4_shuffle::<2, 2, 2, 2>(self, self),
                i32x4_shuffle::<3, 3, 3, 3>(self, self),
            ]
        }
        #[inline(always)]
        fn to_array(self) -> [f32; 4] {
            // SAFETY: same size, every bit pattern is valid.
            unsafe { core::mem::transmute(self) }
        }
    }
}

/// The machine's own lanes.
#[cfg(target_arch = "wasm32")]
pub type Native = core::arch::wasm32::v128;
/// The machine's own lanes.
#[cfg(not(target_arch = "wasm32"))]
pub type Native = [f32; 4];

#[cfg(test)]
mod tests {
    use super::Lanes;

    #[test]
    fn exp_is_close_everywhere() {
        for i in 0..=88_000 {
            let x = -(i as f32) / 1000.0;
            let got = [x; 4].exp_negative()[0] as f64;
            let want = (x as f64).exp();
            assert!(
                (got - want).abs() <= want * 2.5e-7 + 1e-38,
                "exp({x}): expected {want}, got {got}"
            );
        }
    }

    #[test]
    fn exp_ends_are_exact() {
        assert_eq!(
            [0.0, -0.0, f32::NEG_INFINITY, -1e30].exp_negative(),
            [1.0, 1.0, 0.0, 0.0]
        );
    }

    #[test]
    fn halves_load_exactly() {
        for bits in 0..=0xffffu16 {
            if bits & 0x7c00 == 0x7c00 {
                continue; // infinities and NaN are never stored
            }
            let (exponent, mantissa) = ((bits >> 10 & 31) as i32, (bits & 1023) as f64);
            let magnitude = match exponent {
                0 => mantissa * 2f64.powi(-24),
                _ => (1024.0 + mantissa) * 2f64.powi(exponent - 25),
            };
            let want = if bits >> 15 == 1 {
                -magnitude
            } else {
                magnitude
            };
            // SAFETY: four halves.
            let got = unsafe { <[f32; 4]>::load_f16([bits; 4].as_ptr()) }[3];
            assert_eq!(got as f64 * 2f64.powi(112), want);
        }
    }
}
