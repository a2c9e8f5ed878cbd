//! The workbench: a page on which a person does to a branch's devices what people and bad luck do.
//!
//! It listens on the loopback alone. [`state`] is what the page shows, [`act`] what its buttons do; the page itself is
//! three files without a build step. Changes are pushed as server-sent events.

mod act;
mod state;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

use crate::demo_data::{Article, Serials, articles};
use crate::world::World;

/// How often the devices are looked at for changes: quicker than a person notices.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// What the handlers share.
#[derive(Debug)]
struct Workbench {
    world: Arc<World>,
    articles: Vec<Article>,
    shown: watch::Sender<String>,
    last_scans: act::LastScans,
    serials: Serials,
}

/// Serves the page until the task is dropped.
///
/// # Errors
/// When the listener fails.
pub async fn serve(world: Arc<World>, listener: TcpListener) -> std::io::Result<()> {
    let bench = Arc::new(Workbench {
        world,
        articles: articles(),
        shown: watch::Sender::new(String::new()),
        last_scans: act::LastScans::default(),
        serials: Serials::since_now(),
    });
    let watching = async {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        loop {
            tick.tick().await;
            let now = state::now(&bench).await;
            bench.shown.send_if_modified(|shown| {
                let changed = *shown != now;
                if changed {
                    *shown = now;
                }
                changed
            });
        }
    };
    tokio::select! {
        served = axum::serve(listener, router(bench.clone())) => served,
        () = watching => Ok(()),
    }
}

fn router(bench: Arc<Workbench>) -> Router {
    Router::new()
        .route("/", get(|| text("text/html; charset=utf-8", include_str!("page/workbench.html"))))
        .route("/workbench.css", get(|| text("text/css; charset=utf-8", include_str!("page/workbench.css"))))
        .route(
            "/workbench.js",
            get(|| text("text/javascript; charset=utf-8", include_str!("page/workbench.js"))),
        )
        .route("/api/shelf", get(shelf))
        .route("/api/events", get(events))
        .route("/api/branches/{branch}/receipts/{number}", get(receipt))
        .route("/api/branches/{branch}/scan", post(act::scan))
        .route("/api/branches/{branch}/odd-scan", post(act::odd_scan))
        .route("/api/branches/{branch}/printer", post(act::printer))
        .route("/api/branches/{branch}/fridge", post(act::fridge))
        .route("/api/branches/{branch}/line", post(act::line))
        .route("/api/branches/{branch}/power", post(act::power))
        .route("/api/branches/{branch}/scanner", post(act::scanner))
        .layer(from_fn(only_from_here))
        .with_state(bench)
}

/// Refuses what another web page in the same browser might send.
async fn only_from_here(request: Request, next: Next) -> Response {
    if !is_from_here(request.method(), request.headers()) {
        return (StatusCode::FORBIDDEN, "The workbench answers its own page alone.").into_response();
    }
    next.run(request).await
}

/// Not so: a name of somebody's that leads here, and a form's POST.
fn is_from_here(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let host = text(header::HOST);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_json = text(header::CONTENT_TYPE) == "application/json";
    matches!(name, "127.0.0.1" | "localhost" | "[::1]") && (method != Method::POST || is_json)
}

async fn text(kind: &'static str, body: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], body)
}

async fn shelf(State(bench): State<Arc<Workbench>>) -> Json<Vec<state::Pack>> {
    Json(bench.articles.iter().zip(1..).map(|(article, number)| state::pack(article, number)).collect())
}

async fn events(
    State(bench): State<Arc<Workbench>>,
) -> Sse<impl Stream<Item = Result<Event, std::convert::Infallible>>> {
    let stream = WatchStream::new(bench.shown.subscribe())
        .filter(|shown| std::future::ready(!shown.is_empty()))
        .map(|shown| Ok(Event::default().data(shown)));
    Sse::new(stream).keep_alive(KeepAlive::default())
}

/// `/receipts/3.png`: the third paper that came out, counted from 1.
async fn receipt(
    State(bench): State<Arc<Workbench>>,
    Path((branch, file)): Path<(String, String)>,
) -> Result<Response, act::Refused> {
    let number = file.strip_suffix(".png").and_then(|number| number.parse::<usize>().ok());
    let printer = &bench.branch(&branch)?.printer;
    let receipt = number
        .and_then(|number| number.checked_sub(1))
        .and_then(|index| printer.receipts().get(index).cloned())
        .ok_or_else(|| act::Refused::missing("this receipt"))?;
    let png = receipt.png().map_err(|error| act::Refused::device(&error))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("image/png"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok((headers, png).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_site_s_page_cannot_pull_a_plug() {
        let headers = |host: &'static str, kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, header::HeaderValue::from_static(host));
            headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
            headers
        };
        assert!(is_from_here(&Method::POST, &headers("127.0.0.1:4000", "application/json")));
        assert!(!is_from_here(&Method::POST, &headers("127.0.0.1:4000", "text/plain")));
        assert!(!is_from_here(&Method::POST, &headers("evil.example:4000", "application/json")));
        assert!(!is_from_here(&Method::GET, &headers("evil.example", "")));
    }
}
