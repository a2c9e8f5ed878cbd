//! What the centre's word allows: acknowledged is noted, and whole generations go once the centre has them, the
//! retention time is over, *and* what is folded from them is safe elsewhere.

use std::fs;

use pestle_domain::{
    journal::{AckVerdict, Acknowledgement, judge_ack},
    units::UnixMillis,
};

use super::{Journal, JournalError, Place, manifest::Epoch};
use crate::durable_file::{FileError, sync_folder};

impl Journal {
    /// Judges an acknowledgement whose signature was verified, and notes it when it names a head of this store.
    /// Blocks on the disk where that head is no recent one.
    ///
    /// # Errors
    /// As [`Journal::read_blocking`].
    pub fn acknowledge(&self, ack: &Acknowledgement) -> Result<AckVerdict, JournalError> {
        let number = ack.stream.epoch;
        let known = {
            let book = self.shared.book();
            book.epoch(number).map(|epoch| (epoch.manifest.stream.clone(), epoch.acknowledged.seq))
        };
        let Some((stream, acknowledged)) = known else { return Ok(AckVerdict::OtherStream) };
        let own = if ack.stream == stream { self.hash_at(number, ack.head.seq)? } else { None };
        let verdict = judge_ack(ack, &stream, acknowledged, |_| own);
        if let AckVerdict::Committed(head) = verdict {
            if let Some(epoch) = self.shared.book_mut().epoch_mut(number) {
                epoch.acknowledged = head;
            }
            self.shared.acknowledged.send_modify(|count| *count += 1);
            self.shared.keeper.mark();
        }
        Ok(verdict)
    }

    /// Removes the generations that the centre has, that were sealed longer than the retention time before `now`, and
    /// whose facts are all at or before `folded`. Returns how many. Blocks on the disk.
    ///
    /// # Errors
    /// [`JournalError::Store`] when the disk refuses.
    pub fn prune(&self, now: UnixMillis, folded: Place) -> Result<usize, JournalError> {
        let retention = i64::try_from(self.shared.settings.limits.retention.as_millis()).unwrap_or(i64::MAX);
        let sealed_before = UnixMillis(now.0.saturating_sub(retention));
        let removed = {
            let mut book = self.shared.book_mut();
            let last = book.current().number();
            let mut removed = Vec::new();
            for epoch in &mut book.epochs {
                let count = prunable(epoch, sealed_before, folded);
                removed.extend(epoch.generations.drain(..count).map(|entry| entry.folder));
            }
            let gone = |epoch: &Epoch| epoch.generations.is_empty() && epoch.number() != last;
            removed.extend(book.epochs.iter().filter(|epoch| gone(epoch)).map(|epoch| epoch.folder.clone()));
            book.epochs.retain(|epoch| !gone(epoch));
            removed
        };
        for folder in &removed {
            self.shared.stores.close(folder);
            fs::remove_dir_all(folder).map_err(FileError::disk("remove", folder))?;
            sync_folder(folder.parent().unwrap_or(&self.shared.settings.folder))?;
        }
        Ok(removed.len())
    }
}

/// How many of an epoch's oldest generations may go.
fn prunable(epoch: &Epoch, sealed_before: UnixMillis, folded: Place) -> usize {
    epoch
        .generations
        .iter()
        .take_while(|entry| {
            entry.sealed.is_some_and(|sealed| {
                sealed.last.seq <= epoch.acknowledged.seq
                    && sealed.at < sealed_before
                    && Place { epoch: epoch.number(), seq: sealed.last.seq } <= folded
            })
        })
        .count()
}
