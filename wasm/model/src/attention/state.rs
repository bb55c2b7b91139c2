//! A softmax-weighted sum under way: what is left of the keys seen so far.

use crate::vector::Lanes;

/// For each four queries: the greatest score (4), the sum of weights (4) and the weighted sums of values `[dim / 4, 4 lanes, 4]`.
#[derive(Clone, Copy)]
pub struct State {
    pub data: *mut f32,
    /// Sets of four queries.
    pub quads: usize,
    /// Values of a row of V, rounded up to 4.
    pub dim: usize,
}

/// Below every score, yet its difference to itself is 0.
const LOWEST: f32 = -1e30;

impl State {
    /// Floats of a state.
    pub const fn floats(quads: usize, dim: usize) -> usize {
        quads * (8 + 4 * dim)
    }

    fn quad(&self, quad: usize) -> *mut f32 {
        self.data.wrapping_add(Self::floats(quad, self.dim))
    }
    pub fn greatest(&self, quad: usize) -> *mut f32 {
        self.quad(quad)
    }
    pub fn weights(&self, quad: usize) -> *mut f32 {
        self.quad(quad).wrapping_add(4)
    }
    pub fn sums(&self, quad: usize) -> *mut f32 {
        self.quad(quad).wrapping_add(8)
    }

    /// No key seen.
    ///
    /// # Safety
    /// `data` takes [`State::floats`].
    pub unsafe fn reset(&self) {
        for quad in 0..self.quads {
            // SAFETY: inside the state.
            unsafe {
                core::slice::from_raw_parts_mut(self.weights(quad), 4 + 4 * self.dim).fill(0.0);
                core::slice::from_raw_parts_mut(self.greatest(quad), 4).fill(LOWEST);
            }
        }
    }

    /// Multiplies the sums of a quad's lanes.
    ///
    /// # Safety
    /// The state is initialized.
    pub unsafe fn scale<V: Lanes>(&self, quad: usize, factors: [f32; 4]) {
        if factors == [1.0; 4] {
            return;
        }
        let sums = self.sums(quad);
        for at in (0..4 * self.dim).step_by(16) {
            for (lane, &factor) in factors.iter().enumerate() {
                // SAFETY: inside the sums.
                unsafe {
                    let to = sums.add(at + 4 * lane);
                    V::load(to).mul(V::splat(factor)).store(to);
                }
            }
        }
    }

    /// Takes in what another state saw of later keys.
    ///
    /// # Safety
    /// Both are initialized, of one shape, and do not overlap.
    pub unsafe fn merge<V: Lanes>(&self, later: &State) {
        for quad in 0..self.quads {
            // SAFETY: inside the states.
            unsafe {
                let (a, b) = (V::load(self.greatest(quad)), V::load(later.greatest(quad)));
                let greatest = a.max(b);
                let (a, b) = (
                    a.sub(greatest).exp_negative(),
                    b.sub(greatest).exp_negative(),
                );
                greatest.store(self.greatest(quad));
                let weights = V::load(self.weights(quad)).mul(a);
                let more = V::load(later.weights(quad)).mul(b);
                weights.add(more).store(self.weights(quad));
                self.scale::<V>(quad, a.to_array());
                let (sums, more, factors) = (self.sums(quad), later.sums(quad), b.to_array());
                for at in (0..4 * self.dim).step_by(16) {
                    for (lane, &factor) in factors.iter().enumerate() {
                        let to = sums.add(at + 4 * lane);
                        let v = V::load(more.add(at + 4 * lane)).mul(V::splat(factor));
                        V::load(to).add(v).store(to);
                    }
                }
            }
        }
    }
}
