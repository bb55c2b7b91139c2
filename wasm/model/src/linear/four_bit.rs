//! bitsandbytes' nf4 and fp4: `weight = round(number of the code * absmax)`, absmax f32 of 64 columns, rounded to the type the weights had.
//!
//! ```text
//! packed block, for each of 16 rows: absmax f32 | 2 x 16 bytes: byte i has column `order(i)` of 32 low, column 16 + `order(i)` high
//! ```
//!
//! A block has no more than 16 numbers: they are multiplied and rounded once, and their bytes looked up with swizzles. Here a lane is a column:
//! four neighbours of a row. An output is four chains of multiply-adds, of every fourth column each, whatever the number of rows.

use super::float::{Packed, CHUNK};
use super::four_bit_numbers::{Code, Rounding};
use super::vector::Vector;
use super::{GROUP, PANEL};
use core::marker::PhantomData;

/// Columns of a block.
const COLUMNS: usize = 64;
/// Bytes of a block of one row, packed or not.
const BYTES: usize = 36;
/// Bytes of the four chains of every output, while a panel is multiplied.
pub const CHAINS_BYTES: usize = PANEL * GROUP * 16;

/// The lower and the upper bytes of 16 i16, each in a lane of 32 bits.
#[inline(always)]
fn bytes<V: Vector>([a, b, c, d]: [V; 4]) -> [V; 2] {
    let (first, second) = (a.narrow_i32(b), c.narrow_i32(d));
    let lower = |halves: V| halves.shl_i16::<8>().shr_i16::<8>();
    [
        lower(first).narrow_i16(lower(second)),
        first.shr_i16::<8>().narrow_i16(second.shr_i16::<8>()),
    ]
}

/// Vectors that stay the same in all loops.
struct Constants<V> {
    numbers: [V; 4],
    rounding: [V; 3],
    nibble: V,
    upper: V,
}

/// Kernels of a code and the type that the weights had.
pub struct FourBit<C, R>(PhantomData<(C, R)>);

impl<C: Code, R: Rounding> FourBit<C, R> {
    /// Column of 16 at place `i`, such that four neighbours come out of [`Self::look_up`] together: as halves of 32 bits, or as they are.
    const fn order(i: usize) -> usize {
        if R::SHORT {
            i / 8 * 8 + i % 2 * 4 + i % 8 / 2
        } else {
            i
        }
    }

    #[inline(always)]
    fn constants<V: Vector>() -> Constants<V> {
        Constants {
            // SAFETY: four of 16 numbers.
            numbers: core::array::from_fn(|i| unsafe {
                V::load(C::NUMBERS.as_ptr().add(4 * i) as *const u8).opaque()
            }),
            rounding: R::CONSTANTS.map(|bits| V::splat_i32(bits as i32).opaque()),
            nibble: V::splat_i32(0x0f0f_0f0f).opaque(),
            upper: V::splat_i32(0xffff_0000_u32 as i32).opaque(),
        }
    }

    /// The bytes of the numbers of a block: the two upper ones come first.
    #[inline(always)]
    unsafe fn planes<V: Vector>(block: *const u8, constants: &Constants<V>) -> [V; 4] {
        // SAFETY: the caller gives a packed block.
        let absmax = unsafe { V::load_splat(block) };
        let numbers = constants
            .numbers
            .map(|numbers| R::round(numbers.mul_f32(absmax), &constants.rounding));
        let [low, high] = bytes(numbers.map(|number| number.shr_i32::<16>()));
        if R::SHORT {
            return [low, high, low, high];
        }
        let [lowest, lower] = bytes(numbers.map(|number| number.shl_i32::<16>().shr_i32::<16>()));
        [low, high, lowest, lower]
    }

    /// 16 neighbours.
    #[inline(always)]
    fn look_up<V: Vector>(planes: &[V; 4], index: V, constants: &Constants<V>) -> [V; 4] {
        let bytes = planes.map(|plane| plane.swizzle(index));
        let upper = [
            bytes[0].zip_i8::<false>(bytes[1]),
            bytes[0].zip_i8::<true>(bytes[1]),
        ];
        if R::SHORT {
            return core::array::from_fn(|i| match i % 2 {
                0 => upper[i / 2].shl_i32::<16>(),
                _ => upper[i / 2].and(constants.upper),
            });
        }
        let lower = [
            bytes[2].zip_i8::<false>(bytes[3]),
            bytes[2].zip_i8::<true>(bytes[3]),
        ];
        core::array::from_fn(|i| match i % 2 {
            0 => lower[i / 2].zip_i16::<false>(upper[i / 2]),
            _ => lower[i / 2].zip_i16::<true>(upper[i / 2]),
        })
    }

    /// The numbers of whole blocks of one row, `count` columns from `first` on.
    #[inline(always)]
    unsafe fn decode<V: Vector>(
        group: *const u8,
        row: usize,
        first: usize,
        count: usize,
        to: *mut f32,
        constants: &Constants<V>,
    ) {
        // SAFETY: the caller gives a row and blocks of a packed group, and room for their columns.
        unsafe {
            let mut to = to as *mut u8;
            for block in first / COLUMNS..(first + count) / COLUMNS {
                let block = group.add((block * GROUP + row) * BYTES);
                let planes = Self::planes::<V>(block, constants);
                for half in 0..2 {
                    let both = V::load(block.add(4 + 16 * half));
                    for index in [
                        both.and(constants.nibble),
                        both.shr_u16::<4>().and(constants.nibble),
                    ] {
                        for four in Self::look_up(&planes, index, constants) {
                            four.store(to);
                            to = to.add(16);
                        }
                    }
                }
            }
        }
    }

    /// The numbers of all rows of a group, row by row.
    #[inline(never)]
    unsafe fn decode_group<V: Vector>(
        group: *const u8,
        first: usize,
        count: usize,
        strip: *mut f32,
    ) {
        let constants = Self::constants::<V>();
        for row in 0..GROUP {
            // SAFETY: the caller gives a group, blocks of it, and a strip.
            unsafe {
                Self::decode::<V>(group, row, first, count, strip.add(row * CHUNK), &constants)
            }
        }
    }
}

/// Adds `count` columns to the chains of T activation rows, R weight rows of the strip at a time.
#[inline(always)]
unsafe fn tile<V: Vector, const T: usize, const R: usize>(
    strip: *const f32,
    x: *const f32,
    cols: usize,
    count: usize,
    chains: *mut f32,
) {
    for row in (0..GROUP).step_by(R) {
        let place = |t: usize, r: usize| 4 * (t * GROUP + row + r);
        // SAFETY: the caller gives a strip, T rows of x and of chains.
        unsafe {
            let mut sums: [[V; R]; T] = core::array::from_fn(|t| {
                core::array::from_fn(|r| V::load(chains.add(place(t, r)) as *const u8))
            });
            for k in (0..count).step_by(4) {
                let at = |from: *const f32, line: usize| V::load(from.add(line + k) as *const u8);
                let weights: [V; R] = core::array::from_fn(|r| at(strip, (row + r) * CHUNK));
                for t in 0..T {
                    let x = at(x, t * cols);
                    for r in 0..R {
                        sums[t][r] = x.madd(weights[r], sums[t][r]);
                    }
                }
            }
            for t in 0..T {
                for r in 0..R {
                    sums[t][r].store(chains.add(place(t, r)) as *mut u8);
                }
            }
        }
    }
}

impl<C: Code, R: Rounding> Packed for FourBit<C, R> {
    fn group_bytes(cols: usize) -> usize {
        cols / COLUMNS * GROUP * BYTES
    }

    #[inline(never)]
    unsafe fn pack_group(src: *const u8, rows: usize, cols: usize, to: *mut u8) {
        let blocks = cols / COLUMNS;
        // SAFETY: the caller gives `rows` rows of `blocks` blocks, and a group.
        unsafe {
            to.write_bytes(0, Self::group_bytes(cols));
            for row in 0..rows {
                for block in 0..blocks {
                    let from = src.add((row * blocks + block) * BYTES);
                    let to = to.add((block * GROUP + row) * BYTES);
                    core::ptr::copy_nonoverlapping(from, to, 4);
                    let code =
                        |column: usize| *from.add(4 + column / 2) >> (4 - column % 2 * 4) & 15;
                    for i in 0..32 {
                        let column = i / 16 * 32 + Self::order(i % 16);
                        *to.add(4 + i) = code(column) | code(column + 16) << 4;
                    }
                }
            }
        }
    }

    unsafe fn floats<V: Vector>(
        group: *const u8,
        first: usize,
        count: usize,
        scratch: *mut f32,
    ) -> *const f32 {
        let start = first / COLUMNS * COLUMNS;
        let end = (first + count).next_multiple_of(COLUMNS);
        let (mut block, constants) = ([0.0f32; COLUMNS], Self::constants::<V>());
        for row in 0..GROUP {
            for at in (start..end).step_by(COLUMNS) {
                // SAFETY: a block of the group, and columns that the scratch takes.
                unsafe {
                    Self::decode::<V>(group, row, at, COLUMNS, block.as_mut_ptr(), &constants);
                    for k in first.max(at)..(first + count).min(at + COLUMNS) {
                        *scratch.add((k - first) * GROUP + row) = block[k - at];
                    }
                }
            }
        }
        scratch
    }

    #[inline(never)]
    unsafe fn multiply<V: Vector>(
        group: *const u8,
        x: *const f32,
        rows: usize,
        cols: usize,
        sums: *mut f32,
        strip: *mut f32,
    ) {
        // SAFETY: the caller's promise; behind the strip there is room for the chains.
        unsafe {
            let chains = strip.add(CHUNK * GROUP);
            core::slice::from_raw_parts_mut(chains, rows * GROUP * 4).fill(0.0);
            for first in (0..cols).step_by(CHUNK) {
                let count = CHUNK.min(cols - first);
                Self::decode_group::<V>(group, first, count, strip);
                for row in (0..rows).step_by(4) {
                    let (x, chains) = (x.add(row * cols + first), chains.add(row * GROUP * 4));
                    match 4.min(rows - row) {
                        1 => tile::<V, 1, 8>(strip, x, cols, count, chains),
                        2 => tile::<V, 2, 4>(strip, x, cols, count, chains),
                        3 => tile::<V, 3, 2>(strip, x, cols, count, chains),
                        _ => tile::<V, 4, 2>(strip, x, cols, count, chains),
                    }
                }
            }
            for at in 0..rows * GROUP {
                let chain = |i: usize| *chains.add(4 * at + i);
                *sums.add(at) = (chain(0) + chain(1)) + (chain(2) + chain(3));
            }
        }
    }
}
