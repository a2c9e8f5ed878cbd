//! What the centre tells a branch to do: every kind of order, its data, and the one line of JSON that it is kept as; and
//! the branch's numbered log of them, the second log beside the facts.
//!
//! A line is `{"v":1,"id":…,"kind":"recall.issued","issued_at":…,"by":…,"data":{…}}`. Kinds and fields are append-only; golden
//! files hold the bytes. The centre writes a line once; every branch that it concerns has it in its own log, chained to
//! the order before. An order becomes a fact when the branch has judged it: `order.applied` or `order.refused`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    catalogue::Recall,
    fact::Lot,
    ids::{BranchId, OrderId, ProductId, TenantId},
    kinds::kinds,
    signature::{Hash, Preimage},
    units::{Day, Quantity, UnixMillis},
};

/// The version of the envelope that this code writes.
pub const ORDER_VERSION: u16 = 1;
/// Label of an order's link in the chain.
pub const ORDER_LABEL: &str = "pestle-order-v1";
/// Longest line, in bytes. Told back in a fact, escaped once more, it is still far below the longest act.
pub const ORDER_BYTES_MAX: usize = 16 * 1024;

/// One thing that a branch is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Unique for ever: a branch does it once, however often and at whichever place of its log it comes.
    pub id: OrderId,
    /// When the centre wrote it.
    pub issued_at: UnixMillis,
    /// Who had it written, as the centre names them.
    pub by: Box<str>,
    /// What.
    pub body: OrderBody,
}

kinds! {
    /// What is to be done, by kind.
    enum OrderBody;

    /// Packs must not be sold or dispensed any more, from this moment.
    RecallIssued = "recall.issued" {
        /// The authority's or the maker's number.
        reference: Box<str>,
        /// The article.
        product: ProductId,
        /// The lot; `None` recalls every lot.
        lot: Option<Lot>,
        /// In words for the counter.
        reason: Box<str>,
        /// Since when.
        issued: Day,
    }
    /// A recall is over.
    RecallLifted = "recall.lifted" {
        /// The recall's number.
        reference: Box<str>,
        /// The article.
        product: ProductId,
        /// The lot, as the recall named it.
        lot: Option<Lot>,
        /// In words.
        reason: Box<str>,
    }
    /// The branch's book is to be set right.
    StockAdjust = "stock.adjust" {
        /// The article.
        product: ProductId,
        /// The lot; `None` for packs of which nobody knows it.
        lot: Option<Lot>,
        /// Added to the book; may be negative, is never zero.
        delta: Quantity,
        /// In a person's words.
        reason: Box<str>,
    }
    /// Articles or prices have changed: the snapshot has them.
    CatalogueChanged = "catalogue.changed" {
        /// In this version of the snapshot, or a later one.
        version: u64,
    }
    /// People or their PINs have changed: the snapshot has them.
    StaffChanged = "staff.changed" {
        /// In this version of the snapshot, or a later one.
        version: u64,
    }
}

impl OrderBody {
    /// Whether a snapshot carries what this order says: a box that takes a snapshot into use needs it no more.
    pub fn is_in_snapshots(&self) -> bool {
        match self {
            Self::RecallIssued(_)
            | Self::RecallLifted(_)
            | Self::CatalogueChanged(_)
            | Self::StaffChanged(_) => true,
            Self::StockAdjust(_) => false,
        }
    }

    /// The version of the snapshot that this order points to.
    pub fn snapshot(&self) -> Option<u64> {
        match self {
            Self::CatalogueChanged(CatalogueChanged { version })
            | Self::StaffChanged(StaffChanged { version }) => Some(*version),
            _ => None,
        }
    }
}

impl From<RecallIssued> for Recall {
    fn from(issued: RecallIssued) -> Self {
        let RecallIssued { reference, product, lot, reason, issued } = issued;
        Self { reference, product, lot, reason, issued }
    }
}

impl From<Recall> for RecallIssued {
    fn from(recall: Recall) -> Self {
        let Recall { reference, product, lot, reason, issued } = recall;
        Self { reference, product, lot, reason, issued }
    }
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Not the JSON of an envelope.
    #[error("the line is no order")]
    Envelope(#[source] serde_json::Error),
    /// A known kind, with data that it cannot have.
    #[error("the data does not fit its kind {kind}")]
    Data {
        /// The kind.
        kind: String,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
}

/// A line whose envelope was read and whose data was not yet.
#[derive(Debug, Deserialize, Serialize)]
pub struct OrderEnvelope<'a> {
    /// Version of the envelope.
    pub v: u16,
    /// See [`Order::id`].
    pub id: OrderId,
    /// Names the form of the data.
    #[serde(borrow)]
    pub kind: std::borrow::Cow<'a, str>,
    /// See [`Order::issued_at`].
    pub issued_at: UnixMillis,
    /// See [`Order::by`].
    #[serde(borrow)]
    pub by: std::borrow::Cow<'a, str>,
    /// By kind.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

impl<'a> OrderEnvelope<'a> {
    /// Reads the envelope of a line.
    ///
    /// # Errors
    /// [`OrderError::Envelope`].
    pub fn parse(line: &'a [u8]) -> Result<Self, OrderError> {
        serde_json::from_slice(line).map_err(OrderError::Envelope)
    }

    /// Reads the data: `None` where the envelope or the kind is newer than this version.
    ///
    /// # Errors
    /// [`OrderError::Data`] when the kind is known and its data is not what it must be.
    pub fn body(&self) -> Result<Option<OrderBody>, OrderError> {
        if self.v > ORDER_VERSION {
            return Ok(None);
        }
        OrderBody::parse(&self.kind, self.data.get())
            .transpose()
            .map_err(|source| OrderError::Data { kind: self.kind.clone().into_owned(), source })
    }
}

impl Order {
    /// The line that is kept, hashed and sent; without a line end.
    ///
    /// # Errors
    /// Only where JSON cannot say it, which no field of ours allows.
    pub fn to_line(&self) -> Result<Vec<u8>, serde_json::Error> {
        let data = RawValue::from_string(self.body.data_json()?)?;
        serde_json::to_vec(&OrderEnvelope {
            v: ORDER_VERSION,
            id: self.id,
            kind: self.body.kind().into(),
            issued_at: self.issued_at,
            by: (&*self.by).into(),
            data: &data,
        })
    }

    /// Reads a line back.
    ///
    /// # Errors
    /// [`OrderError`]; a kind that this version does not know is `Ok(None)`.
    pub fn from_line(line: &[u8]) -> Result<Option<Self>, OrderError> {
        let envelope = OrderEnvelope::parse(line)?;
        let Some(body) = envelope.body()? else { return Ok(None) };
        let OrderEnvelope { id, issued_at, by, .. } = envelope;
        Ok(Some(Self { id, issued_at, by: by.into(), body }))
    }
}

/// Whose log of orders: each branch has one, whichever box writes for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrderLog {
    /// The chain.
    pub tenant: TenantId,
    /// The pharmacy.
    pub branch: BranchId,
}

impl OrderLog {
    pub(crate) fn preimage(&self, label: &str) -> Preimage {
        Preimage::new(label).bytes(self.tenant.as_str().as_bytes()).bytes(self.branch.as_str().as_bytes())
    }
}

/// The last order of a log so far, and the hash that covers it and all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderHead {
    /// Which life of the centre's database wrote this order; 0 before the first order.
    pub incarnation: u64,
    /// Its number in the log, from 1; 0 when the log is empty.
    pub seq: u64,
    /// SHA-256 chain value; [`Hash::ZERO`] when the log is empty.
    pub hash: Hash,
}

impl OrderHead {
    /// The head of an empty log.
    pub const START: Self = Self { incarnation: 0, seq: 0, hash: Hash::ZERO };

    /// The head after one more order, whose exact bytes are `line`, written in `incarnation`:
    /// SHA-256(`pestle-order-v1` ‖ tenant ‖ branch ‖ incarnation ‖ number ‖ previous hash ‖ bytes).
    #[must_use]
    pub fn after(&self, log: &OrderLog, incarnation: u64, line: &[u8]) -> Self {
        let seq = self.seq.saturating_add(1);
        let hash = log.preimage(ORDER_LABEL).u64(incarnation).u64(seq).bytes(&self.hash.0).bytes(line).hash();
        Self { incarnation, seq, hash }
    }

    /// Whether this is the same place of the same history; the incarnation follows from it.
    pub fn is_at(&self, seq: u64, hash: &Hash) -> bool {
        self.seq == seq && self.hash == *hash
    }
}

/// How an order that a branch has carried out came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderHow {
    /// In its place in the log: it was done with this act.
    InTurn,
    /// It was refused in its place; a later version understood it, and did it with this act.
    Retried,
    /// It was done before, at another place of the log: with this act nothing was done.
    Known,
}
