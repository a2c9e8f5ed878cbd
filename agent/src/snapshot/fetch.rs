//! The HTTPS side: one request on a connection of its own, with the device's certificate.

use std::{
    io::{self, Read as _},
    time::Duration,
};

use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use pestle_domain::{
    signature::{Hash, KeyId, Signature},
    snapshot::{
        DELTA_WINDOW_LOG_MAX, HASH_HEADER, KEY_HEADER, SIGNATURE_HEADER, SNAPSHOT_BYTES_MAX, VERSION_HEADER,
        WHOLE_ETAG_HEADER,
    },
};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    partial::{Came, Partial},
    verify::Proof,
};
use crate::centre::Centre;

/// Where the centre serves it.
const PATH: &str = "/api/v1/device/snapshot";
/// For TCP and TLS.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// For one try: 128 MiB need 100 s at 10 Mbit/s. On a slower line the next try goes on where this one stopped.
const WHOLE_MAX: Duration = Duration::from_secs(120);

/// What the centre answered.
#[derive(Debug)]
pub enum Fetched {
    /// The one in use is current.
    Unchanged,
    /// Another one; not verified yet.
    Body {
        /// What the centre says about it.
        proof: Proof,
        /// Unpacked.
        body: Vec<u8>,
    },
}

/// What the centre answered to the question what has changed.
#[derive(Debug)]
pub enum Change {
    /// Nothing.
    None,
    /// What leads from the one in use to another; not verified yet.
    Delta {
        /// What the centre says about the other one.
        proof: Proof,
        /// To be unpacked over the one in use.
        packed: Vec<u8>,
    },
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection.
    #[error("the centre at {host}:{port} cannot be reached for the snapshot")]
    Connect {
        /// Its name.
        host: String,
        /// Its port.
        port: u16,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The address is none.
    #[error("\"{0}\" is no host name: correct gateway.https")]
    Host(String),
    /// It took too long.
    #[error("the centre did not send the snapshot in time")]
    TimeOut,
    /// The connection broke.
    #[error("the snapshot's transfer broke")]
    Http(#[from] hyper::Error),
    /// The request could not be made.
    #[error("the snapshot's address cannot be written")]
    Request(#[from] http::Error),
    /// Another answer than expected.
    #[error("the centre answered {status} to the snapshot's request: {said}")]
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// The beginning of its body.
        said: String,
    },
    /// A header is missing or wrong.
    #[error("the centre's answer lacks a good {0} header")]
    Header(&'static str),
    /// The part that came does not follow on the part that is here.
    #[error("the centre cannot go on where the snapshot's transfer broke: it begins anew")]
    Anew,
    /// Larger than any snapshot.
    #[error("the snapshot is larger than {SNAPSHOT_BYTES_MAX} bytes")]
    TooLarge,
    /// The transfer broke in the middle.
    #[error("the snapshot's transfer broke")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Not what its content encoding says.
    #[error("the snapshot cannot be unpacked")]
    Unpack(#[source] std::io::Error),
}

/// One exchange with the centre, as far as it came.
#[derive(Debug, Default)]
struct Download {
    head: Option<http::response::Parts>,
    body: Vec<u8>,
}

impl Centre {
    /// Asks for a snapshot other than the one with `etag`. A download that broke before goes on where it stopped, and what
    /// comes of this one, should it break too, is in `partial`.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn snapshot(&self, etag: Option<&str>, partial: &mut Partial) -> Result<Fetched, FetchError> {
        let mut headers = partial.asked();
        if let Some(etag) = etag.filter(|etag| !etag.is_empty()) {
            headers.push((header::IF_NONE_MATCH, etag.to_owned()));
        }
        let mut download = Download::default();
        let ended = self.ask_in_time(PATH, headers, &mut download).await;
        let Some(head) = download.head else { return Err(ended.err().unwrap_or(FetchError::TimeOut)) };
        match head.status {
            StatusCode::NOT_MODIFIED => Ok(Fetched::Unchanged),
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
                let came = partial.take(head.status, &head.headers, download.body, ended.is_ok());
                ended?;
                let Came::Whole(packed) = came else { return Err(FetchError::Anew) };
                let proof = proof(&head.headers, header::ETAG)?;
                let is_packed =
                    head.headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "zstd");
                let body = if is_packed { unpack(&packed)? } else { packed };
                Ok(Fetched::Body { proof, body })
            }
            status => {
                if status == StatusCode::RANGE_NOT_SATISFIABLE {
                    *partial = Partial::default();
                }
                Err(refused(status, &download.body))
            }
        }
    }

    /// Asks for what leads from the snapshot that `known` proves to the current one; `None` where the centre has no such
    /// thing, so that the whole is to be fetched.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn snapshot_delta(&self, known: &Proof) -> Result<Option<Change>, FetchError> {
        let path = format!("{PATH}/delta?from={}&hash={}", known.version, known.hash);
        let mut download = Download::default();
        self.ask_in_time(&path, Vec::new(), &mut download).await?;
        let Some(head) = download.head else { return Err(FetchError::TimeOut) };
        match head.status {
            StatusCode::NOT_MODIFIED => Ok(Some(Change::None)),
            StatusCode::OK => {
                let proof = proof(&head.headers, header::HeaderName::from_static(WHOLE_ETAG_HEADER))?;
                Ok(Some(Change::Delta { proof, packed: download.body }))
            }
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(refused(status, &download.body)),
        }
    }

    async fn ask_in_time(
        &self,
        path: &str,
        headers: Vec<(header::HeaderName, String)>,
        download: &mut Download,
    ) -> Result<(), FetchError> {
        let asking = async {
            let stream = self.connect_for_snapshot().await?;
            let mut request = Request::get(path)
                .header(header::HOST, format!("{}:{}", self.host, self.port))
                .header(header::ACCEPT_ENCODING, "zstd")
                .header(header::USER_AGENT, concat!("pestle-agent/", env!("CARGO_PKG_VERSION")));
            for (name, value) in headers {
                request = request.header(name, value);
            }
            exchange(stream, request.body(Empty::new())?, download).await
        };
        // What came until then is in the download.
        timeout(WHOLE_MAX, asking).await.map_err(|_| FetchError::TimeOut)?
    }

    async fn connect_for_snapshot(&self) -> Result<tokio_rustls::client::TlsStream<TcpStream>, FetchError> {
        let failed = |source| FetchError::Connect { host: self.host.clone(), port: self.port, source };
        let name =
            ServerName::try_from(self.host.clone()).map_err(|_| FetchError::Host(self.host.clone()))?;
        let connect = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
            TlsConnector::from(self.tls.clone()).connect(name, tcp).await
        };
        match timeout(CONNECT_MAX, connect).await {
            Ok(connected) => connected.map_err(failed),
            Err(_) => Err(failed(std::io::ErrorKind::TimedOut.into())),
        }
    }
}

/// Sends a request and takes its answer as it comes, so that what came before a break is there.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
    download: &mut Download,
) -> Result<(), FetchError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let _connection = AbortOnDrop(tokio::spawn(connection).abort_handle());
    let (head, mut body) = sender.send_request(request).await?.into_parts();
    download.head = Some(head);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| FetchError::Body(Box::new(error)))?;
        if let Some(data) = frame.data_ref() {
            if download.body.len() + data.len() > SNAPSHOT_BYTES_MAX {
                download.body = Vec::new();
                return Err(FetchError::TooLarge);
            }
            download.body.extend_from_slice(data);
        }
    }
    Ok(())
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn refused(status: StatusCode, body: &[u8]) -> FetchError {
    let said = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    FetchError::Status { status, said }
}

/// `etag` names the header with that of the whole.
fn proof(headers: &HeaderMap, etag: header::HeaderName) -> Result<Proof, FetchError> {
    let text = |name: &'static str| {
        headers.get(name).and_then(|value| value.to_str().ok()).ok_or(FetchError::Header(name))
    };
    let etag = headers.get(etag).and_then(|etag| etag.to_str().ok()).unwrap_or_default().to_owned();
    Ok(Proof {
        version: text(VERSION_HEADER)?.parse().map_err(|_| FetchError::Header(VERSION_HEADER))?,
        hash: Hash::try_from(text(HASH_HEADER)?.to_owned()).map_err(|_| FetchError::Header(HASH_HEADER))?,
        key: KeyId(text(KEY_HEADER)?.to_owned()),
        signature: Signature::try_from(text(SIGNATURE_HEADER)?.to_owned())
            .map_err(|_| FetchError::Header(SIGNATURE_HEADER))?,
        etag,
    })
}

/// Unpacks a delta over the JSON that it was made from; at most [`SNAPSHOT_BYTES_MAX`]. Whether it is what it should be, the
/// proof tells.
///
/// # Errors
/// [`FetchError::Unpack`], [`FetchError::TooLarge`].
pub fn unpack_delta(packed: &[u8], before: &[u8]) -> Result<Vec<u8>, FetchError> {
    let mut decoder =
        zstd::stream::read::Decoder::with_ref_prefix(packed, before).map_err(FetchError::Unpack)?;
    decoder.window_log_max(DELTA_WINDOW_LOG_MAX).map_err(FetchError::Unpack)?;
    read_bounded(decoder)
}

fn read_bounded(decoder: impl io::Read) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    decoder.take(SNAPSHOT_BYTES_MAX as u64 + 1).read_to_end(&mut body).map_err(FetchError::Unpack)?;
    if body.len() > SNAPSHOT_BYTES_MAX { Err(FetchError::TooLarge) } else { Ok(body) }
}

/// Unpacks at most [`SNAPSHOT_BYTES_MAX`]: a few kilobytes can claim to be gigabytes.
fn unpack(packed: &[u8]) -> Result<Vec<u8>, FetchError> {
    read_bounded(zstd::stream::read::Decoder::with_buffer(packed).map_err(FetchError::Unpack)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn what_came_before_a_line_broke_is_there_to_go_on_from() {
        let (ours, mut theirs) = tokio::io::duplex(1_024);
        let centre = tokio::spawn(async move {
            let mut request = vec![0; 1_024];
            let read = theirs.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /x HTTP/1.1"));
            let answer = b"HTTP/1.1 200 OK\r\netag: \"a\"\r\ncontent-length: 10\r\n\r\n0123";
            theirs.write_all(answer).await.unwrap();
        });
        let request = Request::get("/x").body(Empty::new()).unwrap();
        let mut download = Download::default();
        let ended = exchange(ours, request, &mut download).await;
        centre.await.unwrap();
        assert!(matches!(ended, Err(FetchError::Body(_))), "{ended:?}");
        assert_eq!((download.head.unwrap().status, &*download.body), (StatusCode::OK, &b"0123"[..]));
    }

    #[test]
    fn a_delta_over_another_text_than_it_was_made_from_is_no_snapshot() {
        let before: Vec<u8> =
            (0..50_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
        let mut after = before.clone();
        after[100_000] ^= 1;
        let mut encoder = zstd::stream::write::Encoder::with_ref_prefix(Vec::new(), 3, &before).unwrap();
        encoder.window_log(20).unwrap();
        encoder.long_distance_matching(true).unwrap();
        std::io::Write::write_all(&mut encoder, &after).unwrap();
        let packed = encoder.finish().unwrap();
        assert!(packed.len() < before.len() / 100, "{} bytes", packed.len());
        assert_eq!(unpack_delta(&packed, &before).unwrap(), after);
        assert_ne!(unpack_delta(&packed, &before[1..]).ok(), Some(after));
    }

    #[test]
    fn a_small_body_that_unpacks_to_more_than_any_snapshot_is_refused() {
        let bomb =
            zstd::stream::encode_all(std::io::repeat(0).take(SNAPSHOT_BYTES_MAX as u64 + 10), 1).unwrap();
        assert!(bomb.len() < 100_000);
        assert!(matches!(unpack(&bomb), Err(FetchError::TooLarge)));
        assert!(matches!(unpack(b"no zstd"), Err(FetchError::Unpack(_))));
        let good = zstd::stream::encode_all(&b"{}"[..], 1).unwrap();
        assert_eq!(unpack(&good).unwrap(), b"{}");
    }
}
