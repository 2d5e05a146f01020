/// Writes a `#[test]` for each clause, named as the clause.
///
/// The expression gives the [`Factory`](crate::Factory) and is evaluated anew in each test. Each test
/// has a tokio runtime of its own and fails after five minutes. Put the call into a module, so that the tests
/// are called `conformance::miss_is_none` and so on:
///
/// ```
/// use cache_conformance::Reference;
///
/// mod conformance {
///     use super::*;
///
///     mod in_memory {
///         use super::*;
///         cache_conformance::suite! { Reference::volatile() }
///     }
///
///     mod with_all_handles {
///         use super::*;
///         cache_conformance::suite! { Reference::default(), handles: [damage, failures, crash] }
///     }
///
///     mod on_a_server {
///         use super::*;
///         cache_conformance::suite! { #[ignore = "needs a server"] Reference::default() }
///     }
/// }
/// # fn main() { let _ = Reference::default(); }
/// ```
///
/// After `handles:` stand those that the factory has, see [`Handle`](crate::Handle). The tests that need
/// another one are ignored, and say so. So are all tests if the store cannot run here: with
/// `#[ignore = "…"]` before the expression they are shown as ignored and never as passed. To run them where
/// it can: `cargo test -- --include-ignored --skip needs_a_handle`, as what has no handle stands in modules
/// of such names and would fail.
#[macro_export]
macro_rules! suite {
    (#[$reasonless:ident] $($rest:tt)*) => {
        ::core::compile_error!("say why: `#[ignore = \"needs a server\"]`");
    };
    (#[ignore = $reason:literal] $factory:expr $(, handles: [$($handle:ident),* $(,)?])? $(,)?) => {
        $($(const _: $crate::Handle = $crate::handle_of::$handle;)*)?
        $crate::with_clauses! { [$crate::clause_tests] [$reason] [$($($handle)*)?] $factory }
    };
    ($factory:expr $(, handles: [$($handle:ident),* $(,)?])? $(,)?) => {
        $($(const _: $crate::Handle = $crate::handle_of::$handle;)*)?
        $crate::with_clauses! { [$crate::clause_tests] [] [$($($handle)*)?] $factory }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! clause_tests {
    (
        [$ignored:tt $handles:tt $factory:expr]
        $($group:ident $(($needs:ident))? { $($id:ident: $requirement:literal,)* })*
    ) => {
        // Once, so that what is wrong with it is told once.
        #[cfg(test)]
        fn suite_factory() -> impl $crate::Factory {
            $factory
        }

        $($crate::clause_tests! { @group $ignored $handles [$($needs)?] $($id)* })*
    };

    (@group [] $handles:tt [] $($id:ident)*) => {
        $(
            #[test]
            fn $id() {
                $crate::assert_passes(::core::stringify!($id), suite_factory());
            }
        )*
    };
    (@group [$reason:literal] $handles:tt [] $($id:ident)*) => {
        $(
            #[test]
            #[ignore = $reason]
            fn $id() {
                $crate::assert_passes(::core::stringify!($id), suite_factory());
            }
        )*
    };

    (@group $ignored:tt [damage $($other:ident)*] [damage] $($id:ident)*) => {
        $crate::clause_tests! { @group $ignored [] [] $($id)* }
    };
    (@group $ignored:tt [failures $($other:ident)*] [failures] $($id:ident)*) => {
        $crate::clause_tests! { @group $ignored [] [] $($id)* }
    };
    (@group $ignored:tt [crash $($other:ident)*] [crash] $($id:ident)*) => {
        $crate::clause_tests! { @group $ignored [] [] $($id)* }
    };
    (@group $ignored:tt [spill $($other:ident)*] [spill] $($id:ident)*) => {
        $crate::clause_tests! { @group $ignored [] [] $($id)* }
    };
    (@group $ignored:tt [heap $($other:ident)*] [heap] $($id:ident)*) => {
        $crate::clause_tests! { @group $ignored [] [] $($id)* }
    };
    (@group $ignored:tt [$other:ident $($more:ident)*] $needs:tt $($id:ident)*) => {
        $crate::clause_tests! { @group $ignored [$($more)*] $needs $($id)* }
    };

    (@group $ignored:tt [] [damage] $($id:ident)*) => {
        mod needs_a_handle_that_damages {
            #[cfg(test)]
            use super::suite_factory;
            $crate::clause_tests! { @group ["needs a handle that damages stored bytes"] [] [] $($id)* }
        }
    };
    (@group $ignored:tt [] [failures] $($id:ident)*) => {
        mod needs_a_handle_that_fails {
            #[cfg(test)]
            use super::suite_factory;
            $crate::clause_tests! {
                @group ["needs a handle that makes what lies below the store fail"] [] [] $($id)*
            }
        }
    };
    (@group $ignored:tt [] [crash] $($id:ident)*) => {
        mod needs_a_handle_that_kills {
            #[cfg(test)]
            use super::suite_factory;
            $crate::clause_tests! { @group ["needs a handle that kills the store"] [] [] $($id)* }
        }
    };
    (@group $ignored:tt [] [spill] $($id:ident)*) => {
        mod needs_a_handle_that_spills {
            #[cfg(test)]
            use super::suite_factory;
            $crate::clause_tests! {
                @group ["needs a handle that takes what the store evicts"] [] [] $($id)*
            }
        }
    };
    (@group $ignored:tt [] [heap] $($id:ident)*) => {
        mod needs_a_handle_that_counts {
            #[cfg(test)]
            use super::suite_factory;
            $crate::clause_tests! {
                @group ["needs a test binary of its own that counts allocations"] [] [] $($id)*
            }
        }
    };
}

/// The handles by the names that [`suite!`](crate::suite) takes: a wrong one does not compile.
#[doc(hidden)]
#[expect(non_upper_case_globals, reason = "named as in the call")]
pub mod handle_of {
    use crate::Handle;

    pub const damage: Handle = Handle::Damage;
    pub const failures: Handle = Handle::Failures;
    pub const crash: Handle = Handle::Crash;
    pub const spill: Handle = Handle::Spill;
    pub const heap: Handle = Handle::Heap;
}
