use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// A file up to this size needs no bar.
const SHOWN_ABOVE: u64 = 8 << 20;

/// A bar on standard error for `len` bytes; an invisible one for small files and where nobody looks.
pub(crate) fn bar(what: &'static str, len: u64) -> ProgressBar {
    if len <= SHOWN_ABOVE || !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(len).with_message(what);
    match ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A bar on standard error for all of a store, whose length is told later; an invisible one where nobody looks.
pub(crate) fn store() -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    match ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A bar on standard error for clauses of the suite; an invisible one where nobody looks.
pub(crate) fn clauses(len: usize) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(len as u64);
    match ProgressStyle::with_template("clauses {wide_bar} {pos}/{len}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
