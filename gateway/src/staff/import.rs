//! Reads staff from CSV, purely:
//!
//! ```text
//! id,name,role,pin,branches,valid_until
//! ada,Ada,assistant,2468,,
//! tom,Tom,technician,1357,north south,2027-06-30
//! ```
//!
//! `branches` holds names separated by spaces; empty means every branch. `valid_until` may be empty. PINs are hashed
//! before anything is stored; the file should be deleted afterwards.

use std::collections::HashMap;

use pestle_domain::{
    ids::{BranchId, StaffId},
    staff::{PIN_LENGTH_MAX, PIN_LENGTH_MIN, Role},
    units::Day,
};
use serde::Deserialize;

use crate::catalogue::import::{LineError, read};

/// Somebody to be imported.
#[derive(Clone, PartialEq, Eq)]
pub struct NewMember {
    /// Their short name.
    pub id: StaffId,
    /// As the counter greets them.
    pub name: String,
    /// What they are.
    pub role: Role,
    /// What they type; hashed before it is stored.
    pub pin: String,
    /// Where; empty means everywhere.
    pub branches: Vec<BranchId>,
    /// Last day.
    pub valid_until: Option<Day>,
}

impl std::fmt::Debug for NewMember {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("NewMember")
            .field("id", &self.id)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    name: String,
    role: String,
    pin: String,
    branches: String,
    valid_until: String,
}

/// Reads the file.
///
/// # Errors
/// Every [`LineError`], in order; none of them says a PIN.
pub fn members(csv: &[u8]) -> Result<Vec<NewMember>, Vec<LineError>> {
    let mut seen: HashMap<StaffId, u64> = HashMap::new();
    read(csv, |line: Line, number| {
        let member = member(&line)?;
        match seen.insert(member.id.clone(), number) {
            None => Ok(member),
            Some(first) => Err(format!("{} stands in line {first} already", member.id)),
        }
    })
}

fn member(line: &Line) -> Result<NewMember, String> {
    let role: Role = line.role.parse().map_err(|error| format!("role: {error}"))?;
    let name_length = line.name.chars().count();
    if !(1..=60).contains(&name_length) || line.name.chars().any(char::is_control) {
        return Err("name: write 1 to 60 printable characters".into());
    }
    let pin_good = (PIN_LENGTH_MIN..=PIN_LENGTH_MAX).contains(&line.pin.len())
        && line.pin.bytes().all(|byte| byte.is_ascii_digit());
    if !pin_good {
        return Err(format!("pin: write {PIN_LENGTH_MIN} to {PIN_LENGTH_MAX} digits"));
    }
    let valid_until = match line.valid_until.as_str() {
        "" => None,
        day => Some(day.parse().map_err(|error| format!("valid_until: {error}"))?),
    };
    Ok(NewMember {
        id: line.id.parse().map_err(|error| format!("id: {error}"))?,
        name: line.name.clone(),
        role,
        pin: line.pin.clone(),
        branches: line
            .branches
            .split_whitespace()
            .map(|branch| branch.parse().map_err(|error| format!("branches: {error}")))
            .collect::<Result<_, _>>()?,
        valid_until,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_read_with_where_and_how_long() {
        let csv = b"id,name,role,pin,branches,valid_until\nada,Ada,assistant,2468,,\ntom,Tom,technician,1357,north south,2027-06-30\n";
        let read = members(csv).unwrap();
        assert!(read[0].branches.is_empty() && read[0].valid_until.is_none());
        assert_eq!(read[1].branches.len(), 2);
    }

    #[test]
    fn no_error_and_no_debug_output_says_a_pin() {
        let csv = b"id,name,role,pin,branches,valid_until\nada,Ada,boss,2468,,\nada,Ada,manager,24x68,,\n";
        let errors = members(csv).unwrap_err();
        assert_eq!(errors.len(), 2);
        assert!(!format!("{errors:?}").contains("68"));
        let csv = b"id,name,role,pin,branches,valid_until\nada,Ada,manager,2468,,\n";
        assert!(!format!("{:?}", members(csv).unwrap()).contains("2468"));
    }
}
