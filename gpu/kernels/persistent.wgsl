// One token in one dispatch: every workgroup is resident (one a multiprocessor) and walks all layers, a grid-wide barrier between phases.
// This file: bindings, the barrier, staging, and how results become the next phase's input. The phases: persistent_layer, persistent_attention, persistent_head;
// weights: persistent_ahead_*, persistent_FORMAT. Names that end in _W are stamped once a segment of layers (persistent_decode.ts), because a binding cannot
// be passed to a function. 512 threads are 16 subgroups of 32; lane = output row, the subgroups share the blocks of K.
override workgroups: u32;
override hidden: u32;
override intermediate: u32;
override heads: u32;
override kv_heads: u32;
override eps: f32;
override block_shift: u32;     // log2 of the KV cache's block size
override value_plane: u32;     // 16-byte units from a layer's K to its V
override final_norm_at: u32;   // where norms lie in `vectors`
override input_norm_at: u32;
override post_norm_at: u32;
override norm_stride: u32;     // from one layer's norms to the next one's
const threads = 512u;
const slices = 16u;            // subgroups
const head_dim = 128u;

struct State {
  token: u32,    // to be embedded
  position: u32, // of that token
  step: u32,     // tokens made by this submit so far
  stuck: u32,    // set when a barrier gave up
}
@group(0) @binding(0) var<storage, read_write> state: State;
@group(0) @binding(1) var<storage, read> scales: array<u32>;
@group(0) @binding(2) @coherent var<storage, read_write> act: array<vec4<u32>>;       // inputs of the phases, 16 values a slot; then a workgroup's best logit each
@group(0) @binding(3) @coherent var<storage, read_write> act_scales: array<vec2<f32>>; // of a slot: scale, 8 * scale * sum
@group(0) @binding(4) @coherent var<storage, read_write> floats: array<vec4<f32>>;    // q | partial sums of squares | partial attention
@group(0) @binding(5) var<storage, read_write> counters: array<atomic<u32>>;          // 0: barrier, 1: workgroups done, 16 + h: slices of KV head h done
@group(0) @binding(6) var<storage, read_write> logits: array<f32>;
@group(0) @binding(7) var<storage, read> vectors: array<f32>;
@group(0) @binding(8) var<storage, read> angles: array<f32>;       // [step][cos | sin]
@group(0) @binding(9) var<storage, read> block_table: array<u32>;
@group(0) @binding(10) var<storage, read_write> made: array<u32>;  // token ids of the steps

var<workgroup> staged: array<vec4<u32>, staged_units>;
var<workgroup> staged_scales: array<vec2<f32>, 768>;
var<workgroup> partial: array<f32, 3072>; // 6 rounds of 512
var<workgroup> inverse_rms: f32;
var<workgroup> order: u32;
var<private> wg: u32;
var<private> thread: u32;
var<private> lane: u32;
var<private> slice: u32;
var<private> phase: u32;
var<private> squares: f32;   // this lane's share of the residual's sum of squares, in subgroup 0
var<private> position: u32;
var<private> slot: u32;      // where this token's K and V go
var<private> turn: vec2<f32>; // cos and sin for the first row of q and k that this thread finishes
var<private> residual: f32;  // value 16 * wg + (lane & 15), in subgroup 0: nobody else needs it

// Value `i` of `floats`, whose whole units are read at once where that is possible: coherent reads are slow.
fn float_at(i: u32) -> f32 { return floats[i >> 2u][i & 3u]; }
fn squares_at() -> u32 { return heads * head_dim; }
fn partials_at() -> u32 { return heads * head_dim + 160u; }
fn attended_slot() -> u32 { return hidden / 16u; }
fn normed_slot() -> u32 { return (hidden + heads * head_dim) / 16u; }
fn gated_slot() -> u32 { return (2u * hidden + heads * head_dim) / 16u; }
fn best_slot() -> u32 { return gated_slot() + intermediate / 16u; }

// Says that this workgroup has written its share of the phase before. Workgroup memory is left to the barrier in `wait`.
fn arrive() {
  phase += 1u;
  storageBarrier();
  if (thread == 0u) { atomicAdd(&counters[0], 1u); }
}
// Waits for all others. Gives up after a while: a workgroup that is not resident never comes, and the host must learn of it; once one gives up, all do.
fn wait() {
  if (thread == 0u) {
    var spins = 0u;
    loop {
      if (atomicLoad(&counters[0]) >= phase * workgroups) { break; }
      spins += 1u;
      if (spins > 400000u) { atomicStore(&counters[2], 1u); }
      if ((spins & 1023u) == 0u && atomicLoad(&counters[2]) == 1u) {
        state.stuck = 1u;
        break;
      }
    }
  }
  workgroupBarrier();
}

// Brings `count` slots of input into workgroup memory and, where the input is not normalised yet, fetches the residual's sums of squares.
fn stage(slot: u32, count: u32, norm: bool) {
  if (norm && slice == 0u) { // entries past the last workgroup's are zero
    let at = squares_at() + lane;
    squares = float_at(at) + float_at(at + 32u) + float_at(at + 64u) + float_at(at + 96u) + float_at(at + 128u);
  }
  for (var i = thread; i < count * slot_units; i += threads) { staged[i] = act[slot * slot_units + i]; }
  if (slot_scales) {
    for (var i = thread; i < count; i += threads) { staged_scales[i] = act_scales[slot + i]; }
  }
  workgroupBarrier();
}

// The second half of a norm, once there is time for it; a barrier must follow before anybody reads inverse_rms.
fn normalize() {
  if (slice == 0u) {
    let sum = subgroupAdd(squares);
    if (lane == 0u) { inverse_rms = inverseSqrt(sum / f32(hidden) + eps); }
  }
}

// The sum over the subgroups of what round `round` left for this lane.
fn over_slices(round: u32) -> f32 {
  let at = round * threads + lane;
  let a = (partial[at] + partial[at + 32u]) + (partial[at + 64u] + partial[at + 96u]);
  let b = (partial[at + 128u] + partial[at + 160u]) + (partial[at + 192u] + partial[at + 224u]);
  let c = (partial[at + 256u] + partial[at + 288u]) + (partial[at + 320u] + partial[at + 352u]);
  let d = (partial[at + 384u] + partial[at + 416u]) + (partial[at + 448u] + partial[at + 480u]);
  return (a + b) + (c + d);
}

// The next norm's weight for this workgroup's residual values; to be loaded early, for it is far away.
fn norm_weight(norm_at: u32) -> f32 { return vectors[norm_at + min(16u * wg + (lane & 15u), hidden - 1u)]; }

// A subgroup's lanes hold residual values 16 * wg .. twice: gives away their sum of squares, and their image times the next norm as input slot.
fn emit_residual(norm: f32, input: u32) {
  let squares = subgroupAdd(select(0.0, residual * residual, lane < 16u));
  if (lane == 0u) { floats[(squares_at() + wg) >> 2u][wg & 3u] = squares; }
  emit(residual * norm, input + wg, lane < 16u);
}
