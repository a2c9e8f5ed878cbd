//! Load on an HTTPS port: so many connections that are kept alive, each with one request at a time.
//!
//! The requests are bytes that were made before, and of an answer no more is read than its status and length, so that
//! the generator costs little beside what it measures. It is the same for every route.

use std::{
    fs::File,
    io::{self, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::helper;

/// What one read takes at most: an answer has some 600 bytes.
const READ_BYTES: usize = 16 * 1024;

/// What to ask. The answer is [`Load`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// The port.
    pub address: SocketAddr,
    /// Whose certificates count, PEM.
    pub authority: PathBuf,
    /// For `Authorization: Bearer`.
    pub token: String,
    /// Asked for in turn by each connection.
    pub paths: Vec<String>,
    /// Connections.
    pub connections: usize,
    /// How long.
    pub milliseconds: u64,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Answers with status 200.
    pub answers: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
}

/// The helper's whole life: `pestle-bench load`.
///
/// # Errors
/// When nobody listens any more.
pub async fn run() -> Result<()> {
    helper::work((), async |job| drive(job).await).await
}

async fn drive(job: Job) -> Result<Load> {
    let requests: Arc<[Vec<u8>]> = job
        .paths
        .iter()
        .map(|path| {
            format!(
                "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
                job.address, job.token
            )
            .into_bytes()
        })
        .collect();
    let tls = TlsConnector::from(Arc::new(client_tls(&job.authority)?));
    let mut lines = Vec::with_capacity(job.connections);
    for _ in 0..job.connections {
        lines.push(Line::connect(&tls, job.address).await?);
    }
    let began = Instant::now();
    let until = began + Duration::from_millis(job.milliseconds);
    let tasks: Vec<_> = lines
        .into_iter()
        .enumerate()
        .map(|(index, line)| tokio::spawn(keep_asking(line, requests.clone(), index, until)))
        .collect();
    let mut answers = 0;
    for task in tasks {
        answers += task.await??;
    }
    Ok(Load { answers, seconds: began.elapsed().as_secs_f64() })
}

fn client_tls(authority: &Path) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_reader_iter(BufReader::new(File::open(authority)?)) {
        roots.add(certificate?)?;
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn keep_asking(mut line: Line, requests: Arc<[Vec<u8>]>, from: usize, until: Instant) -> Result<u64> {
    let mut answers = 0;
    for request in requests.iter().cycle().skip(from) {
        if Instant::now() >= until {
            break;
        }
        line.ask(request).await?;
        answers += 1;
    }
    Ok(answers)
}

/// One connection.
struct Line {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Line {
    async fn connect(tls: &TlsConnector, address: SocketAddr) -> Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let stream = tls.connect(ServerName::from(address.ip()), tcp).await?;
        Ok(Self { stream, buffer: Vec::with_capacity(READ_BYTES) })
    }

    async fn ask(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        loop {
            if let Some(length) = answer_length(&self.buffer)?
                && self.buffer.len() >= length
            {
                ensure!(self.buffer.len() == length, "more came than was asked for");
                return Ok(());
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}

/// Bytes of an answer with its head; `None` while its head is not whole.
fn answer_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).context("the answer's head is no text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        bail!("the answer is {status}");
    }
    let length = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Ok(Some(end + 4 + length.context("the answer has no content-length")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_its_head_says() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(answer_length(answer).unwrap(), Some(answer.len()));
        assert_eq!(answer_length(&answer[..20]).unwrap(), None);
        assert!(answer_length(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").is_err());
    }
}
