//! Ingest alone, in a process of its own on one core with a PostgreSQL of its own on the same core: what the relay's
//! rate is measured against.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use pestle_domain::{
    ids::DeviceId,
    journal::{Head, Stream},
    signature::VerifyingKey,
};
use serde::{Deserialize, Serialize};

use super::{
    centre::{self, BareCentre},
    helper,
};

/// What to feed. The answer is the seconds from the first batch to the commit of the last.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// Whose batches.
    pub stream: Stream,
    /// The box's key.
    pub key: VerifyingKey,
    /// After the last fact.
    pub head: Head,
    /// The batches, as [`keep_batches`] wrote them.
    pub batches: PathBuf,
}

/// The helper's whole life: `pestle-bench feed <folder>`.
///
/// # Errors
/// When PostgreSQL does not start, or nobody listens any more.
pub async fn run(folder: &Path) -> Result<()> {
    let centre = BareCentre::start(folder).await?;
    helper::work((), async |job| feed(&centre, job).await).await?;
    centre.end().await
}

async fn feed(centre: &BareCentre, job: Job) -> Result<f64> {
    let mut owner = centre.owner().await?;
    centre::enrol(&mut owner, &job.stream, &job.key).await?;
    let batches = read_batches(&job.batches, &job.stream.device)?;
    centre::settle(&mut owner).await?;
    let seconds = centre::apply(&centre.ingest, &batches, job.head).await?;
    centre::settle(&mut owner).await?;
    Ok(seconds)
}

/// Writes batches one after the other, each behind its length.
///
/// # Errors
/// When the disk refuses.
pub fn keep_batches(path: &Path, batches: &[Vec<u8>]) -> Result<()> {
    let mut file = io::BufWriter::new(fs::File::create(path)?);
    for batch in batches {
        file.write_all(&u32::try_from(batch.len())?.to_be_bytes())?;
        file.write_all(batch)?;
    }
    Ok(file.flush()?)
}

/// Reads what [`keep_batches`] wrote, as if `device` had sent it.
///
/// # Errors
/// When the disk refuses, or the file ends too early.
pub fn read_batches(path: &Path, device: &DeviceId) -> Result<Vec<(DeviceId, Vec<u8>)>> {
    let bytes = fs::read(path)?;
    let mut rest = bytes.as_slice();
    let mut batches = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length))?;
        let (batch, after) = after.split_at_checked(length).context("the file of batches ends too early")?;
        batches.push((device.clone(), batch.to_vec()));
        rest = after;
    }
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_read_as_they_were_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batches");
        keep_batches(&path, &[b"one".to_vec(), vec![], b"three".to_vec()]).unwrap();
        let device: DeviceId = "box".parse().unwrap();
        let read: Vec<_> =
            read_batches(&path, &device).unwrap().into_iter().map(|(_, batch)| batch).collect();
        assert_eq!(read, [b"one".to_vec(), vec![], b"three".to_vec()]);
    }
}
