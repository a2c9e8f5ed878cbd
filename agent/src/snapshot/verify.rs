//! Whether a snapshot may come into use. Pure.

use pestle_domain::{
    enrolment::Identity,
    signature::{Hash, KeyId, Signature},
    snapshot::{SNAPSHOT_FORM, Snapshot, statement},
};
use serde::{Deserialize, Serialize};

/// What the centre says about a snapshot beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Its version.
    pub version: u64,
    /// SHA-256 of the unpacked JSON.
    pub hash: Hash,
    /// Which of the centre's keys signed.
    pub key: KeyId,
    /// Over [`statement`].
    pub signature: Signature,
    /// Of the HTTP answer; may be empty.
    pub etag: String,
}

/// Why a snapshot is not used.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The bytes are not those that the centre names.
    #[error("the snapshot's bytes are not those that its hash names")]
    Hash,
    /// Signed with a key that the identity does not list.
    #[error("the snapshot is signed with key {0}, which is not the centre's")]
    UnknownKey(KeyId),
    /// The signature is wrong.
    #[error("the snapshot's signature is wrong")]
    Signature,
    /// Not JSON of this form.
    #[error("the snapshot cannot be read")]
    Json(#[source] serde_json::Error),
    /// A newer form.
    #[error("the snapshot has form {0}, this agent reads up to {SNAPSHOT_FORM}: update the agent")]
    Form(u16),
    /// Of another branch.
    #[error("the snapshot is for branch {branch} of {tenant}, not for this box")]
    Elsewhere {
        /// Whose.
        tenant: String,
        /// Whose.
        branch: String,
    },
    /// An older one than is in use.
    #[error("the centre offers snapshot {offered}, older than {known} which is in use")]
    Older {
        /// Its version.
        offered: u64,
        /// The version in use.
        known: u64,
    },
    /// The proof and the contents name different versions.
    #[error("the snapshot says version {inside}, the centre says {told}")]
    Version {
        /// In the JSON.
        inside: u64,
        /// In the proof.
        told: u64,
    },
}

/// Reads a snapshot from its unpacked bytes, when `proof` vouches for them, it is for the box of `identity`, and it is
/// no older than `known`.
///
/// # Errors
/// [`Refused`] says why it is not used.
pub fn verify(proof: &Proof, body: &[u8], identity: &Identity, known: u64) -> Result<Snapshot, Refused> {
    let hash = Hash::of(body);
    if hash != proof.hash {
        return Err(Refused::Hash);
    }
    let keys = &identity.centre_keys;
    let key = keys
        .iter()
        .find(|key| key.id() == proof.key)
        .ok_or_else(|| Refused::UnknownKey(proof.key.clone()))?;
    key.verify(&statement(&identity.tenant, &identity.branch, proof.version, &hash), &proof.signature)
        .map_err(|_| Refused::Signature)?;
    #[derive(Deserialize)]
    struct Form {
        form: u16,
    }
    let Form { form } = serde_json::from_slice(body).map_err(Refused::Json)?;
    if form > SNAPSHOT_FORM {
        return Err(Refused::Form(form));
    }
    let snapshot: Snapshot = serde_json::from_slice(body).map_err(Refused::Json)?;
    if (&snapshot.tenant, &snapshot.branch) != (&identity.tenant, &identity.branch) {
        let (tenant, branch) = (snapshot.tenant.to_string(), snapshot.branch.to_string());
        return Err(Refused::Elsewhere { tenant, branch });
    }
    if snapshot.version != proof.version {
        return Err(Refused::Version { inside: snapshot.version, told: proof.version });
    }
    if snapshot.version < known {
        return Err(Refused::Older { offered: snapshot.version, known });
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
    };
    use pestle_domain::{money::Currency, signature::SigningKey, snapshot::BranchProfile, units::UnixMillis};

    fn key() -> SigningKey {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        SigningKey::from_pkcs8(document.as_ref()).unwrap()
    }

    fn identity(key: &SigningKey) -> Identity {
        Identity {
            tenant: "acme".parse().unwrap(),
            branch: "north".parse().unwrap(),
            device: "box-1".parse().unwrap(),
            term: 1,
            https: "https://centre.example".into(),
            mqtt: "centre.example:8883".into(),
            centre_keys: vec![key.public().clone()],
            first_epoch: 1,
            earlier: vec![],
        }
    }

    fn snapshot() -> Snapshot {
        Snapshot {
            form: SNAPSHOT_FORM,
            tenant: "acme".parse().unwrap(),
            branch: "north".parse().unwrap(),
            version: 7,
            made_at: UnixMillis(1_790_000_000_000),
            profile: BranchProfile {
                name: "North".into(),
                address: vec![],
                tax_number: "".into(),
                currency: Currency::GBP,
                time_zone: "Europe/London".into(),
                cut_over_minutes: 0,
                receipt_header: vec![],
                receipt_footer: vec![],
            },
            products: vec![],
            recalls: vec![],
            staff: vec![],
            orders: None,
        }
    }

    fn signed(snapshot: &Snapshot, key: &SigningKey, to: &Identity) -> (Proof, Vec<u8>) {
        let body = serde_json::to_vec(snapshot).unwrap();
        let hash = Hash::of(&body);
        let statement = statement(&to.tenant, &to.branch, snapshot.version, &hash);
        let signature = key.sign(&statement, &SystemRandom::new()).unwrap();
        (
            Proof { version: snapshot.version, hash, key: key.id().clone(), signature, etag: String::new() },
            body,
        )
    }

    #[test]
    fn only_what_the_centre_signed_for_this_branch_comes_into_use() {
        let (centre, other) = (key(), key());
        let identity = identity(&centre);
        let good = snapshot();
        let (proof, body) = signed(&good, &centre, &identity);
        assert_eq!(verify(&proof, &body, &identity, 7).unwrap(), good);
        assert!(matches!(verify(&proof, &body, &identity, 8), Err(Refused::Older { offered: 7, known: 8 })));
        assert!(matches!(verify(&proof, &body[1..], &identity, 0), Err(Refused::Hash)));
        let (theirs, body) = signed(&good, &other, &identity);
        assert!(matches!(verify(&theirs, &body, &identity, 0), Err(Refused::UnknownKey(_))));
        let forged = Proof { key: centre.id().clone(), ..theirs };
        assert!(matches!(verify(&forged, &body, &identity, 0), Err(Refused::Signature)));
        let south = Snapshot { branch: "south".parse().unwrap(), ..snapshot() };
        let (proof, body) = signed(&south, &centre, &identity);
        assert!(matches!(verify(&proof, &body, &identity, 0), Err(Refused::Elsewhere { .. })));
        let newer = Snapshot { form: SNAPSHOT_FORM + 1, ..snapshot() };
        let (proof, body) = signed(&newer, &centre, &identity);
        assert!(verify(&proof, &body, &identity, 0).unwrap_err().to_string().contains("update the agent"));
    }
}
