use std::fmt::{Display, Write};

use serde::{Serialize, Serializer};

use super::{Failure, MAX_DEPTH, Sink, map::Map, sequence::Sequence, tag, write_octets};

/// Encodes one value, as `serde` describes it.
pub(super) struct Encoder<'a> {
    sink: &'a mut dyn Sink,
    /// How many values this one lies within.
    depth: usize,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink) -> Self {
        Self { sink, depth: 0 }
    }

    pub(super) fn at(sink: &'a mut dyn Sink, depth: usize) -> Self {
        Self { sink, depth }
    }

    /// Encodes a value that lies within this one.
    pub(super) fn within<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failure> {
        if self.depth >= MAX_DEPTH {
            return Err(Failure(format!("it is more than {MAX_DEPTH} levels deep").into()));
        }
        value.serialize(Self::at(self.sink, self.depth + 1))
    }

    fn write(self, bytes: &[u8]) -> Result<(), Failure> {
        self.sink.write(bytes);
        Ok(())
    }

    fn octets(self, tag: u8, octets: &[u8]) -> Result<(), Failure> {
        write_octets(tag, octets, self.sink);
        Ok(())
    }

    /// By value, in as few bytes as it takes, so that the width of the type leaves no trace.
    fn integer(self, tag: u8, magnitude: u128) -> Result<(), Failure> {
        let zeros = magnitude.leading_zeros() / 8;
        let digits = magnitude.checked_shl(zeros * 8).unwrap_or_default().to_be_bytes();
        let count = u8::try_from(16 - zeros).unwrap_or_default();
        let mut frame = [tag; 18];
        frame[1] = count;
        frame[2..].copy_from_slice(&digits);
        self.write(frame.get(..2 + usize::from(count)).unwrap_or_default())
    }

    fn variant(self, name: &str) -> Self {
        self.sink.write(&[tag::VARIANT]);
        write_octets(tag::TEXT, name.as_bytes(), self.sink);
        self
    }

    fn sequence(self) -> Sequence<'a> {
        Sequence::new(self.sink, self.depth)
    }

    fn map(self) -> Map<'a> {
        Map::new(self.sink, self.depth)
    }
}

impl<'a> Serializer for Encoder<'a> {
    type Ok = ();
    type Error = Failure;
    type SerializeSeq = Sequence<'a>;
    type SerializeTuple = Sequence<'a>;
    type SerializeTupleStruct = Sequence<'a>;
    type SerializeTupleVariant = Sequence<'a>;
    type SerializeMap = Map<'a>;
    type SerializeStruct = Map<'a>;
    type SerializeStructVariant = Map<'a>;

    /// The compact form of a type that has two is exact and typed: a digest is 32 bytes, unlike the
    /// text of its digits.
    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<(), Failure> {
        self.write(&[if value { tag::TRUE } else { tag::FALSE }])
    }

    fn serialize_i8(self, value: i8) -> Result<(), Failure> {
        self.serialize_i128(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Failure> {
        self.serialize_i128(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Failure> {
        self.serialize_i128(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Failure> {
        self.serialize_i128(value.into())
    }

    fn serialize_i128(self, value: i128) -> Result<(), Failure> {
        let tag = if value < 0 { tag::NEGATIVE } else { tag::NATURAL };
        self.integer(tag, value.unsigned_abs())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Failure> {
        self.serialize_u128(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Failure> {
        self.serialize_u128(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Failure> {
        self.serialize_u128(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Failure> {
        self.serialize_u128(value.into())
    }

    fn serialize_u128(self, value: u128) -> Result<(), Failure> {
        self.integer(tag::NATURAL, value)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Failure> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Failure> {
        // Platforms differ in the sign and the payload of the NaN that a computation gives.
        let bits = if value.is_nan() { 0x7ff8_0000_0000_0000 } else { value.to_bits() };
        self.sink.write(&[tag::FLOAT]);
        self.write(&bits.to_be_bytes())
    }

    fn serialize_char(self, value: char) -> Result<(), Failure> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Failure> {
        self.octets(tag::TEXT, value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Failure> {
        self.octets(tag::BYTES, value)
    }

    fn serialize_none(self) -> Result<(), Failure> {
        self.write(&[tag::NONE])
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failure> {
        self.sink.write(&[tag::SOME]);
        self.within(value)
    }

    fn serialize_unit(self) -> Result<(), Failure> {
        self.write(&[tag::UNIT])
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Failure> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Failure> {
        self.sink.write(&[tag::UNIT_VARIANT]);
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Failure> {
        self.within(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Failure> {
        self.variant(variant).within(value)
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Sequence<'a>, Failure> {
        Ok(self.sequence())
    }

    fn serialize_tuple(self, _len: usize) -> Result<Sequence<'a>, Failure> {
        Ok(self.sequence())
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Sequence<'a>, Failure> {
        Ok(self.sequence())
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Sequence<'a>, Failure> {
        Ok(self.variant(variant).sequence())
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Map<'a>, Failure> {
        Ok(self.map())
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Map<'a>, Failure> {
        Ok(self.map())
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Map<'a>, Failure> {
        Ok(self.variant(variant).map())
    }

    /// The default panics on a `Display` that fails.
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Failure> {
        let mut text = String::new();
        write!(text, "{value}").map_err(|_| Failure("its text cannot be written".into()))?;
        self.serialize_str(&text)
    }
}
