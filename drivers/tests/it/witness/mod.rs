//! Other people's programs, asked about what our printers print and read. `hil-tests/setup.sh test` installs them; their
//! versions are pinned in `drivers/tests/witness/printers/`.

mod codes;
mod decoder;
mod python_escpos;
mod speed;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::soon;

/// Where the scripts are.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/witness/printers")
}

/// Where the programs are: below the target folder, so that they go with it.
fn installed(what: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let path = target.join("witness/printers").join(what);
    assert!(path.exists(), "{} is missing: run hil-tests/setup.sh test", path.display());
    path
}

async fn run(mut command: Command, input: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("the witness starts");
    let mut stdin = child.stdin.take().expect("its input");
    let feed = async {
        stdin.write_all(input.as_bytes()).await.expect("it reads its input");
        drop(stdin);
    };
    let ((), output) = soon(async { tokio::join!(feed, child.wait_with_output()) }).await;
    let output = output.expect("its output");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("its output is text")
}

async fn python(script: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(installed("venv").join("bin/python"));
    command.arg(scripts().join(script)).args(arguments);
    run(command, "").await
}

async fn node(script: &str, input: &str) -> String {
    let mut command = Command::new("node");
    command.arg(scripts().join(script)).env("NODE_PATH", installed("node_modules"));
    run(command, input).await
}

/// The codes in each picture from top to bottom, as their symbology identifier (ISO/IEC 15424) and what they hold.
async fn codes_in(pictures: &[Vec<u8>]) -> Vec<Vec<(String, String)>> {
    let folder = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for (number, picture) in pictures.iter().enumerate() {
        let path = folder.path().join(format!("{number}.png"));
        std::fs::write(&path, picture).unwrap();
        names.push(path.to_str().unwrap().to_owned());
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let lines = python("read_codes.py", &names).await;
    let codes = |line: &str| -> Vec<(String, String)> {
        let codes: Vec<(String, String)> = serde_json::from_str(line).unwrap();
        codes.into_iter().map(|(identifier, hex)| (identifier, from_hex(&hex))).collect()
    };
    lines.lines().map(codes).collect()
}

fn from_hex(hex: &str) -> String {
    String::from_utf8(bytes_of(hex)).unwrap()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect()
}
