//! No files of this crate use each other in a circle.

#[path = "../../core/tests/support/map.rs"]
mod map;

#[test]
fn no_files_use_each_other_in_a_circle() {
    let map = map::Map::read(env!("CARGO_MANIFEST_DIR"));
    assert!(map.sources.len() > 20, "{} files", map.sources.len());
    assert_eq!(map.circles(), Vec::<Vec<&str>>::new());
}
