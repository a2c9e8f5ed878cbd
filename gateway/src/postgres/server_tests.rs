//! With shell scripts in the server's place: they write `postmaster.pid` as it does.

use super::*;

/// A folder with a `postgres` that does what `script` says; `$pid` writes the file with a state.
fn place(script: &str) -> (tempfile::TempDir, Layout) {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::under(&folder.path().join("pg"));
    fs::create_dir_all(&layout.data).unwrap();
    let program = folder.path().join("postgres");
    let text = format!(
        "#!/bin/sh\nstate() {{ printf '%s\\n2\\n3\\n4\\n5\\n6\\n7\\n%s\\n' $$ \"$1\" > \"$2.part\"; mv \"$2.part\" \"$2/postmaster.pid\"; }}\n{script}\n"
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, layout)
}

fn spawn(folder: &tempfile::TempDir, layout: &Layout) -> Server {
    let mut command = command(&folder.path().join("postgres"), layout, None);
    Server { child: command.arg("-D").arg(&layout.data).spawn().unwrap() }
}

const fn patience(silent_ms: u64) -> Patience {
    Patience { silent: Duration::from_millis(silent_ms), say_every: Duration::from_millis(1) }
}

fn lives(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn a_recovery_that_takes_longer_than_all_patience_is_waited_for() {
    let (folder, layout) = place("state starting \"$2\"; sleep 0.4; state ready \"$2\"; exec sleep 60");
    // The file's first word may come late on a busy machine; from then on it must not matter.
    let stop = CancellationToken::new();
    let server = spawn(&folder, &layout);
    while state(&layout.data, server.pid()) == State::Silent {
        tokio::task::yield_now().await;
    }
    let ready = server.until_ready(&layout, &stop, patience(100)).await.unwrap();
    ready.stop().await;
}

#[tokio::test]
async fn a_server_that_is_given_up_is_stopped_and_reaped() {
    let (folder, layout) = place("exec sleep 60");
    let server = spawn(&folder, &layout);
    let pid = server.pid().unwrap();
    let error = server.until_ready(&layout, &CancellationToken::new(), patience(50)).await.unwrap_err();
    assert!(matches!(error, ClusterError::NotReady { .. }), "{error}");
    assert!(!lives(pid), "it was left behind");
}

#[tokio::test]
async fn a_start_is_given_up_when_the_gateway_is_told_to_stop() {
    let (folder, layout) = place("state starting \"$2\"; exec sleep 60");
    let server = spawn(&folder, &layout);
    let pid = server.pid().unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    let error = server.until_ready(&layout, &stop, PATIENCE).await.unwrap_err();
    assert!(matches!(error, ClusterError::Stopped), "{error}");
    assert!(!lives(pid), "it was left behind");
}

#[tokio::test]
async fn a_server_that_was_left_recovering_is_stopped_only_once_it_is_ready() {
    let (folder, layout) = place(
        "trap 'exit 0' INT; state starting \"$2\"; sleep 0.3; echo > \"$2/recovered\"; state ready \"$2\"; \
         while :; do sleep 0.01; done",
    );
    let mut server = spawn(&folder, &layout);
    while state(&layout.data, server.pid()) == State::Silent {
        tokio::task::yield_now().await;
    }
    let stop = CancellationToken::new();
    let (stopped, _) = tokio::join!(stop_survivor(&layout.data, &stop), server.ended());
    stopped.unwrap();
    assert!(layout.data.join("recovered").exists(), "its recovery was interrupted");
}

#[test]
fn only_a_process_that_names_the_folder_is_taken_for_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let path = data.to_str().unwrap();
    let line = |words: &[&str]| words.join("\0").into_bytes();
    assert!(serves(&line(&["/usr/lib/postgresql/15/bin/postgres", "-D", path, "-k", "/x"]), &data));
    assert!(serves(&line(&["postgres", "-D", &format!("{path}/../data")]), &data));
    assert!(!serves(&line(&["postgres", "-D", "/var/lib/postgresql/15/main"]), &data));
    assert!(!serves(&line(&["vi", path]), &data));
    assert!(!serves(b"", &data));
}
