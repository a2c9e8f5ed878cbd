//! Packing and signing a snapshot. Pure but for the randomness of the signature.

use bytes::Bytes;
use pestle_domain::{
    signature::{Hash, KeyId, Signature, SignatureError},
    snapshot::{Snapshot, statement},
};

use crate::authority::signer::Signer;

/// Fast and small enough: names and numbers pack to a tenth.
const LEVEL: i32 = 9;

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
        etag: format!("\"{}\"", &Hash::of(&body).to_string()[..32]),
        body: body.into(),
        hash,
        version: snapshot.version,
        key: signer.current().id().clone(),
        signature: signer.sign(&statement)?,
    })
}
