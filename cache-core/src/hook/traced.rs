use async_trait::async_trait;
use tokio::time::Instant;
use tracing::{Level, Span, field};

use crate::{Guard, Operation, OperationHook, Result, Target};

/// Runs each operation inside a `tracing` span, so that what happens in it can be told from the rest.
///
/// The spans are called `operation`, their target is `cache`, their level is
/// [`DEBUG`](Level::DEBUG) unless set. Nested operations have nested spans. Where nobody listens at
/// that level, nothing is done.
///
/// | field        | is                                                                          |
/// |--------------|-----------------------------------------------------------------------------|
/// | `operation`  | the name of the method, such as `get`                                       |
/// | `intent`     | `read` or `write`                                                           |
/// | `namespace`  | where it looks, without a field for all of the store                        |
/// | `digest`     | of the entry, where it is about one                                         |
/// | `prefix`     | the short digest, where it is about one                                     |
/// | `outcome`    | `ok`, the kind of the error, or `dropped`, when it ends                     |
/// | `elapsed_us` | microseconds from its begin to its end, when it ends                        |
///
/// Waits for hooks that come after this one are part of the span; those before are not.
#[derive(Clone, Copy, Debug)]
pub struct Traced {
    level: Level,
}

impl Traced {
    /// Spans of this level.
    #[must_use]
    pub fn at(level: Level) -> Self {
        Self { level }
    }

    fn guard(&self, operation: &Operation) -> Guard {
        let span = self.span(operation);
        if span.is_disabled() {
            return Guard::none();
        }
        Guard::holding(Begun { span: span.clone(), at: Instant::now() }).in_span(span)
    }

    fn span(&self, operation: &Operation) -> Span {
        // The level is a part of what each place in the code is known by.
        macro_rules! span {
            ($level:expr) => {
                tracing::span!(
                    target: "cache",
                    $level,
                    "operation",
                    operation = operation.name,
                    intent = operation.intent.as_str(),
                    namespace = operation.target.namespace().map(field::display),
                    digest = operation.target.key().map(|key| field::display(key.digest)),
                    prefix = prefix(&operation.target).map(field::display),
                    outcome = field::Empty,
                    elapsed_us = field::Empty,
                )
            };
        }
        match self.level {
            Level::ERROR => span!(Level::ERROR),
            Level::WARN => span!(Level::WARN),
            Level::INFO => span!(Level::INFO),
            Level::DEBUG => span!(Level::DEBUG),
            Level::TRACE => span!(Level::TRACE),
        }
    }
}

impl Default for Traced {
    fn default() -> Self {
        Self::at(Level::DEBUG)
    }
}

fn prefix(target: &Target) -> Option<crate::DigestPrefix> {
    match target {
        Target::Prefix(_, prefix) => Some(*prefix),
        _ => None,
    }
}

struct Begun {
    span: Span,
    at: Instant,
}

impl Drop for Begun {
    fn drop(&mut self) {
        let elapsed = u64::try_from(self.at.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.span.record("elapsed_us", elapsed);
    }
}

#[async_trait]
impl OperationHook for Traced {
    async fn enter(&self, operation: &Operation) -> Result<Guard> {
        Ok(self.guard(operation))
    }

    fn try_enter(&self, operation: &Operation) -> Option<Guard> {
        Some(self.guard(operation))
    }
}

#[cfg(test)]
mod tests;
