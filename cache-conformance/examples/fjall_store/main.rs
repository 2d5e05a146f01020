//! A store over an engine of others, fjall, in `store.rs`, and its proof: `cargo test -p cache-conformance --examples`
//! runs the suite on it, `cargo run -p cache-conformance --example fjall_store` reports on it.

mod reach;
mod store;
#[cfg(test)]
mod tests;

use std::{ops::ControlFlow, path::PathBuf, process::ExitCode, sync::Arc};

use async_trait::async_trait;
use cache_conformance::{Crash, Damage, Factory, Files, Runner, Setup};
use cache_core::{Error, ErrorKind, Result, Store};
use reach::Rows;
use store::FjallStore;
use tempfile::TempDir;

/// A directory for each clause, with what reaches behind the store in it.
struct Fresh {
    files: Files,
    rows: Rows,
    _dir: TempDir,
}

impl Fresh {
    fn new() -> std::io::Result<Self> {
        let dir = tempfile::tempdir()?;
        // Its rows are damaged by the engine's own means: no file is a row.
        let files = Files::new(dir.path(), |_| PathBuf::from("none"));
        Ok(Self { rows: Rows::new(files.clone()), files, _dir: dir })
    }
}

#[async_trait]
impl Factory for Fresh {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        if setup.max_bytes.is_some() {
            return Err(Error::new(ErrorKind::Unsupported, "fjall", "open").with_detail("it keeps no budget"));
        }
        self.rows.give_up().await?;
        let (dir, max) = (self.files.dir(), setup.max_blob_bytes);
        let open = tokio::task::spawn_blocking(move || FjallStore::open(&dir, max)).await;
        let failed = |panic| Error::new(ErrorKind::Internal, "fjall", "open").with_source(panic);
        let store = open.map_err(failed)??;
        self.rows.are_in(&store);
        Ok(Arc::new(store))
    }

    fn damage(&self) -> Option<&dyn Damage> {
        Some(&self.rows)
    }

    fn crash(&self) -> Option<&dyn Crash> {
        Some(&self.files)
    }
}

#[expect(clippy::expect_used, reason = "without a temporary directory there is nothing to report")]
fn main() -> ExitCode {
    let report = Runner::default().run(
        "fjall",
        |_| Fresh::new().expect("a temporary directory"),
        |done| {
            println!("{}: {}", done.id, done.outcome);
            ControlFlow::Continue(())
        },
    );
    println!("{report}");
    if report.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod conformance {
    cache_conformance::suite! { crate::Fresh::new().unwrap(), handles: [damage, crash] }
}
