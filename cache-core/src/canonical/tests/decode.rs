//! The inverse of the encoding, written from its grammar alone: what can be decoded again cannot be
//! shared by two values.

use std::collections::BTreeMap;

use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap},
};

/// What is left of a value once everything that must not count is gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tree {
    Unit,
    None,
    Some(Box<Tree>),
    Bool(bool),
    Natural(u128),
    Negative(u128),
    Float(u64),
    Text(String),
    Bytes(Vec<u8>),
    Sequence(Vec<Tree>),
    Map(BTreeMap<Tree, Tree>),
    UnitVariant(String),
    Variant(String, Box<Tree>),
}

#[derive(Debug, PartialEq)]
pub(crate) enum Argument {
    Value(Tree),
    Raw(Vec<u8>),
}

#[derive(Debug, PartialEq)]
pub(crate) enum Key {
    Alone(Tree),
    Operation { name: String, arguments: Vec<Argument>, named: BTreeMap<String, Tree> },
}

/// Decodes one value that is all of `bytes`, or tells what is wrong.
pub(crate) fn value(bytes: &[u8]) -> Result<Tree, String> {
    let mut decoder = Decoder(bytes);
    let tree = decoder.value()?;
    decoder.end()?;
    Ok(tree)
}

/// Decodes all that is hashed for a key.
pub(crate) fn key(bytes: &[u8]) -> Result<Key, String> {
    let mut decoder = Decoder(bytes);
    if decoder.take(13)? != b"cache-key-v1\n" {
        return Err("not a key".into());
    }
    let key = match decoder.byte()? {
        b'V' => Key::Alone(decoder.value()?),
        b'O' => decoder.operation()?,
        other => return Err(format!("key of kind {other}")),
    };
    decoder.end()?;
    Ok(key)
}

struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], String> {
        let count = usize::try_from(count).map_err(|_| "too long")?;
        let (taken, rest) = self.0.split_at_checked(count).ok_or("too short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn end(&self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err("something follows".into()) }
    }

    fn number(&mut self) -> Result<u64, String> {
        Ok(u64::from_be_bytes(self.take(8)?.try_into().unwrap()))
    }

    fn octets(&mut self) -> Result<Vec<u8>, String> {
        let length = self.number()?;
        Ok(self.take(length)?.to_vec())
    }

    fn utf8(&mut self) -> Result<String, String> {
        String::from_utf8(self.octets()?).map_err(|_| "not UTF-8".into())
    }

    fn text(&mut self) -> Result<String, String> {
        match self.byte()? {
            b'T' => self.utf8(),
            other => Err(format!("{other} where a text must be")),
        }
    }

    fn magnitude(&mut self) -> Result<u128, String> {
        let count = self.byte()?;
        let digits = self.take(count.into())?;
        if count > 16 || digits.first() == Some(&0) {
            return Err("a number that is written too long".into());
        }
        Ok(digits.iter().fold(0, |number, digit| number << 8 | u128::from(*digit)))
    }

    /// Whether `tag` follows; it is taken then.
    fn ends(&mut self, tag: u8) -> bool {
        self.0.strip_prefix(&[tag]).inspect(|rest| self.0 = rest).is_some()
    }

    /// Calls `entry` for each key, whose order it checks.
    fn entries(
        &mut self,
        mut entry: impl FnMut(&mut Self, Tree) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut before: Option<&[u8]> = None;
        while !self.ends(b'}') {
            let rest = self.0;
            let key = self.value()?;
            let encoded = &rest[..rest.len() - self.0.len()];
            if before.is_some_and(|before| before >= encoded) {
                return Err("keys that do not ascend".into());
            }
            before = Some(encoded);
            entry(self, key)?;
        }
        Ok(())
    }

    fn value(&mut self) -> Result<Tree, String> {
        Ok(match self.byte()? {
            b'u' => Tree::Unit,
            b'n' => Tree::None,
            b's' => Tree::Some(self.value()?.into()),
            b'f' => Tree::Bool(false),
            b't' => Tree::Bool(true),
            b'+' => Tree::Natural(self.magnitude()?),
            b'-' => match self.magnitude()? {
                0 => return Err("a negative zero".into()),
                magnitude => Tree::Negative(magnitude),
            },
            b'd' => match self.number()? {
                bits if f64::from_bits(bits).is_nan() && bits != 0x7ff8 << 48 => {
                    return Err("another NaN".into());
                }
                bits => Tree::Float(bits),
            },
            b'T' => Tree::Text(self.utf8()?),
            b'B' => Tree::Bytes(self.octets()?),
            b'[' => {
                let mut elements = Vec::new();
                while !self.ends(b']') {
                    elements.push(self.value()?);
                }
                Tree::Sequence(elements)
            }
            b'{' => {
                let mut map = BTreeMap::new();
                self.entries(|decoder, key| {
                    map.insert(key, decoder.value()?);
                    Ok(())
                })?;
                Tree::Map(map)
            }
            b'e' => Tree::UnitVariant(self.text()?),
            b'E' => Tree::Variant(self.text()?, self.value()?.into()),
            other => return Err(format!("no value begins with {other}")),
        })
    }

    fn operation(&mut self) -> Result<Key, String> {
        let name = self.text()?;
        let (mut arguments, mut named) = (Vec::new(), BTreeMap::new());
        loop {
            match self.byte()? {
                b'a' => arguments.push(Argument::Value(self.value()?)),
                b'b' => arguments.push(Argument::Raw(self.octets()?)),
                b'{' => break,
                other => return Err(format!("no argument begins with {other}")),
            }
        }
        self.entries(|decoder, key| {
            let Tree::Text(name) = key else { return Err("a name that is no text".into()) };
            named.insert(name, decoder.value()?);
            Ok(())
        })?;
        Ok(Key::Operation { name, arguments, named })
    }
}

/// A decoded value can be encoded again.
impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Names of variants are static in serde; a test may leak them.
        let leak = |name: &String| -> &'static str { Box::leak(name.clone().into_boxed_str()) };
        match self {
            Self::Unit => serializer.serialize_unit(),
            Self::None => serializer.serialize_none(),
            Self::Some(tree) => serializer.serialize_some(tree),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Natural(value) => serializer.serialize_u128(*value),
            Self::Negative(magnitude) => match 0i128.checked_sub_unsigned(*magnitude) {
                Some(value) => serializer.serialize_i128(value),
                None => Err(S::Error::custom("below i128")),
            },
            Self::Float(bits) => serializer.serialize_f64(f64::from_bits(*bits)),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::Sequence(elements) => serializer.collect_seq(elements),
            Self::Map(map) => {
                let mut entries = serializer.serialize_map(None)?;
                for (key, value) in map.iter().rev() {
                    entries.serialize_entry(key, value)?;
                }
                entries.end()
            }
            Self::UnitVariant(name) => serializer.serialize_unit_variant("", 7, leak(name)),
            Self::Variant(name, tree) => serializer.serialize_newtype_variant("", 7, leak(name), tree),
        }
    }
}
