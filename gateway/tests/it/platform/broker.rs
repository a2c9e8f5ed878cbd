//! Who may do what at the built-in broker, over real mutual TLS.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use pestle_domain::staff::Role;
use pestle_gateway::testing::{self, TestGateway};
use rumqttc::{
    TlsConfiguration, Transport,
    v5::{
        AsyncClient, Event, EventLoop, Incoming, MqttOptions,
        mqttbytes::{QoS, v5::ConnectReturnCode, v5::LastWill},
    },
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::Value;
use tokio::time::timeout;

use super::client::{Enrolled, enrolled, seed, signed_in, trusting, url};

/// Longer than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn options(gateway: &TestGateway, client_id: &str, of: Option<&Enrolled>) -> MqttOptions {
    options_at(gateway.running.app.broker.port(), gateway, client_id, of)
}

pub(crate) fn options_at(
    port: u16,
    gateway: &TestGateway,
    client_id: &str,
    of: Option<&Enrolled>,
) -> MqttOptions {
    let mut roots = RootCertStore::empty();
    roots.add(gateway.running.app.authority.ca_der().clone()).unwrap();
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let config = match of {
        None => builder.with_no_client_auth(),
        Some(enrolled) => {
            let chain = CertificateDer::pem_slice_iter(enrolled.response.certificate_pem.as_bytes());
            let key = PrivateKeyDer::try_from(enrolled.key.serialize_der()).unwrap();
            builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
        }
    };
    let mut options = MqttOptions::new(client_id, "127.0.0.1", port);
    options.set_transport(Transport::Tls(TlsConfiguration::Rustls(Arc::new(config))));
    options.set_keep_alive(Duration::from_secs(30));
    options
}

/// Polls until `want` finds what it looks for; the first error ends it.
pub(crate) async fn until<T>(
    events: &mut EventLoop,
    mut want: impl FnMut(&Event) -> Option<T>,
) -> Result<T, String> {
    let found = async {
        loop {
            match events.poll().await {
                Ok(event) => {
                    if let Some(found) = want(&event) {
                        return Ok(found);
                    }
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    };
    timeout(PATIENCE, found).await.expect("the broker answers in time")
}

pub(crate) async fn connect(options: MqttOptions) -> Result<(AsyncClient, EventLoop), String> {
    let (client, mut events) = AsyncClient::new(options, 16);
    until(&mut events, |event| match event {
        Event::Incoming(Incoming::ConnAck(ack)) => (ack.code == ConnectReturnCode::Success).then_some(()),
        _ => None,
    })
    .await?;
    Ok((client, events))
}

/// The gateway's own connection, subscribed to what all boxes send.
async fn listening(gateway: &TestGateway) -> (AsyncClient, EventLoop) {
    let (client, mut events) = connect(gateway.running.app.broker.client_options("test")).await.unwrap();
    client.subscribe("pestle/v1/d/+/up/heads", QoS::AtLeastOnce).await.unwrap();
    until(&mut events, |event| matches!(event, Event::Incoming(Incoming::SubAck(_))).then_some(()))
        .await
        .unwrap();
    (client, events)
}

#[tokio::test]
async fn a_box_reaches_the_gateway_on_its_own_topic_and_the_gateway_reaches_it() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let north = enrolled(&gateway).await;
    let name = north.response.identity.device.as_str();
    let (_gateway_client, mut heard) = listening(&gateway).await;
    let (client, mut events) = connect(options(&gateway, name, Some(&north))).await.unwrap();
    client.publish(format!("pestle/v1/d/{name}/up/heads"), QoS::AtLeastOnce, false, "hello").await.unwrap();
    until(&mut events, |event| matches!(event, Event::Incoming(Incoming::PubAck(_))).then_some(()))
        .await
        .unwrap();
    let heard = until(&mut heard, |event| match event {
        Event::Incoming(Incoming::Publish(publish)) => Some(publish.payload.clone()),
        _ => None,
    });
    assert_eq!(heard.await.unwrap(), "hello");
}

#[tokio::test]
async fn a_box_that_publishes_elsewhere_is_thrown_off() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let (north, south) = (enrolled(&gateway).await, enrolled(&gateway).await);
    let other = south.response.identity.device.as_str();
    for topic in [format!("pestle/v1/d/{other}/up/heads"), "pestle/v1/d/north-1/down/ack".to_owned()] {
        let name = north.response.identity.device.as_str();
        let (client, mut events) = connect(options(&gateway, name, Some(&north))).await.unwrap();
        client.publish(topic.clone(), QoS::AtLeastOnce, false, "hello").await.unwrap();
        let ended = until(&mut events, |event| match event {
            Event::Incoming(Incoming::PubAck(ack)) => Some(format!("{:?}", ack.reason)),
            Event::Incoming(Incoming::Disconnect(disconnect)) => {
                Some(format!("{:?}", disconnect.reason_code))
            }
            _ => None,
        });
        // An error is the broker hanging up.
        if let Ok(reason) = ended.await {
            assert!(reason.contains("NotAuthorized"), "{topic}: {reason}");
        }
    }
}

#[tokio::test]
async fn a_box_subscribes_to_nothing_but_its_own() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let north = enrolled(&gateway).await;
    let name = north.response.identity.device.as_str();
    let (client, mut events) = connect(options(&gateway, name, Some(&north))).await.unwrap();
    let mut granted = async |filter: String| {
        client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        let codes = until(&mut events, |event| match event {
            Event::Incoming(Incoming::SubAck(ack)) => Some(format!("{:?}", ack.return_codes)),
            _ => None,
        });
        codes.await.unwrap().contains("Success")
    };
    assert!(granted(format!("pestle/v1/d/{name}/down/ack")).await);
    assert!(!granted("pestle/v1/d/+/down/ack".into()).await);
    assert!(!granted("pestle/v1/d/north-9/down/ack".into()).await);
    assert!(!granted(format!("$share/gateways/pestle/v1/d/{name}/up/heads")).await);
}

#[tokio::test]
async fn nobody_connects_without_a_certificate_or_under_another_s_name() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let (north, south) = (enrolled(&gateway).await, enrolled(&gateway).await);
    assert!(connect(options(&gateway, "north-1", None)).await.is_err());
    let other = south.response.identity.device.as_str();
    assert!(connect(options(&gateway, other, Some(&north))).await.is_err());
    assert!(connect(options(&gateway, "gateway", Some(&north))).await.is_err());
}

#[tokio::test]
async fn a_will_for_another_s_topic_is_refused() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let north = enrolled(&gateway).await;
    let name = north.response.identity.device.as_str();
    let with_will = |topic: &str| {
        let mut options = options(&gateway, name, Some(&north));
        options.set_last_will(LastWill::new(topic, "gone", QoS::AtLeastOnce, true, None));
        options
    };
    assert!(connect(with_will("pestle/v1/d/north-9/status")).await.is_err());
    assert!(connect(with_will(&format!("pestle/v1/d/{name}/status"))).await.is_ok());
}

async fn metric(gateway: &TestGateway, line: &str) -> Option<u64> {
    let text = gateway.running.app.metrics.text().unwrap();
    text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
}

#[tokio::test]
async fn nothing_stays_at_the_broker_but_births_and_shadows() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let north = enrolled(&gateway).await;
    let name = north.response.identity.device.as_str();
    let retained = async |topic: &str| {
        let (client, mut events) = connect(options(&gateway, name, Some(&north))).await.unwrap();
        client.publish(topic, QoS::AtLeastOnce, true, "stays").await.unwrap();
        let ended = until(&mut events, |event| match event {
            Event::Incoming(Incoming::PubAck(ack)) => Some(format!("{:?}", ack.reason)),
            Event::Incoming(Incoming::Disconnect(_)) => Some("thrown off".to_owned()),
            _ => None,
        });
        ended.await.is_ok_and(|reason| reason.contains("Success") || reason.contains("NoMatching"))
    };
    assert!(retained(&format!("pestle/v1/d/{name}/status")).await);
    assert!(!retained(&format!("pestle/v1/d/{name}/up/heads")).await);
    let mut with_will = options(&gateway, name, Some(&north));
    let topic = format!("pestle/v1/d/{name}/up/alert");
    with_will.set_last_will(LastWill::new(topic, "gone", QoS::AtLeastOnce, true, None));
    assert!(connect(with_will).await.is_err());
    assert_eq!(metric(&gateway, "pestle_gateway_broker_refused_total{kind=\"retained\"}").await, Some(1));
    assert_eq!(metric(&gateway, "pestle_gateway_broker_refused_total{kind=\"connection\"}").await, Some(1));
}

#[tokio::test]
async fn messages_that_the_broker_gives_up_are_counted() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let north = enrolled(&gateway).await;
    let name = north.response.identity.device.as_str();
    let mut kept = options(&gateway, name, Some(&north));
    kept.set_clean_start(true).set_session_expiry_interval(Some(3_600));
    let (client, mut events) = connect(kept).await.unwrap();
    client.subscribe(format!("pestle/v1/d/{name}/down/ack"), QoS::AtLeastOnce).await.unwrap();
    until(&mut events, |event| matches!(event, Event::Incoming(Incoming::SubAck(_))).then_some(()))
        .await
        .unwrap();
    drop((client, events));
    // More than the broker keeps for one box that is away.
    let (client, mut events) = listening(&gateway).await;
    let topic = format!("pestle/v1/d/{name}/down/ack");
    tokio::spawn(async move {
        for _ in 0..1_500 {
            client.publish(topic.clone(), QoS::AtLeastOnce, false, "x").await.unwrap();
        }
        std::future::pending::<()>().await;
    });
    let dropped = until(&mut events, |_| {
        let text = gateway.running.app.metrics.text().unwrap();
        text.contains("broker_messages_dropped_total{reason=\"queue_full\"}").then_some(())
    });
    dropped.await.unwrap();
}

#[tokio::test]
async fn a_broker_that_ends_ends_the_gateway_and_health_says_so_first() {
    let mut gateway = testing::gateway().await;
    let client = trusting(&gateway).build().unwrap();
    let health = async |gateway: &TestGateway| -> Value {
        client.get(url(gateway, "/health")).send().await.unwrap().json().await.unwrap()
    };
    let deadline = Instant::now() + PATIENCE;
    while health(&gateway).await["ready"] != true {
        assert!(Instant::now() < deadline, "{}", health(&gateway).await);
    }
    assert_eq!(metric(&gateway, "pestle_gateway_broker_link_up").await, Some(1));
    gateway.running.app.broker.end();
    while health(&gateway).await["causes"][0]["part"] != "broker" {
        assert!(Instant::now() < deadline, "{}", health(&gateway).await);
    }
    assert_eq!(metric(&gateway, "pestle_gateway_broker_link_up").await, Some(0));
    assert_eq!(timeout(PATIENCE, gateway.running.failed()).await.unwrap(), "broker");
}

#[tokio::test]
async fn a_revoked_box_is_thrown_off_at_once_and_does_not_come_back() {
    let gateway = testing::gateway().await;
    let (admin, token) = signed_in(&gateway, Role::CentralIt).await;
    let north = enrolled(&gateway).await;
    let name = north.response.identity.device.as_str();
    let (_client, mut events) = connect(options(&gateway, name, Some(&north))).await.unwrap();
    let revoke = admin
        .post(url(&gateway, &format!("/api/v1/devices/{name}/revoke")))
        .bearer_auth(&token)
        .json(&serde_json::json!({ "reason": "stolen" }))
        .send()
        .await
        .unwrap();
    assert_eq!(revoke.status(), 200);
    let ended =
        until(&mut events, |event| matches!(event, Event::Incoming(Incoming::Disconnect(_))).then_some(()));
    let _ = ended.await;
    assert!(connect(options(&gateway, name, Some(&north))).await.is_err());
    let snapshot = north.https(&gateway).get(url(&gateway, "/api/v1/device/snapshot")).send().await.unwrap();
    assert_eq!(snapshot.status(), 403);
}
