//! The HTTPS port under slow and greedy callers.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use pestle_domain::staff::Role;
use pestle_gateway::{
    http::{
        gate::{Bounds, Gate},
        routes, serve,
    },
    testing::{self, TestGateway},
};
use reqwest::StatusCode;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use super::client::{enrolled, seed, trusting};

/// Longer than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A second port of that gateway, with bounds of the test's.
async fn port(gateway: &TestGateway, bounds: Bounds) -> (SocketAddr, CancellationToken) {
    let app = &gateway.running.app;
    let names = &app.config.https.public_names;
    let credentials = app.authority.server(names, OffsetDateTime::now_utc()).unwrap();
    let tls = serve::tls(&app.authority, credentials).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let router = routes::router(app.clone());
    tokio::spawn(serve::serve_behind(Gate::new(bounds), listener, tls, router, stop.clone()));
    (address, stop)
}

async fn tls(gateway: &TestGateway, address: SocketAddr, h2: bool) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(gateway.running.app.authority.ca_der().clone()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![if h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await
}

/// Reads until the centre closes; how long that took.
async fn closed(mut stream: TlsStream<TcpStream>) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the centre closes it");
    began.elapsed()
}

#[tokio::test]
async fn a_caller_who_asks_nothing_is_closed() {
    let gateway = testing::gateway().await;
    let second = Duration::from_secs(1);
    let bounds = Bounds { handshake: second, idle: second, linger: second, ..Bounds::default() };
    let (address, _stop) = port(&gateway, bounds).await;
    // Without a handshake, without a request, with a request that never ends.
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut none = Vec::new();
    let _ = timeout(PATIENCE, silent.read_to_end(&mut none)).await.expect("the centre closes it");
    closed(tls(&gateway, address, false).await.unwrap()).await;
    let mut half = tls(&gateway, address, false).await.unwrap();
    half.write_all(b"GET /health HTTP/1.1\r\nhost:").await.unwrap();
    closed(half).await;
    // HTTP/2: its preface and empty settings, and every ping answered would be no request either.
    let mut idle = tls(&gateway, address, true).await.unwrap();
    idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let took = closed(idle).await;
    assert!(took < Duration::from_secs(15), "{took:?}: not for being idle");
}

#[tokio::test]
async fn an_open_stream_is_no_idle_connection() {
    let gateway = testing::gateway().await;
    let (_, token) = super::client::signed_in(&gateway, Role::Manager).await;
    let bounds = Bounds { idle: Duration::from_millis(200), ..Bounds::default() };
    let (address, _stop) = port(&gateway, bounds).await;
    let client = trusting(&gateway).build().unwrap();
    let request = client.get(format!("https://{address}/console/events")).bearer_auth(&token);
    let mut stream = request.send().await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    let until = Instant::now() + Duration::from_secs(2);
    while let Ok(chunk) = tokio::time::timeout_at(until, stream.chunk()).await {
        assert!(chunk.unwrap().is_some(), "it was closed while it was read");
    }
}

#[tokio::test]
async fn strangers_who_fill_the_port_keep_no_box_out() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let north = enrolled(&gateway).await;
    let (address, _stop) = port(&gateway, Bounds { open: 3, ..Bounds::default() }).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(tls(&gateway, address, true).await.unwrap());
    }
    let health = format!("https://{address}/api/v1/openapi.json");
    // Closed right after its handshake: the fourth stranger.
    let stranger = tls(&gateway, address, true).await;
    if let Ok(stranger) = stranger {
        closed(stranger).await;
    }
    let answer = north.https(&gateway).get(&health).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn one_network_holds_so_many_connections_and_no_more() {
    let gateway = testing::gateway().await;
    let (address, _stop) = port(&gateway, Bounds { per_network: 2, ..Bounds::default() }).await;
    let held = [tls(&gateway, address, true).await.unwrap(), tls(&gateway, address, true).await.unwrap()];
    assert!(tls(&gateway, address, true).await.is_err());
    drop(held);
    let deadline = Instant::now() + PATIENCE;
    while tls(&gateway, address, true).await.is_err() {
        assert!(Instant::now() < deadline, "its places are not given back");
    }
}

#[tokio::test]
async fn a_full_port_still_ends_when_it_is_told_to() {
    let gateway = testing::gateway().await;
    let bounds = Bounds { handshakes: 1, handshake: 10 * PATIENCE, ..Bounds::default() };
    let (address, stop) = port(&gateway, bounds).await;
    // Holds the only turn for a handshake.
    let silent = TcpStream::connect(address).await.unwrap();
    stop.cancel();
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < deadline, "it still listens");
    }
    drop(silent);
}
