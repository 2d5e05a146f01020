//! A hook for tests: writes down who came and went, and refuses on demand.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use crate::{Error, ErrorKind, Guard, Intent, Operation, OperationHook, Result, Target};

/// Name, target and intent of an operation.
pub(crate) type Seen = (&'static str, Target, Intent);

#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) name: &'static str,
    pub(crate) refuses: Option<ErrorKind>,
    pub(crate) log: Arc<Mutex<Vec<String>>>,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl Recorder {
    pub(crate) fn named(&self, name: &'static str) -> Self {
        Self { name, ..self.clone() }
    }

    pub(crate) fn refusing(kind: ErrorKind) -> Self {
        Self { refuses: Some(kind), ..Self::default() }
    }

    pub(crate) fn note(&self, text: String) {
        self.log.lock().unwrap().push(text);
    }

    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

struct Leave(Recorder, &'static str);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.note(format!("-{}{}", self.0.name, self.1));
    }
}

#[async_trait]
impl OperationHook for Recorder {
    async fn enter(&self, operation: &Operation) -> Result<Guard> {
        let Operation { name, target, intent, .. } = operation.clone();
        self.seen.lock().unwrap().push((name, target, intent));
        if let Some(kind) = self.refuses {
            return Err(Error::new(kind, "", ""));
        }
        self.note(format!("+{}{name}", self.name));
        Ok(Guard::holding(Leave(self.clone(), name)))
    }

    fn try_enter(&self, operation: &Operation) -> Option<Guard> {
        let Operation { name, target, intent, .. } = operation.clone();
        self.seen.lock().unwrap().push((name, target, intent));
        if self.refuses.is_some() {
            return None;
        }
        self.note(format!("+{}{name}", self.name));
        Some(Guard::holding(Leave(self.clone(), name)))
    }
}
