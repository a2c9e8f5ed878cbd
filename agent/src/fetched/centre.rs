//! The HTTPS side: one request on a connection of its own, with the device's certificate.

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use pestle_domain::wire::facts::{Asked, FACTS_PATH, PAGE_BYTES_MAX};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

/// For connection, request and answer: a page of half a megabyte takes 17 s over 256 kbit/s.
const WHOLE_MAX: Duration = Duration::from_secs(60);
/// Largest answer: a page with its header.
const ANSWER_BYTES_MAX: usize = PAGE_BYTES_MAX + 64 * 1024;

/// The centre as it is asked for facts.
#[derive(Debug, Clone)]
pub struct FactsCentre {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Mutual TLS with `http/1.1`.
    pub tls: Arc<ClientConfig>,
}

/// Why the centre gave no page.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No connection.
    #[error("the centre at {host}:{port} cannot be reached about earlier facts")]
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
    #[error("the centre did not answer about earlier facts in time")]
    TimeOut,
    /// The connection broke.
    #[error("the connection to the centre broke")]
    Http(#[from] hyper::Error),
    /// The request could not be made.
    #[error("the request for earlier facts cannot be written")]
    Request(#[from] http::Error),
    /// Nor could its body.
    #[error("the request for earlier facts cannot be written")]
    Body(#[from] serde_json::Error),
    /// Another answer than expected.
    #[error("the centre answered {0} about earlier facts; its log says why")]
    Status(StatusCode),
    /// The transfer broke in the middle, or was too long.
    #[error("the centre's answer about earlier facts broke off")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl FactsCentre {
    /// Asks for a page; `None` where the centre has nothing of that life of the store.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask(&self, asked: &Asked) -> Result<Option<Vec<u8>>, AskError> {
        let body = serde_json::to_vec(asked)?;
        timeout(WHOLE_MAX, self.exchange(body)).await.map_err(|_| AskError::TimeOut)?
    }

    async fn exchange(&self, body: Vec<u8>) -> Result<Option<Vec<u8>>, AskError> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.connect().await?)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::post(FACTS_PATH)
            .header(header::HOST, format!("{}:{}", self.host, self.port))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("pestle-agent/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::from(body)))?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(AskError::Answer)?;
        connection.abort();
        match head.status {
            StatusCode::OK => Ok(Some(body.to_bytes().to_vec())),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(AskError::Status(status)),
        }
    }

    async fn connect(&self) -> Result<tokio_rustls::client::TlsStream<TcpStream>, AskError> {
        let failed = |source| AskError::Connect { host: self.host.clone(), port: self.port, source };
        let name = ServerName::try_from(self.host.clone()).map_err(|_| AskError::Host(self.host.clone()))?;
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(failed)?;
        TlsConnector::from(self.tls.clone()).connect(name, tcp).await.map_err(failed)
    }
}
