use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::Span;

use crate::Result;

/// What a hook holds for an operation. The operation's end drops it.
///
/// ```
/// use cache_core::Guard;
///
/// struct Session;
///
/// impl Drop for Session {
///     fn drop(&mut self) {
///         // The operation returned, failed, or its future was dropped.
///     }
/// }
///
/// let guard = Guard::holding(Session);
/// # drop(guard);
/// ```
#[must_use = "what the guard holds ends with it"]
pub struct Guard {
    // Given up before the span, so that its end may still be recorded there.
    held: Option<Box<dyn Send>>,
    span: Span,
}

impl Guard {
    /// Nothing is held.
    pub fn none() -> Self {
        Self { held: None, span: Span::none() }
    }

    /// Holds `value`: a lock, a session, a permit.
    pub fn holding(value: impl Send + 'static) -> Self {
        Self { held: Some(Box::new(value)), span: Span::none() }
    }

    /// Lets the operation run inside `span`, and the hooks that are entered after this one, too.
    ///
    /// If the span has a field `outcome`, it is recorded at the end: `ok`, the kind of the error, or
    /// `dropped`.
    pub fn in_span(mut self, span: Span) -> Self {
        self.span = span;
        self
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("holds", &self.held.is_some())
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}

/// The guards of one operation. They leave in the reverse order of their coming.
#[derive(Default)]
pub(super) struct Guards {
    entered: Vec<Guard>,
    ended: bool,
}

impl Guards {
    pub(super) fn push(&mut self, guard: Guard) {
        self.entered.push(guard);
    }

    /// The innermost span. Those around it are its parents, as each hook is entered inside of them.
    pub(super) fn span(&self) -> Span {
        let spans = self.entered.iter().rev().map(|guard| &guard.span);
        spans.into_iter().find(|span| !span.is_none()).cloned().unwrap_or_else(Span::none)
    }

    /// Tells the spans how the operation ended.
    pub(super) fn end<T>(&mut self, answer: &Result<T>) {
        self.ended = true;
        for guard in &self.entered {
            match answer.as_ref().err().map(crate::Error::kind) {
                Some(kind) => guard.span.record("outcome", tracing::field::debug(kind)),
                None => guard.span.record("outcome", "ok"),
            };
        }
    }
}

impl Drop for Guards {
    fn drop(&mut self) {
        while let Some(guard) = self.entered.pop() {
            if !self.ended {
                guard.span.record("outcome", "dropped");
            }
            drop(guard);
        }
    }
}

/// The guards of an operation and of those that it is nested in. They leave when the operation has ended and
/// all work that was begun inside of it.
pub(crate) struct Held {
    guards: Mutex<Guards>,
    #[expect(dead_code, reason = "held to be dropped")]
    outer: Option<Arc<Held>>,
}

impl Held {
    pub(super) fn inside(outer: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self { guards: Mutex::default(), outer })
    }

    pub(super) fn push(&self, guard: Guard) {
        self.lock().push(guard);
    }

    pub(super) fn span(&self) -> Span {
        self.lock().span()
    }

    pub(super) fn end<T>(&self, answer: &Result<T>) {
        self.lock().end(answer);
    }

    fn lock(&self) -> MutexGuard<'_, Guards> {
        self.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}
