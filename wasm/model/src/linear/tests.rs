//! Every kernel against the oracle: all formats, both arithmetics, odd sizes, misaligned pointers, extreme values, and the same bits for
//! every number of rows and every split.

use super::*;

/// xorshift; seeds must not be 0.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
    fn float(&mut self) -> f32 {
        self.next() as i32 as f32 / 2f32.powi(31)
    }
    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }
}

/// Where the halves of a block lie.
fn halves(format: Format) -> &'static [usize] {
    match format {
        Format::F16 | Format::Q4_0 | Format::Q8_0 => &[0],
        Format::Q4_1 | Format::Q4K | Format::Q5K => &[0, 2],
        Format::Q6K => &[208],
        _ => &[],
    }
}

/// A type of bitsandbytes: f32 absmax comes first.
fn four_bit(format: Format) -> bool {
    format.block() == (64, 36)
}

/// Random blocks whose numbers are of ordinary size.
fn random_weight(format: Format, rows: usize, cols: usize, random: &mut Random) -> Vec<u8> {
    let (_, bytes) = format.block();
    let mut data = vec![0u8; rows * format.row_bytes(cols)];
    for block in data.chunks_exact_mut(bytes) {
        match format {
            Format::F32 => block.copy_from_slice(&random.float().to_le_bytes()),
            Format::Bf16 => block.copy_from_slice(&random.float().to_le_bytes()[2..]),
            _ => {
                block
                    .iter_mut()
                    .for_each(|byte| *byte = random.next() as u8);
                for &at in halves(format) {
                    // A sign, an exponent of 2^-7 to 2^-4, any mantissa.
                    let bits = random.next();
                    let half = bits & 0x8000 | (8 + (bits >> 20 & 3)) << 10 | bits & 0x3ff;
                    block[at..at + 2].copy_from_slice(&(half as u16).to_le_bytes());
                }
                if four_bit(format) {
                    block[..4].copy_from_slice(&random.float().to_le_bytes());
                }
            }
        }
    }
    data
}

/// A packed weight and what it was packed from.
struct Packed {
    part: Part,
    weights: Vec<f32>,
    _data: Vec<u8>,
}

fn packed(format: Format, src: &[u8], rows: usize, cols: usize) -> Packed {
    let mut data = vec![0xaau8; packed_bytes(format, rows, cols) + 1];
    // Odd addresses: nothing may depend on alignment. In two calls, the later rows first.
    let dst = unsafe { data.as_mut_ptr().add(1) };
    let split = if rows > 32 { 32 } else { 0 };
    let bytes = format.row_bytes(cols);
    for (first, count) in [(split, rows - split), (0, split)] {
        // SAFETY: rows of the source, and a destination of `packed_bytes`.
        unsafe {
            pack(
                format,
                src[first * bytes..].as_ptr(),
                first,
                count,
                rows,
                cols,
                dst,
            )
        };
    }
    let part = Part {
        format,
        rows,
        cols,
        data: dst,
    };
    Packed {
        part,
        weights: oracle::weights(format, src, cols),
        _data: data,
    }
}

fn image(x: &[f32], rows: usize, cols: usize) -> Vec<u8> {
    let mut image = vec![0u8; input_bytes(rows, cols)];
    for (first, end) in [(rows / 2, rows), (0, rows / 2)] {
        // SAFETY: rows of x, and a whole image.
        unsafe { prepare(x.as_ptr(), first..end, rows, cols, image.as_mut_ptr()) };
    }
    image
}

/// The outputs, with groups in two calls.
fn multiply(part: &Part, x: &[f32], int8: bool, rows: usize, split: usize) -> Vec<f32> {
    let image = if int8 {
        image(x, rows, part.cols)
    } else {
        Vec::new()
    };
    let prepared = if int8 {
        image.as_ptr()
    } else {
        core::ptr::null()
    };
    let stride = part.rows + 3;
    let mut out = vec![f32::NAN; rows * stride];
    let mut scratch = vec![0u8; SCRATCH_BYTES];
    for groups in [split..part.groups(), 0..split] {
        // SAFETY: shapes as declared.
        unsafe {
            linear(
                part,
                x.as_ptr(),
                prepared,
                rows,
                out.as_mut_ptr(),
                stride,
                core::ptr::null(),
                Epilogue::Set,
                groups,
                scratch.as_mut_ptr(),
            );
        }
    }
    assert!(out
        .chunks(stride)
        .all(|row| row[part.rows..].iter().all(|x| x.is_nan())));
    out.chunks(stride)
        .flat_map(|row| row[..part.rows].to_vec())
        .collect()
}

fn assert_close(got: &[f32], want: &[(f64, f64)], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len());
    for (i, (&got, &(want, magnitude))) in got.iter().zip(want).enumerate() {
        let error = (got as f64 - want).abs();
        assert!(
            error <= tolerance * magnitude + 1e-30,
            "{what}: output {i} is {got}, want {want}"
        );
    }
}

fn modes(format: Format) -> &'static [bool] {
    if format.quantized() {
        &[false, true]
    } else {
        &[false]
    }
}

/// A sum of random numbers loses about 2^-24 a step at random, one of equal numbers always the same way.
const RANDOM: f64 = 2e-6;
const EQUAL: f64 = 256.0 / (1 << 24) as f64;

fn check(packed: &Packed, x: &[f32], rows: usize, tolerance: f64, what: &str) {
    let Part { format, cols, .. } = packed.part;
    for &int8 in modes(format) {
        let got = multiply(&packed.part, x, int8, rows, packed.part.groups() / 2);
        let x = if int8 { oracle::int8(x) } else { x.to_vec() };
        let want = oracle::matmul(&x, &packed.weights, cols);
        assert_close(
            &got,
            &want,
            tolerance,
            &format!("{what} {format:?} int8 {int8} {rows} x {cols}"),
        );
    }
}

fn columns(format: Format) -> &'static [usize] {
    match format.block().0 {
        1 => &[1, 2, 3, 31, 32, 37, 65, 256, 259, 513],
        32 => &[32, 64, 96, 256, 288, 544, 576],
        64 => &[64, 128, 256, 320, 576],
        _ => &[256, 512, 768, 1536],
    }
}

#[test]
fn unpacked_rows_are_exact() {
    let mut random = Random(1);
    for format in Format::ALL {
        for &cols in columns(format) {
            for rows in [5, 35] {
                let src = random_weight(format, rows, cols, &mut random);
                let packed = packed(format, &src, rows, cols);
                for (row, want) in packed.weights.chunks(cols).enumerate() {
                    let mut got = vec![f32::NAN; cols];
                    // SAFETY: a row of the weight.
                    unsafe { unpack_row(&packed.part, row, got.as_mut_ptr()) };
                    assert_eq!(got, want, "{format:?} row {row} of {rows} x {cols}");
                }
            }
        }
    }
}

#[test]
fn every_column_count_and_row_count() {
    let mut random = Random(2);
    for format in Format::ALL {
        for &cols in columns(format) {
            for (rows, outputs) in [(1, 35), (2, 1), (3, 16), (4, 5), (6, 17)] {
                let src = random_weight(format, outputs, cols, &mut random);
                let x = random.floats(rows * cols);
                check(
                    &packed(format, &src, outputs, cols),
                    &x,
                    rows,
                    RANDOM,
                    "random",
                );
            }
        }
    }
}

#[test]
fn more_rows_than_a_panel() {
    let mut random = Random(3);
    for format in Format::ALL {
        let (outputs, cols) = (5, 256);
        let src = random_weight(format, outputs, cols, &mut random);
        let packed = packed(format, &src, outputs, cols);
        for rows in [128, 259] {
            check(&packed, &random.floats(rows * cols), rows, RANDOM, "panels");
        }
    }
}

#[test]
fn the_same_bits_for_any_rows_and_any_split() {
    let mut random = Random(4);
    for format in Format::ALL {
        for cols in [256, 512] {
            let outputs = 50;
            let src = random_weight(format, outputs, cols, &mut random);
            let packed = packed(format, &src, outputs, cols);
            let x = random.floats(9 * cols);
            for &int8 in modes(format) {
                let alone: Vec<f32> = x
                    .chunks(cols)
                    .flat_map(|x| multiply(&packed.part, x, int8, 1, 0))
                    .collect();
                for rows in 1..=9 {
                    for split in [0, 3] {
                        let got = multiply(&packed.part, &x[..rows * cols], int8, rows, split);
                        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
                        assert_eq!(
                            bits(&got),
                            bits(&alone[..rows * outputs]),
                            "{format:?} {rows}"
                        );
                    }
                }
            }
        }
    }
}

/// The portable vector panics on overflow and on operands that engines treat differently, so this proves there are none.
#[test]
fn extreme_values() {
    for format in Format::ALL {
        let (outputs, cols, rows) = (1, 256, 5);
        let (_, bytes) = format.block();
        for fill in [0x00u8, 0x7f, 0x80, 0xff] {
            // One, the smallest subnormal, the largest subnormal, the largest, and minus it.
            for half in [0x3c00u16, 0x0001, 0x03ff, 0x7bff, 0xfbff] {
                // Float32 and bfloat16, absmax too, have more exponents, and would overflow in sums.
                let bits = half & 0xbfff;
                let mut src = vec![fill; outputs * format.row_bytes(cols)];
                if matches!(format, Format::F32 | Format::Bf16) {
                    src.chunks_exact_mut(2)
                        .for_each(|x| x.copy_from_slice(&bits.to_le_bytes()));
                }
                for block in src.chunks_exact_mut(bytes) {
                    if four_bit(format) {
                        block[..4].copy_from_slice(&((bits as u32) << 16).to_le_bytes());
                    }
                    for &at in halves(format) {
                        block[at..at + 2].copy_from_slice(&half.to_le_bytes());
                    }
                }
                let packed = packed(format, &src, outputs, cols);
                for value in [1.0f32, -1.0, 1e4, 0.0, 1e-10] {
                    let signs = |i: usize| if i % 7 == 3 { -value } else { value };
                    let x: Vec<f32> = (0..rows * cols).map(signs).collect();
                    check(
                        &packed,
                        &x,
                        rows,
                        EQUAL,
                        &format!("fill {fill:#x} scale {half:#x} x {value}"),
                    );
                    check(&packed, &vec![value; cols], 1, EQUAL, "constant");
                }
            }
        }
    }
}

#[test]
fn not_a_number_does_not_vanish() {
    for format in Format::ALL {
        let cols = 256;
        let src = random_weight(format, 16, cols, &mut Random(6));
        let packed = packed(format, &src, 16, cols);
        for at in [0, 5, 100, 255] {
            let mut x = vec![0.5; cols];
            x[at] = f32::NAN;
            for &int8 in modes(format) {
                assert!(multiply(&packed.part, &x, int8, 1, 0)
                    .iter()
                    .all(|x| x.is_nan()));
            }
        }
    }
}

#[test]
fn epilogues_and_bias() {
    let mut random = Random(5);
    for (outputs, rows) in [(5, 1), (16, 3), (37, 6)] {
        let cols = 64;
        let src = random_weight(Format::F32, outputs, cols, &mut random);
        let packed = packed(Format::F32, &src, outputs, cols);
        let (x, bias) = (random.floats(rows * cols), random.floats(outputs));
        let before: Vec<f32> = random
            .floats(rows * outputs)
            .iter()
            .map(|x| 8.0 * x)
            .collect();
        let sums = oracle::matmul(&x, &packed.weights, cols);
        let gates = Activation::ALL.map(Epilogue::Gate);
        for epilogue in [Epilogue::Set, Epilogue::Add].into_iter().chain(gates) {
            let mut out = before.clone();
            let mut scratch = vec![0u8; SCRATCH_BYTES];
            // SAFETY: shapes as declared.
            unsafe {
                linear(
                    &packed.part,
                    x.as_ptr(),
                    core::ptr::null(),
                    rows,
                    out.as_mut_ptr(),
                    outputs,
                    bias.as_ptr(),
                    epilogue,
                    0..packed.part.groups(),
                    scratch.as_mut_ptr(),
                );
            }
            for (i, &got) in out.iter().enumerate() {
                let value = sums[i].0 + bias[i % outputs] as f64;
                let before = before[i] as f64;
                let want = match epilogue {
                    Epilogue::Set => value,
                    Epilogue::Add => before + value,
                    Epilogue::Gate(activation) => activation.exact(before) * value,
                };
                assert!(
                    (got as f64 - want).abs() < 2e-5,
                    "{epilogue:?} {i}: {got}, want {want}"
                );
            }
        }
    }
}
