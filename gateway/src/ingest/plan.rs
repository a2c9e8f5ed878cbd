//! What one transaction does, decided before anything is written: which batches join, which facts are new, where the
//! heads move. Pure: what the database has comes in as arguments.

use std::collections::HashMap;

use pestle_domain::{
    journal::{Head, Stream},
    signature::Hash,
};
use uuid::Uuid;

use super::{
    rules::{self, Verdict, Verified},
    store::{Locked, Moved, NewFact},
};

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
    /// It comes from a second live store of the box; the stream stands here.
    Fenced(Head),
}

/// Batches of one tenant, sorted by stream and first number, against the heads that the database has.
#[derive(Debug)]
pub struct Plan<'a> {
    batches: &'a [&'a Verified],
    tracks: Vec<Track<'a>>,
    judged: Vec<Judged>,
}

/// A stream in this transaction.
#[derive(Debug)]
struct Track<'a> {
    stream: &'a Stream,
    /// As the database has it.
    locked: Option<Locked>,
    /// With what this transaction adds.
    head: Head,
    /// What it adds: the batches, each with its number of facts that are known already.
    added: Vec<(&'a Verified, usize)>,
}

#[derive(Debug)]
struct Judged {
    track: usize,
    verdict: Verdict,
}

impl<'a> Plan<'a> {
    /// The streams whose heads are wanted, in the batches' order.
    pub fn streams(batches: &[&'a Verified]) -> Vec<&'a Stream> {
        let mut streams: Vec<&'a Stream> = batches.iter().map(|batch| &batch.header.stream).collect();
        streams.dedup();
        streams
    }

    /// Nothing is judged yet. `heads` are those of `streams`.
    pub fn new(batches: &'a [&'a Verified], streams: &[&'a Stream], heads: Vec<Option<Locked>>) -> Self {
        let track = |(stream, locked): (&&'a Stream, Option<Locked>)| Track {
            stream,
            locked,
            head: locked.map_or(Head::EMPTY, |locked| locked.head),
            added: Vec::new(),
        };
        Self { batches, tracks: streams.iter().zip(heads).map(track).collect(), judged: Vec::new() }
    }

    /// Where chain values behind the database's heads are wanted.
    pub fn compared(&self) -> Vec<(i64, u64)> {
        let by_stream: HashMap<&Stream, Locked> =
            self.tracks.iter().filter_map(|track| Some((track.stream, track.locked?))).collect();
        self.batches
            .iter()
            .filter_map(|batch| {
                let locked = by_stream.get(&batch.header.stream)?;
                let seq = rules::compared_at(&locked.head, &batch.header)?;
                (seq < locked.head.seq).then_some((locked.id, seq))
            })
            .collect()
    }

    /// Judges every batch. `kept` are the database's chain values at [`Plan::compared`].
    pub fn judge(&mut self, kept: &HashMap<(i64, u64), Hash>) {
        let mut at = 0;
        for batch in self.batches {
            while self.tracks.get(at).is_some_and(|track| *track.stream != batch.header.stream) {
                at += 1;
            }
            let Some(track) = self.tracks.get_mut(at) else { break };
            let value = rules::compared_at(&track.head, &batch.header)
                .and_then(|seq| track.own(seq).or_else(|| kept.get(&(track.locked?.id, seq)).copied()));
            let verdict = rules::judge(&track.head, batch, value);
            let verdict = rules::judge_fence(verdict, batch, track.locked.and_then(|locked| locked.fence));
            if let Verdict::Apply { skip } = verdict {
                track.added.push((batch, skip));
                track.head = batch.header.after();
            }
            self.judged.push(Judged { track: at, verdict });
        }
    }

    /// The streams that begin here.
    pub fn fresh(&self) -> Vec<&'a Stream> {
        let begins = |track: &&Track<'a>| track.locked.is_none() && !track.added.is_empty();
        self.tracks.iter().filter(begins).map(|track| track.stream).collect()
    }

    /// They have been opened, under these numbers.
    pub fn opened(&mut self, numbers: &HashMap<Stream, i64>) {
        for track in &mut self.tracks {
            if let Some(id) = numbers.get(track.stream) {
                track.locked = Some(Locked { id: *id, head: Head::EMPTY, fence: None });
            }
        }
    }

    /// What is to be appended.
    pub fn new_facts(&self, mode: Mode) -> Vec<NewFact<'a>> {
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

    /// The heads that move, and where to.
    pub fn moved(&self) -> Vec<Moved<'_>> {
        self.tracks.iter().filter_map(Track::moved).collect()
    }

    /// What became of each batch, once this is committed.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let outcome = |judged: &Judged| {
            let track = &self.tracks[judged.track];
            match judged.verdict {
                Verdict::Apply { .. } | Verdict::Again => Outcome::Committed(track.head),
                Verdict::Gap => Outcome::Gap(track.head),
                Verdict::Contradicts => Outcome::Contradicts(track.head),
                Verdict::Fenced => Outcome::Fenced(track.head),
            }
        };
        self.judged.iter().map(outcome).collect()
    }

    /// What becomes of each batch where a fact id is there with other bytes: nothing is written.
    pub fn contradicted(&self) -> Vec<Outcome> {
        let before = |judged: &Judged| Outcome::Contradicts(self.tracks[judged.track].before());
        self.judged.iter().map(before).collect()
    }
}

impl Track<'_> {
    fn before(&self) -> Head {
        self.locked.map_or(Head::EMPTY, |locked| locked.head)
    }

    fn moved(&self) -> Option<Moved<'_>> {
        let (batch, _) = self.added.last()?;
        Some(Moved { id: self.locked?.id, last: &batch.header })
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

/// Facts of which the centre has some already.
#[derive(Debug)]
pub struct ToldApart<'a> {
    /// To be appended.
    pub fresh: Vec<NewFact<'a>>,
    /// There under the same id, with the same bytes: they hold their place in the chain and have no second effect.
    pub again: Vec<NewFact<'a>>,
}

/// Tells facts that are new from those that the centre has under the same id. `known` are the bytes that it has. `None`
/// when one has other bytes.
pub fn tell_apart<'a>(new: Vec<NewFact<'a>>, mut known: HashMap<Uuid, Vec<u8>>) -> Option<ToldApart<'a>> {
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for one in new {
        let bytes = one.batch.line(one.fact);
        match known.get(&one.fact.id.0) {
            Some(kept) if kept == bytes => again.push(one),
            Some(_) => return None,
            None => {
                known.insert(one.fact.id.0, bytes.to_vec());
                fresh.push(one);
            }
        }
    }
    Some(ToldApart { fresh, again })
}
