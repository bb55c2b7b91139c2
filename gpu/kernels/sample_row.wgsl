// How the row of logits of an output becomes a token, and how far it is (token_sampler.ts writes it once a request).
struct Row {
  kind: u32,
  at: u32,            // where `made` takes the next token
  stride: u32,        // outputs of the request
  top_k: u32,         // 0: all
  top_p: u32,         // in 2^-32; 2^32 - 1: all
  min_exponent: f32,  // of min-p: of the least weight that stays
  times: f32,         // 1 / temperature
  seed_low: u32,
  seed_high: u32,
  position_low: u32,
  position_high: u32,
  draw: u32,          // sample_buckets.wgsl: what it draws with, in 2^-32
  first: u32,         // of the penalties' entries (penalize.wgsl), 2^32 - 1: there are none;
  entries: u32,       // how many they are,
  repetition: f32,    // and the numbers to penalise with, each with what f32 leaves of it
  repetition_low: f32,
  once: f32,          // frequency and presence
  once_low: f32,
  frequency: f32,
  frequency_low: f32,
}

// Kinds of rows: no token is wanted, the first maximum is, or one is drawn.
const no_row: u32 = 0;
const greedy_row: u32 = 1;
const drawn_row: u32 = 2;

const no_token: u32 = 0xffffffff;
