use serde::{
    Serialize,
    ser::{SerializeSeq, SerializeTuple, SerializeTupleStruct, SerializeTupleVariant},
};

use super::{Failure, Sink, encoder::Encoder, tag};

/// A sequence, a tuple or an array on its way into the sink. It is closed by an end tag and not opened
/// by its length, which is a mere hint in `serde` and often unknown.
pub(super) struct Sequence<'a> {
    sink: &'a mut dyn Sink,
    depth: usize,
    /// Kept, since a value may ignore that one of its elements failed.
    failure: Option<Failure>,
}

impl<'a> Sequence<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink, depth: usize) -> Self {
        sink.write(&[tag::SEQUENCE]);
        Self { sink, depth, failure: None }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        let encoded = Encoder::at(self.sink, self.depth).within(value);
        if let Err(failure) = &encoded {
            self.failure.get_or_insert_with(|| failure.clone());
        }
        encoded
    }

    fn close(self) -> Result<(), Failure> {
        self.sink.write(&[tag::SEQUENCE_END]);
        self.failure.map_or(Ok(()), Err)
    }
}

macro_rules! sequence {
    ($($kind:ident :: $element:ident,)+) => {$(
        impl $kind for Sequence<'_> {
            type Ok = ();
            type Error = Failure;

            fn $element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
                self.element(value)
            }

            fn end(self) -> Result<(), Failure> {
                self.close()
            }
        }
    )+};
}

sequence! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}
