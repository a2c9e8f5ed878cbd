//! A message on `down/orders`: a header line, then the orders' lines as they were written; or a header alone, which says
//! where a box that is new in its branch takes up the log.

use aws_lc_rs::rand::SecureRandom;
use serde::{Deserialize, Serialize};

use super::{MESSAGE_BYTES_MAX, WIRE_VERSION};
use crate::{
    order::{ORDER_BYTES_MAX, OrderHead, OrderLog},
    signature::{Hash, KeyId, Preimage, Signature, SignatureError, SigningKey, VerifyingKey},
};

/// Label under which the centre signs a run of orders.
pub const ORDERS_LABEL: &str = "pestle-orders-v1";

/// Most bytes of lines in one message. A box that is far behind asks again after each.
pub const ORDERS_BYTES_MAX: usize = 128 * 1024;

const _: () = assert!(ORDERS_BYTES_MAX + ORDER_BYTES_MAX + 4 * 1024 < MESSAGE_BYTES_MAX);

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the wire.
    pub v: u16,
    /// Whose orders.
    #[serde(flatten)]
    pub log: OrderLog,
    /// In which life of the centre's database these were written; a message holds orders of one.
    pub incarnation: u64,
    /// Number of the first order; from 1.
    pub first: u64,
    /// How many orders; 0 says alone where a box that is new takes up the log: behind the order before `first`.
    pub count: u64,
    /// Chain value before the first.
    pub previous: Hash,
    /// In which life the order before the first was written, where that was an earlier one: this message begins a life then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_incarnation: Option<u64>,
    /// Chain value after the last.
    pub hash: Hash,
    /// The centre's key.
    pub key: KeyId,
    /// Over [`Header::statement`].
    pub signature: Signature,
}

/// Which orders a message holds; what its header states besides the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Whose.
    pub log: OrderLog,
    /// The head before the first.
    pub before: OrderHead,
    /// The head after the last; it names the incarnation.
    pub after: OrderHead,
}

impl Span {
    /// The life before, where the first order begins another one behind what that has left.
    fn earlier_life(&self) -> Option<u64> {
        let begins = self.before.seq > 0 && self.before.incarnation < self.after.incarnation;
        begins.then_some(self.before.incarnation)
    }

    /// What the centre signs.
    fn statement(&self) -> Preimage {
        let statement = self
            .log
            .preimage(ORDERS_LABEL)
            .u64(self.after.incarnation)
            .u64(self.before.seq)
            .bytes(&self.before.hash.0)
            .u64(self.after.seq)
            .bytes(&self.after.hash.0);
        match self.earlier_life() {
            Some(life) => statement.u64(life),
            None => statement,
        }
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`SignatureError::NoRandom`].
    pub fn sign(self, key: &SigningKey, random: &dyn SecureRandom) -> Result<Header, SignatureError> {
        let signature = key.sign(&self.statement(), random)?;
        let previous_incarnation = self.earlier_life();
        let Self { log, before, after } = self;
        Ok(Header {
            v: WIRE_VERSION,
            log,
            incarnation: after.incarnation,
            first: before.seq.saturating_add(1),
            count: after.seq.saturating_sub(before.seq),
            previous: before.hash,
            previous_incarnation,
            hash: after.hash,
            key: key.id().clone(),
            signature,
        })
    }
}

impl Header {
    fn span(&self) -> Span {
        let before = self.first.saturating_sub(1);
        Span {
            log: self.log.clone(),
            before: OrderHead {
                incarnation: self.previous_incarnation.unwrap_or(self.incarnation),
                seq: before,
                hash: self.previous,
            },
            after: OrderHead {
                incarnation: self.incarnation,
                seq: before.saturating_add(self.count),
                hash: self.hash,
            },
        }
    }
}

/// What is wrong with a message.
#[derive(Debug, thiserror::Error)]
pub enum OrdersError {
    /// Longer than any message may be.
    #[error("the orders have {0} bytes, more than {MESSAGE_BYTES_MAX}")]
    TooLong(usize),
    /// The first line cannot be read.
    #[error("the header is not the JSON of orders")]
    Header(#[source] serde_json::Error),
    /// Lines are JSON, and so UTF-8.
    #[error("a line of the orders is not UTF-8")]
    Text(#[source] std::str::Utf8Error),
    /// Written by a newer version.
    #[error("the orders are of wire version {0}, this agent reads up to {WIRE_VERSION}: update the agent")]
    NewerVersion(u16),
    /// Numbers begin at 1.
    #[error("the header says {count} orders from number {first}, which cannot be")]
    Numbering {
        /// As the header says.
        first: u64,
        /// As the header says.
        count: u64,
    },
    /// The header's count is not the number of lines.
    #[error("the header says {told} orders, {found} came")]
    Count {
        /// As the header says.
        told: u64,
        /// Lines.
        found: u64,
    },
    /// A line is longer than any order.
    #[error("an order has {0} bytes, more than {ORDER_BYTES_MAX}")]
    LongLine(usize),
    /// The lines do not lead from the header's first to its last chain value.
    #[error("the orders do not give the hash that the header states")]
    WrongHash,
    /// Not signed by that key.
    #[error("the orders were not signed by the centre")]
    WrongSignature(#[source] SignatureError),
}

/// Orders as they came, cut into lines and not yet verified.
#[derive(Debug, Clone)]
pub struct Orders<'a> {
    /// The first line.
    pub header: Header,
    /// Byte for byte.
    pub lines: Vec<&'a str>,
}

/// Orders whose chain and signature hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedOrders {
    /// The head before the first. Its incarnation is the message's where that is not said; a centre of before never said it.
    pub before: OrderHead,
    /// Each order with the head after it. Empty for "take up the log behind `before`".
    pub orders: Vec<(OrderHead, Box<str>)>,
}

impl VerifiedOrders {
    /// The head after the last.
    pub fn after(&self) -> OrderHead {
        self.orders.last().map_or(self.before, |(head, _)| *head)
    }
}

/// The message: header and lines, each ended by a line feed.
///
/// # Errors
/// Only where JSON cannot say the header, which no field of ours allows.
pub fn build<'a>(
    header: &Header,
    lines: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>,
) -> Result<Vec<u8>, serde_json::Error> {
    super::with_lines(header, lines)
}

impl<'a> Orders<'a> {
    /// Cuts a message into header and lines. What it says is not believed yet: [`Orders::verify`].
    ///
    /// # Errors
    /// [`OrdersError`] for what are no orders of this version.
    pub fn parse(message: &'a [u8]) -> Result<Self, OrdersError> {
        #[derive(Deserialize)]
        struct Version {
            v: u16,
        }
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(OrdersError::TooLong(message.len()));
        }
        let text = std::str::from_utf8(message).map_err(OrdersError::Text)?;
        let mut pieces = text.strip_suffix('\n').unwrap_or(text).split('\n');
        let first = pieces.next().unwrap_or_default();
        let Version { v } = serde_json::from_str(first).map_err(OrdersError::Header)?;
        if v > WIRE_VERSION {
            return Err(OrdersError::NewerVersion(v));
        }
        let header: Header = serde_json::from_str(first).map_err(OrdersError::Header)?;
        if header.first == 0 || header.first.checked_add(header.count).is_none() {
            return Err(OrdersError::Numbering { first: header.first, count: header.count });
        }
        let lines: Vec<_> = pieces.collect();
        if lines.len() as u64 != header.count {
            return Err(OrdersError::Count { told: header.count, found: lines.len() as u64 });
        }
        match lines.iter().map(|line| line.len()).find(|length| *length > ORDER_BYTES_MAX) {
            Some(length) => Err(OrdersError::LongLine(length)),
            None => Ok(Self { header, lines }),
        }
    }

    /// Verifies chain and signature.
    ///
    /// # Errors
    /// [`OrdersError::WrongHash`], [`OrdersError::WrongSignature`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<VerifiedOrders, OrdersError> {
        let span = self.header.span();
        let mut head = span.before;
        let orders = self
            .lines
            .iter()
            .map(|line| {
                head = head.after(&span.log, span.after.incarnation, line.as_bytes());
                (head, Box::from(*line))
            })
            .collect();
        if head != span.after {
            return Err(OrdersError::WrongHash);
        }
        key.verify(&span.statement(), &self.header.signature).map_err(OrdersError::WrongSignature)?;
        Ok(VerifiedOrders { before: span.before, orders })
    }
}
