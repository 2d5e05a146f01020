//! The store on servers that others wrote, and on one that runs in a container.
//!
//! This executable is also the server in the container: `serve ADDRESS [BUCKET...]`.
//!
//! A server that is not here is shown as ignored, with the reason. `.ci/run` installs what it can. `CACHE_S3_LONG=1` tries
//! all clauses on the emulator of Azure, too, of which else every third is tried.
#![cfg_attr(
    feature = "s3",
    expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")
)]

#[cfg(feature = "azure")]
mod azurite;
#[cfg(feature = "s3")]
mod bucket;
#[cfg(feature = "s3")]
mod container;
#[cfg(feature = "s3")]
mod image;
#[cfg(feature = "s3")]
mod lifecycle;
#[cfg(feature = "s3")]
mod moto;
#[cfg(any(feature = "s3", feature = "azure"))]
mod process;
#[cfg(any(feature = "s3", feature = "azure"))]
mod trials;

#[cfg(any(feature = "s3", feature = "azure"))]
fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("serve") {
        return cache_s3_server::program::main(arguments);
    }
    trials::main()
}

#[cfg(not(any(feature = "s3", feature = "azure")))]
fn main() {}
