use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn the_least_recently_used_goes_first(uses in prop::collection::vec((0..4_usize, 0..12_u32, any::<bool>()), 0..100)) {
        let clock = Clock::default();
        let mut shards: [Lru; 4] = Default::default();
        // The least recently used first.
        let mut model: Vec<(usize, u32)> = Vec::new();
        for (shard, index, goes) in uses {
            let known = model.iter().position(|known| *known == (shard, index));
            if let Some(at) = known {
                model.remove(at);
            }
            match (known, goes) {
                (_, true) => shards[shard].remove(index),
                (Some(_), false) => shards[shard].touch(index, &clock),
                (None, false) => shards[shard].insert(index, &clock),
            }
            if !goes {
                model.push((shard, index));
            }
            let first = (0..4).filter_map(|shard| Some((shard, shards[shard].first()?))).min_by_key(|first| first.1.rank);
            prop_assert_eq!(first.map(|(shard, first)| (shard, first.index)), model.first().copied());
        }
    }
}
