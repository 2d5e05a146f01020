//! The suite passes over a store that keeps the contract, and finds each way to break it.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

mod conformance {
    mod all_powers {
        use cache_conformance::Reference;

        cache_conformance::suite! { Reference::default(), handles: [damage, failures, crash, spill] }
    }

    mod volatile {
        use cache_conformance::Reference;

        cache_conformance::suite! { Reference::volatile() }
    }

    mod without_powers {
        use cache_conformance::Reference;
        use cache_core::Powers;

        cache_conformance::suite! { Reference::with_powers(Powers::default()) }
    }

    mod durable_only {
        use cache_conformance::Reference;
        use cache_core::Powers;

        fn durable() -> Reference {
            let mut powers = Powers::default();
            (powers.durable, powers.dated) = (true, true);
            Reference::with_powers(powers)
        }

        cache_conformance::suite! { durable(), handles: [crash, damage, failures] }
    }
}

mod macros;
mod mutants;
mod runner;
mod scoped;
