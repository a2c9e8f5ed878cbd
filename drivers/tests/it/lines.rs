//! Lines to devices that are elsewhere, against peers that others have written; and lines by names that stay.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use pestle_drivers::{
    line::{Line, LineAddress},
    sim::pty::Pty,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{DEADLINE, soon};

/// A program that is ended with the test, by its own id.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _it_has_ended = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A converter of somebody else's making, with a cable to us as its device.
struct Converter {
    _folder: tempfile::TempDir,
    _peer: Peer,
    device: Pty,
    address: SocketAddr,
    /// What it says that was set; empty for one that does not say.
    told: mpsc::Receiver<String>,
}

fn cable() -> (tempfile::TempDir, PathBuf, Pty) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("device");
    let device = Pty::plug_in(&path).unwrap();
    (folder, path, device)
}

fn lines(output: ChildStdout) -> mpsc::Receiver<String> {
    let (out, told) = mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| out.send(line))
    });
    told
}

impl Converter {
    /// pyserial's.
    fn of_pyserial() -> Converter {
        let (folder, path, device) = cable();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/witness/rfc2217_port.py");
        // Debian's own Python, which Debian's pyserial belongs to.
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).arg(path).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut peer = Peer(command.spawn().expect("python3 runs (hil-tests/setup.sh test)"));
        let told = lines(peer.0.stdout.take().unwrap());
        let port: u16 = told
            .recv_timeout(DEADLINE)
            .expect("the port is told: is python3-serial there (hil-tests/setup.sh test)?")
            .parse()
            .unwrap();
        Converter { _folder: folder, _peer: peer, device, address: ([127, 0, 0, 1], port).into(), told }
    }

    /// Debian's ser2net.
    async fn of_ser2net() -> Converter {
        let (folder, path, device) = cable();
        let address = free_address();
        let config = folder.path().join("ser2net.yaml");
        let text = format!(
            "connection: &port\n  accepter: telnet(rfc2217),tcp,127.0.0.1,{}\n  connector: serialdev,{},9600n81,local\n",
            address.port(),
            path.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("/usr/sbin/ser2net");
        command.args(["-n", "-u", "-d", "-c"]).arg(config).arg("-P").arg(folder.path().join("pid"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let peer = Peer(command.spawn().expect("ser2net runs (hil-tests/setup.sh test)"));
        soon(async {
            while std::net::TcpStream::connect(address).is_err() {
                tokio::task::yield_now().await
            }
        })
        .await;
        Converter { _folder: folder, _peer: peer, device, address, told: mpsc::channel().1 }
    }

    /// Every byte there and back, many times 0xFF among them.
    async fn carries_every_byte(&self, line: &mut Line) {
        let every: Vec<u8> = (0..=255).chain([255; 40]).chain((0..=255).rev()).collect();
        for _ in 0..20 {
            line.write_all(&every).await.unwrap();
            line.flush().await.unwrap();
            let mut got = Vec::new();
            soon(async {
                let mut buffer = [0u8; 1_024];
                while got.len() < every.len() {
                    let count = self.device.read(&mut buffer).await.unwrap();
                    got.extend_from_slice(&buffer[..count]);
                }
            })
            .await;
            assert!(got == every, "bytes to the device were changed");
            self.device.write_all(&every).await.unwrap();
            let mut got = vec![0u8; every.len()];
            soon(line.read_exact(&mut got)).await.unwrap();
            assert!(got == every, "bytes from the device were changed");
        }
    }
}

/// Free a moment ago: for a program that cannot choose by itself.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn open(text: &str) -> Result<Line, String> {
    soon(text.parse::<LineAddress>().unwrap().open()).await
}

#[tokio::test]
async fn a_port_that_pyserial_serves_is_set_from_here_and_carries_every_byte() {
    let converter = Converter::of_pyserial();
    let address = converter.address;
    let mut line =
        open(&format!("rfc2217://{address}?baud=19200&parity=even&stop_bits=2&flow=software")).await.unwrap();
    // It says what it set after it has answered.
    let set = |line: &String| line == "set 19200 8 E 2 flow=software";
    assert!(std::iter::from_fn(|| converter.told.recv_timeout(DEADLINE).ok()).any(|line| set(&line)));
    drop(line);
    line = open(&format!("rfc2217://{address}?baud=115200")).await.unwrap();
    converter.carries_every_byte(&mut line).await;
}

#[tokio::test]
async fn a_port_that_ser2net_serves_is_set_from_here_and_carries_every_byte() {
    let converter = Converter::of_ser2net().await;
    // A pseudo-terminal has no modem wires, and ser2net ends the connection of who raises them.
    let text = format!("rfc2217://{}?baud=57600&wires=leave", converter.address);
    let mut line = open(&text).await.unwrap();
    converter.carries_every_byte(&mut line).await;
}

#[tokio::test]
async fn a_raw_port_that_is_written_as_rfc2217_is_told_from_one_that_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let error = open(&format!("rfc2217://{address}?baud=9600")).await.unwrap_err();
    assert!(error.contains(&format!("write tcp://{address}")), "{error}");
    drop(listener);
    let error = open(&format!("rfc2217://{address}?baud=9600")).await.unwrap_err();
    assert!(error.contains("refuses the connection"), "{error}");
}

#[tokio::test]
async fn a_converter_that_goes_in_the_middle_is_the_end_of_the_line() {
    let converter = Converter::of_pyserial();
    let mut line = open(&format!("rfc2217://{}?baud=9600", converter.address)).await.unwrap();
    drop(converter);
    let mut buffer = [0u8; 64];
    let end = soon(async {
        loop {
            match line.read(&mut buffer).await {
                Ok(0) => break true,
                Ok(_) => {}
                Err(_) => break true,
            }
        }
    });
    assert!(end.await);
}

/// A converter's words for 9600 8N1 without flow control, as RFC 2217 spells them; the last is that it threw away
/// what it had.
const SET: [&[u8]; 7] = [
    &[255, 253, 44],
    &[255, 250, 44, 101, 0, 0, 0x25, 0x80, 255, 240],
    &[255, 250, 44, 102, 8, 255, 240],
    &[255, 250, 44, 103, 1, 255, 240],
    &[255, 250, 44, 104, 1, 255, 240],
    &[255, 250, 44, 105, 1, 255, 240],
    &[255, 250, 44, 112, 1, 255, 240],
];
const WAIT: [u8; 6] = [255, 250, 44, 108, 255, 240];
const GO_ON: [u8; 6] = [255, 250, 44, 109, 255, 240];

/// A line to a converter that says these words at once, and the converter's end.
async fn scripted(words: Vec<u8>) -> (Line, tokio::net::TcpStream) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("rfc2217://{}?baud=9600", listener.local_addr().unwrap());
    let converter = tokio::spawn(async move {
        let (mut converter, _) = listener.accept().await.unwrap();
        converter.write_all(&words).await.unwrap();
        converter
    });
    (open(&address).await.unwrap(), soon(converter).await.unwrap())
}

#[tokio::test]
async fn what_the_device_sent_before_the_port_was_set_is_not_read_and_what_comes_behind_is() {
    let (purged, set) = SET.split_last().unwrap();
    let words = [set.join(&b"sent to nobody"[..]), b"nor this".to_vec(), purged.to_vec(), b"scan\r".to_vec()];
    let (mut line, mut converter) = scripted(words.concat()).await;
    converter.write_all(b"another").await.unwrap();
    let mut got = [0u8; 12];
    soon(line.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"scan\ranother");
}

#[tokio::test]
async fn a_converter_that_says_wait_is_sent_nothing_until_it_says_go_on_and_is_heard_meanwhile() {
    let (line, mut converter) = scripted([&SET.concat()[..], &WAIT].concat()).await;
    let (mut reader, mut writer) = tokio::io::split(line);
    let write = tokio::spawn(async move {
        writer.write_all(b"receipt").await.unwrap();
        writer.flush().await.unwrap();
        writer
    });
    converter.write_all(b"status").await.unwrap();
    let mut status = [0u8; 6];
    soon(reader.read_exact(&mut status)).await.unwrap();
    assert_eq!(&status, b"status");
    assert!(!write.is_finished(), "it was told to wait");
    let read = tokio::spawn(async move { reader.read(&mut [0u8; 8]).await });
    converter.write_all(&GO_ON).await.unwrap();
    let _writer = soon(write).await.unwrap();
    let mut sent = Vec::new();
    soon(async {
        while !sent.ends_with(b"receipt") {
            sent.push(converter.read_u8().await.unwrap());
        }
    })
    .await;
    drop(converter);
    assert!(soon(read).await.unwrap().is_ok_and(|count| count == 0));
}

#[tokio::test]
async fn a_serial_line_that_is_dropped_throws_away_what_the_device_did_not_take() {
    let (_folder, path, device) = cable();
    let address: LineAddress = format!("serial:{}?baud=460800", path.display()).parse().unwrap();
    let mut line = address.open().await.unwrap();
    let mut written = 0;
    while let Ok(taken) = tokio::time::timeout(Duration::from_millis(100), line.write(&[7; 1_024])).await {
        written += taken.unwrap();
    }
    drop(line);
    let mut line = address.open().await.unwrap();
    soon(line.write_all(b"next")).await.unwrap();
    let mut read = Vec::new();
    let mut buffer = [0; 1_024];
    while !read.ends_with(b"next") {
        let count = soon(device.read(&mut buffer)).await.unwrap();
        read.extend_from_slice(&buffer[..count]);
    }
    assert!(read.len() < written, "{} of {written} bytes came", read.len());
}

#[tokio::test]
async fn a_serial_line_is_flushed_without_waiting_for_ever() {
    let (_folder, path, _device) = cable();
    let address: LineAddress = format!("serial:{}?baud=460800", path.display()).parse().unwrap();
    let mut line = address.open().await.unwrap();
    line.write_all(b"on its way").await.unwrap();
    soon(line.flush()).await.unwrap();
}
