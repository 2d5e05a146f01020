use std::{error::Error as StdError, future::Future, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Call, CallStore, ComputeOptions, Datum, MessagePack, PutEntry, Result,
    cache::coded::{Coded, failed},
    call::record,
};

impl CallStore {
    /// The result of the function `name` for `arguments`: the recorded one, or else that which `f`
    /// computes, and which is recorded.
    ///
    /// `arguments` is one value, such as a tuple or a struct; its digest is recorded as the argument
    /// `arguments`. The digest covers what the arguments serialise to and the name, nothing else: when the
    /// function changes, change the name, or use [`memoize_call`](Self::memoize_call) with a version.
    ///
    /// ```
    /// # async fn run(calls: cache_core::CallStore) -> cache_core::Result<()> {
    /// let (x, y) = (20, 22);
    /// let add = move || async move { Ok::<_, std::io::Error>(x + y) };
    /// assert_eq!(calls.memoize("add", &(x, y), add).await?, 42);
    /// # Ok(())
    /// # }
    /// # let _ = run;
    /// ```
    ///
    /// # Errors
    ///
    /// As [`memoize_call`](Self::memoize_call).
    ///
    /// # Cancel safety
    ///
    /// As [`memoize_call`](Self::memoize_call).
    pub async fn memoize<A, T, F, Fut, E>(&self, name: impl Into<String>, arguments: &A, f: F) -> Result<T>
    where
        A: Serialize + ?Sized,
        T: Serialize + DeserializeOwned + Send + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let call = Call::new(name).with_argument_datum("arguments", Datum::digest_of(arguments)?);
        self.memoize_call(call, f).await
    }

    /// The result of `call`: the recorded one, or else that which `f` computes, and which is recorded with
    /// the call.
    ///
    /// Many who ask at once share one computation. A result of another type is computed and replaced. The
    /// result that `call` has is not looked at.
    ///
    /// ```
    /// # async fn run(calls: cache_core::CallStore) -> cache_core::Result<()> {
    /// use cache_core::Call;
    ///
    /// let call = Call::new("resize").with_version("2").with_argument("width", &640)?;
    /// let thumbnail = calls.memoize_call(call, || async { std::fs::read("thumbnail.png") }).await?;
    /// # let _ = thumbnail;
    /// # Ok(())
    /// # }
    /// # let _ = run;
    /// ```
    ///
    /// # Errors
    ///
    /// [`Compute`](crate::ErrorKind::Compute) if `f` fails, with its error as the source, and
    /// [`Codec`](crate::ErrorKind::Codec) if its result cannot be encoded: nothing is recorded then. Else as
    /// [`Call::lookup_key`], [`Cache::get`](crate::Cache::get) and [`Cache::put`](crate::Cache::put).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the old record or the new one. A computation ends with the last one that
    /// waits for it.
    pub async fn memoize_call<T, F, Fut, E>(&self, call: Call, f: F) -> Result<T>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let digest = call.lookup_key()?;
        let mut coded = Coded::new(self.function(&call.name)?, MessagePack);
        coded.schema = record::RESULT_SCHEMA;
        let (writer, clock) = (coded.clone(), Arc::clone(self.clock()));
        let compute = move || async move {
            let value = f().await.map_err(|error| failed(&writer.cache, digest, "memoize", error))?;
            let result = writer.encode(digest, "memoize", &value)?;
            let mut call = call.with_result_datum(Datum::digest_of(&value)?);
            call.created = Some(clock.now());
            Ok(PutEntry::data(record::encode(&call)?).with(record::result_name(), result))
        };
        coded.compute(digest, &record::result_name(), ComputeOptions::default(), compute).await
    }
}

#[cfg(test)]
mod tests;
