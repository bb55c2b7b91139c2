//! Linear layers: `out = x * weight^T` for every weight format, one row of activations or many.
//!
//! A weight is packed once, rows in groups of [`GROUP`], and then serves a single row (decode) and many rows (prefill) alike. A lane of a
//! vector is an output row (but in [`four_bit`]), so nothing is ever added across lanes:
//!
//! ```text
//! float32   float::Packed::multiply             }
//! int8      quantized::few, quantized::matmul   } -> sums [rows][GROUP] -> epilogue -> out
//! ```
//!
//! Results are batch-invariant: an output element is made by the same operations in the same order, whatever `rows` is, whichever tile it
//! falls in and however groups are split over threads.

// A loop over lanes or rows walks through several arrays at once.
#![allow(clippy::needless_range_loop)]

mod activation;
mod bf16;
mod bytes;
mod epilogue;
mod f16;
mod f32;
mod float;
mod format;
mod four_bit;
mod four_bit_numbers;
mod image;
mod nibbles;
#[cfg(test)]
mod oracle;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_k;
mod q6_k;
mod q8_0;
mod quantized;
#[cfg(test)]
mod tests;
mod vector;

use bytes::ByteQuants;
use core::ops::Range;
use float::Packed;
use four_bit::FourBit;
use four_bit_numbers::{Fp4, Nf4, ToBf16, ToF16, ToF32};
use nibbles::Nibble;
use quantized::Quantized;
use vector::Native;

pub use activation::Activation;
pub use epilogue::Epilogue;
pub use format::Format;

/// Rows of a weight that are packed together; threads split the work by groups.
pub const GROUP: usize = 16;
/// Activation rows whose sums are kept at a time, at most.
const PANEL: usize = 128;
/// Bytes of activations that are kept in the second-level cache.
const CACHE_BYTES: usize = 512 * 1024;
const SUMS_BYTES: usize = PANEL * GROUP * 4;
const FLOAT_STRIP_BYTES: usize = float::CHUNK * GROUP * 4 + four_bit::CHAINS_BYTES;
/// Bytes of scratch memory that [`linear`] needs, per thread.
pub const SCRATCH_BYTES: usize = SUMS_BYTES
    + if quantized::STRIP_BYTES > FLOAT_STRIP_BYTES {
        quantized::STRIP_BYTES
    } else {
        FLOAT_STRIP_BYTES
    };

/// A packed weight matrix of `rows` outputs and `cols` inputs.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub format: Format,
    pub rows: usize,
    pub cols: usize,
    /// `packed_bytes(format, rows, cols)` bytes written by [`pack`].
    pub data: *const u8,
}

impl Part {
    /// How many groups of rows there are.
    pub fn groups(&self) -> usize {
        self.rows.div_ceil(GROUP)
    }
}

/// Calls a function that is generic over [`Packed`] with the type of a format.
macro_rules! with_format {
    ($format:expr, $f:ident ( $($argument:expr),* )) => {
        match $format {
            Format::F32 => $f::<f32::F32>($($argument),*),
            Format::F16 => $f::<f16::F16>($($argument),*),
            Format::Bf16 => $f::<bf16::Bf16>($($argument),*),
            Format::Nf4 => $f::<FourBit<Nf4, ToF32>>($($argument),*),
            Format::Nf4Bf16 => $f::<FourBit<Nf4, ToBf16>>($($argument),*),
            Format::Nf4F16 => $f::<FourBit<Nf4, ToF16>>($($argument),*),
            Format::Fp4 => $f::<FourBit<Fp4, ToF32>>($($argument),*),
            Format::Fp4Bf16 => $f::<FourBit<Fp4, ToBf16>>($($argument),*),
            Format::Fp4F16 => $f::<FourBit<Fp4, ToF16>>($($argument),*),
            _ => with_quantized!($format, $f($($argument),*)),
        }
    };
}

/// Calls a function that is generic over [`Quantized`] with the type of a quantized format.
macro_rules! with_quantized {
    ($format:expr, $f:ident ( $($argument:expr),* )) => {
        match $format {
            Format::Q8_0 => $f::<q8_0::Q8_0>($($argument),*),
            Format::Q4_0 => $f::<Nibble<q4_0::Q4_0>>($($argument),*),
            Format::Q4_1 => $f::<Nibble<q4_1::Q4_1>>($($argument),*),
            Format::Q4K => $f::<Nibble<q4_k::Q4K>>($($argument),*),
            Format::Q5K => $f::<ByteQuants<q5_k::Q5K>>($($argument),*),
            Format::Q6K => $f::<ByteQuants<q6_k::Q6K>>($($argument),*),
            format => unreachable!("{format:?} has no int8 kernels"),
        }
    };
}

fn group_bytes<W: Packed>(cols: usize) -> usize {
    W::group_bytes(cols)
}

/// Bytes of a packed weight; rows are padded to whole groups.
pub fn packed_bytes(format: Format, rows: usize, cols: usize) -> usize {
    rows.div_ceil(GROUP) * with_format!(format, group_bytes(cols))
}

/// Packs rows `first_row .. first_row + row_count` of a weight; calls for different rows may run in any order and on any thread.
///
/// # Safety
/// `src` holds `row_count` row-major rows; `dst` is the start of `packed_bytes(format, total_rows, cols)` bytes; `first_row` is a multiple
/// of [`GROUP`] and so is `row_count`, unless the last row is among them; `cols` is a whole number of blocks.
pub unsafe fn pack(
    format: Format,
    src: *const u8,
    first_row: usize,
    row_count: usize,
    total_rows: usize,
    cols: usize,
    dst: *mut u8,
) {
    debug_assert!(first_row.is_multiple_of(GROUP) && first_row + row_count <= total_rows);
    for at in (0..row_count).step_by(GROUP) {
        let rows = GROUP.min(row_count - at);
        // SAFETY: the rows are inside the source, their group inside the destination.
        unsafe {
            let src = src.add(at * format.row_bytes(cols));
            let to = dst.add((first_row + at) / GROUP * with_format!(format, group_bytes(cols)));
            with_format!(format, pack_group(src, rows, cols, to));
        }
    }
}

unsafe fn pack_group<W: Packed>(src: *const u8, rows: usize, cols: usize, to: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { W::pack_group(src, rows, cols, to) }
}

/// Dequantizes row `row` exactly into `cols` floats.
///
/// # Safety
/// `part` is packed, `row < part.rows`, and `out` takes `part.cols` floats.
pub unsafe fn unpack_row(part: &Part, row: usize, out: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { with_format!(part.format, unpack_group_row(part, row, out)) }
}

#[inline(never)]
unsafe fn unpack_group_row<W: Packed>(part: &Part, row: usize, out: *mut f32) {
    const COLUMNS: usize = 32;
    let mut strip = [0.0f32; COLUMNS * GROUP];
    for first in (0..part.cols).step_by(COLUMNS) {
        let count = COLUMNS.min(part.cols - first);
        // SAFETY: the group of `row`, columns inside it, and as many floats of `out`.
        unsafe {
            let group = part.data.add(row / GROUP * W::group_bytes(part.cols));
            let strip = W::floats::<Native>(group, first, count, strip.as_mut_ptr());
            for k in 0..count {
                *out.add(first + k) = strip.add(k * GROUP + row % GROUP).read_unaligned();
            }
        }
    }
}

/// Bytes of the int8 image of `rows` activation rows.
pub fn input_bytes(rows: usize, cols: usize) -> usize {
    rows * cols.div_ceil(image::BLOCK) * image::BLOCK_BYTES
}

/// Writes the int8 image of activation rows `rows` (of `total_rows`) for quantized weights; threads may each prepare a range.
///
/// # Safety
/// `x` is `[total_rows, cols]`, `cols` a multiple of 32, and `dst` the start of `input_bytes(total_rows, cols)` bytes.
pub unsafe fn prepare(
    x: *const f32,
    rows: Range<usize>,
    total_rows: usize,
    cols: usize,
    dst: *mut u8,
) {
    for row in rows {
        // SAFETY: row `row` is inside both.
        unsafe { image::write_row::<Native>(x.add(row * cols), row, total_rows, cols, dst) }
    }
}

/// What one call of [`linear`] works on.
struct Job<'a> {
    part: &'a Part,
    x: *const f32,
    prepared: *const u8,
    rows: usize,
    output: epilogue::Output,
    groups: Range<usize>,
    scratch: *mut u8,
}

/// Multiplies `rows` activation rows with the rows of `part` in `groups`.
///
/// `x` is `[rows, cols]` float32. `prepared` is its image from [`prepare`] for int8 arithmetic with a quantized weight, or null for float32
/// arithmetic on exactly dequantized weights. Output `n` of row `r` goes to `out[r * out_stride + n]`; `bias` (or null) holds `part.rows` floats.
///
/// # Safety
/// All pointers cover those shapes (`x` may dangle where `prepared` is given), `scratch` is [`SCRATCH_BYTES`] that no other thread uses,
/// 16-byte aligned, and no other thread writes the outputs of `groups`.
#[allow(clippy::too_many_arguments)]
pub unsafe fn linear(
    part: &Part,
    x: *const f32,
    prepared: *const u8,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
    bias: *const f32,
    epilogue: Epilogue,
    groups: Range<usize>,
    scratch: *mut u8,
) {
    let output = epilogue::Output {
        out,
        stride: out_stride,
        bias,
        epilogue,
        columns: part.rows,
    };
    let job = Job {
        part,
        x,
        prepared,
        rows,
        output,
        groups,
        scratch,
    };
    // SAFETY: the caller's promise.
    unsafe {
        if part.format.quantized() && !prepared.is_null() {
            with_quantized!(part.format, multiply_int8(&job))
        } else {
            with_format!(part.format, multiply_float(&job))
        }
    }
}

/// Rows of activations, of so many bytes, that stay in the second-level cache while groups pass by.
fn panel(row_bytes: usize) -> usize {
    (CACHE_BYTES / row_bytes / image::TILE * image::TILE).clamp(16, PANEL)
}

#[inline(never)]
unsafe fn multiply_int8<W: Quantized>(job: &Job) {
    let cols = job.part.cols;
    let panel = panel(input_bytes(1, cols));
    // SAFETY: groups and panels are inside what the caller of `linear` promised.
    unsafe {
        let sums = job.scratch as *mut f32;
        let strips = job.scratch.add(SUMS_BYTES);
        for row in (0..job.rows).step_by(panel) {
            let rows = panel.min(job.rows - row);
            let image = job.prepared.add(input_bytes(row, cols));
            for group in job.groups.clone() {
                let weight = job.part.data.add(group * W::group_bytes(cols));
                if rows <= image::TILE {
                    quantized::few::<Native, W>(weight, image, rows, cols, sums);
                } else {
                    quantized::matmul::<Native, W>(weight, image, rows, cols, sums, strips);
                }
                job.output.write(sums, image::SUM, row..row + rows, group);
            }
        }
    }
}

#[inline(never)]
unsafe fn multiply_float<W: Packed>(job: &Job) {
    let cols = job.part.cols;
    let panel = panel(cols * 4);
    // SAFETY: groups and panels are inside what the caller of `linear` promised.
    unsafe {
        let sums = job.scratch as *mut f32;
        let strip = job.scratch.add(SUMS_BYTES) as *mut f32;
        for row in (0..job.rows).step_by(panel) {
            let rows = panel.min(job.rows - row);
            let x = job.x.add(row * cols);
            for group in job.groups.clone() {
                let weight = job.part.data.add(group * W::group_bytes(cols));
                W::multiply::<Native>(weight, x, rows, cols, sums, strip);
                job.output.write(sums, 1.0, row..row + rows, group);
            }
        }
    }
}
