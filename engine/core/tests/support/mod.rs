//! Generated input of tests. A failure prints its seed; ORDERTIDE_SEED repeats it.

#![allow(dead_code)] // each test uses a part of it

use std::env;

const ROUNDS: u64 = 200;

/// Draws by xorshift64*: as random as a test needs.
pub struct Draws(u64);

impl Draws {
    /// Create the draws of a seed.
    pub fn of(seed: u64) -> Self {
        Draws((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// 48 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of `choices`.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Up to `most` bytes.
    pub fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.next() as u8).collect()
    }
}

/// Print the seed of a round that fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat with ORDERTIDE_SEED={}", self.0);
        }
    }
}

/// Run `check` for many seeds, or for ORDERTIDE_SEED alone.
pub fn for_all(mut check: impl FnMut(&mut Draws)) {
    let given = env::var("ORDERTIDE_SEED").ok().and_then(|text| text.parse().ok());
    let seeds = given.map_or(1..ROUNDS, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let _seed = Seed(seed);
        check(&mut Draws::of(seed));
    }
}
