// advance: makes the next batch out of this one where every sequence has one row: the drawn token follows at the next position, and sees one key more.
// A workgroup a row. The engine does the same on the host for one step at a time (engine/scheduled_step.ts).
override head_dim: u32;
override block_size: u32;

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> drawn: array<u32>;                    // [rows] tokens
@group(0) @binding(2) var<storage, read> turns: array<f32>;                    // [steps - 1][rows][head_dim] angles of the steps after the first
@group(0) @binding(3) var<storage, read> block_tables: array<u32>;
@group(0) @binding(4) var<storage, read_write> round: array<u32>;              // [rows] how often this row has advanced
@group(0) @binding(5) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(6) var<storage, read_write> slots: array<u32>;
@group(0) @binding(7) var<storage, read_write> row_context: array<vec2<u32>>;  // [rows] sequence, visible keys
@group(0) @binding(8) var<storage, read_write> angles: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let begin = (round[row] * batch.rows + row) * head_dim;
  for (var i = thread; i < head_dim; i += 64u) { angles[row * head_dim + i] = turns[begin + i]; }
  storageBarrier(); // everybody has read the round
  if (thread > 0u) { return; }
  let context = row_context[row];
  let position = context.y; // of the drawn token: as many as there were keys
  round[row] += 1u;
  tokens[row] = drawn[row];
  slots[row] = block_tables[context.x * batch.blocks_per_sequence + position / block_size] * block_size + position % block_size;
  row_context[row] = vec2<u32>(context.x, position + 1u);
}
