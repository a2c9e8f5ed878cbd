//! The room on the disk, with a real counter and real journals.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use pestle_agent::{
    journal::Limits,
    space::{Space, machine::Budget, task},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    branch::Branch,
    journal::ack,
    program::{enrolled_box, get},
};

const SOON: Duration = Duration::from_secs(60);

async fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < SOON, "{what} did not happen");
        tokio::task::yield_now().await;
    }
}

struct Watched {
    space: watch::Receiver<Space>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// Starts what watches the room of a branch.
fn watch_room(branch: &Branch, budget: Budget) -> Watched {
    let (space, stop) = (watch::Sender::new(Space::default()), CancellationToken::new());
    let parts = task::Parts {
        data_dir: branch.folder.path().to_owned(),
        budget,
        ledger: branch.ledger.clone(),
        telemetry: branch.telemetry.clone(),
        counter: branch.counter.clone(),
        clock: branch.clock.clone(),
        space: space.clone(),
    };
    let task = tokio::spawn(task::run(parts, stop.clone()));
    Watched { space: space.subscribe(), stop, task }
}

impl Watched {
    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

async fn sell(branch: &mut Branch) {
    branch.scan("till-1").await;
    let pay = branch.payment("till-1", "5.00").await;
    branch.done("till-1", "pay", pay).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_box_lets_go_of_what_two_checkpoints_have_and_knows_every_sale_after_it() {
    let limits = Limits { retention: Duration::ZERO, ..Limits::default() };
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    sell(&mut branch).await;
    let acknowledged = |branch: &Branch| {
        let (ledger, head) = (&branch.ledger, branch.ledger.head());
        ledger.acknowledge(&ack(ledger, head)).unwrap();
    };
    acknowledged(&branch);
    // Each end keeps a checkpoint and each start seals a generation.
    let mut branch = branch.restart_with(limits).await;
    let watched = watch_room(&branch, Budget::default());
    let first_kept = |branch: &Branch| branch.ledger.epochs()[0].first_kept;
    until("a look at the disk", || watched.space.borrow().free_mib > 0).await;
    assert_eq!(first_kept(&branch), 1, "one checkpoint alone lets nothing go");
    watched.end().await;
    branch.done("till-1", "sign-in", serde_json::json!({"staff": "anna", "pin": crate::branch::PIN})).await;
    sell(&mut branch).await;

    let branch = branch.restart_with(limits).await;
    let watched = watch_room(&branch, Budget::default());
    acknowledged(&branch);
    until("the pruning", || first_kept(&branch) > 1).await;
    watched.end().await;
    let mut branch = branch.restart_with(limits).await;
    branch.done("till-1", "sign-in", serde_json::json!({"staff": "anna", "pin": crate::branch::PIN})).await;
    let state = branch.state("till-1").await;
    assert_eq!(state["session"]["sales"], 2);
    assert_eq!(state["last_sale"]["receipt"]["number"], 2);
}

/// The program on a small file system in memory that it alone sees, mounted in a namespace of its own.
struct OnSmallDisk {
    program: Child,
    folder: tempfile::TempDir,
    web: String,
}

impl Drop for OnSmallDisk {
    fn drop(&mut self) {
        // It may have ended in order.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Mounts and copies what is enrolled, then becomes the program: its number stays.
const MOUNT_AND_RUN: &str =
    r#"mount -t tmpfs -o size="$1" none "$2" && cp -a "$3/." "$2" && exec "$4" --config "$2/agent.toml" run"#;

impl OnSmallDisk {
    fn start(size: &str, script: &str) -> Self {
        let (enrolled, folder) = (enrolled_box(), tempfile::tempdir().unwrap());
        let config = format!(
            "data_dir = {:?}\n[web]\nlisten = \"127.0.0.1:0\"\n[[till]]\nid = \"till-1\"\n",
            folder.path()
        );
        fs::write(enrolled.path().join("agent.toml"), config).unwrap();
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--mount", "sh", "-c", script, "sh", size]);
        command.arg(folder.path()).arg(enrolled.path()).arg(env!("CARGO_BIN_EXE_pestle-agent"));
        let mut small =
            Self { program: command.stderr(Stdio::null()).spawn().unwrap(), folder, web: String::new() };
        let file = small.path("run/addresses.json");
        small.web = soon("the start", || {
            let addresses: serde_json::Value = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
            addresses["web"].as_str().map(str::to_owned)
        });
        small
    }

    /// A path on the small disk, as everybody may see it.
    fn path(&self, name: &str) -> PathBuf {
        let inside = self.folder.path().strip_prefix("/").unwrap();
        Path::new("/proc").join(self.program.id().to_string()).join("root").join(inside).join(name)
    }

    fn health(&self) -> serde_json::Value {
        let answer = get(&self.web, "/health");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    fn becomes(&self, level: &str, reserve: bool) {
        soon(level, || {
            let space = self.health()["space"].clone();
            (space["level"] == level && space["reserve"] == reserve).then_some(())
        });
        assert_eq!(self.path("reserve").exists(), reserve);
    }
}

fn soon<T>(what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = f() {
            return found;
        }
        assert!(began.elapsed() < SOON, "{what} did not happen");
        std::thread::yield_now();
    }
}

#[test]
fn a_disk_that_is_filled_to_the_brim_is_survived_reported_and_left_without_a_restart() {
    let small = OnSmallDisk::start("64m", MOUNT_AND_RUN);
    small.becomes("plenty", true);
    let head = || small.health()["journal"][0]["head"].as_u64().unwrap();
    let before = head();

    let filler = small.path("filler");
    let mut file = fs::File::create(&filler).unwrap();
    let piece = vec![7; 64 * 1024];
    while file.write_all(&piece).is_ok() {}
    small.becomes("full", false);
    // With the reserve given up it could still be recorded.
    soon("the fact", || (head() > before).then_some(()));
    let health = small.health();
    assert!(health["reasons"].to_string().contains("no new business"), "{health}");

    // And when there is room again all is as it was.
    drop(file);
    fs::remove_file(&filler).unwrap();
    small.becomes("plenty", true);
    soon("the fact", || (head() > before + 1).then_some(()));
    assert_eq!(small.health()["journal"][0]["trouble"], serde_json::Value::Null);
}
