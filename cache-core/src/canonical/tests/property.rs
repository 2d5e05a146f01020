use proptest::prelude::*;

use super::{
    decode, encoded,
    value::{Value, any_value},
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn encoding_of_any_value_decodes_to_that_value(value in any_value()) {
        prop_assert_eq!(decode::value(&encoded(&value)), Ok(value.normal()));
    }

    #[test]
    fn encoding_of_the_same_value_told_otherwise_is_the_same(value in any_value()) {
        let retold = value.retold();
        prop_assert_eq!(retold.normal(), value.normal());
        prop_assert_eq!(encoded(&retold), encoded(&value));
        prop_assert_eq!(encoded(&value.normal()), encoded(&value));
    }

    #[test]
    fn encodings_of_two_values_are_equal_if_and_only_if_the_values_are(a in any_value(), b in any_value()) {
        prop_assert_eq!(encoded(&a) == encoded(&b), a.normal() == b.normal());
    }

    #[test]
    fn encodings_in_a_row_are_never_mistaken_for_others(
        a in prop::collection::vec(any_value(), 0..4),
        b in prop::collection::vec(any_value(), 0..4),
    ) {
        let row = |values: &[Value]| values.iter().flat_map(encoded).collect::<Vec<_>>();
        let normal = |values: &[Value]| values.iter().map(Value::normal).collect::<Vec<_>>();
        prop_assert_eq!(row(&a) == row(&b), normal(&a) == normal(&b));
    }

    /// So there is one way only to write a value, and another implementation cannot pick a second.
    #[test]
    fn damaged_encoding_is_refused_or_is_that_of_another_value(
        value in any_value(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = encoded(&value);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(tree) = decode::value(&bytes) {
            // Below i128 there are numbers that the grammar has and serde has not.
            let mut again = Vec::new();
            if super::super::encode(&tree, &mut again).is_ok() {
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
