//! What the centre's word allows: acknowledged is noted, and whole generations go once the centre has them, the
//! retention time is over, *and* what is folded from them is safe elsewhere.

use std::{fs, time::Duration};

use pestle_domain::{
    fact::Stamp,
    journal::{AckVerdict, Acknowledgement, Head, Stream, judge_ack},
    signature::Hash,
};

use super::{
    Journal, JournalError, Place,
    manifest::{Epoch, Sealed, Since, file},
    witness::Witness,
    writer::write_seal,
};
use crate::durable_file::{FileError, sync_folder};

/// Nothing goes unless the centre has said so lately that it has the epoch: three of the intervals in which a box that is
/// online asks (30 s). A box that is offline does not know whether the centre was restored since.
const HEARD_WITHIN: Duration = Duration::from_secs(90);

/// What an acknowledgement means, in the order of the centre's lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// As the journal's rules say.
    Judged(AckVerdict),
    /// Of an earlier life of the centre's database than was heard before: it allows nothing.
    OfEarlierLife,
    /// Of an ended epoch, behind its end here: the box has lost facts of it that the centre has. Whether the chains are one is
    /// seen when they are fetched.
    Ahead(Head),
    /// The centre's database was restored and stands at this head, behind what was acknowledged: all behind it counts as
    /// not acknowledged again.
    Restored(Head),
}

/// How a stated life of the centre's database compares with the one that is known; 0 is none.
pub fn compare_lives(known: u64, stated: u64) -> std::cmp::Ordering {
    // The first that is told tells nothing about what was before it.
    if known == 0 { std::cmp::Ordering::Equal } else { stated.cmp(&known) }
}

/// What an epoch knows of the centre.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The last fact that the centre has.
    pub acknowledged: u64,
    /// In which life of the centre's database; 0 while none was told.
    pub incarnation: u64,
}

/// The value with which a head that the centre names is compared: `own` is this store's at that number, if it has that fact. One
/// that has left it, or that it lost, is still known where it was the last that was acknowledged: a centre that was put back
/// may have another store's fact there since.
pub fn own_value(own: Option<Hash>, acknowledged: Head, named: Head) -> Option<Hash> {
    let is_another = named.seq > 0 && named.seq == acknowledged.seq && named.hash != acknowledged.hash;
    own.or(is_another.then_some(acknowledged.hash))
}

/// Whether the centre has more of an epoch that is over than the box still has: `ended` is the last fact of one that is.
fn is_ahead(own: Option<Hash>, ended: Option<u64>, named: Head) -> bool {
    own.is_none() && ended.is_some_and(|end| named.seq > end)
}

/// Weighs an acknowledgement of `stream` whose signature was verified; `own` is this store's chain value at the number
/// that it names, if it has that, and `ended` the last fact of an epoch that is over. The head is what counts as acknowledged
/// from now on, where that changes.
pub fn weigh(
    ack: &Acknowledgement,
    stream: &Stream,
    known: Standing,
    own: Option<Hash>,
    ended: Option<u64>,
) -> (Word, Option<Head>) {
    let verdict = judge_ack(ack, stream, known.acknowledged, |_| own);
    let lives = compare_lives(known.incarnation, ack.incarnation);
    match verdict {
        AckVerdict::Contradicts { .. } if is_ahead(own, ended, ack.head) => {
            // That it has more says nothing of what is here: it may be another store's, and nothing goes for it. What it had
            // before it was restored says nothing at all.
            let word = if lives.is_lt() { Word::OfEarlierLife } else { Word::Ahead(ack.head) };
            (word, None)
        }
        AckVerdict::OtherStream | AckVerdict::Contradicts { .. } => (Word::Judged(verdict), None),
        _ if lives.is_lt() => (Word::OfEarlierLife, None),
        AckVerdict::Committed(head) => (Word::Judged(verdict), Some(head)),
        AckVerdict::Old if lives.is_gt() && ack.head.seq < known.acknowledged => {
            (Word::Restored(ack.head), Some(ack.head))
        }
        AckVerdict::Old => (Word::Judged(verdict), None),
    }
}

impl Journal {
    /// Judges an acknowledgement whose signature was verified, and notes it when it names a head of this store.
    /// Blocks on the disk where that head is no recent one.
    ///
    /// # Errors
    /// As [`Journal::read_blocking`].
    pub fn acknowledge(&self, ack: &Acknowledgement) -> Result<Word, JournalError> {
        let number = ack.stream.epoch;
        let other = Ok(Word::Judged(AckVerdict::OtherStream));
        if self.shared.book().epoch(number).is_none_or(|epoch| epoch.manifest.stream != ack.stream) {
            return other;
        }
        let is_over = number != self.stream().epoch;
        let own = self.hash_at(number, ack.head.seq)?;
        // Looked at and noted under one lock: what is fetched back changes the same, on another thread.
        let (word, is_news) = {
            let mut book = self.shared.book_mut();
            let Some(epoch) = book.epoch_mut(number) else { return other };
            let own = own_value(own, epoch.acknowledged, ack.head);
            let known = Standing { acknowledged: epoch.acknowledged.seq, incarnation: epoch.incarnation };
            let (word, now) = weigh(ack, &ack.stream, known, own, is_over.then_some(epoch.head.seq));
            if matches!(word, Word::OfEarlierLife | Word::Ahead(_))
                || matches!(word, Word::Judged(AckVerdict::OtherStream | AckVerdict::Contradicts { .. }))
            {
                return Ok(word);
            }
            let is_news = now.is_some() || epoch.incarnation != ack.incarnation;
            if let Some(head) = now {
                epoch.acknowledged = head;
                epoch.witness = Witness::of(ack);
            }
            epoch.incarnation = ack.incarnation;
            (word, is_news)
        };
        self.shared.heard(number);
        if is_news {
            self.shared.acknowledged.send_modify(|count| *count += 1);
            self.shared.keeper.mark();
        }
        Ok(word)
    }

    /// Removes the generations that the centre has had for longer than the retention time, as it has said so just now, and
    /// whose facts are all at or before `folded`. Returns how many. What the wall clock shows decides nothing. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// [`JournalError::Store`] when the disk refuses.
    pub fn prune(&self, now: &Stamp, folded: Place) -> Result<usize, JournalError> {
        let age_ms = self.shared.age().at(&self.shared.settings.folder, now)?;
        self.date_seals(now, age_ms)?;
        let before = self.let_go_before(age_ms);
        if self.prunable(before, folded) == 0 {
            return Ok(0);
        }
        // What is removed must be known as acknowledged to the next start.
        if !self.shared.keeper.mark_now() {
            return Ok(0);
        }
        let removed = {
            let mut book = self.shared.book_mut();
            let last = book.current().number();
            let mut removed = Vec::new();
            for epoch in &mut book.epochs {
                // A restore that nobody has told yet may have taken it back.
                if !self.shared.heard_lately(epoch.number(), HEARD_WITHIN) {
                    continue;
                }
                let count = prunable(epoch, before, folded);
                removed.extend(epoch.generations.drain(..count).map(|entry| entry.folder));
            }
            let gone = |epoch: &Epoch| epoch.generations.is_empty() && epoch.number() != last;
            removed.extend(book.epochs.iter().filter(|epoch| gone(epoch)).map(|epoch| epoch.folder.clone()));
            book.epochs.retain(|epoch| !gone(epoch));
            removed
        };
        for folder in &removed {
            self.shared.stores.close(folder);
            // Moved away first: half a generation would look like a damaged one to a start in between.
            let away = folder.with_extension(file::REMOVED);
            fs::rename(folder, &away).map_err(FileError::disk("move", folder))?;
            sync_folder(folder.parent().unwrap_or(&self.shared.settings.folder))?;
            fs::remove_dir_all(&away).map_err(FileError::disk("remove", &away))?;
        }
        Ok(removed.len())
    }

    /// Whether generations stay for one reason alone: their facts are not all at or before `folded`.
    pub fn is_held(&self, now: &Stamp, folded: Place) -> bool {
        let before = self.let_go_before(self.shared.age().look(now));
        let everything = Place { epoch: u32::MAX, seq: u64::MAX };
        self.prunable(before, everything) > self.prunable(before, folded)
    }

    /// What the centre has had since this age may go; `None` while the store is younger than the retention time.
    fn let_go_before(&self, age_ms: u64) -> Option<u64> {
        let retention = u64::try_from(self.shared.settings.limits.retention.as_millis()).unwrap_or(u64::MAX);
        age_ms.checked_sub(retention)
    }

    fn prunable(&self, before: Option<u64>, folded: Place) -> usize {
        let book = self.shared.book();
        let last = book.current().number();
        let of = |epoch: &Epoch| {
            let gone = epoch.generations.is_empty() && epoch.number() != last;
            prunable(epoch, before, folded) + usize::from(gone)
        };
        book.epochs.iter().map(of).sum()
    }

    /// Dates what is not dated, or was at an age that cannot be: that counts as now.
    fn date_seals(&self, now: &Stamp, age_ms: u64) -> Result<(), JournalError> {
        let misdated: Vec<_> = {
            let book = self.shared.book();
            let entries = book.epochs.iter().flat_map(|epoch| {
                let known = Standing { acknowledged: epoch.acknowledged.seq, incarnation: epoch.incarnation };
                let now = now.wall_ms;
                let dated = move |sealed| {
                    dated(
                        sealed,
                        known,
                        Since { at: now, incarnation: known.incarnation, age_ms: Some(age_ms) },
                    )
                };
                epoch
                    .generations
                    .iter()
                    .map(move |entry| (epoch.number(), entry.folder.clone(), entry.sealed.and_then(dated)))
            });
            entries.filter_map(|(number, folder, sealed)| Some((number, folder, sealed?))).collect()
        };
        for (number, folder, sealed) in misdated {
            write_seal(&folder, &sealed)?;
            let mut book = self.shared.book_mut();
            let entries = book.epoch_mut(number).into_iter().flat_map(|epoch| &mut epoch.generations);
            for entry in entries.filter(|entry| entry.folder == folder) {
                entry.sealed = Some(sealed);
            }
        }
        Ok(())
    }
}

/// How many of an epoch's oldest generations may go.
fn prunable(epoch: &Epoch, before: Option<u64>, folded: Place) -> usize {
    let known = Standing { acknowledged: epoch.acknowledged.seq, incarnation: epoch.incarnation };
    let goes = |sealed: Sealed| may_go(&sealed, epoch.number(), known, before, folded);
    epoch.generations.iter().take_while(|entry| entry.sealed.is_some_and(goes)).count()
}

/// Whether a generation of `epoch` may go: the centre has it, has had it for long enough, and it is folded. Retention
/// counts from the acknowledgement and not from the seal: what a box brings after a long time offline is old at once, and a
/// centre that is put back a moment later needs it again. So it counts anew in each life of the centre's database. `before` is the
/// age of the store at which the centre must have had it, where the store is as old as that.
pub fn may_go(sealed: &Sealed, epoch: u32, known: Standing, before: Option<u64>, folded: Place) -> bool {
    let since = sealed.acknowledged.filter(|since| since.incarnation == known.incarnation);
    let had = since.and_then(|since| since.age_ms);
    sealed.last.seq <= known.acknowledged
        && had.zip(before).is_some_and(|(had, before)| had <= before)
        && Place { epoch, seq: sealed.last.seq } <= folded
}

/// A seal as it is to be written anew: since when the centre is known to have the whole generation, in this life of its
/// database, which is `now` where nothing or something impossible says otherwise; `None` where it says so already.
pub fn dated(sealed: Sealed, known: Standing, now: Since) -> Option<Sealed> {
    // Dated ahead of the store's age: that was lost, or these are another store's files.
    let can_be = |since: &Since| since.age_ms.is_some_and(|then| Some(then) <= now.age_ms);
    let acknowledged = match sealed.acknowledged {
        _ if sealed.last.seq > known.acknowledged => None,
        Some(since) if since.incarnation == known.incarnation && can_be(&since) => Some(since),
        _ => Some(now),
    };
    let new = Sealed { acknowledged, ..sealed };
    (new != sealed).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(seq: u64, text: &str) -> Head {
        Head { seq, hash: Hash::of(text.as_bytes()) }
    }

    #[test]
    fn what_left_the_box_is_compared_where_it_was_the_last_that_was_acknowledged() {
        let (acknowledged, another) = (head(9, "ours"), head(9, "another store's"));
        assert_eq!(own_value(None, acknowledged, another), Some(acknowledged.hash));
        // The same says nothing new, and of other places nothing is known.
        for named in [acknowledged, head(8, "earlier"), head(10, "later")] {
            assert_eq!(own_value(None, acknowledged, named), None);
        }
        assert_eq!(own_value(Some(another.hash), acknowledged, another), Some(another.hash), "it is here");
        assert_eq!(
            own_value(None, Head::EMPTY, head(0, "x")),
            None,
            "before the first fact there is nothing"
        );
    }

    #[test]
    fn a_centre_is_ahead_of_an_epoch_that_is_over_and_that_lacks_the_fact() {
        let named = head(5, "a");
        assert!(is_ahead(None, Some(4), named));
        assert!(!is_ahead(None, Some(5), named));
        assert!(!is_ahead(None, None, named), "the current one is judged");
        assert!(!is_ahead(Some(named.hash), Some(4), named));
    }

    #[test]
    fn that_it_was_ahead_before_it_was_restored_says_nothing() {
        let stream = crate::journal::testing::stream();
        let ack = |incarnation| Acknowledgement {
            incarnation,
            stream: stream.clone(),
            head: head(100, "a"),
            key: pestle_domain::signature::KeyId("0011223344556677".into()),
            signature: pestle_domain::signature::Signature::from_bytes([1; 64]),
        };
        let known = Standing { acknowledged: 40, incarnation: 4 };
        let word = |incarnation| weigh(&ack(incarnation), &stream, known, None, Some(90)).0;
        assert_eq!(word(3), Word::OfEarlierLife);
        assert_eq!(word(4), Word::Ahead(head(100, "a")));
        assert_eq!(word(5), Word::Ahead(head(100, "a")));
    }
}
