//! The last acknowledgement with the centre's signature, as the mark keeps it: whoever checks this store later, with no
//! network and without trusting this box, can prove from it what the centre had committed.

use pestle_domain::{
    journal::{Acknowledgement, Head, Stream},
    signature::{Hash, KeyId, Signature},
};

/// Bytes of a witness in a mark.
pub const WITNESS_BYTES: usize = 8 + 40 + 8 + 64;

/// An acknowledgement without its stream, which is that of the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witness {
    incarnation: u64,
    head: Head,
    /// A [`KeyId`] is the first 16 hexadecimal digits of a hash.
    key: [u8; 8],
    signature: [u8; 64],
}

impl Witness {
    /// What is kept of `ack`; `None` where its key's name is none of ours.
    pub fn of(ack: &Acknowledgement) -> Option<Self> {
        let mut key = [0; 8];
        hex::decode_to_slice(&ack.key.0, &mut key).ok()?;
        Some(Self { incarnation: ack.incarnation, head: ack.head, key, signature: *ack.signature.as_bytes() })
    }

    /// The acknowledgement of `stream` that this was made of; only its signature tells whether it is.
    pub fn acknowledgement(&self, stream: Stream) -> Acknowledgement {
        Acknowledgement {
            incarnation: self.incarnation,
            stream,
            head: self.head,
            key: KeyId(hex::encode(self.key)),
            signature: Signature::from_bytes(self.signature),
        }
    }

    /// As it stands in a mark.
    pub fn to_bytes(&self) -> [u8; WITNESS_BYTES] {
        let mut bytes = [0; WITNESS_BYTES];
        bytes[..8].copy_from_slice(&self.incarnation.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.head.seq.to_be_bytes());
        bytes[16..48].copy_from_slice(&self.head.hash.0);
        bytes[48..56].copy_from_slice(&self.key);
        bytes[56..].copy_from_slice(&self.signature);
        bytes
    }

    /// [`Witness::to_bytes`] backwards; `None` for zeros, which stand where there is no witness.
    pub fn from_bytes(bytes: &[u8; WITNESS_BYTES]) -> Option<Self> {
        if bytes.iter().all(|byte| *byte == 0) {
            return None;
        }
        let number = |at: usize| Some(u64::from_be_bytes(bytes[at..at + 8].try_into().ok()?));
        Some(Self {
            incarnation: number(0)?,
            head: Head { seq: number(8)?, hash: Hash(bytes[16..48].try_into().ok()?) },
            key: bytes[48..56].try_into().ok()?,
            signature: bytes[56..].try_into().ok()?,
        })
    }
}
