//! The real program: wrong configuration, taken ports, kills, and an orderly end.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use pestle_gateway::run::Addresses;
use rustix::process::{Pid, Signal, kill_process};

/// Longer than a start takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder that the user `postgres` may enter, with a configuration on free ports.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(more: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let text = format!(
            "data_dir = \"{0}/data\"\n[https]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nlisten = \"127.0.0.1:0\"\n\
             [database]\ncluster_dir = \"{0}/pg\"\n{more}",
            folder.path().display()
        );
        fs::write(folder.path().join("gateway.toml"), text).unwrap();
        Self { folder }
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pestle-gateway"));
        command
            .arg("--config")
            .arg(self.folder.path().join("gateway.toml"))
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn run_to_end(&self, arguments: &[&str]) -> Output {
        self.program(arguments).output().unwrap()
    }

    /// Starts it and waits until it is ready.
    fn start(&self) -> (Child, Addresses) {
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let mut child = self.program(&["run"]).stderr(log).spawn().unwrap();
        let id = child.id();
        let addresses = wait_for("addresses.json", || {
            assert!(child.try_wait().unwrap().is_none(), "{}", self.log());
            let addresses: Addresses = serde_json::from_slice(&fs::read(self.addresses()).ok()?).ok()?;
            (addresses.pid == id).then_some(addresses)
        });
        (child, addresses)
    }

    fn addresses(&self) -> PathBuf {
        self.folder.path().join("data/run/addresses.json")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The living database server of this place.
    fn postmaster(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.folder.path().join("pg/data/postmaster.pid")).ok()?;
        let pid: i32 = text.lines().next()?.trim().parse().ok()?;
        self.processes().contains(&pid).then(|| Pid::from_raw(pid)).flatten()
    }

    /// Every living process that names this place on its command line.
    fn processes(&self) -> Vec<i32> {
        let folder = self.folder.path().to_str().unwrap();
        let all = fs::read_dir("/proc").unwrap().flatten();
        all.filter_map(|entry| {
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            String::from_utf8_lossy(&line).contains(folder).then_some(entry)
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
    }
}

impl Drop for Place {
    /// Whatever a failed test leaves.
    fn drop(&mut self) {
        if let Some(pid) = self.postmaster() {
            let _ = kill_process(pid, Signal::QUIT);
        }
    }
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn stop(mut child: Child) -> i32 {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    child.wait().unwrap().code().unwrap_or(-1)
}

async fn health(data: &Path, addresses: &Addresses) -> (u16, String) {
    pestle_gateway::testing::install_crypto();
    let ca = reqwest::Certificate::from_pem(&fs::read(data.join("authority/ca.pem")).unwrap()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build().unwrap();
    let answer = client.get(format!("https://{}/health", addresses.https)).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Waits until it says that it is well: its own link to the broker comes up by itself.
async fn well(place: &Place, addresses: &Addresses) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (status, said) = health(&place.folder.path().join("data"), addresses).await;
        if status == 200 {
            return;
        }
        assert!(Instant::now() < deadline, "{said}\n{}", place.log());
    }
}

#[test]
fn a_mistyped_key_ends_with_64_and_one_sentence() {
    let place = Place::new("[htps]\nlisten = \"x\"\n");
    let output = place.run_to_end(&["run"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("gateway.toml") && said.contains("https.listen"), "{said}");
}

#[test]
fn a_wrong_log_filter_and_a_file_that_is_no_toml_end_with_64_and_one_sentence() {
    for (more, said) in [("[log]\nfilter = \"info,rmqtt=loud\"\n", "log.filter"), ("[log\n", "line 8")] {
        let output = Place::new(more).run_to_end(&["run"]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), text.lines().count()), (Some(64), 1), "{text}");
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    for key in ["https", "mqtt"] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let place = Place::new("");
        let file = place.folder.path().join("gateway.toml");
        let text = fs::read_to_string(&file).unwrap();
        let section = format!("[{key}]\nlisten = \"127.0.0.1:0\"");
        fs::write(&file, text.replace(&section, &format!("[{key}]\nlisten = \"{address}\""))).unwrap();
        let output = place.run_to_end(&["run"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&address.to_string()), "{said}");
        assert!(said.contains(&format!("{key}.listen")), "{said}");
        assert!(place.postmaster().is_none(), "a database was left behind");
        assert!(!place.folder.path().join("pg").exists(), "it was told only after the database was made");
    }
}

/// Runs it until `reached`, then ends it as systemd does: it goes at once, in order, and leaves no process.
fn ends_in_the_middle_of_its_start(place: &Place, reached: impl Fn() -> bool) {
    let log = fs::File::create(place.folder.path().join("log")).unwrap();
    let mut child = place.program(&["run"]).stderr(log).spawn().unwrap();
    wait_for("that moment of the start", || {
        assert!(child.try_wait().unwrap().is_none(), "{}", place.log());
        reached().then_some(())
    });
    let began = Instant::now();
    assert_eq!(stop(child), 0, "{}", place.log());
    assert!(began.elapsed() < Duration::from_secs(30), "{}", place.log());
    assert_eq!(place.processes(), Vec::<i32>::new(), "{}", place.log());
    assert!(!place.addresses().exists());
}

#[test]
fn a_gateway_that_is_stopped_while_it_makes_its_database_leaves_no_process() {
    let place = Place::new("");
    ends_in_the_middle_of_its_start(&place, || place.folder.path().join("pg/data.new").exists());
    assert!(!place.folder.path().join("pg/data").exists(), "it went on with it");
    // What was half made is no hindrance.
    let (next, _) = place.start();
    assert_eq!(stop(next), 0, "{}", place.log());
}

#[test]
fn a_gateway_that_is_stopped_while_its_database_recovers_leaves_no_process() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new("");
    let programs = place.folder.path().join("bin");
    fs::create_dir(&programs).unwrap();
    // A cluster that is there already, and a server that is for ever about to be ready.
    let data = place.folder.path().join("pg/data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("PG_VERSION"), "15").unwrap();
    fs::write(programs.join("initdb"), "").unwrap();
    fs::write(programs.join("postgres"), "#!/bin/sh\nwhile :; do sleep 0.05; done\n").unwrap();
    fs::set_permissions(programs.join("postgres"), fs::Permissions::from_mode(0o755)).unwrap();
    let file = place.folder.path().join("gateway.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}program_dir = \"{}\"\n", programs.display())).unwrap();
    ends_in_the_middle_of_its_start(&place, || place.processes().len() == 2);
}

#[test]
fn a_second_gateway_with_the_same_cluster_leaves_the_first_one_s_database_alone() {
    let place = Place::new("");
    let (first, _) = place.start();
    let postmaster = place.postmaster().unwrap();
    let file = place.folder.path().join("other.toml");
    let text = fs::read_to_string(place.folder.path().join("gateway.toml")).unwrap();
    fs::write(&file, text.replace("/data\"", "/other-data\"")).unwrap();
    let second = Command::new(env!("CARGO_BIN_EXE_pestle-gateway"))
        .args(["--config", file.to_str().unwrap(), "run"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another gateway") && said.contains("database.cluster_dir"), "{said}");
    assert_eq!(place.postmaster(), Some(postmaster), "it was stopped or replaced");
    assert_eq!(stop(first), 0, "{}", place.log());
}

#[test]
fn half_a_database_is_left_as_it_is_and_the_person_is_told_what_to_do() {
    let place = Place::new("");
    let table = place.folder.path().join("pg/data/base/16384");
    fs::create_dir_all(table.parent().unwrap()).unwrap();
    fs::write(&table, "sales").unwrap();
    let output = place.run_to_end(&["run"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("pg/data holds files") && said.contains("backup"), "{said}");
    assert_eq!(fs::read_to_string(&table).unwrap(), "sales");
    assert!(!place.folder.path().join("pg/data.new").exists(), "another was made beside it");
}

#[test]
fn administration_without_a_gateway_says_to_start_one() {
    let place = Place::new("");
    let output = place.run_to_end(&["admin", "tenant-add", "demo"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("start the gateway"));
}

#[tokio::test]
async fn the_program_survives_kills_of_itself_and_of_its_database_and_leaves_nothing_behind() {
    let place = Place::new("");
    let (mut first, addresses) = place.start();
    well(&place, &addresses).await;
    for arguments in [
        &["admin", "tenant-add", "demo"] as &[&str],
        &[
            "admin",
            "branch-add",
            "north",
            "--name",
            "North",
            "--currency",
            "EUR",
            "--time-zone",
            "Europe/Berlin",
        ],
        &["admin", "user-add", "admin@demo.example", "--role", "admin", "--password", "mortar-and-pestle"],
    ] {
        let output = place.run_to_end(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let claim = String::from_utf8(place.run_to_end(&["admin", "claim", "north"]).stdout).unwrap();
    assert!(claim.trim().parse::<pestle_domain::enrolment::Claim>().is_ok(), "{claim}");

    let disable = |login: &str| place.run_to_end(&["admin", "user-disable", login]);
    assert!(disable("admin@demo.example").status.success());
    assert!(String::from_utf8_lossy(&disable("nobody@demo.example").stderr).contains("there is no user"));

    // A second gateway on the same folder is refused.
    let second = place.run_to_end(&["run"]);
    assert!(String::from_utf8_lossy(&second.stderr).contains("another gateway"));

    // The database dies: the gateway says so and brings it back.
    let postmaster = place.postmaster().unwrap();
    kill_process(postmaster, Signal::KILL).unwrap();
    wait_for("another database server", || place.postmaster().filter(|pid| *pid != postmaster));
    well(&place, &addresses).await;

    // The gateway dies: the next one ends the database that was left and goes on with the same data.
    let left = place.postmaster().unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(place.postmaster(), Some(left));
    let (next, _) = place.start();
    assert_ne!(place.postmaster(), Some(left));
    let twice = place.run_to_end(&["admin", "tenant-add", "demo"]);
    assert!(String::from_utf8_lossy(&twice.stderr).contains("already"));

    // An orderly end leaves nothing.
    assert_eq!(stop(next), 0, "{}", place.log());
    assert!(!place.addresses().exists());
    assert!(place.postmaster().is_none());
}
