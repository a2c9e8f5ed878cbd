//! What a branch needs to work by itself: catalogue, recalls, staff and its own name, as one whole that is fetched
//! over HTTPS, verified, and swapped in at once.

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{Product, Recall},
    ids::{BranchId, TenantId},
    money::Currency,
    order::OrderHead,
    signature::{Hash, Preimage},
    staff::Member,
    units::UnixMillis,
};

/// Label under which the centre signs a snapshot's hash.
pub const SNAPSHOT_LABEL: &str = "pestle-snapshot-v1";
/// Version of the form.
pub const SNAPSHOT_FORM: u16 = 1;
/// Largest snapshot that a box unpacks, in bytes: 200,000 products of 400 bytes with room to spare. A box with
/// little memory is not to be filled by one bad answer.
pub const SNAPSHOT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// HTTP header with the SHA-256 of the unpacked body, hexadecimal.
pub const HASH_HEADER: &str = "x-pestle-sha256";
/// HTTP header with the snapshot's version.
pub const VERSION_HEADER: &str = "x-pestle-version";
/// HTTP header with the name of the signing key.
pub const KEY_HEADER: &str = "x-pestle-key";
/// HTTP header with the signature over [`statement`], base64.
pub const SIGNATURE_HEADER: &str = "x-pestle-signature";

/// HTTP header of a delta with the ETag of the whole that it leads to: what a box says it has from then on.
pub const WHOLE_ETAG_HEADER: &str = "x-pestle-whole-etag";
/// zstd's window of a delta, as a power of two: what both sides agree to, and no more memory than a snapshot takes.
pub const DELTA_WINDOW_LOG_MAX: u32 = 27;

const _: () = assert!(SNAPSHOT_BYTES_MAX <= 1 << DELTA_WINDOW_LOG_MAX);

/// The whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SNAPSHOT_FORM`].
    pub form: u16,
    /// For whom.
    pub tenant: TenantId,
    /// For which branch.
    pub branch: BranchId,
    /// Rises with each change; what decides between two snapshots.
    pub version: u64,
    /// When the centre made it.
    pub made_at: UnixMillis,
    /// The branch itself.
    pub profile: BranchProfile,
    /// All articles.
    pub products: Vec<Product>,
    /// All recalls in force.
    pub recalls: Vec<Recall>,
    /// Everybody who may sign in at this branch.
    pub staff: Vec<Member>,
    /// The last order whose effect is in here, of those that a snapshot can carry: recalls above all. `None` from a centre
    /// that knows no orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<OrderHead>,
}

/// How a branch presents itself and counts its days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchProfile {
    /// On the receipt and on the pages.
    pub name: Box<str>,
    /// Lines of the address, as printed.
    pub address: Vec<Box<str>>,
    /// As printed; may be empty.
    pub tax_number: Box<str>,
    /// In which it sells.
    pub currency: Currency,
    /// IANA name, `Europe/London`.
    pub time_zone: Box<str>,
    /// The day of business ends this many minutes after midnight.
    pub cut_over_minutes: u16,
    /// Above the lines of a receipt.
    pub receipt_header: Vec<Box<str>>,
    /// Below the total.
    pub receipt_footer: Vec<Box<str>>,
}

/// What the centre signs: for whom, which version, and the SHA-256 of the unpacked JSON.
pub fn statement(tenant: &TenantId, branch: &BranchId, version: u64, hash: &Hash) -> Preimage {
    Preimage::new(SNAPSHOT_LABEL)
        .bytes(tenant.as_str().as_bytes())
        .bytes(branch.as_str().as_bytes())
        .u64(version)
        .bytes(&hash.0)
}
