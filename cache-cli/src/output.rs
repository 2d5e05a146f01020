use std::io::{self, Write};

use serde_json::Value;
use tokio::io::{AsyncWriteExt, BufWriter, Stdout};

use crate::failure::Failure;

/// Standard output. A reader that has gone away ends the command quietly.
#[derive(Debug)]
pub(crate) struct Output(BufWriter<Stdout>);

impl Output {
    pub(crate) fn stdout() -> Self {
        Self(BufWriter::with_capacity(64 << 10, tokio::io::stdout()))
    }

    /// Writes bytes as they are.
    pub(crate) async fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes).await.map_err(|error| Failure::stdout(&error))
    }

    /// Writes a line of text.
    pub(crate) async fn line(&mut self, line: impl AsRef<str>) -> Result<(), Failure> {
        self.bytes(line.as_ref().as_bytes()).await?;
        self.bytes(b"\n").await
    }

    /// Writes one object on a line.
    pub(crate) async fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(value.to_string()).await
    }

    /// Waits until everything is written.
    pub(crate) async fn finish(mut self) -> Result<(), Failure> {
        self.0.flush().await.map_err(|error| Failure::stdout(&error))
    }
}

/// Writes one line, or the same as an object for machines.
pub(crate) async fn answer(
    json: bool,
    line: impl AsRef<str>,
    value: impl FnOnce() -> Value,
) -> Result<(), Failure> {
    let mut output = Output::stdout();
    if json {
        output.json(&value()).await?;
    } else {
        output.line(line).await?;
    }
    output.finish().await
}

/// Prints what `--help` and `--version` ask for.
pub(crate) fn print_help(help: &clap::Error) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    write!(stdout, "{}", help.render()).and_then(|()| stdout.flush()).map_err(|error| Failure::stdout(&error))
}
