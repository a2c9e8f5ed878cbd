//! QEMU's monitor: one question at a time, each with its answer (QEMU's "QMP" reference). Events in between are passed over.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

use crate::waiting::until;

/// The monitor answers at once; the machine may be busy.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// An open monitor.
#[derive(Debug)]
pub struct Monitor {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

impl Monitor {
    /// Connects as soon as QEMU listens.
    ///
    /// # Errors
    /// It does not within half a minute.
    pub async fn connect(socket: &Path) -> Result<Self> {
        let stream = until("QEMU's monitor", ANSWER_WITHIN, || async {
            UnixStream::connect(socket).await.map_err(|error| error.to_string())
        });
        let (read, write) = stream.await?.into_split();
        let mut monitor = Self { read: BufReader::new(read), write };
        monitor.next().await.context("QEMU's greeting")?;
        monitor.ask("qmp_capabilities", json!({})).await?;
        Ok(monitor)
    }

    /// Has a command carried out.
    ///
    /// # Errors
    /// QEMU refuses it, in its own words, or has gone.
    pub async fn ask(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let question = json!({ "execute": command, "arguments": arguments }).to_string();
        self.write.write_all(format!("{question}\n").as_bytes()).await?;
        loop {
            let answer = self.next().await?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refuses {command}: {error}");
            }
            if let Some(value) = answer.get("return") {
                return Ok(value.clone());
            }
        }
    }

    async fn next(&mut self) -> Result<Value> {
        let mut line = String::new();
        let read = timeout(ANSWER_WITHIN, self.read.read_line(&mut line)).await;
        match read.context("QEMU's monitor does not answer")?? {
            0 => bail!("QEMU has gone"),
            _ => Ok(serde_json::from_str(&line)?),
        }
    }
}
