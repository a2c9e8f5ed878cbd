//! Judging a claim code. Pure.

use pestle_domain::ids::{BranchId, DeviceId};
use time::{Duration, OffsetDateTime};

/// How long a claim may be used, unless its issuer says otherwise.
pub const LIFE_DEFAULT_HOURS: u32 = 72;
/// How long a claim may be used at most.
pub const LIFE_MAX_HOURS: u32 = 30 * 24;

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimState {
    /// Nobody has used it.
    Open {
        /// Last moment at which it may be used.
        expires_at: OffsetDateTime,
    },
    /// A box has used it.
    Used {
        /// Name of the key that the box has.
        key_id: String,
        /// Whether that box was revoked since.
        revoked: bool,
    },
}

/// What to do with a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Make the box the branch's.
    Enrol,
    /// The same box asks again: its answer was lost. Give the same.
    Repeat,
    /// Not with this code.
    Refuse(Refusal),
}

/// Why a code is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No claim has it.
    #[error("this claim code is not known: type it again as it was printed, or ask for a new one")]
    Unknown,
    /// Too late.
    #[error("this claim code has expired: ask for a new one")]
    Expired,
    /// By another box.
    #[error("this claim code was used by another box: ask for a new one")]
    Used,
    /// By this box, which was revoked since.
    #[error("the box that used this claim code was revoked: ask for a new one")]
    Revoked,
    /// Its key was admitted with another code.
    #[error("this box's key is known here already: let the box make another key, this claim code stays good")]
    KnownKey,
}

impl Refusal {
    /// For programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown_code",
            Self::Expired => "expired_code",
            Self::Used => "used_code",
            Self::Revoked => "revoked_box",
            Self::KnownKey => "known_key",
        }
    }
}

/// Judges a code that a box with the key `key_id` shows at `now`.
pub fn judge(claim: Option<&ClaimState>, key_id: &str, now: OffsetDateTime) -> Verdict {
    match claim {
        None => Verdict::Refuse(Refusal::Unknown),
        Some(ClaimState::Open { expires_at }) if now > *expires_at => Verdict::Refuse(Refusal::Expired),
        Some(ClaimState::Open { .. }) => Verdict::Enrol,
        Some(ClaimState::Used { key_id: used, .. }) if used != key_id => Verdict::Refuse(Refusal::Used),
        Some(ClaimState::Used { revoked: true, .. }) => Verdict::Refuse(Refusal::Revoked),
        Some(ClaimState::Used { .. }) => Verdict::Repeat,
    }
}

/// When a claim that is issued at `now` for `hours` expires. `None` for 0 or more than [`LIFE_MAX_HOURS`].
pub fn expiry(now: OffsetDateTime, hours: u32) -> Option<OffsetDateTime> {
    (1..=LIFE_MAX_HOURS).contains(&hours).then(|| now + Duration::hours(hours.into()))
}

/// The code as it is hashed: people's dashes, spaces and small letters do not count.
pub fn normalise(code: &str) -> String {
    code.chars()
        .filter(|character| !matches!(character, '-' | ' '))
        .map(|letter| letter.to_ascii_uppercase())
        .collect()
}

/// Names to try for the `term`-th box of `branch`: the plain one, then ones with `salt`, since a name is unique over
/// all chains. None is ever `gateway`: each ends with a number or the salt behind a dash.
pub fn device_names(branch: &BranchId, term: u32, salt: &str) -> impl Iterator<Item = DeviceId> {
    let short: String = branch.as_str().chars().take(24).collect();
    let short = short.trim_end_matches('-').to_owned();
    [format!("{short}-{term}"), format!("{short}-{term}-{salt}")]
        .into_iter()
        .filter_map(|name| name.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

    fn used(revoked: bool) -> ClaimState {
        ClaimState::Used { key_id: "mine".into(), revoked }
    }

    #[test]
    fn each_way_of_being_wrong_is_told_apart() {
        let open = ClaimState::Open { expires_at: NOW };
        assert_eq!(judge(None, "mine", NOW), Verdict::Refuse(Refusal::Unknown));
        assert_eq!(judge(Some(&open), "mine", NOW), Verdict::Enrol);
        assert_eq!(judge(Some(&open), "mine", NOW + Duration::seconds(1)), Verdict::Refuse(Refusal::Expired));
        assert_eq!(judge(Some(&used(false)), "other", NOW), Verdict::Refuse(Refusal::Used));
        assert_eq!(judge(Some(&used(true)), "mine", NOW), Verdict::Refuse(Refusal::Revoked));
    }

    #[test]
    fn a_box_whose_answer_was_lost_gets_it_again_even_after_the_expiry() {
        assert_eq!(judge(Some(&used(false)), "mine", NOW + Duration::days(400)), Verdict::Repeat);
    }

    #[test]
    fn a_box_is_named_after_its_branch_and_never_gateway() {
        let names: Vec<_> = device_names(&"gateway".parse().unwrap(), 2, "k7qm").map(String::from).collect();
        assert_eq!(names, ["gateway-2", "gateway-2-k7qm"]);
        let long = "a".repeat(23) + "-bbbbbbbbbbbbbbbb";
        assert_eq!(device_names(&long.parse().unwrap(), 4_000_000_000, "k7qm").count(), 2);
    }

    #[test]
    fn a_claim_lasts_an_hour_to_thirty_days() {
        assert_eq!(expiry(NOW, 0), None);
        assert_eq!(expiry(NOW, LIFE_MAX_HOURS + 1), None);
        assert_eq!(expiry(NOW, 1), Some(NOW + Duration::hours(1)));
    }
}
