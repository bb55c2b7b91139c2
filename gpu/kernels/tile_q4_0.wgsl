// 8 weights of q4_0.
struct Raw { word: u32, scale: f32 }
fn load_raw(row: u32, eighth: u32) -> Raw { return Raw(weights[unit_index(row, eighth >> 2u, 1u, 0u)][eighth & 3u], scale_of(row, eighth >> 2u)); }
fn eight_of(r: Raw) -> Eight { return Eight(r.scale * nibbles(r.word), r.scale * nibbles(r.word >> 4u)); }
fn load_eight(row: u32, eighth: u32) -> Eight { return eight_of(load_raw(row, eighth)); }
