//! Signing in and out, and who may do what.

use std::time::{Duration, Instant};

use pestle_domain::staff::Role;
use pestle_gateway::{http::peer::Peer, identity, testing};
use serde_json::{Value, json};

use super::client::{PASSWORD, login, seed, signed_in, trusting, url};

#[tokio::test]
async fn a_right_password_opens_and_signing_out_closes() {
    let gateway = testing::gateway().await;
    let (client, token) = signed_in(&gateway, Role::Manager).await;
    let me = || client.get(url(&gateway, "/api/v1/auth/me")).bearer_auth(&token).send();
    let body: Value = me().await.unwrap().json().await.unwrap();
    assert_eq!((body["success"].as_bool(), body["data"]["role"].as_str()), (Some(true), Some("manager")));
    let out = client.post(url(&gateway, "/api/v1/auth/logout")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(out.status(), 200);
    assert_eq!(me().await.unwrap().status(), 401);
}

#[tokio::test]
async fn the_console_s_cookie_is_as_good_as_the_token_and_closed_to_scripts() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Manager).await;
    let client = trusting(&gateway).build().unwrap();
    let answer = client
        .post(url(&gateway, "/api/v1/auth/login"))
        .json(&json!({ "login": "Manager ", "password": PASSWORD }))
        .send()
        .await
        .unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    for attribute in ["Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let pair = cookie.split(';').next().unwrap();
    let me = client.get(url(&gateway, "/api/v1/auth/me")).header("cookie", pair).send().await.unwrap();
    assert_eq!(me.status(), 200);
}

#[tokio::test]
async fn wrong_logins_and_wrong_passwords_sound_the_same_and_run_out() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Manager).await;
    let (status, wrong_password) = login(&gateway, "manager", "not-this-one").await;
    let (_, wrong_login) = login(&gateway, "nobody-here", PASSWORD).await;
    assert_eq!(status, 401);
    assert_eq!(wrong_password["message"], wrong_login["message"]);
    let mut last = (0, Value::Null);
    for _ in 0..6 {
        last = login(&gateway, "manager", "not-this-one").await;
    }
    assert_eq!((last.0, last.1["error"].as_str()), (429, Some("RATE_LIMITED")), "{}", last.1);
    // Its owner, who comes from elsewhere, still gets in.
    let elsewhere = Peer { address: "192.0.2.7:1".parse().unwrap(), identity: None };
    let owner =
        identity::api::sign_in(&gateway.running.app, &elsewhere, "manager", PASSWORD.to_owned()).await;
    assert!(owner.is_ok());
}

#[tokio::test]
async fn an_error_has_the_agreed_shape_and_a_number() {
    let gateway = testing::gateway().await;
    let client = trusting(&gateway).build().unwrap();
    let check = async |path: &str, status: u16, code: &str| {
        let answer = client.get(url(&gateway, path)).header("x-request-id", "abc-1").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert_eq!(answer.headers()["x-request-id"], "abc-1");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["success"], false);
        assert_eq!(body["error"], code, "{path}");
        assert_eq!(body["status_code"], status);
        assert_eq!(body["request_id"], "abc-1");
        assert!(!body["message"].as_str().unwrap().is_empty());
    };
    check("/api/v1/branches", 401, "AUTHENTICATION").await;
    check("/api/v1/nothing", 404, "NOT_FOUND").await;
    check("/api/v1/device/snapshot", 401, "AUTHENTICATION").await;
    check("/api/v1/auth/login", 405, "NOT_FOUND").await;
}

#[tokio::test]
async fn roles_bound_what_people_may_change() {
    let gateway = testing::gateway().await;
    let (client, token) = signed_in(&gateway, Role::Assistant).await;
    let body =
        json!({ "branch_id": "south", "name": "South", "currency": "EUR", "time_zone": "Europe/Berlin" });
    let answer =
        client.post(url(&gateway, "/api/v1/branches")).bearer_auth(&token).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    let said: Value = answer.json().await.unwrap();
    assert!(said["message"].as_str().unwrap().contains("central_it"), "{said}");
}

#[tokio::test]
async fn branches_are_added_changed_and_listed() {
    let gateway = testing::gateway().await;
    let (client, token) = signed_in(&gateway, Role::Admin).await;
    let body =
        json!({ "branch_id": "south", "name": "South", "currency": "EUR", "time_zone": "Europe/Berlin" });
    let add = || client.post(url(&gateway, "/api/v1/branches")).bearer_auth(&token).json(&body).send();
    assert_eq!(add().await.unwrap().status(), 201);
    let twice: Value = add().await.unwrap().json().await.unwrap();
    assert_eq!(twice["error"], "DUPLICATE");
    let put = client
        .put(url(&gateway, "/api/v1/branches/south"))
        .bearer_auth(&token)
        .json(&json!({ "name": "South Gate", "currency": "XXX", "time_zone": "Europe/Berlin" }));
    assert_eq!(put.send().await.unwrap().status(), 422);
    let list =
        client.get(url(&gateway, "/api/v1/branches?page=2&page_size=1")).bearer_auth(&token).send().await;
    let list: Value = list.unwrap().json().await.unwrap();
    assert_eq!(list["data"][0]["branch_id"], "south");
    assert_eq!(
        (list["meta"]["total_items"].as_u64(), list["meta"]["has_next"].as_bool()),
        (Some(2), Some(false))
    );
}

/// `openapi.json` is what callers were promised; a change of it is a change of the contract and stands in the diff.
/// `PESTLE_WRITE_GOLDEN=1` writes it anew.
#[test]
fn the_contract_is_the_one_that_was_agreed() {
    let described = pestle_gateway::http::routes::describe().to_pretty_json().unwrap() + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/openapi.json");
    if std::env::var_os("PESTLE_WRITE_GOLDEN").is_some() {
        std::fs::write(path, &described).unwrap();
    }
    let agreed: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let described: Value = serde_json::from_str(&described).unwrap();
    for (route, item) in described["paths"].as_object().unwrap() {
        assert_eq!(item, &agreed["paths"][route], "{route} changed: see PESTLE_WRITE_GOLDEN above");
    }
    assert_eq!(described, agreed, "see PESTLE_WRITE_GOLDEN above");
}

#[tokio::test]
async fn every_route_is_described_and_served() {
    let text = serde_json::to_value(pestle_gateway::http::routes::describe()).unwrap();
    let enrolled = &text["paths"]["/api/v1/enrol"]["post"]["responses"]["200"]["content"]["application/json"];
    assert!(enrolled["schema"].to_string().contains("EnrolAnswer"), "{enrolled}");
    assert_eq!(text["paths"]["/api/v1/sales"]["get"]["security"][0], json!({ "bearer": [] }));
    assert_eq!(text["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    let gateway = testing::gateway().await;
    let client = trusting(&gateway).build().unwrap();
    let served: Value =
        client.get(url(&gateway, "/api/v1/openapi.json")).send().await.unwrap().json().await.unwrap();
    assert_eq!(served, text);
    for (path, item) in text["paths"].as_object().unwrap() {
        let path = path.replace(['{', '}'], "");
        for method in item.as_object().unwrap().keys() {
            let method = method.to_uppercase().parse().unwrap();
            let request = client.request(method, url(&gateway, &path));
            let answer = request.header("content-type", "application/json").body("{}").send().await.unwrap();
            assert_ne!(answer.status(), 405, "{path}");
            let said = answer.text().await.unwrap();
            assert!(!said.contains("there is nothing at this address"), "{path}");
        }
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while client.get(url(&gateway, "/health")).send().await.unwrap().status() != 200 {
        assert!(Instant::now() < deadline, "the gateway is never ready");
    }
    let metrics = client.get(url(&gateway, "/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("pestle_gateway_http_requests_total{"), "{metrics}");
}

#[tokio::test]
async fn a_database_that_is_away_is_said_so_with_when_to_try_again() {
    let gateway = testing::gateway().await;
    let (client, token) = signed_in(&gateway, Role::Admin).await;
    gateway.running.app.db.close().await;
    let answer = client.get(url(&gateway, "/api/v1/branches")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let said: Value = answer.json().await.unwrap();
    assert_eq!(said["error"], "UNAVAILABLE");
    assert!(said["message"].as_str().unwrap().contains("try again"), "{said}");
    let health = client.get(url(&gateway, "/health")).send().await.unwrap();
    assert_eq!(health.status(), 503);
    let health: Value = health.json().await.unwrap();
    assert_eq!(
        (health["live"].as_bool(), health["causes"][0]["part"].as_str()),
        (Some(true), Some("database"))
    );
}
