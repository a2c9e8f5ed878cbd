//! Sends urgent acts early: the same signed facts on `up/alert`, while the ledger has others to send first. They have their
//! effect when their turn comes; the copy wakes people.

use std::sync::atomic::Ordering::Relaxed;

use pestle_domain::{
    ids::BatchId,
    journal::{Lane, Stream},
    signature::Hash,
    wire::{WIRE_VERSION, batch, topic::Channel},
};
use tokio::sync::broadcast;
use uuid::Uuid;

use super::{alerts::Alert, driver::RelayTask, lane::StreamKey};
use crate::journal::{Committed, JournalError, StoredAct};

/// An urgent act that was read, with the chain's value before it.
pub(super) type AlertRead = (Alert, Result<Option<(Hash, StoredAct)>, JournalError>);

/// The next urgent act; for ever where nobody tells.
pub(super) async fn urgent(told: &mut Option<broadcast::Receiver<Committed>>) -> Alert {
    while let Some(receiver) = told {
        match receiver.recv().await {
            Ok(Committed { first, last, .. }) => {
                return Alert { epoch: first.epoch, first: first.seq, last: last.seq };
            }
            // The ledger brings those too.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => *told = None,
        }
    }
    std::future::pending().await
}

impl RelayTask {
    /// Tells the relay of urgent acts from now on.
    #[must_use]
    pub fn with_alerts(mut self, urgent: broadcast::Receiver<Committed>) -> Self {
        self.urgent = Some(urgent);
        self
    }

    /// Begins to read what is to be sent early, if the connection is up.
    pub(super) fn look_for_alerts(&mut self) {
        if self.alerts.is_empty() || !self.link.is_connected() {
            return;
        }
        let link = &self.link;
        let on_its_way = |epoch| link.sent_to(StreamKey { lane: Lane::Ledger, epoch }).unwrap_or(u64::MAX);
        while let Some(alert) = self.alerts.next(on_its_way) {
            let Some(journal) = self.journal(Lane::Ledger).cloned() else { return };
            let inbox = self.alert_inbox.clone();
            tokio::spawn(async move {
                let read = tokio::task::spawn_blocking(move || {
                    let acts = journal.read_blocking(alert.epoch, alert.first, 1)?;
                    let before = journal.hash_at(alert.epoch, alert.first.saturating_sub(1))?;
                    Ok(before.zip(acts.into_iter().next()))
                });
                let read = read.await.unwrap_or_else(|error| Err(JournalError::Panicked(error.to_string())));
                // The loop ended: nobody wants it any more.
                let _ = inbox.send((alert, read)).await;
            });
        }
    }

    /// Sends an urgent act that was read.
    pub(super) fn send_early(&self, (alert, read): AlertRead) {
        let key = StreamKey { lane: Lane::Ledger, epoch: alert.epoch };
        let sent = match (read, self.streams.get(&key)) {
            (Ok(Some((before, act))), Some(stream)) => self.publish_alert(stream, before, &act),
            (Ok(_), _) => Err("it is not in the journal".to_owned()),
            (Err(error), _) => Err(error.to_string()),
        };
        match sent {
            Ok(()) => drop(self.counters.alerts.fetch_add(1, Relaxed)),
            Err(why) => {
                tracing::warn!("an urgent fact could not be sent early, and comes in its turn: {why}")
            }
        }
    }

    fn publish_alert(&self, stream: &Stream, before: Hash, act: &StoredAct) -> Result<(), String> {
        let connection = self.connection.as_ref().ok_or("there is no connection")?;
        let signing = &self.parts.identity.signing;
        let signature =
            signing.sign(&act.after.statement(stream), &self.random).map_err(|error| error.to_string())?;
        let header = batch::Header {
            v: WIRE_VERSION,
            batch: BatchId(Uuid::now_v7()),
            stream: stream.clone(),
            first: act.first,
            count: act.after.seq + 1 - act.first,
            previous: before,
            hash: act.after.hash,
            key: signing.id().clone(),
            signature,
        };
        let message = batch::build(&header, act.lines()).map_err(|error| error.to_string())?;
        connection.publish(Channel::Alert, message, false)
    }
}
