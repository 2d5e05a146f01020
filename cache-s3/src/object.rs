//! How an entry lies in an object, version 1.
//!
//! ```text
//! object  data · index · footer
//! data    the sealed blobs (`cache_core::Envelope`), one after the other: large ones first, so that small ones lie near the end
//! index   blobs u32, and of each as they lie: length of the name u8 · name · bytes of the payload u64 · created 12
//! footer  40 bytes: length of the data u64 · of the index u32 · version u16 = 1 · flags u16 = 0
//!         · xxh3-128 of the framed key, the index and the 16 bytes before it · end magic 'CENTRY' 0d 0a
//! ```
//!
//! Numbers and hashes are little endian. A time is the seconds since 1970 as i64, rounded down, and nanoseconds u32. The
//! framed key is the length of the encoded namespace as u64, the encoded namespace and the 32 bytes of the digest. An
//! object is read from its end, where its index is: a blob that streams in can be written before its length is known.

mod index;
mod name;

pub(crate) use index::{FOOTER, Index, IndexedBlob, footer_is_whole};
pub(crate) use name::Layout;
