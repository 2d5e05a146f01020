use cache::BlobName;
use clap::{Args, Parser, Subcommand};

use crate::{cmd, failure::Failure};

/// A cache for artifacts named by a digest.
///
/// Exit code 0: a hit, or done. 1: a miss, a store that fails the conformance suite, one that has lost
/// entries, or a copy that lacks some. 2: an error, told in one line on standard error.
#[derive(Debug, Parser)]
#[command(name = "cache", version, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) shared: Shared,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serves the cache to build tools over HTTP.
    Serve(With<cmd::serve::Args>),
    /// Stores a file under its own SHA-256 and prints the digest.
    Put(With<cmd::put::Args>),
    /// Writes an artifact to standard output or to a file.
    Get(With<cmd::get::Args>),
    /// Lists entries: digest, size in bytes, namespace.
    Ls(With<cmd::ls::Args>),
    /// Tells what is known of an entry.
    Stat(With<cmd::stat::Args>),
    /// Removes an entry; one that is not there is fine.
    Rm(With<cmd::rm::Args>),
    /// Removes entries by age, then the least recently used ones until the rest fits.
    Clean(With<cmd::clean::Args>),
    /// Tells how much a namespace and all below it hold.
    Usage(With<cmd::usage::Args>),
    /// Reads every entry through, tells what is damaged, and repairs what another tier has a sound copy of.
    ///
    /// What is damaged is a miss from then on; the disk store keeps the last of it in .quarantine. The first 100
    /// entries that were lost are named.
    ///
    /// Exit code 0: everything is sound, or repaired. 1: damaged entries were lost. 2: an error, also if some entries
    /// could not be read.
    Verify(With<cmd::verify::Args>),
    /// Copies the entries of one store to another, reads each of them back, and makes them durable.
    ///
    /// What the target has already in the same version is skipped, so that a copy that was interrupted is gone on with by
    /// the same command. With --namespace only that namespace is copied, and all below it.
    ///
    /// Exit code 0: the target has everything, as far as it keeps no other version. 1: some entries are damaged at the
    /// source, or the target does not take them; the first 100 are named. 2: an error, also if some entries could not be
    /// read or written.
    Copy(With<cmd::copy::Args>),
    /// Prints the whole digest that a short one stands for.
    Expand(With<cmd::expand::Args>),
    /// Tries whether a store keeps the contract: runs the conformance suite on it.
    ///
    /// The suite keeps to a namespace of its own, conformance- and 8 digits, and removes it at the end: other
    /// entries stay as they are. Limits in the URLs are left aside. So that no entry of others is driven out,
    /// budgets are not tried, unless the store is in memory or --exclusive is given.
    ///
    /// In a bucket it writes below the prefix of the URL, and makes tens of thousands of requests, which cost what they
    /// cost. It removes there what it put, whether or not the URL says owned=true.
    ///
    /// Exit code 0: all clauses passed, or those that can be tried here. 1: one failed, or none could be
    /// tried.
    Conformance(With<cmd::conformance::Args>),
}

/// The options of one verb, and those that stand before or after any verb.
#[derive(Debug, Args)]
pub(crate) struct With<A: Args> {
    #[command(flatten)]
    pub(crate) own: A,
    #[command(flatten)]
    pub(crate) shared: Shared,
}

/// Options that stand before or after the verb.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Shared {
    /// A store, such as `disk:/var/cache/artifacts?max_size=50GB`. Repeat it for tiers, fastest first.
    ///
    /// There are `memory:`, `disk:/path`, `redb:/path/file`, `s3://bucket/prefix`, `gs://bucket/prefix` and
    /// `az://container/prefix?account=NAME`. Credentials for buckets are those of the environment; a URL takes none.
    ///
    /// Without it the environment's CACHE_STORE counts, URLs separated by white space; without that
    /// 256 MB of memory over the user's cache directory.
    #[arg(long, value_name = "URL")]
    pub(crate) store: Vec<String>,
    /// A part of the namespace to work in. Repeat it to nest.
    #[arg(long, value_name = "PART")]
    pub(crate) namespace: Vec<String>,
    /// The blob to put or to get [default: data].
    ///
    /// A put with this option leaves the entry's other blobs alone.
    #[arg(long, value_name = "NAME")]
    pub(crate) blob: Option<BlobName>,
    /// Answers in JSON, one object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Shared {
    /// These options, which stood before the verb, and those that stood after it.
    pub(crate) fn and(mut self, after: Self) -> Result<Self, Failure> {
        if self.blob.is_some() && after.blob.is_some() {
            return Err(Failure::because("--blob is given twice"));
        }
        self.store.extend(after.store);
        self.namespace.extend(after.namespace);
        self.blob = self.blob.or(after.blob);
        self.json |= after.json;
        Ok(self)
    }

    /// Refuses `--blob` where a verb works on whole entries.
    pub(crate) fn without_blob(&self, verb: &str) -> Result<(), Failure> {
        match self.blob {
            Some(_) => Err(Failure::because(format!("{verb} takes no --blob: it works on whole entries"))),
            None => Ok(()),
        }
    }

    /// Refuses `--namespace` where a verb has no use for it.
    pub(crate) fn without_namespace(&self, verb: &str, why: &str) -> Result<(), Failure> {
        if self.namespace.is_empty() {
            return Ok(());
        }
        Err(Failure::because(format!("{verb} takes no --namespace: {why}")))
    }

    /// Refuses `--json` where a verb has nothing to say in it.
    pub(crate) fn without_json(&self, verb: &str) -> Result<(), Failure> {
        if self.json { Err(Failure::because(format!("{verb} takes no --json"))) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_before_and_after_the_verb_add_up() {
        let before =
            Shared { store: vec!["memory:".into()], namespace: vec!["a".into()], ..Shared::default() };
        let after =
            Shared { store: vec!["disk:/x".into()], namespace: vec!["b".into()], ..Shared::default() };
        let both = before.and(after).unwrap();
        assert_eq!(both.store, ["memory:", "disk:/x"]);
        assert_eq!(both.namespace, ["a", "b"]);
    }
}
