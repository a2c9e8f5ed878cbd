//! What can be forgotten (invariant I11): personal fields, sealed under a key per person.
//!
//! A fact is kept for ever, byte for byte, or the chain would not verify. So what it says of a person is sealed
//! (AES-256-GCM, NIST SP 800-38D) under that person's own [`PersonKey`], which never stands in a fact: destroying the key
//! erases the person everywhere at once, and every chain still holds.
//!
//! In reading order: [`SecretKey`] is 256 bits that nobody sees; [`PersonKey`] is one of a person; [`Sealed`] is what
//! facts carry; [`PatientDetails`] is what is inside; [`custody`] is what box and centre say to each other about keys.
//! Nonces and keys come in drawn.

pub mod custody;
pub mod patient;

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::SecureRandom,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    ids::{PersonId, TenantId},
    signature::{Hash, Preimage},
};
pub use patient::PatientDetails;

/// The label of what sealed fields are bound to.
const LABEL: &str = "pestle-personal-v1";
/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a nonce. Drawn at random: one person's key seals a handful of texts in a life, far below the 2^32 that SP
/// 800-38D allows for random nonces (8.3).
pub const NONCE_BYTES: usize = NONCE_LEN;
/// The tag that GCM puts behind what it seals.
const TAG_BYTES: usize = 16;
/// Most bytes of sealed text that are read: the longest [`PatientDetails`] in JSON's longest escapes, filled up.
pub const SEALED_BYTES_MAX: usize = 6 * 1024;

/// Why something cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonalError {
    /// Not base64 of 32 bytes.
    #[error("a key is {KEY_BYTES} bytes in base64")]
    BadKey,
    /// Nonce or text are no base64 of a possible length.
    #[error("the sealed fields are damaged: have them sent again, or restore them from a backup")]
    BadSealed,
    /// The key is of another person or generation.
    #[error(
        "these fields were sealed under another key (generation {sealed}, not {key}): fetch that key from the centre"
    )]
    OtherKey {
        /// Of the sealed fields.
        sealed: u32,
        /// Of the key.
        key: u32,
    },
    /// Wrong key, wrong tenant, person or purpose, or changed bytes: nobody can tell which.
    #[error("the fields cannot be opened with this key: they were changed, or are somebody else's")]
    CannotOpen,
    /// The cipher refused.
    #[error("the fields cannot be sealed: they are too long")]
    CannotSeal,
    /// Opened, and not what is expected inside.
    #[error("the fields were opened and cannot be read: a later version wrote them; upgrade")]
    Unreadable,
    /// The random source failed.
    #[error("the system gave no random numbers for a key: try again; call support if it stays so")]
    NoRandom,
}

/// 256 secret bits. Never shown, and overwritten when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretKey(Zeroizing<[u8; KEY_BYTES]>);

impl SecretKey {
    /// A new one.
    ///
    /// # Errors
    /// [`PersonalError::NoRandom`].
    pub fn draw(random: &dyn SecureRandom) -> Result<Self, PersonalError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        random.fill(&mut *bytes).map_err(|_| PersonalError::NoRandom)?;
        Ok(Self(bytes))
    }

    /// From its bytes.
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Names a key-encryption key without giving anything of it away: 16 hexadecimal digits of a hash.
    pub fn name(&self) -> String {
        hex::encode(&Preimage::new("pestle-key-name-v1").bytes(&*self.0).hash().0[..8])
    }

    /// Seals `plain`, bound to `about`. A nonce must never come twice with one key.
    ///
    /// # Errors
    /// [`PersonalError::CannotSeal`].
    pub fn seal(
        &self,
        about: &Preimage,
        nonce: [u8; NONCE_BYTES],
        plain: &[u8],
    ) -> Result<Vec<u8>, PersonalError> {
        let key = self.cipher().ok_or(PersonalError::CannotSeal)?;
        let mut text = Vec::with_capacity(plain.len() + TAG_BYTES);
        text.extend_from_slice(plain);
        let sealed = key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(about.as_bytes()),
            &mut text,
        );
        sealed.map(|()| text).map_err(|_| PersonalError::CannotSeal)
    }

    /// Opens what [`SecretKey::seal`] made.
    ///
    /// # Errors
    /// [`PersonalError::CannotOpen`] for any other key, binding or byte.
    pub fn open(
        &self,
        about: &Preimage,
        nonce: [u8; NONCE_BYTES],
        text: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, PersonalError> {
        let key = self.cipher().ok_or(PersonalError::CannotOpen)?;
        let mut plain = Zeroizing::new(text.to_vec());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let length = key
            .open_in_place(nonce, Aad::from(about.as_bytes()), &mut plain)
            .map_err(|_| PersonalError::CannotOpen)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, &*self.0).ok().map(LessSafeKey::new)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretKey(..)")
    }
}
impl From<SecretKey> for String {
    fn from(key: SecretKey) -> String {
        BASE64.encode(*key.0)
    }
}
impl TryFrom<String> for SecretKey {
    type Error = PersonalError;
    fn try_from(text: String) -> Result<Self, PersonalError> {
        let text = Zeroizing::new(text);
        let bytes = Zeroizing::new(BASE64.decode(text.as_bytes()).map_err(|_| PersonalError::BadKey)?);
        let bytes: &[u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| PersonalError::BadKey)?;
        Ok(Self::from_bytes(bytes))
    }
}

/// A person's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonKey {
    /// Whose.
    pub person: PersonId,
    /// The how-manieth of this person, from 1.
    pub generation: u32,
    /// The key itself.
    pub secret: SecretKey,
}

impl PersonKey {
    /// A person's first key.
    pub const FIRST: u32 = 1;

    /// Draws a person's first key.
    ///
    /// # Errors
    /// [`PersonalError::NoRandom`].
    pub fn first(person: PersonId, random: &dyn SecureRandom) -> Result<Self, PersonalError> {
        Ok(Self { person, generation: Self::FIRST, secret: SecretKey::draw(random)? })
    }
}

/// Draws a nonce.
///
/// # Errors
/// [`PersonalError::NoRandom`].
pub fn draw_nonce(random: &dyn SecureRandom) -> Result<[u8; NONCE_BYTES], PersonalError> {
    let mut nonce = [0; NONCE_BYTES];
    random.fill(&mut nonce).map_err(|_| PersonalError::NoRandom)?;
    Ok(nonce)
}

/// What sealed fields are for. Fields of one purpose cannot be passed off as those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// [`PatientDetails`].
    Patient,
}

impl What {
    /// As it is bound to what is sealed; never changed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "patient",
        }
    }
}

/// Personal fields as facts carry them: readable under the person's key alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Whose.
    pub person: PersonId,
    /// Under which of the person's keys.
    pub generation: u32,
    nonce: Base64,
    text: Base64,
}

/// Bytes that are base64 in JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Base64(Vec<u8>);

impl From<Base64> for String {
    fn from(bytes: Base64) -> String {
        BASE64.encode(bytes.0)
    }
}
impl TryFrom<String> for Base64 {
    type Error = PersonalError;
    fn try_from(text: String) -> Result<Self, PersonalError> {
        let bytes = BASE64.decode(text).map_err(|_| PersonalError::BadSealed)?;
        if bytes.len() > SEALED_BYTES_MAX { Err(PersonalError::BadSealed) } else { Ok(Self(bytes)) }
    }
}

impl Sealed {
    /// Seals `plain` for one purpose.
    ///
    /// # Errors
    /// [`PersonalError::CannotSeal`].
    pub fn seal(
        key: &PersonKey,
        tenant: &TenantId,
        what: What,
        nonce: [u8; NONCE_BYTES],
        plain: &[u8],
    ) -> Result<Self, PersonalError> {
        let text = key.secret.seal(&about(tenant, key.person, what), nonce, plain)?;
        if text.len() > SEALED_BYTES_MAX {
            return Err(PersonalError::CannotSeal);
        }
        Ok(Self {
            person: key.person,
            generation: key.generation,
            nonce: Base64(nonce.to_vec()),
            text: Base64(text),
        })
    }

    /// Opens what was sealed for that purpose.
    ///
    /// # Errors
    /// [`PersonalError`]: another key, or changed bytes.
    pub fn open(
        &self,
        key: &PersonKey,
        tenant: &TenantId,
        what: What,
    ) -> Result<Zeroizing<Vec<u8>>, PersonalError> {
        if (self.person, self.generation) != (key.person, key.generation) {
            return Err(PersonalError::OtherKey { sealed: self.generation, key: key.generation });
        }
        let nonce = self.nonce.0.as_slice().try_into().map_err(|_| PersonalError::BadSealed)?;
        key.secret.open(&about(tenant, self.person, what), nonce, &self.text.0)
    }

    /// Takes it apart, for a store with a column for each.
    pub fn parts(&self) -> (&[u8], &[u8]) {
        (&self.nonce.0, &self.text.0)
    }

    /// Puts it together again from what [`Sealed::parts`] gave.
    pub fn from_parts(person: PersonId, generation: u32, nonce: Vec<u8>, text: Vec<u8>) -> Self {
        Self { person, generation, nonce: Base64(nonce), text: Base64(text) }
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sealed({}, generation {})", self.person, self.generation)
    }
}

fn about(tenant: &TenantId, person: PersonId, what: What) -> Preimage {
    Preimage::new(LABEL)
        .bytes(tenant.as_str().as_bytes())
        .bytes(person.0.as_bytes())
        .bytes(what.as_str().as_bytes())
}

/// What a wrapped person key is bound to: it opens for its own person and generation alone.
pub fn wrapping(tenant: &TenantId, person: PersonId, generation: u32) -> Preimage {
    Preimage::new("pestle-person-key-v1")
        .bytes(tenant.as_str().as_bytes())
        .bytes(person.0.as_bytes())
        .u32(generation)
}

/// Names a key in a comparison without showing it.
pub fn same_key(one: &SecretKey, other: &SecretKey) -> bool {
    // Of hashes, so that how long it takes tells nothing of the keys.
    Hash::of(one.as_bytes()) == Hash::of(other.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use proptest::prelude::*;
    use uuid::Uuid;

    pub(super) fn key(byte: u8) -> PersonKey {
        PersonKey {
            person: PersonId(Uuid::from_bytes([byte; 16])),
            generation: 1,
            secret: SecretKey::from_bytes(&[byte; KEY_BYTES]),
        }
    }

    pub(super) fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    pub(super) fn details() -> PatientDetails {
        PatientDetails {
            name: "Zebedee Quillfeather".into(),
            birth_date: Some("1961-04-12".parse().unwrap()),
            phone: Some("+44 20 7946 0000".into()),
            address: None,
        }
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_opened_as_it_was_by_its_own_key_tenant_person_and_purpose_alone(
            plain in proptest::collection::vec(any::<u8>(), 0..2_000),
            nonce in any::<[u8; NONCE_BYTES]>(),
            at in any::<prop::sample::Index>(),
        ) {
            let (ours, chain) = (key(7), tenant("acme"));
            let sealed = Sealed::seal(&ours, &chain, What::Patient, nonce, &plain).unwrap();
            prop_assert_eq!(&**sealed.open(&ours, &chain, What::Patient).unwrap(), &plain[..]);
            prop_assert_eq!(
                sealed.open(&ours, &tenant("other"), What::Patient).unwrap_err(),
                PersonalError::CannotOpen
            );
            let mut theirs = key(8);
            theirs.person = ours.person;
            prop_assert_eq!(sealed.open(&theirs, &chain, What::Patient).unwrap_err(), PersonalError::CannotOpen);
            let mut moved = sealed.clone();
            moved.person = PersonId(Uuid::from_bytes([9; 16]));
            let mut key_of_moved = ours.clone();
            key_of_moved.person = moved.person;
            prop_assert_eq!(
                moved.open(&key_of_moved, &chain, What::Patient).unwrap_err(),
                PersonalError::CannotOpen
            );
            let mut changed = sealed.clone();
            let index = at.index(changed.text.0.len());
            changed.text.0[index] ^= 1;
            prop_assert_eq!(changed.open(&ours, &chain, What::Patient).unwrap_err(), PersonalError::CannotOpen);
            let json = serde_json::to_string(&sealed).unwrap();
            prop_assert_eq!(serde_json::from_str::<Sealed>(&json).unwrap(), sealed);
        }

        #[test]
        fn details_of_any_text_are_sealed_and_opened_again(name in "\\PC{1,120}", address in "\\PC{0,300}") {
            let made = PatientDetails { name: name.into(), address: Some(address.into()), ..details() };
            // Of spaces alone there is no name.
            prop_assume!(made.clone().checked().is_ok());
            let made = made.checked().unwrap();
            let sealed = made.seal(&key(7), &tenant("acme"), [1; NONCE_BYTES]).unwrap();
            prop_assert_eq!(PatientDetails::open(&sealed, &key(7), &tenant("acme")).unwrap(), made);
        }
    }

    #[test]
    fn nothing_of_a_key_or_a_person_is_shown_and_a_length_tells_no_name() {
        let (mut key, made) = (key(0x61), details());
        key.person = PersonId(Uuid::from_bytes([9; 16]));
        let sealed = made.seal(&key, &tenant("acme"), [1; NONCE_BYTES]).unwrap();
        let shown = format!("{key:?} {made:?} {sealed:?}");
        for secret in ["Zebedee", "1961", "aaaa", "YWFh", "6161"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        let short = PatientDetails { name: "A".into(), birth_date: None, phone: None, address: None };
        let short = short.seal(&key, &tenant("acme"), [2; NONCE_BYTES]).unwrap();
        assert_eq!(short.parts().1.len(), sealed.parts().1.len());
        assert!(!serde_json::to_string(&sealed).unwrap().contains("Zebedee"));
    }

    #[test]
    fn a_key_of_another_generation_is_told_from_a_changed_text() {
        let sealed = details().seal(&key(7), &tenant("acme"), [1; NONCE_BYTES]).unwrap();
        let second = PersonKey { generation: 2, ..key(7) };
        let said = PatientDetails::open(&sealed, &second, &tenant("acme")).unwrap_err();
        assert_eq!(said, PersonalError::OtherKey { sealed: 1, key: 2 });
    }

    #[test]
    fn drawn_keys_differ_and_survive_json() {
        let random = SystemRandom::new();
        let (one, two) = (SecretKey::draw(&random).unwrap(), SecretKey::draw(&random).unwrap());
        assert!(one != two && !same_key(&one, &two) && one.name() != two.name());
        let json = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<SecretKey>(&json).unwrap(), one);
        assert!(serde_json::from_str::<SecretKey>("\"AAAA\"").is_err());
        assert_ne!(draw_nonce(&random).unwrap(), draw_nonce(&random).unwrap());
    }
}
