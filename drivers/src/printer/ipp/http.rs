//! One HTTP exchange with a printer: a connection, a request, an answer, each within its time.

use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use pestle_domain::causes::with_causes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use super::{
    address::IppAddress,
    tls::{self, Fingerprint},
};

/// How long a printer on the LAN may take to accept a connection and agree on TLS; a sleeping one wakes for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers are some kilobytes of attributes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Why there was no answer. The text says what to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HttpError {
    /// Nothing of the request was sent.
    NotSent(String),
    /// All of it was sent, and the printer's web server answered no: what it made of it before is not known.
    Refused(String),
    /// Some or all of it was sent.
    Unanswered(String),
}

impl HttpError {
    pub(super) fn text(&self) -> &str {
        match self {
            HttpError::NotSent(text) | HttpError::Refused(text) | HttpError::Unanswered(text) => text,
        }
    }
}

/// Sends `request` to the printer and returns what it answered.
pub(super) async fn post(
    address: &IppAddress,
    fingerprint: Option<Fingerprint>,
    request: Bytes,
    answer_within: Duration,
) -> Result<Bytes, HttpError> {
    let silent = |_| {
        HttpError::NotSent(format!(
            "{address} does not answer: check that the printer is on, its network cable and its address"
        ))
    };
    let tcp = timeout(CONNECT_TIMEOUT, TcpStream::connect((address.host_name(), address.port)))
        .await
        .map_err(silent)?;
    let tcp = tcp.map_err(|error| {
        HttpError::NotSent(format!(
            "{address} cannot be reached ({error}): check that the printer is on, and its address"
        ))
    })?;
    if !address.secure {
        return exchange(tcp, address, request, answer_within).await;
    }
    let failed =
        |cause: String| HttpError::NotSent(format!("{address} cannot be talked to through TLS: {cause}"));
    let config = tls::client(fingerprint).map_err(|error| failed(error.to_string()))?;
    let name =
        ServerName::try_from(address.host_name().to_owned()).map_err(|error| failed(error.to_string()))?;
    let agreed = timeout(CONNECT_TIMEOUT, TlsConnector::from(Arc::new(config)).connect(name, tcp)).await;
    let stream = agreed.map_err(silent)?.map_err(|error| failed(error.to_string()))?;
    exchange(stream, address, request, answer_within).await
}

async fn exchange<S>(
    stream: S,
    address: &IppAddress,
    request: Bytes,
    answer_within: Duration,
) -> Result<Bytes, HttpError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let not_sent = |error: &dyn std::error::Error| HttpError::NotSent(with_causes(error));
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| not_sent(&error))?;
    let request = Request::post(&address.path)
        .header(header::HOST, address.authority())
        .header(header::CONTENT_TYPE, "application/ipp")
        .header(header::CONNECTION, "close")
        .body(Full::new(request))
        .map_err(|error| not_sent(&error))?;
    // Ends with the exchange: the connection is closed after the answer.
    let connection = tokio::spawn(connection);
    let answered = timeout(answer_within, async {
        let response = sender.send_request(request).await.map_err(|error| with_causes(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
    })
    .await;
    connection.abort();
    let late = || format!("{address} did not answer within {} s", answer_within.as_secs());
    let (status, body) = answered.unwrap_or_else(|_elapsed| Err(late())).map_err(HttpError::Unanswered)?;
    match status {
        StatusCode::OK => Ok(body),
        other => Err(HttpError::Refused(refused(address, other))),
    }
}

/// The printer's web server refused the request.
fn refused(address: &IppAddress, status: StatusCode) -> String {
    let advice = match status {
        StatusCode::NOT_FOUND => "check the path of its address (most printers: /ipp/print)",
        StatusCode::UPGRADE_REQUIRED => "it wants TLS: write ipps:// instead of ipp://",
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "let it take jobs from this network without a password"
        }
        _ => "check its address, and switch it off and on",
    };
    format!("{address} answers \"{status}\": {advice}")
}
