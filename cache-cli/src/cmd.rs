pub(crate) mod clean;
pub(crate) mod conformance;
pub(crate) mod copy;
pub(crate) mod expand;
pub(crate) mod get;
pub(crate) mod ls;
pub(crate) mod put;
pub(crate) mod rm;
pub(crate) mod serve;
pub(crate) mod stat;
pub(crate) mod usage;
pub(crate) mod verify;

use crate::{
    Outcome,
    args::{Cli, Command},
    failure::Failure,
    signals,
};

/// Runs the verb that the command line names.
pub(crate) async fn run(cli: Cli) -> Result<Outcome, Failure> {
    // Dropping a verb midway is safe, and takes its temporary files away.
    macro_rules! until_interrupted {
        ($verb:ident, $with:ident) => {{
            let shared = cli.shared.and($with.shared)?;
            let ended = signals::ended().map_err(|error| Failure::io("cannot wait for signals", &error))?;
            tokio::select! {
                outcome = $verb::run($with.own, &shared) => outcome,
                () = ended => Err(Failure::because("interrupted")),
            }
        }};
    }
    match cli.command {
        Command::Serve(with) => serve::run(with.own, &cli.shared.and(with.shared)?).await,
        Command::Conformance(with) => conformance::run(with.own, &cli.shared.and(with.shared)?).await,
        Command::Put(with) => until_interrupted!(put, with),
        Command::Get(with) => until_interrupted!(get, with),
        Command::Ls(with) => until_interrupted!(ls, with),
        Command::Stat(with) => until_interrupted!(stat, with),
        Command::Rm(with) => until_interrupted!(rm, with),
        Command::Clean(with) => until_interrupted!(clean, with),
        Command::Usage(with) => until_interrupted!(usage, with),
        Command::Verify(with) => until_interrupted!(verify, with),
        Command::Copy(with) => until_interrupted!(copy, with),
        Command::Expand(with) => until_interrupted!(expand, with),
    }
}
