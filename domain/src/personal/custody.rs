//! What a box and the centre say to each other about keys, as JSON over HTTPS with mutual TLS.
//!
//! The centre holds every key and leases it to branches. A box that made one *deposits* it; until that is done the box
//! keeps it whatever happens. A lease has an end, is renewed while it is used, and ends at once when the person is erased.

use serde::{Deserialize, Serialize};

use super::PersonKey;
use crate::{ids::PersonId, units::UnixMillis};

/// Where a box deposits keys ([`Deposit`], answered by a [`Custody`] for each).
pub const DEPOSIT_PATH: &str = "/api/v1/device/persons/keys";
/// Where a box says which leases it holds ([`Leases`], answered by a [`Custody`] for each).
pub const LEASES_PATH: &str = "/api/v1/device/persons/leases";
/// Keys of one deposit, and leases of one question.
pub const PERSONS_MAX: usize = 200;

/// Where a box fetches the key of one person (answered by a [`Lent`]).
pub fn lease_path(person: PersonId) -> String {
    format!("/api/v1/device/persons/{person}/lease")
}

/// Keys that a box made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// At most [`PERSONS_MAX`].
    pub keys: Vec<PersonKey>,
}

/// Leases that a box holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leases {
    /// At most [`PERSONS_MAX`].
    pub held: Vec<Held>,
}

/// One lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Whose.
    pub person: PersonId,
    /// Whether it was used since the centre was last asked: then it is renewed.
    pub used: bool,
}

/// Where a person's key stands at the centre.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custody {
    /// Whose.
    pub person: PersonId,
    /// How it stands.
    #[serde(flatten)]
    pub state: CustodyState,
}

/// How a key stands at the centre.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CustodyState {
    /// The centre has it, and leases it to the branch.
    Leased {
        /// By the centre's clock. The box drops the key then.
        until: UnixMillis,
    },
    /// The centre does not have it, perhaps because its database was restored: deposit it (again).
    Unknown,
    /// The person was erased: drop it.
    Erased,
    /// The centre has another key under this name and keeps that one. A person must look.
    Contradicts,
}

/// A key that is lent to the branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lent {
    /// The person's latest key.
    pub key: PersonKey,
    /// By the centre's clock. The box drops the key then.
    pub until: UnixMillis,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::personal::SecretKey;
    use uuid::Uuid;

    #[test]
    fn the_words_about_keys_are_those_that_were_agreed() {
        let person = PersonId(Uuid::from_bytes([1; 16]));
        let key = PersonKey { person, generation: 1, secret: SecretKey::from_bytes(&[2; 32]) };
        let check = |json: String, expected: &str| assert_eq!(json, expected);
        let id = "01010101-0101-0101-0101-010101010101";
        let secret = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
        let written = format!(r#"{{"person":"{id}","generation":1,"secret":"{secret}"}}"#);
        check(
            serde_json::to_string(&Deposit { keys: vec![key.clone()] }).unwrap(),
            &format!(r#"{{"keys":[{written}]}}"#),
        );
        let held = Leases { held: vec![Held { person, used: true }] };
        check(
            serde_json::to_string(&held).unwrap(),
            &format!(r#"{{"held":[{{"person":"{id}","used":true}}]}}"#),
        );
        for (state, expected) in [
            (CustodyState::Leased { until: UnixMillis(5) }, r#""state":"leased","until":5"#),
            (CustodyState::Unknown, r#""state":"unknown""#),
            (CustodyState::Erased, r#""state":"erased""#),
            (CustodyState::Contradicts, r#""state":"contradicts""#),
        ] {
            let custody = Custody { person, state };
            let json = serde_json::to_string(&custody).unwrap();
            check(json.clone(), &format!(r#"{{"person":"{id}",{expected}}}"#));
            assert_eq!(serde_json::from_str::<Custody>(&json).unwrap(), custody);
        }
        let lent = Lent { key, until: UnixMillis(5) };
        check(serde_json::to_string(&lent).unwrap(), &format!(r#"{{"key":{written},"until":5}}"#));
    }
}
