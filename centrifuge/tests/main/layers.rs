//! No file of this crate is too long, no files use each other in a circle, and the session knows no I/O.

use crate::map;

#[test]
fn no_files_use_each_other_in_a_circle() {
    let map = map::Map::read(env!("CARGO_MANIFEST_DIR"));
    assert!(map.sources.len() > 10, "{} files", map.sources.len());
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

#[test]
fn the_session_and_the_codecs_are_pure() {
    let map = map::Map::read(env!("CARGO_MANIFEST_DIR"));
    let is_pure = |path: &str| path.contains("session") || path.contains("protocol");
    let mut count = 0;
    for (path, source) in map.sources.iter().filter(|(path, _)| is_pure(path)) {
        count += 1;
        for word in ["async ", "sansws_async", "std::net", "Waker", "SystemTime"] {
            assert!(!source.contains(word), "{path} knows {word}");
        }
    }
    assert!(count >= 8, "{count} files");
}
