//! The rules of an audit. Pure: records, keys and files come in as arguments.

use std::{collections::BTreeMap, sync::Arc};

use pestle_domain::{
    fact::Envelope,
    journal::{Acknowledgement, Head, Stream},
    signature::{Hash, Signature, VerifyingKey},
    wire::batch::Batch,
};

use super::store::{Audited, Record};
use crate::ingest::rules::{Sender, describe};

/// The boxes that wrote, or may have delivered, a branch's streams.
#[derive(Debug, Default)]
pub struct Boxes(Vec<Arc<Sender>>);

impl Boxes {
    /// One more.
    pub fn extend(&mut self, sender: Option<Arc<Sender>>) {
        self.0.extend(sender);
    }

    /// The keys with which `stream` may be signed: those of its own box, and of one that succeeded it.
    fn keys<'a>(&'a self, stream: &Stream) -> impl Iterator<Item = &'a VerifyingKey> {
        self.0
            .iter()
            .filter(move |sender| sender.device == stream.device || sender.writes(stream))
            .flat_map(|sender| &sender.keys)
    }

    /// The key that signed `head`.
    fn signer(&self, stream: &Stream, head: &Head, signature: &Signature) -> Option<&VerifyingKey> {
        let statement = head.statement(stream);
        self.keys(stream).find(|key| key.verify(&statement, signature).is_ok())
    }
}

/// What was found of one thing, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// It is as it was.
    Holds(String),
    /// Nothing shows that it is not, and nobody vouches for it.
    Unproved(String),
    /// It is not.
    Differs(String),
}

/// Goes along a stream's records.
#[derive(Debug)]
pub struct Walk<'a> {
    audited: &'a Audited,
    head: Head,
}

impl<'a> Walk<'a> {
    /// Before the first.
    pub fn new(audited: &'a Audited) -> Self {
        Self { audited, head: Head::EMPTY }
    }

    /// The last fact that was right.
    pub fn reached(&self) -> u64 {
        self.head.seq
    }

    /// The next record.
    ///
    /// # Errors
    /// In words, with its number: it is not the next, or not the one that was hashed.
    pub fn take(&mut self, record: &Record) -> Result<(), String> {
        let stream = &self.audited.stream;
        let (name, next) = (describe(stream), self.head.seq + 1);
        if record.seq != next {
            return Err(format!(
                "{name}, fact {next}: it is missing; the next that is there is {}",
                record.seq
            ));
        }
        let Some(bytes) = &record.bytes else {
            return Err(format!("{name}, fact {next}: the fact that it repeats is missing"));
        };
        let after = self.head.after(stream, bytes);
        if after.hash != record.hash {
            return Err(format!(
                "{name}, fact {next}: its bytes are not those that were hashed ({})",
                short(bytes)
            ));
        }
        self.head = after;
        Ok(())
    }

    /// Whether the records lead to the head.
    ///
    /// # Errors
    /// In words.
    pub fn end(&self) -> Result<(), String> {
        let Audited { stream, head, .. } = self.audited;
        if self.head == *head {
            return Ok(());
        }
        let name = describe(stream);
        Err(match self.head.seq.cmp(&head.seq) {
            std::cmp::Ordering::Less => {
                format!("{name}, fact {}: facts {0} to {} are missing", self.head.seq + 1, head.seq)
            }
            _ => format!(
                "{name}, fact {}: the records end here, and the stream's row says fact {} with another chain value",
                self.head.seq, head.seq
            ),
        })
    }
}

/// Whether a box vouches for a stream's head: its chain was right before.
pub fn vouched(audited: &Audited, boxes: &Boxes) -> Judged {
    let Audited { stream, head, signature, key, .. } = audited;
    let name = describe(stream);
    // A stream is there from its first fact on.
    if head.seq == 0 {
        return Judged::Unproved(format!("{name}: the stream is there, and none of its facts"));
    }
    let Some(signature) = signature else {
        return Judged::Unproved(format!(
            "{name}: facts 1 to {} are a whole chain, and no signature of the box was kept: compare them with the box's \
             \"pestle-agent journal export\"",
            head.seq
        ));
    };
    match boxes.signer(stream, head, signature) {
        Some(signer) => Judged::Holds(format!(
            "{name}: facts 1 to {} are whole, and those that the box signed with {}",
            head.seq,
            signer.id()
        )),
        None => Judged::Differs(format!(
            "{name}: a fact from 1 to {} is not what the box signed with {}: to learn which, give the box's \"pestle-agent journal \
             export\" to \"pestle-gateway audit verify --export\"",
            head.seq,
            key.as_deref().unwrap_or("an unknown key")
        )),
    }
}

/// Whether the centre signed an acknowledgement.
///
/// # Errors
/// In words.
pub fn signed_by_centre(centre: &[VerifyingKey], ack: &Acknowledgement) -> Result<(), String> {
    let name = describe(&ack.stream);
    let key = centre.iter().find(|key| key.id() == ack.key);
    let Some(key) = key else {
        return Err(format!(
            "{name}: the box kept an acknowledgement under {}, which is no key of this centre",
            ack.key
        ));
    };
    ack.verify(key).map_err(|_| {
        format!("{name}: the box kept an acknowledgement that this centre never signed: it was changed")
    })
}

/// Whether what the centre once acknowledged is still so. `head` is where the centre stands, `value` its chain value at the
/// acknowledged number.
///
/// # Errors
/// In words.
pub fn kept_word(ack: &Acknowledgement, head: Head, value: Option<Hash>) -> Result<String, String> {
    let name = describe(&ack.stream);
    let Head { seq, hash } = ack.head;
    match value {
        Some(value) if value == hash => {
            Ok(format!("{name}: what was acknowledged up to fact {seq} (life {}) is here", ack.incarnation))
        }
        None if seq > head.seq => Err(format!(
            "{name}, fact {}: the centre acknowledged facts up to {seq} in its life {}, and has only {} now: its database was \
             restored. The box sends them again by itself; what it has removed since stands in no other place",
            head.seq + 1,
            ack.incarnation,
            head.seq
        )),
        _ => Err(format!(
            "{name}: a fact from 1 to {seq} is not the one that the centre acknowledged in its life {}",
            ack.incarnation
        )),
    }
}

/// Reads one batch of an export.
///
/// # Errors
/// In words: it is none, or none that the box signed.
pub fn read<'a>(boxes: &Boxes, message: &'a [u8]) -> Result<Batch<'a>, String> {
    let batch = Batch::parse(message)
        .map_err(|error| format!("the export holds something else than facts: {error}"))?;
    let header = &batch.header;
    let place = format!(
        "{}, facts {} to {} of the export",
        describe(&header.stream),
        header.first,
        header.after().seq
    );
    let key = boxes.keys(&header.stream).find(|key| key.id() == header.key);
    let Some(key) = key else {
        return Err(format!("{place}: signed with {}, which is no key of this box", header.key));
    };
    batch.verify(key).map_err(|error| format!("{place}: {error}"))?;
    Ok(batch)
}

/// Compares a verified batch with the centre's records of the same numbers, as far as it has them: up to `head`. `before` is
/// the centre's chain value before the first. Says how many are the same.
///
/// # Errors
/// In words, with the first that differs.
pub fn same(batch: &Batch<'_>, before: Option<Hash>, records: &[Record], head: Head) -> Result<u64, String> {
    let header = &batch.header;
    let name = describe(&header.stream);
    let lacks = |seq: u64| {
        format!(
            "{name}, fact {seq}: the centre lacks it, though it says that it has facts up to {}",
            head.seq
        )
    };
    let mut records = records.iter();
    let mut same = 0;
    for (seq, line) in (header.first..=head.seq).zip(&batch.lines) {
        let record = records.next().filter(|record| record.seq == seq).ok_or_else(|| lacks(seq))?;
        let here = record.bytes.as_deref();
        if here != Some(*line) {
            let here = here.map_or_else(|| "nothing".to_owned(), short);
            return Err(format!("{name}, fact {seq}: the branch has {}, and the centre {here}", short(line)));
        }
        same += 1;
    }
    if before.ok_or_else(|| lacks(header.first.saturating_sub(1)))? != header.previous {
        return Err(format!("{name}, fact {}: what comes before it differs", header.first));
    }
    Ok(same)
}

/// A record in a few words: what, when, and which.
fn short(line: &[u8]) -> String {
    Envelope::parse(line).map_or_else(
        |_| format!("{} bytes that are no fact", line.len()),
        |fact| format!("{} {} of {}", fact.kind, fact.id, fact.at.wall_ms.0),
    )
}

/// What a comparison has seen of each stream.
#[derive(Debug, Default)]
pub struct Compared(BTreeMap<Stream, Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// The first and the last number in the file.
    reached: Option<(u64, u64)>,
    same: u64,
    waiting: Option<(u64, u64)>,
    parted: bool,
}

impl Compared {
    fn of(&mut self, stream: &Stream) -> &mut Seen {
        self.0.entry(stream.clone()).or_default()
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The file has facts `first` to `last`. Which it lacks before them, in words: a file may begin late, since a box removes
    /// what the centre has, and then leaves out nothing.
    pub fn reach(&mut self, stream: &Stream, first: u64, last: u64) -> Option<String> {
        let name = describe(stream);
        let reached = &mut self.of(stream).reached;
        let (begin, end) = reached.unwrap_or((first, first.saturating_sub(1)));
        *reached = Some((begin.min(first), end.max(last)));
        (first > end + 1).then(|| {
            format!("{name}: the export lacks facts {} to {}, so nothing is said of them", end + 1, first - 1)
        })
    }

    /// So many more records are the same.
    pub fn same(&mut self, stream: &Stream, count: u64) {
        self.of(stream).same += count;
    }

    /// The branch has these, and the centre not yet.
    pub fn wait(&mut self, stream: &Stream, first: u64, last: u64) {
        let waiting = &mut self.of(stream).waiting;
        *waiting = Some((waiting.map_or(first, |(from, _)| from), last));
    }

    /// From here on nothing is the same.
    pub fn part(&mut self, stream: &Stream) {
        self.of(stream).parted = true;
    }

    /// Whether that stream was found to differ.
    pub fn has_parted(&self, stream: &Stream) -> bool {
        self.0.get(stream).is_some_and(|seen| seen.parted)
    }

    /// What holds, a sentence for each stream.
    pub fn sentences(&self) -> Vec<String> {
        let sentence = |(stream, seen): (&Stream, &Seen)| {
            let name = describe(stream);
            let begins = seen.reached.map_or(1, |(first, _)| first);
            let mut text = format!(
                "{name}: {} facts of the export, which begins with fact {begins}, are the centre's, byte for byte",
                seen.same
            );
            if let Some((first, last)) = seen.waiting {
                text.push_str(&format!("; facts {first} to {last} have not reached the centre yet"));
            }
            text
        };
        self.0.iter().filter(|(_, seen)| !seen.parted).map(sentence).collect()
    }
}
