//! The public API of the crate is the one in `tests/api.txt`, so that a change of it is seen in review.

use crate::api_reader::{Api, compare};

/// Maximum number of public types and traits.
const TYPES: usize = 26;

#[test]
fn the_public_api_is_the_one_on_file() {
    let root = env!("CARGO_MANIFEST_DIR");
    compare(&Api::read(root), format!("{root}/tests/api.txt"), TYPES);
}
