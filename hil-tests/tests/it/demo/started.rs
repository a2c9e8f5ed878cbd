//! `pestle-demo run` as a newcomer starts it, and every process that belongs to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use pestle_hil_tests::processes::build_folder;
use pestle_hil_tests::waiting::until;
use pestle_hil_tests::world::Place;
use rustix::process::{Pid, Signal, kill_process};

/// A whole world on a machine that is busy with other tests.
pub(super) const UP_WITHIN: Duration = Duration::from_secs(180);

/// From the signal to the last process: agents and gateway drain, the database writes its checkpoint, and a keeper may
/// have to wait for each of them.
pub(super) const GONE_WITHIN: Duration = Duration::from_secs(60);

/// `pestle-demo <words>` in `folder`, to its end.
pub(super) fn demo(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(build_folder().join("pestle-demo"));
    command.args(words).env("PESTLE_DEMO_DIR", folder).stdin(Stdio::null());
    command.output().unwrap()
}

/// A demo that runs, ended at the latest when this is dropped.
pub(super) struct Demo {
    child: Child,
    pub(super) folder: PathBuf,
    output: PathBuf,
}

/// Where it answers.
pub(super) struct Addresses {
    pub(super) workbench: String,
    pub(super) counter: String,
    pub(super) centre: String,
}

impl Demo {
    pub(super) fn start(folder: &Path) -> Self {
        let output = folder.with_extension("said");
        let child = Command::new(build_folder().join("pestle-demo"))
            .arg("run")
            .env("PESTLE_DEMO_DIR", folder)
            .stdin(Stdio::null())
            .stdout(fs::File::create(&output).unwrap())
            .spawn()
            .unwrap();
        Self { child, folder: folder.to_owned(), output }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has said that.
    pub(super) async fn says(&mut self, words: &str) -> String {
        let what = format!("the demo to say {words:?}");
        let said = until(&what, UP_WITHIN, || {
            let said = fs::read_to_string(&self.output).unwrap_or_default();
            let ended = self.child.try_wait().unwrap().is_some();
            std::future::ready(match said.contains(words) {
                true => Ok(Ok(said)),
                false if ended => Ok(Err(said)),
                false => Err(said),
            })
        });
        said.await.unwrap().unwrap_or_else(|said| panic!("the demo ended by itself: {said}"))
    }

    /// Waits until everything runs, and reads the addresses that it prints.
    pub(super) async fn up(&mut self) -> (String, Addresses) {
        let said = self.says("Ctrl-C ends everything").await;
        let address = |name: &str, words: &str| {
            let lines = said.lines().filter(|line| line.contains(words)).map(str::split_whitespace);
            let mut of = lines.filter(|line| line.clone().next() == Some(name));
            of.next()
                .and_then(|mut line| line.nth(1))
                .unwrap_or_else(|| panic!("no {name} in {said}"))
                .to_owned()
        };
        let centre = address("console", "").trim_end_matches("/console").to_owned();
        let addresses =
            Addresses { workbench: address("workbench", ""), counter: address("counter", "North"), centre };
        (said, addresses)
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the demo itself has ended.
    pub(super) async fn ended(&mut self) {
        let ended = until("the demo's end", GONE_WITHIN, || {
            std::future::ready(self.child.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned()))
        });
        ended.await.unwrap();
    }

    /// Everything that belongs to it: what it has started, what that has started, and whatever names its folders.
    pub(super) fn family(&self) -> Vec<Member> {
        let all = processes();
        let mut found: BTreeMap<u32, Member> = BTreeMap::new();
        let mut parents = vec![self.id()];
        while let Some(parent) = parents.pop() {
            for (id, member) in all.iter().filter(|(_, member)| member.parent == parent) {
                if found.insert(*id, member.clone()).is_none() {
                    parents.push(*id);
                }
            }
        }
        for (id, member) in all {
            if id != self.id() && member.names(&self.folder) {
                found.insert(id, member);
            }
        }
        found.into_values().collect()
    }

    /// Waits until none of `family` lives any more, nor anything else that names the place.
    pub(super) async fn all_gone(&self, family: &[Member]) {
        let gone = until("nothing left", GONE_WITHIN, || {
            let now = processes();
            let lives =
                |member: &&Member| now.get(&member.id).is_some_and(|other| other.begun == member.begun);
            let mut left: Vec<String> =
                family.iter().filter(lives).map(|member| member.line.clone()).collect();
            left.extend(now.values().filter(|one| one.names(&self.folder)).map(|one| one.line.clone()));
            std::future::ready(if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) })
        });
        gone.await.unwrap();
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let begun = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let signal = if begun.elapsed() < GONE_WITHIN { Signal::TERM } else { Signal::KILL };
            let _ = kill_process(Pid::from_child(&self.child), signal);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A process as `/proc` shows it.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: u32,
    parent: u32,
    /// In ticks since the machine started: with the number, it names one process for ever.
    begun: u64,
    pub(super) line: String,
}

impl Member {
    /// Whether its command line names the place or its PostgreSQL.
    fn names(&self, folder: &Path) -> bool {
        let cluster = Place::cluster_of(folder);
        [folder, &cluster].iter().any(|path| self.line.contains(path.to_str().unwrap()))
    }
}

/// All processes but those that have ended and wait for their parent to notice.
fn processes() -> BTreeMap<u32, Member> {
    let numbers = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let numbers = numbers.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    numbers
        .filter_map(|id| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // `proc_pid_stat(5)`: behind the name in brackets come the state (3), the parent (4), … the start (22).
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            let (parent, begun) = (fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?);
            let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            (fields[0] != "Z").then_some((id, Member { id, parent, begun, line }))
        })
        .collect()
}
