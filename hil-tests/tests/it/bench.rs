//! The bench measures what it says it measures, on real processes, and leaves nothing behind. Its figures are looked at by
//! `make bench` alone: a debug build on a machine that runs other tests has none.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use pestle_hil_tests::processes::build_folder;
use pestle_hil_tests::waiting::until;
use rustix::process::{Pid, Signal, kill_process};

use crate::whole_product;

/// A debug build on two busy cores.
const DONE_WITHIN: Duration = Duration::from_secs(240);

#[tokio::test]
async fn a_quick_bench_measures_each_row_and_removes_nothing_but_its_own_folder() {
    // The relay's and the footprint's take a minute together on a small machine, and stand on the same parts.
    quick(&[
        ("commit", &["durable commit of a sale"]),
        ("group", &["durable sales, 8 tills"]),
        ("scan", &["scan to the line on the page"]),
        ("ingest", &["ingest into PostgreSQL"]),
        ("stock", &["stock check over HTTPS"]),
    ])
    .await;
}

#[tokio::test]
async fn a_quick_bench_measures_what_passes_through_a_box_in_large_numbers() {
    quick(&[
        ("link", &["link alone"]),
        (
            "million",
            &[
                "drain of a million facts",
                "a million facts waiting and draining",
                "start with a million facts waiting",
            ],
        ),
        ("disk", &["disk after ten million facts"]),
    ])
    .await;
}

#[tokio::test]
async fn a_quick_bench_measures_the_queues_that_a_shop_would_set_up_by_hand() {
    quick(&[("queues", &["ours beside a NATS JetStream leaf", "ours beside a Mosquitto bridge"])]).await;
}

/// Figures, each with the words of its rows.
async fn quick(figures: &[(&str, &[&str])]) {
    let _alone = whole_product().await;
    // On a disk, as the build is: the bench refuses a folder in memory.
    let folder = tempfile::tempdir_in(build_folder()).unwrap();
    let letters = folder.path().join("letters.txt");
    fs::write(&letters, "not the bench's").unwrap();
    let bench = Command::new(build_folder().join("pestle-bench"))
        .arg("--quick")
        .args(figures.iter().map(|(figure, _)| figure))
        .env("PESTLE_BENCH_DIR", folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&bench.stdout);
    let rows: Vec<&str> =
        said.lines().filter(|line| line.starts_with("MISS") || line.starts_with("ok")).collect();
    for row in figures.iter().flat_map(|(_, rows)| *rows) {
        assert!(rows.iter().any(|line| line.contains(row)), "{row} was not measured:\n{said}");
    }
    assert!(!said.contains("not measured"), "{said}");
    assert!(!bench.status.success(), "a quick look reaches nothing:\n{said}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["letters.txt"]);
}

#[tokio::test]
async fn ctrl_c_ends_the_bench_in_the_middle_of_a_figure_and_nothing_of_it_is_left() {
    let _alone = whole_product().await;
    let folder = tempfile::tempdir_in(build_folder()).unwrap();
    let named = folder.path().canonicalize().unwrap().display().to_string();
    let mut bench = Command::new(build_folder().join("pestle-bench"))
        .args(["--quick", "stock"])
        .env("PESTLE_BENCH_DIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let helper = |wanted: bool| {
        let named = named.clone();
        move || {
            let found = command_lines().into_iter().find(|line| line.contains(&named));
            std::future::ready(match found {
                Some(_) if wanted => Ok(()),
                None if !wanted => Ok(()),
                other => Err(format!("{other:?}")),
            })
        }
    };
    until("the helper that serves", DONE_WITHIN, helper(true)).await.unwrap();
    kill_process(Pid::from_child(&bench), Signal::INT).unwrap();
    let ended = until("the bench's end", DONE_WITHIN, || {
        std::future::ready(bench.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned()))
    });
    assert!(!ended.await.unwrap().success());
    until("the helper's end", DONE_WITHIN, helper(false)).await.unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn command_lines() -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}
