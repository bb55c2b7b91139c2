// Hands out the token of a row; to be called by one thread. `rows`, `made` and `last` are the kernel's bindings.
fn make(row: u32, token: u32) {
  made[rows[row].at] = token;
  last[row] = select(token, 0u, token == no_token);
  rows[row].at += rows[row].stride;
  rows[row].position_low += 1u;
  if (rows[row].position_low == 0u) { rows[row].position_high += 1u; }
}
