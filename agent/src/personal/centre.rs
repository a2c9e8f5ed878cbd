//! The HTTPS side: one request on a connection of its own, with the device's certificate.

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use pestle_domain::{
    ids::PersonId,
    personal::{
        PersonKey,
        custody::{Custody, DEPOSIT_PATH, Deposit, Held, LEASES_PATH, Leases, Lent, PERSONS_MAX, lease_path},
    },
};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

/// For connection, request and answer: 200 keys are 25 KB each way.
const WHOLE_MAX: Duration = Duration::from_secs(20);
/// Largest answer: 200 words of 100 bytes, far below this.
const ANSWER_BYTES_MAX: usize = 128 * 1024;

/// The centre as it is asked about keys.
#[derive(Debug, Clone)]
pub struct KeyCentre {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Mutual TLS with `http/1.1`.
    pub tls: Arc<ClientConfig>,
}

/// Why the centre gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No connection.
    #[error("the centre at {host}:{port} cannot be reached about patients' keys")]
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
    #[error("the centre did not answer about patients' keys in time")]
    TimeOut,
    /// The connection broke.
    #[error("the connection to the centre broke")]
    Http(#[from] hyper::Error),
    /// The request could not be made.
    #[error("the request about patients' keys cannot be written")]
    Request(#[from] http::Error),
    /// Another answer than expected. Its body is not quoted: what it is about is nobody's business.
    #[error("the centre answered {0} about patients' keys; its log says why")]
    Status(StatusCode),
    /// It does not lend that key to this branch.
    #[error("the centre does not lend this key")]
    NotLent,
    /// Not what was agreed.
    #[error("the centre's answer about patients' keys cannot be read: one of the two is too old")]
    Unreadable,
    /// The transfer broke in the middle.
    #[error("the centre's answer about patients' keys broke off")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl KeyCentre {
    /// Deposits keys; a word for each of the first [`PERSONS_MAX`].
    ///
    /// # Errors
    /// [`AskError`]; then nobody knows, and they are deposited again.
    pub async fn deposit(&self, keys: &[PersonKey]) -> Result<Vec<Custody>, AskError> {
        let keys = keys.iter().take(PERSONS_MAX).cloned().collect();
        self.post(DEPOSIT_PATH, &Deposit { keys }).await
    }

    /// Asks how leases stand; a word for each of the first [`PERSONS_MAX`].
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask(&self, held: &[Held]) -> Result<Vec<Custody>, AskError> {
        let held = held.iter().take(PERSONS_MAX).copied().collect();
        self.post(LEASES_PATH, &Leases { held }).await
    }

    /// Fetches the key of a person.
    ///
    /// # Errors
    /// [`AskError::NotLent`] where this branch may not have it or nobody may; [`AskError`].
    pub async fn fetch(&self, person: PersonId) -> Result<Lent, AskError> {
        let lent: Lent = match self.post(&lease_path(person), &serde_json::json!({})).await {
            Err(AskError::Status(StatusCode::NOT_FOUND)) => return Err(AskError::NotLent),
            other => other?,
        };
        if lent.key.person == person { Ok(lent) } else { Err(AskError::Unreadable) }
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, AskError> {
        let body = serde_json::to_vec(body).map_err(|_| AskError::Unreadable)?;
        timeout(WHOLE_MAX, self.exchange(path, body)).await.map_err(|_| AskError::TimeOut)?
    }

    async fn exchange<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T, AskError> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.connect().await?)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::post(path)
            .header(header::HOST, format!("{}:{}", self.host, self.port))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("pestle-agent/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::from(body)))?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { AskError::Unreadable } else { AskError::Body(error) }
        })?;
        connection.abort();
        if head.status != StatusCode::OK {
            return Err(AskError::Status(head.status));
        }
        serde_json::from_slice(&body.to_bytes()).map_err(|_| AskError::Unreadable)
    }

    async fn connect(&self) -> Result<tokio_rustls::client::TlsStream<TcpStream>, AskError> {
        let failed = |source| AskError::Connect { host: self.host.clone(), port: self.port, source };
        let name = ServerName::try_from(self.host.clone()).map_err(|_| AskError::Host(self.host.clone()))?;
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(failed)?;
        TlsConnector::from(self.tls.clone()).connect(name, tcp).await.map_err(failed)
    }
}
