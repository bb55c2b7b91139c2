// What linear does with a result: it stores it, adds it to what is there (the residual), or multiplies it with the activation of what is there (the gate).
// What is rare is a constant of the pipeline: the code is there for each of a thread's results.
override activation: u32; // order of `activations` in engine/program.ts
override has_bias: bool;
override on_gate: bool;   // the gate is there

fn row_count() -> u32 { return select(batch.rows, batch.outputs, matrix.of_outputs > 0u); }

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

fn place_of(row: u32, o: u32) -> u32 { return row * matrix.stride + matrix.first + o; }
// What is there where the result of output `o` for one row goes, if results are added to that.
fn residual_of(row: u32, o: u32) -> f32 {
  if (matrix.adds == 0u) { return 0.0; }
  return out[place_of(row, o)];
}
// Result of output `o` for one row.
fn store(row: u32, o: u32, sum: f32) { store_onto(row, o, sum, residual_of(row, o)); }
fn store_onto(row: u32, o: u32, sum: f32, residual: f32) {
  let at = place_of(row, o);
  var value = sum;
  if (has_bias) { value += bias[matrix.bias_first + bias_index(matrix.first + o)]; }
  if (on_gate) { value *= activate(out[at]); }
  if (matrix.adds > 0u) { value += residual; }
  out[at] = value;
}

// Gate and up of output `o` for one row; the biases of up follow those of gate.
fn store_gated(row: u32, o: u32, gate_sum: f32, up_sum: f32) -> f32 {
  let column = matrix.first + o;
  var gate = gate_sum;
  var up = up_sum;
  if (has_bias) {
    gate += bias[matrix.bias_first + column];
    up += bias[matrix.bias_first + matrix.gated + column];
  }
  let value = activate(gate) * up;
  out[row * matrix.stride + column] = value;
  return value;
}

// Biases keep the checkpoint's order: output 2i of a reordered head is value i, output 2i + 1 value i + head_dim / 2.
fn bias_index(o: u32) -> u32 {
  if (matrix.rotary == 0u) { return o; }
  let d = o % matrix.rotary;
  return o - d + select(d / 2u + matrix.rotary / 2u, d / 2u, (d & 1u) == 0u);
}
