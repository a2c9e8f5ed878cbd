//! Identities as types, so that a branch can never be passed where a device is meant.
//!
//! Names that people choose (tenant, branch, device, till, product, staff) are *slugs*: 1 to 40 characters of
//! `a-z`, `0-9` and `-`, beginning with a letter or digit. A slug is safe in an MQTT topic, in a certificate's
//! common name, in a path and in a URI without any escaping. Things that happen have UUIDs (version 7, RFC 9562).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest slug, in characters.
pub const SLUG_LENGTH_MAX: usize = 40;

/// Why a text is no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} \"{text}\" is not usable: write 1 to {SLUG_LENGTH_MAX} characters of a-z, 0-9 and -, starting with a letter or digit"
)]
pub struct BadSlug {
    what: &'static str,
    text: String,
}

fn check_slug(what: &'static str, text: &str) -> Result<(), BadSlug> {
    let good = text.len() <= SLUG_LENGTH_MAX
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && text.bytes().next().is_some_and(|byte| byte != b'-');
    if good { Ok(()) } else { Err(BadSlug { what, text: text.chars().take(60).collect() }) }
}

macro_rules! slug {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The slug as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadSlug;
            fn from_str(text: &str) -> Result<Self, BadSlug> {
                check_slug($what, text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadSlug;
            fn try_from(text: String) -> Result<Self, BadSlug> {
                check_slug($what, &text)?;
                Ok(Self(text.into_boxed_str()))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.into_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

slug!(
    /// One chain of pharmacies. Everything that the centre stores leads with it.
    TenantId,
    "Tenant"
);
slug!(
    /// One pharmacy.
    BranchId,
    "Branch"
);
slug!(
    /// One box. Unique over all tenants: it is the certificate's common name and stands in every topic.
    DeviceId,
    "Device"
);
slug!(
    /// One cash drawer of a branch, with its own sessions and receipt numbers.
    TillId,
    "Till"
);
slug!(
    /// One article of the chain's catalogue. It may carry several GTINs.
    ProductId,
    "Product"
);
slug!(
    /// One person who signs in at a counter.
    StaffId,
    "Staff member"
);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id!(
    /// One fact. The centre applies each at most once.
    FactId
);
uuid_id!(
    /// What a person does in one go (a sale). The page makes it, so that a repeat after a crash is recognised.
    ActId
);
uuid_id!(
    /// One cash session of a till, from its opening to its count.
    SessionId
);
uuid_id!(
    /// One life of a box's store; drawn when the store is created.
    StoreId
);
uuid_id!(
    /// One connection of a device, from birth to death.
    ConnectionId
);
uuid_id!(
    /// One person with personal fields: a patient. All that a fact says of them in the clear (invariant I11).
    PersonId
);
uuid_id!(
    /// One batch of facts on its way.
    BatchId
);
uuid_id!(
    /// What one running process of a box asks of a person; drawn when the process begins, so that no copy of its disk has it.
    AppealId
);
uuid_id!(
    /// One order of the centre. A branch carries each out at most once.
    OrderId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_takes_what_is_safe_in_a_topic_and_nothing_else() {
        for good in ["a", "north-street", "7", "x-", &"a".repeat(SLUG_LENGTH_MAX)] {
            assert_eq!(good.parse::<BranchId>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "A", "a b", "a/b", "a+", "#", "ä", "a_b", &"a".repeat(SLUG_LENGTH_MAX + 1)] {
            assert!(bad.parse::<BranchId>().is_err(), "{bad:?}");
            assert!(serde_json::from_value::<BranchId>(bad.into()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_bad_slug_says_what_to_write_instead() {
        let said = "North St".parse::<BranchId>().unwrap_err().to_string();
        assert_eq!(
            said,
            "Branch \"North St\" is not usable: write 1 to 40 characters of a-z, 0-9 and -, starting with a letter or digit"
        );
    }
}
