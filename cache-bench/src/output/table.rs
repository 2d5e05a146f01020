//! Results as Markdown.

use std::fmt::Write;

use crate::{
    harness::{
        measurement::{Comparison, Measurement},
        rounds::Kind,
    },
    output::{
        figures::rounded,
        plot,
        report::{Report, Section},
    },
};

/// The whole document of a set.
pub(crate) fn document(report: &Report) -> String {
    let mut text = head(report) + &targets(report);
    for section in &report.sections {
        text += &self::section(section);
        let _ = writeln!(text, "![{}]({})\n", section.title, plot::file_name(report.set, section.name));
    }
    text.trim_end().to_owned() + "\n"
}

/// What was run, and where.
pub(crate) fn head(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = format!("# Benchmarks: {}\n\n", report.set);
    if report.quick {
        text += "**Tiny sizes, to see that everything runs: these figures mean nothing.**\n\n";
    }
    let _ = writeln!(
        text,
        "{}, {} cores, Linux {}, {}; {} rounds.",
        machine.cpu, machine.cores, machine.kernel, machine.rustc, report.rounds
    );
    if let Some(files_on) = &report.files_on {
        let _ = writeln!(text, "Files lie on {files_on}.");
    }
    if machine.rivals.is_empty() {
        text += "The caches of others were not run.\n\n";
    } else {
        let _ = writeln!(text, "Beside {}.\n", machine.rivals.join(", "));
    }
    text
}

/// All targets and what became of them.
pub(crate) fn targets(report: &Report) -> String {
    let sections = report.sections.iter();
    let compared: Vec<(&Measurement, &Comparison)> = sections
        .flat_map(|section| &section.measurements)
        .flat_map(|measurement| {
            measurement.comparisons.iter().map(move |comparison| (measurement, comparison))
        })
        .collect();
    if compared.is_empty() {
        return String::new();
    }
    let mut text = "## Targets\n\n\
        | target | what | of what | bound | median | min | max | |\n\
        |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for (measurement, comparison) in compared {
        let what = comparison.reference.as_ref().map_or_else(
            || comparison.ours.clone(),
            |reference| format!("{} / {reference}", comparison.ours),
        );
        let reached = &comparison.reached;
        let _ = writeln!(
            text,
            "| {} | {what} | {} | {} | {} | {} | {} | {} |",
            comparison.target,
            measurement.title,
            comparison.bound,
            rounded(reached.median),
            rounded(reached.min),
            rounded(reached.max),
            comparison.verdict,
        );
    }
    text + "\n"
}

/// One benchmark.
pub(crate) fn section(section: &Section) -> String {
    let load = section.load.map(|load| load.map_or_else(|| "unknown".to_owned(), |load| load.to_string()));
    let [before, after] = load;
    let mut text = format!(
        "## {}: {}\n\n{}\n\n{} s; load average {before} before, {after} after.\n\n",
        section.name, section.title, section.setting, section.seconds
    );
    for measurement in &section.measurements {
        let unit = if measurement.unit.is_empty() { "" } else { ", " };
        let _ = writeln!(text, "| {}{unit}{} | | median | min | max |", measurement.title, measurement.unit);
        text += "|---|---|---|---|---|\n";
        for series in &measurement.series {
            let kind = match series.kind {
                Kind::Ours => "ours",
                Kind::Rival => "",
                Kind::Baseline => "baseline",
            };
            let [median, min, max] =
                [series.summary.median, series.summary.min, series.summary.max].map(rounded);
            let _ = writeln!(text, "| {} | {kind} | {median} | {min} | {max} |", series.name);
        }
        text += "\n";
    }
    text
}
