use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        measurement::Measurement,
        rounds::{Contender, interleave},
        scale::Scale,
        verdict::Bound,
    },
    heap::{ask, names},
    subject::lineup::{BARE, OURS},
};

pub(crate) const BENCH: Bench = Bench {
    name: "allocations",
    title: "Allocations and copies of a hit",
    setting: "10,000 hits on 100 values of 1 KiB, after as many that are not counted, in a process of its own whose allocator counts. A copy is a \
              value at another address than what was put.",
    run,
};

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let program = scale.heap()?;
    let mut contenders: Vec<Contender<()>> = names(true)?
        .into_iter()
        .map(|(name, kind)| {
            let (program, quick, asked) = (program.clone(), scale.quick, name.clone());
            Contender::new(name, kind, move |()| ask(&program, &["hit"], &asked, quick))
        })
        .collect();
    let runs = interleave(&scale.once(), || (), &mut contenders)?;
    Ok(vec![
        Measurement::of("Allocations per hit", "", &runs, 0).figure("M5", OURS, Bound::AtMost(0.0)).figure(
            "M5, bare store",
            BARE,
            Bound::AtMost(0.0),
        ),
        Measurement::of("Copies per hit", "", &runs, 1).figure("M5", OURS, Bound::AtMost(0.0)).figure(
            "M5, bare store",
            BARE,
            Bound::AtMost(0.0),
        ),
    ])
}
