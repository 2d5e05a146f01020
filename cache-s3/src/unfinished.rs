//! Uploads that were begun and not ended, as S3 and GCS list them.

use std::time::SystemTime;

use roxmltree::{Document, Node, ParsingOptions};

use crate::provider::Upload;

/// How many are asked for at a time.
pub(crate) const PAGE: &str = "1000";

/// What a listing may have of elements, texts and attributes: a page of S3 has a tenth of that.
const MAX_NODES: u32 = 500_000;

/// The uploads of a listing; none if it is no such listing. What cannot be read is passed over.
pub(crate) fn parse(listing: &str) -> Option<Vec<Upload>> {
    let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(listing, options).ok()?;
    let root = document.root_element();
    (root.tag_name().name() == "ListMultipartUploadsResult").then(|| {
        root.children().filter(|node| node.tag_name().name() == "Upload").filter_map(upload).collect()
    })
}

fn upload(node: Node<'_, '_>) -> Option<Upload> {
    let text = |name| node.children().find(|child| child.tag_name().name() == name)?.text();
    Some(Upload {
        object: text("Key")?.to_owned(),
        id: text("UploadId")?.to_owned(),
        begun: time(text("Initiated")?)?,
    })
}

fn time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text.trim()).ok()
}

#[cfg(test)]
mod tests;
