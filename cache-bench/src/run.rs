use std::{fs, time::Instant};

use crate::{
    args::Args,
    harness::{
        bench::{Bench, Set},
        ground::Ground,
        machine::{Machine, load},
        private_mounts,
        scale::Scale,
    },
    heap_program,
    output::{
        plot,
        report::{Report, Section},
        table,
    },
    sets::SETS,
};

/// Does what the command line says.
///
/// # Errors
///
/// If a benchmark fails, if there is none of a name that was given, or if results cannot be written. What other
/// benchmarks found is written before.
pub fn run(args: &Args) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if args.list {
        list();
        return Ok(());
    }
    let sets: Vec<&Set> = SETS.iter().filter(|set| args.sets.iter().any(|name| name == set.name)).collect();
    let chosen = |bench: &&Bench| args.only.is_empty() || args.only.iter().any(|name| name == bench.name);
    let known = |name: &&String| sets.iter().flat_map(|set| set.benches).any(|bench| bench.name == **name);
    if let Some(unknown) = args.only.iter().find(|name| !known(name)) {
        return Err(format!("there is no benchmark {unknown:?} in what was chosen; --list names them").into());
    }
    if sets.iter().any(|set| set.on_disk) && args.dir.is_none() && !args.private_mounts {
        private_mounts::begin()?;
    }
    let heap = match &args.heap_program {
        Some(program) => Some(program.clone()),
        None => heap_program::build().inspect_err(|failure| eprintln!("cache-bench: {failure}")).ok(),
    };
    let rounds = if args.quick { 3 } else { usize::from(args.rounds) };
    let entries = args.entries.map(usize::try_from).transpose()?;
    let scale = Scale { quick: args.quick, warm_up: 1, rounds, heap, ground: None, entries };
    fs::create_dir_all(&args.out)?;
    let mut failures = Vec::new();
    for set in sets {
        let ground = set
            .on_disk
            .then(|| Ground::find(args.dir.as_deref(), args.private_mounts, args.quick))
            .transpose()?;
        let scale = Scale { ground, ..scale.clone() };
        let mut report = Report::new(set.name, &scale, Machine::look(set.rivals));
        print!("{}", table::head(&report));
        for bench in set.benches.iter().filter(chosen) {
            match section(bench, &scale) {
                Ok(section) => {
                    print!("{}", table::section(&section));
                    report.sections.push(section);
                }
                Err(failure) => failures.push(format!("{} {}: {failure}", set.name, bench.name)),
            }
        }
        print!("{}", table::targets(&report));
        write(&report, args)?;
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

fn list() {
    for set in SETS {
        println!("{}", set.name);
        for bench in set.benches {
            println!("    {:<12} {}", bench.name, bench.title);
        }
    }
}

fn section(bench: &Bench, scale: &Scale) -> crate::failure::Result<Section> {
    eprintln!("cache-bench: {} ...", bench.name);
    let (load_before, begun) = (load(), Instant::now());
    let measurements = (bench.run)(scale)?;
    let seconds = (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    Ok(Section {
        name: bench.name,
        title: bench.title,
        setting: bench.setting,
        seconds,
        load: [load_before, load()],
        measurements,
    })
}

fn write(report: &Report, args: &Args) -> crate::failure::Result<()> {
    let path = |name: String| args.out.join(name);
    for section in &report.sections {
        fs::write(path(plot::file_name(report.set, section.name)), plot::draw(section)?)?;
    }
    fs::write(path(format!("{}.json", report.set)), serde_json::to_string_pretty(report)? + "\n")?;
    fs::write(path(format!("{}.md", report.set)), table::document(report))?;
    Ok(())
}
