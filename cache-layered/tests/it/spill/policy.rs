//! Roles that contradict each other are refused when the stack is built.

use std::sync::Arc;

use cache_conformance::Reference;
use cache_core::{ErrorKind, Store};
use cache_layered::{LayeredBuilder, LayeredStore, WritePolicy};

use super::{builder, limited, reference};

fn plain() -> Arc<dyn Store> {
    Arc::new(Reference::volatile().store(&limited(1000)).unwrap())
}

#[track_caller]
fn refused(builder: LayeredBuilder, why: &str) {
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn a_tier_for_spill_stands_directly_below_one_that_spills() {
    let source = || reference(&limited(300)).unwrap();
    let begun = LayeredStore::builder;
    refused(begun().tier("only", plain()).write(WritePolicy::Spill), "nothing is faster");
    let over_plain = begun().tier("fast", plain()).tier("slow", plain()).write(WritePolicy::Spill);
    refused(over_plain, "does not hand it on");
    refused(begun().spilling_tier("only", source()), "no tier below");
    refused(begun().spilling_tier("fast", source()).tier("slow", plain()), "does not take it");
    refused(begun().write(WritePolicy::Spill).tier("only", plain()), "before there is a tier");
    let chain = begun().spilling_tier("fast", source()).spilling_tier("middle", source());
    refused(
        chain.write(WritePolicy::Spill).tier("slow", plain()).write(WritePolicy::Spill),
        "hand it on itself",
    );
    let two = builder(source(), plain()).spilling_tier("third", source()).tier("fourth", plain());
    refused(two.write(WritePolicy::Spill), "one tier at most");
}

#[test]
fn a_refused_stack_leaves_the_source_to_others() {
    let source = reference(&limited(300)).unwrap();
    refused(builder(Arc::clone(&source), plain()).tier("", plain()), "empty");
    let stack = builder(Arc::clone(&source), plain()).build().unwrap();
    refused(builder(Arc::clone(&source), plain()), "another stack");
    drop(stack);
    builder(source, plain()).build().unwrap();
}
