//! Which role reads what.

use axum::{
    body::Body,
    http::{Request, header},
};
use pestle_domain::staff::Role;
use pestle_gateway::{
    http::{peer::Peer, routes},
    identity::{password, store},
    testing::{self, TestGateway},
};
use serde_json::Value;
use time::OffsetDateTime;
use tower::ServiceExt as _;
use uuid::Uuid;

use super::client::{PASSWORD, login, seed, tenant, trusting, url};

/// A token of each role.
pub(crate) async fn tokens(gateway: &TestGateway, roles: &[Role]) -> Vec<(Role, String)> {
    seed(gateway, Role::Admin).await;
    let mut tokens = Vec::new();
    let verifier = password::hash(PASSWORD).unwrap();
    for role in roles {
        let mut tx = gateway.running.app.db.tenant(&tenant()).begin().await.unwrap();
        let now = OffsetDateTime::now_utc();
        store::put(&mut tx, &tenant(), role.as_str(), "X", *role, (&verifier, now)).await.unwrap();
        tx.commit().await.unwrap();
        let (_, body) = login(gateway, role.as_str(), PASSWORD).await;
        tokens.push((*role, body["data"]["token"].as_str().unwrap().to_owned()));
    }
    tokens
}

async fn status(gateway: &TestGateway, token: &str, path: &str) -> u16 {
    let client = trusting(gateway).build().unwrap();
    client.get(url(gateway, path)).bearer_auth(token).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn counters_read_sales_and_stock_and_technicians_of_boxes_read_boxes() {
    use Role::{Admin, Assistant, CentralIt, FieldTech, Manager, Pharmacist, Technician};
    let gateway = testing::gateway().await;
    let tokens =
        tokens(&gateway, &[Assistant, Technician, Pharmacist, Manager, FieldTech, CentralIt, Admin]).await;
    let counters: &[Role] = &[Assistant, Technician, Pharmacist, Manager, Admin];
    let boxes: &[Role] = &[Manager, FieldTech, CentralIt, Admin];
    for (path, found, may) in [
        ("/api/v1/sales", 200, counters),
        ("/api/v1/sales/0196a1b2-0000-7000-8000-000000000000", 404, counters),
        ("/api/v1/branches/north/tills", 200, counters),
        ("/api/v1/stock", 200, counters),
        ("/api/v1/branches/north/stock/p-1", 404, counters),
        ("/api/v1/devices", 200, boxes),
        ("/api/v1/devices/north-9", 404, boxes),
    ] {
        for (role, token) in &tokens {
            let expected = if may.contains(role) { found } else { 403 };
            assert_eq!(status(&gateway, token, path).await, expected, "{path} for {}", role.as_str());
        }
    }
}

#[tokio::test]
async fn who_counts_an_open_drawer_is_not_told_what_it_should_hold() {
    let gateway = testing::gateway().await;
    let tokens = tokens(&gateway, &[Role::Assistant, Role::Manager]).await;
    let mut tx = gateway.running.app.db.tenant(&tenant()).begin().await.unwrap();
    for counted in [None, Some(4_000_i64)] {
        sqlx::query(
            "INSERT INTO sales.session (tenant_id, branch_id, session_id, currency, till_id, device_id, float_minor,
                                        received_minor, opened_ms, counted_minor, closed_ms)
             VALUES ('demo', 'north', $1, 'EUR', 'till-1', 'north-1', 5000, 750, 1, $2, $2)",
        )
        .bind(Uuid::now_v7())
        .bind(counted)
        .execute(&mut *tx)
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
    let client = trusting(&gateway).build().unwrap();
    for (role, token) in tokens {
        let request = client.get(url(&gateway, "/api/v1/branches/north/tills")).bearer_auth(&token);
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        let all = body["data"].as_array().unwrap();
        let expected = |state: &str| {
            all.iter().find(|session| session["state"] == state).unwrap()["expected_minor"].as_i64()
        };
        assert_eq!(expected("open"), (role == Role::Manager).then_some(5_750), "{body}");
        assert_eq!(expected("closed"), Some(5_750), "{body}");
    }
}

#[tokio::test]
async fn metrics_are_for_this_machine_and_for_central_it() {
    let gateway = testing::gateway().await;
    let tokens = tokens(&gateway, &[Role::Manager, Role::CentralIt]).await;
    let router = routes::router(gateway.running.app.clone());
    let ask = async |from: &str, token: Option<&str>| {
        let mut request = Request::get("/metrics").body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer { address: from.parse().unwrap(), identity: None });
        if let Some(token) = token {
            request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        }
        router.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    for here in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert_eq!(ask(here, None).await, 200, "{here}");
    }
    let elsewhere = "192.0.2.7:1";
    assert_eq!(ask(elsewhere, None).await, 401);
    assert_eq!(ask(elsewhere, Some(&tokens[0].1)).await, 403);
    assert_eq!(ask(elsewhere, Some(&tokens[1].1)).await, 200);
}

#[tokio::test]
async fn a_nul_in_a_question_is_refused_and_no_fault_of_ours() {
    let gateway = testing::gateway().await;
    let tokens = tokens(&gateway, &[Role::Admin]).await;
    let token = &tokens[0].1;
    for path in
        ["/api/v1/stock?q=a%00b", "/api/v1/products?q=%00", "/api/v1/devices?branch=%00", "/console?q=%00"]
    {
        assert_eq!(status(&gateway, token, path).await, 422, "{path}");
    }
    let client = trusting(&gateway).build().unwrap();
    let claim = super::client::claim(&gateway, 0).await;
    let key = rcgen::KeyPair::generate().unwrap();
    let mut request = super::client::request(claim.code(), &key, |_| {});
    request.hardware.hostname = "bo\0x".into();
    let answer = client.post(url(&gateway, "/api/v1/enrol")).json(&request).send().await.unwrap();
    assert_eq!(answer.status(), 422);
}
