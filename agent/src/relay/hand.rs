//! The acts in hand: read from the journal and not acknowledged, so that what is to be sent again need not be read again.
//! Pure: what is read comes in, batches go out.

use std::collections::{BTreeMap, VecDeque};

use aws_lc_rs::rand::SecureRandom;
use pestle_domain::{
    journal::Stream,
    signature::{Hash, SigningKey},
    wire::{WIRE_VERSION, batch},
};

use super::lane::{Act, Run, StreamKey};
use crate::journal::StoredAct;

/// Acts in hand, by stream.
#[derive(Debug, Default)]
pub struct Hand(BTreeMap<StreamKey, VecDeque<Kept>>);

/// An act that was read, and the chain's value before it: a batch that begins with it names that.
#[derive(Debug)]
struct Kept {
    before: Hash,
    act: StoredAct,
}

impl Hand {
    /// Takes what was read in one go, and says what the link needs to know of it. `before` is the chain's value before the
    /// first. A read after a rewind takes the place of what was read before it.
    pub fn take(&mut self, stream: StreamKey, mut before: Hash, read: Vec<StoredAct>) -> Vec<Act> {
        let told = read
            .iter()
            .map(|act| Act { first: act.first, last: act.after.seq, bytes: act.line_bytes() })
            .collect();
        let kept = self.0.entry(stream).or_default();
        if let Some(first) = read.first() {
            while kept.back().is_some_and(|kept| kept.act.first >= first.first) {
                kept.pop_back();
            }
        }
        kept.extend(read.into_iter().map(|act| {
            let after = act.after.hash;
            Kept { before: std::mem::replace(&mut before, after), act }
        }));
        told
    }

    /// The centre has everything up to `seq`: it is let go of.
    pub fn let_go(&mut self, stream: StreamKey, seq: u64) {
        if let Some(kept) = self.0.get_mut(&stream) {
            while kept.front().is_some_and(|kept| kept.act.after.seq <= seq) {
                kept.pop_front();
            }
        }
    }

    /// The acts of `run` as a signed message. `name` is the stream's whole name.
    ///
    /// # Errors
    /// In words, where the acts in hand are not those of the run: the connection is then begun anew.
    pub fn batch(
        &self,
        (key, name): (StreamKey, &Stream),
        run: Run,
        signing: &SigningKey,
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, String> {
        let kept = self.0.get(&key).map(VecDeque::iter).into_iter().flatten();
        let acts: Vec<&Kept> = kept
            .skip_while(|kept| kept.act.first < run.first)
            .take_while(|kept| kept.act.after.seq <= run.last)
            .collect();
        let (Some(first), Some(last)) = (acts.first(), acts.last()) else {
            return Err("the acts to be sent are not in memory".to_owned());
        };
        if (first.act.first, last.act.after.seq) != (run.first, run.last) {
            return Err("the acts in memory are not those to be sent".to_owned());
        }
        let after = last.act.after;
        let signature = signing.sign(&after.statement(name), random).map_err(|error| error.to_string())?;
        let header = batch::Header {
            v: WIRE_VERSION,
            batch: run.batch,
            stream: name.clone(),
            first: run.first,
            count: run.last + 1 - run.first,
            previous: first.before,
            hash: after.hash,
            key: signing.id().clone(),
            signature,
        };
        let lines = acts.iter().flat_map(|kept| kept.act.lines());
        batch::build(&header, lines).map_err(|error| error.to_string())
    }
}
