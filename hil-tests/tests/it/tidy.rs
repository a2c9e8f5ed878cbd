//! Rules of the tree that the compiler does not hold: which crate may use which, and that rules read no clock.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// From `docs/architecture.md`: who may use whom inside the workspace. `hil-tests` may use everything.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("drivers", &["pestle-domain"]),
    ("agent", &["pestle-domain", "pestle-drivers"]),
    ("gateway", &["pestle-domain"]),
    ("provisioning", &["pestle-domain", "pestle-drivers"]),
];

/// Files that are pure beside those that say so themselves: the word "pure" or "purely" in a file's `//!` is a promise that
/// is held. A name that ends in `/` means the folder. A gateway module's `rules.rs` is pure by
/// its name.
const PURE: &[&str] = &[
    "domain/src/",
    "agent/src/counter/books.rs",
    "agent/src/counter/machine.rs",
    "agent/src/counter/printing.rs",
    "agent/src/counter/sell.rs",
    "agent/src/counter/session.rs",
    "agent/src/counter/view.rs",
    "agent/src/relay/lane.rs",
    "agent/src/relay/link.rs",
    "agent/src/snapshot/verify.rs",
    "agent/src/spool/machine.rs",
    "drivers/src/backoff.rs",
    "drivers/src/printer/codepage.rs",
    "drivers/src/printer/compose.rs",
    "drivers/src/printer/model.rs",
    "drivers/src/printer/raster.rs",
    "drivers/src/printer/status.rs",
    "drivers/src/scanner/framing.rs",
    "drivers/src/sensor/answer.rs",
    "hil-tests/src/check/expected.rs",
    "hil-tests/src/check/ledger.rs",
    "hil-tests/src/check/paper.rs",
    "provisioning/src/answer.rs",
];

/// What a pure file does not say. A test module at its end may.
const IMPURE: &[&str] = &[
    "SystemTime",
    "Instant::now",
    "now_utc",
    "now_v7",
    "now_v4",
    "new_v4",
    "std::fs",
    // Addresses are data: `std::net::IpAddr` is none of these.
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::env::var",
    "tokio::",
    "thread_rng",
    "rand::fill",
    "SystemRandom::new",
];

/// Lines before the test module from which a file is reported, and from which it is refused: by then there is a second
/// idea inside it.
const FILE_LINES_REPORTED: usize = 500;
const FILE_LINES_MAX: usize = 800;

/// Lines from which a function is reported.
const FUNCTION_LINES_REPORTED: usize = 70;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All Rust files of the workspace's members, by path from the root.
fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for member in ["domain", "drivers", "agent", "gateway", "provisioning", "hil-tests"] {
        collect(&root().join(member), &mut found);
    }
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn collect(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn the_crates_use_each_other_only_along_the_architecture_s_arrows() {
    for (folder, allowed) in ARROWS {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&manifest).unwrap();
        let own = manifest["package"]["name"].as_str().unwrap();
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let Some(table) = manifest.get(section).and_then(toml::Value::as_table) else { continue };
            let ours = table.keys().filter(|name| name.starts_with("pestle-") && *name != own);
            for name in ours {
                assert!(
                    allowed.contains(&name.as_str()),
                    "{folder}/Cargo.toml: {section} may not have {name}"
                );
            }
        }
    }
}

#[test]
fn the_domain_depends_on_no_runtime() {
    let manifest = fs::read_to_string(root().join("domain/Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    for name in manifest["dependencies"].as_table().unwrap().keys() {
        let runtime = ["tokio", "hyper", "axum", "sqlx", "sled", "rumqttc", "reqwest", "rand", "getrandom"];
        assert!(!runtime.contains(&name.as_str()), "domain/Cargo.toml has {name}");
    }
}

#[test]
fn pure_files_read_no_clock_and_do_no_input_or_output() {
    let sources = sources();
    for name in PURE {
        assert!(
            sources.keys().any(|path| path.starts_with(name)),
            "{name} is declared pure, but is not there"
        );
    }
    let (mut wrong, mut promised) = (Vec::new(), 0);
    for (path, text) in &sources {
        let promises = promises_purity(text);
        promised += usize::from(promises);
        let pure = promises
            || PURE.iter().any(|name| path.starts_with(name))
            || (path.starts_with("gateway/") && path.ends_with("/rules.rs"));
        if pure {
            let but_for_random = text.contains("Pure but for random");
            let found =
                impure_lines(text).filter(|(_, word)| !(but_for_random && *word == "SystemRandom::new"));
            wrong.extend(found.map(|(line, word)| format!("{path}:{line} says {word}")));
        }
    }
    assert!(
        promised > 15,
        "only {promised} files call themselves pure: their words are not understood any more"
    );
    assert!(wrong.is_empty(), "pure files that are not pure:\n{}", wrong.join("\n"));
}

/// Whether a file calls itself pure in a paragraph of its module documentation. A paragraph that links to other modules
/// speaks of them (`[`rules`] decides and is pure`), and so does one that says it in brackets (`` `rules.rs` (pure) ``).
fn promises_purity(text: &str) -> bool {
    let words: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("//!")).collect();
    let word = |word: &str| matches!(word.to_lowercase().as_str(), "pure" | "purely");
    let paragraphs = words.split(|line| line.trim().is_empty()).map(|lines| lines.join(" "));
    paragraphs.filter(|paragraph| !paragraph.contains("[`")).any(|paragraph| {
        let own = paragraph.replace("(pure)", "");
        own.split(|letter: char| !letter.is_alphabetic()).any(word)
    })
}

#[test]
fn a_file_that_calls_itself_pure_is_known_and_one_that_speaks_of_others_is_not_taken_for_it() {
    assert!(promises_purity("//! What a lot is.\n//! Pure: time comes in.\nuse std::fs;"));
    assert!(promises_purity("//! Reads staff, purely:\n//!\n//! more"));
    assert!(!promises_purity("//! Impure.\n//! Purest.\n"));
    assert!(!promises_purity("//! [`rules`] decides (pure), the rest does it.\n"));
    assert!(!promises_purity("//! A folder per module with `rules.rs` (pure) and others.\n"));
    assert!(promises_purity("//! A record's bytes.\n//!\n//! Everything here is pure.\n"));
}

/// Line numbers (from 1) with the word that does not belong there; comments and the test module aside.
fn impure_lines(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    text.lines()
        .zip(1..)
        .take_while(|(line, _)| !line.starts_with("#[cfg(test)]"))
        .filter(|(line, _)| !line.trim_start().starts_with("//"))
        .filter_map(|(line, number)| {
            IMPURE.iter().find(|word| line.contains(**word)).map(|word| (number, *word))
        })
}

#[test]
fn the_purity_check_itself_sees_a_clock() {
    let found =
        impure_lines("fn a() {\n    // Instant::now\n    Instant::now()\n}\n#[cfg(test)]\nuse std::fs;");
    assert_eq!(found.collect::<Vec<_>>(), [(3, "Instant::now")]);
}

#[test]
fn no_file_is_too_long_to_hold_one_idea() {
    let mut refused = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        if lines > FILE_LINES_REPORTED {
            println!("{path} has {lines} lines");
        }
        for (function, lines) in long_functions(&text) {
            println!("{path}: {function} has {lines} lines");
        }
        if lines > FILE_LINES_MAX {
            refused.push(format!("{path} has {lines} lines, more than {FILE_LINES_MAX}"));
        }
    }
    assert!(refused.is_empty(), "look for the second idea inside:\n{}", refused.join("\n"));
}

/// Functions with more than [`FUNCTION_LINES_REPORTED`] lines, by rustfmt's indentation: the closing brace stands
/// under the first letter of the line with `fn`.
fn long_functions(text: &str) -> Vec<(String, usize)> {
    let mut open: Vec<(usize, String, usize)> = Vec::new();
    let mut long = Vec::new();
    for (line, number) in text.lines().zip(1_usize..) {
        let indent = line.len() - line.trim_start().len();
        let words = line.trim_start();
        let is_head = ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(crate) fn ", "pub(super) fn "]
            .iter()
            .any(|head| words.starts_with(head));
        if is_head {
            open.push((indent, words.split('(').next().unwrap_or(words).to_owned(), number));
        } else if words == "}" && open.last().is_some_and(|(at, ..)| *at == indent) {
            let (_, name, begun) = open.pop().unwrap();
            if number - begun > FUNCTION_LINES_REPORTED {
                long.push((name, number - begun + 1));
            }
        }
    }
    long
}

#[test]
fn ci_passes_only_what_passes_make_test_and_then_tries_the_image() {
    let script = fs::read_to_string(root().join(".ci/run")).unwrap();
    let lines: Vec<_> = script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let at = |wanted: &str| lines.iter().position(|line| line.starts_with(wanted)).expect(wanted);
    assert!(script.starts_with("#!/usr/bin/env bash\n"));
    assert_eq!(at("set -euo pipefail"), 0, "whatever fails ends it");
    assert!(at("make test") < at("ignored() {"), "nothing is skipped before the tests");
    let cases = lines.last().unwrap();
    assert!(
        cases.starts_with("exec timeout ") && cases.ends_with(" make hil"),
        "a case that fails fails: {cases}"
    );
}
