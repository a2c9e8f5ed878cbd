//! Times without readings, with their reasons: recorded when they are over, and shown at the counter for some hours.

use std::collections::BTreeMap;

use pestle_domain::{
    fact::{ReadingMissed, Stamp},
    units::UnixMillis,
};
use pestle_drivers::sensor::{
    gap::{Cause, GapWatch, Hole, Record, Recorded},
    input::InputState,
};

use super::settings::Probe;

/// A gap is shown for so long after its end: whoever comes in the morning sees what happened in the night.
const SHOWN_MS: i64 = 12 * 3_600 * 1_000;

/// The times without readings of all probes.
#[derive(Debug, Clone, Default)]
pub struct Gaps {
    probes: BTreeMap<String, Kept>,
}

#[derive(Debug, Clone)]
struct Kept {
    watch: GapWatch,
    last: Option<ReadingMissed>,
}

/// A time without readings, for people: of all the probes that missed it for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Which probes.
    pub sensors: Vec<String>,
    /// When the first of them began.
    pub from: UnixMillis,
    /// When the last of them ended.
    pub to: UnixMillis,
    /// In words.
    pub cause: String,
}

impl Gaps {
    /// Of these probes; nothing is known of any yet.
    pub fn of(probes: &[Probe]) -> Self {
        let kept = |probe: &Probe| {
            let watch = GapWatch::new(probe.longest());
            (probe.sensor.to_string(), Kept { watch, last: None })
        };
        Self { probes: probes.iter().map(kept).collect() }
    }

    /// Takes in a record about a probe; the gaps that are over by it.
    pub fn take(&mut self, sensor: &str, at: &Stamp, what: Recorded) -> Vec<ReadingMissed> {
        let Some(kept) = self.probes.get_mut(sensor) else { return Vec::new() };
        let over = kept.watch.take(&Record { at: at.clone(), what });
        let missed: Vec<ReadingMissed> = over.into_iter().map(|hole| missed(sensor, hole)).collect();
        if let Some(last) = missed.last() {
            kept.last = Some(last.clone());
        }
        missed
    }

    /// The mains where these probes are stand so from now on.
    pub fn power(&mut self, sensors: &[&str], at: &Stamp, state: InputState) -> Vec<ReadingMissed> {
        sensors.iter().flat_map(|sensor| self.take(sensor, at, Recorded::Power(state))).collect()
    }

    /// Takes in a gap that was recorded before this start.
    pub fn remember(&mut self, missed: &ReadingMissed) {
        if let Some(kept) = self.probes.get_mut(&*missed.sensor) {
            kept.last = Some(missed.clone());
        }
    }

    /// The last gap of each probe that is still shown; what several probes missed together is one.
    pub fn shown(&self, now: UnixMillis) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = Vec::new();
        for (sensor, kept) in &self.probes {
            let Some(last) = &kept.last else { continue };
            if now.0.saturating_sub(last.to.0) > SHOWN_MS {
                continue;
            }
            let cause = words(last);
            let together = |gap: &&mut Gap| gap.cause == cause && gap.from <= last.to && last.from <= gap.to;
            match gaps.iter_mut().find(together) {
                Some(gap) => {
                    gap.sensors.push(sensor.clone());
                    gap.from = gap.from.min(last.from);
                    gap.to = gap.to.max(last.to);
                }
                None => {
                    gaps.push(Gap { sensors: vec![sensor.clone()], from: last.from, to: last.to, cause });
                }
            }
        }
        gaps
    }
}

fn missed(sensor: &str, hole: Hole) -> ReadingMissed {
    let cause = hole.cause.code().into();
    let reason = match hole.cause {
        Cause::SensorSilent(code) => Some(code),
        _ => None,
    };
    let lasted_ms = u64::try_from(hole.lasted.as_millis()).unwrap_or(u64::MAX);
    ReadingMissed { sensor: sensor.into(), from: hole.from, to: hole.to, lasted_ms, cause, reason }
}

fn words(missed: &ReadingMissed) -> String {
    match (&*missed.cause, &missed.reason) {
        ("box_off", _) => "the box was off".into(),
        ("not_asked", _) => "the agent was stopped, or its disk was full".into(),
        ("bus_away", _) => "the line to the sensors was away".into(),
        ("power_away", _) => "the mains were away".into(),
        (_, Some(reason)) => format!("the sensor told no temperature ({reason})"),
        (_, None) => "the sensor told no temperature".into(),
    }
}
