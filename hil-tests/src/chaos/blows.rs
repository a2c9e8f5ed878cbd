//! Who is hit, and when. Pure: it follows from the seed.

use std::time::Duration;

use crate::{seeded::Seeded, world::Brokered};

/// What can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// The agent of a branch, counted as the world counts them.
    Agent(usize),
    /// The gateway that runs PostgreSQL, and the broker where that is built in.
    FirstGateway,
    /// The other one, which shares both.
    SecondGateway,
    /// PostgreSQL alone.
    Database,
    /// Mosquitto.
    Broker,
}

/// One kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blow {
    /// Of whom.
    pub victim: Victim,
    /// After so long in the round.
    pub after: Duration,
    /// And started again after so long.
    pub down: Duration,
}

/// Long enough for batches to be anywhere between a till and the database.
const AFTER_MS_MAX: u64 = 800;
/// Some come back at once, some when the others have noticed.
const DOWN_MS_MAX: u64 = 700;

/// One to three blows against different victims.
pub fn of(seeded: &mut Seeded, brokered: Brokered) -> Vec<Blow> {
    let mut all = vec![
        Victim::Agent(0),
        Victim::Agent(1),
        Victim::FirstGateway,
        Victim::SecondGateway,
        Victim::Database,
    ];
    if brokered == Brokered::ByMosquitto {
        all.push(Victim::Broker);
    }
    let count = 1 + seeded.index(3);
    let mut blows: Vec<Blow> = (0..count)
        .map(|_| Blow {
            victim: all.swap_remove(seeded.index(all.len())),
            after: Duration::from_millis(seeded.below(AFTER_MS_MAX)),
            down: Duration::from_millis(seeded.below(DOWN_MS_MAX)),
        })
        .collect();
    blows.sort_by_key(|blow| blow.after);
    blows
}

/// `first gateway after 30 ms, agent 1 after 400 ms`.
pub fn in_words(blows: &[Blow]) -> String {
    let word = |blow: &Blow| {
        let who = match blow.victim {
            Victim::Agent(number) => format!("agent {number}"),
            Victim::FirstGateway => "first gateway".to_owned(),
            Victim::SecondGateway => "second gateway".to_owned(),
            Victim::Database => "PostgreSQL".to_owned(),
            Victim::Broker => "Mosquitto".to_owned(),
        };
        format!("{who} at {} ms for {} ms", blow.after.as_millis(), blow.down.as_millis())
    };
    blows.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_round_hits_one_to_three_and_over_many_rounds_everybody_is_hit() {
        for (brokered, victims) in [(Brokered::ByTheGateway, 5), (Brokered::ByMosquitto, 6)] {
            let mut hit = BTreeSet::new();
            for round in 0..200 {
                let blows = of(&mut Seeded::of(1, round), brokered);
                let names: BTreeSet<_> = blows.iter().map(|blow| blow.victim).collect();
                assert!((1..=3).contains(&blows.len()) && names.len() == blows.len(), "{blows:?}");
                assert_eq!(blows, of(&mut Seeded::of(1, round), brokered), "the seed decides");
                hit.extend(names);
            }
            assert_eq!(hit.len(), victims);
        }
    }
}
