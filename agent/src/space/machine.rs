//! What follows from the room on the disk. Pure: `handle(now, reading)` returns the effects.
//!
//! ```text
//! Plenty => Low | Shedding | Full      at once
//! Full   => Shedding | Low | Plenty    with a quarter more room than the border, so that nothing flickers
//! ```

use super::{Level, Space, trend::Trend};

const MIB: u64 = 1024 * 1024;

/// Less than this is said, however much it is: a person needs some days to act.
const DAYS_LOW: u32 = 14;
/// And it is said until there is for so many.
const DAYS_AGAIN: u32 = 21;

/// Where the levels begin, in bytes that are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Below it: Low.
    pub low: u64,
    /// Below it: Shedding.
    pub shedding: u64,
    /// Below it: Full.
    pub full: u64,
    /// Size of the reserve.
    pub reserve: u64,
}

impl Default for Budget {
    /// For a disk of some gigabytes: what 90 days without the centre take is in docs/operations.md.
    fn default() -> Self {
        Self { low: 512 * MIB, shedding: 192 * MIB, full: 64 * MIB, reserve: 32 * MIB }
    }
}

impl Budget {
    /// For a disk of `total` bytes: on a small one no border lies above its share.
    fn on(self, total: u64) -> Self {
        Self {
            low: self.low.min(total / 5),
            shedding: self.shedding.min(total / 10),
            full: self.full.min(total / 20),
            reserve: self.reserve.min(total / 40),
        }
    }

    fn level(self, free: u64) -> Level {
        match free {
            free if free < self.full => Level::Full,
            free if free < self.shedding => Level::Shedding,
            free if free < self.low => Level::Low,
            _ => Level::Plenty,
        }
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Bytes that the box may still write (`f_bavail`).
    pub free: u64,
    /// Bytes of the file system.
    pub total: u64,
    /// Bytes of the reserve that are there.
    pub reserve: u64,
    /// The last thing that the journal was to record failed for want of room.
    pub no_room: bool,
}

/// What the shell is to do, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Give up the reserve.
    ReleaseReserve,
    /// Make the reserve, of so many bytes.
    MakeReserve(u64),
    /// Let go of what may go.
    Prune,
    /// Tell the counter.
    Tell(Space),
}

/// See the module's text.
#[derive(Debug, Clone)]
pub struct Machine {
    budget: Budget,
    level: Level,
    trend: Trend,
    /// It was said that it lasts for a few days only.
    few_days: bool,
    told: Option<Space>,
}

impl Machine {
    /// Before the first reading.
    pub fn new(budget: Budget) -> Self {
        Self { budget, level: Level::Plenty, trend: Trend::default(), few_days: false, told: None }
    }

    /// What follows from a reading (`now_ms` is monotonic).
    pub fn handle(&mut self, now_ms: u64, reading: Reading) -> Vec<Effect> {
        let budget = self.budget.on(reading.total);
        // The reserve is no room to work in, whether it is there or not; what is given up counts as used up.
        self.trend.note(now_ms, reading.free + reading.reserve);
        let days_left = self.trend.days(reading.free.saturating_sub(budget.full));
        let level = self.next_level(budget, &reading, days_left);
        let mut effects = Vec::new();
        let holds = reading.reserve >= budget.reserve && reading.reserve > 0;
        // What is left is hardly enough for the next generation of the journal.
        let is_at_end = reading.no_room || reading.free < budget.full / 4;
        if level == Level::Full && is_at_end && reading.reserve > 0 {
            effects.push(Effect::ReleaseReserve);
        } else if !holds && !is_at_end && reading.free >= budget.full + budget.reserve && budget.reserve > 0 {
            effects.push(Effect::MakeReserve(budget.reserve));
        }
        if level > self.level {
            effects.push(Effect::Prune);
        }
        self.level = level;
        let reserve = match effects.first() {
            Some(Effect::ReleaseReserve) => false,
            Some(Effect::MakeReserve(_)) => true,
            _ => reading.reserve > 0,
        };
        let takes_nothing = reading.no_room;
        let space = Space { level, free_mib: reading.free / MIB, days_left, reserve, takes_nothing };
        if self.told.is_none_or(|told| is_news(&told, &space)) {
            self.told = Some(space);
            effects.push(Effect::Tell(space));
        }
        effects
    }

    fn next_level(&mut self, budget: Budget, reading: &Reading, days_left: Option<u32>) -> Level {
        let few = days_left.is_some_and(|days| days < if self.few_days { DAYS_AGAIN } else { DAYS_LOW });
        self.few_days = few;
        let least = if few { Level::Low } else { Level::Plenty };
        if reading.no_room {
            return Level::Full;
        }
        let worse = budget.level(reading.free).max(least);
        // As if there were a fifth less: a quarter more than each border is needed to leave it.
        let better = budget.level(reading.free / 5 * 4).max(least);
        if worse > self.level { worse } else { better.min(self.level) }
    }
}

/// Each step is news; and while there is little, each tenth and each day.
fn is_news(told: &Space, space: &Space) -> bool {
    let (level, reserve) = (told.level != space.level, told.reserve != space.reserve);
    let takes = told.takes_nothing != space.takes_nothing;
    let moved =
        told.free_mib.abs_diff(space.free_mib) > told.free_mib / 10 || told.days_left != space.days_left;
    level || reserve || takes || moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOTAL: u64 = 16 * 1024 * MIB;

    fn reading(free_mib: u64, reserve_mib: u64) -> Reading {
        Reading { free: free_mib * MIB, total: TOTAL, reserve: reserve_mib * MIB, no_room: false }
    }

    fn told(effects: &[Effect]) -> Option<Level> {
        effects.iter().find_map(|effect| match effect {
            Effect::Tell(space) => Some(space.level),
            _ => None,
        })
    }

    #[test]
    fn each_level_begins_at_its_border_and_ends_with_a_quarter_more() {
        let mut machine = Machine::new(Budget::default());
        let mut check = |free_mib, expected| {
            machine.handle(0, reading(free_mib, 32));
            assert_eq!(machine.level, expected, "{free_mib} MiB");
        };
        check(4_000, Level::Plenty);
        check(512, Level::Plenty);
        check(511, Level::Low);
        check(600, Level::Low);
        check(641, Level::Plenty);
        check(191, Level::Shedding);
        check(239, Level::Shedding);
        check(241, Level::Low);
        check(63, Level::Full);
        check(79, Level::Full);
        check(81, Level::Shedding);
        check(10, Level::Full);
        check(4_000, Level::Plenty);
    }

    #[test]
    fn when_it_gets_worse_what_may_go_goes_at_once() {
        let mut machine = Machine::new(Budget::default());
        assert!(!machine.handle(0, reading(4_000, 32)).contains(&Effect::Prune));
        for free_mib in [500, 100, 20] {
            assert!(machine.handle(0, reading(free_mib, 32)).contains(&Effect::Prune));
        }
        assert!(!machine.handle(0, reading(20, 32)).contains(&Effect::Prune));
    }

    #[test]
    fn the_reserve_is_made_while_there_is_room_given_up_at_the_end_and_made_again() {
        let mut machine = Machine::new(Budget::default());
        let first = |effects: Vec<Effect>| effects.first().copied();
        let anew = Effect::MakeReserve(32 * MIB);
        let make = Some(anew);
        assert_eq!(first(machine.handle(0, reading(4_000, 0))), make);
        assert_eq!(first(machine.handle(0, reading(3_968, 32))).filter(|one| make == Some(*one)), None);
        assert_ne!(
            first(machine.handle(0, reading(40, 32))),
            Some(Effect::ReleaseReserve),
            "still some room"
        );
        assert_eq!(first(machine.handle(0, reading(15, 32))), Some(Effect::ReleaseReserve));
        assert!(!machine.handle(0, reading(47, 0)).contains(&anew), "it would be full again");
        assert_eq!(first(machine.handle(0, reading(96, 0))), make);
        // Half a reserve is none: the power went while it was made.
        assert_eq!(first(machine.handle(0, reading(96, 16))), make);
    }

    #[test]
    fn a_disk_that_takes_nothing_is_full_whatever_it_says() {
        let mut machine = Machine::new(Budget::default());
        machine.handle(0, reading(4_000, 32));
        let effects = machine.handle(1, Reading { no_room: true, ..reading(4_000, 32) });
        assert_eq!(effects[0], Effect::ReleaseReserve);
        assert_eq!(told(&effects), Some(Level::Full));
        assert_eq!(told(&machine.handle(2, reading(4_000, 0))), Some(Level::Plenty));
    }

    #[test]
    fn a_large_room_that_gets_less_quickly_is_said_in_time() {
        let mut machine = Machine::new(Budget::default());
        let mut levels = Vec::new();
        // 100 MiB an hour of 8 GiB: three days.
        for hour in 0..8u64 {
            machine.handle(hour * 3_600_000, reading(8_000 - 100 * hour, 32));
            levels.push(machine.level);
        }
        assert_eq!((levels[0], levels[7]), (Level::Plenty, Level::Low));
        assert_eq!(machine.told.unwrap().days_left, Some(3));
    }

    #[test]
    fn on_a_small_disk_the_borders_are_its_shares() {
        let mut machine = Machine::new(Budget::default());
        let total = 400 * MIB;
        let mut level = |free_mib| {
            machine.handle(0, Reading { free: free_mib * MIB, total, reserve: 10 * MIB, no_room: false });
            machine.level
        };
        assert_eq!(level(300), Level::Plenty);
        assert_eq!(level(79), Level::Low);
        assert_eq!(level(39), Level::Shedding);
        assert_eq!(level(19), Level::Full);
    }

    proptest! {
        #[test]
        fn full_is_never_missed_and_never_without_reason(free in proptest::collection::vec(0u64..1_000, 1..50)) {
            let mut machine = Machine::new(Budget::default());
            for free_mib in free {
                machine.handle(0, reading(free_mib, 32));
                prop_assert!(free_mib >= 64 || machine.level == Level::Full);
                prop_assert!(free_mib <= 80 || machine.level < Level::Full);
                prop_assert_eq!(machine.told.unwrap().level, machine.level, "each step is told");
            }
        }
    }
}
