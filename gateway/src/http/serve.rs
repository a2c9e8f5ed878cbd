//! The port: TLS with an optional client certificate, limits on slow and greedy callers ([`super::gate`]), and a
//! graceful end.

use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use hyper::{
    Request,
    body::{Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use super::{
    gate::{Gate, Place},
    peer::Peer,
};
use crate::authority::{Authority, Credentials, identity::PeerIdentity};

/// How long answers that are under way may take after the end was asked for.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// TLS for the port. A client certificate is asked for and may be left out; one that is not ours is refused.
///
/// # Errors
/// A certificate or key that rustls cannot use.
pub fn tls(authority: &Authority, credentials: Credentials) -> Result<ServerConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.ca_der().clone())?;
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
        .allow_unauthenticated()
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(credentials.chain, credentials.key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves until `stop`, then lets answers that are under way finish.
pub async fn serve(listener: TcpListener, tls: ServerConfig, router: Router, stop: CancellationToken) {
    serve_behind(Gate::default(), listener, tls, router, stop).await;
}

/// As [`serve`], with a gate of the caller's.
pub async fn serve_behind(
    gate: Gate,
    listener: TcpListener,
    tls: ServerConfig,
    router: Router,
    stop: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let connections = TaskTracker::new();
    let next = async || {
        let turn = gate.turn().await?;
        Some((turn, listener.accept().await))
    };
    loop {
        let (turn, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            next = next() => match next {
                Some(next) => next,
                None => break,
            },
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file handles, most likely: let some be given back.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let place = match gate.arrive(address.ip(), turn) {
            Ok(place) => place,
            Err(full) => {
                tracing::debug!(%address, %full, "a connection was closed");
                continue;
            }
        };
        let caller = Caller { gate: gate.clone(), address, router: router.clone(), stop: stop.clone() };
        let acceptor = acceptor.clone();
        connections.spawn(async move {
            if let Err(error) = caller.attend(stream, acceptor, place).await {
                tracing::debug!(%address, %error, "a connection ended early");
            }
        });
    }
    drop(listener);
    connections.close();
    if timeout(DRAIN_DEADLINE, connections.wait()).await.is_err() {
        tracing::warn!("some answers were cut off at the end");
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One caller.
struct Caller {
    gate: Gate,
    address: SocketAddr,
    router: Router,
    stop: CancellationToken,
}

impl Caller {
    async fn attend(self, stream: TcpStream, acceptor: TlsAcceptor, place: Place) -> Result<(), Failure> {
        let bounds = self.gate.bounds();
        stream.set_nodelay(true)?;
        let handshake = timeout(bounds.handshake, acceptor.accept(stream));
        let stream = tokio::select! {
            stream = handshake => stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??,
            () = self.stop.cancelled() => return Ok(()),
        };
        let identity = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(<[_]>::first)
            .and_then(|leaf| PeerIdentity::of_certificate(leaf));
        let _place = self.gate.admit(place, identity.as_ref())?;
        let peer = Peer { address: self.address, identity };
        let activity = Activity::default();
        let (router, noted) = (self.router, activity.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer.clone());
            let under_way = noted.begin();
            let answer = router.clone().oneshot(request);
            async move { answer.await.map(|answer| answer.map(|body| Watched { body, _under_way: under_way })) }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(bounds.handshake);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20))
            .max_concurrent_streams(256);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = self.stop.cancelled() => {}
            () = activity.idle_for(bounds.idle) => {}
        }
        connection.as_mut().graceful_shutdown();
        timeout(bounds.linger, connection).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

/// Whether anything is asked or answered on a connection. HTTP/2 has no end of its own for a caller that stays.
#[derive(Debug, Clone)]
struct Activity(Arc<watch::Sender<usize>>);

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

/// A request from its headers to the last byte of its answer.
#[derive(Debug)]
struct UnderWay(Activity);

impl Activity {
    fn begin(&self) -> UnderWay {
        self.0.send_modify(|count| *count += 1);
        UnderWay(self.clone())
    }

    /// Resolves once nothing was under way for so long.
    async fn idle_for(&self, time: Duration) {
        let mut changes = self.0.subscribe();
        loop {
            let quiet = *changes.borrow_and_update() == 0;
            let changed = changes.changed();
            if quiet {
                if timeout(time, changed).await.is_err() {
                    return;
                }
            } else if changed.await.is_err() {
                return;
            }
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// An answer's body that is under way until it is sent or given up.
struct Watched {
    body: Body,
    _under_way: UnderWay,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
