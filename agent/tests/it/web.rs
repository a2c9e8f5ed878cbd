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
use pestle_agent::{
    counter::{machine::Event, view::LinkView},
    web::serve::{self, ServeLimits},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::branch::{Branch, HOST, PIN};

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
    let request = branch.browse("GET", "/till/till-1/events").body(Body::empty()).unwrap();
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
        let request = branch.browse("GET", path).body(Body::empty()).unwrap();
        let response = branch.router.clone().oneshot(request).await.unwrap();
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
        .header(header::HOST, HOST)
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
    let stranger = |method: &str, path: &str, body: &'static str| {
        let request = Request::builder().method(method).uri(path).header(header::HOST, HOST);
        branch.router.clone().oneshot(request.body(Body::from(body)).unwrap())
    };
    let acted = stranger("POST", "/till/till-1/scan", r#"{"code":"1"}"#).await.unwrap();
    assert_eq!(acted.status(), StatusCode::UNAUTHORIZED);
    assert!(acted.headers().get(header::SET_COOKIE).is_none(), "a station is given at a sign-in alone");
    let searched = stranger("GET", "/till/till-1/search?q=ibu", "").await.unwrap();
    assert_eq!(searched.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_browser_on_the_network_sees_no_basket_and_no_name() {
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    branch.scan("till-1").await;
    let stranger = |path: &str| {
        let request = Request::get(path).header(header::HOST, HOST).body(Body::empty()).unwrap();
        branch.router.clone().oneshot(request)
    };
    let mut stream = stranger("/till/till-1/events").await.unwrap().into_body();
    let mut seen = hear(&mut stream, "event: status").await;
    for path in ["/till/till-1", "/till/till-1/state"] {
        let body = stranger(path).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        seen.push_str(std::str::from_utf8(&body).unwrap());
    }
    for word in ["Ibuprofen", "Anna", "4.99", "499"] {
        assert!(!seen.contains(word), "{word} in\n{seen}");
    }
    assert!(seen.contains("\"phase\":\"sign_in\"") && seen.contains("Centre:"), "{seen}");
    assert!(branch.get("/till/till-1").await.1.contains("Ibuprofen"), "its own browser sees all");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sign_in_gives_the_browser_a_new_name_and_takes_it_from_the_old_one() {
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    let before = branch.browse("GET", "/till/till-1/state").body(Body::empty()).unwrap();
    branch.open_till("till-2").await;
    branch.done("till-1", "sign-in", json!({"staff": "anna", "pin": PIN})).await;
    let old = branch.router.clone().oneshot(before).await.unwrap().into_body().collect().await.unwrap();
    let old: serde_json::Value = serde_json::from_slice(&old.to_bytes()).unwrap();
    assert_eq!(old["phase"], "sign_in");
    assert_eq!(branch.state("till-1").await["phase"], "ready");
    assert_eq!(branch.state("till-2").await["phase"], "ready", "the other till in the same browser goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_the_boxs_own_is_not_answered() {
    let branch = Branch::new().await;
    for host in ["evil.example", "192.0.2.7:8080"] {
        let request =
            Request::get("/till/till-1/state").header(header::HOST, host).body(Body::empty()).unwrap();
        let response = branch.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_whose_records_the_centre_refuses_is_not_shown_as_well() {
    let branch = Branch::new().await;
    for (state, detail, tone, words) in [
        ("live", None, "ok", "Centre: connected"),
        ("offline", Some("no route"), "warn", "Centre: offline, go on selling"),
        ("live", Some("bad signature <1>"), "bad", "The centre refuses this box&#39;s records: call support"),
    ] {
        let detail = detail.map(str::to_owned);
        let link = LinkView { state: state.into(), waiting: 3, detail: detail.clone() };
        branch.counter.tell(Event::Link(link)).await;
        let mut view = branch.counter.watch(&"till-1".parse().unwrap()).unwrap();
        let shown = view.wait_for(|view| view.link.state == state && view.link.detail == detail);
        timeout(DEADLINE, shown).await.unwrap().unwrap();
        let (_, page) = branch.get("/till/till-1").await;
        let chip = page.split("<li id=\"link\"").nth(1).unwrap().split("</li>").next().unwrap();
        assert!(chip.contains(&format!("chip {tone}")) && chip.contains(words), "{chip}");
        assert!(chip.contains("3 to send"), "{chip}");
        assert_eq!(chip.contains("<small>bad signature &#60;1&#62;</small>"), tone == "bad", "{chip}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_do_not_take_the_page_away() {
    let branch = Branch::new().await;
    let listener = serve::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let limits =
        ServeLimits { connections_max: 4, per_address_max: 4, headers_within: Duration::from_millis(200) };
    let router = branch.router.clone();
    let served = tokio::spawn(serve::serve_within(limits, listener, None, router, stop.clone()));
    let mut silent = Vec::new();
    for number in 0..4 {
        let mut client = TcpStream::connect(address).await.unwrap();
        // Half of them begin a request and never end it.
        if number % 2 == 0 {
            client.write_all(b"GET /till").await.unwrap();
        }
        silent.push(client);
    }
    for client in &mut silent {
        let mut rest = Vec::new();
        let ended = timeout(DEADLINE, client.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "a silent connection is kept for ever");
    }
    // One that has asked and then stays silent is ended as well.
    let mut browser = TcpStream::connect(address).await.unwrap();
    browser.write_all(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    let mut page = String::new();
    timeout(DEADLINE, browser.read_to_string(&mut page)).await.unwrap().unwrap();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    stop.cancel();
    timeout(DEADLINE, served).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_so_many_connections_and_a_full_house_ends_when_told() {
    let branch = Branch::new().await;
    let headers_within = Duration::from_secs(3_600);
    for limits in [
        ServeLimits { connections_max: 9, per_address_max: 1, headers_within },
        ServeLimits { connections_max: 1, per_address_max: 9, headers_within },
    ] {
        let listener = serve::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = branch.router.clone();
        let served = tokio::spawn(serve::serve_within(limits, listener, None, router, stop.clone()));
        let _first = TcpStream::connect(address).await.unwrap();
        if limits.per_address_max == 1 {
            let mut second = TcpStream::connect(address).await.unwrap();
            let mut rest = Vec::new();
            let closed = timeout(DEADLINE, second.read_to_end(&mut rest)).await;
            assert!(closed.is_ok() && rest.is_empty(), "the second of one address is closed at once");
        }
        stop.cancel();
        timeout(DEADLINE, served).await.expect("it ends though its house is full").unwrap();
    }
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
    let request = branch.browse("POST", "/till/till-1/scan").body(Body::from(body)).unwrap();
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
        .write_all(b"GET /till/till-1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut page = String::new();
    timeout(DEADLINE, browser.read_to_string(&mut page)).await.unwrap().unwrap();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("frame-ancestors 'none'"));
    stop.cancel();
    timeout(DEADLINE, served).await.unwrap().unwrap();
}
