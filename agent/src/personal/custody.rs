//! What is to be asked of the centre about keys, and what follows from its word. Pure: time comes in.

use std::collections::BTreeSet;

use pestle_domain::{
    ids::PersonId,
    personal::{
        PersonKey,
        custody::{CustodyState, Held},
    },
    units::UnixMillis,
};

use super::kept::{Kept, State};

/// What has to be done about the keys that are here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// To be deposited.
    pub deposit: Vec<PersonKey>,
    /// To be asked about.
    pub ask: Vec<Held>,
    /// To be dropped, once the centre was asked or cannot be: their lease is over.
    pub over: Vec<PersonId>,
}

/// Sorts the keys by what is to be done about them. One whose lease is over is asked about like the others before it goes: a
/// centre that was restored to before its deposit wants it again. Of `damaged` ones the centre is asked for the key.
pub fn due<'k>(
    kept: impl Iterator<Item = &'k Kept>,
    damaged: &BTreeSet<PersonId>,
    used: &BTreeSet<PersonId>,
    now: UnixMillis,
) -> Due {
    let mut due = Due::default();
    due.ask.extend(damaged.iter().map(|&person| Held { person, used: false }));
    for one in kept {
        let person = one.key.person;
        match one.state {
            State::Waiting => due.deposit.push(one.key.clone()),
            State::Refused => {}
            State::Leased { until } => {
                due.ask.push(Held { person, used: used.contains(&person) });
                if until <= now {
                    due.over.push(person);
                }
            }
        }
    }
    due
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It stays, so.
    Keep(State),
    /// Its person was erased: it goes.
    Drop,
}

/// What follows from the centre's word on a key.
pub fn settle(said: CustodyState) -> Next {
    match said {
        // Waiting | Leased => Leased
        CustodyState::Leased { until } => Next::Keep(State::Leased { until }),
        // Leased => Waiting: the centre's database is from before the deposit.
        CustodyState::Unknown => Next::Keep(State::Waiting),
        // Waiting => Refused
        CustodyState::Contradicts => Next::Keep(State::Refused),
        // Waiting | Leased => gone
        CustodyState::Erased => Next::Drop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_domain::personal::SecretKey;
    use uuid::Uuid;

    fn kept(byte: u8, state: State) -> Kept {
        let person = PersonId(Uuid::from_bytes([byte; 16]));
        Kept { key: PersonKey { person, generation: 1, secret: SecretKey::from_bytes(&[byte; 32]) }, state }
    }

    #[test]
    fn what_waits_is_deposited_what_is_lent_is_asked_about_and_only_what_is_over_is_dropped() {
        let lent = |until| State::Leased { until: UnixMillis(until) };
        let keys = [
            kept(1, State::Waiting),
            kept(2, lent(101)),
            kept(3, lent(100)),
            kept(4, State::Refused),
            kept(5, lent(900)),
        ];
        let id = |byte: usize| keys[byte - 1].key.person;
        let damaged = PersonId(Uuid::from_bytes([6; 16]));
        let due = due(keys.iter(), &BTreeSet::from([damaged]), &BTreeSet::from([id(5)]), UnixMillis(100));
        assert_eq!(due.deposit, [keys[0].key.clone()]);
        let asked: Vec<_> = due.ask.iter().map(|held| (held.person, held.used)).collect();
        assert_eq!(asked, [(damaged, false), (id(2), false), (id(3), false), (id(5), true)]);
        assert_eq!(due.over, [id(3)]);
    }

    #[test]
    fn a_key_goes_when_its_person_was_erased_and_waits_again_when_the_centre_lost_it() {
        let until = UnixMillis(7);
        assert_eq!(settle(CustodyState::Leased { until }), Next::Keep(State::Leased { until }));
        assert_eq!(settle(CustodyState::Unknown), Next::Keep(State::Waiting));
        assert_eq!(settle(CustodyState::Contradicts), Next::Keep(State::Refused));
        assert_eq!(settle(CustodyState::Erased), Next::Drop);
    }
}
