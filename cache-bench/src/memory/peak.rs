use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        measurement::Measurement,
        rounds::{Contender, interleave},
        scale::Scale,
        verdict::Bound,
    },
    heap::{PEAKS, Peak, ask, names},
    subject::lineup::{BARE, OURS},
};

pub(crate) const BENCH: Bench = Bench {
    name: "peak",
    title: "The heap against the budget",
    setting: "8 threads put new values until they have put 4 times the budget, in a process of its own whose allocator counts. The budget is 64 MiB, \
              with bursts 256 MiB: then each thread puts two values of 4 MiB after every 1,024 of 1 KiB. What counts is all that the cache \
              took, its bookkeeping and the values on their way in; one value per thread on top of 1.05 times the budget is granted.",
    run,
};

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let mut measurements = Vec::new();
    for (scenario, peak) in PEAKS.iter().enumerate() {
        let runs = interleave(&scale.at_most(3).cold(), || (), &mut contenders(scale, scenario)?)?;
        let title = |what: &str| format!("{what} / budget, {}", peak.title);
        measurements.push(Measurement::of(title("Peak heap"), "", &runs, 0).figure(
            "M6",
            OURS,
            Bound::AtMost(granted(peak, scale)),
        ));
        measurements.push(Measurement::of(title("Heap that stays"), "", &runs, 1));
    }
    Ok(measurements)
}

/// The budget, a twentieth for what nobody counts, and what is on its way in.
fn granted(peak: &Peak, scale: &Scale) -> f64 {
    let granted = 1.05 + peak.in_flight(scale.quick);
    (granted * 1000.0).round() / 1000.0
}

fn contenders(scale: &Scale, scenario: usize) -> Result<Vec<Contender<()>>> {
    let program = scale.heap()?;
    let scenario = scenario.to_string();
    let contenders = names(false)?.into_iter().filter(|(name, _)| name != BARE);
    Ok(contenders
        .map(|(name, kind)| {
            let (program, quick, asked, scenario) =
                (program.clone(), scale.quick, name.clone(), scenario.clone());
            Contender::new(name, kind, move |()| ask(&program, &["peak", &scenario], &asked, quick))
        })
        .collect())
}
