//! Tells boxes that a newer snapshot is there, so that a recall or a price is in the branch within seconds.
//!
//! Comfort, never needed: a box asks by itself every minute. So nothing is kept of what was said, a nudge that is lost
//! is lost, and two gateways that both say it do no harm.

use std::{collections::HashMap, sync::Arc, time::Duration};

use pestle_domain::{
    ids::{DeviceId, TenantId},
    wire::{
        message::Nudge,
        topic::{Channel, Topic},
    },
};
use rumqttc::{
    Outgoing,
    v5::{
        AsyncClient, ClientError, ConnectionError, Event, EventLoop, Incoming, MqttOptions, mqttbytes::QoS,
    },
};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::store;
use crate::{
    app::App,
    db::{Db, DbError},
    http::error::chain,
    tenancy,
};

/// A change is noticed after at most this.
const EVERY: Duration = Duration::from_secs(2);
/// Boxes that are told in one go: each fetches a megabyte at once, and a gateway that serves 200 a second has its hands
/// full. The rest is told in the next rounds, or asks by itself.
const BOXES_MAX: usize = 400;
/// How long telling them may take.
const TELL_MAX: Duration = Duration::from_secs(10);

/// The task.
pub async fn run(app: Arc<App>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What there was at the start every box asks about when it connects.
    let mut round = Round::default();
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let due = match round.due(&app.db).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(error = %chain(&error), "whether a snapshot is newer cannot be read: boxes ask by themselves");
                continue;
            }
        };
        if due.is_empty() {
            continue;
        }
        let boxes = due.len();
        match timeout(TELL_MAX, tell(app.broker.client_options("nudge"), due)).await {
            Ok(Ok(())) => tracing::info!(boxes, "boxes were told of a newer snapshot"),
            Ok(Err(error)) => {
                tracing::warn!(error = %chain(&error), "boxes could not be told of a newer snapshot: they ask by themselves")
            }
            Err(_) => {
                tracing::warn!("telling boxes of a newer snapshot took too long: they ask by themselves")
            }
        }
    }
}

/// What was told already.
#[derive(Debug, Default)]
struct Round {
    /// Versions as they were seen last; `None` before the first look.
    seen: Option<HashMap<TenantId, u64>>,
    /// Boxes that are to be told still.
    left: Vec<(DeviceId, u64)>,
}

impl Round {
    /// Whom to tell now, and of which version.
    async fn due(&mut self, db: &Db) -> Result<Vec<(DeviceId, u64)>, DbError> {
        let mut tx = db.system().begin().await?;
        let revisions = tenancy::store::revisions(&mut tx).await?;
        tx.commit().await?;
        if let Some(seen) = &self.seen {
            for (tenant, version) in risen(seen, &revisions) {
                let mut tx = db.tenant(tenant).begin().await?;
                let behind = store::behind(&mut tx, version).await?;
                tx.commit().await?;
                self.left.retain(|(device, _)| !behind.contains(device));
                self.left.extend(behind.into_iter().map(|device| (device, version)));
            }
        }
        self.seen = Some(revisions);
        let later = self.left.split_off(self.left.len().min(BOXES_MAX));
        Ok(std::mem::replace(&mut self.left, later))
    }
}

/// The tenants whose version rose.
fn risen<'a>(
    before: &HashMap<TenantId, u64>,
    now: &'a HashMap<TenantId, u64>,
) -> impl Iterator<Item = (&'a TenantId, u64)> {
    now.iter()
        .filter(|(tenant, version)| before.get(*tenant).is_some_and(|seen| seen < *version))
        .map(|(tenant, version)| (tenant, *version))
}

/// Why nobody was told.
#[derive(Debug, thiserror::Error)]
enum TellError {
    #[error("the broker cannot be reached, or ended the connection")]
    Connection(#[from] Box<ConnectionError>),
    #[error("a message cannot be sent")]
    Client(#[from] Box<ClientError>),
    #[error("a message cannot be written")]
    Json(#[from] serde_json::Error),
}

/// Tells them on a connection of its own, and returns when the broker has everything.
async fn tell(options: MqttOptions, boxes: Vec<(DeviceId, u64)>) -> Result<(), TellError> {
    let (client, mut events) = AsyncClient::new(options, boxes.len().max(1));
    let expected = boxes.len();
    for (device, version) in boxes {
        let message = serde_json::to_vec(&Nudge::Snapshot { version })?;
        let topic = Topic { device, channel: Channel::Nudge }.to_string();
        client.try_publish(topic, QoS::AtLeastOnce, false, message).map_err(Box::new)?;
    }
    taken(&mut events, expected).await?;
    client.try_disconnect().map_err(Box::new)?;
    // Whether the farewell got out changes nothing any more.
    while let Ok(event) = events.poll().await
        && event != Event::Outgoing(Outgoing::Disconnect)
    {}
    Ok(())
}

async fn taken(events: &mut EventLoop, expected: usize) -> Result<(), TellError> {
    let mut taken = 0;
    while taken < expected {
        if let Event::Incoming(Incoming::PubAck(_)) = events.poll().await.map_err(Box::new)? {
            taken += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_that_rose_since_the_last_look_is_told() {
        let tenant = |name: &str| name.parse::<TenantId>().unwrap();
        let before = HashMap::from([(tenant("a"), 3), (tenant("b"), 7)]);
        let now = HashMap::from([(tenant("a"), 4), (tenant("b"), 7), (tenant("c"), 1)]);
        assert_eq!(risen(&before, &now).collect::<Vec<_>>(), [(&tenant("a"), 4)]);
    }
}
