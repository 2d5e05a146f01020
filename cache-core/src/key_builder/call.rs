use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    Error, Result,
    canonical::{self, Failure, PREAMBLE, Sink, tag},
};

/// One operation with its arguments on their way into a sink: positional ones at once, named ones when
/// all are known and sorted.
#[derive(Clone)]
pub(super) struct Call<S> {
    operation: Box<str>,
    sink: S,
    positional: usize,
    /// The encoded values. A shorter name comes first, which is the order of the encoded names.
    named: BTreeMap<(usize, Box<str>), Vec<u8>>,
    error: Option<Error>,
}

impl<S: Sink> Call<S> {
    pub(super) fn new(operation: &str, mut sink: S) -> Self {
        sink.write(PREAMBLE);
        sink.write(&[tag::OPERATION]);
        canonical::write_octets(tag::TEXT, operation.as_bytes(), &mut sink);
        Self { operation: operation.into(), sink, positional: 0, named: BTreeMap::new(), error: None }
    }

    pub(super) fn arg<T: Serialize + ?Sized>(&mut self, value: &T) {
        if self.error.is_some() {
            return;
        }
        self.positional += 1;
        self.sink.write(&[tag::ARGUMENT]);
        if let Err(failure) = canonical::encode(value, &mut self.sink) {
            let position = self.positional;
            self.fail(failure, format_args!("positional argument {position}"));
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if self.error.is_some() {
            return;
        }
        self.positional += 1;
        canonical::write_octets(tag::RAW_ARGUMENT, bytes, &mut self.sink);
    }

    pub(super) fn named<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        if self.error.is_some() {
            return;
        }
        let mut encoded = Vec::new();
        if let Err(failure) = canonical::encode(value, &mut encoded) {
            self.fail(failure, format_args!("named argument {name:?}"));
        } else if self.named.insert((name.len(), name.into()), encoded).is_some() {
            let what = format!("named argument {name:?} of operation {:?} is given twice", self.operation);
            self.error = Some(Error::invalid(what));
        }
    }

    fn fail(&mut self, failure: Failure, argument: fmt::Arguments<'_>) {
        let what = format!("{argument} of operation {:?} has no encoding", self.operation);
        self.error = Some(failure.of(what));
    }

    pub(super) fn finish(mut self) -> Result<S> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.sink.write(&[tag::MAP]);
        for ((_, name), value) in &self.named {
            canonical::write_octets(tag::TEXT, name.as_bytes(), &mut self.sink);
            self.sink.write(value);
        }
        self.sink.write(&[tag::MAP_END]);
        Ok(self.sink)
    }
}

impl<S> Call<S> {
    pub(super) fn operation(&self) -> &str {
        &self.operation
    }

    pub(super) fn positional(&self) -> usize {
        self.positional
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(|(_, name)| &**name)
    }

    pub(super) fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }
}
