//! Nothing is answered inline.

use bytes::Bytes;
use cache_core::{BlobName, KeyView};

use super::*;
use crate::{
    ReferenceStore,
    mutant::twist::{Twist, twist, twisted},
};

twist! { NoneInline {
    fn get_now(&self, _key: KeyView<'_>, _blob: &BlobName) -> Option<Bytes> {
        None
    }
} }

fn none_inline() -> Odd<()> {
    Odd {
        reference: Reference::volatile(),
        given: (),
        open: |reference, setup, ()| twisted(NoneInline(reference.store(setup)?)),
    }
}

crate::suite! { none_inline() }
