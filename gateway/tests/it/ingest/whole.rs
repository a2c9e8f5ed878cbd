//! The whole way: an enrolled box publishes over mutual TLS, is acknowledged, and people see it.

use std::time::Duration;

use pestle_domain::{
    ids::ConnectionId,
    journal::Head,
    signature::Hash,
    staff::Role,
    units::UnixMillis,
    wire::{
        batch::RefusalReason,
        message::{Answer, Heads, Nudge, Presence, Status, StreamHead},
    },
};
use pestle_gateway::{
    ingest::quarantine::{self, Quarantined},
    testing::{self, TestGateway},
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, mqttbytes::QoS};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::{
    branch::Branch,
    centre::{committed, refused},
};
use crate::platform::{
    broker::{connect, options, until},
    client::{Enrolled, PASSWORD, enrolled, login, signed_in, tenant, trusting, url},
    roles::tokens,
};

/// A box on the wire.
pub(crate) struct Wired {
    pub(crate) branch: Branch,
    client: AsyncClient,
    events: EventLoop,
}

impl Wired {
    pub(crate) async fn new(gateway: &TestGateway, enrolled: &Enrolled) -> Self {
        let device = enrolled.response.identity.device.as_str();
        Self::at(options(gateway, device, Some(enrolled)), enrolled).await
    }

    pub(crate) async fn at(mut options: MqttOptions, enrolled: &Enrolled) -> Self {
        let identity = &enrolled.response.identity;
        let mut branch = Branch::new(identity.branch.as_str(), identity.device.as_str());
        branch.stream.tenant = identity.tenant.clone();
        branch.sign_with(enrolled.key.serialize_der());
        let device = identity.device.as_str();
        options.set_max_packet_size(Some(512 * 1024));
        let (client, mut events) = connect(options).await.unwrap();
        client.subscribe(format!("pestle/v1/d/{device}/down/ack"), QoS::AtLeastOnce).await.unwrap();
        client.subscribe(format!("pestle/v1/d/{device}/down/nudge"), QoS::AtLeastOnce).await.unwrap();
        client.subscribe(format!("pestle/v1/d/{device}/down/orders"), QoS::AtLeastOnce).await.unwrap();
        until(&mut events, |event| matches!(event, Event::Incoming(Incoming::SubAck(_))).then_some(()))
            .await
            .unwrap();
        Self { branch, client, events }
    }

    pub(crate) async fn say(&self, channel: &str, payload: Vec<u8>) {
        let topic = format!("pestle/v1/d/{}/{channel}", self.branch.stream.device);
        self.client.publish(topic, QoS::AtLeastOnce, false, payload).await.unwrap();
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        self.heard("/down/ack").await
    }

    pub(crate) async fn nudge(&mut self) -> Nudge {
        self.heard("/down/nudge").await
    }

    /// The next orders, as they came.
    pub(crate) async fn orders(&mut self) -> Vec<u8> {
        until(&mut self.events, |event| match event {
            Event::Incoming(Incoming::Publish(publish)) if publish.topic.ends_with(b"/down/orders") => {
                Some(publish.payload.to_vec())
            }
            _ => None,
        })
        .await
        .unwrap()
    }

    /// Keeps the link going for a while, without listening for anything.
    pub(crate) async fn poll_for(&mut self, time: Duration) {
        let _ = tokio::time::timeout(time, until(&mut self.events, |_| None::<()>)).await;
    }

    /// The next message on a topic that ends so; others are passed over.
    async fn heard<T: DeserializeOwned>(&mut self, channel: &str) -> T {
        until(&mut self.events, |event| match event {
            Event::Incoming(Incoming::Publish(publish)) if publish.topic.ends_with(channel.as_bytes()) => {
                Some(serde_json::from_slice(&publish.payload).unwrap())
            }
            _ => None,
        })
        .await
        .unwrap()
    }

    pub(crate) async fn send(&mut self, first: u64, last: u64) -> Answer {
        let (_, message) = self.branch.batch(first, last);
        self.say("up/ledger", message).await;
        self.answer().await
    }
}

pub(crate) async fn get(gateway: &TestGateway, client: &reqwest::Client, token: &str, path: &str) -> Value {
    let answer = client.get(url(gateway, path)).bearer_auth(token).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_that_a_box_publishes_is_acknowledged_and_seen_by_people() {
    let gateway = testing::gateway().await;
    let (person, token) = signed_in(&gateway, Role::Manager).await;
    let enrolled = enrolled(&gateway).await;
    let mut wired = Wired::new(&gateway, &enrolled).await;
    let connection = ConnectionId(Uuid::now_v7());
    let status =
        Status { v: 1, connection, state: Presence::Online, at: UnixMillis(0), agent: "0.1.0".into() };
    wired.say("status", serde_json::to_vec(&status).unwrap()).await;

    let opened = wired.branch.open(10);
    assert_eq!(committed(&wired.send(1, opened).await), wired.branch.head(opened));
    let check = format!("/api/v1/branches/{}/stock/p-1", wired.branch.stream.branch);
    assert_eq!(get(&gateway, &person, &token, &check).await["data"]["quantity"], 10);
    let sold = wired.branch.sell("p-1", 3);
    assert_eq!(committed(&wired.send(opened + 1, sold).await), wired.branch.head(sold));
    assert_eq!(
        get(&gateway, &person, &token, &check).await["data"]["quantity"],
        7,
        "the cache forgets at the commit"
    );

    let first = person.get(url(&gateway, &check)).bearer_auth(&token).send().await.unwrap();
    let tag = first.headers()["etag"].clone();
    let again = person
        .get(url(&gateway, &check))
        .bearer_auth(&token)
        .header("if-none-match", tag)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 304);

    let stated = StreamHead { stream: wired.branch.stream.clone(), head: Head::EMPTY };
    let heads = Heads {
        v: 1,
        connection,
        streams: vec![stated],
        waiting: 3,
        snapshot: 5,
        agent: "0.1.0".into(),
        orders: None,
    };
    wired.say("up/heads", serde_json::to_vec(&heads).unwrap()).await;
    assert_eq!(committed(&wired.answer().await), wired.branch.head(sold));

    let later = wired.branch.sell("p-1", 1);
    let last = wired.branch.sell("p-1", 1);
    let gapped = wired.send(later + 1, last).await;
    assert!(matches!(gapped, Answer::Rewind { head, .. } if head == wired.branch.head(sold)), "{gapped:?}");
    // Behind a gap, and what is missing comes while it is parked.
    let (_, message) = wired.branch.batch(later + 1, last);
    wired.say("up/ledger", message).await;
    let answer = wired.send(sold + 1, later).await;
    let head = if committed(&answer) == wired.branch.head(later) {
        committed(&wired.answer().await)
    } else {
        committed(&answer)
    };
    assert_eq!(head, wired.branch.head(last));

    let sales = get(&gateway, &person, &token, "/api/v1/sales").await;
    assert_eq!(
        (&sales["meta"]["total_items"], &sales["data"][0]["currency"]),
        (&3.into(), &"GBP".into()),
        "{sales}"
    );
    let one = get(
        &gateway,
        &person,
        &token,
        &format!("/api/v1/sales/{}", sales["data"][0]["id"].as_str().unwrap()),
    )
    .await;
    assert_eq!(one["data"]["lines"][0]["product"], "p-1", "{one}");
    let tills =
        get(&gateway, &person, &token, &format!("/api/v1/branches/{}/tills", wired.branch.stream.branch))
            .await;
    assert_eq!(
        (&tills["data"][0]["expected_minor"], &tills["data"][0]["state"]),
        (&11_250.into(), &"open".into()),
        "{tills}"
    );
    let wrong = person.get(url(&gateway, "/api/v1/stock?gtin=12")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(wrong.status(), 422);
    let stock = get(&gateway, &person, &token, "/api/v1/stock?product=p-1").await;
    assert_eq!(
        (&stock["data"][0]["quantity"], &stock["data"][0]["lot"]),
        (&5.into(), &"A1".into()),
        "{stock}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_shows_boxes_stock_and_sales_and_moves_by_itself() {
    let gateway = testing::gateway().await;
    let _ = signed_in(&gateway, Role::CentralIt).await;
    let enrolled = enrolled(&gateway).await;
    let mut wired = Wired::new(&gateway, &enrolled).await;
    let opened = wired.branch.open(2);
    wired.send(1, opened).await;

    let person = trusting(&gateway).redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let door = person.get(url(&gateway, "/console")).send().await.unwrap();
    assert_eq!(door.headers()["location"], "/console/sign-in");
    let wrong = person
        .post(url(&gateway, "/console/sign-in"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("login=central_it&password=wrong-password")
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), 401);
    assert!(wrong.text().await.unwrap().contains("role=\"alert\""));

    let (_, body) = login(&gateway, Role::CentralIt.as_str(), PASSWORD).await;
    let cookie = format!("__Host-pestle={}", body["data"]["token"].as_str().unwrap());
    let page = person.get(url(&gateway, "/console")).header("cookie", &cookie).send().await.unwrap();
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let page = page.text().await.unwrap();
    for shown in
        ["North Street", wired.branch.stream.device.as_str(), "p-1", "Low", "Till sessions", "All well"]
    {
        assert!(page.contains(shown), "{shown} is not on the page: {page}");
    }

    let mut stream =
        person.get(url(&gateway, "/console/events")).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut seen = String::new();
    while !seen.contains("event: stock") {
        seen.push_str(&String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap()));
    }
    let sold = wired.branch.sell("p-1", 3);
    wired.send(opened + 1, sold).await;
    let mut seen = String::new();
    while !(seen.contains("Below zero") && seen.contains("GBP 7.50")) {
        seen.push_str(&String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn central_it_books_what_a_box_had_lost_and_nobody_else_does() {
    use Role::{Admin, Assistant, CentralIt, FieldTech, Manager, Pharmacist, Technician};
    let gateway = testing::gateway().await;
    let may_not = [Assistant, Technician, Pharmacist, Manager, FieldTech];
    let tokens = tokens(&gateway, &[&may_not[..], &[CentralIt, Admin]].concat()).await;
    let enrolled = enrolled(&gateway).await;
    let mut wired = Wired::new(&gateway, &enrolled).await;
    let opened = wired.branch.open(10);
    committed(&wired.send(1, opened).await);
    // A broker holds the sale back; the box loses it, and goes on.
    let lost = wired.branch.sell("p-1", 3);
    let (_, held_back) = wired.branch.batch(opened + 1, lost);
    let next = wired.branch.next_epoch(opened);
    wired.say("up/ledger", next.batch(1, next.last()).1).await;
    committed(&wired.answer().await);
    wired.say("up/ledger", held_back).await;
    assert_eq!(refused(&wired.answer().await), RefusalReason::Contradicts);
    let app = &gateway.running.app;
    let mut tx = app.db.tenant(&tenant()).begin().await.unwrap();
    let (kept,): (i64,) =
        sqlx::query_as("SELECT quarantine_id FROM ingest.quarantine").fetch_one(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();

    let person = trusting(&gateway).build().unwrap();
    let book = async |token: &str, number: i64| {
        let path = url(&gateway, &format!("/api/v1/quarantine/{number}/book"));
        let answer = person.post(path).bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let counted = |facts: u64| {
        let text = app.metrics.text().unwrap();
        let line = format!("pestle_gateway_ingest_facts_total {facts}\n");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    };
    counted(opened + next.last());
    for (role, token) in &tokens {
        if may_not.contains(role) {
            assert_eq!(book(token, kept).await.0, 403, "{}", role.as_str());
            continue;
        }
        assert_eq!(book(token, kept + 1_000).await.0, 404);
        // Whoever comes second books nothing more.
        let (status, body) = book(token, kept).await;
        assert_eq!((status, body["data"]["first"].as_u64()), (200, Some(opened + 1)), "{body}");
        counted(lost + next.last());
    }
    let check = format!("/api/v1/branches/{}/stock/p-1", wired.branch.stream.branch);
    let (_, admin) = tokens.last().unwrap();
    assert_eq!(get(&gateway, &person, admin, &check).await["data"]["quantity"], 6);
}

/// Keeps something for people under that reason, and says under which number.
async fn kept(gateway: &TestGateway, reason: &str) -> i64 {
    let mut tx = gateway.running.app.db.tenant(&tenant()).begin().await.unwrap();
    let device = "north-1".parse().unwrap();
    let something = Quarantined {
        device: &device,
        channel: "ledger",
        batch: None,
        reason,
        message: "facts 7 to 9",
        identity: Hash::of(reason.as_bytes()),
        bytes: b"what",
    };
    quarantine::keep(&mut tx, &tenant(), &something).await.unwrap();
    let number = sqlx::query_scalar("SELECT max(quarantine_id) FROM ingest.quarantine")
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    number
}

async fn still_open(gateway: &TestGateway) -> i64 {
    let mut tx = gateway.running.app.db.tenant(&tenant()).begin().await.unwrap();
    quarantine::latest(&mut tx, 10).await.unwrap().1
}

#[tokio::test]
async fn central_it_closes_what_it_has_looked_at_and_nobody_else_does() {
    use Role::{Admin, Assistant, CentralIt, FieldTech, Manager, Pharmacist, Technician};
    let gateway = testing::gateway().await;
    let may_not = [Assistant, Technician, Pharmacist, Manager, FieldTech];
    let tokens = tokens(&gateway, &[&may_not[..], &[CentralIt, Admin]].concat()).await;
    let number = kept(&gateway, "contradicts").await;
    kept(&gateway, "wrong_hash").await;
    let person = trusting(&gateway).build().unwrap();
    let close = async |token: &str, number: i64, seen: &str| {
        let path = url(&gateway, &format!("/api/v1/quarantine/{number}/close{seen}"));
        let answer = person.post(path).bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let mut first = None;
    for (role, token) in &tokens {
        if may_not.contains(role) {
            assert_eq!(close(token, number, "").await.0, 403, "{}", role.as_str());
            assert_eq!(still_open(&gateway).await, 2);
            continue;
        }
        assert_eq!(close(token, number + 1_000, "").await.0, 404);
        let (status, body) = close(token, number, "").await;
        assert_eq!((status, body["data"]["by"].as_str()), (200, Some("X")), "{body}");
        assert_eq!(
            first.get_or_insert_with(|| body["data"].clone()),
            &body["data"],
            "a repeat changes nothing"
        );
        assert_eq!(still_open(&gateway).await, 1);
    }
    kept(&gateway, "contradicts").await;
    assert_eq!(still_open(&gateway).await, 2, "it has come again");
    let (_, admin) = tokens.last().unwrap();
    for (seen, status) in [("?times=1", 409), ("?times=2", 200)] {
        assert_eq!(close(admin, number, seen).await.0, status, "{seen}");
    }
    assert_eq!(still_open(&gateway).await, 1);
}

#[tokio::test]
async fn the_console_has_a_form_for_what_is_kept_and_says_why_something_is_not_booked() {
    let gateway = testing::gateway().await;
    let tokens = tokens(&gateway, &[Role::Manager, Role::CentralIt]).await;
    let (fenced, other) = (kept(&gateway, "fenced").await, kept(&gateway, "contradicts").await);
    let person = trusting(&gateway).redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let [(_, manager), (_, central_it)] = &tokens[..] else { panic!("two") };
    let cookie = |token: &str| format!("__Host-pestle={token}");
    let page = async |token: &str| {
        let page =
            person.get(url(&gateway, "/console")).header("cookie", cookie(token)).send().await.unwrap();
        page.text().await.unwrap()
    };
    let post_seen = async |token: &str, number: i64, act: &str, times: i64| {
        let path = url(&gateway, &format!("/console/quarantine/{number}/{act}"));
        let form = person.post(path).header("cookie", cookie(token));
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        let answer = form.body(format!("times={times}")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let post = async |token: &str, number: i64, act: &str| post_seen(token, number, act, 1).await;
    let action = |number: i64, act: &str| format!("/console/quarantine/{number}/{act}\"");
    let shown = page(central_it).await;
    for (number, act) in [(fenced, "book"), (fenced, "close"), (other, "close")] {
        assert!(shown.contains(&action(number, act)), "{number} {act}: {shown}");
    }
    assert!(!shown.contains(&action(other, "book")), "{shown}");
    let seen = page(manager).await;
    assert!(seen.contains("facts 7 to 9") && !seen.contains("/console/quarantine/"), "{seen}");
    for act in ["book", "close"] {
        assert_eq!(post(manager, fenced, act).await.0, 403, "{act}");
    }
    let (status, said) = post(central_it, fenced, "book").await;
    assert!(status == 409 && said.contains("Not booked"), "{status} {said}");
    assert_eq!(post(central_it, fenced + 1_000, "close").await.0, 404);
    // It comes again while a person looks at the page.
    kept(&gateway, "contradicts").await;
    let (status, said) = post(central_it, other, "close").await;
    assert!(status == 409 && said.contains("it came again since"), "{status} {said}");
    assert!(page(central_it).await.contains(r#"name="times" value="2""#));
    for (number, times) in [(other, 2), (fenced, 1)] {
        assert_eq!(post_seen(central_it, number, "close", times).await.0, 303);
    }
    let shown = page(central_it).await;
    assert!(!shown.contains("facts 7 to 9"), "{shown}");
}
