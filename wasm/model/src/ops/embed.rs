//! `out[r] = table[tokens[r]]`.

use crate::linear;
use crate::step::{Batch, Matrix};
use crate::team::Team;

/// Looks tokens up. `table [vocab, cols]` in any format, dequantized exactly; `out [rows, cols]` float32.
///
/// # Safety
/// Every token is a row of the table; `out` takes all rows. All threads of the team call it.
pub unsafe fn embed(team: &Team, batch: &Batch, table: &Matrix, out: *mut f32) {
    while let Some(piece) = team.claim(batch.rows, 1) {
        for row in piece {
            // SAFETY: row < rows.
            let mut token = unsafe { *batch.tokens.add(row) } as usize;
            for part in table.parts {
                if token < part.rows {
                    // SAFETY: a row of the part, and one of out.
                    unsafe { linear::unpack_row(part, token, out.add(row * table.cols)) };
                    break;
                }
                token -= part.rows;
            }
        }
    }
}
