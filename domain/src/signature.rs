//! Who said so: ECDSA over P-256 with SHA-256 (FIPS 186-5; TPMs have it), signatures as the 64 bytes r ‖ s.
//!
//! Each kind of statement is signed under its own label, so that a signature made for one can never be passed off
//! as another. What is signed is a [`Preimage`]: the label and the fields, unambiguously joined.

use aws_lc_rs::{
    digest,
    rand::SecureRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        UnparsedPublicKey,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A SHA-256 value; hexadecimal in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash before the first: all zero.
    pub const ZERO: Self = Self([0; 32]);

    /// SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        Self(hash)
    }

    /// The first eight hexadecimal digits, for people.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..4])
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}
impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}
impl From<Hash> for String {
    fn from(hash: Hash) -> String {
        hex::encode(hash.0)
    }
}
impl TryFrom<String> for Hash {
    type Error = SignatureError;
    fn try_from(text: String) -> Result<Self, SignatureError> {
        let mut hash = [0; 32];
        hex::decode_to_slice(&text, &mut hash).map_err(|_| SignatureError::BadHash)?;
        Ok(Self(hash))
    }
}

/// What is wrong with a key, a signature or a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not 64 hexadecimal digits.
    #[error("a hash is 64 hexadecimal digits")]
    BadHash,
    /// Not base64 of 64 bytes.
    #[error("a signature is 64 bytes in base64")]
    BadSignature,
    /// Not base64 of an uncompressed P-256 point.
    #[error("a public key is an uncompressed P-256 point (65 bytes) in base64")]
    BadPublicKey,
    /// Not a PKCS #8 document with a P-256 key.
    #[error("the private key cannot be read: it must be a P-256 key in PKCS #8")]
    BadPrivateKey,
    /// The random source failed.
    #[error("the system gave no random numbers to sign with")]
    NoRandom,
    /// The statement was not signed by this key, or was changed after it was.
    #[error("the signature does not match what was signed")]
    Mismatch,
}

/// Joins fields so that no two different lists give the same bytes: texts and byte strings are preceded by their
/// length (32 bits), integers have a fixed width; all big-endian.
#[derive(Debug, Clone, Default)]
pub struct Preimage(Vec<u8>);

impl Preimage {
    /// Begins with the label of the statement.
    pub fn new(label: &str) -> Self {
        Self(Vec::with_capacity(256)).bytes(label.as_bytes())
    }

    /// A text or byte string.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        // A field is a name, a hash or one record, all bounded far below 4 GiB; saturating keeps it total.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// A 32-bit integer.
    #[must_use]
    pub fn u32(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// A 64-bit integer.
    #[must_use]
    pub fn u64(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Its first `length` bytes: what many have in common is joined once.
    #[must_use]
    pub(crate) fn cut_to(mut self, length: usize) -> Self {
        self.0.truncate(length);
        self
    }

    /// Its SHA-256.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }

    /// The bytes to be signed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Names a public key: the first 16 hexadecimal digits of the SHA-256 of its point.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub String);

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A signature, base64 in JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature([u8; 64]);

impl Signature {
    /// r ‖ s.
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }
    /// r ‖ s.
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Signature({}…)", hex::encode(&self.0[..4]))
    }
}
impl From<Signature> for String {
    fn from(signature: Signature) -> String {
        BASE64.encode(signature.0)
    }
}
impl TryFrom<String> for Signature {
    type Error = SignatureError;
    fn try_from(text: String) -> Result<Self, SignatureError> {
        let bytes = BASE64.decode(&text).map_err(|_| SignatureError::BadSignature)?;
        Ok(Self(bytes.try_into().map_err(|_| SignatureError::BadSignature)?))
    }
}

/// A public key: the uncompressed P-256 point, base64 in JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VerifyingKey([u8; 65]);

impl VerifyingKey {
    /// From the uncompressed point (SEC 1, 2.3.3): 0x04 ‖ x ‖ y. It is the bit string of a certificate's
    /// subject public key.
    ///
    /// # Errors
    /// [`SignatureError::BadPublicKey`] for another length or form.
    pub fn from_point(point: &[u8]) -> Result<Self, SignatureError> {
        let bytes: [u8; 65] = point.try_into().map_err(|_| SignatureError::BadPublicKey)?;
        if bytes[0] != 0x04 {
            return Err(SignatureError::BadPublicKey);
        }
        Ok(Self(bytes))
    }

    /// The uncompressed point.
    pub fn point(&self) -> &[u8; 65] {
        &self.0
    }

    /// The key's name.
    pub fn id(&self) -> KeyId {
        KeyId(hex::encode(&Hash::of(&self.0).0[..8]))
    }

    /// Checks that the holder of this key signed `statement`.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`] when not.
    pub fn verify(&self, statement: &Preimage, signature: &Signature) -> Result<(), SignatureError> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.0)
            .verify(statement.as_bytes(), signature.as_bytes())
            .map_err(|_| SignatureError::Mismatch)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "VerifyingKey({})", self.id())
    }
}
impl From<VerifyingKey> for String {
    fn from(key: VerifyingKey) -> String {
        BASE64.encode(key.0)
    }
}
impl TryFrom<String> for VerifyingKey {
    type Error = SignatureError;
    fn try_from(text: String) -> Result<Self, SignatureError> {
        let bytes = BASE64.decode(&text).map_err(|_| SignatureError::BadPublicKey)?;
        Self::from_point(&bytes)
    }
}

/// A private key held in memory.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    public: VerifyingKey,
    id: KeyId,
}

impl SigningKey {
    /// From a PKCS #8 document (DER).
    ///
    /// # Errors
    /// [`SignatureError::BadPrivateKey`] when it holds no P-256 key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SignatureError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .map_err(|_| SignatureError::BadPrivateKey)?;
        let public = VerifyingKey::from_point(pair.public_key().as_ref())?;
        let id = public.id();
        Ok(Self { pair, public, id })
    }

    /// The matching public key.
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// Its name.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Signs `statement` with randomness from `random`.
    ///
    /// # Errors
    /// [`SignatureError::NoRandom`] when the source fails.
    pub fn sign(&self, statement: &Preimage, random: &dyn SecureRandom) -> Result<Signature, SignatureError> {
        let signature = self.pair.sign(random, statement.as_bytes()).map_err(|_| SignatureError::NoRandom)?;
        let bytes = signature.as_ref().try_into().map_err(|_| SignatureError::NoRandom)?;
        Ok(Signature(bytes))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;

    fn key() -> SigningKey {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        SigningKey::from_pkcs8(document.as_ref()).unwrap()
    }

    #[test]
    fn a_signature_holds_for_its_statement_and_key_and_for_no_other() {
        let (ours, theirs) = (key(), key());
        let statement = Preimage::new("pestle-test-v1").bytes(b"north").u64(7);
        let signature = ours.sign(&statement, &SystemRandom::new()).unwrap();
        assert_eq!(ours.public().verify(&statement, &signature), Ok(()));
        assert_eq!(theirs.public().verify(&statement, &signature), Err(SignatureError::Mismatch));
        let other = Preimage::new("pestle-test-v1").bytes(b"north").u64(8);
        assert_eq!(ours.public().verify(&other, &signature), Err(SignatureError::Mismatch));
    }

    #[test]
    fn joined_fields_cannot_be_cut_differently() {
        let one = Preimage::new("x").bytes(b"ab").bytes(b"c");
        let two = Preimage::new("x").bytes(b"a").bytes(b"bc");
        assert_ne!(one.as_bytes(), two.as_bytes());
    }

    #[test]
    fn keys_and_signatures_survive_json() {
        let key = key();
        let statement = Preimage::new("x");
        let signature = key.sign(&statement, &SystemRandom::new()).unwrap();
        let text = serde_json::to_string(&(key.public(), &signature)).unwrap();
        let (public, back): (VerifyingKey, Signature) = serde_json::from_str(&text).unwrap();
        assert_eq!(public.verify(&statement, &back), Ok(()));
        assert!(serde_json::from_str::<VerifyingKey>("\"AAAA\"").is_err());
        assert!(serde_json::from_str::<Signature>("\"!\"").is_err());
    }
}
