//! Facts a second that ingest brings into PostgreSQL, from bytes as they come from the broker to the commit: verified,
//! stored, folded into stock, sales and tills. Against `COPY` of the same rows into a table with the same columns,
//! defaults, keys and indexes, by the cluster's owner, with nothing verified and nothing folded.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use futures::TryStreamExt as _;
use pestle_domain::ids::DeviceId;
use sqlx::PgConnection;

use super::{
    backlog::Backlog,
    centre::{BareCentre, apply, enrol, new_key, settle},
    report::{Reach, Row},
    sample,
    stats::{Scale, per_second},
};

/// Sales of one round: 100,000 facts, some ten transactions of ingest.
const SALES: u64 = 25_000;
/// What ingest writes; the other columns (`id`, `xid`) are defaults in both.
const COLUMNS: &str =
    "tenant_id, stream_id, seq, fact_id, act_id, wall_ms, business_date, folded, kind, hash, bytes";
/// Bytes of one message of `COPY`. libpq's `psql` sends lines; larger messages are only faster.
const COPY_MESSAGE_BYTES: usize = 256 * 1024;

/// Measures in `folder`.
///
/// # Errors
/// When PostgreSQL does not start, or a batch is not taken.
pub async fn measure(folder: &Path, scale: Scale) -> Result<Row> {
    let centre = BareCentre::start(&folder.join("ingest")).await?;
    let mut owner = centre.owner().await?;
    let table = "CREATE SCHEMA bench; CREATE TABLE bench.fact (LIKE ingest.fact INCLUDING ALL)";
    sqlx::raw_sql(table).execute(&mut owner).await?;
    let mut rounds = Vec::with_capacity(scale.rounds);
    // A round before those that count: files, caches and plans are new. Its rows are what `COPY` begins with.
    let (_, mut rows) = ingested(&centre, &mut owner, folder, 0, scale).await?;
    for run in 1..=scale.rounds as u64 {
        // They take turns at being first, so `COPY` writes the rows of the round before: as many, and of the same kind.
        let round = if run % 2 == 1 {
            let (ours, next) = ingested(&centre, &mut owner, folder, run, scale).await?;
            let copied = copy_in(&mut owner, &rows).await?;
            (ours, copied, next)
        } else {
            let copied = copy_in(&mut owner, &rows).await?;
            let (ours, next) = ingested(&centre, &mut owner, folder, run, scale).await?;
            (ours, copied, next)
        };
        let (ours, copied, next) = round;
        rounds.push((ours, per_second(scale.of(SALES) * sample::FACTS_PER_SALE, copied)));
        rows = next;
    }
    drop(owner);
    centre.end().await?;
    let facts = scale.of(SALES) * sample::FACTS_PER_SALE;
    Ok(Row::against("ingest into PostgreSQL", "facts/s", "COPY", &rounds, Reach::AtLeast(0.3)).noting(
        format!(
            "{facts} facts a round, first the one and then the other in turn; COPY in its binary form, into a \
             table LIKE ingest.fact INCLUDING ALL"
        ),
    ))
}

/// Facts a second of a new box's backlog, and the rows that came of it.
async fn ingested(
    centre: &BareCentre,
    owner: &mut PgConnection,
    folder: &Path,
    run: u64,
    scale: Scale,
) -> Result<(f64, Vec<u8>)> {
    let (stream, key) = (sample::stream(run), new_key()?);
    let data_dir = folder.join("ingest-box");
    super::place::make_anew(&data_dir)?;
    let backlog = Backlog::write(&data_dir, stream.clone(), run, scale.of(SALES)).await?;
    let batches = backlog.batches(&key).await?;
    let head = backlog.head();
    backlog.close().await;
    enrol(owner, &stream, key.public()).await?;
    let batches: Vec<(DeviceId, Vec<u8>)> =
        batches.into_iter().map(|batch| (stream.device.clone(), batch)).collect();

    settle(owner).await?;
    let ours = Duration::from_secs_f64(apply(&centre.ingest, &batches, head).await?);
    let rows = read_back(owner, &stream.device).await?;
    Ok((per_second(head.seq, ours), rows))
}

/// The box's rows as `COPY` writes them.
async fn read_back(owner: &mut PgConnection, device: &DeviceId) -> Result<Vec<u8>> {
    // A device's name is a slug: nothing to escape.
    let statement = format!(
        "COPY (SELECT {COLUMNS} FROM ingest.fact WHERE stream_id IN
            (SELECT stream_id FROM ingest.stream WHERE device_id = '{device}') ORDER BY stream_id, seq)
         TO STDOUT (FORMAT binary)"
    );
    let mut rows = Vec::new();
    let mut copy = owner.copy_out_raw(&statement).await?;
    while let Some(piece) = copy.try_next().await? {
        rows.extend_from_slice(&piece);
    }
    Ok(rows)
}

async fn copy_in(owner: &mut PgConnection, rows: &[u8]) -> Result<Duration> {
    settle(owner).await?;
    let began = Instant::now();
    let statement = format!("COPY bench.fact ({COLUMNS}) FROM STDIN (FORMAT binary)");
    let mut copy = owner.copy_in_raw(&statement).await?;
    for piece in rows.chunks(COPY_MESSAGE_BYTES) {
        copy.send(piece).await?;
    }
    copy.finish().await?;
    Ok(began.elapsed())
}
