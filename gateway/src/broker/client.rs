//! How the gateway itself connects to the broker.

use std::{fmt, fs, path::Path, sync::Arc, time::Duration};

use rumqttc::{TlsConfiguration, Transport, v5::MqttOptions};
use rustls::{ClientConfig, RootCertStore};

use super::PACKET_BYTES_MAX;
use crate::{
    authority::{Authority, Credentials, identity::GATEWAY_NAME},
    files::{self, FileError},
};

/// rumqttc panics below 5 s; a dead link is noticed after one and a half of these.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a broker elsewhere keeps our session when we are away, in seconds.
const SESSION_EXPIRY_S: u32 = 600;
/// Messages that the broker may have on their way to us, unacknowledged: this many batches of 256 KiB are 16 MiB.
pub(crate) const RECEIVE_MAX: u16 = 64;

/// TLS for the gateway's own connections.
#[derive(Clone)]
pub struct ClientTls(Arc<ClientConfig>);

impl fmt::Debug for ClientTls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientTls")
    }
}

impl ClientTls {
    /// Trusts our authority alone and shows the gateway's certificate.
    ///
    /// # Errors
    /// A certificate or key that rustls cannot use.
    pub fn new(authority: &Authority, credentials: Credentials) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.ca_der().clone())?;
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(credentials.chain, credentials.key)?;
        Ok(Self(Arc::new(config)))
    }
}

/// What the broker remembers of us between two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    /// Nothing: the built-in broker ends with us, and boxes send again what was not acknowledged, so that there is
    /// nothing that a kept session could save.
    Fresh,
    /// What arrives while we are away: another broker lives on without us.
    Kept,
}

/// Tells this gateway from others at the same broker, across restarts, so that each has its own session. Made at the
/// first start, and kept in `<data_dir>/instance`.
///
/// # Errors
/// [`FileError`].
pub fn instance(data_dir: &Path) -> Result<String, FileError> {
    let path = data_dir.join("instance");
    if let Ok(kept) = fs::read_to_string(&path)
        && !kept.is_empty()
        && kept.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return Ok(kept);
    }
    let new = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
    files::write_atomically(&path, new.as_bytes(), 0o644)?;
    Ok(new)
}

pub(super) fn options(
    (host, port): (&str, u16),
    client_id: &str,
    tls: &ClientTls,
    session: Session,
) -> MqttOptions {
    let mut options = MqttOptions::new(format!("{GATEWAY_NAME}:{client_id}"), host, port);
    options
        .set_transport(Transport::Tls(TlsConfiguration::Rustls(tls.0.clone())))
        .set_keep_alive(KEEP_ALIVE)
        .set_clean_start(session == Session::Fresh)
        .set_session_expiry_interval(Some(if session == Session::Kept { SESSION_EXPIRY_S } else { 0 }))
        .set_receive_maximum(Some(RECEIVE_MAX))
        .set_max_packet_size(Some(PACKET_BYTES_MAX))
        .set_manual_acks(true)
        .set_connection_timeout(10);
    options
}
