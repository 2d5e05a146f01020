//! What GCS and Azure have in common: a bucket is known by its listing.

use cache_core::{Error, ErrorKind, Result};
use object_store::list::{PaginatedListOptions, PaginatedListStore};

use crate::failure::{Absence, absence, from_object_store};

/// Whether a bucket, which `what` calls by its kind and name, may be listed.
pub(crate) async fn check_listing(pages: &dyn PaginatedListStore, prefix: &str, what: &str) -> Result<()> {
    let prefix = if prefix.is_empty() { None } else { Some(format!("{prefix}/")) };
    let options = PaginatedListOptions { max_keys: Some(1), ..PaginatedListOptions::default() };
    let Err(error) = pages.list_paginated(prefix.as_deref(), options).await else { return Ok(()) };
    let absence = absence(&error);
    let error = from_object_store(error);
    match absence {
        Some(Absence::Bucket) => {
            Err(Error::new(ErrorKind::Unavailable, "", "").with_detail(format!("there is no {what}")))
        }
        Some(Absence::Object | Absence::Unclear) => {
            let detail = format!("the answer is not that of a {what}; is the endpoint right?");
            Err(Error::new(ErrorKind::Unavailable, "", "").with_detail(detail).with_source(error))
        }
        None => Err(error),
    }
}

/// Whether a name stays one part of a path and of a URL.
pub(crate) fn check_name(field: &str, name: &str) -> Result<()> {
    let whole = (3..=222).contains(&name.len())
        && !name.contains("..")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._$".contains(&byte));
    if whole {
        Ok(())
    } else {
        Err(Error::invalid(format!("{field}: not 3 to 222 letters, digits, dots and hyphens")))
    }
}

/// Whether a text may stand in a header.
pub(crate) fn is_header(text: &str) -> bool {
    http::HeaderValue::from_str(text).is_ok()
}
