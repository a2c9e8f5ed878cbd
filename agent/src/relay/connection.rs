//! One connection to the broker, from birth to death.
//!
//! rumqttc 0.25 as it was found to be safe (docs/dependencies.md): a new event loop for each connection, a clean start,
//! polled by one task of its own that is never cancelled in the middle, and nothing trusted to its queue: whatever a
//! connection took with it is sent again from the journal.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use pestle_domain::{
    causes::with_causes,
    ids::{ConnectionId, DeviceId},
    wire::{
        MESSAGE_BYTES_MAX, WIRE_VERSION,
        message::{Presence, Status},
        topic::{Channel, Topic},
    },
};
use rumqttc::{
    TlsConfiguration, Transport,
    v5::{
        AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions, StateError,
        mqttbytes::{
            QoS,
            v5::{ConnectReturnCode, DisconnectReasonCode, Filter, LastWill, SubscribeReasonCode},
        },
    },
};
use rustls::ClientConfig;
use tokio::{sync::mpsc, task::JoinHandle};

use super::unreached::{self, CentreAddress};
use crate::clock::Clock;

/// A dead line is noticed after one and a half of these. rumqttc panics below 5 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// TCP, TLS and the broker's answer.
const CONNECT_S_MAX: u64 = 10;
/// Requests that rumqttc holds: all windows, heads and statuses together are fewer, so that it never blocks us.
const REQUESTS_MAX: usize = 128;
/// Unacknowledged messages of QoS 1: above all windows together.
const IN_FLIGHT_MAX: u16 = 64;
/// A message and its topic.
const PACKET_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 1024;

/// Where to connect and as whom.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
    /// The broker's host.
    pub host: String,
    /// And port.
    pub port: u16,
    /// Mutual TLS.
    pub tls: Arc<ClientConfig>,
    /// The client id, and the certificate's name.
    pub device: DeviceId,
    /// The agent's version.
    pub agent: Box<str>,
}

/// What a connection tells.
#[derive(Debug)]
pub enum Word {
    /// Connected and subscribed.
    Up,
    /// A message for us.
    Message(Channel, Vec<u8>),
    /// It ended.
    Down(Down),
    /// The broker ended it because somebody came under the same name.
    TakenOver,
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// For the person in the branch.
    pub sentence: String,
    /// In the words of the system, of TLS or of the broker, where they said something.
    pub cause: Option<String>,
}

impl From<String> for Down {
    fn from(sentence: String) -> Self {
        Self { sentence, cause: None }
    }
}

/// An open connection, or one that is being opened.
#[derive(Debug)]
pub struct Connection {
    /// Its name in births, deaths and heads.
    pub id: ConnectionId,
    client: AsyncClient,
    device: DeviceId,
    agent: Box<str>,
    task: JoinHandle<()>,
}

impl Connection {
    /// Begins to connect as `id`; `words` hears what becomes of it.
    pub fn open(
        settings: &ConnectionSettings,
        id: ConnectionId,
        clock: &Clock,
        words: mpsc::Sender<(ConnectionId, Word)>,
    ) -> Self {
        let ConnectionSettings { host, port, tls, device, agent } = settings;
        let status = Topic { device: device.clone(), channel: Channel::Status }.to_string();
        let death = status_message(id, Presence::Offline, agent, clock);
        let mut options = MqttOptions::new(device.as_str(), host.as_str(), *port);
        options
            .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls.clone())))
            .set_keep_alive(KEEP_ALIVE)
            .set_connection_timeout(CONNECT_S_MAX)
            .set_clean_start(true)
            .set_session_expiry_interval(Some(0))
            .set_max_packet_size(u32::try_from(PACKET_BYTES_MAX).ok())
            .set_outgoing_inflight_upper_limit(IN_FLIGHT_MAX)
            .set_request_channel_capacity(REQUESTS_MAX)
            .set_last_will(LastWill::new(status, death, QoS::AtLeastOnce, true, None));
        let (client, events) = AsyncClient::new(options, REQUESTS_MAX);
        let heard = Heard {
            device: device.clone(),
            centre: CentreAddress { host: host.clone(), port: *port },
            id,
            words: words.clone(),
        };
        let task = tokio::spawn(tell_of_end(poll(events, client.clone(), heard), id, words));
        Self { id, client, device: device.clone(), agent: agent.clone(), task }
    }

    /// Hands a message to the connection. It is sent at least once, unless the connection ends before.
    ///
    /// # Errors
    /// A sentence, when the connection takes nothing more.
    pub fn publish(&self, channel: Channel, message: Vec<u8>, retain: bool) -> Result<(), String> {
        let topic = Topic { device: self.device.clone(), channel }.to_string();
        self.client.try_publish(topic, QoS::AtLeastOnce, retain, message).map_err(|error| error.to_string())
    }

    /// Says that we are here.
    ///
    /// # Errors
    /// As [`Connection::publish`].
    pub fn announce(&self, clock: &Clock) -> Result<(), String> {
        self.publish(Channel::Status, status_message(self.id, Presence::Online, &self.agent, clock), true)
    }

    /// Says that we go, and ends the connection in order. The will is then not sent.
    pub async fn leave(self, clock: &Clock, longest: Duration) {
        let death = status_message(self.id, Presence::Offline, &self.agent, clock);
        let said = self.publish(Channel::Status, death, true).is_ok() && self.client.try_disconnect().is_ok();
        let abort = self.task.abort_handle();
        if !said || tokio::time::timeout(longest, self.task).await.is_err() {
            // The broker then sends the will.
            abort.abort();
        }
    }

    /// Ends the connection at once.
    pub fn drop_now(self) {
        self.task.abort();
    }
}

fn status_message(connection: ConnectionId, state: Presence, agent: &str, clock: &Clock) -> Vec<u8> {
    let status = Status { v: WIRE_VERSION, connection, state, at: clock.wall(), agent: agent.into() };
    serde_json::to_vec(&status).unwrap_or_default()
}

/// Runs `poll`, and reports its panic as the end of the connection: nobody else would.
async fn tell_of_end(
    poll: impl Future<Output = ()>,
    id: ConnectionId,
    words: mpsc::Sender<(ConnectionId, Word)>,
) {
    if AssertUnwindSafe(poll).catch_unwind().await.is_err() {
        let why = "the connection's task failed; the log says why".to_owned();
        // The loop ended: nobody wants it any more.
        let _ = words.send((id, Word::Down(why.into()))).await;
    }
}

/// Who hears what of a connection.
struct Heard {
    device: DeviceId,
    centre: CentreAddress,
    id: ConnectionId,
    words: mpsc::Sender<(ConnectionId, Word)>,
}

async fn poll(mut events: EventLoop, client: AsyncClient, heard: Heard) {
    let Heard { device, centre, id, words } = heard;
    loop {
        let word = match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(answer))) => {
                match subscribe(&client, &device, answer.code) {
                    Ok(()) => continue,
                    Err(why) => Word::Down(why.into()),
                }
            }
            Ok(Event::Incoming(Incoming::SubAck(answer))) => {
                let granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
                if answer.return_codes.iter().all(granted) {
                    Word::Up
                } else {
                    Word::Down("the broker does not let this box hear its answers: its rights at the centre are wrong".to_owned().into())
                }
            }
            Ok(Event::Incoming(Incoming::Publish(message))) => {
                match std::str::from_utf8(&message.topic).ok().and_then(|topic| topic.parse::<Topic>().ok()) {
                    Some(topic) if topic.device == device => {
                        Word::Message(topic.channel, message.payload.to_vec())
                    }
                    _ => continue,
                }
            }
            Ok(Event::Incoming(Incoming::Disconnect(bye))) => {
                Word::Down(unreached::ended(bye.reason_code, &centre).into())
            }
            Ok(_) => continue,
            Err(ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }))
                if is_taken_over(reason_code, reason_string.as_deref()) =>
            {
                Word::TakenOver
            }
            Err(error) => {
                let (sentence, cause) = (unreached::sentence(&error, &centre), with_causes(&error));
                Word::Down(Down { sentence, cause: Some(cause) })
            }
        };
        let down = matches!(word, Word::Down(_) | Word::TakenOver);
        if words.send((id, word)).await.is_err() || down {
            return;
        }
    }
}

/// Whether the broker says that another connection under our name took this one's place: MQTT 5 (3.14.2.1) has a code of its
/// own for it; the broker inside the gateway says "not authorised" with this word.
fn is_taken_over(code: DisconnectReasonCode, said: Option<&str>) -> bool {
    match code {
        DisconnectReasonCode::SessionTakenOver => true,
        DisconnectReasonCode::NotAuthorized => said.is_some_and(|said| said.starts_with("Kicked")),
        _ => false,
    }
}

fn subscribe(client: &AsyncClient, device: &DeviceId, code: ConnectReturnCode) -> Result<(), String> {
    if code != ConnectReturnCode::Success {
        return Err(format!("the broker refuses this box ({code:?})"));
    }
    let filters = [Channel::Ack, Channel::Orders, Channel::Nudge]
        .map(|channel| Filter::new(Topic { device: device.clone(), channel }.to_string(), QoS::AtLeastOnce));
    client.try_subscribe_many(filters).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_another_box_took_is_told_from_rights_that_were_taken_away() {
        let check = |code, said, expected| assert_eq!(is_taken_over(code, said), expected, "{said:?}");
        check(DisconnectReasonCode::SessionTakenOver, None, true);
        check(DisconnectReasonCode::NotAuthorized, Some("Kicked"), true);
        check(DisconnectReasonCode::NotAuthorized, Some("SubscribeRefused"), false);
        check(DisconnectReasonCode::NotAuthorized, None, false);
        check(DisconnectReasonCode::AdministrativeAction, Some("ByAdminKick"), false);
    }

    #[tokio::test]
    async fn an_absent_centre_is_told_in_words_for_a_person() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::open(folder.path()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        // Nobody listens there: it was free a moment ago, and is not given away again so soon.
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let settings = ConnectionSettings {
            host: "127.0.0.1".into(),
            port: free.port(),
            tls: Arc::new(tls),
            device: "box-1".parse().unwrap(),
            agent: "test".into(),
        };
        let (words, mut heard) = mpsc::channel(1);
        let _connection = Connection::open(&settings, ConnectionId(uuid::Uuid::nil()), &clock, words);
        let told = tokio::time::timeout(Duration::from_secs(20), heard.recv()).await.unwrap();
        let Some((_, Word::Down(why))) = told else { panic!("{told:?}") };
        let Down { sentence, cause } = why;
        assert!(sentence.contains("its service does not") && !sentence.contains("os error"), "{sentence}");
        assert!(cause.is_some_and(|cause| cause.contains("os error")));
    }

    #[tokio::test]
    async fn a_connection_whose_task_fails_is_down_and_nobody_waits_for_it() {
        let id = ConnectionId(uuid::Uuid::nil());
        let (words, mut heard) = mpsc::channel(1);
        tell_of_end(async { panic!("as rumqttc may") }, id, words).await;
        assert!(matches!(heard.recv().await, Some((of, Word::Down(_))) if of == id));
    }
}
