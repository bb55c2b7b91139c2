// 8 weights of bitsandbytes.
fn load_eight(row: u32, eighth: u32) -> Eight {
  let word = weights[unit_index(row, eighth >> 2u, 1u, 0u)][eighth & 3u];
  let code = code_index(row);
  let absmax = absmax_of(row, eighth >> 2u);
  return Eight(rounded(absmax * vec4<f32>(number_at(code, word, 4u), number_at(code, word, 0u), number_at(code, word, 12u), number_at(code, word, 8u))),
    rounded(absmax * vec4<f32>(number_at(code, word, 20u), number_at(code, word, 16u), number_at(code, word, 28u), number_at(code, word, 24u))));
}
alias Raw = Eight;
fn load_raw(row: u32, eighth: u32) -> Raw { return load_eight(row, eighth); }
fn eight_of(w: Raw) -> Eight { return w; }
