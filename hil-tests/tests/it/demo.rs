//! The demo as a newcomer starts it, and its check.

use std::process::{Command, Stdio};
use std::time::Duration;

use pestle_hil_tests::check::{self, Length};
use pestle_hil_tests::processes::build_folder;
use pestle_hil_tests::waiting::until;

/// A whole world on a machine that is busy with other tests.
const UP_WITHIN: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_s_check_holds_on_real_processes() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("check");
    if let Err(error) = check::run_in(&place, Length::Short, &|line| println!("{line}")).await {
        let logs = ["gateway", "agent-north"].map(|name| {
            let path = place.join("logs").join(format!("{name}.log"));
            format!("--- {name}\n{}", pestle_hil_tests::processes::log_tail(&path))
        });
        panic!("{error:#}\n{}", logs.join("\n"));
    }
}

/// Process ids whose command line names that folder.
fn processes_of(folder: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    all.filter(|entry| entry.file_name().to_string_lossy().chars().all(|letter| letter.is_ascii_digit()))
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder))
        .collect()
}

#[tokio::test]
async fn ctrl_c_ends_the_demo_and_leaves_no_process_and_a_second_start_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().canonicalize().unwrap();
    let named = place.to_str().unwrap().to_owned();
    for start in ["Pestle runs.", "goes on where it ended"] {
        let output = place.join("output");
        let mut demo = Command::new(build_folder().join("pestle-demo"))
            .arg("run")
            .env("PESTLE_DEMO_DIR", place.join("demo"))
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&output).unwrap())
            .spawn()
            .unwrap();
        let up = until("the demo", UP_WITHIN, || {
            let said = std::fs::read_to_string(&output).unwrap_or_default();
            let ended = demo.try_wait().unwrap().is_some();
            std::future::ready(match said.contains("Ctrl-C ends everything") {
                true => Ok(Ok(said)),
                false if ended => Ok(Err(said)),
                false => Err(said),
            })
        });
        let said = up.await.unwrap().expect("the demo ended by itself");
        assert!(said.contains(start), "{said}");
        assert!(processes_of(&named).len() >= 3, "gateway and two agents run");
        let id = rustix::process::Pid::from_child(&demo);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        let ended = until("the end", UP_WITHIN, || {
            std::future::ready(demo.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned()))
        });
        ended.await.unwrap();
        let left = until("nothing left", Duration::from_secs(5), || {
            let left = processes_of(&named);
            std::future::ready(if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) })
        });
        left.await.unwrap();
    }
    let cleaned = Command::new(build_folder().join("pestle-demo"))
        .arg("clean")
        .env("PESTLE_DEMO_DIR", place.join("demo"))
        .status()
        .unwrap();
    assert!(cleaned.success());
    assert!(!place.join("demo").exists());
}
