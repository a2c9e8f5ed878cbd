//! The listening loop: TLS or plain, with a limit on everything that a client could drag out.

use std::{io, sync::Arc, time::Duration};

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

/// Connections at once: a branch has a handful of browsers with some connections each.
const CONNECTIONS_MAX: usize = 256;
/// For the handshake, and for all headers of a request.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// For what is being answered when the box shuts down.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// After the system refuses a connection (no more file descriptors): long enough not to spin.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// Serves until `stop`, then lets what is being answered end.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    stop: CancellationToken,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _peer)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                time::sleep(PAUSE_AFTER_REFUSAL).await;
                continue;
            }
        };
        // A fragment of the page is small and awaited: it is not held back to be joined with the next.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
        let (router, watcher, acceptor) = (router.clone(), graceful.watcher(), acceptor.clone());
        tokio::spawn(async move {
            let served = match acceptor {
                None => connection(stream, router, watcher).await,
                Some(acceptor) => match time::timeout(HEADERS_WITHIN, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => connection(stream, router, watcher).await,
                    Ok(Err(error)) => Err(error.into()),
                    Err(_elapsed) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
                },
            };
            if let Err(error) = served {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    if time::timeout(DRAIN_WITHIN, graceful.shutdown()).await.is_err() {
        tracing::info!("some pages were still open when the box stopped serving them");
    }
}

type ServeError = Box<dyn std::error::Error + Send + Sync>;

async fn connection<S>(
    stream: S,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) -> Result<(), ServeError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(HEADERS_WITHIN))
        .max_concurrent_streams(64);
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).into_owned();
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
