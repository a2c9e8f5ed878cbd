//! The whole way: a person orders over REST, the box hears of it over mutual TLS, its facts are seen by people.

use pestle_domain::{
    ids::ConnectionId,
    order::{Order, OrderBody, OrderHead, OrderHow},
    staff::Role,
    wire::{
        message::{Heads, Nudge, Presence, Status},
        orders::Orders,
    },
};
use pestle_gateway::testing::{self, TestGateway};
use serde_json::{Value, json};
use uuid::Uuid;

use super::desk::applied;
use crate::{
    ingest::{
        centre::committed,
        whole::{Wired, get},
    },
    platform::client::{Enrolled, enrolled, signed_in, tenant, url},
};

async fn add_article(gateway: &TestGateway) {
    let mut tx = gateway.running.app.db.tenant(&tenant()).begin().await.unwrap();
    let product = pestle_domain::catalogue::Product {
        id: "p-1".parse().unwrap(),
        gtins: vec![pestle_domain::gs1::Gtin::with_check_digit(b"0952012300001").unwrap()],
        name: "A".into(),
        price: pestle_domain::money::Money::new(1, pestle_domain::money::Currency::EUR),
        tax: pestle_domain::money::BasisPoints(0),
        supply: pestle_domain::catalogue::Supply::General,
        storage: pestle_domain::catalogue::Storage::Ambient,
    };
    pestle_gateway::catalogue::store::put(&mut tx, &tenant(), &[product]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn post(
    gateway: &TestGateway,
    (person, token): (&reqwest::Client, &str),
    path: &str,
    body: Value,
) -> (u16, Value) {
    let answer = person.post(url(gateway, path)).bearer_auth(token).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn state_heads(wired: &Wired, connection: ConnectionId, orders: OrderHead, snapshot: u64) {
    let agent = "0.1.0".into();
    let heads =
        Heads { v: 1, connection, streams: vec![], waiting: 0, snapshot, agent, orders: Some(orders) };
    wired.say("up/heads", serde_json::to_vec(&heads).unwrap()).await;
}

async fn version(gateway: &TestGateway) -> u64 {
    let mut tx = gateway.running.app.db.tenant(&tenant()).begin().await.unwrap();
    pestle_gateway::tenancy::store::revision(&mut tx).await.unwrap().version
}

async fn online(wired: &Wired, connection: ConnectionId) {
    let at = pestle_domain::units::UnixMillis(0);
    let status = Status { v: 1, connection, state: Presence::Online, at, agent: "0.1.0".into() };
    wired.say("status", serde_json::to_vec(&status).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recall_that_a_person_issues_is_in_the_branch_within_seconds_and_its_state_is_seen() {
    let gateway = testing::gateway().await;
    let (person, token) = signed_in(&gateway, Role::Pharmacist).await;
    add_article(&gateway).await;
    let box_one: Enrolled = enrolled(&gateway).await;
    let mut wired = Wired::new(&gateway, &box_one).await;
    let connection = ConnectionId(Uuid::now_v7());
    online(&wired, connection).await;
    let opened = wired.branch.open(10);
    committed(&wired.send(1, opened).await);

    let recall = json!({
        "id": Uuid::now_v7(), "reference": "R-7", "product": "p-1", "lot": "A1", "reason": "glass found"
    });
    let (status, body) = post(&gateway, (&person, &token), "/api/v1/orders/recalls", recall.clone()).await;
    assert_eq!((status, &body["data"]["branches"][0]["state"]), (201, &"waiting".into()), "{body}");
    let (again, _) = post(&gateway, (&person, &token), "/api/v1/orders/recalls", recall.clone()).await;
    assert_eq!(again, 201);
    let mut other = recall.clone();
    other["reason"] = "another".into();
    assert_eq!(post(&gateway, (&person, &token), "/api/v1/orders/recalls", other).await.0, 409);
    let mut nobody = recall.clone();
    nobody["branches"] = json!([]);
    assert_eq!(post(&gateway, (&person, &token), "/api/v1/orders/recalls", nobody).await.0, 422);
    let mut nothing = recall;
    (nothing["product"], nothing["id"]) = ("p-9".into(), json!(Uuid::now_v7()));
    assert_eq!(post(&gateway, (&person, &token), "/api/v1/orders/recalls", nothing).await.0, 422);

    // The box is nudged, and asks. It is new: its snapshot has the recall, if it is the latest.
    while wired.nudge().await != Nudge::Heads {}
    state_heads(&wired, connection, OrderHead::START, version(&gateway).await).await;
    let key = &box_one.response.identity.centre_keys[0];
    let there = wired.orders().await;
    let there = Orders::parse(&there).unwrap().verify(key).unwrap();
    assert_eq!((there.before.seq, there.orders.len()), (1, 0));
    let snapshot =
        box_one.https(&gateway).get(url(&gateway, "/api/v1/device/snapshot")).send().await.unwrap();
    let snapshot = zstd::decode_all(&*snapshot.bytes().await.unwrap()).unwrap();
    let snapshot: pestle_domain::snapshot::Snapshot = serde_json::from_slice(&snapshot).unwrap();
    assert_eq!((snapshot.recalls.len(), snapshot.orders), (1, Some(there.before)));

    let adjustment = json!({
        "id": Uuid::now_v7(), "branch": "north", "product": "p-1", "lot": "A1", "quantity": -4, "reason": "broken"
    });
    let path = "/api/v1/orders/stock-adjustments";
    let (status, body) = post(&gateway, (&person, &token), path, adjustment).await;
    assert_eq!(status, 201, "{body}");
    let order = body["data"]["id"].as_str().unwrap().to_owned();
    state_heads(&wired, connection, there.before, snapshot.version).await;
    let came = wired.orders().await;
    let came = Orders::parse(&came).unwrap().verify(key).unwrap();
    let (at, line) = &came.orders[0];
    let Some(Order { body: OrderBody::StockAdjust(adjust), .. }) = Order::from_line(line.as_bytes()).unwrap()
    else {
        panic!("{line}")
    };
    let adjusted = pestle_domain::fact::StockAdjusted {
        product: adjust.product,
        lot: adjust.lot,
        delta: adjust.delta,
        reason: pestle_domain::fact::AdjustReason::Correction,
        count_wanted: false,
        note: adjust.reason,
    };
    let last = wired.branch.write(vec![applied(*at, line, OrderHow::InTurn), adjusted.into()]);
    committed(&wired.send(opened + 1, last).await);
    let seen = get(&gateway, &person, &token, &format!("/api/v1/orders/{order}")).await;
    assert_eq!(seen["data"]["branches"][0]["state"], "applied", "{seen}");
    let stock = get(&gateway, &person, &token, "/api/v1/branches/north/stock/p-1").await;
    assert_eq!(stock["data"]["quantity"], 6);
    let waiting = get(&gateway, &person, &token, "/api/v1/orders?state=waiting").await;
    assert_eq!(waiting["meta"]["total_items"], 1, "{waiting}");

    let lifted = json!({
        "id": Uuid::now_v7(), "reference": "R-7", "product": "p-1", "lot": "A1", "reason": "another maker"
    });
    let lift = "/api/v1/orders/recalls/lift";
    assert_eq!(post(&gateway, (&person, &token), lift, lifted.clone()).await.0, 201);
    let mut twice = lifted;
    twice["id"] = json!(Uuid::now_v7());
    assert_eq!(post(&gateway, (&person, &token), lift, twice).await.0, 404, "it is over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sells_orders_nothing() {
    let gateway = testing::gateway().await;
    let (person, token) = signed_in(&gateway, Role::Assistant).await;
    let body = json!({"id": Uuid::now_v7(), "reference": "R", "product": "p-1", "reason": "x"});
    assert_eq!(post(&gateway, (&person, &token), "/api/v1/orders/recalls", body).await.0, 403);
}
