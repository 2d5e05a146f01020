//! Values of every shape that serde knows, to be generated.

use proptest::prelude::*;
use serde::{
    Serialize, Serializer,
    ser::{
        SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

use super::decode::Tree;

type Fields = Vec<(&'static str, Value)>;

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Unit,
    UnitStruct,
    None,
    Some(Box<Value>),
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    I128(i128),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    U128(u128),
    F32(f32),
    F64(f64),
    Char(char),
    Text(String),
    Bytes(Vec<u8>),
    Newtype(Box<Value>),
    /// A sequence whose length serde is told, or not.
    Seq(Vec<Value>, bool),
    Tuple(Vec<Value>),
    TupleStruct(Vec<Value>),
    /// A map whose length serde is told, or not.
    Map(Vec<(Value, Value)>, bool),
    Struct(Fields),
    UnitVariant(&'static str),
    NewtypeVariant(&'static str, Box<Value>),
    TupleVariant(&'static str, Vec<Value>),
    StructVariant(&'static str, Fields),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Neither this name nor the index of a variant may leave a trace.
        let (name, index) = ("Name", 1);
        macro_rules! each {
            ($compound:expr, $items:expr, $method:ident($($item:ident),+)) => {{
                let mut compound = $compound?;
                for each!(@pattern $($item),+) in $items {
                    compound.$method($($item),+)?;
                }
                compound.end()
            }};
            (@pattern $one:ident) => { $one };
            (@pattern $one:ident, $two:ident) => { ($one, $two) };
        }
        match self {
            Self::Unit => serializer.serialize_unit(),
            Self::UnitStruct => serializer.serialize_unit_struct(name),
            Self::None => serializer.serialize_none(),
            Self::Some(value) => serializer.serialize_some(value),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::I8(value) => serializer.serialize_i8(*value),
            Self::I16(value) => serializer.serialize_i16(*value),
            Self::I32(value) => serializer.serialize_i32(*value),
            Self::I64(value) => serializer.serialize_i64(*value),
            Self::I128(value) => serializer.serialize_i128(*value),
            Self::U8(value) => serializer.serialize_u8(*value),
            Self::U16(value) => serializer.serialize_u16(*value),
            Self::U32(value) => serializer.serialize_u32(*value),
            Self::U64(value) => serializer.serialize_u64(*value),
            Self::U128(value) => serializer.serialize_u128(*value),
            Self::F32(value) => serializer.serialize_f32(*value),
            Self::F64(value) => serializer.serialize_f64(*value),
            Self::Char(value) => serializer.serialize_char(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::Newtype(value) => serializer.serialize_newtype_struct(name, value),
            Self::Seq(items, known) => {
                each!(serializer.serialize_seq(known.then_some(items.len())), items, serialize_element(item))
            }
            Self::Tuple(items) => {
                each!(serializer.serialize_tuple(items.len()), items, serialize_element(item))
            }
            Self::TupleStruct(items) => {
                each!(serializer.serialize_tuple_struct(name, items.len()), items, serialize_field(item))
            }
            Self::Map(items, known) => {
                each!(
                    serializer.serialize_map(known.then_some(items.len())),
                    items,
                    serialize_entry(key, item)
                )
            }
            Self::Struct(items) => {
                each!(serializer.serialize_struct(name, items.len()), items, serialize_field(key, item))
            }
            Self::UnitVariant(variant) => serializer.serialize_unit_variant(name, index, variant),
            Self::NewtypeVariant(variant, value) => {
                serializer.serialize_newtype_variant(name, index, variant, value)
            }
            Self::TupleVariant(variant, items) => each!(
                serializer.serialize_tuple_variant(name, index, variant, items.len()),
                items,
                serialize_field(item)
            ),
            Self::StructVariant(variant, items) => each!(
                serializer.serialize_struct_variant(name, index, variant, items.len()),
                items,
                serialize_field(key, item)
            ),
        }
    }
}

impl Value {
    /// The rules of likeness, told once more.
    pub(crate) fn normal(&self) -> Tree {
        let all = |items: &[Self]| Tree::Sequence(items.iter().map(Self::normal).collect());
        let fields = |fields: &Fields| {
            Tree::Map(
                fields.iter().map(|(name, value)| (Tree::Text((*name).into()), value.normal())).collect(),
            )
        };
        let signed = |value: i128| match u128::try_from(value) {
            Ok(value) => Tree::Natural(value),
            Err(_) => Tree::Negative(value.unsigned_abs()),
        };
        match self {
            Self::Unit | Self::UnitStruct => Tree::Unit,
            Self::None => Tree::None,
            Self::Some(value) => Tree::Some(value.normal().into()),
            Self::Bool(value) => Tree::Bool(*value),
            Self::I8(value) => signed((*value).into()),
            Self::I16(value) => signed((*value).into()),
            Self::I32(value) => signed((*value).into()),
            Self::I64(value) => signed((*value).into()),
            Self::I128(value) => signed(*value),
            Self::U8(value) => Tree::Natural((*value).into()),
            Self::U16(value) => Tree::Natural((*value).into()),
            Self::U32(value) => Tree::Natural((*value).into()),
            Self::U64(value) => Tree::Natural((*value).into()),
            Self::U128(value) => Tree::Natural(*value),
            Self::F32(value) => Self::F64((*value).into()).normal(),
            Self::F64(value) if value.is_nan() => Tree::Float(0x7ff8 << 48),
            Self::F64(value) => Tree::Float(value.to_bits()),
            Self::Char(value) => Tree::Text(value.to_string()),
            Self::Text(value) => Tree::Text(value.clone()),
            Self::Bytes(value) => Tree::Bytes(value.clone()),
            Self::Newtype(value) => value.normal(),
            Self::Seq(items, _) | Self::Tuple(items) | Self::TupleStruct(items) => all(items),
            Self::Map(items, _) => {
                Tree::Map(items.iter().map(|(key, value)| (key.normal(), value.normal())).collect())
            }
            Self::Struct(items) => fields(items),
            Self::UnitVariant(name) => Tree::UnitVariant((*name).into()),
            Self::NewtypeVariant(name, value) => Tree::Variant((*name).into(), value.normal().into()),
            Self::TupleVariant(name, items) => Tree::Variant((*name).into(), all(items).into()),
            Self::StructVariant(name, items) => Tree::Variant((*name).into(), fields(items).into()),
        }
    }

    /// The same value, told to serde in another way.
    pub(crate) fn retold(&self) -> Self {
        let all = |items: &[Self]| items.iter().map(Self::retold).collect::<Vec<_>>();
        let backwards = |items: &Fields| {
            items.iter().rev().map(|(name, value)| (Self::Text((*name).into()), value.retold())).collect()
        };
        match self {
            Self::Unit => Self::UnitStruct,
            Self::UnitStruct => Self::Unit,
            Self::Some(value) => Self::Some(value.retold().into()),
            Self::I8(value) => Self::I128((*value).into()),
            Self::I16(value) => Self::I32((*value).into()),
            Self::I32(value) => Self::I64((*value).into()),
            Self::I64(value) => Self::I128((*value).into()),
            Self::I128(value) => u128::try_from(*value).map_or(Self::I128(*value), Self::U128),
            Self::U8(value) => Self::I16((*value).into()),
            Self::U16(value) => Self::U64((*value).into()),
            Self::U32(value) => Self::U64((*value).into()),
            Self::U64(value) => Self::I128((*value).into()),
            Self::U128(value) => i128::try_from(*value).map_or(Self::U128(*value), Self::I128),
            Self::F32(value) => Self::F64((*value).into()),
            Self::F64(value) if value.is_nan() => Self::F64(-value),
            Self::Char(value) => Self::Text(value.to_string()),
            Self::Newtype(value) => value.retold(),
            Self::Seq(items, known) => Self::Seq(all(items), !known),
            Self::Tuple(items) => Self::TupleStruct(all(items)),
            Self::TupleStruct(items) => Self::Seq(all(items), false),
            Self::Map(items, known) => Self::Map(
                items.iter().rev().map(|(key, value)| (key.retold(), value.retold())).collect(),
                !known,
            ),
            Self::Struct(items) => Self::Map(backwards(items), false),
            Self::NewtypeVariant(name, value) => Self::NewtypeVariant(name, value.retold().into()),
            Self::TupleVariant(name, items) => Self::NewtypeVariant(name, Self::Tuple(all(items)).into()),
            Self::StructVariant(name, items) => {
                Self::NewtypeVariant(name, Self::Map(backwards(items), true).into())
            }
            other => Self::Newtype(other.clone().into()),
        }
    }
}

/// Few names, so that they meet.
fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "a", "b", "ab", "é"])
}

fn leaf() -> BoxedStrategy<Value> {
    let small = prop_oneof![
        Just(Value::Unit),
        Just(Value::UnitStruct),
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        (-2..3i8).prop_map(Value::I8),
        (-2..3i64).prop_map(Value::I64),
        (0..3u8).prop_map(Value::U8),
        (-1..2i8).prop_map(|value| Value::F64(value.into())),
        name().prop_map(|name| Value::Text(name.into())),
        name().prop_map(|name| Value::Bytes(name.into())),
        prop::sample::select(vec!['a', 'b', 'é', '\0']).prop_map(Value::Char),
        name().prop_map(Value::UnitVariant),
    ];
    let wide = prop_oneof![
        any::<i16>().prop_map(Value::I16),
        any::<i32>().prop_map(Value::I32),
        any::<i64>().prop_map(Value::I64),
        any::<i128>().prop_map(Value::I128),
        any::<u16>().prop_map(Value::U16),
        any::<u32>().prop_map(Value::U32),
        any::<u64>().prop_map(Value::U64),
        any::<u128>().prop_map(Value::U128),
        any::<u32>().prop_map(|bits| Value::F32(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
        prop::num::f64::ANY.prop_map(Value::F64),
        any::<char>().prop_map(Value::Char),
        any::<String>().prop_map(Value::Text),
        any::<Vec<u8>>().prop_map(Value::Bytes),
    ];
    prop_oneof![3 => small, 1 => wide].boxed()
}

fn unique_keys(items: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    let mut seen = std::collections::BTreeSet::new();
    items.into_iter().filter(|(key, _)| seen.insert(key.normal())).collect()
}

fn unique_names(mut items: Fields) -> Fields {
    let mut seen = std::collections::BTreeSet::new();
    items.retain(|(name, _)| seen.insert(*name));
    items
}

/// Any value. Its maps have no key twice, as they must.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(5, 40, 4, |value| {
        let items = || prop::collection::vec(value.clone(), 0..4);
        let fields = || prop::collection::vec((name(), value.clone()), 0..4).prop_map(unique_names);
        prop_oneof![
            value.clone().prop_map(|value| Value::Some(value.into())),
            value.clone().prop_map(|value| Value::Newtype(value.into())),
            (items(), any::<bool>()).prop_map(|(items, known)| Value::Seq(items, known)),
            items().prop_map(Value::Tuple),
            items().prop_map(Value::TupleStruct),
            (prop::collection::vec((value.clone(), value.clone()), 0..4), any::<bool>())
                .prop_map(|(items, known)| Value::Map(unique_keys(items), known)),
            fields().prop_map(Value::Struct),
            (name(), value.clone()).prop_map(|(name, value)| Value::NewtypeVariant(name, value.into())),
            (name(), items()).prop_map(|(name, items)| Value::TupleVariant(name, items)),
            (name(), fields()).prop_map(|(name, fields)| Value::StructVariant(name, fields)),
        ]
    })
}
