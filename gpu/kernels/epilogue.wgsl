// What linear does with a result: 0 stores it, 1 adds it to what is there (the residual), 2 multiplies it with the activation of what is there (the gate).
override epilogue: u32;
override activation: u32; // order of `activations` in engine/program.ts
override has_bias: bool;
override rotary: u32; // head_dim where this part is q or k, whose rows pack.wgsl reordered; 0 elsewhere
override bias_first: u32; // where this weight part's biases begin
override of_outputs: bool; // rows are the batch's outputs, not its tokens

fn row_count() -> u32 { return select(batch.rows, batch.outputs, of_outputs); }

// Error function, Numerical Recipes' erfc with fractional error below 1.2e-7.
fn erf(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.5 * abs(x));
  let p = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  let c = t * exp(p - x * x);
  return select(c - 1.0, 1.0 - c, x >= 0.0);
}

fn activate(x: f32) -> f32 {
  switch (activation) {
    case 0u: { return x / (1.0 + exp(-x)); }
    case 1u: { return 0.5 * x * (1.0 + erf(x * 0.70710678)); }
    case 2u: { return 0.5 * x * (1.0 + tanh(clamp(0.79788456 * (x + 0.044715 * x * x * x), -15.0, 15.0))); }
    default: { return max(x, 0.0); }
  }
}

fn store(at: u32, o: u32, sum: f32) {
  var value = sum;
  if (has_bias) { value += bias[bias_first + bias_index(o)]; }
  switch (epilogue) {
    case 1u: { out[at] += value; }
    case 2u: { out[at] = activate(out[at]) * value; }
    default: { out[at] = value; }
  }
}

// Stores gate and up of output o at once; the biases of up follow those of gate, `gated` of each.
fn store_gated(at: u32, o: u32, gated: u32, gate_sum: f32, up_sum: f32) {
  var gate = gate_sum;
  var up = up_sum;
  if (has_bias) {
    gate += bias[bias_first + o];
    up += bias[bias_first + gated + o];
  }
  out[at] = activate(gate) * up;
}

// Biases keep the checkpoint's order: output 2i of a reordered head is value i, output 2i + 1 value i + head_dim / 2.
fn bias_index(o: u32) -> u32 {
  if (rotary == 0u) { return o; }
  let d = o % rotary;
  return o - d + select(d / 2u + rotary / 2u, d / 2u, (d & 1u) == 0u);
}
