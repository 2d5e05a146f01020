use std::sync::Arc;

/// The calls that a store can fail, delay or leave unanswered, by the name of their method.
///
/// `get_now` is none of them: it cannot fail. It answers `None` where the fault could befall a
/// [`Get`](Self::Get).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Call {
    /// `contains`.
    Contains,
    /// `evict`.
    Evict,
    /// `list`, when its first entry is asked for.
    List,
    /// `get`.
    Get,
    /// `get_entry`.
    GetEntry,
    /// `put` of blobs in hand.
    Put,
    /// `put` with a blob that streams.
    PutStream,
    /// `meta`.
    Meta,
    /// `usage`.
    Usage,
    /// `clean`.
    Clean,
    /// `flush`.
    Flush,
    /// `close`.
    Close,
}

impl Call {
    /// Those that [`Retrying`](cache_core::Retrying) makes again when they failed.
    pub const REPEATABLE: &'static [Self] = &[
        Self::Contains,
        Self::Evict,
        Self::List,
        Self::Get,
        Self::GetEntry,
        Self::Put,
        Self::Meta,
        Self::Usage,
    ];

    /// The name of the method.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::Evict => "evict",
            Self::List => "list",
            Self::Get => "get",
            Self::GetEntry => "get_entry",
            Self::Put | Self::PutStream => "put",
            Self::Meta => "meta",
            Self::Usage => "usage",
            Self::Clean => "clean",
            Self::Flush => "flush",
            Self::Close => "close",
        }
    }
}

/// The calls that a fault is for: all of them, unless some are named.
#[derive(Clone, Debug, Default)]
pub(crate) struct Only(Option<Arc<[Call]>>);

impl Only {
    pub(crate) fn has(&self, call: Call) -> bool {
        self.0.as_ref().is_none_or(|calls| calls.contains(&call))
    }
}

impl From<&[Call]> for Only {
    fn from(calls: &[Call]) -> Self {
        Self(Some(calls.into()))
    }
}
