//! Threads that walk the same program: work is claimed piece by piece, and a barrier ends each step.

use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering::*};

/// The words that all threads of a team share. All zero at the start.
#[repr(C)]
#[derive(Default)]
pub struct Shared {
    arrived: AtomicU32,
    round: AtomicU32,
    sleepers: AtomicU32,
    aborted: AtomicU32,
    claimed: Alone,
}

/// A word on a cache line of its own: those who look at the round do not slow down those who claim.
#[repr(C, align(64))]
#[derive(Default)]
struct Alone(AtomicU32);

/// Another thread has failed, or the program is being closed: unwind without touching anything.
#[derive(Debug, PartialEq, Eq)]
pub struct Aborted;

/// One thread's membership.
pub struct Team<'a> {
    pub thread: usize,
    pub threads: usize,
    pub shared: &'a Shared,
}

/// Looks at the round this often before it sleeps. A look takes about a nanosecond, waking up 5 to 24 microseconds.
const SPINS: u32 = 10_000;
/// A claim takes this fraction of a thread's share of what is left: large pieces first, for long streams, small ones at the end, so that all
/// threads finish together even if one was slowed down.
const FRACTION: usize = 2;

impl Team<'_> {
    /// Returns once all threads have called it; claims start anew.
    pub fn barrier(&self) -> Result<(), Aborted> {
        let shared = self.shared;
        if self.threads == 1 {
            shared.claimed.0.store(0, Relaxed);
            return Ok(());
        }
        let round = shared.round.load(Acquire);
        if shared.arrived.fetch_add(1, AcqRel) as usize == self.threads - 1 {
            shared.arrived.store(0, Relaxed);
            shared.claimed.0.store(0, Relaxed);
            // Sequentially consistent with the sleepers' count: either this thread sees a sleeper, or the sleeper sees the new round.
            shared.round.fetch_add(1, SeqCst);
            if shared.sleepers.load(SeqCst) > 0 {
                wake(&shared.round);
            }
        } else {
            let mut spins = 0;
            while shared.round.load(Acquire) == round {
                spins += 1;
                if spins < SPINS {
                    core::hint::spin_loop();
                } else if shared.aborted.load(SeqCst) != 0 {
                    // It came before this thread read the round, so no other round will.
                    return Err(Aborted);
                } else {
                    shared.sleepers.fetch_add(1, SeqCst);
                    sleep(&shared.round, round);
                    shared.sleepers.fetch_sub(1, SeqCst);
                }
            }
        }
        match shared.aborted.load(Relaxed) {
            0 => Ok(()),
            _ => Err(Aborted),
        }
    }

    /// The next piece of `0..total` that no thread has claimed since the last barrier: at least `unit`, but for the last. All threads pass
    /// the same numbers.
    pub fn claim(&self, total: usize, unit: usize) -> Option<Range<usize>> {
        let claimed = &self.shared.claimed.0;
        let mut start = claimed.load(Relaxed);
        loop {
            let left = total.checked_sub(start as usize).filter(|&left| left > 0)?;
            let size = (left / (FRACTION * self.threads)).max(unit).min(left);
            match claimed.compare_exchange_weak(start, start + size as u32, Relaxed, Relaxed) {
                Ok(_) => return Some(start as usize..start as usize + size),
                Err(now) => start = now,
            }
        }
    }
}

#[cfg(all(target_arch = "wasm32", feature = "threads"))]
mod host {
    // The intrinsics for these are not stable yet; a call into JavaScript adds nanoseconds to the microseconds of a sleep.
    #[link(wasm_import_module = "env")]
    extern "C" {
        pub fn wait(word: *const u32, expected: u32);
        pub fn notify(word: *const u32);
    }
}

#[cfg(all(target_arch = "wasm32", feature = "threads"))]
fn sleep(word: &AtomicU32, expected: u32) {
    // SAFETY: a word of this memory.
    unsafe { host::wait(word.as_ptr(), expected) }
}
#[cfg(all(target_arch = "wasm32", feature = "threads"))]
fn wake(word: &AtomicU32) {
    // SAFETY: a word of this memory.
    unsafe { host::notify(word.as_ptr()) }
}
#[cfg(not(all(target_arch = "wasm32", feature = "threads")))]
fn sleep(_: &AtomicU32, _: u32) {
    core::hint::spin_loop();
}
#[cfg(not(all(target_arch = "wasm32", feature = "threads")))]
fn wake(_: &AtomicU32) {}

/// Runs `job` on `threads` native threads.
#[cfg(test)]
pub fn with_team<R: Send>(threads: usize, job: impl Fn(&Team) -> R + Sync) -> Vec<R> {
    let shared = Shared::default();
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|thread| {
                let (job, shared) = (&job, &shared);
                scope.spawn(move || {
                    job(&Team {
                        thread,
                        threads,
                        shared,
                    })
                })
            })
            .collect();
        handles.into_iter().map(|h| h.join().unwrap()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_claimed_once_in_each_round() {
        for threads in [1, 2, 5] {
            for total in [0, 1, 7, 100, 1000] {
                let counts: Vec<AtomicU32> = (0..total).map(|_| AtomicU32::new(0)).collect();
                with_team(threads, |team| {
                    for round in 0..20 {
                        while let Some(piece) = team.claim(total, 3) {
                            piece.for_each(|i| _ = counts[i].fetch_add(1, Relaxed));
                        }
                        team.barrier().unwrap();
                        assert!(counts.iter().all(|c| c.load(Relaxed) == round + 1));
                        team.barrier().unwrap();
                    }
                });
            }
        }
    }

    #[test]
    fn who_comes_after_the_abort_does_not_wait() {
        let shared = Shared::default();
        shared.aborted.store(1, SeqCst);
        shared.round.fetch_add(1, SeqCst);
        let team = Team {
            thread: 0,
            threads: 2,
            shared: &shared,
        };
        assert_eq!(team.barrier(), Err(Aborted));
    }

    #[test]
    fn an_aborted_team_leaves_the_barrier() {
        let results = with_team(2, |team| {
            if team.thread == 1 {
                // Once the other one waits.
                while team.shared.arrived.load(SeqCst) == 0 {
                    std::thread::yield_now();
                }
                team.shared.aborted.store(1, SeqCst);
                team.shared.round.fetch_add(1, SeqCst);
                return Err(Aborted);
            }
            team.barrier()
        });
        assert_eq!(results, [Err(Aborted), Err(Aborted)]);
    }
}
