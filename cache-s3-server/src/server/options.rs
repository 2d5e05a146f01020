use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
};

use crate::{Contents, Dialect};

/// What a server is started with.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Where it listens; a free port of 127.0.0.1 by default.
    pub address: SocketAddr,
    /// The key that requests have to be signed with; `AKIDTEST` by default.
    pub key: String,
    /// The secret to that key; `SECRETTEST` by default.
    pub secret: String,
    /// Buckets that are there from the beginning.
    pub buckets: Vec<String>,
    /// What it does otherwise than S3.
    pub dialect: Dialect,
    /// How small a part may be that is not the last; 5 MiB by default, as on S3.
    pub min_part_bytes: u64,
    /// What it keeps from the beginning; nothing by default. Servers may share it.
    pub contents: Contents,
    /// Another server that everything is handed on to, as it is; this one then only counts requests and has them fail.
    pub in_front_of: Option<SocketAddr>,
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("address", &self.address)
            .field("buckets", &self.buckets)
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            key: "AKIDTEST".to_owned(),
            secret: "SECRETTEST".to_owned(),
            buckets: Vec::new(),
            dialect: Dialect::default(),
            min_part_bytes: 5 << 20,
            contents: Contents::default(),
            in_front_of: None,
        }
    }
}

impl ServerOptions {
    /// A server without buckets on a free port.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where it listens.
    #[must_use]
    pub fn with_address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Sets the key and the secret that requests have to be signed with.
    #[must_use]
    pub fn with_credentials(mut self, key: impl Into<String>, secret: impl Into<String>) -> Self {
        (self.key, self.secret) = (key.into(), secret.into());
        self
    }

    /// Adds a bucket that is there from the beginning.
    #[must_use]
    pub fn with_bucket(mut self, bucket: impl Into<String>) -> Self {
        self.buckets.push(bucket.into());
        self
    }

    /// Changes what it does otherwise than S3.
    #[must_use]
    pub fn with_dialect(mut self, change: impl FnOnce(&mut Dialect)) -> Self {
        change(&mut self.dialect);
        self
    }

    /// Sets how small a part may be that is not the last.
    #[must_use]
    pub fn with_min_part_bytes(mut self, bytes: u64) -> Self {
        self.min_part_bytes = bytes;
        self
    }

    /// Sets what it keeps from the beginning.
    #[must_use]
    pub fn with_contents(mut self, contents: Contents) -> Self {
        self.contents = contents;
        self
    }

    /// Sets another server that everything is handed on to.
    #[must_use]
    pub fn with_in_front_of(mut self, other: SocketAddr) -> Self {
        self.in_front_of = Some(other);
        self
    }
}
