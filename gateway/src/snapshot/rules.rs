//! Packing and signing a snapshot. Pure but for the randomness of the signature.

use std::io::Write as _;

use bytes::Bytes;
use pestle_domain::{
    signature::{Hash, KeyId, Signature, SignatureError},
    snapshot::{DELTA_WINDOW_LOG_MAX, Snapshot, statement},
};

use crate::authority::signer::Signer;

/// Fast and small enough: names and numbers pack to a tenth.
const LEVEL: i32 = 9;

/// Of a delta, which is made for each branch anew: long matches are found at any level.
const DELTA_LEVEL: i32 = 3;

/// A snapshot as it travels.
#[derive(Debug)]
pub struct Packed {
    /// zstd of the JSON.
    pub body: Bytes,
    /// Of `body`, quoted as HTTP wants it. It names the packed bytes: a gateway that packs differently gives another.
    pub etag: String,
    /// SHA-256 of the JSON.
    pub hash: Hash,
    /// The snapshot's version.
    pub version: u64,
    /// Which key signed.
    pub key: KeyId,
    /// Over the domain's statement.
    pub signature: Signature,
}

/// What leads from one snapshot to another.
#[derive(Debug)]
pub struct Delta {
    /// zstd of the later one's JSON, with the earlier one's JSON before it (`zstd --patch-from`). What it unpacks to is
    /// proved by the later one's own hash and signature.
    pub body: Bytes,
    /// Of `body`, quoted.
    pub etag: String,
}

/// Makes the delta between two packed snapshots. The same two give the same bytes.
///
/// # Errors
/// [`PackError::Compress`].
pub fn delta(from: &Packed, to: &Packed) -> Result<Delta, PackError> {
    let (before, after) = (unpack(from)?, unpack(to)?);
    let reach = u64::try_from(before.len() + after.len()).unwrap_or(u64::MAX);
    let window_log = reach.next_power_of_two().ilog2().clamp(20, DELTA_WINDOW_LOG_MAX);
    let mut encoder = zstd::stream::write::Encoder::with_ref_prefix(Vec::new(), DELTA_LEVEL, &before)?;
    encoder.window_log(window_log)?;
    encoder.long_distance_matching(true)?;
    encoder.write_all(&after)?;
    let body = encoder.finish()?;
    Ok(Delta { etag: etag(&body), body: body.into() })
}

fn unpack(packed: &Packed) -> Result<Vec<u8>, PackError> {
    Ok(zstd::stream::decode_all(&*packed.body)?)
}

fn etag(body: &[u8]) -> String {
    format!("\"{}\"", &Hash::of(body).to_string()[..32])
}

/// Why a snapshot cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Not writable as JSON.
    #[error("the snapshot cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The compressor failed.
    #[error("the snapshot cannot be compressed")]
    Compress(#[from] std::io::Error),
    /// The signing key failed.
    #[error("the snapshot cannot be signed")]
    Sign(#[from] SignatureError),
}

/// Packs and signs.
///
/// # Errors
/// [`PackError`].
pub fn pack(snapshot: &Snapshot, signer: &Signer) -> Result<Packed, PackError> {
    let json = serde_json::to_vec(snapshot)?;
    let hash = Hash::of(&json);
    let body = zstd::bulk::compress(&json, LEVEL)?;
    let statement = statement(&snapshot.tenant, &snapshot.branch, snapshot.version, &hash);
    Ok(Packed {
        etag: etag(&body),
        body: body.into(),
        hash,
        version: snapshot.version,
        key: signer.current().id().clone(),
        signature: signer.sign(&statement)?,
    })
}
