//! The exponential function of numbers that are not positive.

use crate::vector::Vector;
use core::hint::black_box;

/// Below this, e^x is no normal f32 and counts as zero.
const LOWEST: f32 = -87.336_54;

/// Added to a number below 2^22 in magnitude, it leaves the nearest whole number in the lowest bits.
pub const ROUND: f32 = 12_582_912.0;

/// `e^x` for `x <= 0`, to 1.2e-7 relative; -infinity gives 0.
///
/// `x = n ln 2 + r` with |r| <= ln 2 / 2, then a polynomial for e^r (Cephes' expf) and n in the exponent bits.
#[derive(Clone, Copy)]
pub struct Exp<V> {
    lowest: V,
    log2_e: V,
    round: V,
    /// ln 2 in two parts: the first has few bits, so that its product with n is exact.
    ln_2: [V; 2],
    coefficients: [V; 7],
    bias: V,
}

impl<V: Vector> Exp<V> {
    /// The constants. Opaque, because V8 builds a constant it knows anew in every turn of a loop.
    #[inline(always)]
    pub fn prepare() -> Self {
        let splat = |value: f32| V::splat(black_box(value));
        Exp {
            lowest: splat(LOWEST),
            log2_e: splat(core::f32::consts::LOG2_E),
            round: splat(ROUND),
            ln_2: [splat(0.693_359_4), splat(-2.121_944_4e-4)],
            coefficients: [
                1.987_569_1e-4,
                1.398_199_9e-3,
                8.333_452e-3,
                4.166_579_6e-2,
                1.666_666_5e-1,
                0.5,
                1.0,
            ]
            .map(splat),
            bias: V::splat_bits(black_box(127 << 23)),
        }
    }

    #[inline(always)]
    pub fn of(&self, x: V) -> V {
        let in_range = x.ge(self.lowest);
        let x = x.max(self.lowest);
        let rounded = x.mul(self.log2_e).add(self.round);
        let n = rounded.sub(self.round);
        let r = x.sub(n.mul(self.ln_2[0])).sub(n.mul(self.ln_2[1]));
        let [first, rest @ .., one] = self.coefficients;
        let p = rest.into_iter().fold(first, |p, c| p.mul(r).add(c));
        let p = p.mul(r).mul(r).add(r).add(one);
        p.mul(rounded.shl::<23>().add_int(self.bias)).and(in_range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_to_the_exponential_function() {
        let (mut worst, exp) = (0f64, Exp::<[u32; 4]>::prepare());
        for i in 0..880_000 {
            let x = -i as f32 / 10_000.0;
            let [got, ..] = exp.of(Vector::splat(x)).to_array();
            if x < LOWEST {
                assert_eq!(got, 0.0);
            } else {
                worst = worst.max((got as f64 / (x as f64).exp() - 1.0).abs());
            }
        }
        assert!(worst < 1.2e-7, "{worst}");
        assert_eq!(exp.of(Vector::splat(f32::NEG_INFINITY)).to_array()[0], 0.0);
        assert_eq!(exp.of(Vector::splat(0.0)).to_array()[0], 1.0);
    }
}
