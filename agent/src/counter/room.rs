//! What the counter does when the disk has little room, or is slow (invariant I5). Pure.
//!
//! Readings are shed first: shown, counted and reported, not recorded. At the end no new business begins, while a basket that
//! was begun can be paid, what waits is printed, tills are closed and people sign out.

use pestle_domain::{
    fact::{Actor, BoxShed, BoxSpaceLow, Fact, FactBody},
    ids::TillId,
    journal::Lane,
    units::UnixMillis,
};

use super::{
    command::{CashWay, Refused, Why},
    counters::Count,
    live::{Asked, Tone},
    machine::{Branch, Effect, Now},
    records::PrintIntent,
    under_way::Purpose,
};
use crate::{
    journal::NOT_RECORDED,
    space::{Level, Space, task::FULL},
};

/// What was shed is reported this often, so that a power cut takes no more than this from the count.
const SHED_REPORT_MS: u64 = 15 * 60 * 1_000;
/// A level that could not be recorded is tried again after this: the first that is recorded shows that the disk is well again.
const AGAIN_MS: u64 = 10_000;
/// An act that is on its way to the disk for so long is said to be: most take some milliseconds.
const SLOW_MS: u64 = 1_500;

/// The room on the disk, as the counter knows it.
#[derive(Debug, Default)]
pub(super) struct Room {
    space: Space,
    /// What the last fact said of it.
    recorded: Level,
    /// The fact of a level was tried (monotonic); `None` when none is on its way or was refused.
    tried_ms: Option<u64>,
    shed: Option<Shed>,
}

/// Readings that were not recorded.
#[derive(Debug, Clone, Copy)]
struct Shed {
    facts: u64,
    from: UnixMillis,
    to: UnixMillis,
    /// Since the first of them (monotonic).
    since_ms: u64,
}

impl Branch {
    /// The disk has more or less room.
    pub(super) fn space_changed(&mut self, now: &mut Now<'_>, space: Space, out: &mut Vec<Effect>) {
        self.room.space = space;
        if space.level < Level::Shedding {
            self.report_shed(now, out);
        }
        self.record_level(now, out);
        out.push(Effect::ShowAll);
    }

    /// Tries again what could not be recorded, reports what was shed, and says what is slow.
    pub(super) fn look_at_room(&mut self, now: &mut Now<'_>, out: &mut Vec<Effect>) {
        if self.room.tried_ms.is_none_or(|tried| now.mono_ms.saturating_sub(tried) >= AGAIN_MS) {
            self.record_level(now, out);
        }
        let is_due = |shed: Shed| now.mono_ms.saturating_sub(shed.since_ms) >= SHED_REPORT_MS;
        if self.room.shed.is_some_and(is_due) {
            self.report_shed(now, out);
        }
        self.say_what_is_slow(now, out);
    }

    /// Whether a reading is to be recorded. One that is not is counted.
    pub(super) fn keeps_reading(&mut self, now: &Now<'_>, out: &mut Vec<Effect>) -> bool {
        if self.room.space.level < Level::Shedding {
            return true;
        }
        let at = now.stamp.wall_ms;
        let shed = self.room.shed.get_or_insert(Shed { facts: 0, from: at, to: at, since_ms: now.mono_ms });
        shed.facts += 1;
        shed.to = at;
        out.push(Effect::Count(Count::ReadingShed));
        false
    }

    /// Refuses what begins something new while the disk is full.
    pub(super) fn has_room(&self) -> Result<(), Refused> {
        if self.room.space.level < Level::Full {
            return Ok(());
        }
        Err(Refused::new(Why::Unavailable, format!("Not begun; {FULL}.")))
    }

    /// The same for a till's own act: what ends something may go on.
    pub(super) fn has_room_for(&self, asked: &Asked) -> Result<(), Refused> {
        match asked {
            Asked::Open { .. } | Asked::Move { way: CashWay::In, .. } | Asked::Patient(_) => self.has_room(),
            Asked::Pay { .. }
            | Asked::Close { .. }
            | Asked::Drawer
            | Asked::Move { way: CashWay::Out, .. } => Ok(()),
        }
    }

    /// Reports what was shed so far.
    pub(super) fn report_shed(&mut self, now: &mut Now<'_>, out: &mut Vec<Effect>) {
        if let Some(Shed { facts, from, to, .. }) = self.room.shed.take() {
            let act = pestle_domain::ids::ActId((now.draw)());
            let (body, intent) = (BoxShed { facts, from, to }.into(), PrintIntent { print: false });
            self.append(now, act, Lane::Ledger, &Actor::Machine, vec![body], intent, Purpose::Shed, out);
        }
    }

    /// The report of what was shed is on the disk, or is known not to be: then it is a part of the next.
    pub(super) fn shed_appended(&mut self, now: &Now<'_>, facts: &[Fact], result: &Result<(), String>) {
        let is_lost = result.as_ref().is_err_and(|why| why.starts_with(NOT_RECORDED));
        let reports = facts.iter().filter_map(|fact| match &fact.body {
            FactBody::BoxShed(report) if is_lost => Some(report),
            _ => None,
        });
        for BoxShed { facts, from, to } in reports {
            let later = self.room.shed.take();
            let (more, to) = later.map_or((0, *to), |later| (later.facts, later.to));
            self.room.shed = Some(Shed { facts: facts + more, from: *from, to, since_ms: now.mono_ms });
        }
    }

    fn record_level(&mut self, now: &mut Now<'_>, out: &mut Vec<Effect>) {
        let Space { level, free_mib, days_left, .. } = self.room.space;
        // What takes nothing is full until it takes something: what it says already is recorded again to find out.
        if level == self.room.recorded && !self.room.space.takes_nothing {
            return;
        }
        self.room.tried_ms = Some(now.mono_ms);
        let body = BoxSpaceLow { level: level.as_str().into(), free_mib, days_left }.into();
        let act = pestle_domain::ids::ActId((now.draw)());
        let intent = PrintIntent { print: false };
        self.append(now, act, Lane::Ledger, &Actor::Machine, vec![body], intent, Purpose::Level(level), out);
    }

    /// The fact of a level is on the disk, or is not.
    pub(super) fn level_appended(&mut self, level: Level, recorded: bool) {
        if recorded {
            self.room.recorded = level;
            if !self.room.space.takes_nothing {
                self.room.tried_ms = None;
            }
        }
    }

    /// A person who waits is told why, once an act: nothing is said to be recorded before it is.
    fn say_what_is_slow(&mut self, now: &Now<'_>, out: &mut Vec<Effect>) {
        let mut slow: Vec<TillId> = Vec::new();
        for under_way in self.under_way.values_mut() {
            if let Purpose::Till(till) = &under_way.purpose
                && !under_way.said_slow
                && now.mono_ms.saturating_sub(under_way.since_ms) >= SLOW_MS
            {
                under_way.said_slow = true;
                slow.push(till.clone());
            }
        }
        for till in slow {
            let text = "The box's disk is slow. This is being recorded and is not done yet: wait until this page says so.";
            self.tell(&till, Tone::Info, text, out);
            out.push(Effect::Count(Count::SlowCommit));
        }
    }
}
