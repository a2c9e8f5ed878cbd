//! What a box has sold and not yet sent: acts in its journal, and the batches that its relay makes of them.

use std::{collections::VecDeque, path::Path};

use anyhow::{Context as _, Result};
use aws_lc_rs::rand::SystemRandom;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use pestle_agent::{
    journal::{Journal, Limits, NewAct, Settings, StoredAct},
    relay::lane::{self, StreamKey},
};
use pestle_domain::{
    ids::BatchId,
    journal::{Head, Lane, Stream},
    signature::SigningKey,
    wire::{WIRE_VERSION, batch},
};
use uuid::Uuid;

use super::sample::{self, Sales};

/// Appends that wait for the disk together: a full group of the journal's writer.
const APPENDS_IN_FLIGHT: usize = 64;

/// What waits in a box.
#[derive(Debug)]
pub struct Backlog {
    journal: Journal,
}

impl Backlog {
    /// Writes an opening and `sales` sales into the journal of a box whose agent does not run, behind what is there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn write(data_dir: &Path, stream: Stream, run: u64, sales: u64) -> Result<Self> {
        let folder = data_dir.join("journal").join(Lane::Ledger.as_str());
        let settings = Settings { folder, stream, limits: Limits::default() };
        let stamp = sample::stamp(0);
        let opened = tokio::task::spawn_blocking(move || Journal::open(settings, &stamp)).await?;
        let (journal, _) = opened.context("open the journal")?;
        let ours = Sales::of(run);
        let acts = std::iter::once(ours.opening()).chain((1..=sales).map(|number| ours.sale(number)));
        stream::iter(acts)
            .map(|act| journal.append(NewAct::from(act)))
            .buffered(APPENDS_IN_FLIGHT)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await?;
        Ok(Self { journal })
    }

    /// After its last fact.
    pub fn head(&self) -> Head {
        self.journal.head()
    }

    /// All of it as the relay sends it: cut by the relay's own rules, signed with the box's key.
    ///
    /// # Errors
    /// When it cannot be read back.
    pub async fn batches(&self, signing: &SigningKey) -> Result<Vec<Vec<u8>>> {
        let name = self.journal.stream();
        let key = StreamKey { lane: name.lane, epoch: name.epoch };
        let mut lane = lane::Stream::new(key, self.head().seq, 0);
        let mut batches = Vec::new();
        let mut kept = VecDeque::new();
        let mut before = Head::EMPTY;
        while before.seq < self.head().seq {
            if let Some(from) = lane.begin_read(0) {
                let acts = self.journal.read(name.epoch, from, lane::READ_BYTES).await?;
                lane.read(&acts.iter().map(place).collect::<Vec<_>>());
                kept.extend(acts);
            }
            let run =
                lane.next_batch(0, || BatchId(Uuid::now_v7())).context("the relay has nothing to send")?;
            let sent = kept.iter().take_while(|act: &&StoredAct| act.after.seq <= run.last).count();
            let acts: Vec<StoredAct> = kept.drain(..sent).collect();
            let after = acts.last().context("a batch without acts")?.after;
            batches.push(message(name, &run, (before, after), &acts, signing)?);
            lane.acknowledge(0, run.last);
            before = after;
        }
        Ok(batches)
    }

    /// Closes the journal: its box may open it now.
    pub async fn close(self) {
        self.journal.close().await;
    }
}

fn place(act: &StoredAct) -> lane::Act {
    lane::Act { first: act.first, last: act.after.seq, bytes: act.line_bytes() }
}

fn message(
    stream: &Stream,
    run: &lane::Run,
    (before, after): (Head, Head),
    acts: &[StoredAct],
    signing: &SigningKey,
) -> Result<Vec<u8>> {
    let header = batch::Header {
        v: WIRE_VERSION,
        batch: run.batch,
        stream: stream.clone(),
        first: run.first,
        count: run.last + 1 - run.first,
        previous: before.hash,
        hash: after.hash,
        key: signing.id().clone(),
        signature: signing.sign(&after.statement(stream), &SystemRandom::new())?,
    };
    Ok(batch::build(&header, acts.iter().flat_map(StoredAct::lines))?)
}
