//! What JavaScript calls. Sizes come from here alone, so that layouts are known in one place.

use crate::linear::{self, Format};
use crate::program::{walk, BatchWords, Context};
use crate::{ops, step};

/// Runs `length` words of code; 0 when done, 1 when another thread has failed.
///
/// # Safety
/// That of [`walk`].
#[no_mangle]
pub unsafe extern "C" fn run(
    code: *const u32,
    length: usize,
    context: *const Context,
    batch: *const BatchWords,
    thread: usize,
    private: *mut u8,
) -> u32 {
    // SAFETY: the caller's promise.
    let result = unsafe {
        let code = core::slice::from_raw_parts(code, length);
        walk(code, &*context, &*batch, thread, private)
    };
    result.is_err() as u32
}

fn format(number: u32) -> Format {
    Format::from_u32(number).expect("a format")
}

/// Bytes of a packed weight of up to 4 GiB.
#[no_mangle]
pub extern "C" fn packed_bytes(format_number: u32, rows: usize, cols: usize) -> usize {
    linear::packed_bytes(format(format_number), rows, cols)
}

/// Packs rows of a weight: see [`linear::pack`].
///
/// # Safety
/// That of [`linear::pack`].
#[no_mangle]
pub unsafe extern "C" fn pack(
    format_number: u32,
    src: *const u8,
    first_row: usize,
    row_count: usize,
    total_rows: usize,
    cols: usize,
    dst: *mut u8,
) {
    // SAFETY: the caller's promise.
    unsafe {
        linear::pack(
            format(format_number),
            src,
            first_row,
            row_count,
            total_rows,
            cols,
            dst,
        )
    }
}

/// Bytes of the int8 images of rows.
#[no_mangle]
pub extern "C" fn prepared_bytes(rows: usize, cols: usize) -> usize {
    linear::input_bytes(rows, cols)
}

/// Bytes of a thread's private memory for rows of up to `cols` values and heads of one shape.
#[no_mangle]
pub extern "C" fn private_bytes(cols: usize, group: usize, head_dim: usize) -> usize {
    step::private_bytes(cols, ops::scratch_bytes(group, head_dim))
}

/// Bytes of [`Context`]'s partials.
#[no_mangle]
pub extern "C" fn partial_bytes(
    threads: usize,
    context: usize,
    group: usize,
    head_dim: usize,
) -> usize {
    ops::partial_bytes(threads, context, group, head_dim)
}
