//! The server as a client sees it: every test speaks HTTP/1.1 over a TCP connection.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in what tests share"
)]

mod addresses;
mod auth;
mod client;
mod connections;
mod content;
mod damage;
mod faulty;
mod nested;
mod server;
mod shutdown;
mod statuses;
mod uploads;

/// The SHA-256 of `abc`.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A ccache key of 33 characters.
const KEY: &str = "079dh92q6rkcl2hcgmgsql5pd6eov28fu";

/// Bytes of which no two stretches are alike.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
