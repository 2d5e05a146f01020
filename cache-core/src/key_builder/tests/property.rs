use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Part, build};
use crate::canonical::tests::{
    decode::{self, Argument, Key},
    value::any_value,
};

/// The parts of one call: no name comes twice.
fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = prop_oneof![
        any_value().prop_map(Part::Arg),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(Part::Bytes),
        ("[ab]{0,3}", any_value()).prop_map(|(name, value)| Part::Named(name, value)),
    ];
    prop::collection::vec(part, 0..6).prop_map(|mut parts| {
        let mut names = std::collections::BTreeSet::new();
        parts.retain(|part| !matches!(part, Part::Named(name, _) if !names.insert(name.clone())));
        parts
    })
}

/// What of a call must count.
fn normal(operation: &str, parts: &[Part]) -> Key {
    let (mut arguments, mut named) = (Vec::new(), BTreeMap::new());
    for part in parts {
        match part {
            Part::Arg(value) => arguments.push(Argument::Value(value.normal())),
            Part::Bytes(bytes) => arguments.push(Argument::Raw(bytes.clone())),
            Part::Named(name, value) => _ = named.insert(name.clone(), value.normal()),
        }
    }
    Key::Operation { name: operation.into(), arguments, named }
}

proptest! {
    #[test]
    fn what_is_hashed_for_a_call_decodes_to_that_call(operation in any::<String>(), parts in parts()) {
        let (_, bytes) = build(&operation, &parts);
        prop_assert_eq!(decode::key(&bytes), Ok(normal(&operation, &parts)));
    }

    #[test]
    fn keys_of_two_calls_are_equal_if_and_only_if_the_calls_are(
        (a, a_parts) in ("[ab]{0,2}", parts()),
        (b, b_parts) in ("[ab]{0,2}", parts()),
    ) {
        let equal = normal(&a, &a_parts) == normal(&b, &b_parts);
        prop_assert_eq!(build(&a, &a_parts) == build(&b, &b_parts), equal);
    }

    #[test]
    fn named_arguments_shuffled_give_the_same_key(
        (parts, shuffled) in parts().prop_flat_map(|parts| {
            let positions = Just((0..parts.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(parts), positions)
        }).prop_map(|(parts, order)| {
            // Positional arguments keep their order, wherever the named ones go.
            let mut positional = parts.iter().filter(|part| !matches!(part, Part::Named(..)));
            let shuffled = order.iter().map(|&at| match &parts[at] {
                named @ Part::Named(..) => named.clone(),
                _ => positional.next().unwrap().clone(),
            }).collect::<Vec<_>>();
            (parts, shuffled)
        })
    ) {
        prop_assert_eq!(build("call", &parts), build("call", &shuffled));
    }
}
