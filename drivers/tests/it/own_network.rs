//! What needs a network that can be cut: the test runs once more, alone, in a network of its own, which any user may
//! make.

use std::{process::Command, time::Duration};

use pestle_drivers::{
    find::uevent::Uevents,
    line::{LineAddress, tcp::GONE_AFTER},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::Instant,
};

use crate::soon;

/// Tells the copy of this program that it is the one inside.
const INSIDE: &str = "PESTLE_TEST_OWN_NETWORK";

/// Runs `body` in a network of its own, in which this user is root.
fn in_a_network_of_its_own(test: &str, body: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(body);
    }
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let output = command.output().expect("unshare runs (Debian's util-linux)");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.expect("ip runs (hil-tests/setup.sh test)");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_device_whose_network_cable_was_pulled_is_noticed_in_bounded_time() {
    let test = "own_network::a_device_whose_network_cable_was_pulled_is_noticed_in_bounded_time";
    in_a_network_of_its_own(test, async {
        ip("link set lo up");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: LineAddress = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (mut quiet, mut busy) = (address.open().await.unwrap(), address.open().await.unwrap());
        let (_device, _other) = (listener.accept().await.unwrap(), listener.accept().await.unwrap());
        // From now on no packet comes through, and none says so.
        ip("link set lo down");
        let cut = Instant::now();
        busy.write_all(b"receipt").await.unwrap();
        let mut buffer = [0u8; 8];
        let noticed = async { (quiet.read(&mut buffer).await.is_err(), cut.elapsed()) };
        let mut buffer = [0u8; 8];
        let written = async { (busy.read(&mut buffer).await.is_err(), cut.elapsed()) };
        // The kernel looks every five seconds.
        let bound = GONE_AFTER + Duration::from_secs(10);
        let (quiet, busy) = tokio::time::timeout(bound, async { tokio::join!(noticed, written) })
            .await
            .expect("both connections have ended");
        assert!(quiet.0 && busy.0, "an end without a word is no orderly end: {quiet:?} {busy:?}");
        assert!(quiet.1 > GONE_AFTER / 2, "a short disturbance must not end a connection: {quiet:?}");
    });
}

#[test]
fn the_kernel_s_word_is_heard() {
    in_a_network_of_its_own("own_network::the_kernel_s_word_is_heard", async {
        let bell = Uevents::listen().unwrap();
        let quiet = tokio::time::timeout(Duration::from_millis(100), bell.heard()).await;
        assert!(quiet.is_err(), "nothing has happened yet");
        // A new name for a device: the kernel tells those who are in the same network.
        ip("link set lo name lo9");
        soon(bell.heard()).await.unwrap();
    });
}
