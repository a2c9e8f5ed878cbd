//! The counter's pages as a browser gets them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use pestle_agent::web::serve;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::branch::Branch;

const DEADLINE: Duration = Duration::from_secs(20);

/// Reads a page's event stream until `until` is in what has come, and gives it.
async fn hear(body: &mut Body, until: &str) -> String {
    let mut heard = String::new();
    let reading = async {
        while !heard.contains(until) {
            let frame = body.frame().await.expect("the stream goes on").unwrap();
            heard.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
    };
    assert!(timeout(DEADLINE, reading).await.is_ok(), "\"{until}\" never came; heard:\n{heard}");
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanned_line_is_pushed_to_the_page() {
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    let request = Request::get("/till/till-1/events").body(Body::empty()).unwrap();
    let response = branch.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut body = response.into_body();
    let first = hear(&mut body, "event: status").await;
    for name in ["version", "lines", "total", "notice", "phase", "prints"] {
        assert!(first.contains(&format!("event: {name}\n")), "{name} is missing in\n{first}");
    }
    branch.scan("till-1").await;
    let pushed = hear(&mut body, "event: phase").await;
    assert!(pushed.starts_with("event: lines\n"), "the line comes first:\n{pushed}");
    assert!(pushed.contains("Ibuprofen 200 mg") && pushed.contains("£4.99"));
    assert!(!pushed.contains("<24>"), "names are escaped");
    assert!(!pushed.contains("event: status"), "what has not changed is not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_comes_with_a_policy_and_without_inline_scripts() {
    let branch = Branch::new().await;
    for path in ["/", "/till/till-1", "/static/counter.js"] {
        let response =
            branch.router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(
            path.starts_with("/static") || !text.contains("style=") && !text.contains("onclick="),
            "{path}"
        );
    }
    let (_, page) = branch.get("/till/till-1").await;
    assert!(page.contains("North &#60;Street&#62;"), "names are escaped");
    assert_eq!(branch.get("/till/till-9/state").await.0, StatusCode::NOT_FOUND);
    assert_eq!(branch.get("/till/till-9").await.0, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_cannot_act_at_the_till() {
    let branch = Branch::new().await;
    let request = Request::post("/till/till-1/dismiss")
        .header(header::HOST, "box.local")
        .header(header::ORIGIN, "https://evil.example")
        .body(Body::empty())
        .unwrap();
    let response = branch.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_browser_cannot_act_for_the_person_who_is_signed_in() {
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    let request = Request::post("/till/till-1/scan").body(Body::from(r#"{"code":"1"}"#)).unwrap();
    let response = branch.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn articles_are_found_by_name() {
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    let (_, found) = branch.get("/till/till-1/search?q=200%20ibu").await;
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["data"][0]["product"], "ibuprofen-200");
    branch.done("till-1", "add", json!({"product": "ibuprofen-200"})).await;
    assert_eq!(branch.state("till-1").await["basket"]["packs"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused() {
    let branch = Branch::new().await;
    let body = format!(r#"{{"code":"{}"}}"#, "1".repeat(100_000));
    let request = Request::post("/till/till-1/scan").body(Body::from(body)).unwrap();
    let response = branch.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_served_over_a_socket_until_the_box_stops() {
    let branch = Branch::new().await;
    let listener = serve::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = serve::bind(address).await.unwrap_err().to_string();
    assert!(taken.contains("another program listens there"), "{taken}");
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve::serve(listener, None, branch.router.clone(), stop.clone()));
    let mut browser = TcpStream::connect(address).await.unwrap();
    browser
        .write_all(b"GET /till/till-1 HTTP/1.1\r\nhost: box.local\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut page = String::new();
    timeout(DEADLINE, browser.read_to_string(&mut page)).await.unwrap().unwrap();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("SameSite=Strict"));
    stop.cancel();
    timeout(DEADLINE, served).await.unwrap().unwrap();
}
