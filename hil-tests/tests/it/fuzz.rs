//! The fuzzer's targets over the corpora that it left: what once was found stays found. `make fuzz` looks for more; where it
//! cannot be installed, `PESTLE_FUZZ_RUNS` does without it, blindly.

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

/// How many changed files each target reads where `PESTLE_FUZZ_RUNS` says nothing.
const RUNS: u64 = 300;

/// Files of the corpora with some bytes changed, cut out, doubled or taken from another: nearly right, and wrong. A seed
/// makes the same ones again.
#[test]
fn every_target_holds_over_files_that_are_nearly_those_of_its_corpus() {
    let number =
        |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().expect("a number"));
    let (runs, seed) = (number("PESTLE_FUZZ_RUNS", RUNS), number("SEED", 20_261_122));
    println!("SEED={seed}");
    let only = std::env::var("FUZZ").ok();
    for (name, target) in targets::TARGETS {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let folder = fs::read_dir(corpus().join(name)).unwrap();
        let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let files: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        let mut chance = Chance(seed);
        for run in 0..runs {
            let bytes = chance.changed(&files);
            let held = std::panic::catch_unwind(|| target(&bytes));
            assert!(held.is_ok(), "{name}, run {run}: {bytes:02x?}");
        }
    }
}

/// Numbers from a seed (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (bound.max(1) as u64)).unwrap()
    }

    fn changed(&mut self, files: &[Vec<u8>]) -> Vec<u8> {
        const TELLING: [u8; 14] = [0, 1, 2, 3, 0x1d, b'\n', b'\r', b'"', b',', b'0', 0x7f, 0x80, 0xf0, 0xff];
        let mut bytes = files[self.below(files.len())].clone();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            let length = self.below(32).min(bytes.len() - at);
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = TELLING[self.below(TELLING.len())],
                2 => drop(bytes.drain(at..at + length)),
                3 => {
                    let doubled = bytes[at..at + length].to_vec();
                    bytes.splice(at..at, doubled);
                }
                4 => {
                    let other = &files[self.below(files.len())];
                    let from = self.below(other.len() + 1);
                    let piece = &other[from..(from + self.below(64)).min(other.len())];
                    bytes.splice(at..at + length, piece.iter().copied());
                }
                _ => bytes.insert(at, TELLING[self.below(TELLING.len())]),
            }
        }
        bytes
    }
}
