//! The fuzzer's targets over the corpora that it left: what once was found stays found. `make fuzz` looks for more.

#[path = "../../fuzz/targets.rs"]
#[allow(clippy::expect_used, reason = "a target panics where it has found something")]
mod targets;

use std::{fs, path::Path};

fn corpus() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

#[test]
fn every_target_holds_over_its_corpus() {
    for (name, target) in targets::TARGETS {
        let folder = corpus().join(name);
        let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{} is empty", folder.display());
        for file in files {
            println!("{}", file.display());
            target(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn every_corpus_and_every_program_of_the_fuzzer_has_its_target() {
    let named: Vec<_> = targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let listed = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let mut wanted = named;
    wanted.sort();
    assert_eq!(listed(&corpus()), wanted);
    assert_eq!(listed(&corpus().with_file_name("fuzz_targets")), wanted);
}
