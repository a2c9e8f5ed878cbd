//! What the centre says, read and verified, as events of the link.

use std::sync::atomic::Ordering::Relaxed;

use pestle_domain::{
    ids::ConnectionId,
    journal::{AckVerdict, Acknowledgement, Head},
    wire::{
        message::{Answer, Nudge},
        topic::Channel,
    },
};

use super::{
    connection::{Down, Word as Said},
    driver::{RelayTask, key},
    lane::StreamKey,
    link::Event,
};
use crate::journal::ack::Word;

impl RelayTask {
    /// What the link learns from a word of the connection.
    pub(super) async fn heard(&mut self, from: ConnectionId, word: Said) -> Option<Event> {
        if self.connection.as_ref().is_none_or(|connection| connection.id != from) {
            return None;
        }
        match word {
            Said::Up => {
                self.counters.connections.fetch_add(1, Relaxed);
                self.told_down = None;
                tracing::info!(host = self.parts.connection.host, "connected to the centre");
                if let Some(connection) = &self.connection
                    && let Err(why) = connection.announce(&self.parts.clock)
                {
                    self.lose_connection(why);
                    return None;
                }
                Some(Event::Connected)
            }
            Said::Down(why) => {
                // It tries again for as long as the centre is away: the log has it once, and each other reason.
                if self.told_down.as_ref() != Some(&why) {
                    let Down { sentence, cause } = &why;
                    let host = &self.parts.connection.host;
                    tracing::warn!(host, why = sentence, cause, "the link to the centre is down");
                    self.told_down = Some(why.clone());
                }
                let why = why.sentence;
                if let Some(connection) = self.connection.take() {
                    connection.drop_now();
                }
                Some(Event::Disconnected { why, random: self.random_number() })
            }
            Said::TakenOver => {
                tracing::error!(
                    host = self.parts.connection.host,
                    "the broker let another box in under this box's name, and this one out"
                );
                if let Some(connection) = self.connection.take() {
                    connection.drop_now();
                }
                Some(Event::TakenOver { random: self.random_number() })
            }
            Said::Message(Channel::Ack, message) => match serde_json::from_slice::<Answer>(&message) {
                Ok(answer) => self.answered(answer).await,
                Err(error) => self.bad_message(&format!("an answer cannot be read: {error}")),
            },
            Said::Message(Channel::Nudge, message) => match serde_json::from_slice::<Nudge>(&message) {
                Ok(Nudge::Heads) => Some(Event::Nudged),
                Ok(Nudge::Snapshot { .. }) => {
                    self.parts.snapshot_nudge.notify_one();
                    None
                }
                Err(error) => self.bad_message(&format!("a nudge cannot be read: {error}")),
            },
            Said::Message(Channel::Orders, message) => {
                self.hand_over_orders(message);
                None
            }
            Said::Message(..) => None,
        }
    }

    fn bad_message(&self, why: &str) -> Option<Event> {
        self.counters.bad_messages.fetch_add(1, Relaxed);
        tracing::warn!("a message of the centre was left aside: {why}");
        None
    }

    async fn answered(&mut self, answer: Answer) -> Option<Event> {
        match answer {
            Answer::Committed(ack) => self.acknowledged(ack).await,
            Answer::Rewind { batch, stream, head } => {
                self.counters.rewinds.fetch_add(1, Relaxed);
                let known = key(&stream);
                let same = self.streams.get(&known) == Some(&stream);
                let ours = same && self.has_head(known, head).await;
                Some(Event::Rewind { stream: known, batch, seq: head.seq, ours })
            }
            Answer::Refused { batch, reason, message, .. } => {
                self.counters.refusals.fetch_add(1, Relaxed);
                tracing::warn!(?batch, ?reason, message, "the centre refused a batch");
                Some(Event::Refused { batch, reason, message })
            }
            Answer::Busy { batch, retry_ms, alone } => {
                Some(Event::Busy { retry_ms, alone: alone.then_some(batch) })
            }
        }
    }

    async fn acknowledged(&mut self, ack: Acknowledgement) -> Option<Event> {
        let verified = match self.parts.identity.centre_key(&ack.key) {
            None => {
                return self.bad_message("an acknowledgement is signed with a key that is not the centre's");
            }
            Some(centre) => ack.verify(centre),
        };
        if let Err(error) = verified {
            return self.bad_message(&format!("an acknowledgement: {error}"));
        }
        let stream = key(&ack.stream);
        let journal = self.journal(stream.lane)?.clone();
        let (seq, incarnation) = (ack.head.seq, ack.incarnation);
        let judged = tokio::task::spawn_blocking(move || journal.acknowledge(&ack)).await;
        let word = match judged {
            Ok(Ok(word)) => word,
            Ok(Err(error)) => return self.bad_message(&error.to_string()),
            Err(error) => return self.bad_message(&error.to_string()),
        };
        if let Word::Judged(AckVerdict::Committed(head)) = word {
            self.counters.acknowledgements.fetch_add(1, Relaxed);
            self.hand.let_go(stream, head.seq);
            let at = self.parts.clock.wall();
            self.state.send_modify(|state| state.last_ack_at = Some(at));
        }
        if word == Word::OfEarlierLife {
            tracing::info!(
                seq,
                incarnation,
                "an acknowledgement of before the centre's restore allows nothing"
            );
        }
        word_of(stream, seq, incarnation, word)
    }

    async fn has_head(&self, stream: StreamKey, head: Head) -> bool {
        let Some(journal) = self.journal(stream.lane).cloned() else { return false };
        let own = tokio::task::spawn_blocking(move || journal.hash_at(stream.epoch, head.seq)).await;
        matches!(own, Ok(Ok(Some(hash))) if hash == head.hash)
    }
}

/// What the link learns from a weighed acknowledgement of `seq`.
pub fn word_of(stream: StreamKey, seq: u64, incarnation: u64, word: Word) -> Option<Event> {
    match word {
        Word::Judged(AckVerdict::Committed(_) | AckVerdict::Old) | Word::Restored(_) => {
            Some(Event::Acknowledged { stream, seq, incarnation })
        }
        Word::Judged(AckVerdict::Contradicts { centre }) => Some(Event::Contradicted(
            stream,
            format!("the centre has committed fact {} of this box with other contents", centre.seq),
        )),
        Word::Ahead(head) => Some(Event::Ahead { stream, seq: head.seq }),
        Word::Judged(AckVerdict::OtherStream) | Word::OfEarlierLife => None,
    }
}
