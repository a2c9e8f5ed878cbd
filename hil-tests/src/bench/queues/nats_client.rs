//! As much of the NATS client protocol (docs.nats.io, "Client Protocol") as is needed here: text lines and payloads over TCP.
//! What is published is written when it is flushed, as NATS's own clients do.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, BufWriter},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Where answers go: each connection is its only user.
pub const ANSWERS: &str = "_INBOX.bench.answers";
/// What waits to be flushed, and is read at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where an answer is wanted. JetStream's messages are acknowledged there.
    pub reply: Option<String>,
    /// `NATS/1.0 404 No Messages` and the like: a word of the server's own, not a message.
    pub status: Option<String>,
    /// The payload.
    pub payload: Vec<u8>,
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    reader: BufReader<OwnedReadHalf>,
    writer: BufWriter<OwnedWriteHalf>,
}

impl Connection {
    /// Connects, and hears [`ANSWERS`].
    ///
    /// # Errors
    /// When nobody answers, or not as NATS does.
    pub async fn open(at: SocketAddr) -> Result<Self> {
        let stream =
            TcpStream::connect(at).await.with_context(|| format!("connect to the NATS server at {at}"))?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let mut connection = Self {
            reader: BufReader::with_capacity(BUFFER_BYTES, reader),
            writer: BufWriter::with_capacity(BUFFER_BYTES, writer),
        };
        let hello = connection.line().await?;
        if !hello.starts_with("INFO ") {
            bail!("a NATS server begins with INFO, this one with {hello:?}");
        }
        let words = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}}\r\nSUB {ANSWERS} 1\r\n"
        );
        connection.writer.write_all(words.as_bytes()).await?;
        connection.flush().await?;
        Ok(connection)
    }

    /// Publishes, at the latest with the next flush.
    ///
    /// # Errors
    /// When the connection ended.
    pub async fn publish(&mut self, subject: &str, reply: Option<&str>, payload: &[u8]) -> Result<()> {
        let reply = reply.map(|reply| format!("{reply} ")).unwrap_or_default();
        let line = format!("PUB {subject} {reply}{}\r\n", payload.len());
        self.writer.write_all(line.as_bytes()).await?;
        self.writer.write_all(payload).await?;
        self.writer.write_all(b"\r\n").await?;
        Ok(())
    }

    /// Sends what was published.
    ///
    /// # Errors
    /// When the connection ended.
    pub async fn flush(&mut self) -> Result<()> {
        Ok(self.writer.flush().await?)
    }

    /// Asks JetStream's interface, and hands back its answer.
    ///
    /// # Errors
    /// What the server says against it.
    pub async fn ask(&mut self, subject: &str, question: &Value) -> Result<Value> {
        self.publish(subject, Some(ANSWERS), question.to_string().as_bytes()).await?;
        self.flush().await?;
        self.answer().await
    }

    /// JetStream's next answer.
    ///
    /// # Errors
    /// What the server says against it.
    pub async fn answer(&mut self) -> Result<Value> {
        let message = self.next().await?;
        if let Some(status) = message.status {
            bail!("the NATS server said {status}");
        }
        let answer: Value = serde_json::from_slice(&message.payload)?;
        match answer.get("error") {
            Some(error) => bail!("the NATS server said {error}"),
            None => Ok(answer),
        }
    }

    /// Whether a part of the next message is here already.
    pub fn has_more(&self) -> bool {
        !self.reader.buffer().is_empty()
    }

    /// The next message. What was read of one is lost when this is dropped before it ends.
    ///
    /// # Errors
    /// When the connection ended, or the server complained.
    pub async fn next(&mut self) -> Result<Message> {
        loop {
            let line = self.line().await?;
            let mut words = line.split_whitespace();
            match words.next() {
                Some("MSG") => return self.message(&words.collect::<Vec<_>>(), false).await,
                Some("HMSG") => return self.message(&words.collect::<Vec<_>>(), true).await,
                Some("PING") => {
                    self.writer.write_all(b"PONG\r\n").await?;
                    self.flush().await?;
                }
                Some("-ERR") => bail!("the NATS server said {line}"),
                _ => {}
            }
        }
    }

    /// Behind `MSG`: subject, subscription, perhaps where to answer, bytes; with headers, their bytes before all bytes.
    async fn message(&mut self, words: &[&str], with_headers: bool) -> Result<Message> {
        let sizes = if with_headers { 2 } else { 1 };
        let (names, sizes) = words
            .split_at_checked(words.len().saturating_sub(sizes))
            .context("a message without its size")?;
        let sizes = sizes.iter().map(|size| size.parse()).collect::<Result<Vec<usize>, _>>()?;
        let all = sizes.last().copied().context("a message without its size")?;
        let mut payload = vec![0; all];
        self.reader.read_exact(&mut payload).await?;
        self.line().await?;
        let status = with_headers.then(|| {
            let rest = payload.split_off(sizes.first().copied().unwrap_or_default().min(all));
            let headers = std::mem::replace(&mut payload, rest);
            let first = String::from_utf8_lossy(&headers).lines().next().unwrap_or_default().to_owned();
            first.strip_prefix("NATS/1.0 ").map(str::to_owned)
        });
        Ok(Message { reply: names.get(2).map(|&name| name.to_owned()), status: status.flatten(), payload })
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line).await? == 0 {
            bail!("the NATS server ended the connection");
        }
        Ok(line)
    }
}
