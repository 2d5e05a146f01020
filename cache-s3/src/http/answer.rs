use std::fmt::Write;

use http::HeaderMap;

use crate::failure::{element, shorten};

const MAX_STRANGER_BYTES: usize = 100;

/// What a server said about a request that failed, without what it quotes of the request: some answer with the token
/// that they refuse, or with the text whose signature was wrong.
///
/// In the form of S3 if it is an answer of S3, GCS or Azure, so that whoever looks for its `Code` finds it.
pub(super) fn refusal(headers: &HeaderMap, body: &[u8]) -> String {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let body = String::from_utf8_lossy(body);
    // An answer to a HEAD has no body.
    let code = element(&body, "Code").or_else(|| header("x-ms-error-code"));
    let Some(code) = code.filter(|code| is_word(code)) else { return stranger(&body) };
    let mut text = String::from("<Error>");
    append(&mut text, "Code", code);
    if let Some(message) = element(&body, "Message") {
        append(&mut text, "Message", &shorten(message));
    }
    let region = header("x-amz-bucket-region").or_else(|| element(&body, "Region"));
    if let Some(region) = region.filter(|region| is_word(region)) {
        append(&mut text, "Region", region);
    }
    text.push_str("</Error>");
    text
}

fn append(text: &mut String, name: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = write!(text, "<{name}>{value}</{name}>");
}

/// What is said by somebody who does not speak the language of the service: a page's title, or a line. A longer text
/// may quote the request.
fn stranger(body: &str) -> String {
    match element(body, "title") {
        Some(title) => shorten(title),
        None if body.len() <= MAX_STRANGER_BYTES && !body.contains('<') => shorten(body),
        None => format!("{} bytes that are not of an object store", body.len()),
    }
}

/// Whether a body is a page for people, such as that of a network which wants a log-in.
pub(super) fn is_page(body: &[u8]) -> bool {
    let start = body.trim_ascii_start();
    ["<!doctype html", "<html"]
        .iter()
        .any(|tag| start.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes())))
}

fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests;
