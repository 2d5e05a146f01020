use std::{cell::RefCell, rc::Rc};

use super::*;

fn scale(rounds: usize) -> Scale {
    Scale { quick: true, warm_up: 1, rounds, heap: None, ground: None, entries: None }
}

#[test]
fn contenders_take_turns_and_each_begins_once() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let mut contenders: Vec<Contender<u32>> = ["a", "b", "c"]
        .into_iter()
        .map(|name| {
            let log = Rc::clone(&log);
            Contender::new(name, Kind::Baseline, move |round| {
                log.borrow_mut().push((*round, name));
                Ok(vec![f64::from(*round)])
            })
        })
        .collect();
    let mut round = 0;
    let runs = interleave(
        &scale(2),
        || {
            round += 1;
            round
        },
        &mut contenders,
    )
    .unwrap();
    let orders: Vec<String> =
        log.borrow().chunks(3).map(|chunk| chunk.iter().map(|(_, name)| *name).collect()).collect();
    assert_eq!(orders, ["abc", "bca", "cab"]);
    for run in runs {
        assert_eq!(run.rounds, [[2.0], [3.0]], "the first round does not count");
    }
}

#[test]
fn failure_names_its_contender() {
    let mut contenders = [Contender::new("broken", Kind::Baseline, |(): &()| Err("no luck".into()))];
    let failure = interleave(&scale(1), || (), &mut contenders).unwrap_err();
    assert_eq!(failure.to_string(), "broken: no luck");
}

#[test]
fn contender_may_take_a_part_of_the_input() {
    let whole = Contender::new("a", Kind::Baseline, |input: &u32| Ok(vec![f64::from(*input)]));
    let runs = interleave(&scale(1), || 40, &mut [whole.with(|input| input / 10)]).unwrap();
    assert!(runs.iter().all(|run| run.name == "a" && run.rounds == [[4.0]]));
}
