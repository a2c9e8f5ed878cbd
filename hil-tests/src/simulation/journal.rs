//! A lane's journal of a running box: the protocol of the real one over a simulated disk. Whether an epoch goes on, what an
//! acknowledgement means and when a generation may go are asked of the real one's own rules.

use std::{collections::BTreeMap, rc::Rc};

use pestle_agent::{
    journal::{
        Finding, Place, StoredAct,
        ack::{Standing, Word, dated, may_go, own_value, weigh},
        ahead::all_there,
        manifest::{Begun, EpochManifest, Sealed, Since},
        mark::Mark,
        open::{Last, goes_on},
    },
    relay::{lane::StreamKey, link::Known},
};
use pestle_domain::{
    fact::Stamp,
    ids::StoreId,
    journal::{Acknowledgement, Head, Lane, Parent, Stream},
    signature::Hash,
    units::UnixMillis,
};

use super::{
    HEARD_WITHIN_MS, RETENTION_MS,
    bug::Bug,
    disk::{EpochFolder, GenerationFolder, LaneFolder, OnDisk},
};

/// Acts in a generation.
const GENERATION_ACTS: usize = 8;

/// What is in memory of one lane; all else lies in its folder.
#[derive(Debug)]
pub struct Journal {
    /// Of the current epoch.
    pub stream: Stream,
    /// The head up to which everything is on the disk.
    pub committed: Head,
    /// Acknowledged so far, by epoch.
    pub standings: BTreeMap<u32, (Head, u64)>,
    /// When the centre last said that it has each epoch.
    heard: BTreeMap<u32, u64>,
}

impl Journal {
    /// Opens the lane of `stream`'s box, as `journal/open.rs` does: checks the end, and begins another epoch where the last one
    /// may not go on. `store` names a new one. Says whether a new epoch began.
    pub fn open(
        folder: &mut LaneFolder,
        stream: &Stream,
        (store, now): (StoreId, UnixMillis),
        bug: Option<Bug>,
    ) -> (Self, bool) {
        let mut end_lost = false;
        if let Some(last) = folder.epochs.last() {
            let readable = last.readable();
            let number = last.manifest.stream.epoch;
            if last.mark.written.seq > readable.seq {
                let marked = last.mark.written;
                let kept = format!("epoch-{number}").into();
                let found = Finding::TailLost { epoch: number, marked, readable, kept };
                if !folder.findings.iter().any(|known| known.covers(&found)) {
                    folder.findings.push(found);
                }
                end_lost = true;
            }
        }
        let mut go_on = folder.epochs.last().is_some_and(|epoch| {
            let last =
                Last { stream: &epoch.manifest.stream, acknowledged: epoch.mark.acknowledged.seq, end_lost };
            goes_on(last, stream, &folder.findings)
        });
        if bug == Some(Bug::EpochReused) && end_lost {
            go_on = true;
        }
        if let Some(epoch) = folder.epochs.last_mut() {
            seal_if(epoch, 1, now);
        }
        if !go_on {
            let number = (folder.highest + 1).max(stream.epoch);
            let parent = folder.epochs.last().map(|epoch| Parent {
                epoch: epoch.manifest.stream.epoch,
                head: epoch.readable(),
                store: epoch.manifest.store,
            });
            let (parent, carried) = folder.carries.take().unwrap_or((parent, Vec::new()));
            let stream = Stream { epoch: number, ..stream.clone() };
            folder.highest = number;
            folder.epochs.push(EpochFolder::new(EpochManifest { stream, store, parent, carried }));
        }
        let standings = folder
            .epochs
            .iter()
            .map(|epoch| (epoch.manifest.stream.epoch, (epoch.mark.acknowledged, epoch.mark.incarnation)))
            .collect();
        let current = folder.epochs.last();
        let named = current.map_or_else(|| stream.clone(), |epoch| epoch.manifest.stream.clone());
        let committed = current.map_or(Head::EMPTY, EpochFolder::readable);
        (Self { stream: named, committed, standings, heard: BTreeMap::new() }, !go_on)
    }

    /// The head that the next act joins: what is written, synced or not.
    pub fn written(folder: &LaneFolder) -> Head {
        folder.epochs.last().map_or(Head::EMPTY, EpochFolder::readable)
    }

    /// Writes an act; it is not synced yet.
    pub fn write(folder: &mut LaneFolder, act: Rc<OnDisk>) {
        if let Some(generation) = folder.epochs.last_mut().and_then(|epoch| epoch.generations.last_mut()) {
            generation.acts.push(act);
        }
    }

    /// The sync of the first `acts` of the written generation has returned. A full generation is sealed.
    pub fn synced(&mut self, folder: &mut LaneFolder, acts: usize, now: UnixMillis) {
        let Some(epoch) = folder.epochs.last_mut() else { return };
        epoch.synced = epoch.synced.max(acts);
        if let Some(act) = acts.checked_sub(1).and_then(|at| epoch.generations.last()?.acts.get(at)) {
            self.committed = act.stored.after;
        }
        seal_if(epoch, GENERATION_ACTS, now);
    }

    /// A sync failed: the fence is set behind the last confirmed fact, and whatever was written after it counts nowhere.
    pub fn fenced(folder: &mut LaneFolder) {
        if let Some(epoch) = folder.epochs.last_mut() {
            epoch.cut(0);
        }
    }

    /// Writes the marks.
    pub fn mark(&self, folder: &mut LaneFolder) {
        let current = self.stream.epoch;
        for epoch in &mut folder.epochs {
            let number = epoch.manifest.stream.epoch;
            let written = if number == current { self.committed } else { epoch.readable() };
            let (acknowledged, incarnation) =
                self.standings.get(&number).copied().unwrap_or((Head::EMPTY, 0));
            epoch.mark = Mark { written, acknowledged, incarnation, witness: None };
        }
    }

    /// As far as each epoch is.
    pub fn known(&self, folder: &LaneFolder, lane: Lane) -> Vec<Known> {
        self.heads(folder)
            .map(|(stream, head)| {
                let (acknowledged, incarnation) =
                    self.standings.get(&stream.epoch).copied().unwrap_or((Head::EMPTY, 0));
                Known {
                    stream: StreamKey { lane, epoch: stream.epoch },
                    head: head.seq,
                    acknowledged: acknowledged.seq,
                    incarnation,
                }
            })
            .collect()
    }

    /// Each epoch's stream and head.
    pub fn heads<'a>(&'a self, folder: &'a LaneFolder) -> impl Iterator<Item = (&'a Stream, Head)> {
        folder.epochs.iter().map(|epoch| {
            let stream = &epoch.manifest.stream;
            (stream, if stream.epoch == self.stream.epoch { self.committed } else { epoch.readable() })
        })
    }

    /// This store's chain value at a number, as `Journal::hash_at` tells it.
    pub fn hash_at(&self, folder: &LaneFolder, number: u32, seq: u64) -> Option<Hash> {
        let epoch = folder.epochs.iter().find(|epoch| epoch.manifest.stream.epoch == number)?;
        let head = if number == self.stream.epoch { self.committed } else { epoch.readable() };
        if seq > head.seq {
            return None;
        }
        let acknowledged = self.standings.get(&number).map(|(head, _)| *head);
        let begun = epoch.generations.iter().map(|generation| generation.begun.before);
        if let Some(known) = begun.chain(acknowledged).chain([head]).find(|known| known.seq == seq) {
            return Some(known.hash);
        }
        let act = epoch.acts().find(|act| act.stored.first <= seq && seq <= act.stored.after.seq)?;
        if act.stored.after.seq == seq {
            return Some(act.stored.after.hash);
        }
        let mut head = Head {
            seq: act.stored.first.saturating_sub(1),
            hash: self.hash_at(folder, number, act.stored.first.saturating_sub(1))?,
        };
        for line in act.stored.lines() {
            head = head.after(&epoch.manifest.stream, line);
            if head.seq == seq {
                return Some(head.hash);
            }
        }
        None
    }

    /// Confirmed acts from the one that begins at `from`, with the chain's value before the first; `None` for a hole.
    pub fn read(&self, folder: &LaneFolder, number: u32, from: u64) -> Option<(Hash, Vec<StoredAct>)> {
        let epoch = folder.epochs.iter().find(|epoch| epoch.manifest.stream.epoch == number)?;
        let end = if number == self.stream.epoch { self.committed.seq } else { u64::MAX };
        let before = self.hash_at(folder, number, from.checked_sub(1)?)?;
        let acts: Vec<StoredAct> = epoch
            .acts()
            .map(|act| &act.stored)
            .skip_while(|act| act.first < from)
            .take_while(|act| act.after.seq <= end)
            .cloned()
            .collect();
        (acts.first()?.first == from).then_some((before, acts))
    }

    /// Takes an acknowledgement whose signature was verified.
    pub fn acknowledge(
        &mut self,
        folder: &LaneFolder,
        ack: &Acknowledgement,
        now: u64,
        bug: Option<Bug>,
    ) -> Word {
        use pestle_domain::journal::AckVerdict;
        let number = ack.stream.epoch;
        let named = folder.epochs.iter().find(|epoch| epoch.manifest.stream.epoch == number);
        let (Some(epoch), Some((acknowledged, incarnation))) = (named, self.standings.get(&number).copied())
        else {
            return Word::Judged(AckVerdict::OtherStream);
        };
        let mut own = own_value(self.hash_at(folder, number, ack.head.seq), acknowledged, ack.head);
        if bug == Some(Bug::AckNotCompared) {
            own = Some(ack.head.hash);
        }
        let ended = (number != self.stream.epoch).then_some(epoch.readable().seq);
        let known = Standing { acknowledged: acknowledged.seq, incarnation };
        let (word, moved) = weigh(ack, &epoch.manifest.stream, known, own, ended);
        if bug == Some(Bug::RestoreIgnored)
            && let Word::Restored(_) = word
        {
            self.standings.insert(number, (acknowledged, ack.incarnation));
            return Word::OfEarlierLife;
        }
        match word {
            Word::OfEarlierLife
            | Word::Ahead(_)
            | Word::Judged(AckVerdict::OtherStream | AckVerdict::Contradicts { .. }) => {}
            _ => {
                self.heard.insert(number, now);
                self.standings.insert(number, (moved.unwrap_or(acknowledged), ack.incarnation));
            }
        }
        word
    }

    /// The centre has all of an ended epoch, up to `end`, as the real journal's word of the same name. Says whether that is news.
    pub fn all_there(&mut self, number: u32, end: Head, incarnation: u64, now: u64) -> bool {
        if number == self.stream.epoch {
            return false;
        }
        let Some(known) = self.standings.get_mut(&number) else { return false };
        let Some(compared) = all_there(*known, end, incarnation) else { return false };
        let is_news = *known != compared;
        *known = compared;
        self.heard.insert(number, now);
        is_news
    }

    /// Removes the generations that may go, by the store's age; none behind `folded`. Says whether any went.
    pub fn prune(&self, folder: &mut LaneFolder, now: &Stamp, folded: Place, bug: Option<Bug>) -> bool {
        folder.age = folder.age.at(now);
        let age_ms = folder.age.age_ms;
        let before = age_ms.checked_sub(RETENTION_MS);
        let mut any = false;
        for epoch in &mut folder.epochs {
            let number = epoch.manifest.stream.epoch;
            let (head, incarnation) = self.standings.get(&number).copied().unwrap_or((Head::EMPTY, 0));
            let acknowledged = if bug == Some(Bug::PrunedUnacknowledged) { u64::MAX } else { head.seq };
            let known = Standing { acknowledged, incarnation };
            for generation in &mut epoch.generations {
                let since = Since { at: now.wall_ms, incarnation, age_ms: Some(age_ms) };
                let new = generation.sealed.and_then(|sealed| dated(sealed, known, since));
                generation.sealed = new.or(generation.sealed);
            }
            if self.heard.get(&number).is_none_or(|at| at + HEARD_WITHIN_MS < now.mono_ms) {
                continue;
            }
            let goes = |generation: &GenerationFolder| {
                generation.sealed.is_some_and(|sealed| may_go(&sealed, number, known, before, folded))
            };
            let count = epoch.generations.iter().take_while(|generation| goes(generation)).count();
            epoch.generations.drain(..count);
            any |= count > 0;
        }
        any
    }
}

/// Seals the written generation if it has so many synced acts, and begins the next.
fn seal_if(epoch: &mut EpochFolder, acts: usize, at: UnixMillis) {
    let Some(generation) = epoch.generations.last_mut() else { return };
    if epoch.synced < acts || epoch.synced != generation.acts.len() {
        return;
    }
    let Some(last) = generation.acts.last().map(|act| act.stored.after) else { return };
    generation.sealed =
        Some(Sealed { last, facts: last.seq - generation.begun.before.seq, at, acknowledged: None });
    let begun = Begun { before: last };
    epoch.generations.push(GenerationFolder { begun, sealed: None, acts: Vec::new() });
    epoch.synced = 0;
}
