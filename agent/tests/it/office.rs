//! An office printer for tests: CUPS' `ippeveprinter`, which has nothing of ours. `hil-tests/setup.sh test` installs it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers fail as the test does")]

use std::{net::TcpListener, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// It ends with this.
pub(crate) struct Office {
    folder: tempfile::TempDir,
    port: u16,
    _printer: Child,
    /// It announces itself through Avahi, and ends where there is no bus to look for it.
    _bus: Child,
}

impl Office {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["spool", "keys"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut bus = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address=1"])
            .arg(format!("--address=unix:path={}", folder.path().join("bus").display()))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("setup.sh test installs dbus-daemon");
        let mut lines = BufReader::new(bus.stdout.take().unwrap()).lines();
        let address = lines.next_line().await.unwrap().expect("the bus says where it is");
        // A free port; nobody else takes it in the moment until the printer does.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let printer = Command::new("/usr/sbin/ippeveprinter")
            .args(["-r", "off", "-k", "-n", "localhost", "-f", "image/pwg-raster", "-c", "/bin/true"])
            .arg("-d")
            .arg(folder.path().join("spool"))
            .arg("-K")
            .arg(folder.path().join("keys"))
            .args(["-p", &port.to_string(), "Back office"])
            .env("DBUS_SYSTEM_BUS_ADDRESS", address)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("setup.sh test installs cups-ipp-utils");
        Self { folder, port, _printer: printer, _bus: bus }
    }

    pub(crate) fn address(&self) -> String {
        format!("ipp://localhost:{}/ipp/print", self.port)
    }

    /// How many jobs it has taken.
    pub(crate) fn jobs(&self) -> usize {
        let files = std::fs::read_dir(self.folder.path().join("spool")).unwrap();
        // Beside each there is what its mechanism wrote.
        let pages =
            files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|one| one == "pwg"));
        pages.count()
    }
}
