//! One transaction of one tenant: heads are locked, batches judged, facts stored, their effects folded, heads moved.
//!
//! Nothing of it counts before the commit, and after it nothing of it happens again: the head row decides.

use std::collections::HashMap;

use pestle_domain::{
    ids::TenantId,
    journal::{Head, Stream},
    signature::Hash,
};
use uuid::Uuid;

use super::{
    fold::{self, Effect},
    live::Changed,
    quarantine::{self, Quarantined},
    rules::{self, Reading, Verdict, Verified},
    store::{self, Lock, Locked, NewFact},
};
use crate::db::{Db, DbError, Tx};

/// How careful to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Fact ids are taken to be new: the unique key finds out.
    Usual,
    /// Fact ids are looked up first: one of them is there already.
    KnownFacts,
    /// Facts are stored unfolded: their effects could not be written.
    StoreOnly,
}

impl Mode {
    /// What to try after a failure that trying again does not help; `None` at the end.
    pub fn more_careful(self, duplicate_key: bool) -> Option<Self> {
        match self {
            // Usual => KnownFacts | StoreOnly
            Self::Usual if duplicate_key => Some(Self::KnownFacts),
            // Usual | KnownFacts => StoreOnly
            Self::Usual | Self::KnownFacts => Some(Self::StoreOnly),
            Self::StoreOnly => None,
        }
    }
}

/// What became of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its stream is committed up to here, with all of it.
    Committed(Head),
    /// Something before it is missing; the stream stands here.
    Gap(Head),
    /// The centre has other bytes in its place, or under one of its fact ids; the stream stands here.
    Contradicts(Head),
}

/// A transaction that was committed.
#[derive(Debug)]
pub struct Done {
    /// Of the database.
    pub incarnation: u64,
    /// One for each batch.
    pub outcomes: Vec<Outcome>,
    /// For those who watch.
    pub changed: Changed,
    /// Facts that were stored.
    pub facts: usize,
    /// Of them, those that were stored unfolded.
    pub unfolded: usize,
}

/// Why a transaction was rolled back.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// Another gateway opened the same stream at the same moment: try again.
    #[error("another gateway was faster")]
    Raced,
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Applies `batches` of `tenant`. They are sorted by stream and first number: consecutive ones join each other.
///
/// # Errors
/// [`Failed`]; nothing was changed then, unless the connection broke at the commit itself, which a repeat finds out.
pub async fn apply(db: &Db, tenant: &TenantId, batches: &[&Verified], mode: Mode) -> Result<Done, Failed> {
    let mut tx = db.tenant(tenant).begin().await?;
    let incarnation = store::incarnation(&mut tx).await?;
    let mut plan = Plan::read(&mut tx, batches).await?;
    plan.open(&mut tx, tenant).await?;
    let mut new = plan.new_facts(mode);
    if mode == Mode::KnownFacts && !settle_known_facts(&mut tx, tenant, &mut new).await? {
        let outcomes = plan
            .judged
            .iter()
            .map(|judged| Outcome::Contradicts(plan.tracks[judged.track].before()))
            .collect();
        let (changed, facts, unfolded) = (Changed::nothing(tenant.clone()), 0, 0);
        return Ok(Done { incarnation, outcomes, changed, facts, unfolded });
    }
    store::append(&mut tx, tenant, &new).await?;
    let effects: Vec<Effect<'_>> = new.iter().filter(|new| new.folded).map(NewFact::effect).collect();
    let mut changed = fold::fold(&mut tx, tenant, &effects).await?;
    changed.devices = !new.is_empty();
    changed.alarms |= note_doubts(&mut tx, tenant, &new, mode).await?;
    let moved: Vec<Locked> = plan.tracks.iter().filter_map(Track::moved).collect();
    store::advance(&mut tx, &moved).await?;
    tx.commit().await?;
    let unfolded = new.iter().filter(|new| !new.folded).count();
    Ok(Done { incarnation, outcomes: plan.outcomes(), changed, facts: new.len(), unfolded })
}

/// A stream in this transaction.
struct Track<'a> {
    stream: &'a Stream,
    /// As the database has it.
    locked: Option<Locked>,
    /// With what this transaction adds.
    head: Head,
    /// What it adds: the batches, each with its number of facts that are known already.
    added: Vec<(&'a Verified, usize)>,
}

impl Track<'_> {
    fn before(&self) -> Head {
        self.locked.map_or(Head::EMPTY, |locked| locked.head)
    }

    fn moved(&self) -> Option<Locked> {
        let id = self.locked?.id;
        (!self.added.is_empty()).then_some(Locked { id, head: self.head })
    }

    /// The chain value at `seq`, if it is the head's or this transaction's.
    fn own(&self, seq: u64) -> Option<Hash> {
        if seq == self.head.seq {
            return Some(self.head.hash);
        }
        self.added.iter().find_map(|(batch, _)| {
            let index = usize::try_from(seq.checked_sub(batch.header.first)?).ok()?;
            Some(batch.facts.get(index)?.hash)
        })
    }
}

struct Judged {
    track: usize,
    verdict: Verdict,
}

struct Plan<'a> {
    tracks: Vec<Track<'a>>,
    judged: Vec<Judged>,
}

impl<'a> Plan<'a> {
    /// Locks the heads and judges every batch.
    async fn read(tx: &mut Tx, batches: &[&'a Verified]) -> Result<Self, DbError> {
        let mut streams: Vec<&'a Stream> = batches.iter().map(|batch| &batch.header.stream).collect();
        streams.dedup();
        let heads = store::heads(tx, &streams, Lock::ForUpdate).await?;
        let mut tracks: Vec<Track<'a>> = streams
            .iter()
            .zip(heads)
            .map(|(stream, locked)| Track {
                stream,
                locked,
                head: locked.map_or(Head::EMPTY, |locked| locked.head),
                added: Vec::new(),
            })
            .collect();
        let kept = store::chain_values(tx, &repeats(&tracks, batches)).await?;
        let mut judged = Vec::with_capacity(batches.len());
        let mut at = 0;
        for batch in batches {
            while tracks.get(at).is_some_and(|track| *track.stream != batch.header.stream) {
                at += 1;
            }
            let Some(track) = tracks.get_mut(at) else { break };
            let value = rules::compared_at(&track.head, &batch.header)
                .and_then(|seq| track.own(seq).or_else(|| kept.get(&(track.locked?.id, seq)).copied()));
            let verdict = rules::judge(&track.head, batch, value);
            if let Verdict::Apply { skip } = verdict {
                track.added.push((batch, skip));
                track.head = batch.header.after();
            }
            judged.push(Judged { track: at, verdict });
        }
        Ok(Self { tracks, judged })
    }

    /// Opens the streams that begin here.
    async fn open(&mut self, tx: &mut Tx, tenant: &TenantId) -> Result<(), Failed> {
        let fresh: Vec<&Stream> = self
            .tracks
            .iter()
            .filter(|track| track.locked.is_none() && !track.added.is_empty())
            .map(|track| track.stream)
            .collect();
        let opened = store::open_streams(tx, tenant, &fresh).await?.ok_or(Failed::Raced)?;
        for track in &mut self.tracks {
            if let Some(id) = opened.get(track.stream) {
                track.locked = Some(Locked { id: *id, head: Head::EMPTY });
            }
        }
        Ok(())
    }

    fn new_facts(&self, mode: Mode) -> Vec<NewFact<'a>> {
        let mut new = Vec::new();
        for track in &self.tracks {
            let Some(Locked { id: stream, .. }) = track.locked else { continue };
            for &(batch, skip) in &track.added {
                let numbered = (batch.header.first..).zip(&batch.facts).skip(skip);
                new.extend(numbered.map(|(seq, fact)| {
                    let folded = fact.body().is_some() && mode != Mode::StoreOnly;
                    NewFact { stream, seq, fact, batch, folded }
                }));
            }
        }
        new
    }

    fn outcomes(&self) -> Vec<Outcome> {
        let outcome = |judged: &Judged| {
            let track = &self.tracks[judged.track];
            match judged.verdict {
                Verdict::Apply { .. } | Verdict::Again => Outcome::Committed(track.head),
                Verdict::Gap => Outcome::Gap(track.head),
                Verdict::Contradicts => Outcome::Contradicts(track.head),
            }
        };
        self.judged.iter().map(outcome).collect()
    }
}

/// Where chain values behind the database's heads are wanted.
fn repeats(tracks: &[Track<'_>], batches: &[&Verified]) -> Vec<(i64, u64)> {
    let by_stream: HashMap<&Stream, Locked> =
        tracks.iter().filter_map(|track| Some((track.stream, track.locked?))).collect();
    batches
        .iter()
        .filter_map(|batch| {
            let locked = by_stream.get(&batch.header.stream)?;
            let seq = rules::compared_at(&locked.head, &batch.header)?;
            (seq < locked.head.seq).then_some((locked.id, seq))
        })
        .collect()
}

/// Takes facts out of `new` that the centre has under the same id with the same bytes, and notes them: they hold their
/// place and have no second effect. False when one has other bytes.
async fn settle_known_facts(
    tx: &mut Tx,
    tenant: &TenantId,
    new: &mut Vec<NewFact<'_>>,
) -> Result<bool, DbError> {
    let ids: Vec<Uuid> = new.iter().map(|new| new.fact.id.0).collect();
    let mut known = store::facts_by_id(tx, &ids).await?;
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for one in new.drain(..) {
        let bytes = one.batch.line(one.fact);
        match known.get(&one.fact.id.0) {
            Some(kept) if kept == bytes => again.push(one),
            Some(_) => return Ok(false),
            None => {
                known.insert(one.fact.id.0, bytes.to_vec());
                fresh.push(one);
            }
        }
    }
    store::note_duplicates(tx, tenant, &again).await?;
    *new = fresh;
    Ok(true)
}

/// Shows a person what is authentic and yet cannot be. True if there was any.
async fn note_doubts(
    tx: &mut Tx,
    tenant: &TenantId,
    new: &[NewFact<'_>],
    mode: Mode,
) -> Result<bool, DbError> {
    let mut any = false;
    for one in new {
        let message = match (&one.fact.reading, mode) {
            (Reading::Doubtful(what), _) => what.as_str(),
            (Reading::Known(_), Mode::StoreOnly) => "its effects could not be written: see the gateway's log",
            _ => continue,
        };
        any = true;
        let header = &one.batch.header;
        let doubt = Quarantined {
            device: &header.stream.device,
            channel: header.stream.lane.as_str(),
            batch: Some(header.batch),
            reason: "unfolded",
            message: &format!("fact {} ({}): {message}", one.fact.id, one.fact.kind),
            identity: Hash::of(one.batch.line(one.fact)),
            bytes: one.batch.line(one.fact),
        };
        quarantine::keep(tx, tenant, &doubt).await?;
    }
    Ok(any)
}
