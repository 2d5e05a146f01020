use super::*;

/// How often each of `ranks` came up in `draws`.
fn shares(ranks: usize, exponent: f64, draws: usize) -> Vec<f64> {
    let zipf = Zipf::new(ranks, exponent);
    let mut rng = Rng::with_seed(1);
    let mut counts = vec![0.0; ranks];
    for _ in 0..draws {
        counts[zipf.draw(&mut rng)] += 1.0;
    }
    counts.iter().map(|count| count / draws as f64).collect()
}

#[track_caller]
fn close(measured: f64, expected: f64) {
    assert!((measured - expected).abs() < 0.01, "{measured} is not near {expected}");
}

#[test]
fn ranks_come_in_proportion_to_their_power() {
    let shares = shares(1000, 0.99, 200_000);
    let all: f64 = (1..=1000).map(|rank| f64::from(rank).powf(-0.99)).sum();
    for rank in [1, 2, 3, 10, 100] {
        close(shares[rank - 1], (rank as f64).powf(-0.99) / all);
    }
    close(
        shares.iter().take(250).sum(),
        (1..=250).map(|rank| f64::from(rank).powf(-0.99)).sum::<f64>() / all,
    );
}

#[test]
fn exponent_zero_is_uniform() {
    for share in shares(10, 0.0, 200_000) {
        close(share, 0.1);
    }
}

#[test]
fn same_seed_draws_the_same() {
    let zipf = Zipf::new(100, 1.0);
    let items: Vec<u32> = (0..100).collect();
    let draw = |seed| zipf.pick(&items, 50, &mut Rng::with_seed(seed));
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}
