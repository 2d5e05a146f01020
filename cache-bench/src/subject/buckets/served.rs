use std::{
    env,
    io::{self, BufRead, BufReader},
    process::{Child, Command, ExitCode, Stdio, exit},
    thread,
};

use crate::failure::Result;

/// What makes this program a server of buckets.
pub(crate) const SERVE: &str = "serve-buckets";

/// The bucket that a server has.
pub(crate) const BUCKET: &str = "bench";

/// A key and a secret that a server takes.
pub(crate) const CREDENTIALS: (&str, &str) = ("AKIDTEST", "SECRETTEST");

/// `cache-s3-server` in a process of its own, so that it has no runtime and no memory in common with who asks it.
/// It ends with this process, however that ends.
#[derive(Debug)]
pub(crate) struct Served {
    child: Child,
    endpoint: String,
}

impl Served {
    /// An empty bucket.
    pub(crate) fn start() -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args([SERVE, "127.0.0.1:0", BUCKET]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let out = child.stdout.take().ok_or("a server without output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening ").ok_or("the server does not listen")?;
        Ok(Self { endpoint: format!("http://{address}"), child })
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // What has ended by itself cannot be killed.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Serves buckets, if that is what the arguments of this program say, until whoever began it is gone.
pub fn serve(mut arguments: impl Iterator<Item = String>) -> Option<ExitCode> {
    if arguments.next().as_deref() != Some(SERVE) {
        return None;
    }
    thread::spawn(|| {
        _ = io::copy(&mut io::stdin(), &mut io::sink());
        exit(0)
    });
    Some(cache_s3_server::program::main(arguments))
}
