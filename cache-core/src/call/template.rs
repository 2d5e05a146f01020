use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Call, Datum, Digest, Result};

/// Which calls are wanted: a field that is not set is a wildcard, one that is set matches exactly.
///
/// Arguments, results and metadata are given as a value or as its digest; digests are what is compared.
///
/// ```
/// use cache_core::{Call, CallTemplate};
///
/// let call = Call::new("resize").with_argument("width", &640)?.with_argument("height", &480)?;
/// let wide = CallTemplate::default().with_name("resize").with_argument("width", &640)?;
/// assert!(wide.matches(&call));
/// assert!(!wide.only_these_arguments().matches(&call));
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallTemplate {
    name: Option<String>,
    module: Option<String>,
    version: Option<String>,
    code: Option<Digest>,
    arguments: BTreeMap<String, Digest>,
    only_these_arguments: bool,
    result: Option<Digest>,
    metadata: BTreeMap<String, Digest>,
}

impl CallTemplate {
    /// Wants calls of this function. Only those are then read from the store.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Wants calls of functions from this module.
    #[must_use]
    pub fn with_module(mut self, module: impl Into<String>) -> Self {
        self.module = Some(module.into());
        self
    }

    /// Wants calls of this version.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Wants calls of functions with this code.
    #[must_use]
    pub fn with_code(mut self, code: Digest) -> Self {
        self.code = Some(code);
        self
    }

    /// Wants calls with this argument, among others.
    ///
    /// # Errors
    ///
    /// As [`Digest::of_serialize`].
    pub fn with_argument<T>(self, name: impl Into<String>, value: &T) -> Result<Self>
    where
        T: Serialize + ?Sized,
    {
        Ok(self.with_argument_digest(name, Digest::of_serialize(value)?))
    }

    /// Wants calls with an argument that has this digest, among others.
    #[must_use]
    pub fn with_argument_digest(mut self, name: impl Into<String>, digest: Digest) -> Self {
        self.arguments.insert(name.into(), digest);
        self
    }

    /// Wants calls with no other arguments than those that are set here.
    #[must_use]
    pub fn only_these_arguments(mut self) -> Self {
        self.only_these_arguments = true;
        self
    }

    /// Wants calls that gave this.
    ///
    /// # Errors
    ///
    /// As [`Digest::of_serialize`].
    pub fn with_result<T: Serialize + ?Sized>(self, value: &T) -> Result<Self> {
        Ok(self.with_result_digest(Digest::of_serialize(value)?))
    }

    /// Wants calls that gave what has this digest.
    #[must_use]
    pub fn with_result_digest(mut self, digest: Digest) -> Self {
        self.result = Some(digest);
        self
    }

    /// Wants calls with this in their metadata, among others.
    ///
    /// # Errors
    ///
    /// As [`Digest::of_serialize`].
    pub fn with_metadata<T>(self, name: impl Into<String>, value: &T) -> Result<Self>
    where
        T: Serialize + ?Sized,
    {
        Ok(self.with_metadata_digest(name, Digest::of_serialize(value)?))
    }

    /// Wants calls with this digest in their metadata, among others.
    #[must_use]
    pub fn with_metadata_digest(mut self, name: impl Into<String>, digest: Digest) -> Self {
        self.metadata.insert(name.into(), digest);
        self
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether `call` is wanted.
    #[must_use]
    pub fn matches(&self, call: &Call) -> bool {
        fn agree<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        let is =
            |wanted: &Digest, found: Option<&Datum>| found.is_some_and(|datum| datum.digest() == *wanted);
        agree(self.name.as_ref(), Some(&call.name))
            && agree(self.module.as_ref(), call.module.as_ref())
            && agree(self.version.as_ref(), call.version.as_ref())
            && agree(self.code.as_ref(), call.code.as_ref())
            && self.result.as_ref().is_none_or(|wanted| is(wanted, call.result.as_ref()))
            && self.arguments.iter().all(|(name, wanted)| is(wanted, call.argument(name)))
            && (!self.only_these_arguments || self.arguments.len() == call.arguments.len())
            && self.metadata.iter().all(|(name, wanted)| is(wanted, call.metadata.get(name)))
    }
}

#[cfg(test)]
mod tests;
