//! A root shell inside the machine, for measuring what cannot be seen from outside. The image has none: systemd takes one more
//! unit from the machine's firmware tables (systemd.system-credentials(7), `systemd.extra-unit.*`), and only whoever owns the
//! machine can write there.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

use crate::waiting::until;

/// The shell is up when the box is; the machine may be slow.
const UP_WITHIN: Duration = Duration::from_secs(120);
/// For one command.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

const UNIT: &str = "[Unit]\nDescription=A shell for the test bench\nIgnoreOnIsolate=yes\n\
                    [Service]\nExecStart=/bin/sh\nStandardInput=tty\nStandardOutput=tty\nStandardError=tty\nTTYPath=/dev/hvc0\n\
                    Restart=always\nRestartSec=1\n";
const WANTED: &str = "[Unit]\nWants=pestle-bench-shell.service\n";

/// QEMU's arguments that put the shell into a machine, its line being a socket in `place`.
pub fn arguments(place: &Path) -> Vec<String> {
    let credential = |name: &str, text: &str| {
        format!("type=11,value=io.systemd.credential.binary:{name}={}", STANDARD.encode(text))
    };
    let socket = place.join("shell.sock");
    [
        // A machine in software whose own machine is busy gets its first timer ticks late, and the kernel would give up.
        "-smbios",
        "type=11,value=io.systemd.stub.kernel-cmdline-extra=no_timer_check",
        "-smbios",
        &credential("systemd.extra-unit.pestle-bench-shell.service", UNIT),
        "-smbios",
        &credential("systemd.unit-dropin.multi-user.target", WANTED),
        "-device",
        "virtio-serial-pci",
        "-chardev",
        &format!("socket,id=shell,path={},server=on,wait=off", socket.display()),
        "-device",
        "virtconsole,chardev=shell",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The shell's line.
#[derive(Debug)]
pub struct Guest {
    stream: UnixStream,
    asked: u32,
}

impl Guest {
    /// Waits until the shell of the machine in `place` answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn connect(place: &Path) -> Result<Self> {
        let socket = place.join("shell.sock");
        let answering = || async {
            let stream = UnixStream::connect(&socket).await.map_err(|error| error.to_string())?;
            let mut guest = Self { stream, asked: 0 };
            let greeted =
                guest.exchange("stty raw -echo 2>/dev/null; PS1=; PS2=", Duration::from_secs(3)).await;
            greeted.map(|_| guest).map_err(|error| error.to_string())
        };
        Ok(until("the shell in the machine", UP_WITHIN, answering).await?)
    }

    /// Runs a command, and says what it printed.
    ///
    /// # Errors
    /// It fails, with what it printed, or the machine does not answer.
    pub async fn run(&mut self, command: &str) -> Result<String> {
        self.exchange(command, ANSWER_WITHIN).await
    }

    async fn exchange(&mut self, command: &str, within: Duration) -> Result<String> {
        self.asked += 1;
        // The marks are made by the shell, so that an echo of the question is no answer.
        let number = self.asked;
        let line = format!("echo \"begin\"-{number}; ( {command}\n) 2>&1; echo \"end\"-{number}-$?\n");
        self.stream.write_all(line.as_bytes()).await?;
        let (begin, end) = (format!("begin-{number}"), format!("end-{number}-"));
        let mut heard = String::new();
        let mut buffer = [0u8; 4_096];
        let answer = async {
            loop {
                let count = self.stream.read(&mut buffer).await?;
                ensure!(count > 0, "the machine has gone");
                heard.push_str(&String::from_utf8_lossy(&buffer[..count]).replace('\r', ""));
                let Some(from) = heard.find(&format!("{begin}\n")) else { continue };
                let Some(to) = heard[from..].find(&end).map(|to| from + to) else { continue };
                let Some(code) = heard[to + end.len()..].split_once('\n').map(|(code, _)| code.to_owned())
                else {
                    continue;
                };
                let text = heard[from + begin.len() + 1..to].to_owned();
                ensure!(code == "0", "`{command}` ended with {code}:\n{text}");
                return Ok(text);
            }
        };
        timeout(within, answer).await.with_context(|| format!("`{command}` did not end in the machine"))?
    }
}
