//! The cold places, at the counter: readings and contacts are recorded and shown, and a trouble that lasts is said and
//! sounded. What any of it means, [`crate::cold`] says.

use pestle_domain::{
    fact::{Actor, Fact, FactBody, PlaceChanged},
    ids::TillId,
    journal::Lane,
    units::UnixMillis,
};
use pestle_drivers::sensor::{Reading, calibration::Standing};

use super::{
    counters::Count,
    live::Tone,
    machine::{Branch, Effect, Now},
    shop::Shop,
    view::{ColdView, DeviceState, PlaceView, ReadingView},
};
use crate::cold::{alarm::Alarm, desk::PlaceNow, gaps::Gap};

impl Branch {
    /// What was recorded of the readings before this start.
    pub fn remember_readings(&mut self, facts: &[Fact]) {
        self.cold.remember(facts);
    }

    /// A probe was asked.
    pub(super) fn reading_came(
        &mut self,
        now: &mut Now<'_>,
        sensor: String,
        reading: Reading,
        out: &mut Vec<Effect>,
    ) {
        let stamp = self.stamp(now);
        let (missed, sampled) = self.cold.read(&stamp, &sensor, reading);
        // Few, and what tells of the readings that are not there: they are not shed.
        for gap in missed {
            self.append_plain(now, Lane::Telemetry, &Actor::Machine, vec![gap.into()], out);
        }
        if reading.is_err() {
            out.push(Effect::Count(Count::ReadingMissing));
        }
        if self.keeps_reading(now, out) {
            self.append_plain(now, Lane::Telemetry, &Actor::Machine, vec![sampled], out);
        }
        let view = ReadingView {
            place: self.cold.place_of(&sensor).map(str::to_owned),
            sensor: sensor.clone(),
            milli_celsius: reading.ok(),
            missing: reading.err().map(|why| why.to_string()),
            at: stamp.wall_ms,
        };
        self.readings.insert(sensor, view);
        self.look_at_the_cold(now, out);
        out.push(Effect::ShowAll);
    }

    /// A door, the mains or an alarm has changed, if that is what the fact says.
    pub(super) fn contact_changed(&mut self, now: &mut Now<'_>, fact: &FactBody, out: &mut Vec<Effect>) {
        let FactBody::InputChanged(changed) = fact else { return };
        let stamp = self.stamp(now);
        for gap in self.cold.contact(&stamp, changed) {
            self.append_plain(now, Lane::Telemetry, &Actor::Machine, vec![gap.into()], out);
        }
    }

    /// Records certificates that are new, and troubles that have lasted.
    pub(super) fn look_at_the_cold(&mut self, now: &mut Now<'_>, out: &mut Vec<Effect>) {
        let stamp = self.stamp(now);
        for calibrated in self.cold.calibrations(&stamp, &self.books.cold) {
            self.append_plain(now, Lane::Ledger, &Actor::Machine, vec![calibrated.into()], out);
        }
        for (alarm, change) in self.cold.changes(&stamp, &self.books.cold) {
            if change.state.as_ref() == "began" && alarm.is_some_and(Alarm::is_grave) {
                self.sound_place(&change, out);
            }
            self.append_plain(now, Lane::Ledger, &Actor::Machine, vec![change.into()], out);
        }
    }

    fn sound_place(&mut self, change: &PlaceChanged, out: &mut Vec<Effect>) {
        let text = format!("{}: {}.", change.place, change.detail.trim_end_matches('.'));
        let tills: Vec<TillId> = self.tills.keys().cloned().collect();
        for till in tills {
            self.tell(&till, Tone::Refused, text.clone(), out);
        }
        self.sound(out);
    }

    /// Sounds each printer that is set up for it.
    pub(super) fn sound(&self, out: &mut Vec<Effect>) {
        out.extend(self.settings.buzzers.iter().cloned().map(Effect::Beep));
    }

    /// What the pages show of the cold.
    pub(super) fn cold_view(&self, now: &Now<'_>) -> ColdView {
        let stamp = self.stamp(now);
        let gaps = self.cold.gaps(stamp.wall_ms);
        let papers = self.cold.papers(self.today(now));
        ColdView {
            places: self.cold.places(&stamp).into_iter().map(place_view).collect(),
            gaps: gaps.iter().map(|gap| gap_words(gap, self.shop.as_deref())).collect(),
            calibration_overdue: matches!(papers, Some((Standing::Overdue, _))),
            calibration: papers.map(|(_, words)| words),
        }
    }
}

fn place_view(now: PlaceNow) -> PlaceView {
    let state = match (&now.reading, now.troubles.is_empty() && now.contacts.is_empty()) {
        (None | Some(Err(_)), _) => DeviceState::Away,
        (Some(Ok(_)), true) => DeviceState::Ok,
        (Some(Ok(_)), false) => DeviceState::Trouble,
    };
    let out_of_limits =
        now.troubles.iter().any(|(alarm, _)| matches!(alarm, Alarm::TooWarm | Alarm::TooCold));
    let contacts = now.contacts.iter().map(|words| (*words).to_owned());
    PlaceView {
        place: now.place,
        state,
        out_of_limits,
        milli_celsius: now.reading.and_then(Result::ok),
        missing: now.reading.and_then(Result::err).map(|why| why.to_string()),
        sensor: now.sensor,
        details: now.troubles.iter().map(|(_, detail)| detail.clone()).chain(contacts).collect(),
    }
}

fn gap_words(gap: &Gap, shop: Option<&Shop>) -> String {
    format!(
        "No readings of {} from {} to {}: {}",
        gap.sensors.join(", "),
        local(gap.from, shop),
        local(gap.to, shop),
        gap.cause
    )
}

/// A moment on the branch's own clock; by UTC, and said so, before there is a catalogue.
fn local(at: UnixMillis, shop: Option<&Shop>) -> String {
    let moment = match shop {
        Some(shop) => Some(shop.local(at)),
        None => at.utc(),
    };
    let zone = if shop.is_some() { "" } else { " UTC" };
    moment.map_or_else(
        || "an unknown moment".to_owned(),
        |moment| {
            let (month, day, hour, minute) =
                (u8::from(moment.month()), moment.day(), moment.hour(), moment.minute());
            format!("{:04}-{month:02}-{day:02} {hour:02}:{minute:02}{zone}", moment.year())
        },
    )
}
