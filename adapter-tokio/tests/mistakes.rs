//! Typical mistakes, and what the compiler says of each: `mistakes/*.stderr`. After a change that was meant, or of the compiler,
//! `TRYBUILD=overwrite cargo test -p sansws-tokio --test mistakes` rewrites them.

#[test]
fn the_compiler_says_what_is_wrong_with_a_handler() {
    trybuild::TestCases::new().compile_fail("tests/mistakes/*.rs");
}
