//! The journal's rules: where a fact stands, how each is chained to the one before, and what an acknowledgement
//! allows. The agent stores by these, the gateway verifies by them.
//!
//! A *fact* is a line of JSON, kept byte for byte as it was first written. An *act* is what a person did in one go:
//! one to a few facts that are stored, sent and applied together or not at all.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ActId, BranchId, DeviceId, StoreId, TenantId},
    signature::{Hash, KeyId, Preimage, Signature, SignatureError, SigningKey, VerifyingKey},
};
use aws_lc_rs::rand::SecureRandom;

/// Label of a fact's link in the chain.
pub const FACT_LABEL: &str = "pestle-fact-v1";
/// Label under which a device signs its head.
pub const HEAD_LABEL: &str = "pestle-head-v1";
/// Label under which the centre signs what it has committed.
pub const ACK_LABEL: &str = "pestle-ack-v1";

/// Two streams with their own positions, so that telemetry can be shed without a gap in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Everything with an effect.
    Ledger,
    /// Readings and health.
    Telemetry,
}

impl Lane {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ledger, Self::Telemetry];

    /// As it stands in topics and in hashes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Telemetry => "telemetry",
        }
    }
}

impl std::str::FromStr for Lane {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|lane| lane.as_str() == text).ok_or(())
    }
}

/// One stream of facts: everything of a position but its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stream {
    /// The chain.
    pub tenant: TenantId,
    /// The pharmacy.
    pub branch: BranchId,
    /// How many times the branch's writing device was appointed; given at enrolment, it only rises.
    pub term: u32,
    /// The box that wrote it.
    pub device: DeviceId,
    /// Which of the two streams.
    pub lane: Lane,
    /// Which life of the box's store; the first is 1.
    pub epoch: u32,
}

impl Stream {
    /// The position `seq` in this stream.
    pub fn at(&self, seq: u64) -> Position {
        Position { stream: self.clone(), seq }
    }

    fn preimage(&self, label: &str) -> Preimage {
        Preimage::new(label)
            .bytes(self.tenant.as_str().as_bytes())
            .bytes(self.branch.as_str().as_bytes())
            .u32(self.term)
            .bytes(self.device.as_str().as_bytes())
            .bytes(self.lane.as_str().as_bytes())
            .u32(self.epoch)
    }
}

/// Where a fact stands. The first fact of a stream has `seq` 1; 0 is "before the first".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// In which stream.
    #[serde(flatten)]
    pub stream: Stream,
    /// The how-manieth fact, from 1, without gaps.
    pub seq: u64,
}

/// The last fact of a stream so far, and the hash that covers it and all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number; 0 when the stream is empty.
    pub seq: u64,
    /// SHA-256 chain value; [`Hash::ZERO`] when the stream is empty.
    pub hash: Hash,
}

impl Head {
    /// The head of an empty stream.
    pub const EMPTY: Self = Self { seq: 0, hash: Hash::ZERO };

    /// The head after one more fact, whose exact bytes are `line` (without a line end):
    /// SHA-256(`pestle-fact-v1` ‖ position ‖ previous hash ‖ bytes).
    #[must_use]
    pub fn after(&self, stream: &Stream, line: &[u8]) -> Self {
        self.after_all(stream, [line])
    }

    /// [`Head::after`] each of `lines`.
    pub fn each_after<'a>(
        self,
        stream: &Stream,
        lines: impl IntoIterator<Item = &'a [u8]>,
    ) -> impl Iterator<Item = Self> {
        let common = stream.preimage(FACT_LABEL);
        let length = common.as_bytes().len();
        lines.into_iter().scan((self, common), move |(head, preimage), line| {
            // No store counts so far: a number from outside may claim to.
            let seq = head.seq.saturating_add(1);
            let begun = std::mem::take(preimage).cut_to(length);
            *preimage = begun.u64(seq).bytes(&head.hash.0).bytes(line);
            *head = Self { seq, hash: preimage.hash() };
            Some(*head)
        })
    }

    /// The head after all `lines`.
    #[must_use]
    pub fn after_all<'a>(&self, stream: &Stream, lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        self.each_after(stream, lines).last().unwrap_or(*self)
    }

    /// What a device signs to vouch for everything up to this head.
    pub fn statement(&self, stream: &Stream) -> Preimage {
        stream.preimage(HEAD_LABEL).u64(self.seq).bytes(&self.hash.0)
    }
}

/// The centre's word that its database has committed a stream up to a head. It alone allows a fact to leave the
/// branch (invariant I1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Which life of the centre's database; every restore raises it.
    pub incarnation: u64,
    /// Which stream.
    #[serde(flatten)]
    pub stream: Stream,
    /// Committed up to here.
    #[serde(flatten)]
    pub head: Head,
    /// The centre's key.
    pub key: KeyId,
    /// Over [`Acknowledgement::statement`].
    pub signature: Signature,
}

impl Acknowledgement {
    /// What the centre signs.
    pub fn statement(incarnation: u64, stream: &Stream, head: &Head) -> Preimage {
        stream.preimage(ACK_LABEL).u64(incarnation).u64(head.seq).bytes(&head.hash.0)
    }

    /// Signs that `stream` is committed up to `head`.
    ///
    /// # Errors
    /// [`SignatureError::NoRandom`].
    pub fn sign(
        incarnation: u64,
        stream: Stream,
        head: Head,
        key: &SigningKey,
        random: &dyn SecureRandom,
    ) -> Result<Self, SignatureError> {
        let signature = key.sign(&Self::statement(incarnation, &stream, &head), random)?;
        Ok(Self { incarnation, stream, head, key: key.id().clone(), signature })
    }

    /// Whether `key` signed this.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`] when it did not.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), SignatureError> {
        key.verify(&Self::statement(self.incarnation, &self.stream, &self.head), &self.signature)
    }
}

/// What an acknowledgement means for the branch that receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AckVerdict {
    /// The centre has everything up to this head, which is also ours.
    Committed(Head),
    /// Nothing new: at or before what was acknowledged already.
    Old,
    /// The centre names a head that this store has never had: it knows more than we do, or something else.
    /// The store was restored from an old copy, or another store writes under this name. A person decides.
    Contradicts {
        /// What the centre has committed.
        centre: Head,
    },
    /// For another stream: an earlier epoch or term. It allows nothing here.
    OtherStream,
}

/// Judges an acknowledgement whose signature was verified. `acknowledged` is what was acknowledged before, `own`
/// gives this store's own chain value at a number, if it has that fact.
pub fn judge_ack(
    ack: &Acknowledgement,
    stream: &Stream,
    acknowledged: u64,
    own: impl Fn(u64) -> Option<Hash>,
) -> AckVerdict {
    if ack.stream != *stream {
        return AckVerdict::OtherStream;
    }
    match own(ack.head.seq) {
        Some(hash) if hash == ack.head.hash => {
            if ack.head.seq <= acknowledged {
                AckVerdict::Old
            } else {
                AckVerdict::Committed(ack.head)
            }
        }
        // Pruned facts cannot be compared any more, and an acknowledgement behind the last allows nothing.
        None if ack.head.seq <= acknowledged => AckVerdict::Old,
        _ => AckVerdict::Contradicts { centre: ack.head },
    }
}

/// From which store a new one descends: the first fact of an epoch names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The epoch before.
    pub epoch: u32,
    /// Where it ended, as far as it is known.
    #[serde(flatten)]
    pub head: Head,
    /// Its store.
    pub store: StoreId,
}

/// Facts of an ended life of a store that were recorded once more in the life that names this: with the same ids and bytes, in
/// the same order, but for the fact that opened the ended one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The ended life.
    pub epoch: u32,
    /// Its first fact that was still in the box.
    pub first: u64,
    /// Its last fact.
    pub last: u64,
}

/// How a run of facts joins what the centre has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// Begins right behind the head.
    Next,
    /// Wholly behind the head: a repeat, to be compared and acknowledged again.
    Repeat,
    /// Begins behind the head and goes on past it: the part past it joins, once the part behind it was compared.
    Overlap {
        /// How many of its facts are behind the head.
        known: u64,
    },
    /// Begins past the head: what lies between is missing.
    Gap {
        /// The first fact that is missing.
        missing_from: u64,
    },
}

/// Judges where a run of `count` facts from number `first` joins a stream whose head is `head`.
pub fn join(head: &Head, first: u64, count: u64) -> Join {
    let last = first.saturating_add(count).saturating_sub(1);
    if first > head.seq + 1 {
        Join::Gap { missing_from: head.seq + 1 }
    } else if first == head.seq + 1 {
        Join::Next
    } else if last <= head.seq {
        Join::Repeat
    } else {
        Join::Overlap { known: head.seq + 1 - first }
    }
}

/// Splits lines into acts by the act id that each carries: the borders at which a batch may be cut.
pub fn act_borders(acts: &[ActId]) -> impl Iterator<Item = usize> + '_ {
    (1..=acts.len()).filter(|&index| index == acts.len() || acts[index] != acts[index - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
    };
    use proptest::prelude::*;

    fn stream() -> Stream {
        Stream {
            tenant: "acme".parse().unwrap(),
            branch: "north".parse().unwrap(),
            term: 1,
            device: "box-1".parse().unwrap(),
            lane: Lane::Ledger,
            epoch: 1,
        }
    }

    #[test]
    fn the_chain_is_frozen() {
        // Golden: computed once from the definition in this module's text; it must never change.
        let head = Head::EMPTY.after(&stream(), br#"{"v":1}"#);
        assert_eq!(head.seq, 1);
        let by_hand = {
            let mut bytes = Vec::new();
            for field in [&b"pestle-fact-v1"[..], b"acme", b"north"] {
                bytes.extend_from_slice(&u32::try_from(field.len()).unwrap().to_be_bytes());
                bytes.extend_from_slice(field);
            }
            bytes.extend_from_slice(&1u32.to_be_bytes());
            for field in [&b"box-1"[..], b"ledger"] {
                bytes.extend_from_slice(&u32::try_from(field.len()).unwrap().to_be_bytes());
                bytes.extend_from_slice(field);
            }
            bytes.extend_from_slice(&1u32.to_be_bytes());
            bytes.extend_from_slice(&1u64.to_be_bytes());
            for field in [&[0u8; 32][..], br#"{"v":1}"#] {
                bytes.extend_from_slice(&u32::try_from(field.len()).unwrap().to_be_bytes());
                bytes.extend_from_slice(field);
            }
            Hash::of(&bytes)
        };
        assert_eq!(head.hash, by_hand);
    }

    #[test]
    fn an_acknowledgement_of_a_head_that_is_not_ours_allows_nothing() {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let key = SigningKey::from_pkcs8(document.as_ref()).unwrap();
        let one = Head::EMPTY.after(&stream(), b"one");
        let two = one.after(&stream(), b"two");
        let own = |seq| {
            [(0, Hash::ZERO), (1, one.hash), (2, two.hash)]
                .into_iter()
                .find(|(at, _)| *at == seq)
                .map(|(_, hash)| hash)
        };
        let ack = |stream, head| Acknowledgement::sign(1, stream, head, &key, &SystemRandom::new()).unwrap();

        assert_eq!(judge_ack(&ack(stream(), two), &stream(), 1, own), AckVerdict::Committed(two));
        assert_eq!(judge_ack(&ack(stream(), one), &stream(), 1, own), AckVerdict::Old);
        let forged = Head { seq: 2, hash: Hash::of(b"else") };
        assert_eq!(
            judge_ack(&ack(stream(), forged), &stream(), 1, own),
            AckVerdict::Contradicts { centre: forged }
        );
        let ahead = Head { seq: 9, hash: Hash::of(b"else") };
        assert_eq!(
            judge_ack(&ack(stream(), ahead), &stream(), 1, own),
            AckVerdict::Contradicts { centre: ahead }
        );
        let older = Stream { epoch: 0, ..stream() };
        assert_eq!(judge_ack(&ack(older, two), &stream(), 1, own), AckVerdict::OtherStream);

        let mut changed = ack(stream(), two);
        changed.head.seq = 3;
        assert_eq!(changed.verify(key.public()), Err(SignatureError::Mismatch));
    }

    #[test]
    fn acts_are_cut_only_at_their_borders() {
        let act = |byte: u8| ActId(uuid::Uuid::from_bytes([byte; 16]));
        let borders: Vec<_> = act_borders(&[act(1), act(1), act(2), act(3), act(3), act(3)]).collect();
        assert_eq!(borders, [2, 3, 6]);
        assert_eq!(act_borders(&[]).count(), 0);
    }

    proptest! {
        #[test]
        fn every_run_joins_in_exactly_one_way(seq in 0u64..20, first in 1u64..30, count in 1u64..10) {
            let head = Head { seq, hash: Hash::ZERO };
            match join(&head, first, count) {
                Join::Next => prop_assert_eq!(first, seq + 1),
                Join::Repeat => prop_assert!(first + count - 1 <= seq),
                Join::Overlap { known } => {
                    prop_assert!(known > 0 && known < count);
                    prop_assert_eq!(first + known, seq + 1);
                }
                Join::Gap { missing_from } => prop_assert!(missing_from == seq + 1 && first > missing_from),
            }
        }

        #[test]
        fn any_changed_byte_changes_the_head(line in proptest::collection::vec(any::<u8>(), 1..50), at in any::<prop::sample::Index>()) {
            let mut other = line.clone();
            let index = at.index(line.len());
            other[index] ^= 1;
            prop_assert_ne!(Head::EMPTY.after(&stream(), &line), Head::EMPTY.after(&stream(), &other));
        }
    }
}
