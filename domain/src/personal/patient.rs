//! What a pharmacy knows of a patient.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{NONCE_BYTES, PersonKey, PersonalError, SEALED_BYTES_MAX, Sealed, What};
use crate::{ids::TenantId, units::Day};

/// Longest name.
pub const NAME_CHARS_MAX: usize = 120;
/// Longest telephone number as people write it.
pub const PHONE_CHARS_MAX: usize = 40;
/// Longest address.
pub const ADDRESS_CHARS_MAX: usize = 300;
/// What is sealed is filled up with spaces to a multiple of this, so that its length does not tell a name's.
const PADDED_TO: usize = 256;

/// What a pharmacy knows of a patient. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientDetails {
    /// As they call themselves.
    pub name: Box<str>,
    /// Tells two of one name apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<Day>,
    /// As they wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Box<str>>,
    /// In one or several lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Box<str>>,
}

/// What is wrong with a patient's details. Names the field, never what stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadDetails {
    /// Too short or too long.
    #[error("a name has 1 to {NAME_CHARS_MAX} characters")]
    Name,
    /// Too long.
    #[error("a telephone number has at most {PHONE_CHARS_MAX} characters")]
    Phone,
    /// Too long.
    #[error("an address has at most {ADDRESS_CHARS_MAX} characters")]
    Address,
}

impl PatientDetails {
    /// As it is kept: trimmed, empty fields left out.
    ///
    /// # Errors
    /// [`BadDetails`].
    pub fn checked(self) -> Result<Self, BadDetails> {
        let tidy = |text: Option<Box<str>>, most: usize, bad: BadDetails| {
            let text = text.map(|text| Box::<str>::from(text.trim())).filter(|text| !text.is_empty());
            if text.as_ref().is_some_and(|text| text.chars().count() > most) { Err(bad) } else { Ok(text) }
        };
        Ok(Self {
            name: tidy(Some(self.name), NAME_CHARS_MAX, BadDetails::Name)?.ok_or(BadDetails::Name)?,
            birth_date: self.birth_date,
            phone: tidy(self.phone, PHONE_CHARS_MAX, BadDetails::Phone)?,
            address: tidy(self.address, ADDRESS_CHARS_MAX, BadDetails::Address)?,
        })
    }

    /// Seals them.
    ///
    /// # Errors
    /// [`PersonalError::CannotSeal`].
    pub fn seal(
        &self,
        key: &PersonKey,
        tenant: &TenantId,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<Sealed, PersonalError> {
        let mut plain = Zeroizing::new(Vec::with_capacity(SEALED_BYTES_MAX));
        serde_json::to_writer(&mut *plain, self).map_err(|_| PersonalError::CannotSeal)?;
        // JSON takes spaces at its end.
        let length = plain.len().next_multiple_of(PADDED_TO);
        plain.resize(length, b' ');
        Sealed::seal(key, tenant, What::Patient, nonce, &plain)
    }

    /// Opens them.
    ///
    /// # Errors
    /// [`PersonalError`].
    pub fn open(sealed: &Sealed, key: &PersonKey, tenant: &TenantId) -> Result<Self, PersonalError> {
        let plain = sealed.open(key, tenant, What::Patient)?;
        serde_json::from_slice(&plain).map_err(|_| PersonalError::Unreadable)
    }
}

impl fmt::Debug for PatientDetails {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PatientDetails(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::personal::tests::{details, key, tenant};

    #[test]
    fn the_longest_details_fit() {
        let made = PatientDetails {
            name: "\u{1}".repeat(NAME_CHARS_MAX).into(),
            birth_date: None,
            phone: Some("\u{1}".repeat(PHONE_CHARS_MAX).into()),
            address: Some("\u{1}".repeat(ADDRESS_CHARS_MAX).into()),
        };
        made.checked().unwrap().seal(&key(7), &tenant("acme"), [1; NONCE_BYTES]).unwrap();
    }

    #[test]
    fn details_that_cannot_be_are_refused_by_the_field_and_not_by_what_stands_in_it() {
        let check = |change: &dyn Fn(&mut PatientDetails), expected: BadDetails| {
            let mut made = details();
            change(&mut made);
            assert_eq!(made.checked().unwrap_err(), expected);
        };
        check(&|made| made.name = " ".into(), BadDetails::Name);
        check(&|made| made.name = "x".repeat(NAME_CHARS_MAX + 1).into(), BadDetails::Name);
        check(&|made| made.phone = Some("1".repeat(PHONE_CHARS_MAX + 1).into()), BadDetails::Phone);
        check(&|made| made.address = Some("x".repeat(ADDRESS_CHARS_MAX + 1).into()), BadDetails::Address);
        let spaced = PatientDetails { name: " A ".into(), phone: Some("  ".into()), ..details() };
        let tidied = spaced.checked().unwrap();
        assert_eq!((&*tidied.name, tidied.phone), ("A", None));
    }
}
