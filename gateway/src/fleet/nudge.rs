//! Tells boxes that a newer snapshot or an order is there, so that a recall or a price is in the branch within seconds.
//!
//! Comfort, never needed: a box asks by itself, for orders every half minute and for the snapshot every minute. So nothing is kept of what was said, a nudge that is lost
//! is lost, and two gateways that both say it do no harm.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use pestle_domain::{
    causes::with_causes,
    ids::{BranchId, DeviceId, TenantId},
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
    orders, tenancy,
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
            () = app.nudge.notified() => {}
        }
        let due = match round.due(&app.db).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(error = %with_causes(&error), "whether there is anything to tell boxes cannot be read: they ask by themselves");
                continue;
            }
        };
        if due.is_empty() {
            continue;
        }
        let boxes = due.len();
        match timeout(TELL_MAX, tell(app.broker.client_options("nudge"), due)).await {
            Ok(Ok(())) => tracing::info!(boxes, "boxes were told of something new"),
            Ok(Err(error)) => {
                tracing::warn!(error = %with_causes(&error), "boxes could not be told of something new: they ask by themselves")
            }
            Err(_) => {
                tracing::warn!("telling boxes of something new took too long: they ask by themselves")
            }
        }
    }
}

/// What was told already.
#[derive(Debug, Default)]
struct Round {
    /// Versions as they were seen last; `None` before the first look.
    seen: Option<Seen>,
    /// Boxes that are to be told still.
    left: Vec<(DeviceId, Nudge)>,
}

/// What there is to be told of.
#[derive(Debug, Default)]
struct Seen {
    /// Versions of the snapshots.
    versions: HashMap<TenantId, u64>,
    /// Numbers of the last orders.
    orders: HashMap<(TenantId, BranchId), u64>,
}

impl Round {
    /// Whom to tell now, and what.
    async fn due(&mut self, db: &Db) -> Result<Vec<(DeviceId, Nudge)>, DbError> {
        let mut tx = db.system().begin().await?;
        let versions = tenancy::store::revisions(&mut tx).await?;
        let orders = orders::read::last_numbers(&mut tx).await?;
        tx.commit().await?;
        if let Some(seen) = &self.seen {
            for (tenant, branches) in ordered(&seen.orders, &orders) {
                let mut tx = db.tenant(tenant).begin().await?;
                let writers = store::writers(&mut tx, &branches).await?;
                tx.commit().await?;
                queue(&mut self.left, writers, &Nudge::Heads);
            }
            for (tenant, version) in risen(&seen.versions, &versions) {
                let mut tx = db.tenant(tenant).begin().await?;
                let behind = store::behind(&mut tx, version).await?;
                tx.commit().await?;
                queue(&mut self.left, behind, &Nudge::Snapshot { version });
            }
        }
        self.seen = Some(Seen { versions, orders });
        let later = self.left.split_off(self.left.len().min(BOXES_MAX));
        Ok(std::mem::replace(&mut self.left, later))
    }
}

/// Adds what boxes are to be told, in place of what they were to be told of the same before.
fn queue(left: &mut Vec<(DeviceId, Nudge)>, boxes: Vec<DeviceId>, nudge: &Nudge) {
    let same = |one: &Nudge| std::mem::discriminant(one) == std::mem::discriminant(nudge);
    left.retain(|(device, one)| !(same(one) && boxes.contains(device)));
    left.extend(boxes.into_iter().map(|device| (device, nudge.clone())));
}

/// The branches in whose logs something is new. A branch whose log begins has something new.
fn ordered<'a>(
    before: &HashMap<(TenantId, BranchId), u64>,
    now: &'a HashMap<(TenantId, BranchId), u64>,
) -> BTreeMap<&'a TenantId, Vec<&'a BranchId>> {
    let mut ordered: BTreeMap<&TenantId, Vec<&BranchId>> = BTreeMap::new();
    for (log, last) in now {
        if before.get(log).is_none_or(|seen| seen < last) {
            ordered.entry(&log.0).or_default().push(&log.1);
        }
    }
    ordered
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
async fn tell(options: MqttOptions, boxes: Vec<(DeviceId, Nudge)>) -> Result<(), TellError> {
    let (client, mut events) = AsyncClient::new(options, boxes.len().max(1));
    let expected = boxes.len();
    for (device, nudge) in boxes {
        let message = serde_json::to_vec(&nudge)?;
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

    #[test]
    fn a_branch_is_told_of_its_first_order_and_of_each_later_one() {
        let log = |branch: &str| ("a".parse::<TenantId>().unwrap(), branch.parse::<BranchId>().unwrap());
        let before = HashMap::from([(log("north"), 3), (log("south"), 7)]);
        let now = HashMap::from([(log("north"), 4), (log("south"), 7), (log("west"), 1)]);
        let ordered = ordered(&before, &now);
        let mut told: Vec<&str> = ordered.values().flatten().map(|branch| branch.as_str()).collect();
        told.sort_unstable();
        assert_eq!(told, ["north", "west"]);
    }

    #[test]
    fn a_box_that_waits_to_be_told_is_told_the_latest_of_each_kind_once() {
        let boxes = || vec!["box-1".parse::<DeviceId>().unwrap()];
        let mut left = Vec::new();
        queue(&mut left, boxes(), &Nudge::Snapshot { version: 1 });
        queue(&mut left, boxes(), &Nudge::Heads);
        queue(&mut left, boxes(), &Nudge::Snapshot { version: 2 });
        let told: Vec<Nudge> = left.into_iter().map(|(_, nudge)| nudge).collect();
        assert_eq!(told, [Nudge::Heads, Nudge::Snapshot { version: 2 }]);
    }
}
