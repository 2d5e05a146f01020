//! Where the calls of one function lie: one namespace each, so that they can be listed alone.

use crate::{Digest, Namespace, Result, component};

/// What begins the component of a function whose name is none. A name that begins so is hashed, too, so no
/// name can be taken for the hash of another.
const MARKER: char = '-';
/// As many digits of the hash as fit: 240 bits.
const DIGITS: usize = 60;

pub(super) fn component_of(function: &str) -> String {
    if component::check("a function", function).is_ok() && !function.starts_with(MARKER) {
        return function.to_owned();
    }
    format!("{MARKER}{}", Digest::of(function).prefix(DIGITS))
}

pub(super) fn namespace_of(root: &Namespace, function: &str) -> Result<Namespace> {
    root.child(component_of(function))
}

/// Whether calls of some function can lie in `namespace`.
pub(super) fn is_function(root: &Namespace, namespace: &Namespace) -> bool {
    root.covers(namespace) && namespace.parts().len() == root.parts().len() + 1
}

#[cfg(test)]
mod tests;
