//! Linear layers: `out = x * weight^T` for every weight format, one row of activations or many.
//!
//! A weight is packed once, rows in groups of [`GROUP`], and then serves a single row (decode) and many rows (prefill) alike.
//! Results are batch-invariant: an output element is the same bits whatever `rows` is and however groups are split over threads.

mod format;

use core::ops::Range;
pub use format::Format;

/// Rows of a weight that are packed together; threads split the work by groups.
pub const GROUP: usize = 16;
/// Bytes of scratch memory that [`linear`] needs, per thread.
pub const SCRATCH_BYTES: usize = 64 * 1024;

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

/// Activation functions, in the order of `activations` in the op vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Activation {
    Silu,
    Gelu,
    GeluTanh,
    Relu,
}

impl Activation {
    /// The activation with this number.
    pub fn from_u32(number: u32) -> Option<Activation> {
        [
            Activation::Silu,
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::Relu,
        ]
        .get(number as usize)
        .copied()
    }

    fn apply(self, x: f32) -> f32 {
        match self {
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::Gelu => x * 0.5 * (1.0 + erf(x * core::f32::consts::FRAC_1_SQRT_2)),
            Activation::GeluTanh => {
                x * 0.5 * (1.0 + (0.797_884_6 * (x + 0.044_715 * x * x * x)).tanh())
            }
            Activation::Relu => x.max(0.0),
        }
    }
}

/// Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7.
fn erf(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let poly = t
        * (0.254_829_6
            + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152_1 + t * 1.061_405_4))));
    (1.0 - poly * (-x * x).exp()).copysign(x)
}

/// What happens to a value `v = x[r] . weight[n] + bias[n]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// `out = v`
    Set,
    /// `out += v`
    Add,
    /// `out = activation(out) * v`: `out` already holds the gate projection.
    Gate(Activation),
}

/// Bytes of a packed weight; rows are padded to whole groups.
pub fn packed_bytes(format: Format, rows: usize, cols: usize) -> usize {
    rows.div_ceil(GROUP) * GROUP * format.row_bytes(cols)
}

/// Packs rows `first_row .. first_row + row_count` of a weight; calls for different rows may run in any order and on any thread.
///
/// # Safety
/// `src` holds `row_count` row-major rows; `dst` is the start of `packed_bytes(format, total_rows, cols)` bytes;
/// `first_row` is a multiple of 32 and so is `row_count`, unless the last row is among them.
pub unsafe fn pack(
    format: Format,
    src: *const u8,
    first_row: usize,
    row_count: usize,
    total_rows: usize,
    cols: usize,
    dst: *mut u8,
) {
    let _ = total_rows;
    let bytes = format.row_bytes(cols);
    // SAFETY: both ranges are inside what the caller promised.
    unsafe { core::ptr::copy_nonoverlapping(src, dst.add(first_row * bytes), row_count * bytes) }
}

/// Dequantizes row `row` exactly into `cols` floats.
///
/// # Safety
/// `part` is packed, `row < part.rows`, and `out` takes `part.cols` floats.
pub unsafe fn unpack_row(part: &Part, row: usize, out: *mut f32) {
    let (values, bytes) = part.format.block();
    let row_bytes = part.format.row_bytes(part.cols);
    for b in 0..part.cols / values {
        // SAFETY: block `b` of a row inside the weight.
        unsafe {
            let block =
                core::slice::from_raw_parts(part.data.add(row * row_bytes + b * bytes), bytes);
            let out = core::slice::from_raw_parts_mut(out.add(b * values), values);
            format::dequantize(part.format, block, out);
        }
    }
}

/// Bytes of the int8 image of `rows` activation rows.
pub fn input_bytes(rows: usize, cols: usize) -> usize {
    rows * cols.div_ceil(32) * 40
}

/// Writes the int8 image of activation rows `rows` (of `total_rows`) for quantized weights; threads may each prepare a range.
///
/// # Safety
/// `x` is `[total_rows, cols]`, `cols` a multiple of 32, and `dst` the start of `input_bytes(total_rows, cols)` bytes, 16-byte aligned.
pub unsafe fn prepare(
    x: *const f32,
    rows: Range<usize>,
    total_rows: usize,
    cols: usize,
    dst: *mut u8,
) {
    let _ = (x, rows, total_rows, cols, dst);
}

/// Multiplies `rows` activation rows with the rows of `part` in `groups`.
///
/// `x` is `[rows, cols]` float32. `prepared` is its image from [`prepare`] for int8 arithmetic with a quantized weight, or null for float32
/// arithmetic on exactly dequantized weights. Output `n` of row `r` goes to `out[r * out_stride + n]`; `bias` (or null) holds `part.rows` floats.
///
/// # Safety
/// All pointers cover those shapes, `scratch` is [`SCRATCH_BYTES`] that no other thread uses, and no other thread writes the outputs of `groups`.
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
    let _ = (prepared, scratch);
    let mut weight = vec![0.0; part.cols];
    for n in groups.start * GROUP..(groups.end * GROUP).min(part.rows) {
        // SAFETY: row `n` and the outputs are inside what the caller promised.
        unsafe {
            unpack_row(part, n, weight.as_mut_ptr());
            for r in 0..rows {
                let mut value = 0.0;
                for (k, w) in weight.iter().enumerate() {
                    value += w * *x.add(r * part.cols + k);
                }
                if !bias.is_null() {
                    value += *bias.add(n);
                }
                let out = &mut *out.add(r * out_stride + n);
                *out = match epilogue {
                    Epilogue::Set => value,
                    Epilogue::Add => *out + value,
                    Epilogue::Gate(activation) => activation.apply(*out) * value,
                };
            }
        }
    }
}
