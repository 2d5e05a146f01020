mod body;
mod bucket;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;

pub(crate) use self::{
    body::Body,
    bucket::{Bucket, Description, Object, Part, Upload, now},
};

/// An upload in parts that was begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenUpload {
    /// The name of the object that it is to become.
    pub object: String,
    /// Its number.
    pub id: String,
    /// When it was begun.
    pub begun: SystemTime,
    /// The bytes of all its parts.
    pub bytes: u64,
}

/// What a server keeps, behind the back of its clients. A clone is of the same.
#[derive(Clone, Debug, Default)]
pub struct Contents(Arc<Mutex<BTreeMap<String, Bucket>>>);

impl Contents {
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, bucket: &str, f: impl FnOnce(&mut Bucket) -> T) -> Option<T> {
        self.lock().get_mut(bucket).map(f)
    }

    /// Makes a bucket, if it is not there.
    pub fn create_bucket(&self, bucket: &str) {
        self.lock().entry(bucket.to_owned()).or_default();
    }

    /// Removes a bucket and all that is in it.
    pub fn remove_bucket(&self, bucket: &str) {
        self.lock().remove(bucket);
    }

    /// The buckets, in order.
    #[must_use]
    pub fn buckets(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// The names of all objects, in order.
    #[must_use]
    pub fn names(&self, bucket: &str) -> Vec<String> {
        self.with(bucket, |bucket| bucket.objects.keys().cloned().collect()).unwrap_or_default()
    }

    /// The bytes of an object.
    #[must_use]
    pub fn get(&self, bucket: &str, name: &str) -> Option<Bytes> {
        let body =
            self.with(bucket, |bucket| bucket.objects.get(name).map(|object| object.body.clone()))??;
        Some(body.to_bytes())
    }

    /// Puts an object, as another client does. Makes the bucket if it is not there.
    pub fn put(&self, bucket: &str, name: &str, bytes: impl Into<Bytes>) {
        let object = Object::new(Body::from(bytes.into()));
        self.lock().entry(bucket.to_owned()).or_default().objects.insert(name.to_owned(), object);
    }

    /// Changes the bytes of an object and nothing else of it, as failing hardware does. Whether it was there.
    pub fn damage(&self, bucket: &str, name: &str, bytes: impl Into<Bytes>) -> bool {
        let body = Body::from(bytes.into());
        self.change(bucket, name, |object| object.body = body)
    }

    /// Sets when an object was written last. Whether it was there.
    pub fn set_modified(&self, bucket: &str, name: &str, modified: SystemTime) -> bool {
        self.change(bucket, name, |object| object.modified = modified)
    }

    fn change(&self, bucket: &str, name: &str, f: impl FnOnce(&mut Object)) -> bool {
        self.with(bucket, |bucket| bucket.objects.get_mut(name).map(f)).flatten().is_some()
    }

    /// Removes an object. Whether it was there.
    pub fn remove(&self, bucket: &str, name: &str) -> bool {
        self.with(bucket, |bucket| bucket.objects.remove(name)).flatten().is_some()
    }

    /// The uploads that were not ended, in order of their objects' names.
    #[must_use]
    pub fn uploads(&self, bucket: &str) -> Vec<OpenUpload> {
        let open = |((object, id), upload): (&(String, String), &Upload)| OpenUpload {
            object: object.clone(),
            id: id.clone(),
            begun: upload.begun,
            bytes: upload.parts.values().map(|part| part.body.len()).sum(),
        };
        self.with(bucket, |bucket| bucket.uploads.iter().map(open).collect()).unwrap_or_default()
    }

    /// Sets when all uploads that were not ended were begun.
    pub fn set_begun(&self, bucket: &str, begun: SystemTime) {
        self.with(bucket, |bucket| bucket.uploads.values_mut().for_each(|upload| upload.begun = begun));
    }
}
