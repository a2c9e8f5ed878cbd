//! Gathers deliveries into groups, verifies one group while another is committed, answers, and only then tells the
//! broker that a message is done with.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::FutureExt as _;
use pestle_domain::{
    causes::with_causes,
    ids::DeviceId,
    wire::{
        message::{Answer, Heads, Status},
        topic::{Channel, Topic},
    },
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout_at},
};

use super::{
    BUSY_RETRY_MS, Entry, Incoming, Ingest, Settled,
    gather::{Grow, gather},
    link::Delivery,
    live::Changed,
    presence,
    rules::Sender,
};
use crate::db::DbError;

/// How long a batch behind a gap waits for what another gateway may be committing: in a backlog that one keeps its group open for a
/// commit and [`super::gather`]'s lingering, and then commits it.
const PARK: Duration = Duration::from_secs(1);
/// Messages that perhaps nobody can send again and that are not kept yet: so many stay with the broker, unacknowledged, and are tried
/// again and again. That is half of what it has on its way here: more would take the place of everything else.
const LAST_COPIES_MAX: usize = crate::broker::client::RECEIVE_MAX as usize / 2;
/// How long one of them waits for a person or the database before it is tried again.
const LAST_COPY_AGAIN: Duration = Duration::from_secs(2);
/// Longest that boxes are told to wait while the database is away, in milliseconds.
const BUSY_RETRY_MS_MAX: u64 = 30_000;

/// Early copies that wait to be noted: a box sends few, and at a time when hundreds send more the ledger itself is at hand. As many
/// again may just be noted; the longest of all of them are 32 MiB.
const COPIES_MAX: usize = 64;

/// Messages that go into one transaction together, verified.
#[derive(Default)]
struct Group {
    batches: Vec<(Delivery, Entry)>,
    notes: Vec<(Delivery, DeviceId, Note)>,
}

/// A small message.
enum Note {
    Heads(Heads),
    Status(Status),
}

/// A batch behind a gap, or what perhaps nobody can send again and is not kept yet.
struct Parked {
    until: Instant,
    delivery: Delivery,
    entry: Entry,
}

impl Parked {
    /// Whether it is tried at `now`. Any group may bring what lies before a gap; a person or the database, for whom the last copies
    /// wait, do not come with it.
    fn is_due(&self, now: Instant) -> bool {
        self.until <= now || !self.entry.is_last_copy()
    }
}

/// Works until the inbox is closed.
pub async fn run(ingest: Ingest, inbox: mpsc::Receiver<Delivery>) {
    // One group is committed, one waits verified, one is gathered.
    let (ready, groups) = mpsc::channel(1);
    let (copies, urgent) = mpsc::channel(COPIES_MAX);
    let (done, settled) = watch::channel(0);
    let gathering = {
        let ingest = ingest.clone();
        // Its end is that of the early copies.
        async move { gather(|| Gathered::new(&ingest, &copies), inbox, ready, settled).await }
    };
    tokio::join!(
        gathering.boxed(),
        note_copies(ingest.clone(), urgent).boxed(),
        settle(ingest.clone(), groups, done).boxed()
    );
}

/// Notes early copies beside the ledger, which waits for none of them.
async fn note_copies(ingest: Ingest, mut copies: mpsc::Receiver<Copied>) {
    let mut some = Vec::new();
    while copies.recv_many(&mut some, COPIES_MAX).await > 0 {
        ingest.early(std::mem::take(&mut some)).boxed().await;
    }
}

/// An early copy of urgent facts, and who sent it.
type Copied = (DeviceId, Bytes);

/// A group that still grows.
struct Gathered<'a> {
    ingest: &'a Ingest,
    copies: &'a mpsc::Sender<Copied>,
    group: Group,
    unread: Vec<(Delivery, Incoming)>,
    bytes: usize,
}

impl<'a> Gathered<'a> {
    fn new(ingest: &'a Ingest, copies: &'a mpsc::Sender<Copied>) -> Self {
        Self { ingest, copies, group: Group::default(), unread: Vec::new(), bytes: 0 }
    }
}

impl Grow for Gathered<'_> {
    type One = Delivery;
    type Group = Group;

    fn bytes(&self) -> usize {
        self.bytes
    }

    async fn take(&mut self, delivery: Delivery) {
        self.bytes += delivery.publish.payload.len();
        sort_in(self.ingest, delivery, &mut self.group, &mut self.unread, self.copies).await;
    }

    async fn verify(&mut self) {
        let (deliveries, incoming): (Vec<_>, Vec<_>) = self.unread.drain(..).unzip();
        let entries = self.ingest.read(incoming).boxed().await;
        self.group.batches.extend(deliveries.into_iter().zip(entries));
    }

    fn close(self) -> Group {
        self.group
    }
}

/// Tells what a delivery is. What is nothing of ours is counted, and done with.
async fn sort_in(
    ingest: &Ingest,
    delivery: Delivery,
    group: &mut Group,
    facts: &mut Vec<(Delivery, Incoming)>,
    copies: &mpsc::Sender<Copied>,
) {
    let topic =
        std::str::from_utf8(&delivery.publish.topic).ok().and_then(|topic| topic.parse::<Topic>().ok());
    let payload = delivery.publish.payload.clone();
    match topic {
        Some(Topic { device, channel: Channel::Facts(lane) }) => {
            facts.push((delivery, Incoming { device, lane: Some(lane), message: payload }));
        }
        Some(Topic { device, channel: Channel::Heads }) => match read::<Heads>(&payload) {
            Some(heads) => group.notes.push((delivery, device, Note::Heads(heads))),
            None => stray(ingest, &delivery).await,
        },
        Some(Topic { device, channel: Channel::Status }) => match read::<Status>(&payload) {
            Some(status) => group.notes.push((delivery, device, Note::Status(status))),
            None => stray(ingest, &delivery).await,
        },
        // The same signed fact comes by its lane, and has its effect there. So the broker is told at once: copies that wait,
        // unacknowledged, would be all that it may have on its way here, and it would deliver nothing of the ledger.
        Some(Topic { device, channel: Channel::Alert }) => {
            if let Err(full) = copies.try_send((device, payload)) {
                ingest.metrics().alerts.inc();
                ingest.metrics().alerts_lost.inc();
                let (device, _) = full.into_inner();
                tracing::warn!(%device, "an early copy was left aside, too many wait: the fact comes in its turn");
            }
            delivery.acknowledge().await;
        }
        _ => stray(ingest, &delivery).await,
    }
}

fn read<T: DeserializeOwned>(payload: &[u8]) -> Option<T> {
    serde_json::from_slice(payload).ok()
}

async fn stray(ingest: &Ingest, delivery: &Delivery) {
    ingest.metrics().strays.inc();
    let topic = String::from_utf8_lossy(&delivery.publish.topic);
    tracing::warn!(%topic, "a message on no topic of ours, or one that cannot be read, was dropped");
    delivery.acknowledge().await;
}

async fn settle(ingest: Ingest, mut groups: mpsc::Receiver<Group>, done: watch::Sender<u64>) {
    let mut parked: Vec<Parked> = Vec::new();
    let mut outage = Outage::default();
    while let Some(next) = next(&mut groups, &parked).await {
        let (mut group, settles) = match next {
            Next::Group(group) => (group, 1),
            Next::ParkedLongEnough => (Group::default(), 0),
        };
        let mut until: HashMap<usize, Instant> = HashMap::new();
        let now = Instant::now();
        let (due, waiting): (Vec<_>, Vec<_>) = parked.drain(..).partition(|one| one.is_due(now));
        parked = waiting;
        for (index, one) in due.into_iter().enumerate() {
            until.insert(index, one.until);
            group.batches.insert(index, (one.delivery, one.entry));
        }
        settle_one(&ingest, group, &until, &mut parked, &mut outage).await;
        done.send_modify(|count| *count += settles);
    }
}

/// How long boxes are told to wait while the database is away: the longer it lasts, the longer, so that ten thousand
/// boxes do not ask again every two seconds. Nothing is kept here meanwhile: the boxes have it, and a broker that had to
/// keep what each box sends again would lose some of it.
#[derive(Debug, Default)]
struct Outage {
    groups: u32,
}

impl Outage {
    /// What the next box is told, in milliseconds.
    fn retry_ms(&self) -> u64 {
        BUSY_RETRY_MS.saturating_mul(1 << self.groups.min(4)).min(BUSY_RETRY_MS_MAX)
    }

    fn after(&mut self, away: usize) {
        self.groups = if away == 0 { 0 } else { self.groups.saturating_add(1) };
    }
}

/// What is to be settled next.
enum Next {
    Group(Group),
    /// Of what is parked something has waited long enough.
    ParkedLongEnough,
}

/// `None` at the end.
async fn next(groups: &mut mpsc::Receiver<Group>, parked: &[Parked]) -> Option<Next> {
    let group = match parked.iter().map(|one| one.until).min() {
        None => groups.recv().await,
        Some(until) => match timeout_at(until, groups.recv()).await {
            Ok(group) => group,
            Err(_) => return Some(Next::ParkedLongEnough),
        },
    };
    group.map(Next::Group)
}

/// Settles a group: everything in it is answered and done with, or parked behind a gap.
async fn settle_one(
    ingest: &Ingest,
    group: Group,
    until: &HashMap<usize, Instant>,
    parked: &mut Vec<Parked>,
    outage: &mut Outage,
) {
    for (delivery, device, note) in group.notes {
        if let Err(error) = take_note(ingest, &delivery, &device, &note).await {
            // A box states its heads again, and with them that it is there.
            tracing::warn!(%device, error = %with_causes(&error), "what a box says of itself could not be noted");
        }
        delivery.acknowledge().await;
    }
    let (deliveries, entries): (Vec<Delivery>, Vec<Entry>) = group.batches.into_iter().unzip();
    let settled = ingest.settle(entries).boxed().await;
    let mut told: HashMap<DeviceId, Answer> = HashMap::new();
    let mut away = 0;
    for (index, (delivery, settled)) in deliveries.into_iter().zip(settled).enumerate() {
        away += usize::from(matches!(settled, Settled::Away(_)));
        match settled {
            Settled::Gap(sender, batch, head) => {
                let now = Instant::now();
                let deadline = until.get(&index).copied().unwrap_or(now + PARK);
                if deadline > now {
                    parked.push(Parked { until: deadline, delivery, entry: Entry::Batch(sender, batch) });
                } else {
                    answer(&delivery, ingest.last_word(Settled::Gap(sender, batch, head)), &mut told).await;
                }
            }
            Settled::Away(entry) | Settled::Stuck(entry)
                if entry.is_last_copy() && make_room(parked, &entry).await =>
            {
                parked.push(Parked { until: Instant::now() + LAST_COPY_AGAIN, delivery, entry });
            }
            Settled::Away(entry) => {
                count_given_up(ingest, &entry);
                let word = ingest.busy(&entry, outage.retry_ms());
                answer(&delivery, word, &mut told).await;
            }
            // It would stand before everybody else's for as long as nobody mends it.
            Settled::Stuck(entry) => {
                count_given_up(ingest, &entry);
                answer(&delivery, ingest.last_word(Settled::Stuck(entry)), &mut told).await;
            }
            Settled::Answered(word) => answer(&delivery, word, &mut told).await,
        }
    }
    if away > 0 {
        tracing::warn!(
            batches = away,
            retry_ms = outage.retry_ms(),
            "the database is away: nothing is lost, boxes send again"
        );
    }
    outage.after(away);
}

/// Whether this one, which perhaps nobody can send again, may stay with the broker. What waits behind gaps takes no room of theirs,
/// and what came twice (over a connection that is gone, or under another batch id) takes one place: the one that came first is done
/// with.
async fn make_room(parked: &mut Vec<Parked>, entry: &Entry) -> bool {
    let same =
        parked.iter().position(|one| one.entry.is_last_copy() && one.entry.identity() == entry.identity());
    if let Some(same) = same {
        parked.remove(same).delivery.acknowledge().await;
    }
    parked.iter().filter(|one| one.entry.is_last_copy()).count() < LAST_COPIES_MAX
}

/// The broker is told that a message is done with: if its box cannot send it again either, it is lost.
fn count_given_up(ingest: &Ingest, entry: &Entry) {
    let Entry::Refused(incoming, _, refusal) = entry else { return };
    if entry.is_last_copy() {
        ingest.metrics().last_copies_given_up.inc();
        tracing::error!(device = %incoming.device, message = refusal.message, "too many wait that cannot be kept: perhaps the last copy of a batch is given up, unless its box sends it again");
    }
}

/// Answers, unless the device has just been told the same (one commit of many batches is one acknowledgement), and
/// is then done with the message.
async fn answer(delivery: &Delivery, word: Answer, told: &mut HashMap<DeviceId, Answer>) {
    if let Some(device) = device_of(delivery)
        && told.get(&device) != Some(&word)
    {
        tell(delivery, &word).await;
        told.insert(device, word);
    }
    delivery.acknowledge().await;
}

fn device_of(delivery: &Delivery) -> Option<DeviceId> {
    let topic: Topic = std::str::from_utf8(&delivery.publish.topic).ok()?.parse().ok()?;
    Some(topic.device)
}

async fn tell(delivery: &Delivery, word: &Answer) {
    let Some(device) = device_of(delivery) else { return };
    match serde_json::to_vec(word) {
        Ok(payload) => delivery.answer(Topic { device, channel: Channel::Ack }.to_string(), payload).await,
        Err(error) => tracing::error!(%error, "an answer cannot be written"),
    }
}

async fn take_note(
    ingest: &Ingest,
    delivery: &Delivery,
    device: &DeviceId,
    note: &Note,
) -> Result<(), DbError> {
    let Some(sender) = ingest.sender(device).await? else {
        tracing::warn!(%device, "a box that is not enrolled here says something");
        return Ok(());
    };
    if sender.revoked {
        return Ok(());
    }
    ingest.note(&sender, note).await?;
    if let Note::Heads(heads) = note {
        for word in ingest.heads(&sender, &heads.streams).await? {
            tell(delivery, &word).await;
        }
        if let Some(message) = ingest.orders(&sender, heads).await? {
            let topic = Topic { device: device.clone(), channel: Channel::Orders };
            delivery.answer(topic.to_string(), message).await;
        }
    }
    Ok(())
}

impl Ingest {
    async fn note(&self, sender: &Arc<Sender>, note: &Note) -> Result<(), DbError> {
        let mut tx = self.db.tenant(&sender.tenant).begin().await?;
        match note {
            Note::Heads(heads) => presence::note_heads(&mut tx, sender, heads).await?,
            Note::Status(status) => presence::note_status(&mut tx, sender, status).await?,
        }
        tx.commit().await?;
        self.live.tell(Changed { devices: true, ..Changed::nothing(sender.tenant.clone()) });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pestle_domain::{
        journal::{Acknowledgement, Head, Lane, Stream},
        signature::SignatureError,
        wire::{
            batch::RefusalReason,
            orders::{Header, Span},
        },
    };
    use sqlx::postgres::PgConnectOptions;

    use super::*;
    use crate::{
        db::Db,
        ingest::{live::Live, metrics::IngestMetrics, rules::Refusal, seal::Seal},
        inventory::cache::StockCache,
    };

    #[test]
    fn the_longer_an_outage_lasts_the_longer_boxes_wait() {
        let mut outage = Outage::default();
        let told: Vec<u64> = (0..6)
            .map(|_| {
                let retry_ms = outage.retry_ms();
                outage.after(3);
                retry_ms
            })
            .collect();
        assert_eq!(told, [2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        outage.after(0);
        assert_eq!(outage.retry_ms(), 2_000);
    }

    /// A database that is away, and nobody who signs.
    fn ingest_without_database() -> Ingest {
        struct Nobody;
        impl Seal for Nobody {
            fn acknowledge(&self, _: u64, _: Stream, _: Head) -> Result<Acknowledgement, SignatureError> {
                Err(SignatureError::Mismatch)
            }
            fn orders(&self, _: Span) -> Result<Header, SignatureError> {
                Err(SignatureError::Mismatch)
            }
        }
        let away = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(1);
        let (stock, metrics) = (StockCache::default(), IngestMetrics::default());
        Ingest::new(Db::new(away), Arc::new(Nobody), Live::default(), stock, metrics)
    }

    fn of_a_revoked_box(number: usize) -> Entry {
        let device: DeviceId = "box-1".parse().unwrap();
        let sender = Sender {
            tenant: "acme".parse().unwrap(),
            branch: "north".parse().unwrap(),
            device: device.clone(),
            term: 1,
            keys: Vec::new(),
            revoked: true,
            earlier: Vec::new(),
        };
        let refusal = Refusal {
            batch: None,
            stream: None,
            identity: None,
            reason: RefusalReason::NotAllowed,
            message: "it is revoked".into(),
            kept_as: None,
        };
        let incoming =
            Incoming { device, lane: Some(Lane::Ledger), message: format!("what {number}").into() };
        Entry::Refused(incoming, Some(Arc::new(sender)), refusal)
    }

    #[test]
    fn the_next_group_tries_what_waits_behind_a_gap_and_only_time_what_nobody_can_send_again() {
        let now = Instant::now();
        let due_at = |entry: Entry, at: Instant| {
            let delivery = Delivery::of_the_past("pestle/v1/d/box-1/up/ledger");
            Parked { until: now + LAST_COPY_AGAIN, delivery, entry }.is_due(at)
        };
        let Entry::Refused(incoming, ..) = of_a_revoked_box(1) else { panic!("it is refused") };
        assert!(due_at(Entry::Away(incoming), now));
        assert!(!due_at(of_a_revoked_box(1), now));
        assert!(due_at(of_a_revoked_box(1), now + LAST_COPY_AGAIN));
    }

    #[tokio::test]
    async fn what_waits_behind_gaps_or_came_twice_takes_no_room_of_what_nobody_can_send_again() {
        let ingest = ingest_without_database();
        let delivery = || Delivery::of_the_past("pestle/v1/d/box-1/up/ledger");
        let until = Instant::now() + PARK;
        // Any that can be sent again.
        let other = |number| {
            let Entry::Refused(incoming, ..) = of_a_revoked_box(number) else { unreachable!() };
            Parked { until, delivery: delivery(), entry: Entry::Away(incoming) }
        };
        let mut parked: Vec<Parked> = (0..LAST_COPIES_MAX).map(other).collect();
        // The last of them comes twice, and one more than there is room for.
        let numbers = (0..LAST_COPIES_MAX).chain([LAST_COPIES_MAX - 1, LAST_COPIES_MAX]);
        let batches = numbers.map(|number| (delivery(), of_a_revoked_box(number))).collect();
        let group = Group { batches, notes: Vec::new() };
        let mut outage = Outage::default();
        settle_one(&ingest, group, &HashMap::new(), &mut parked, &mut outage).await;
        let waiting = parked.iter().filter(|one| one.entry.is_last_copy()).count();
        assert_eq!(waiting, LAST_COPIES_MAX);
        assert_eq!(ingest.metrics().last_copies_given_up.get(), 1);
        // Those that stay here tell of an outage too.
        let one = Group { batches: vec![(delivery(), of_a_revoked_box(0))], notes: Vec::new() };
        settle_one(&ingest, one, &HashMap::new(), &mut Vec::new(), &mut outage).await;
        assert_eq!(outage.retry_ms(), 4 * BUSY_RETRY_MS);
    }

    #[test]
    fn lanes_and_notes_are_told_apart_by_their_topic() {
        let channel = |text: &str| text.parse::<Topic>().map(|topic| topic.channel);
        assert_eq!(channel("pestle/v1/d/box-1/up/ledger"), Ok(Channel::Facts(Lane::Ledger)));
        assert_eq!(channel("pestle/v1/d/box-1/up/heads"), Ok(Channel::Heads));
        assert!(read::<Heads>(b"{}").is_none());
    }
}
