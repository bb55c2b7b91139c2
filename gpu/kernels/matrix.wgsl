// A weight matrix and what becomes of its products. It is data, not constants of the pipeline: one pipeline serves all matrices of a format.
struct Matrix {
  inner: u32,      // values of a row
  blocks: u32,     // ceil(inner / 32)
  half: u32,       // 1 where rows come in groups of 16 (layout.wgsl)
  rows: u32,       // outputs of this chunk of weights
  first: u32,      // where they begin in a row of `out` (embed: in the table)
  stride: u32,     // values of a row of `out`
  gated: u32,      // rows of gate, when up lies behind it and both are made together; else 0
  splits: u32,     // parts of K; with more than one `out` holds a plane of sums for each, linear_sum.wgsl adds them
  adds: u32,       // results are added to what is there
  bias_first: u32, // where this weight part's biases begin
  rotary: u32,     // head_dim where this part is q or k, whose rows pack.wgsl reordered; 0 elsewhere
  of_outputs: u32, // rows are the batch's outputs, not its tokens
}
@group(0) @binding(1) var<uniform> matrix: Matrix;
