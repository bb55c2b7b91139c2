//! Activation functions, four values at a time.

use crate::vector::Lanes;

/// Activation functions, in the order of `activations` in the op vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Activation {
    /// `x / (1 + e^-x)`
    Silu,
    /// `x / 2 * (1 + erf(x / sqrt 2))`
    Gelu,
    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`
    GeluTanh,
    /// `max(x, 0)`
    Relu,
}

impl Activation {
    /// Every activation, by its number.
    pub const ALL: [Activation; 4] = [
        Activation::Silu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Relu,
    ];

    /// The activation with this number.
    pub fn from_u32(number: u32) -> Option<Activation> {
        Self::ALL.get(number as usize).copied()
    }

    /// Applies it to four values.
    #[inline(always)]
    pub fn apply<V: Lanes>(self, x: [f32; 4]) -> [f32; 4] {
        match self {
            Activation::Silu => {
                let e = exp_negative::<V>(x.map(|x| -x.abs()));
                core::array::from_fn(|i| x[i] * if x[i] < 0.0 { e[i] } else { 1.0 } / (1.0 + e[i]))
            }
            Activation::Gelu => {
                let erf = erf::<V>(x.map(|x| x * core::f32::consts::FRAC_1_SQRT_2));
                core::array::from_fn(|i| 0.5 * x[i] * (1.0 + erf[i]))
            }
            Activation::GeluTanh => {
                let u = x.map(|x| 0.797_884_6 * (x + 0.044_715 * x * x * x));
                let e = exp_negative::<V>(u.map(|u| -2.0 * u.abs()));
                core::array::from_fn(|i| {
                    0.5 * x[i] * (1.0 + ((1.0 - e[i]) / (1.0 + e[i])).copysign(u[i]))
                })
            }
            Activation::Relu => x.map(|x| if x < 0.0 { 0.0 } else { x }),
        }
    }
}

#[inline(always)]
fn exp_negative<V: Lanes>(x: [f32; 4]) -> [f32; 4] {
    // SAFETY: four floats.
    unsafe { V::load(x.as_ptr()) }.exp_negative().to_array()
}

/// Abramowitz and Stegun 7.1.26: absolute error below 2e-7.
#[inline(always)]
fn erf<V: Lanes>(x: [f32; 4]) -> [f32; 4] {
    let e = exp_negative::<V>(x.map(|x| -x * x));
    core::array::from_fn(|i| {
        let t = 1.0 / (1.0 + 0.327_591_1 * x[i].abs());
        let p = 1.421_413_7 + t * (-1.453_152_1 + t * 1.061_405_4);
        let p = t * (0.254_829_6 + t * (-0.284_496_74 + t * p));
        (1.0 - p * e[i]).copysign(x[i])
    })
}

#[cfg(test)]
mod tests {
    use super::Activation;
    use crate::vector::Native;

    impl Activation {
        /// In f64, the error function as the sum of its series.
        pub fn exact(self, x: f64) -> f64 {
            match self {
                Activation::Silu => x / (1.0 + (-x).exp()),
                // The series loses its digits; the error function is 1 here.
                Activation::Gelu if x.abs() > 5.2 => x.max(0.0),
                Activation::Gelu => {
                    let z = x / 2f64.sqrt();
                    let (mut term, mut sum) = (z, z);
                    for n in 1..200 {
                        term *= -z * z / n as f64;
                        sum += term / (2 * n + 1) as f64;
                    }
                    x / 2.0 * (1.0 + sum * 2.0 / core::f64::consts::PI.sqrt())
                }
                Activation::GeluTanh => {
                    let u = (2.0 / core::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                    x / 2.0 * (1.0 + u.tanh())
                }
                Activation::Relu => x.max(0.0),
            }
        }
    }

    #[test]
    fn activations_are_accurate_everywhere() {
        for activation in Activation::ALL {
            for i in -8000..8000 {
                let x = i as f32 / 1000.0;
                let got = activation.apply::<Native>([x; 4])[0] as f64;
                let want = activation.exact(x as f64);
                assert!(
                    (got - want).abs() < 2e-6 * want.abs().max(1.0),
                    "{activation:?}({x})"
                );
            }
            for x in [-1e30f32, -100.0, 100.0, 1e10] {
                let got = activation.apply::<Native>([x; 4])[0];
                assert!(got == x.max(0.0), "{activation:?}({x}) = {got}");
            }
        }
    }
}
