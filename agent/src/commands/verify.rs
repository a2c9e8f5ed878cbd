//! `pestle-agent journal verify`: is this box's history what it was when the centre acknowledged it, and whole since?
//!
//! Nothing that the box could have written anew by itself is believed: the chain is computed from the facts' bytes, and it
//! must pass through the head that the centre signed.

use pestle_domain::{
    journal::{Head, Stream},
    signature::{KeyId, VerifyingKey},
};

use crate::journal::{EpochState, Journal, JournalError, OpenReport, StoredAct};

/// Acts that are held in memory at a time, in bytes of lines.
const STEP_BYTES: usize = 1024 * 1024;

/// What was found, in sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// What holds, a sentence for each life of the store.
    pub holds: Vec<String>,
    /// What nothing here can prove: lives of the store that are not here any more.
    pub unproved: Vec<String>,
    /// What does not: the first record that differs, of each life of the store.
    pub differs: Vec<String>,
}

/// Checks every epoch that is here. `centre_key` knows the centre's keys by their names. Blocks on the disk.
///
/// # Errors
/// [`JournalError`] when the disk refuses.
pub fn verify<'a>(
    journal: &Journal,
    report: &OpenReport,
    centre_key: impl Fn(&KeyId) -> Option<&'a VerifyingKey>,
) -> Result<Verified, JournalError> {
    let mut verified = Verified::default();
    verified.differs.extend(report.findings.iter().map(ToString::to_string));
    let epochs = journal.epochs();
    for (index, epoch) in epochs.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| &epochs[before]);
        verified.unproved.extend(not_here(epoch, before));
        let is_over = index + 1 < epochs.len();
        match check(journal, (epoch, is_over), before, &centre_key)? {
            Ok((sentence, unproved)) => {
                verified.holds.push(sentence);
                verified.unproved.extend(unproved);
            }
            Err(sentence) => verified.differs.push(sentence),
        }
    }
    Ok(verified)
}

/// What holds of an epoch, and what nothing here can prove of it.
type Holds = (String, Option<String>);

/// What holds of one epoch, which may be over, or the first that does not.
fn check<'a>(
    journal: &Journal,
    (epoch, is_over): (&EpochState, bool),
    before: Option<&EpochState>,
    centre_key: &impl Fn(&KeyId) -> Option<&'a VerifyingKey>,
) -> Result<Result<Holds, String>, JournalError> {
    let number = epoch.stream.epoch;
    if let Err(why) = descent(epoch, before).and_then(|()| signature(epoch, centre_key)) {
        return Ok(Err(why));
    }
    let first = epoch.first_kept;
    let Some(hash) = journal.hash_at(number, first - 1)? else {
        return Ok(Err(format!("epoch {number}: nobody knows the chain's value before fact {first}")));
    };
    let mut walk = Walk { epoch, head: Head { seq: first - 1, hash } };
    if let Err(why) = walk.compare() {
        return Ok(Err(why));
    }
    while walk.head.seq < epoch.head.seq {
        match journal.read_blocking(number, walk.head.seq + 1, STEP_BYTES) {
            Ok(acts) => {
                if let Err(why) = acts.iter().try_for_each(|act| walk.take(act)) {
                    return Ok(Err(why));
                }
                // No read below the head is empty.
                if acts.is_empty() {
                    break;
                }
            }
            Err(JournalError::Hole { from, to, .. }) => {
                return Ok(Err(format!(
                    "epoch {number}, fact {from}: facts {from} to {to} are missing, or are not those that were recorded"
                )));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(walk.end(is_over))
}

/// The life that it descends from, where that is not here. It goes when all of it was acknowledged long ago; whoever takes it
/// away leaves no other trace.
fn not_here(epoch: &EpochState, before: Option<&EpochState>) -> Option<String> {
    let parent = epoch.parent.as_ref()?;
    let is_here = before.is_some_and(|before| before.stream.epoch == parent.epoch);
    (!is_here && parent.head.seq > 0).then(|| {
        format!(
            "epoch {} began behind fact {} of epoch {}, which is not here: whether the centre has it all, \"pestle-gateway audit verify\" says",
            epoch.stream.epoch, parent.head.seq, parent.epoch
        )
    })
}

/// Whether it descends from the life before it, where that is still here.
fn descent(epoch: &EpochState, before: Option<&EpochState>) -> Result<(), String> {
    let (Some(parent), Some(before)) = (&epoch.parent, before) else { return Ok(()) };
    let same = parent.epoch == before.stream.epoch;
    if !same || (parent.store == before.store && parent.head == before.head) {
        return Ok(());
    }
    Err(format!(
        "epoch {} began behind fact {} of epoch {}, and that now ends with fact {}: one of them is not what it was",
        epoch.stream.epoch, parent.head.seq, parent.epoch, before.head.seq
    ))
}

/// Whether the acknowledgement that was kept is the centre's.
fn signature<'a>(
    epoch: &EpochState,
    centre_key: &impl Fn(&KeyId) -> Option<&'a VerifyingKey>,
) -> Result<(), String> {
    let Some(ack) = &epoch.witness else { return Ok(()) };
    let number = epoch.stream.epoch;
    let Some(key) = centre_key(&ack.key) else {
        return Err(format!(
            "epoch {number}: the acknowledgement that was kept is signed with {}, which is no key of the centre",
            ack.key
        ));
    };
    ack.verify(key).map_err(|_| {
        format!(
            "epoch {number}: the acknowledgement that was kept was not signed by the centre: it was changed"
        )
    })
}

/// Goes along the facts of an epoch.
struct Walk<'a> {
    epoch: &'a EpochState,
    head: Head,
}

impl Walk<'_> {
    fn take(&mut self, act: &StoredAct) -> Result<(), String> {
        let stream: &Stream = &self.epoch.stream;
        if act.first != self.head.seq + 1 {
            return Err(format!(
                "epoch {}, fact {}: fact {} follows on fact {}",
                stream.epoch,
                self.head.seq + 1,
                act.first,
                self.head.seq
            ));
        }
        for line in act.lines() {
            self.head = self.head.after(stream, line);
            self.compare()?;
        }
        if self.head == act.after {
            return Ok(());
        }
        Err(format!(
            "epoch {}, fact {}: act {} was changed after it was recorded",
            stream.epoch, act.first, act.act.0
        ))
    }

    /// At the head that the centre signed, the chain must be the centre's.
    fn compare(&self) -> Result<(), String> {
        let Some(ack) = self.epoch.witness.as_ref().filter(|ack| ack.head.seq == self.head.seq) else {
            return Ok(());
        };
        if ack.head == self.head {
            return Ok(());
        }
        Err(format!(
            "epoch {}: a fact from {} to {} is not the one that the centre acknowledged (its database's life {}): to learn which, \
             give \"pestle-agent journal export\" to the centre's \"pestle-gateway audit verify\"",
            self.epoch.stream.epoch, self.epoch.first_kept, ack.head.seq, ack.incarnation
        ))
    }

    fn end(&self, is_over: bool) -> Result<Holds, String> {
        let EpochState { stream, head, first_kept, witness, .. } = self.epoch;
        let number = stream.epoch;
        if self.head != *head {
            return Err(format!(
                "epoch {number}, fact {}: the facts end here, and the store says that {} is the last",
                self.head.seq + 1,
                head.seq
            ));
        }
        let whole = if first_kept > &head.seq {
            format!("epoch {number}: all {} facts were acknowledged and removed", head.seq)
        } else {
            format!("epoch {number}: facts {first_kept} to {} are whole", head.seq)
        };
        let signed = witness.as_ref().map_or(0, |ack| ack.head.seq);
        if is_over && signed + 1 < *first_kept {
            // Where the box has lost its end the centre signs for more, and what allowed them to go was its chain, which was compared
            // where the epoch ends here.
            let unproved = format!(
                "epoch {number}: facts {} to {} were removed, and no acknowledgement was kept that reaches so far: whether the centre has \
                 them all, \"pestle-gateway audit verify\" says",
                signed + 1,
                first_kept - 1
            );
            return Ok((whole, Some(unproved)));
        }
        let holds = match witness {
            None if *first_kept > 1 => Err(format!(
                "epoch {number}, fact 1: it was removed, and no acknowledgement was kept that says that the centre has it"
            )),
            None => Ok(format!("{whole}; no signed acknowledgement was kept yet")),
            // Only where the tail is gone, and with it every other trace.
            Some(ack) if ack.head.seq > head.seq => Err(format!(
                "epoch {number}, fact {}: the centre acknowledged {} facts, and only {} are here",
                head.seq + 1,
                ack.head.seq,
                head.seq
            )),
            Some(ack) if ack.head.seq + 1 < *first_kept => Err(format!(
                "epoch {number}, fact {}: it was removed, and the acknowledgement that was kept reaches to fact {} only",
                ack.head.seq + 1,
                ack.head.seq
            )),
            Some(ack) => Ok(format!(
                "{whole}; up to fact {} they are those that the centre signed (its database's life {})",
                ack.head.seq, ack.incarnation
            )),
        };
        holds.map(|sentence| (sentence, None))
    }
}
