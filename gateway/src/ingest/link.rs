//! The connection to the broker, whichever it is.
//!
//! Each connection has its own event loop, so that nothing queued for one (an acknowledgement by packet number above
//! all) can be sent on the next, where the number means another message. The broker keeps our session between
//! connections and delivers again what was not acknowledged. The event loop is polled by a task that does nothing
//! else, since a poll that is cancelled loses what it had read.

use std::time::Duration;

use pestle_domain::{causes::with_causes, wire::topic::gateway_subscribes};
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions,
    mqttbytes::{
        QoS,
        v5::{Filter, Publish, SubscribeReasonCode},
    },
};
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::broker::metrics::Link;

/// Answers and acknowledgements that may wait to be written: those of two full groups.
const REQUESTS_MAX: usize = 256;
/// Deliveries that may wait to be gathered. The broker has at most 64 on their way to one connection; what a dead one
/// left may still be here.
pub const INBOX_MAX: usize = 512;
/// First wait before connecting again; doubled up to the last.
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
/// Longest wait before connecting again.
const RECONNECT_LAST: Duration = Duration::from_secs(5);
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// A message, with the connection that it came by.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// As the broker sent it.
    pub publish: Publish,
    connection: AsyncClient,
}

impl Delivery {
    /// By a connection that is gone.
    #[cfg(test)]
    pub(super) fn of_the_past(topic: &str) -> Self {
        let (connection, _) = AsyncClient::new(MqttOptions::new("past", "localhost", 1), 1);
        Self { publish: Publish::new(topic, QoS::AtLeastOnce, Vec::new(), None), connection }
    }

    /// Tells the broker that this message is done with. If its connection is gone, nothing is told: the broker
    /// delivers it again, and it is recognised.
    pub async fn acknowledge(&self) {
        if self.connection.ack(&self.publish).await.is_err() {
            tracing::debug!("a delivery outlived its connection: it comes again");
        }
    }

    /// Publishes an answer on the same connection. Lost with it; boxes ask again.
    pub async fn answer(&self, topic: String, payload: Vec<u8>) {
        if self.connection.publish(topic, QoS::AtLeastOnce, false, payload).await.is_err() {
            tracing::debug!("an answer outlived its connection: the box asks again");
        }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the broker cannot be reached, or ended the connection")]
    Connection(#[source] Box<ConnectionError>),
    #[error("the broker refused a subscription ({0:?}): check the rights of the gateway's certificate")]
    Subscription(SubscribeReasonCode),
    #[error("messages wait for the database: the broker keeps what comes")]
    InboxFull,
    #[error("the gateway ends")]
    InboxClosed,
}

/// Keeps a connection until `stop`, and puts what comes into `inbox`.
pub async fn run(options: MqttOptions, inbox: mpsc::Sender<Delivery>, state: Link, stop: CancellationToken) {
    let mut wait = RECONNECT_FIRST;
    while !stop.is_cancelled() {
        let (client, events) = AsyncClient::new(options.clone(), REQUESTS_MAX);
        let mut driven = tokio::spawn(drive(client.clone(), events, inbox.clone(), state.clone()));
        let ended = tokio::select! {
            ended = &mut driven => ended,
            () = stop.cancelled() => {
                let _ = client.try_disconnect();
                if tokio::time::timeout(FAREWELL, &mut driven).await.is_err() {
                    driven.abort();
                }
                return;
            }
        };
        state.set(false);
        match ended {
            Ok((_, Ended::InboxClosed)) => return,
            Ok((lived, reason)) => {
                tracing::warn!(error = %with_causes(&reason), retry_in = ?wait, "the link to the broker ended");
                wait = if lived { RECONNECT_FIRST } else { (wait * 2).min(RECONNECT_LAST) };
            }
            Err(error) => tracing::error!(%error, "the link to the broker broke down"),
        }
        tokio::select! {
            () = sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Polls one connection to its end. Whether it ever stood comes with the reason.
async fn drive(
    client: AsyncClient,
    mut events: EventLoop,
    inbox: mpsc::Sender<Delivery>,
    state: Link,
) -> (bool, Ended) {
    let mut lived = false;
    loop {
        let event = match events.poll().await {
            Ok(event) => event,
            Err(error) => return (lived, Ended::Connection(Box::new(error))),
        };
        match event {
            Event::Incoming(Incoming::ConnAck(answer)) => {
                tracing::info!(session_present = answer.session_present, "linked to the broker");
                // Also where the session is kept: a new version may subscribe to more. A shared subscription brings
                // no retained messages, so that this repeats nothing.
                let filters = gateway_subscribes().map(|path| Filter::new(path, QoS::AtLeastOnce));
                if client.subscribe_many(filters).await.is_err() {
                    return (lived, Ended::InboxClosed);
                }
                lived = true;
            }
            Event::Incoming(Incoming::SubAck(answer)) => {
                let refused = |code: &&SubscribeReasonCode| !matches!(code, SubscribeReasonCode::Success(_));
                if let Some(code) = answer.return_codes.iter().find(refused) {
                    return (false, Ended::Subscription(*code));
                }
                state.set(true);
            }
            Event::Incoming(Incoming::Publish(publish)) => {
                let careless = publish.qos == QoS::AtMostOnce;
                match inbox.try_send(Delivery { publish, connection: client.clone() }) {
                    Ok(()) => {}
                    // Nobody promised anything for a message at QoS 0.
                    Err(mpsc::error::TrySendError::Full(_)) if careless => {
                        tracing::warn!("a message at QoS 0 was dropped: the inbox is full");
                    }
                    Err(mpsc::error::TrySendError::Full(_)) => return (false, Ended::InboxFull),
                    Err(mpsc::error::TrySendError::Closed(_)) => return (lived, Ended::InboxClosed),
                }
            }
            _ => {}
        }
    }
}
