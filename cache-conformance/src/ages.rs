//! How old the entries of a clause are.
#![expect(clippy::expect_used, reason = "a clause fails by panicking")]

use std::time::{Duration, Instant};

use cache_core::{CleanPolicy, PutMode, PutOptions};

use crate::{sample::hours_ago, subject::Subject};

/// Between two ages that are lived through. Servers may keep the second of a write only, so that what was
/// written later may seem to be a second older.
const STEP: Duration = Duration::from_millis(2200);

/// So long after the entries of an age the border to the next one lies. What is left of the step after it,
/// but that second, is for a clean that takes its time.
const LEAD: Duration = Duration::from_millis(400);

/// The ages of the entries that a clause puts: the oldest first.
///
/// A dated store is told them, in hours. Another one lives through them, with a pause between each and the
/// next.
#[derive(Clone, Debug)]
pub(crate) struct Ages {
    dated: bool,
    /// Those that were lived through, and when the first entry of each was put at the earliest.
    lived: Vec<(u64, Instant)>,
}

impl Ages {
    pub(crate) fn of(store: &Subject) -> Self {
        Self { dated: store.info().powers.dated, lived: Vec::new() }
    }

    /// Whether the store goes by times that it is told, such as those of the future.
    pub(crate) fn are_told(&self) -> bool {
        self.dated
    }

    /// How an entry is put that is so many hours old; of none, it is made now.
    pub(crate) async fn made(&mut self, hours: u64) -> PutOptions {
        self.made_as(PutMode::Replace, hours).await
    }

    /// How blobs are put that are so many hours old.
    pub(crate) async fn made_as(&mut self, mode: PutMode, hours: u64) -> PutOptions {
        let options = PutOptions::mode(mode);
        if self.dated {
            return if hours > 0 { options.with_created(hours_ago(hours)) } else { options };
        }
        let last = self.lived.last().map(|(age, _)| *age);
        assert!(last.is_none_or(|last| last >= hours), "the oldest first: {hours} after {last:?}");
        if last.is_some_and(|last| last > hours) {
            tokio::time::sleep(STEP).await;
        }
        if last != Some(hours) {
            self.lived.push((hours, Instant::now()));
        }
        options
    }

    /// What keeps the entries of so many hours, and takes those that are older. To be used at once.
    pub(crate) fn up_to(&self, hours: u64) -> CleanPolicy {
        let max = if self.dated {
            Duration::from_secs(hours * 3600 + 1800)
        } else {
            let kept = self.lived.iter().find(|(age, _)| *age <= hours);
            kept.expect("an age that is kept").1.elapsed() + STEP - LEAD
        };
        CleanPolicy::default().with_max_age(max)
    }
}
