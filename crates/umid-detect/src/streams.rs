//! Random streams. Every purpose has a key of its own, so that the same seed given to two
//! algorithms never makes one repeat the other's draws.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Stream `index` of one purpose under a seed. A purpose is a name that nothing else uses.
pub(crate) fn stream(purpose: &str, seed: u64, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::from_seed(blake3::derive_key(purpose, &seed.to_le_bytes()));
    rng.set_stream(index);
    rng
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn purpose_seed_and_index_each_choose_the_stream() {
        let first = |purpose, seed, index| stream(purpose, seed, index).random::<u64>();
        let reference = first("a", 0, 0);
        assert_eq!(reference, first("a", 0, 0));
        assert_ne!(reference, first("b", 0, 0));
        assert_ne!(reference, first("a", 1, 0));
        assert_ne!(reference, first("a", 0, 1));
    }
}
