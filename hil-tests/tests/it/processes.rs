//! No process is left behind, whatever happens to the one that started it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pestle_hil_tests::processes::{Keeper, ProcessError, Program, build_folder, was_killed};
use pestle_hil_tests::waiting::until;
use serde::Deserialize;

const SOON: Duration = Duration::from_secs(20);

fn shell(folder: &Path, script: &str) -> Program {
    Program {
        name: "script".to_owned(),
        path: PathBuf::from("/bin/sh"),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        environment: vec![],
        log: folder.join("logs/script.log"),
    }
}

#[derive(Debug, Deserialize)]
struct Addresses {
    web: String,
}

#[tokio::test]
async fn a_program_is_ready_when_it_has_said_so_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("addresses.json");
    // An older process's word does not count.
    std::fs::write(&file, r#"{"web":"old","pid":1}"#).unwrap();
    let script = format!(
        r#"printf '{{"web":"new","pid":%d}}' $$ > {0}.part; mv {0}.part {0}; sleep 60"#,
        file.display()
    );
    let mut program = shell(folder.path(), &script).start(&Keeper::nobody()).unwrap();
    let addresses: Addresses = program.ready(&file, SOON).await.unwrap();
    assert_eq!(addresses.web, "new");
    assert!(was_killed(program.kill()));
}

#[tokio::test]
async fn a_program_that_ends_instead_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let mut program =
        shell(folder.path(), "echo the port is taken; exit 69").start(&Keeper::nobody()).unwrap();
    let error = program.ready::<Addresses>(&folder.path().join("none"), SOON).await.unwrap_err();
    assert!(matches!(error, ProcessError::Ended { .. }));
    let said = error.to_string();
    assert!(said.contains("69") && said.contains("the port is taken"), "{said}");
}

#[tokio::test]
async fn what_a_dead_parent_leaves_is_ended_by_the_keeper() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Keeper::start(&build_folder().join("pestle-demo")).unwrap();
    let mut program = shell(folder.path(), "sleep 600").start(&keeper).unwrap();
    // As a parent that is killed does: the pipe closes, and nobody calls a destructor. Only the process itself keeps
    // another hold of the keeper, so that is closed with it.
    keeper.abandon();
    let ended = until("the orphan's end", SOON, || {
        std::future::ready(program.ended().ok_or_else(|| "it still runs".to_owned()))
    });
    ended.await.unwrap();
}

#[test]
fn a_program_that_is_not_built_says_how_to_build_it() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program { path: folder.path().join("pestle-gateway"), ..shell(folder.path(), "") };
    let said = program.start(&Keeper::nobody()).unwrap_err().to_string();
    assert!(said.contains("cargo build --workspace --bins"), "{said}");
}
