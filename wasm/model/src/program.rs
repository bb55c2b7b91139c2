//! Walks an encoded program. Everything is in 32-bit words, written by `wasm/encode.ts`; addresses are those of this memory.
//!
//! A step is `[op, kind of rows, words that follow, operands..]`, operands in the order of `ops` in `engine/program.ts`, each as
//! - buffer: its address and columns,
//! - matrix: `cols, parts, (format, rows, address) of each part`,
//! - vector: its address, 0 if absent,
//! - cache: its address,
//! - constant: the number, or its bits if it is a float.

use crate::cache::Cache;
use crate::element::{Bf16, Element, F16};
use crate::linear::{Activation, Format, Part};
use crate::ops;
use crate::step::{Batch, Matrix, Workspace};
use crate::team::{Aborted, Shared, Team};
use crate::vector::Native;

/// Words that are the same for every step and batch.
#[repr(C)]
pub struct Context {
    /// Address of the team's words.
    team: u32,
    threads: u32,
    /// 0 = float32, 1 = int8 where weights are quantized.
    activations: u32,
    /// 0 = f32, 1 = f16, 2 = bf16.
    cache_type: u32,
    slots: u32,
    block_size: u32,
    normalized: u32,
    prepared: u32,
    partials: u32,
}

/// The words of a batch: counts, then addresses.
#[repr(C)]
pub struct BatchWords {
    rows: u32,
    outputs: u32,
    sequences: u32,
    blocks_per_sequence: u32,
    /// 1 if `embed`'s output is already there.
    embedded: u32,
    tokens: u32,
    rope: u32,
    slots: u32,
    query_starts: u32,
    context_lengths: u32,
    block_tables: u32,
    output_rows: u32,
}

fn address<T>(word: u32) -> *mut T {
    word as usize as *mut T
}

impl BatchWords {
    fn batch(&self) -> Batch {
        Batch {
            rows: self.rows as usize,
            outputs: self.outputs as usize,
            sequences: self.sequences as usize,
            blocks_per_sequence: self.blocks_per_sequence as usize,
            tokens: address(self.tokens),
            rope: address(self.rope),
            slots: address(self.slots),
            query_starts: address(self.query_starts),
            context_lengths: address(self.context_lengths),
            block_tables: address(self.block_tables),
            output_rows: address(self.output_rows),
        }
    }
}

/// Most parts of a weight.
pub const MOST_PARTS: usize = 8;

/// Parts of a matrix, read from words.
struct Parts {
    cols: usize,
    count: usize,
    parts: [Part; MOST_PARTS],
}

impl Parts {
    fn matrix(&self) -> Matrix<'_> {
        Matrix {
            cols: self.cols,
            parts: &self.parts[..self.count],
        }
    }
}

/// Operands of a step, one after the other.
struct Operands<'a>(core::slice::Iter<'a, u32>);

impl Operands<'_> {
    fn number(&mut self) -> u32 {
        *self.0.next().expect("an operand")
    }
    fn size(&mut self) -> usize {
        self.number() as usize
    }
    fn float(&mut self) -> f32 {
        f32::from_bits(self.number())
    }
    fn vector(&mut self) -> *mut f32 {
        address(self.number())
    }
    fn buffer(&mut self) -> *mut f32 {
        self.buffer_and_cols().0
    }
    fn buffer_and_cols(&mut self) -> (*mut f32, usize) {
        (address(self.number()), self.size())
    }
    fn matrix(&mut self) -> Parts {
        let (cols, count) = (self.size(), self.size());
        let nothing = Part {
            format: Format::F32,
            rows: 0,
            cols,
            data: core::ptr::null(),
        };
        let mut parts = [nothing; MOST_PARTS];
        for part in &mut parts[..count] {
            part.format = Format::from_u32(self.number()).expect("a format");
            part.rows = self.size();
            part.data = address(self.number());
        }
        Parts { cols, count, parts }
    }
}

/// Runs every step of `code`, a barrier before the first and after each.
///
/// # Safety
/// All addresses in the words are valid for the shapes of their ops and the counts of the batch, `private` is this thread's own
/// `private_bytes`, and all threads of the team call it alike.
pub unsafe fn walk(
    code: &[u32],
    context: &Context,
    batch: &BatchWords,
    thread: usize,
    private: *mut u8,
) -> Result<(), Aborted> {
    let team = Team {
        thread,
        threads: context.threads as usize,
        // SAFETY: the team's words, which only atomic operations touch.
        shared: unsafe { &*address::<Shared>(context.team) },
    };
    let work = Workspace {
        int8: context.activations == 1,
        normalized: address(context.normalized),
        prepared: address(context.prepared),
        partials: address(context.partials),
        private,
    };
    team.barrier()?;
    let mut rest = code;
    while let [op, rows, length, after @ ..] = rest {
        let (operands, next) = after.split_at(*length as usize);
        let rows = [batch.rows, batch.outputs][*rows as usize] as usize;
        if rows > 0 {
            // SAFETY: the caller's promise.
            unsafe { step(*op, operands, &team, &work, context, batch, rows)? };
            team.barrier()?;
        }
        rest = next;
    }
    Ok(())
}

/// One step of `rows` rows.
///
/// # Safety
/// That of [`walk`].
unsafe fn step(
    op: u32,
    operands: &[u32],
    team: &Team,
    work: &Workspace,
    context: &Context,
    words: &BatchWords,
    rows: usize,
) -> Result<(), Aborted> {
    let mut o = Operands(operands.iter());
    let batch = words.batch();
    // SAFETY: the caller's promise; struct fields are read in the order in which they are written here.
    unsafe {
        match op {
            0 => {
                let (table, out) = (o.matrix(), o.buffer());
                if words.embedded == 0 {
                    ops::embed(team, &batch, &table.matrix(), out);
                }
                Ok(())
            }
            1 => {
                let (x, norm, parts, bias, out) =
                    (o.buffer(), o.vector(), o.matrix(), o.vector(), o.buffer());
                let op = ops::NormLinear {
                    x,
                    norm,
                    weight: parts.matrix(),
                    bias,
                    out,
                    eps: o.float(),
                };
                ops::norm_linear(team, work, rows, &op)
            }
            2 => {
                match context.cache_type {
                    0 => rope_store::<f32>(team, &batch, context, &mut o),
                    1 => rope_store::<F16>(team, &batch, context, &mut o),
                    _ => rope_store::<Bf16>(team, &batch, context, &mut o),
                }
                Ok(())
            }
            3 => match context.cache_type {
                0 => attention::<f32>(team, work, &batch, context, &mut o),
                1 => attention::<F16>(team, work, &batch, context, &mut o),
                _ => attention::<Bf16>(team, work, &batch, context, &mut o),
            },
            4 => {
                let (x, parts, bias, out) = (o.buffer(), o.matrix(), o.vector(), o.buffer());
                ops::linear_add(team, work, rows, x, &parts.matrix(), bias, out)
            }
            5 => {
                let (x, norm, parts, bias, out) =
                    (o.buffer(), o.vector(), o.matrix(), o.vector(), o.buffer());
                let op = ops::NormGatedLinear {
                    x,
                    norm,
                    weight: parts.matrix(),
                    bias,
                    out,
                    eps: o.float(),
                    activation: Activation::from_u32(o.number()).expect("an activation"),
                };
                ops::norm_gated_linear(team, work, rows, &op)
            }
            6 => {
                let ((x, cols), out) = (o.buffer_and_cols(), o.buffer());
                ops::gather(team, &batch, x, out, cols);
                Ok(())
            }
            _ => panic!("no op has this number"),
        }
    }
}

fn cache<E>(context: &Context, data: *mut f32, kv_heads: usize, head_dim: usize) -> Cache<E> {
    Cache {
        data: data.cast(),
        kv_heads,
        head_dim,
        slots: context.slots as usize,
        block_size: context.block_size as usize,
    }
}

/// # Safety
/// That of [`walk`].
unsafe fn rope_store<E: Element>(team: &Team, batch: &Batch, context: &Context, o: &mut Operands) {
    let (qkv, data, heads) = (o.buffer(), o.vector(), o.size());
    let cache = cache::<E>(context, data, o.size(), o.size());
    let op = ops::RopeStore {
        qkv,
        cache,
        heads,
        rope: o.number() == 1,
    };
    // SAFETY: the caller's promise.
    unsafe { ops::rope_store::<Native, E>(team, batch, &op) }
}

/// # Safety
/// That of [`walk`].
unsafe fn attention<E: Element>(
    team: &Team,
    work: &Workspace,
    batch: &Batch,
    context: &Context,
    o: &mut Operands,
) -> Result<(), Aborted> {
    let (qkv, data, out, heads) = (o.buffer(), o.vector(), o.buffer(), o.size());
    let cache = cache::<E>(context, data, o.size(), o.size());
    let op = ops::Attention {
        qkv,
        cache,
        out,
        heads,
        window: o.size(),
    };
    // SAFETY: the caller's promise.
    unsafe { ops::attention::<Native, E>(team, work, batch, &op) }
}
