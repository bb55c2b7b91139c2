// 8 weights of bitsandbytes.
struct Raw { word: u32, absmax: f32, code: u32 }
fn load_raw(row: u32, eighth: u32) -> Raw {
  return Raw(weights[unit_index(row, eighth >> 2u, 1u, 0u)][eighth & 3u], absmax_of(row, eighth >> 2u), code_index(row));
}
fn eight_of(w: Raw) -> Eight {
  let c = w.code;
  return Eight(rounded(w.absmax * vec4<f32>(number_at(c, w.word, 4u), number_at(c, w.word, 0u), number_at(c, w.word, 12u), number_at(c, w.word, 8u))),
    rounded(w.absmax * vec4<f32>(number_at(c, w.word, 20u), number_at(c, w.word, 16u), number_at(c, w.word, 28u), number_at(c, w.word, 24u))));
}
fn load_eight(row: u32, eighth: u32) -> Eight { return eight_of(load_raw(row, eighth)); }
