//! People at the counter: who they are, what they may do, and how often a PIN may be tried.

use serde::{Deserialize, Serialize};

use crate::{ids::StaffId, units::Day};

/// Shortest PIN, in digits.
pub const PIN_LENGTH_MIN: usize = 4;
/// Longest PIN, in digits.
pub const PIN_LENGTH_MAX: usize = 8;

/// What somebody is. The centre's roles; at a counter the first four serve, and the field technician mends devices. The others
/// may do nothing there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sells.
    Assistant,
    /// Sells, receives stock, prepares.
    Technician,
    /// Verifies and dispenses.
    Pharmacist,
    /// Reports, approvals, reconciliation.
    Manager,
    /// Brings boxes to life.
    FieldTech,
    /// Looks after all boxes.
    CentralIt,
    /// Everything at the centre.
    Admin,
}

impl Role {
    /// All, in order.
    pub const ALL: [Self; 7] = [
        Self::Assistant,
        Self::Technician,
        Self::Pharmacist,
        Self::Manager,
        Self::FieldTech,
        Self::CentralIt,
        Self::Admin,
    ];

    /// As it stands in JSON and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Assistant => "assistant",
            Self::Technician => "technician",
            Self::Pharmacist => "pharmacist",
            Self::Manager => "manager",
            Self::FieldTech => "field_tech",
            Self::CentralIt => "central_it",
            Self::Admin => "admin",
        }
    }

    /// Whether this role may do that at a counter.
    pub fn may(self, permission: Permission) -> bool {
        match permission {
            Permission::Sell | Permission::OpenTill => {
                matches!(self, Self::Assistant | Self::Technician | Self::Pharmacist | Self::Manager)
            }
            // Whoever stands at the till with a scanner that was exchanged mends it, and whoever is sent for that.
            Permission::MendDevices => self.may(Permission::Sell) || self == Self::FieldTech,
            // Who mends a printer sees what lies in it.
            Permission::AnswerPrints => self.may(Permission::MendDevices),
            Permission::CloseTill | Permission::KeepPatients => {
                matches!(self, Self::Technician | Self::Pharmacist | Self::Manager)
            }
            Permission::OpenDrawer => matches!(self, Self::Pharmacist | Self::Manager),
            Permission::MoveCash => matches!(self, Self::Manager),
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|role| role.as_str()).collect();
            format!("\"{text}\" is no role: write one of {}", known.join(", "))
        })
    }
}

/// What is done at a counter and asks for a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Scan, sell, take money.
    Sell,
    /// Begin a cash session.
    OpenTill,
    /// Count and end a cash session.
    CloseTill,
    /// Open the drawer without a sale.
    OpenDrawer,
    /// Put cash in or take it out without a sale.
    MoveCash,
    /// Register patients and amend what is known of them.
    KeepPatients,
    /// Try devices, have scanners learn, and say which device is which.
    MendDevices,
    /// Say what became of papers whose end is not known, or that wait.
    AnswerPrints,
}

impl Permission {
    /// All, in order.
    pub const ALL: [Self; 8] = [
        Self::Sell,
        Self::OpenTill,
        Self::CloseTill,
        Self::OpenDrawer,
        Self::MoveCash,
        Self::KeepPatients,
        Self::MendDevices,
        Self::AnswerPrints,
    ];
}

/// One person, as a snapshot carries them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Their number or short name.
    pub id: StaffId,
    /// As the counter greets them.
    pub name: Box<str>,
    /// What they are.
    pub role: Role,
    /// argon2id verifier of the PIN, as a PHC string.
    pub pin_verifier: Box<str>,
    /// Last day on which this entry may be used without hearing from the centre.
    pub valid_until: Option<Day>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Member")
            .field("id", &self.id)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// How often a PIN may be tried: after [`PinThrottle::FREE_TRIES`] wrong ones each further one waits, twice as long
/// as the one before, up to [`PinThrottle::WAIT_MS_MAX`]. One per person; a right PIN clears it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PinThrottle {
    wrong: u32,
    locked_until_ms: u64,
}

impl PinThrottle {
    /// Wrong PINs that cost nothing: people mistype.
    pub const FREE_TRIES: u32 = 3;
    /// First wait.
    pub const WAIT_MS_FIRST: u64 = 5_000;
    /// Longest wait: a person who forgot waits no longer than this, and a machine that guesses 4 digits needs
    /// more than five days on average.
    pub const WAIT_MS_MAX: u64 = 120_000;

    /// May a PIN be tried at `now_ms` (monotonic)?
    ///
    /// # Errors
    /// How many milliseconds to wait.
    pub fn check(&self, now_ms: u64) -> Result<(), u64> {
        if now_ms < self.locked_until_ms { Err(self.locked_until_ms - now_ms) } else { Ok(()) }
    }

    /// A PIN was wrong.
    pub fn wrong(&mut self, now_ms: u64) {
        self.wrong = self.wrong.saturating_add(1);
        if let Some(doublings) = self.wrong.checked_sub(Self::FREE_TRIES) {
            let wait = Self::WAIT_MS_FIRST.saturating_mul(1 << doublings.min(20)).min(Self::WAIT_MS_MAX);
            self.locked_until_ms = now_ms.saturating_add(wait);
        }
    }

    /// A PIN was right.
    pub fn right(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_at_a_counter_what_this_table_says_and_nothing_else() {
        use Permission::{
            AnswerPrints, CloseTill, KeepPatients, MendDevices, MoveCash, OpenDrawer, OpenTill, Sell,
        };
        let serves = [Sell, OpenTill, MendDevices, AnswerPrints];
        let table: [(Role, &[Permission]); 7] = [
            (Role::Assistant, &serves),
            (Role::Technician, &[serves.as_slice(), &[CloseTill, KeepPatients]].concat()),
            (Role::Pharmacist, &[serves.as_slice(), &[CloseTill, KeepPatients, OpenDrawer]].concat()),
            (Role::Manager, &[serves.as_slice(), &[CloseTill, KeepPatients, OpenDrawer, MoveCash]].concat()),
            (Role::FieldTech, &[MendDevices, AnswerPrints]),
            (Role::CentralIt, &[]),
            (Role::Admin, &[]),
        ];
        assert_eq!(table.map(|(role, _)| role), Role::ALL);
        for (role, may) in table {
            for permission in Permission::ALL {
                assert_eq!(role.may(permission), may.contains(&permission), "{role:?} {permission:?}");
            }
        }
    }

    #[test]
    fn wrong_pins_wait_longer_and_longer_and_a_right_one_clears() {
        let mut throttle = PinThrottle::default();
        for _ in 0..2 {
            throttle.wrong(0);
            assert_eq!(throttle.check(0), Ok(()));
        }
        throttle.wrong(1_000);
        assert_eq!(throttle.check(1_000), Err(5_000));
        assert_eq!(throttle.check(6_000), Ok(()));
        throttle.wrong(6_000);
        assert_eq!(throttle.check(6_000), Err(10_000));
        for _ in 0..100 {
            throttle.wrong(20_000);
        }
        assert_eq!(throttle.check(20_000), Err(PinThrottle::WAIT_MS_MAX));
        throttle.right();
        assert_eq!(throttle.check(20_000), Ok(()));
    }

    #[test]
    fn no_debug_output_shows_a_verifier() {
        let member = Member {
            id: "anna".parse().unwrap(),
            name: "Anna".into(),
            role: Role::Assistant,
            pin_verifier: "$argon2id$secret".into(),
            valid_until: None,
        };
        assert!(!format!("{member:?}").contains("secret"));
    }
}
