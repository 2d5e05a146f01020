/// Writes a `#[test]` for each clause, named as the clause.
///
/// The expression gives the [`Factory`](crate::Factory) and is evaluated anew in each test. Each test
/// has a tokio runtime of its own and fails after a minute. Put the call into a module, so that the tests
/// are called `conformance::miss_is_none` and so on:
///
/// ```
/// # mod toy { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/toy.rs")); }
/// mod conformance {
///     mod in_memory {
///         cache_conformance::suite! { crate::toy::Fresh::default() }
///     }
///
///     mod on_a_server {
///         cache_conformance::suite! { #[ignore = "needs a server"] crate::toy::Fresh::default() }
///     }
/// }
/// # fn main() {}
/// ```
///
/// One attribute may stand before the expression; every test gets it. A store that cannot run here is
/// given `#[ignore = "…"]`, so that its tests are shown as ignored and never as passed.
#[macro_export]
macro_rules! suite {
    (#[$attribute:meta] $factory:expr $(,)?) => {
        $crate::with_clauses! { [$crate::clause_tests] [#[$attribute]] $factory }
    };
    ($factory:expr $(,)?) => {
        $crate::with_clauses! { [$crate::clause_tests] [] $factory }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! clause_tests {
    (
        [$attributes:tt $factory:expr]
        $($group:ident { $($id:ident: $requirement:literal,)* })*
    ) => {
        $($($crate::clause_tests! { @ $attributes $id $factory })*)*
    };
    (@ [$($attribute:tt)*] $id:ident $factory:expr) => {
        #[test]
        $($attribute)*
        fn $id() {
            $crate::assert_passes(::core::stringify!($id), $factory);
        }
    };
}
