use fastrand::Rng;

/// Ranks from 0, of which rank r is drawn in proportion to 1 / (r + 1)^exponent.
#[derive(Debug)]
pub(crate) struct Zipf {
    /// How likely each rank or one before it is.
    cumulative: Vec<f64>,
}

impl Zipf {
    pub(crate) fn new(ranks: usize, exponent: f64) -> Self {
        let mut total = 0.0;
        let mut cumulative: Vec<f64> = (1..=ranks)
            .map(|rank| {
                total += (rank as f64).powf(-exponent);
                total
            })
            .collect();
        for share in &mut cumulative {
            *share /= total;
        }
        Self { cumulative }
    }

    pub(crate) fn draw(&self, rng: &mut Rng) -> usize {
        let at = rng.f64();
        self.cumulative.partition_point(|share| *share <= at).min(self.cumulative.len().saturating_sub(1))
    }

    /// The items that so many draws stand for, the first being the likeliest.
    pub(crate) fn pick<T: Copy>(&self, items: &[T], count: usize, rng: &mut Rng) -> Vec<T> {
        (0..count).filter_map(|_| items.get(self.draw(rng)).copied()).collect()
    }
}

#[cfg(test)]
mod tests;
