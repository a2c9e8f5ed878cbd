//! The rules of ingest: what a message is, whose it may be, and how a verified batch joins what the centre has.
//!
//! Pure: the head, the sender's keys and earlier chain values come in as arguments.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;
use pestle_domain::{
    causes::with_causes,
    fact::{Envelope, FactBody, Part},
    ids::{ActId, BatchId, BranchId, DeviceId, FactId, TenantId},
    journal::{Carried, Head, Join, Lane, Stream, join},
    signature::{Hash, VerifyingKey},
    units::{Day, UnixMillis},
    wire::batch::{Batch, BatchError, Header, RefusalReason},
};

/// A quantity beyond this is a fault of the box, not stock: a billion packs.
pub const QUANTITY_MAX: i64 = 1_000_000_000;
/// An amount beyond this is a fault of the box, not money: 10 billion of a currency with two decimals. A sum of as
/// many of them as one table can hold rows stays within 64 bits far beyond a chain's life.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000;

/// A fact's number beyond this is a fault of the box: JSON's readers count no further (RFC 8259, 6), and no journal comes near.
const SEQ_MAX: u64 = 1 << 53;

/// Who publishes, as the centre knows it: the device of the topic, never what the message says of itself.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The chain.
    pub tenant: TenantId,
    /// The branch it was enrolled for.
    pub branch: BranchId,
    /// The box.
    pub device: DeviceId,
    /// Its term; facts of earlier terms of the same box and branch are taken as late ones.
    pub term: u32,
    /// Every key it ever signed with.
    pub keys: Vec<VerifyingKey>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Who the box was before, as it proved when it was enrolled: what those recorded and could not send is its legacy.
    pub earlier: Vec<Predecessor>,
}

/// A box that another one was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predecessor {
    /// Its branch then.
    pub branch: BranchId,
    /// Its name then.
    pub device: DeviceId,
    /// Its term then.
    pub term: u32,
}

impl Sender {
    /// Whether `stream` is one that this box may write.
    pub fn writes(&self, stream: &Stream) -> bool {
        let own = stream.branch == self.branch
            && stream.device == self.device
            && (1..=self.term).contains(&stream.term);
        let legacy = |before: &Predecessor| {
            stream.branch == before.branch && stream.device == before.device && stream.term == before.term
        };
        stream.tenant == self.tenant && (own || self.earlier.iter().any(legacy))
    }
}

/// A batch whose chain and signature hold, with its facts read.
#[derive(Debug)]
pub struct Verified {
    /// As it came.
    pub header: Header,
    /// In order.
    pub facts: Vec<VerifiedFact>,
    /// A person has said that it counts although its life of the store has ended.
    pub by_hand: bool,
    message: Bytes,
}

/// One fact of a verified batch.
#[derive(Debug)]
pub struct VerifiedFact {
    /// The chain's value up to and with this fact.
    pub hash: Hash,
    /// See the fact's envelope.
    pub id: FactId,
    /// See the fact's envelope.
    pub act: ActId,
    /// See the fact's envelope.
    pub part: Part,
    /// Who did it, as the line has it: `box` or `staff:…`.
    pub actor: Box<str>,
    /// As the device's clock told it.
    pub wall: UnixMillis,
    /// The day of business.
    pub day: Day,
    /// Names the form of the data.
    pub kind: Cow<'static, str>,
    /// What it says, where this version understands it.
    pub reading: Reading,
    line: Range<usize>,
}

/// What the centre makes of a fact's data.
#[derive(Debug)]
pub enum Reading {
    /// Understood, to be folded.
    Known(FactBody),
    /// A newer envelope or kind: stored in place, folded after an upgrade.
    Newer,
    /// A kind that we know, with data that cannot be: stored in place, and shown to a person. Refusing it would
    /// stop the branch's stream for ever, and it is authentic.
    Doubtful(String),
}

impl VerifiedFact {
    /// What is to be folded, if anything.
    pub fn body(&self) -> Option<&FactBody> {
        match &self.reading {
            Reading::Known(body) => Some(body),
            Reading::Newer | Reading::Doubtful(_) => None,
        }
    }
}

impl Verified {
    /// The bytes of `fact`, exactly as they were hashed.
    pub fn line(&self, fact: &VerifiedFact) -> &[u8] {
        &self.message[fact.line.clone()]
    }

    /// The whole message.
    pub fn message(&self) -> Bytes {
        self.message.clone()
    }
}

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which batch, if its header could be read.
    pub batch: Option<BatchId>,
    /// Of which stream, if it is one of the sender's.
    pub stream: Option<Box<Stream>>,
    /// What stays the same when the box tries again, if its header could be read.
    pub identity: Option<Hash>,
    /// What the branch is told.
    pub reason: RefusalReason,
    /// In words.
    pub message: String,
    /// How the quarantine calls it, where the word that the branch is told says less: boxes know the words of their version alone.
    pub kept_as: Option<&'static str>,
}

/// A second live store's facts: how the quarantine calls them.
pub const FENCED: &str = "fenced";
/// A revoked box's: how the quarantine calls them.
pub const NOT_ALLOWED: &str = "not_allowed";
/// A fact that is stored without its effects: how the quarantine calls it.
pub const UNFOLDED: &str = "unfolded";
/// An act that counted before: how the quarantine calls it.
pub const REPEATED: &str = "repeated";

impl Refusal {
    /// Of a batch that is authentic and cannot join: the centre has other bytes, or the batch comes from a second live store.
    pub fn of_history(batch: &Verified, fenced: bool) -> Self {
        let header = &batch.header;
        let what = facts_of(header);
        let message = if fenced {
            format!(
                "facts of {what}: that life of the box's store has ended, and another one of the box goes on: a second store is alive, or this is what the box lost when it ended"
            )
        } else {
            format!(
                "the centre has other bytes for facts of {what}: two stores write under one name, or an old copy was restored"
            )
        };
        Self {
            batch: Some(header.batch),
            stream: Some(Box::new(header.stream.clone())),
            identity: Some(identity(header)),
            reason: RefusalReason::Contradicts,
            message,
            kept_as: fenced.then_some(FENCED),
        }
    }

    /// The word under which it is kept for people.
    pub fn word(&self) -> String {
        let told = || serde_json::to_value(self.reason).ok()?.as_str().map(str::to_owned);
        self.kept_as.map(str::to_owned).or_else(told).unwrap_or_default()
    }

    fn of(header: Option<&Header>, sender: &Sender, error: &BatchError) -> Self {
        let message = with_causes(error);
        Self {
            batch: header.map(|header| header.batch),
            stream: header
                .filter(|header| sender.writes(&header.stream))
                .map(|header| Box::new(header.stream.clone())),
            identity: header.map(identity),
            reason: error.reason(),
            message,
            kept_as: None,
        }
    }
}

/// Names the same facts under the same key, whatever batch they come in and however often they are signed.
pub fn identity(header: &Header) -> Hash {
    let Header { stream, first, count, hash, key, .. } = header;
    let text = format!("{} {first} {count} {hash} {}", describe(stream), key.0);
    Hash::of(text.as_bytes())
}

/// Reads and verifies a message that `sender` published on the topic of `lane` (`None` where there is no topic).
///
/// # Errors
/// [`Refusal`] with the reason that the branch is told.
pub fn read(sender: &Sender, lane: Option<Lane>, message: Bytes) -> Result<Verified, Refusal> {
    let batch = Batch::parse(&message).map_err(|error| Refusal::of(None, sender, &error))?;
    let header = &batch.header;
    if sender.revoked {
        let message = format!(
            "facts of {}: device {} is revoked: enrol it again or replace it",
            facts_of(header),
            sender.device
        );
        return Err(Refusal {
            batch: Some(header.batch),
            stream: None,
            identity: Some(identity(header)),
            reason: RefusalReason::NotAllowed,
            message,
            kept_as: None,
        });
    }
    if !sender.writes(&header.stream) || lane.is_some_and(|lane| lane != header.stream.lane) {
        let message = format!(
            "the stream {} is not one of device {}, term {}: enrol the device again if it was moved",
            describe(&header.stream),
            sender.device,
            sender.term
        );
        return Err(Refusal {
            batch: Some(header.batch),
            stream: None,
            identity: Some(identity(header)),
            reason: RefusalReason::WrongStream,
            message,
            kept_as: None,
        });
    }
    let refuse = |error: BatchError| Refusal::of(Some(&batch.header), sender, &error);
    let Some(key) = sender.keys.iter().find(|key| key.id() == header.key) else {
        return Err(refuse(BatchError::WrongSignature(pestle_domain::signature::SignatureError::Mismatch)));
    };
    let heads = batch.verify(key).map_err(refuse)?;
    let envelopes = batch.envelopes().map_err(refuse)?;
    let start = message.as_ptr() as usize;
    let facts = envelopes
        .into_iter()
        .zip(&batch.lines)
        .zip(heads)
        .map(|((envelope, line), head)| {
            let from = line.as_ptr() as usize - start;
            verified(envelope, line, head.hash, from..from + line.len())
        })
        .collect();
    let header = batch.header;
    Ok(Verified { header, facts, by_hand: false, message })
}

/// A line of the event store, as this version reads it; `None` for a newer envelope.
pub fn read_line(line: &[u8], hash: Hash) -> Option<VerifiedFact> {
    let envelope = Envelope::parse(line).ok()?;
    Some(verified(envelope, line, hash, 0..line.len()))
}

fn verified(envelope: Envelope<'_>, line: &[u8], hash: Hash, place: Range<usize>) -> VerifiedFact {
    let reading = reading(line, envelope.body());
    let kind = match &reading {
        Reading::Known(body) => Cow::Borrowed(body.kind()),
        // PostgreSQL's text holds no zero character.
        _ => Cow::Owned(envelope.kind.replace('\0', "\u{FFFD}")),
    };
    VerifiedFact {
        hash,
        id: envelope.id,
        act: envelope.act,
        part: envelope.of,
        actor: String::from(envelope.actor).into_boxed_str(),
        wall: envelope.at.wall_ms,
        day: envelope.at.business_date,
        kind,
        reading,
        line: place,
    }
}

fn reading(line: &[u8], body: Result<Option<FactBody>, pestle_domain::fact::FactError>) -> Reading {
    match body {
        Ok(None) => Reading::Newer,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            Reading::Doubtful(format!("{error}: {cause}"))
        }
        Ok(Some(body)) => match absurdity(line, &body) {
            Some(what) => Reading::Doubtful(what.to_owned()),
            None => Reading::Known(body),
        },
    }
}

/// What makes a readable fact impossible to book: no shelf and no drawer holds it, or no database can.
fn absurdity(line: &[u8], body: &FactBody) -> Option<&'static str> {
    // Few lines have an escape at all: the first look is one pass over the bytes.
    if line.contains(&b'\\') && line.windows(6).any(|window| window == b"\\u0000") {
        return Some("a text has a zero character in it");
    }
    let quantity = |quantity: i64| quantity.unsigned_abs() > QUANTITY_MAX.unsigned_abs();
    if pestle_domain::stock::deltas(body).iter().any(|delta| quantity(delta.on_hand.0)) {
        return Some("a quantity is beyond a billion packs");
    }
    if let FactBody::EpochOpened(opened) = body {
        // Of a life of which nothing was kept, the first stands one behind the last.
        let absurd = |range: &Carried| range.last > SEQ_MAX || range.first > range.last + 1;
        return opened
            .carried
            .iter()
            .any(absurd)
            .then_some("a range of carried facts begins behind its end, or is beyond any journal");
    }
    let amounts = match body {
        FactBody::TillOpened(fact) => vec![fact.float],
        FactBody::TillClosed(fact) => vec![fact.counted, fact.expected, fact.variance],
        FactBody::SaleCompleted(fact) => {
            if fact.lines.iter().any(|line| quantity(line.quantity.0)) {
                return Some("a quantity is beyond a billion packs");
            }
            let lines = fact.lines.iter().flat_map(|line| [line.unit_price, line.amount]);
            let taxes = fact.taxes.iter().flat_map(|share| [share.gross, share.tax]);
            lines.chain(taxes).chain([fact.total, fact.tendered, fact.change]).collect()
        }
        other => pestle_domain::till::movement(other).map(|movement| movement.amount).into_iter().collect(),
    };
    if amounts.iter().any(|amount| amount.minor.unsigned_abs() > AMOUNT_MINOR_MAX.unsigned_abs()) {
        return Some("an amount is beyond ten billion");
    }
    None
}

/// What becomes of a verified batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It joins: its facts from this index on are new.
    Apply {
        /// How many of its first facts the centre has already.
        skip: usize,
    },
    /// The centre has all of it: acknowledged again.
    Again,
    /// What lies between is missing. It may be on its way through another gateway.
    Gap,
    /// The centre has other bytes at one of its positions.
    Contradicts,
    /// It belongs to a life of the store that has ended before it: a second store is alive, or the box lost what it is.
    Fenced,
}

/// The number whose chain value [`judge`] compares, if the batch does not lie beyond a gap.
pub fn compared_at(head: &Head, header: &Header) -> Option<u64> {
    match join(head, header.first, header.count) {
        Join::Gap { .. } => None,
        Join::Next | Join::Overlap { .. } => Some(head.seq),
        Join::Repeat => Some(header.after().seq),
    }
}

/// Whether new facts of a batch come from a second live store: the box itself has said, in a later life of its store, that this
/// one ended at `fence`. What it recorded before that is taken however late it comes, and what a person has judged. Behind it nothing
/// is asked for again: it may be the only copy of what the box has lost, and is kept for a person.
pub fn judge_fence(verdict: Verdict, batch: &Verified, fence: Option<u64>) -> Verdict {
    let is_behind = fence.is_some_and(|fence| batch.header.after().seq > fence);
    match verdict {
        Verdict::Apply { .. } | Verdict::Gap if is_behind && !batch.by_hand => Verdict::Fenced,
        _ => verdict,
    }
}

/// Judges how a verified batch joins `head`. `kept` is the centre's chain value at [`compared_at`]: since each value
/// covers all before it, one comparison covers every fact that both have.
pub fn judge(head: &Head, batch: &Verified, kept: Option<Hash>) -> Verdict {
    let header = &batch.header;
    let own = |seq: u64| match seq.checked_sub(header.first) {
        None => Some(header.previous),
        Some(index) => batch.facts.get(usize::try_from(index).ok()?).map(|fact| fact.hash),
    };
    let equal = compared_at(head, header).and_then(own).is_some_and(|own| Some(own) == kept);
    match join(head, header.first, header.count) {
        Join::Gap { .. } => Verdict::Gap,
        _ if !equal => Verdict::Contradicts,
        Join::Next => Verdict::Apply { skip: 0 },
        Join::Overlap { known } => Verdict::Apply { skip: usize::try_from(known).unwrap_or(usize::MAX) },
        Join::Repeat => Verdict::Again,
    }
}

/// Further ahead of all others no number of an epoch is believed: a box begins one when its store was damaged, a few in a life.
const EPOCH_STEP_MAX: i64 = 1_000_000;

/// The number of a new epoch: above every one that was ever used or given, but for those to which no box can have counted.
/// What a single box says of itself uses no branch's numbers up. `None` when there is none left.
pub fn next_epoch(used: impl IntoIterator<Item = i64>) -> Option<u32> {
    let mut used: Vec<i64> = used.into_iter().collect();
    used.sort_unstable();
    let mut last = 0;
    for number in used {
        if number.saturating_sub(last) > EPOCH_STEP_MAX {
            break;
        }
        last = number.max(last);
    }
    u32::try_from(last + 1).ok()
}

/// A stream for people: `north/box-1 term 1 ledger epoch 1`.
pub fn describe(stream: &Stream) -> String {
    let Stream { branch, device, term, lane, epoch, .. } = stream;
    format!("{branch}/{device} term {term} {} epoch {epoch}", lane.as_str())
}

/// The facts of a batch for people: `north/box-1 term 1 ledger epoch 1, 7 to 9`.
fn facts_of(header: &Header) -> String {
    format!("{}, {} to {}", describe(&header.stream), header.first, header.after().seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_revoked_box_sends_is_kept_under_the_word_by_which_it_is_booked() {
        let (batch, stream, identity, message) = (None, None, None, String::new());
        let reason = RefusalReason::NotAllowed;
        let refusal = Refusal { batch, stream, identity, reason, message, kept_as: None };
        assert_eq!(refusal.word(), NOT_ALLOWED);
    }

    #[test]
    fn a_new_epoch_is_above_all_that_were_used_and_a_number_that_no_box_can_have_come_to_uses_none_up() {
        for (used, expected) in [
            (vec![], Some(1)),
            (vec![0, 0], Some(1)),
            (vec![3, 41, 3], Some(42)),
            (vec![3, i64::from(u32::MAX)], Some(4)),
            (vec![i64::from(u32::MAX) - 1, 900_000, 1_800_000], Some(1_800_001)),
            (vec![i64::MAX, -5], Some(1)),
        ] {
            assert_eq!(next_epoch(used.clone()), expected, "{used:?}");
        }
        let all = (0..=i64::from(u32::MAX)).step_by(1_000_000).chain([i64::from(u32::MAX)]);
        assert_eq!(next_epoch(all), None, "there is none left");
    }
}
