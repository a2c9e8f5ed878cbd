//! Who may be erased why, how long a branch may keep a key, what a deposited key means beside the one that is there,
//! and what facts tell of patients. Pure.

use std::collections::BTreeMap;

use pestle_domain::{
    fact::FactBody,
    ids::PersonId,
    personal::{PersonKey, Sealed, same_key},
};
use serde::{Deserialize, Serialize};
use time::Duration;
use utoipa::ToSchema;

use crate::inventory::rules::Place;

/// How long a branch may keep a key without using it: as long as facts stay on a box, so that a centre that was
/// restored from any copy within that time gets every key back that it lost.
pub const LEASE: Duration = Duration::days(35);

/// Longest reference.
const REFERENCE_LENGTH_MAX: usize = 40;

/// Why a person was erased. A choice and no text: in a text a name could stand, and this is kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// They asked for it.
    Asked,
    /// The time for which they must be kept is over.
    Retention,
    /// They were registered by mistake.
    Mistake,
    /// Something else: the reference says where it is written down.
    Other,
}

impl Why {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Retention => "retention",
            Self::Mistake => "mistake",
            Self::Other => "other",
        }
    }

    /// As it was stored.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Asked, Self::Retention, Self::Mistake, Self::Other]
            .into_iter()
            .find(|why| why.as_str() == text)
    }
}

/// What is wrong with a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReference {
    /// Other characters, or too many.
    #[error(
        "a reference has at most {REFERENCE_LENGTH_MAX} characters of A-Z, a-z, 0-9, - and /, such as GDPR-2026/17: it is \
         kept for ever, so no name may stand in it"
    )]
    Characters,
    /// Not there, and the reason needs it.
    #[error("say with \"other\" where it is written down: give a reference")]
    Missing,
}

/// A reference as it is kept.
///
/// # Errors
/// [`BadReference`].
pub fn reference(why: Why, text: &str) -> Result<&str, BadReference> {
    let text = text.trim();
    let usable = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'/';
    if text.len() > REFERENCE_LENGTH_MAX || !text.bytes().all(usable) {
        return Err(BadReference::Characters);
    }
    if why == Why::Other && text.is_empty() { Err(BadReference::Missing) } else { Ok(text) }
}

/// What to do with a key that a branch deposits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is new: keep it.
    New,
    /// It is there already, the same.
    Known,
    /// The person was erased.
    Erased,
    /// Another key is there, or the branch may not give this person one.
    Contradicts,
}

/// Judges a deposit. `kept` is the key of that person and generation that the centre has; `has_any` whether it has any of
/// that person, and `lent` whether it ever lent one to this branch: without that a branch may not give a known person
/// another key.
pub fn judge(
    deposited: &PersonKey,
    erased: bool,
    kept: Option<&PersonKey>,
    has_any: bool,
    lent: bool,
) -> Taken {
    match kept {
        _ if erased => Taken::Erased,
        Some(kept) if same_key(&kept.secret, &deposited.secret) => Taken::Known,
        Some(_) => Taken::Contradicts,
        None if has_any && !lent => Taken::Contradicts,
        None if deposited.generation == 0 => Taken::Contradicts,
        None => Taken::New,
    }
}

/// What a transaction's facts of one stream tell of one patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told<'a> {
    /// Where they were registered, if that is among it.
    pub registered_in: Option<&'a str>,
    /// The last.
    pub details: &'a Sealed,
    /// By the branch's clock.
    pub wall_ms: i64,
    /// Its number in the stream.
    pub seq: i64,
}

/// What the facts of one transaction tell of patients; of each stream and patient the last by its number, whatever the
/// clock said.
#[derive(Debug, Default)]
pub struct Patients<'a> {
    /// By person, which is the order of the locks, and the event store's number of the stream.
    pub told: BTreeMap<(PersonId, i64), Told<'a>>,
}

impl<'a> Patients<'a> {
    /// One more fact.
    pub fn add(&mut self, place: Place<'a>, wall_ms: i64, body: &'a FactBody) {
        let Some(details) = body.personal() else { return };
        let registered_in = matches!(body, FactBody::PatientRegistered(_)).then_some(place.branch);
        let new = Told { registered_in, details, wall_ms, seq: place.seq };
        self.told
            .entry((details.person, place.stream))
            .and_modify(|told| {
                let registered_in = told.registered_in.or(new.registered_in);
                if new.seq > told.seq {
                    *told = new;
                }
                told.registered_in = registered_in;
            })
            .or_insert(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_domain::{
        fact::{PatientAmended, PatientRegistered},
        personal::SecretKey,
    };
    use uuid::Uuid;

    fn key(byte: u8, generation: u32) -> PersonKey {
        PersonKey { person: PersonId(Uuid::nil()), generation, secret: SecretKey::from_bytes(&[byte; 32]) }
    }

    #[test]
    fn a_deposit_is_taken_once_and_never_for_an_erased_person_or_over_another_key() {
        let check = |erased, kept: Option<u8>, has_any, lent, expected| {
            let kept = kept.map(|byte| key(byte, 1));
            assert_eq!(judge(&key(7, 1), erased, kept.as_ref(), has_any, lent), expected);
        };
        check(false, None, false, false, Taken::New);
        check(false, Some(7), true, true, Taken::Known);
        check(false, Some(7), true, false, Taken::Known);
        check(false, Some(8), true, true, Taken::Contradicts);
        check(false, None, true, true, Taken::New);
        check(false, None, true, false, Taken::Contradicts);
        check(true, None, false, false, Taken::Erased);
        check(true, Some(7), true, true, Taken::Erased);
        assert_eq!(judge(&key(7, 0), false, None, false, false), Taken::Contradicts);
    }

    #[test]
    fn a_reference_has_no_room_for_a_name() {
        assert_eq!(reference(Why::Asked, " GDPR-2026/17 "), Ok("GDPR-2026/17"));
        assert_eq!(reference(Why::Asked, ""), Ok(""));
        assert_eq!(reference(Why::Other, ""), Err(BadReference::Missing));
        for bad in ["Ada Example", "a_b", "ä", &"x".repeat(41)] {
            assert_eq!(reference(Why::Asked, bad), Err(BadReference::Characters), "{bad}");
        }
        for why in [Why::Asked, Why::Retention, Why::Mistake, Why::Other] {
            assert_eq!(Why::parse(why.as_str()), Some(why));
        }
    }

    #[test]
    fn of_several_facts_of_a_stream_about_one_patient_the_last_counts_in_whatever_order_they_come() {
        let sealed = |byte: u8| Sealed::from_parts(PersonId(Uuid::nil()), 1, vec![byte; 12], vec![byte]);
        let registered: FactBody = PatientRegistered { details: sealed(1) }.into();
        let amended: FactBody = PatientAmended { details: sealed(2) }.into();
        let place = |stream, seq| Place { branch: "north", stream, seq };
        // The clock was a day ahead, and was set right between the two.
        for order in [[(1, 90, &registered), (2, 20, &amended)], [(2, 20, &amended), (1, 90, &registered)]] {
            let mut patients = Patients::default();
            for (seq, wall, body) in order {
                patients.add(place(1, seq), wall, body);
            }
            patients.add(place(2, 1), 50, &amended);
            let told = patients.told[&(PersonId(Uuid::nil()), 1)];
            assert_eq!((told.details, told.registered_in), (&sealed(2), Some("north")));
            assert_eq!(patients.told.len(), 2, "another stream is told apart");
        }
    }
}
