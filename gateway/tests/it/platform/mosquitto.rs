//! A real Mosquitto in place of the built-in broker, with the configuration that `admin mosquitto` writes.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use pestle_domain::staff::Role;
use pestle_gateway::{
    admin,
    config::BrokerChoice,
    run,
    testing::{self, TestGateway},
};
use rumqttc::v5::{Event, Incoming, MqttOptions, mqttbytes::QoS};

use super::{
    broker::{connect, options_at, until},
    client::{Enrolled, enrolled, seed},
};
use crate::ingest::{centre::committed, whole::Wired};

/// Longer than Mosquitto's start takes on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(20);

/// Ends with the test.
struct Mosquitto(Child);

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Mosquitto {
    fn start(configuration: &Path, answers: SocketAddr) -> Self {
        let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
            .into_iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
            .unwrap_or_else(|| "mosquitto".into());
        let log = std::fs::File::create(configuration.with_file_name("mosquitto.log")).unwrap();
        let child = Command::new(program)
            .arg("-c")
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("mosquitto is installed (hil-tests/setup.sh test)");
        let running = Self(child);
        let began = Instant::now();
        while TcpStream::connect(answers).is_err() {
            assert!(
                began.elapsed() < START_WITHIN,
                "{}",
                std::fs::read_to_string(configuration.with_file_name("mosquitto.log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }
}

/// Mosquitto has to be told its ports: free ones, taken a moment ago.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A gateway over a Mosquitto, and where boxes connect to that.
async fn gateway() -> (TestGateway, Mosquitto, SocketAddr) {
    let database = testing::database().await;
    let folder = tempfile::tempdir().unwrap();
    let (boxes, gateways) = (free_port(), free_port());
    let mut config = testing::config(&database, folder.path());
    config.broker = BrokerChoice::External(gateways.to_string());
    config.mqtt_public = Some(boxes.to_string());
    let place = folder.path().join("mosquitto");
    let said = admin::mosquitto(&config, &place, boxes, gateways).unwrap();
    assert!(said.contains("mqtt.public"), "{said}");
    // As root Mosquitto gives up its rights for those of "mosquitto", who may not read a folder of tests.
    let configuration = place.join("mosquitto.conf");
    let text = std::fs::read_to_string(&configuration).unwrap();
    std::fs::write(&configuration, format!("user root\n{text}")).unwrap();
    let mosquitto = Mosquitto::start(&configuration, boxes);
    let running = run::start(config).await.unwrap();
    (TestGateway { running, database, folder }, mosquitto, boxes)
}

fn at(boxes: SocketAddr, gateway: &TestGateway, client_id: &str, of: Option<&Enrolled>) -> MqttOptions {
    options_at(boxes.port(), gateway, client_id, of)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mosquitto_takes_the_built_in_broker_s_place() {
    let (gateway, _mosquitto, boxes) = gateway().await;
    seed(&gateway, Role::Admin).await;
    let (north, south) = (enrolled(&gateway).await, enrolled(&gateway).await);
    let (own, other) = (&north.response.identity.device, &south.response.identity.device);
    assert_eq!(north.response.identity.mqtt, boxes.to_string(), "boxes are told their own listener");

    let mut wired = Wired::at(at(boxes, &gateway, own.as_str(), Some(&north)), &north).await;
    let opened = wired.branch.open(10);
    assert_eq!(committed(&wired.send(1, opened).await), wired.branch.head(opened));

    // The rights are the same: nothing of another box's, and nobody without a certificate.
    assert!(connect(at(boxes, &gateway, "north-1", None)).await.is_err());
    let (client, mut events) = connect(at(boxes, &gateway, other.as_str(), Some(&south))).await.unwrap();
    client.publish(format!("pestle/v1/d/{own}/up/heads"), QoS::AtLeastOnce, false, "{}").await.unwrap();
    let refused = until(&mut events, |event| match event {
        Event::Incoming(Incoming::PubAck(ack)) => Some(format!("{:?}", ack.reason)),
        _ => None,
    });
    assert_eq!(refused.await.unwrap(), "NotAuthorized");
    client.subscribe(format!("pestle/v1/d/{own}/down/ack"), QoS::AtLeastOnce).await.unwrap();
    until(&mut events, |event| matches!(event, Event::Incoming(Incoming::SubAck(_))).then_some(()))
        .await
        .unwrap();

    // A box that claims another's client id gets its own: the other stays connected, and hears nothing strange.
    let (_thief, _) = connect(at(boxes, &gateway, own.as_str(), Some(&south))).await.unwrap();
    let sold = wired.branch.sell("p-1", 3);
    assert_eq!(committed(&wired.send(opened + 1, sold).await), wired.branch.head(sold));
    gateway.running.stop().await;
}
