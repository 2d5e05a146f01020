use cache_conformance::Decorated;

use super::*;

/// One that does not open, as it should, by what the suite makes fail in a row.
fn guarded(options: &TierOptions) -> Decorated<Reference> {
    let options = options.clone().with_breaker(BreakerOptions::default().with_failures(100));
    Decorated::new(Reference::default(), move |store| {
        Ok(Arc::new(Guarded::new(store, &options, Arc::default(), TaskTracker::new())))
    })
}

mod with_breaker_and_deadline {
    use super::*;
    cache_conformance::suite! {
        guarded(&TierOptions::default().with_deadline(Duration::from_secs(60))),
        handles: [damage, failures, crash]
    }
}

mod with_breaker {
    use super::*;
    cache_conformance::suite! { guarded(&TierOptions::default()), handles: [damage, failures, crash] }
}
