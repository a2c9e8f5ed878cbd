//! One HTTPS exchange with the centre: a JSON body goes, an answer comes, JSON mostly, on a connection of its own, with the
//! device's certificate.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

/// For connection, request and answer, where what is exchanged has some kilobytes each way.
const WHOLE_MAX: Duration = Duration::from_secs(20);

/// What an exchange may take.
#[derive(Debug, Clone, Copy)]
pub struct Exchange {
    /// What it is about, for errors.
    pub about: &'static str,
    /// Largest answer.
    pub answer_bytes_max: usize,
    /// For connection, request and answer.
    pub whole_max: Duration,
}

/// Where the centre is, and how both ends are proved.
#[derive(Debug, Clone)]
pub struct Centre {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Mutual TLS with `http/1.1`.
    pub tls: Arc<ClientConfig>,
}

/// Why the centre gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// No connection.
    #[error("the centre at {host}:{port} cannot be reached about {about}")]
    Connect {
        /// About what it was asked.
        about: &'static str,
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
    #[error("the centre did not answer about {0} in time")]
    TimeOut(&'static str),
    /// The connection broke.
    #[error("the connection to the centre broke")]
    Http(#[from] hyper::Error),
    /// The request could not be made.
    #[error("the request about {about} cannot be written")]
    Request {
        /// About what it was asked.
        about: &'static str,
        /// Why.
        #[source]
        source: http::Error,
    },
    /// Another answer than expected. Its body is not quoted: what it is about may be nobody's business.
    #[error("the centre answered {status} about {about}; its log says why")]
    Status {
        /// About what it was asked.
        about: &'static str,
        /// What it answered.
        status: StatusCode,
    },
    /// Not what was agreed.
    #[error("the centre's answer about {0} cannot be read: one of the two is too old")]
    Unreadable(&'static str),
    /// The transfer broke in the middle.
    #[error("the centre's answer about {about} broke off")]
    Body {
        /// About what it was asked.
        about: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Centre {
    /// Posts `body` to `path` and reads the answer, of at most `answer_bytes_max`. `about` stands in errors.
    ///
    /// # Errors
    /// [`ExchangeError`]; then nobody knows whether the centre has taken it.
    pub async fn post<T: DeserializeOwned>(
        &self,
        about: &'static str,
        path: &str,
        body: &impl Serialize,
        answer_bytes_max: usize,
    ) -> Result<T, ExchangeError> {
        let exchange = Exchange { about, answer_bytes_max, whole_max: WHOLE_MAX };
        let answer = self.post_for_bytes(exchange, path, body).await?;
        serde_json::from_slice(&answer).map_err(|_| ExchangeError::Unreadable(about))
    }

    /// The same for an answer that is not JSON.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub async fn post_for_bytes(
        &self,
        exchange: Exchange,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Bytes, ExchangeError> {
        let about = exchange.about;
        let body = serde_json::to_vec(body).map_err(|_| ExchangeError::Unreadable(about))?;
        let asked = self.exchange(exchange, path, body);
        timeout(exchange.whole_max, asked).await.map_err(|_| ExchangeError::TimeOut(about))?
    }

    /// This box's own address on the way to the centre.
    ///
    /// # Errors
    /// [`ExchangeError::Connect`], [`ExchangeError::TimeOut`].
    pub async fn own_address(&self, about: &'static str) -> Result<SocketAddr, ExchangeError> {
        let connected = timeout(WHOLE_MAX, self.connect(about)).await;
        let stream = connected.map_err(|_| ExchangeError::TimeOut(about))??;
        stream.local_addr().map_err(self.unreachable(about))
    }

    async fn exchange(&self, exchange: Exchange, path: &str, body: Vec<u8>) -> Result<Bytes, ExchangeError> {
        let Exchange { about, answer_bytes_max, .. } = exchange;
        let tcp = self.connect(about).await?;
        let name =
            ServerName::try_from(self.host.clone()).map_err(|_| ExchangeError::Host(self.host.clone()))?;
        let tls = TlsConnector::from(self.tls.clone()).connect(name, tcp).await;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(tls.map_err(self.unreachable(about))?)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::post(path)
            .header(header::HOST, format!("{}:{}", self.host, self.port))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("pestle-agent/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::from(body)))
            .map_err(|source| ExchangeError::Request { about, source })?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, answer_bytes_max).collect().await.map_err(|source| {
            if source.is::<LengthLimitError>() {
                ExchangeError::Unreadable(about)
            } else {
                ExchangeError::Body { about, source }
            }
        })?;
        connection.abort();
        if head.status != StatusCode::OK {
            return Err(ExchangeError::Status { about, status: head.status });
        }
        Ok(body.to_bytes())
    }

    async fn connect(&self, about: &'static str) -> Result<TcpStream, ExchangeError> {
        TcpStream::connect((self.host.as_str(), self.port)).await.map_err(self.unreachable(about))
    }

    fn unreachable(&self, about: &'static str) -> impl FnOnce(std::io::Error) -> ExchangeError + use<> {
        let (host, port) = (self.host.clone(), self.port);
        move |source| ExchangeError::Connect { about, host, port, source }
    }
}
