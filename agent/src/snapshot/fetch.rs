//! The HTTPS side: one request on a connection of its own, with the device's certificate.

use std::{io::Read as _, sync::Arc, time::Duration};

use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use pestle_domain::{
    signature::{Hash, KeyId, Signature},
    snapshot::{HASH_HEADER, KEY_HEADER, SIGNATURE_HEADER, SNAPSHOT_BYTES_MAX, VERSION_HEADER},
};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::verify::Proof;

/// Where the centre serves it.
const PATH: &str = "/api/v1/device/snapshot";
/// For TCP and TLS.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// For everything: 128 MiB need 100 s at 10 Mbit/s.
const WHOLE_MAX: Duration = Duration::from_secs(120);

/// The centre's HTTPS address and how it is proved.
#[derive(Debug, Clone)]
pub struct Centre {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Mutual TLS with `http/1.1`.
    pub tls: Arc<ClientConfig>,
}

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

impl Centre {
    /// Asks for a snapshot other than the one with `etag`.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(&self, etag: Option<&str>) -> Result<Fetched, FetchError> {
        timeout(WHOLE_MAX, self.ask(etag)).await.map_err(|_| FetchError::TimeOut)?
    }

    async fn ask(&self, etag: Option<&str>) -> Result<Fetched, FetchError> {
        let stream = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request = Request::get(PATH)
            .header(header::HOST, format!("{}:{}", self.host, self.port))
            .header(header::ACCEPT_ENCODING, "zstd")
            .header(header::USER_AGENT, concat!("pestle-agent/", env!("CARGO_PKG_VERSION")));
        if let Some(etag) = etag.filter(|etag| !etag.is_empty()) {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let (head, body) = response.into_parts();
        if head.status == StatusCode::NOT_MODIFIED {
            connection.abort();
            return Ok(Fetched::Unchanged);
        }
        let body = Limited::new(body, SNAPSHOT_BYTES_MAX).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { FetchError::TooLarge } else { FetchError::Body(error) }
        })?;
        connection.abort();
        let body = body.to_bytes();
        if head.status != StatusCode::OK {
            let said = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
            return Err(FetchError::Status { status: head.status, said });
        }
        let proof = proof(&head.headers)?;
        let packed = head.headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "zstd");
        let body = if packed { unpack(&body)? } else { body.to_vec() };
        Ok(Fetched::Body { proof, body })
    }

    async fn connect(&self) -> Result<tokio_rustls::client::TlsStream<TcpStream>, FetchError> {
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

fn proof(headers: &HeaderMap) -> Result<Proof, FetchError> {
    let text = |name: &'static str| {
        headers.get(name).and_then(|value| value.to_str().ok()).ok_or(FetchError::Header(name))
    };
    let etag = headers.get(header::ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default().to_owned();
    Ok(Proof {
        version: text(VERSION_HEADER)?.parse().map_err(|_| FetchError::Header(VERSION_HEADER))?,
        hash: Hash::try_from(text(HASH_HEADER)?.to_owned()).map_err(|_| FetchError::Header(HASH_HEADER))?,
        key: KeyId(text(KEY_HEADER)?.to_owned()),
        signature: Signature::try_from(text(SIGNATURE_HEADER)?.to_owned())
            .map_err(|_| FetchError::Header(SIGNATURE_HEADER))?,
        etag,
    })
}

/// Unpacks at most [`SNAPSHOT_BYTES_MAX`]: a few kilobytes can claim to be gigabytes.
fn unpack(packed: &[u8]) -> Result<Vec<u8>, FetchError> {
    let decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(FetchError::Unpack)?;
    let mut body = Vec::new();
    decoder.take(SNAPSHOT_BYTES_MAX as u64 + 1).read_to_end(&mut body).map_err(FetchError::Unpack)?;
    if body.len() > SNAPSHOT_BYTES_MAX { Err(FetchError::TooLarge) } else { Ok(body) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
