use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use cache::{Cache, Config, Key, Limit, ListOptions, Namespace, Store, StoreInfo};
use cache_conformance::{CLAUSES, Clause, Damage, Factory, Files, Scoped, Setup};
use futures::TryStreamExt;

use crate::{failure::Failure, stores};

/// A store that clauses are tried on, and what of it they may take.
#[derive(Debug)]
pub(crate) struct Ground {
    config: Config,
    info: StoreInfo,
    part: Part,
}

#[derive(Debug)]
enum Part {
    /// All of it: every open is a new store, and ends with it.
    Fresh,
    /// All of it, by one clause after the other.
    Whole,
    /// What lies below a namespace that nobody else has, by each clause below one of its own.
    Below(String),
}

impl Ground {
    /// Looks at the store: whether it opens, and what is in it.
    pub(crate) async fn choose(config: Config, exclusive: bool) -> Result<Self, Failure> {
        let cache = open(&config, &Setup::default()).await?;
        let info = cache.info();
        let part = Part::choose(&cache, exclusive).await;
        let closed = stores::close(&cache).await;
        let part = part?;
        closed.map(|()| Self { config, info, part })
    }

    /// What the store is, and where it lies, tier by tier.
    pub(crate) fn name(&self) -> String {
        // The location of a bucket is a whole URL.
        let one = |info: &StoreInfo| match info.location.contains("://") {
            true => info.location.clone(),
            false => format!("{}:{}", info.kind, info.location),
        };
        if self.info.tiers.is_empty() {
            return one(&self.info);
        }
        self.info.tiers.iter().map(|(_, tier)| one(tier)).collect::<Vec<_>>().join(" over ")
    }

    /// Whether clauses have to run one after the other.
    pub(crate) fn has_room_for_one(&self) -> bool {
        let powers = self.info.powers;
        matches!(self.part, Part::Whole) || (powers.durable && !powers.shared)
    }

    /// What a clause runs over.
    pub(crate) fn factory(&self, clause: &Clause) -> impl Factory + use<> {
        Opened { config: self.config.clone(), below: self.below(clause.id), files: files(&self.info) }
    }

    /// The namespace to which a clause keeps; all of the store if there is none.
    fn below(&self, clause: &str) -> Option<String> {
        match &self.part {
            Part::Fresh | Part::Whole => None,
            Part::Below(part) => {
                // Short, as clauses try long namespaces below it.
                let number = CLAUSES.iter().position(|other| other.id == clause).unwrap_or_default();
                Some(format!("{part}/{number}"))
            }
        }
    }

    /// Removes what this clause has left: the next one may need the room.
    pub(crate) async fn clear_after(&self, clause: &str) -> Result<(), Failure> {
        self.remove(self.below(clause).as_deref()).await
    }

    /// Removes what all clauses have left.
    pub(crate) async fn clear(&self) -> Result<(), Failure> {
        match &self.part {
            Part::Fresh | Part::Whole => self.remove(None).await,
            Part::Below(part) => self.remove(Some(part)).await,
        }
    }

    /// Removes what lies in a namespace and below.
    async fn remove(&self, below: Option<&str>) -> Result<(), Failure> {
        if matches!(self.part, Part::Fresh) {
            return Ok(());
        }
        let failed = |why: String| Failure::because(format!("cannot remove what the suite left: {why}"));
        let cache = open(&self.config, &Setup::default()).await?;
        let mut parts = below.into_iter().flat_map(|below| below.split('/'));
        let cleared = match parts.try_fold(cache.clone(), |above, part| above.namespace(part)) {
            Ok(all) => all.clear().await,
            Err(error) => Err(error),
        };
        let closed = stores::close(&cache).await;
        let report = cleared.map_err(|error| failed(error.to_line()))?;
        if !report.is_complete() {
            return Err(failed(report.to_string()));
        }
        closed
    }
}

impl Part {
    async fn choose(cache: &Cache, exclusive: bool) -> Result<Self, Failure> {
        let powers = cache.info().powers;
        if !powers.durable && !powers.shared {
            return Ok(Self::Fresh);
        }
        if exclusive {
            if is_empty(cache, ListOptions::default().recursive()).await? {
                return Ok(Self::Whole);
            }
            return Err(Failure::because("--exclusive empties the store, and this one has entries in it"));
        }
        loop {
            let part = format!("conformance-{:08x}", fastrand::u32(..));
            let namespace = Namespace::root().child(&part)?;
            if is_empty(cache, ListOptions::below(&namespace)).await? {
                return Ok(Self::Below(part));
            }
        }
    }
}

async fn is_empty(cache: &Cache, options: ListOptions) -> Result<bool, Failure> {
    Ok(cache.store().list(options.with_limit(1)).try_next().await?.is_none())
}

/// Opens the store with these limits and no others. Those of the configuration are left aside: they are not
/// what a clause asks for, and under a budget its entries would drive out those of others.
async fn open(config: &Config, setup: &Setup) -> cache::Result<Cache> {
    let mut config = config.clone();
    for tier in &mut config.tiers {
        tier.max_size = Some(setup.max_bytes.map_or(Limit::Unlimited, Limit::Max));
        tier.max_entries = None;
        tier.max_blob = setup.max_blob_bytes.map(Limit::Max);
        if tier.bucket.is_some() {
            // Cleaned is only what clauses put; uploads of others go on.
            tier.owned = Some(true);
            tier.upload_age = Some(Duration::MAX);
        }
    }
    cache::open_config(&config).await
}

/// The files of the store or of its only tier on disk, to be damaged.
fn files(info: &StoreInfo) -> Option<Files> {
    let mut disks = std::iter::once(info).chain(info.tiers.iter().map(|(_, tier)| tier));
    let disk = disks.find(|info| info.kind == "disk")?;
    if disks.any(|info| info.powers.durable) {
        return None;
    }
    Some(Files::in_place(&disk.location, |key| {
        let digits = key.digest.to_string();
        Path::new(key.namespace.encoded()).join(digits.get(..2).unwrap_or_default()).join(digits)
    }))
}

/// Opens the store for one clause.
#[derive(Debug)]
struct Opened {
    config: Config,
    /// The namespace to which the clause keeps; all of the store without one.
    below: Option<String>,
    files: Option<Files>,
}

impl Opened {
    fn files(&self) -> cache::Result<&Files> {
        self.files.as_ref().ok_or_else(|| cache::Error::invalid("no files"))
    }
}

#[async_trait]
impl Factory for Opened {
    async fn open(&self, setup: &Setup) -> cache::Result<Arc<dyn Store>> {
        let Some(below) = &self.below else {
            return Ok(Arc::clone(open(&self.config, setup).await?.store()));
        };
        let mut limits = setup.clone();
        limits.max_bytes = None; // everybody's, and the view declares none
        let cache = open(&self.config, &limits).await?;
        Ok(Arc::new(Scoped::new(Arc::clone(cache.store()), below.parse()?)))
    }

    fn damage(&self) -> Option<&dyn Damage> {
        self.files.is_some().then_some(self)
    }
}

/// What a clause calls a key lies below the namespace to which it keeps.
#[async_trait]
impl Damage for Opened {
    async fn objects(&self, key: &Key) -> cache::Result<Vec<String>> {
        let below = self.below.as_deref().unwrap_or_default().parse::<Namespace>()?;
        self.files()?.objects(&Key::new(below.join(&key.namespace)?, key.digest)).await
    }

    async fn read(&self, object: &str) -> cache::Result<Bytes> {
        self.files()?.read(object).await
    }

    async fn write(&self, object: &str, bytes: Bytes) -> cache::Result<()> {
        self.files()?.write(object, bytes).await
    }

    async fn remove(&self, object: &str) -> cache::Result<()> {
        self.files()?.remove(object).await
    }
}
