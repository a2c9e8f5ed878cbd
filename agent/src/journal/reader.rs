//! Reading acts back: for the relay, and to build what is folded from them.

use pestle_domain::{
    fact::BoxBooksIncomplete,
    journal::{Head, Stream},
    signature::Hash,
};

use super::{
    Finding, Journal, JournalError, Place, Shared,
    generation::{Generation, StoreError},
    manifest::{Entry, Sealed},
    record::{RecordError, StoredAct},
};

/// Acts that [`Journal::for_each`] holds in memory at a time, in bytes of lines.
const STEP_BYTES: usize = 1024 * 1024;

impl Journal {
    /// The acts of an epoch from the one that begins at `from_seq` on, until their lines exceed `bytes_max` (one act
    /// is always returned, if there is one). They are verified against the chain. Blocks on the disk.
    ///
    /// # Errors
    /// [`JournalError::Hole`] where facts are missing for good; [`JournalError::Store`], [`JournalError::Panicked`].
    pub fn read_blocking(
        &self,
        epoch: u32,
        from_seq: u64,
        bytes_max: usize,
    ) -> Result<Vec<StoredAct>, JournalError> {
        let shared = &self.shared;
        let Some((stream, head)) = end_of(shared, epoch) else { return Ok(Vec::new()) };
        let mut acts = Vec::new();
        let mut next = from_seq;
        let mut bytes = 0;
        while next <= head.seq && (acts.is_empty() || bytes < bytes_max) {
            let entry = match place_of(shared, epoch, next, head) {
                Ok(entry) => entry,
                Err(hole) if acts.is_empty() => return Err(hole),
                Err(_) => break,
            };
            let room = bytes_max.saturating_sub(bytes);
            let read = match (entry.sealed, shared.stores.current(&entry)) {
                (None, Some(store)) => {
                    read_current(&store, &entry, &stream, next, head, room).map_err(Into::into)
                }
                (Some(sealed), _) => read_sealed(shared, &entry, sealed, &stream, next, room),
                // Between an error and the next commit: what was confirmed is read from the raw bytes.
                (None, None) => {
                    let at = pestle_domain::units::UnixMillis(0);
                    let sealed = Sealed { last: head, facts: 0, at, acknowledged: None };
                    read_sealed(shared, &entry, sealed, &stream, next, room)
                }
            };
            let found = match read {
                Ok(found) => found,
                Err(error) if acts.is_empty() => return Err(error),
                Err(_) => break,
            };
            let Some(last) = found.last() else { break };
            next = last.after.seq + 1;
            bytes += found.iter().map(StoredAct::line_bytes).sum::<usize>();
            acts.extend(found);
        }
        Ok(acts)
    }

    /// [`Journal::read_blocking`] in a thread of its own.
    ///
    /// # Errors
    /// As [`Journal::read_blocking`].
    pub async fn read(
        &self,
        epoch: u32,
        from_seq: u64,
        bytes_max: usize,
    ) -> Result<Vec<StoredAct>, JournalError> {
        let journal = self.clone();
        tokio::task::spawn_blocking(move || journal.read_blocking(epoch, from_seq, bytes_max))
            .await
            .map_err(|error| JournalError::Panicked(error.to_string()))?
    }

    /// Shows every act behind `behind` that is still here to `f`, in order over all epochs, and returns the place of the
    /// last fact. Blocks on the disk.
    ///
    /// Facts that cannot be read any more are left out: they stand in [`Journal::findings`], and a branch whose figures
    /// are doubtful still sells (invariant I5).
    ///
    /// # Errors
    /// As [`Journal::read_blocking`], and what `f` returns.
    pub fn for_each<E: From<JournalError>>(
        &self,
        behind: Place,
        f: impl FnMut(Place, &StoredAct) -> Result<(), E>,
    ) -> Result<Place, E> {
        self.for_each_and_hole(behind, f, |_| ())
    }

    /// [`Journal::for_each`], which shows to `lost` what it leaves out.
    ///
    /// # Errors
    /// As [`Journal::for_each`].
    pub fn for_each_and_hole<E: From<JournalError>>(
        &self,
        behind: Place,
        mut f: impl FnMut(Place, &StoredAct) -> Result<(), E>,
        mut lost: impl FnMut(BoxBooksIncomplete),
    ) -> Result<Place, E> {
        let mut reached = behind;
        for epoch in self.epochs() {
            let number = epoch.stream.epoch;
            if number < behind.epoch {
                continue;
            }
            let after = if number == behind.epoch { behind.seq } else { 0 };
            let mut next = epoch.first_kept.max(after + 1);
            while next <= epoch.head.seq {
                let acts = match self.read_blocking(number, next, STEP_BYTES) {
                    Err(JournalError::Hole { to, .. }) => {
                        lost(BoxBooksIncomplete { epoch: number, from: next, to });
                        next = to + 1;
                        continue;
                    }
                    read => read.map_err(E::from)?,
                };
                // No read below the head is empty: what cannot be read is a hole.
                let Some(last) = acts.last() else { break };
                next = last.after.seq + 1;
                for act in &acts {
                    reached = Place { epoch: number, seq: act.after.seq };
                    f(Place { epoch: number, seq: act.first }, act)?;
                }
            }
        }
        Ok(reached)
    }

    /// This store's own chain value at a position, if it has that fact. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Journal::read_blocking`].
    pub fn hash_at(&self, epoch: u32, seq: u64) -> Result<Option<Hash>, JournalError> {
        let shared = &self.shared;
        let Some((stream, head)) = end_of(shared, epoch) else { return Ok(None) };
        if seq == head.seq {
            return Ok(Some(head.hash));
        }
        if seq > head.seq {
            return Ok(None);
        }
        let (entry, known) = {
            let book = shared.book();
            let Some(epoch) = book.epoch(epoch) else { return Ok(None) };
            let known = epoch
                .generations
                .iter()
                .flat_map(|entry| [Some(entry.begun.before), entry.sealed.map(|sealed| sealed.last)])
                .flatten()
                // What the centre signed was compared with our own when it came, and may lie before an island.
                .chain([epoch.acknowledged])
                .find(|known| known.seq == seq);
            (epoch.generation_with(seq).cloned(), known)
        };
        if let Some(known) = known {
            return Ok(Some(known.hash));
        }
        let Some(entry) = entry else { return Ok(None) };
        let found = match shared.stores.current(&entry) {
            Some(store) if entry.sealed.is_none() => {
                before_and_act(&store, &entry, seq)?.map(|(before, act)| (Some(before), act))
            }
            _ => shared.stores.sealed(&entry, &stream)?.act_with(seq)?,
        };
        let Some((before, act)) = found else { return Ok(None) };
        if act.after.seq == seq {
            return Ok(Some(act.after.hash));
        }
        let Some(mut head) = before else { return Ok(None) };
        for line in act.lines() {
            head = head.after(&stream, line);
            if head.seq == seq {
                return Ok(Some(head.hash));
            }
        }
        Ok(None)
    }
}

/// The generation that has the fact at `seq`.
///
/// # Errors
/// [`JournalError::Hole`] up to the next generation, where none has it: its folder is not there any more.
fn place_of(shared: &Shared, epoch: u32, seq: u64, head: Head) -> Result<Entry, JournalError> {
    let book = shared.book();
    let known = book.epoch(epoch);
    let entry = known.and_then(|epoch| epoch.generation_with(seq));
    if let Some(entry) = entry.filter(|entry| entry.sealed.is_none_or(|sealed| seq <= sealed.last.seq)) {
        return Ok(entry.clone());
    }
    let generations = known.map(|epoch| epoch.generations.as_slice()).unwrap_or_default();
    let next = generations.iter().map(Entry::first).find(|first| *first > seq);
    let kept = known.map_or_else(|| shared.settings.folder.clone(), |epoch| epoch.folder.clone());
    Err(JournalError::Hole { epoch, from: seq, to: next.map_or(head.seq, |first| first - 1), kept })
}

/// An epoch's stream and the head up to which it may be read.
fn end_of(shared: &Shared, epoch: u32) -> Option<(Stream, Head)> {
    if epoch == shared.stream.epoch {
        return Some((shared.stream.clone(), *shared.committed()));
    }
    let book = shared.book();
    book.epoch(epoch).map(|epoch| (epoch.manifest.stream.clone(), epoch.head))
}

fn before_and_act(
    store: &Generation,
    entry: &Entry,
    seq: u64,
) -> Result<Option<(Head, StoredAct)>, StoreError> {
    let Some(act) = store.act_with(seq)? else { return Ok(None) };
    let before = match act.first.checked_sub(1).filter(|seq| *seq > entry.begun.before.seq) {
        Some(seq) => store.act_with(seq)?.map_or(entry.begun.before, |act| act.after),
        None => entry.begun.before,
    };
    Ok(Some((before, act)))
}

/// The verified acts of the generation that is being written, from `from` to `until`.
fn read_current(
    store: &Generation,
    entry: &Entry,
    stream: &Stream,
    from: u64,
    until: Head,
    bytes_max: usize,
) -> Result<Vec<StoredAct>, StoreError> {
    let broken = |behind, source| StoreError::Record { path: entry.store(), behind, source };
    let mut head = match before_and_act(store, entry, from)? {
        Some((before, act)) if act.first == from => before,
        _ => return Err(broken(from - 1, RecordError::Parts)),
    };
    let mut found = Vec::new();
    let mut bytes = 0;
    for act in store.acts_from(from) {
        let act = act?;
        if act.after.seq > until.seq {
            break;
        }
        act.verify(stream, &head).map_err(|source| broken(head.seq, source))?;
        head = act.after;
        bytes += act.line_bytes();
        found.push(act);
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(found)
}

/// The acts of a generation that is no longer written. Its store is verified when it is opened.
fn read_sealed(
    shared: &Shared,
    entry: &Entry,
    sealed: Sealed,
    stream: &Stream,
    from: u64,
    bytes_max: usize,
) -> Result<Vec<StoredAct>, JournalError> {
    let store = shared.stores.sealed(entry, stream)?;
    let damaged = |what: &str| Finding::Damaged {
        epoch: stream.epoch,
        first: entry.first(),
        readable: store.head(),
        until: store.last_missing(sealed.last.seq),
        what: what.to_owned(),
        kept: entry.store(),
    };
    if store.head_at(sealed.last.seq) != Some(sealed.last) {
        tell_once(shared, damaged("its bytes do not give the facts that it was sealed with"));
    }
    let hole = |to| JournalError::Hole { epoch: stream.epoch, from, to, kept: entry.store() };
    let acts = store.acts(from, sealed.last.seq, bytes_max).map_err(|lost| {
        tracing::error!(error = ?lost.source, "recorded facts cannot be read");
        tell_once(shared, damaged("the disk cannot read some of its acts any more"));
        hole(lost.last)
    })?;
    match acts.first() {
        // What lies before the first act that is left is missing: it is told before what lies behind it is shown.
        Some(act) if act.first > from => Err(hole(act.first - 1)),
        None if from <= sealed.last.seq => Err(hole(sealed.last.seq)),
        _ => Ok(acts),
    }
}

fn tell_once(shared: &Shared, finding: Finding) {
    let findings = shared.findings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    if !findings.iter().any(|known| known.covers(&finding)) {
        shared.found(finding);
    }
}
