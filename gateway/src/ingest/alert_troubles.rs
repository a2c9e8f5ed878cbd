//! Which facts begin a trouble that is urgent, and which end it: a name that both have. Pure.

use pestle_domain::fact::FactBody;

/// What a fact does to a trouble of its box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It goes on from now.
    Begins(String),
    /// It is over.
    Ends(String),
}

/// `None` for what neither begins nor ends one: a refused order or a locked name goes on until a person has dealt with it.
pub(super) fn of(body: &FactBody) -> Option<Trouble> {
    let (name, is_over) = match body {
        FactBody::PlaceChanged(changed) => {
            (format!("{} in {}", changed.trouble, changed.place), &*changed.state == "ended")
        }
        FactBody::InputChanged(changed) if &*changed.kind == "power" => {
            (format!("power at {}", changed.input), &*changed.state == "here")
        }
        FactBody::BoxSpaceLow(_) => ("space".to_owned(), !body.is_urgent()),
        _ => return None,
    };
    match (body.is_urgent(), is_over) {
        (true, _) => Some(Trouble::Begins(name)),
        (false, true) => Some(Trouble::Ends(name)),
        // A contact that cannot be read ends nothing.
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use pestle_domain::fact::{BoxSpaceLow, InputChanged, PlaceChanged, StaffDenied};

    use super::*;

    fn check(body: impl Into<FactBody>, expected: Option<Trouble>) {
        let body = body.into();
        assert_eq!(of(&body), expected, "{body:?}");
    }

    #[test]
    fn what_is_urgent_begins_a_trouble_and_its_own_end_alone_ends_it() {
        let place = |trouble: &str, state: &str| PlaceChanged {
            place: "vaccines".into(),
            trouble: trouble.into(),
            state: state.into(),
            detail: "".into(),
        };
        check(place("too_warm", "began"), Some(Trouble::Begins("too_warm in vaccines".into())));
        check(place("too_warm", "ended"), Some(Trouble::Ends("too_warm in vaccines".into())));
        check(place("too_cold", "ended"), Some(Trouble::Ends("too_cold in vaccines".into())));
        check(place("fell_back", "began"), None);
        let power = |state: &str| InputChanged {
            input: "mains".into(),
            kind: "power".into(),
            state: state.into(),
            reason: None,
        };
        check(power("away"), Some(Trouble::Begins("power at mains".into())));
        check(power("here"), Some(Trouble::Ends("power at mains".into())));
        check(power("unknown"), None);
        let space = |level: &str| BoxSpaceLow { level: level.into(), free_mib: 1, days_left: None };
        check(space("full"), Some(Trouble::Begins("space".into())));
        check(space("low"), Some(Trouble::Ends("space".into())));
        let (staff, till) = ("anna".parse().unwrap(), "till-1".parse().unwrap());
        check(StaffDenied { staff, till, reason: "locked".into() }, None);
    }
}
