//! The committed demo files are what the generator makes.

use std::path::Path;

use pestle_hil_tests::demo_data::files;

#[test]
fn the_committed_files_are_what_the_generator_makes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    for file in files() {
        let committed = std::fs::read_to_string(folder.join(&file.name)).unwrap_or_default();
        assert!(
            committed == file.text,
            "hil-tests/data/{} is not up to date: run `make data` and commit it",
            file.name
        );
    }
}
