//! The listening loop: TLS or plain, with a limit on everything that a client could drag out.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{net::TcpListener, sync::Semaphore, time};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::first_byte::FirstByte;

/// For what is being answered when the box shuts down.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// After the system refuses a connection (no more file descriptors): long enough not to spin.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// What clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServeLimits {
    /// Connections at once: a branch has a handful of browsers with some connections each.
    pub connections_max: usize,
    /// Connections at once from one address. A browser opens six over HTTP/1.1 and one over HTTP/2; the rest is room for
    /// several tabs, and for tools.
    pub per_address_max: usize,
    /// For the handshake, for the first byte, and for all headers of each request; so an idle connection ends after it.
    pub headers_within: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self { connections_max: 256, per_address_max: 48, headers_within: Duration::from_secs(10) }
    }
}

/// Serves until `stop`, then lets what is being answered end.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    stop: CancellationToken,
) {
    serve_within(ServeLimits::default(), listener, tls, router, stop).await;
}

/// [`serve`] with other limits.
pub async fn serve_within(
    limits: ServeLimits,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    stop: CancellationToken,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let addresses = Addresses::default();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = places.clone().acquire_owned() => place,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                time::sleep(PAUSE_AFTER_REFUSAL).await;
                continue;
            }
        };
        let Some(seat) = addresses.take(peer.ip(), limits.per_address_max) else {
            tracing::debug!(%peer, "a connection was closed: its address has too many");
            continue;
        };
        // A fragment of the page is small and awaited: it is not held back to be joined with the next.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
        let (router, watcher, acceptor) = (router.clone(), graceful.watcher(), acceptor.clone());
        tokio::spawn(async move {
            let served = match acceptor {
                None => connection(stream, router, watcher, limits).await,
                Some(acceptor) => match time::timeout(limits.headers_within, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => connection(stream, router, watcher, limits).await,
                    Ok(Err(error)) => Err(error.into()),
                    Err(_elapsed) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
                },
            };
            if let Err(error) = served {
                tracing::debug!(%error, "a connection ended early");
            }
            drop((place, seat));
        });
    }
    if time::timeout(DRAIN_WITHIN, graceful.shutdown()).await.is_err() {
        tracing::info!("some pages were still open when the box stopped serving them");
    }
}

/// How many connections each address has.
#[derive(Debug, Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of an address.
#[derive(Debug)]
struct Seat(Addresses, IpAddr);

impl Addresses {
    fn take(&self, address: IpAddr, most: usize) -> Option<Seat> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Seat(self.clone(), address))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}

type ServeError = Box<dyn std::error::Error + Send + Sync>;

/// One connection that is in nobody's way: without a watcher, it ends when it ends.
pub(super) async fn connection_alone<S>(stream: S, router: Router, limits: ServeLimits)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    if let Err(error) = connection(stream, router, GracefulShutdown::new().watcher(), limits).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn connection<S>(
    stream: S,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
    limits: ServeLimits,
) -> Result<(), ServeError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.headers_within);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(limits.headers_within))
        .max_concurrent_streams(64);
    // The builder waits for the first bytes to tell the protocols apart, and for that it has no deadline.
    let stream = TokioIo::new(FirstByte::within(limits.headers_within, stream));
    let connection = builder.serve_connection(stream, TowerToHyperService::new(router)).into_owned();
    watcher.watch(connection).await
}

/// Binds, or says what to do.
///
/// # Errors
/// The address is taken, is none of this machine's, or needs a right.
pub async fn bind(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| {
        let what_to_do = match error.kind() {
            io::ErrorKind::AddrInUse => "another program listens there: stop it, or configure another port",
            io::ErrorKind::AddrNotAvailable => "this machine has no such address: check the configuration",
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need a right: grant it, or configure another port"
            }
            _ => "check the configuration",
        };
        io::Error::new(error.kind(), format!("cannot listen on {address} ({error}); {what_to_do}"))
    })
}
