//! No file of this crate is too long, and no files use each other in a circle.

#[path = "../../core/tests/support/map.rs"]
mod map;

#[test]
fn no_files_use_each_other_in_a_circle() {
    let map = map::Map::read(env!("CARGO_MANIFEST_DIR"));
    assert!(map.sources.len() > 20, "{} files", map.sources.len());
    assert_eq!(map.circles(), Vec::<Vec<&str>>::new());
}

#[test]
fn every_file_has_a_header_and_a_bound() {
    let map = map::Map::read(env!("CARGO_MANIFEST_DIR"));
    for (path, source) in &map.sources {
        assert!(source.starts_with("//!"), "{path} has no header");
        assert!(source.lines().count() <= map::LONGEST, "{path} is too long");
    }
}
