use std::fmt;

use http::{HeaderMap, Method, Uri};

/// An operation of S3, named as there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[expect(missing_docs, reason = "named as in S3's reference")]
pub enum Operation {
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CopyObject,
    CreateBucket,
    CreateMultipartUpload,
    DeleteObject,
    DeleteObjects,
    GetObject,
    HeadBucket,
    HeadObject,
    ListMultipartUploads,
    ListObjectsV2,
    PutObject,
    UploadPart,
    /// Any other one.
    Other,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Operation {
    pub(crate) fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let path = uri.path().trim_start_matches('/');
        let object = path.split_once('/').is_some_and(|(_, object)| !object.is_empty());
        let query = uri.query().unwrap_or_default();
        let asks = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let copies = headers.contains_key("x-amz-copy-source") || headers.contains_key("x-goog-copy-source");
        match (method.as_str(), object) {
            _ if path.is_empty() => Self::Other,
            ("PUT", false) if query.is_empty() || asks("X-Amz-Signature") => Self::CreateBucket,
            ("HEAD", false) => Self::HeadBucket,
            ("GET", false) if asks("list-type") => Self::ListObjectsV2,
            ("GET", false) if asks("uploads") => Self::ListMultipartUploads,
            ("POST", false) if asks("delete") => Self::DeleteObjects,
            ("PUT", true) if asks("partNumber") => Self::UploadPart,
            ("PUT", true) if copies => Self::CopyObject,
            ("PUT", true) => Self::PutObject,
            ("POST", true) if asks("uploads") => Self::CreateMultipartUpload,
            ("POST", true) if asks("uploadId") => Self::CompleteMultipartUpload,
            ("DELETE", true) if asks("uploadId") => Self::AbortMultipartUpload,
            ("DELETE", true) => Self::DeleteObject,
            ("GET", true) => Self::GetObject,
            ("HEAD", true) => Self::HeadObject,
            _ => Self::Other,
        }
    }
}
