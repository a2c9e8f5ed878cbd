//! How a box becomes the branch's: what it asks the centre, what it is answered, and the claim code that a
//! technician carries from one to the other.

use std::{fmt, str::FromStr};

use aws_lc_rs::rand::SecureRandom;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{BranchId, DeviceId, TenantId},
    signature::{Hash, KeyId, Preimage, Signature, SignatureError, SigningKey, VerifyingKey},
};

/// `POST /api/v1/enrol`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// The secret part of the claim.
    pub code: String,
    /// PKCS #10, PEM. The centre takes its public key, after checking that the box holds the private one, and
    /// nothing else of it.
    pub csr_pem: String,
    /// What the box says of itself, for the people at the centre.
    pub hardware: Hardware,
    /// Who the box was until now, if it was somebody: what that one recorded and could not send yet is its legacy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Succession>,
}

/// Label of [`Succession::statement`].
pub const SUCCESSION_LABEL: &str = "pestle-succession-v1";

/// The proof that a box was another one before: the old key names the new one. The new box may then deliver what the
/// old one recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Succession {
    /// Who it was.
    pub device: DeviceId,
    /// The old key.
    pub key: KeyId,
    /// By the old key, over [`Succession::statement`].
    pub signature: Signature,
}

impl Succession {
    /// What is signed: the old name and the new public key.
    pub fn statement(device: &DeviceId, new: &VerifyingKey) -> Preimage {
        Preimage::new(SUCCESSION_LABEL).bytes(device.as_str().as_bytes()).bytes(new.point())
    }

    /// Names `new` as the successor of `device`, whose key is `old`.
    ///
    /// # Errors
    /// [`SignatureError::NoRandom`].
    pub fn sign(
        device: DeviceId,
        old: &SigningKey,
        new: &VerifyingKey,
        random: &dyn SecureRandom,
    ) -> Result<Self, SignatureError> {
        let signature = old.sign(&Self::statement(&device, new), random)?;
        Ok(Self { device, key: old.id().clone(), signature })
    }

    /// Whether `old` really named `new`.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`].
    pub fn verify(&self, old: &VerifyingKey, new: &VerifyingKey) -> Result<(), SignatureError> {
        old.verify(&Self::statement(&self.device, new), &self.signature)
    }
}

/// What a box says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardware {
    /// As the network knows it.
    pub hostname: String,
    /// `/etc/machine-id`, if there is one.
    pub machine_id: String,
    /// Of the tool that enrols.
    pub version: String,
}

/// What the centre answers, inside the usual envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolResponse {
    /// Who the box is now.
    pub identity: Identity,
    /// Client certificate for the links to the centre, PEM, leaf first.
    pub certificate_pem: String,
    /// Server certificate for the box's own pages, PEM, leaf first; same key.
    pub web_certificate_pem: String,
    /// The centre's certificate authority, PEM.
    pub ca_pem: String,
}

/// Who a box is and whom it reports to; kept as `identity.json` beside key and certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The chain.
    pub tenant: TenantId,
    /// The pharmacy.
    pub branch: BranchId,
    /// The box.
    pub device: DeviceId,
    /// The how-manieth writing device of this branch.
    pub term: u32,
    /// The centre's HTTPS address, `https://host:port`.
    pub https: String,
    /// The broker, `host:port`.
    pub mqtt: String,
    /// Keys whose acknowledgements and snapshots count.
    pub centre_keys: Vec<VerifyingKey>,
    /// The first epoch that this box may open: no box of the branch had it before, so that no receipt number comes
    /// twice (receipts are numbered by till, epoch and number).
    #[serde(default = "first_of_all")]
    pub first_epoch: u32,
    /// Whose records the box may deliver beside its own: who it was before.
    #[serde(default)]
    pub earlier: Vec<DeviceId>,
}

fn first_of_all() -> u32 {
    1
}

/// Letters and digits that nobody confuses when reading aloud: Crockford's base 32.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of the secret part before its check character: 55 bits, single use and rate limited.
const SECRET_CHARACTERS: usize = 11;
/// Characters that name the certificate authority: 80 bits of its SHA-256. Whoever wants to pose as the centre has
/// to find a second certificate with the same 80 bits before the claim expires.
const AUTHORITY_CHARACTERS: usize = 16;

/// What a technician types: the secret, and which certificate authority the box may believe at first contact.
/// Written `K7QM-4XPA-9R2T-H0VB-22ND-81CE-WQ5F`: 11 characters of secret, its check character, 16 that name the authority.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    secret: String,
    authority: String,
}

/// What is wrong with a typed claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Too short or too long.
    #[error(
        "a claim code has 28 characters (7 groups of 4), this one has {0}: type it again as it was printed"
    )]
    Length(usize),
    /// A character that no claim has.
    #[error("\"{0}\" does not occur in claim codes: type it again as it was printed")]
    Character(char),
    /// The check character disagrees.
    #[error("the claim code has a typing error in its first three groups: compare it with the print")]
    Check,
}

impl Claim {
    /// A claim from random bytes and the authority's certificate hash.
    pub fn new(random: [u8; 8], authority: &Hash) -> Self {
        let mut bits = u64::from_be_bytes(random);
        let mut secret = String::with_capacity(SECRET_CHARACTERS + 1);
        for _ in 0..SECRET_CHARACTERS {
            secret.push(char::from(ALPHABET[(bits & 31) as usize]));
            bits >>= 5;
        }
        let check = check_character(&secret);
        secret.push(check);
        Self { secret, authority: authority_characters(authority) }
    }

    /// What is sent to the centre as [`EnrolRequest::code`]: the first three groups without dashes.
    pub fn code(&self) -> &str {
        &self.secret
    }

    /// Whether this certificate authority (SHA-256 of its DER) is the one that the claim names.
    pub fn names(&self, authority: &Hash) -> bool {
        self.authority == authority_characters(authority)
    }
}

fn authority_characters(hash: &Hash) -> String {
    // 16 characters of 5 bits are exactly the first 10 bytes.
    let bits = hash.0[..10].iter().fold(0u128, |bits, byte| (bits << 8) | u128::from(*byte));
    (0..AUTHORITY_CHARACTERS)
        .rev()
        .map(|index| char::from(ALPHABET[((bits >> (5 * index)) & 31) as usize]))
        .collect()
}

/// Weighted sum modulo 31 (a prime below 32): finds every single wrong character and every swap of neighbours.
fn check_character(secret: &str) -> char {
    let sum: usize = secret
        .bytes()
        .zip(1..)
        .map(|(byte, weight)| weight * ALPHABET.iter().position(|letter| *letter == byte).unwrap_or(0))
        .sum();
    char::from(ALPHABET[sum % 31])
}

impl fmt::Display for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, character) in self.secret.chars().chain(self.authority.chars()).enumerate() {
            if index > 0 && index % 4 == 0 {
                formatter.write_str("-")?;
            }
            write!(formatter, "{character}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Claim(…)")
    }
}

impl FromStr for Claim {
    type Err = ClaimError;

    /// Takes what people type: any case, with or without dashes and spaces, O for 0, I and L for 1.
    fn from_str(text: &str) -> Result<Self, ClaimError> {
        let mut typed = String::new();
        for character in text.chars().filter(|character| !matches!(character, '-' | ' ')) {
            let upper = match character.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let known = u8::try_from(upper).is_ok_and(|byte| ALPHABET.contains(&byte));
            if !known {
                return Err(ClaimError::Character(character));
            }
            typed.push(upper);
        }
        if typed.len() != SECRET_CHARACTERS + 1 + AUTHORITY_CHARACTERS {
            return Err(ClaimError::Length(typed.len()));
        }
        let authority = typed.split_off(SECRET_CHARACTERS + 1);
        if !typed.ends_with(check_character(&typed[..SECRET_CHARACTERS])) {
            return Err(ClaimError::Check);
        }
        Ok(Self { secret: typed, authority })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_claim_is_read_as_people_type_it() {
        let claim = Claim::new([1, 2, 3, 4, 5, 6, 7, 8], &Hash::of(b"authority"));
        let printed = claim.to_string();
        assert_eq!(printed.len(), 34);
        assert_eq!(printed.parse::<Claim>().unwrap(), claim);
        assert_eq!(
            printed.to_lowercase().replace('-', " ").replace('0', "o").parse::<Claim>().unwrap(),
            claim
        );
        assert!(claim.names(&Hash::of(b"authority")));
        assert!(!claim.names(&Hash::of(b"another")));
        assert_eq!("ABC".parse::<Claim>(), Err(ClaimError::Length(3)));
        assert_eq!("ABCU".parse::<Claim>(), Err(ClaimError::Character('U')));
    }

    proptest! {
        #[test]
        fn one_mistyped_character_of_the_secret_is_noticed(random in any::<[u8; 8]>(), at in 0usize..11, step in 1usize..31) {
            let claim = Claim::new(random, &Hash::ZERO);
            let mut typed: Vec<u8> = claim.to_string().replace('-', "").into_bytes();
            let old = ALPHABET.iter().position(|letter| *letter == typed[at]).unwrap();
            let new = (old + step) % 32;
            // 0 and Z differ by 31, the modulus: the one pair that the check cannot tell apart.
            prop_assume!(old.abs_diff(new) != 31);
            typed[at] = ALPHABET[new];
            prop_assert_eq!(String::from_utf8(typed).unwrap().parse::<Claim>(), Err(ClaimError::Check));
        }

        #[test]
        fn nothing_typed_panics(text in "\\PC{0,60}") {
            let _ = text.parse::<Claim>();
        }
    }
}
