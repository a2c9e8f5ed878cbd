//! A real gateway in a process of its own, with one more port: all its routes, and beside them a route that answers
//! with bytes that never change, behind the same TLS, the same middleware and the same sign-in.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::Path as UrlPath,
    http::{HeaderMap, Request, header},
    middleware,
    response::IntoResponse as _,
    routing::get,
};
use pestle_domain::staff::Role;
use pestle_gateway::{
    app::App,
    config::Config,
    http::{answer, routes, serve},
    identity::Principal,
    postgres::{
        Layout,
        cluster::{self, Access},
    },
    run::{self, Running},
};
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use uuid::Uuid;

use super::{backlog::Backlog, centre, helper, sample};
use crate::world::{Place, gateway::stop_left_postmaster};

/// The route that does nothing.
pub const STILL: &str = "/still";
/// Before the path of a stock check whose answer is forgotten first.
const FRESH: &str = "/fresh";
/// Longest answer of a stock check that is believed.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What the helper says when it is ready.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ready {
    /// The port.
    pub address: SocketAddr,
    /// The certificate authority.
    pub authority: PathBuf,
    /// Of somebody who is signed in.
    pub token: String,
    /// Bytes of the body that [`STILL`] answers with.
    pub body_bytes: usize,
}

/// The path of a stock check.
pub fn check_path(number: u64) -> String {
    format!("/api/v1/branches/{}/stock/{}", sample::branch(), sample::product(number))
}

/// The same, read from the database each time.
pub fn fresh_path(number: u64) -> String {
    format!("{FRESH}/{}", sample::product(number))
}

/// The helper's whole life: `pestle-bench serve <folder>`.
///
/// # Errors
/// When the gateway does not start.
pub async fn run(folder: &Path) -> Result<()> {
    let place = Place::at(folder)?;
    stop_left_postmaster(&place);
    place.begin_anew()?;
    let config = place.folder().join("gateway.toml");
    std::fs::write(
        &config,
        format!(
            "data_dir = {:?}\n\n[https]\nlisten = \"127.0.0.1:0\"\n\n[mqtt]\nlisten = \"127.0.0.1:0\"\n\n\
             [database]\ncluster_dir = {:?}\n",
            place.gateway(),
            place.cluster()
        ),
    )?;
    let running = Box::pin(run::start(Config::load(Some(&config))?)).await?;
    let worked = Box::pin(serve_until_told(&running, &place)).await;
    running.stop().await;
    stop_left_postmaster(&place);
    place.remove()?;
    worked
}

async fn serve_until_told(running: &Running, place: &Place) -> Result<()> {
    let app = &running.app;
    fill_shelves(app, place).await?;
    let now = OffsetDateTime::now_utc();
    let (token, _) =
        app.identity.tokens.issue(Uuid::now_v7(), &sample::tenant(), Role::Manager, "Bench", now)?;
    let routes = routes::router(app.clone());
    let (headers, body) = ask(&routes, &token).await?;
    let body_bytes = body.len();
    let fresh = fresh(app.clone(), routes.clone());
    let router = routes.merge(still(app.clone(), headers, body)).merge(fresh);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let tls = serve::tls(&app.authority, app.authority.server(&app.config.https.public_names, now)?)?;
    tokio::spawn(serve::serve(listener, tls, router, app.stop.clone()));
    let ready = Ready { address, authority: app.authority.ca_file(), token, body_bytes };
    helper::work(ready, async |()| Ok(())).await
}

/// The route that does nothing but what every route behind a sign-in does.
fn still(app: Arc<App>, headers: HeaderMap, body: Bytes) -> Router {
    let answer = move |_: Principal| std::future::ready((headers.clone(), body.clone()).into_response());
    Router::new()
        .route(STILL, get(answer))
        .layer(middleware::from_fn_with_state(app.clone(), answer::around))
        .with_state(app)
}

/// A stock check behind which the gateway's memory is no help: its answer is forgotten, then it is asked for.
fn fresh(app: Arc<App>, routes: Router) -> Router {
    let answer = move |UrlPath(product): UrlPath<String>, request: Request<Body>| {
        let (app, routes) = (app.clone(), routes.clone());
        async move {
            let (branch, tenant) = (sample::branch().to_string(), sample::tenant());
            app.stock.forget(&tenant, &BTreeSet::from([(branch.clone(), product.clone())])).await;
            let (mut head, body) = request.into_parts();
            head.uri = format!("/api/v1/branches/{branch}/stock/{product}").parse().unwrap_or_default();
            // The path that was matched before would be taken for this one's.
            head.extensions.clear();
            match routes.oneshot(Request::from_parts(head, body)).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    };
    Router::new().route(&format!("{FRESH}/{{product}}"), get(answer))
}

/// Opening stock of every article, by the way that all stock comes.
async fn fill_shelves(app: &App, place: &Place) -> Result<()> {
    let (stream, key) = (sample::stream(1), centre::new_key()?);
    let backlog = Backlog::write(&place.folder().join("box"), stream.clone(), 1, 1).await?;
    let (batches, head) = (backlog.batches(&key).await?, backlog.head());
    backlog.close().await;
    let access = Access::read(&Layout::under(place.cluster()))?;
    let mut owner = PgConnection::connect_with(&access.root(cluster::DATABASE)).await?;
    centre::enrol(&mut owner, &stream, key.public()).await?;
    owner.close().await?;
    let batches: Vec<_> = batches.into_iter().map(|batch| (stream.device.clone(), batch)).collect();
    let ingest = centre::ingest(app.db.clone(), app.live.clone(), app.stock.clone())?;
    centre::apply(&ingest, &batches, head).await?;
    Ok(())
}

/// What a stock check answers: the still route says the same.
async fn ask(routes: &Router, token: &str) -> Result<(HeaderMap, Bytes)> {
    let request = Request::get(check_path(1))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::empty())?;
    let response = routes.clone().oneshot(request).await?;
    ensure!(response.status().is_success(), "the stock check answered {}", response.status());
    let mut headers = HeaderMap::new();
    for name in [header::ETAG, header::CACHE_CONTROL, header::CONTENT_TYPE] {
        let value =
            response.headers().get(&name).with_context(|| format!("the stock check has no {name}"))?;
        headers.insert(name, value.clone());
    }
    let body = axum::body::to_bytes(response.into_body(), BODY_BYTES_MAX).await?;
    Ok((headers, body))
}
