// One token in one dispatch: every workgroup is resident (one a multiprocessor) and walks all layers. Workgroups hand each other their results through `mail`,
// each unit of which carries the epoch in which it was written: who needs a unit reads it until the epoch is right. No grid-wide barrier, no memory barrier: a
// unit of 16 bytes arrives as a whole. A unit is written again only by who has, over others, heard of everybody who had to read it.
// This file: bindings, waiting, sums. The phases: persistent_layer, persistent_attention, persistent_head; activations: persistent_int8, persistent_wide;
// weights: persistent_ahead_*, persistent_FORMAT. Names that end in _W are stamped once a weight binding and format (persistent_source.ts).
// 512 threads are 16 subgroups of 32; lane = output row, the subgroups share the blocks of K.
override workgroups: u32;
override hidden: u32;
override intermediate: u32;
override heads: u32;
override kv_heads: u32;
override eps: f32;
override block_shift: u32;     // log2 of the KV cache's block size
override value_plane: u32;     // 16-byte units from a layer's K to its V
override last_layer: u32;
override copies: u32;          // of the inputs, at most 5: fewer workgroups wait for the same line
override first_norm_at: u32;   // where the first layer's norm lies in `vectors`
const threads = 512u;
const slices = 16u;            // subgroups
const head_dim = 128u;
const most_slots = 792u;       // of an input, 16 values each

struct State {
  token: u32,      // to be embedded
  position: u32,   // of that token
  step: u32,       // tokens made by this submit so far
  stuck: u32,      // set when somebody waited in vain
  dispatches: u32, // ever made: no epoch comes twice
}
@group(0) @binding(0) var<storage, read_write> state: State;
@group(0) @binding(1) var<storage, read> scales: array<u32>;
@group(0) @binding(2) @coherent var<storage, read_write> mail: array<vec4<u32>>; // inputs of the phases | q, k, v | parts of the attention | best logits
@group(0) @binding(3) var<storage, read_write> abort: atomic<u32>;
@group(0) @binding(4) var<storage, read_write> logits: array<f32>;
@group(0) @binding(5) var<storage, read> vectors: array<f32>;
@group(0) @binding(6) var<storage, read> angles: array<f32>;       // [step][cos | sin]
@group(0) @binding(7) var<storage, read> block_table: array<u32>;
@group(0) @binding(8) var<storage, read_write> made: array<u32>;   // token ids of the steps

var<workgroup> staged: array<vec4<u32>, staged_units>;
override partials: u32;        // sums that a phase leaves: 512 a round of groups
var<workgroup> partial: array<f32, partials>;
var<workgroup> square_sums: array<f32, 16>; // of the staged residual, by subgroup
var<private> wg: u32;
var<private> thread: u32;
var<private> lane: u32;
var<private> slice: u32;
var<private> epoch: u32;
var<private> position: u32;
var<private> slot: u32;      // where this token's K and V go
var<private> turn: vec2<f32>; // cos and sin for the first row of q and k that this thread finishes
var<private> residual: f32;  // value 16 * own_group() + (lane & 15): nobody else needs it

fn attended_slot() -> u32 { return hidden / 16u; }
fn normed_slot() -> u32 { return (hidden + heads * head_dim) / 16u; }
fn gated_slot() -> u32 { return (2u * hidden + heads * head_dim) / 16u; }
fn slots() -> u32 { return (gated_slot() + intermediate / 16u + 31u) / 32u * 32u; }
fn qkv_at() -> u32 { return copies * slots() * slot_units; }
// Unit `i` of a slot in a copy: those of 32 slots are adjacent, so that subgroups read whole lines.
fn unit_of(copy: u32, slot: u32, i: u32) -> u32 { return copy * slots() * slot_units + (slot >> 5u) * (32u * slot_units) + i * 32u + (slot & 31u); }
fn best_at() -> u32 { return qkv_at() + (heads + 2u * kv_heads) * head_dim / 2u; }
fn parts_at() -> u32 { return best_at() + workgroups; }

// Whether to stop waiting: a workgroup that is not resident never writes, and the host must learn of it; once one gives up, all do.
fn in_vain(spins: u32) -> bool {
  if (spins > 400000u) { atomicStore(&abort, 1u); }
  if ((spins & 1023u) != 0u || atomicLoad(&abort) == 0u) { return false; }
  state.stuck = 1u;
  return true;
}

fn inverse_rms() -> f32 {
  let sum = ((square_sums[0] + square_sums[1]) + (square_sums[2] + square_sums[3])) + square_sums[4];
  return inverseSqrt(sum / f32(hidden) + eps);
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

// The group of 16 residual values that this subgroup looks after, if there are so many: the first subgroups take the workgroup's.
fn own_group() -> u32 { return wg + slice * workgroups; }

// The next norm's weight for this subgroup's residual values; to be loaded early, for it is far away.
fn norm_weight(norm_at: u32) -> f32 { return vectors[norm_at + min(16u * own_group() + (lane & 15u), hidden - 1u)]; }

// A subgroup's lanes hold its residual values twice: gives away their image times the next norm as input slot, with their sum of squares.
fn emit_residual(norm: f32, input: u32) {
  emit(residual * norm, subgroupAdd(select(0.0, residual * residual, lane < 16u)), input + own_group(), lane < 16u);
}
