//! An array of lanes: what each operation means, and what host tests run. Little-endian.

use super::Vector;
use core::array::from_fn;
use core::mem::transmute;

fn bytes(v: [u32; 4]) -> [u8; 16] {
    // SAFETY: both are 16 plain bytes.
    unsafe { transmute(v) }
}
fn from_bytes(v: [u8; 16]) -> [u32; 4] {
    // SAFETY: both are 16 plain bytes.
    unsafe { transmute(v) }
}
fn i16s(v: [u32; 4]) -> [i16; 8] {
    // SAFETY: both are 16 plain bytes.
    unsafe { transmute(v) }
}
fn from_i16s(v: [i16; 8]) -> [u32; 4] {
    // SAFETY: both are 16 plain bytes.
    unsafe { transmute(v) }
}
fn floats(a: [u32; 4], b: [u32; 4], f: impl Fn(f32, f32) -> f32) -> [u32; 4] {
    from_fn(|i| f(f32::from_bits(a[i]), f32::from_bits(b[i])).to_bits())
}

impl Vector for [u32; 4] {
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller's promise.
        unsafe { (from as *const Self).read_unaligned() }
    }
    unsafe fn load_splat(from: *const u8) -> Self {
        // SAFETY: the caller's promise.
        unsafe { [(from as *const u32).read_unaligned(); 4] }
    }
    unsafe fn load_i16(from: *const u8) -> Self {
        // SAFETY: the caller's promise.
        let lanes = unsafe { (from as *const [i16; 4]).read_unaligned() };
        lanes.map(|lane| lane as i32 as u32)
    }
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { (to as *mut Self).write_unaligned(self) }
    }
    fn splat_f32(value: f32) -> Self {
        [value.to_bits(); 4]
    }
    fn splat_i16(value: i16) -> Self {
        from_i16s([value; 8])
    }
    fn splat_i32(value: i32) -> Self {
        [value as u32; 4]
    }
    fn lane<const L: usize>(self) -> Self {
        [self[L]; 4]
    }
    fn and(self, other: Self) -> Self {
        from_fn(|i| self[i] & other[i])
    }
    fn shl_i32<const N: u32>(self) -> Self {
        self.map(|lane| lane << N)
    }
    fn shr_u32<const N: u32>(self) -> Self {
        self.map(|lane| lane >> N)
    }
    fn shr_u16<const N: u32>(self) -> Self {
        from_i16s(i16s(self).map(|lane| (lane as u16 >> N) as i16))
    }
    fn shr_i32<const N: u32>(self) -> Self {
        self.map(|lane| (lane as i32 >> N) as u32)
    }
    fn shl_i16<const N: u32>(self) -> Self {
        from_i16s(i16s(self).map(|lane| lane << N))
    }
    fn shr_i16<const N: u32>(self) -> Self {
        from_i16s(i16s(self).map(|lane| lane >> N))
    }
    /// Panics on overflow: a kernel that overflows is wrong.
    fn add_i16(self, other: Self) -> Self {
        let (a, b) = (i16s(self), i16s(other));
        from_i16s(from_fn(|i| {
            a[i].checked_add(b[i]).expect("No i16 overflow in a block")
        }))
    }
    /// Panics on overflow: a kernel that overflows is wrong.
    fn add_i32(self, other: Self) -> Self {
        from_fn(|i| {
            let sum = (self[i] as i32).checked_add(other[i] as i32);
            sum.expect("No i32 overflow in a block") as u32
        })
    }
    /// Panics where engines may differ: an operand outside 0..=127.
    fn dot_u7(self, other: Self) -> Self {
        let (a, b) = (bytes(self), bytes(other));
        assert!(
            b.iter().all(|&byte| byte < 128),
            "The i7 operand fits 7 bits"
        );
        let product = |i: usize| a[i] as i8 as i16 * b[i] as i16;
        from_i16s(from_fn(|i| product(2 * i) + product(2 * i + 1)))
    }
    fn dot_i16(self, other: Self) -> Self {
        let (a, b) = (i16s(self), i16s(other));
        let product = |i: usize| a[i] as i32 * b[i] as i32;
        from_fn(|i| (product(2 * i) + product(2 * i + 1)) as u32)
    }
    fn widen_i8<const HIGH: bool>(self) -> Self {
        let v = bytes(self);
        from_i16s(from_fn(|i| v[i + 8 * HIGH as usize] as i8 as i16))
    }
    fn widen_u8<const HIGH: bool>(self) -> Self {
        let v = bytes(self);
        from_i16s(from_fn(|i| v[i + 8 * HIGH as usize] as i16))
    }
    fn widen_i16<const HIGH: bool>(self) -> Self {
        let v = i16s(self);
        from_fn(|i| v[i + 4 * HIGH as usize] as i32 as u32)
    }
    fn narrow_i32(self, other: Self) -> Self {
        let lane = |i: usize| (if i < 4 { self[i] } else { other[i - 4] }) as i32;
        from_i16s(from_fn(|i| lane(i).clamp(-32768, 32767) as i16))
    }
    fn narrow_i16(self, other: Self) -> Self {
        let (a, b) = (i16s(self), i16s(other));
        let lane = |i: usize| if i < 8 { a[i] } else { b[i - 8] };
        from_bytes(from_fn(|i| lane(i).clamp(-128, 127) as u8))
    }
    fn zip_i8<const HIGH: bool>(self, other: Self) -> Self {
        let pair = [bytes(self), bytes(other)];
        from_bytes(from_fn(|i| pair[i % 2][i / 2 + 8 * HIGH as usize]))
    }
    /// Panics where relaxed SIMD might differ: an index outside 0..=15.
    fn swizzle(self, index: Self) -> Self {
        let (v, index) = (bytes(self), bytes(index));
        from_bytes(from_fn(|i| v[index[i] as usize]))
    }
    fn zip_i16<const HIGH: bool>(self, other: Self) -> Self {
        let pair = [i16s(self), i16s(other)];
        from_i16s(from_fn(|i| pair[i % 2][i / 2 + 4 * HIGH as usize]))
    }
    fn to_f32(self) -> Self {
        self.map(|lane| (lane as i32 as f32).to_bits())
    }
    fn to_i32(self) -> Self {
        self.map(|lane| f32::from_bits(lane).round_ties_even() as i32 as u32)
    }
    fn add_f32(self, other: Self) -> Self {
        floats(self, other, |a, b| a + b)
    }
    fn sub_f32(self, other: Self) -> Self {
        floats(self, other, |a, b| a - b)
    }
    fn mul_f32(self, other: Self) -> Self {
        floats(self, other, |a, b| a * b)
    }
    fn max_i32(self, other: Self) -> Self {
        from_fn(|i| (self[i] as i32).max(other[i] as i32) as u32)
    }
    fn abs_f32(self) -> Self {
        self.map(|lane| lane & 0x7fff_ffff)
    }
    fn madd(self, by: Self, plus: Self) -> Self {
        floats(floats(self, by, |a, b| a * b), plus, |a, b| a + b)
    }
}
