use serde::{
    Serialize,
    ser::{SerializeMap, SerializeStruct, SerializeStructVariant},
};

use super::{Failure, Sink, encoder::Encoder, tag};

/// A map or the fields of a structure, kept until all are known and can be sorted.
pub(super) struct Map<'a> {
    sink: &'a mut dyn Sink,
    depth: usize,
    /// The encoded keys and values, as they came.
    buffer: Vec<u8>,
    entries: Vec<Entry>,
    /// The key whose value is still to come.
    open: Option<Entry>,
    /// Kept, since a value may ignore that one of its entries failed.
    failure: Option<Failure>,
}

/// Where in the buffer an entry lies.
struct Entry {
    key: usize,
    value: usize,
    end: usize,
}

impl<'a> Map<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink, depth: usize) -> Self {
        Self { sink, depth, buffer: Vec::new(), entries: Vec::new(), open: None, failure: None }
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failure> {
        let start = self.buffer.len();
        let encoded = match self.open {
            Some(_) => Err(Failure("a map has a key without a value".into())),
            None => Encoder::at(&mut self.buffer, self.depth).within(key),
        };
        let value = self.buffer.len();
        self.open = Some(Entry { key: start, value, end: value });
        self.keep(encoded)
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        let encoded = match self.open.take() {
            None => Err(Failure("a map has a value without a key".into())),
            Some(entry) => Encoder::at(&mut self.buffer, self.depth).within(value).map(|()| {
                self.entries.push(Entry { end: self.buffer.len(), ..entry });
            }),
        };
        self.keep(encoded)
    }

    fn keep(&mut self, encoded: Result<(), Failure>) -> Result<(), Failure> {
        if let Err(failure) = &encoded {
            self.failure.get_or_insert_with(|| failure.clone());
        }
        encoded
    }

    fn close(mut self) -> Result<(), Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if self.open.is_some() {
            return Err(Failure("a map has a key without a value".into()));
        }
        let key = |entry: &Entry| self.buffer.get(entry.key..entry.value).unwrap_or_default();
        self.entries.sort_unstable_by(|a, b| key(a).cmp(key(b)));
        let twice = self.entries.windows(2).find_map(|pair| match pair {
            [a, b] if key(a) == key(b) => Some(key(a)),
            _ => None,
        });
        if let Some(key) = twice {
            return Err(Failure(format!("a map has {} twice", shown(key)).into()));
        }
        self.sink.write(&[tag::MAP]);
        for entry in &self.entries {
            self.sink.write(self.buffer.get(entry.key..entry.end).unwrap_or_default());
        }
        self.sink.write(&[tag::MAP_END]);
        Ok(())
    }
}

/// A key in the words of the user, where it is text.
fn shown(key: &[u8]) -> String {
    match key {
        [tag::TEXT, _, _, _, _, _, _, _, _, text @ ..] => {
            format!("the key {:?}", String::from_utf8_lossy(text))
        }
        _ => "a key".into(),
    }
}

impl SerializeMap for Map<'_> {
    type Ok = ();
    type Error = Failure;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failure> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        self.value(value)
    }

    fn end(self) -> Result<(), Failure> {
        self.close()
    }
}

macro_rules! fields {
    ($($kind:ident,)+) => {$(
        impl $kind for Map<'_> {
            type Ok = ();
            type Error = Failure;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Failure> {
                self.key(name)?;
                self.value(value)
            }

            fn end(self) -> Result<(), Failure> {
                self.close()
            }
        }
    )+};
}

fields! {
    SerializeStruct,
    SerializeStructVariant,
}
