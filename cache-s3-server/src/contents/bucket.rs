use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicI64, Ordering},
    time::SystemTime,
};

use super::Body;

/// What a bucket holds. Names are in the order of their bytes, as S3 lists them.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) objects: BTreeMap<String, Object>,
    /// By name and number.
    pub(crate) uploads: BTreeMap<(String, String), Upload>,
}

#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) body: Body,
    pub(crate) etag: String,
    pub(crate) modified: SystemTime,
    /// What Google tells versions by.
    pub(crate) generation: i64,
    pub(crate) description: Description,
}

/// What a client wrote about an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Description {
    pub(crate) content_type: Option<String>,
    pub(crate) metadata: Option<HashMap<String, String>>,
}

#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) begun: SystemTime,
    pub(crate) description: Description,
    pub(crate) parts: BTreeMap<i32, Part>,
}

#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) body: Body,
    pub(crate) etag: String,
}

impl Object {
    pub(crate) fn new(body: Body) -> Self {
        let etag = body.etag();
        Self::with_etag(body, etag, Description::default())
    }

    pub(crate) fn with_etag(body: Body, etag: String, description: Description) -> Self {
        static GENERATION: AtomicI64 = AtomicI64::new(1);
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
        Self { body, etag, modified: now(), generation, description }
    }
}

pub(crate) fn now() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "a server tells the time of day")]
    SystemTime::now()
}
