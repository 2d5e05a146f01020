//! The one rule for namespace parts and blob names, and how they look where they are stored.

use crate::{Error, Result};

/// The longest name, in bytes of UTF-8.
pub(crate) const MAX_BYTES: usize = 64;

/// Refuses what cannot be one safe component of a path.
pub(crate) fn check(what: &str, name: &str) -> Result<()> {
    let refuse = |why: &str| Err(Error::invalid(format!("{what} {why}: {name:?}")));
    if name.is_empty() {
        return Err(Error::invalid(format!("{what} is empty")));
    }
    if name.len() > MAX_BYTES {
        return Err(Error::invalid(format!(
            "{what} has {} bytes, at most {MAX_BYTES} are allowed",
            name.len()
        )));
    }
    if name == "." || name == ".." {
        return refuse("must not be a dot name");
    }
    if name.contains(['/', '\\']) {
        return refuse("must not contain a path separator");
    }
    if name.contains(char::is_control) {
        return refuse("must not contain control characters");
    }
    Ok(())
}

/// `~` and the percent-encoded name: lower-case, no trailing dot, the same on case-folding file systems.
pub(crate) fn encode(name: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut encoded = String::with_capacity(name.len() + 1);
    encoded.push('~');
    for (index, byte) in name.bytes().enumerate() {
        let last = index + 1 == name.len();
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => encoded.push(byte.into()),
            b'.' if !last => encoded.push('.'),
            _ => {
                encoded.push('%');
                for nibble in [byte >> 4, byte & 15] {
                    encoded.push(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0').into());
                }
            }
        }
    }
    encoded
}

/// The name behind an encoded component; `None` for anything that [`encode`] cannot have written.
pub(crate) fn decode(encoded: &str) -> Option<String> {
    let mut rest = encoded.strip_prefix('~')?.bytes();
    let mut name = Vec::new();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            name.push(digit(rest.next()?)? << 4 | digit(rest.next()?)?);
        } else {
            name.push(byte);
        }
    }
    let name = String::from_utf8(name).ok()?;
    (check("name", &name).is_ok() && encode(&name) == encoded).then_some(name)
}

#[cfg(test)]
mod tests;
