//! What is tried, and who does it.

mod after;
mod burn;
mod calls;
mod full;
mod ground;
mod inject;
mod kept;
mod member;
mod model;
mod perform;
mod power;
mod processes;
mod script;
mod tree;
mod value;
mod verdict;
mod worker;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

pub(crate) fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((what, rest)) if what == "worker" => return worker::main(rest),
        Some((what, rest)) if what == "member" => return member::main(rest),
        Some((what, rest)) if what == "again" => {
            let clean = match rest {
                [what, kind, number] if what == "power" => power::again(kind, number),
                _ => calls::again(rest),
            };
            return if clean.unwrap() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        _ => {}
    }
    let long = is_long();
    let (kills, cuts, seconds) = if long { (10_000, 2000, 60) } else { (200, 50, 20) };
    let trials = vec![
        trial("a_process_killed_at_any_call_loses_nothing", move || {
            calls::a_process_killed_at_any_call_loses_nothing(kills)
        }),
        trial("a_call_that_fails_harms_nothing", move || calls::a_call_that_fails_harms_nothing(long)),
        trial("a_power_cut_on_ext4_costs_nothing_flushed", move || {
            power::a_power_cut_on_ext4_costs_nothing_flushed(cuts)
        }),
        trial("a_power_cut_on_xfs_costs_nothing_flushed", move || {
            power::a_power_cut_on_xfs_costs_nothing_flushed(cuts)
        }),
        trial("a_full_file_system_harms_nothing", full::a_full_file_system_harms_nothing),
        trial("a_file_system_without_inodes_harms_nothing", full::a_file_system_without_inodes_harms_nothing),
        trial("a_read_only_file_system_is_denied", full::a_read_only_file_system_is_denied),
        trial("eight_processes_share_one_directory", move || {
            processes::eight_processes_share_one_directory(seconds)
        }),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, run: impl FnOnce() -> Result<Completion, Failed> + Send + 'static) -> Trial {
    Trial::ignorable_test(name, run)
}

#[expect(clippy::disallowed_methods, reason = "a test is told by its environment only")]
fn is_long() -> bool {
    std::env::var_os("CACHE_DISK_LONG").is_some_and(|value| value == "1")
}
