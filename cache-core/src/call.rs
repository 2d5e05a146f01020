//! Recorded calls: which function, with which arguments, gave what.

mod datum;
mod function;
mod memoize;
mod query;
mod read;
mod record;
#[cfg(test)]
mod recorder;
mod store;
mod template;
#[cfg(test)]
mod tests;
mod transform;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use serde::Serialize;

pub use datum::Datum;
pub use query::CallQuery;
pub use store::CallStore;
pub use template::CallTemplate;
pub use transform::TransformReport;

use crate::{Digest, Error, KeyBuilder, Result};

/// One call of a function: what went in, what came out, and what else is worth knowing.
///
/// The name, the module, the version, the code and the arguments make up the
/// [`lookup_key`](Self::lookup_key); the rest does not.
///
/// ```
/// use cache_core::{Call, Digest};
///
/// let call = Call::new("resize")
///     .with_version("2")
///     .with_argument("width", &640)?
///     .with_argument_datum("image", Digest::of("the bytes of a picture"));
/// let same = call.clone().with_result(&"thumbnail")?.with_metadata("host", &"build-7")?;
/// assert_eq!(call.lookup_key()?, same.lookup_key()?);
/// assert_ne!(call.lookup_key()?, call.with_version("3").lookup_key()?);
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The function.
    pub name: String,
    /// Where the function is from.
    pub module: Option<String>,
    /// The version of the function.
    pub version: Option<String>,
    /// The digest of the function's code.
    pub code: Option<Digest>,
    /// The arguments in the order of their declaration, each name once.
    pub arguments: Vec<(String, Datum)>,
    /// What the call gave.
    pub result: Option<Datum>,
    /// What else is worth knowing.
    pub metadata: BTreeMap<String, Datum>,
    /// When the call was recorded. [`CallStore::save`] sets it if it is absent.
    pub created: Option<SystemTime>,
}

impl Call {
    /// A call of the function `name` without arguments.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            module: None,
            version: None,
            code: None,
            arguments: Vec::new(),
            result: None,
            metadata: BTreeMap::new(),
            created: None,
        }
    }

    /// Sets where the function is from.
    #[must_use]
    pub fn with_module(mut self, module: impl Into<String>) -> Self {
        self.module = Some(module.into());
        self
    }

    /// Sets the version of the function.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets the digest of the function's code.
    #[must_use]
    pub fn with_code(mut self, code: Digest) -> Self {
        self.code = Some(code);
        self
    }

    /// Adds the next argument, and keeps its value in the record.
    ///
    /// # Errors
    ///
    /// As [`Datum::of`].
    pub fn with_argument<T>(self, name: impl Into<String>, value: &T) -> Result<Self>
    where
        T: Serialize + ?Sized,
    {
        Ok(self.with_argument_datum(name, Datum::of(value)?))
    }

    /// Adds the next argument, which may be a digest alone.
    #[must_use]
    pub fn with_argument_datum(mut self, name: impl Into<String>, argument: impl Into<Datum>) -> Self {
        self.arguments.push((name.into(), argument.into()));
        self
    }

    /// Sets what the call gave.
    ///
    /// # Errors
    ///
    /// As [`Datum::of`].
    pub fn with_result<T: Serialize + ?Sized>(self, value: &T) -> Result<Self> {
        Ok(self.with_result_datum(Datum::of(value)?))
    }

    /// Sets what the call gave, which may be a digest alone.
    #[must_use]
    pub fn with_result_datum(mut self, result: impl Into<Datum>) -> Self {
        self.result = Some(result.into());
        self
    }

    /// Sets one thing more that is worth knowing.
    ///
    /// # Errors
    ///
    /// As [`Datum::of`].
    pub fn with_metadata<T>(self, name: impl Into<String>, value: &T) -> Result<Self>
    where
        T: Serialize + ?Sized,
    {
        Ok(self.with_metadata_datum(name, Datum::of(value)?))
    }

    /// Sets one thing more that is worth knowing, which may be a digest alone.
    #[must_use]
    pub fn with_metadata_datum(mut self, name: impl Into<String>, datum: impl Into<Datum>) -> Self {
        self.metadata.insert(name.into(), datum.into());
        self
    }

    /// Sets when the call was recorded.
    #[must_use]
    pub fn with_created(mut self, created: SystemTime) -> Self {
        self.created = Some(created);
        self
    }

    /// The argument `name`.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&Datum> {
        self.arguments.iter().find(|(other, _)| other == name).map(|(_, datum)| datum)
    }

    /// The digest that the call is stored under: of the name, the module, the version, the code and the
    /// arguments in their order, each by its digest. Neither the result nor the metadata change it.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name is empty or two arguments have the same name.
    pub fn lookup_key(&self) -> Result<Digest> {
        self.check()?;
        let arguments: Vec<(&str, Digest)> =
            self.arguments.iter().map(|(name, datum)| (name.as_str(), datum.digest())).collect();
        KeyBuilder::new("call")
            .arg(&self.name)
            .arg(&self.module)
            .arg(&self.version)
            .arg(&self.code)
            .arg(&arguments)
            .finish()
    }

    /// Whether there is a key to store it under.
    fn check(&self) -> Result<()> {
        if self.name.is_empty() {
            return Err(Error::invalid("a call has the name of a function"));
        }
        let mut names = BTreeSet::new();
        match self.arguments.iter().find(|(name, _)| !names.insert(name)) {
            Some((name, _)) => Err(Error::invalid(format!("the argument {name:?} stands twice"))),
            None => Ok(()),
        }
    }
}
