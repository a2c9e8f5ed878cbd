//! What a fact says to people at the centre: which facts are alerts, and in which words. Pure.
//!
//! What is urgent says more than its kind: which place, which device, what is wrong and what to do. What is not urgent is told
//! where somebody at the centre can act on it. Left out is what comes and goes with the work at a counter (a door, paper,
//! a garbled scan), and contacts that are at rest: a box says that of each at every start.

use pestle_domain::{
    cold_chain::NO_READING_TOLD_AFTER_MS,
    fact::{FactBody, InputChanged, PlaceChanged, ReadingMissed},
    units::{Day, UnixMillis},
};
use time::macros::format_description;

/// The class of a fault that the box itself finds in how a device is plugged in: it flaps, or a person has to say which it is.
const FOUND_BY_THE_BOX: &str = "device";

/// What a fact of that day of business says to people; `None` for one that is no alert.
pub(super) fn words(body: &FactBody, day: Day) -> Option<String> {
    match body {
        FactBody::OrderRefused(refused) => {
            Some(format!("an order was refused ({}): {}", refused.reason, refused.detail))
        }
        FactBody::StaffDenied(denied) if body.is_urgent() => Some(format!(
            "{} is locked at {} after too many wrong PINs: ask who it is",
            denied.staff, denied.till
        )),
        FactBody::BoxSpaceLow(said) if body.is_urgent() => Some(format!(
            "its disk has {} MiB left ({}): free some space, or call support",
            said.free_mib, said.level
        )),
        FactBody::PlaceChanged(changed) => Some(of_place(changed)),
        FactBody::InputChanged(changed) => of_contact(changed),
        FactBody::DeviceFault(fault) if &*fault.class == FOUND_BY_THE_BOX => {
            Some(format!("{}: {}", fault.name, fault.reason))
        }
        FactBody::ReadingMissed(missed) => of_gap(missed),
        FactBody::ProbeCalibrated(paper) if paper.due < day => Some(format!(
            "the certificate {} of {} was due on {}: have the probe calibrated",
            paper.certificate, paper.sensor, paper.due
        )),
        other => other.is_urgent().then(|| other.kind().replace(['.', '_'], " ")),
    }
}

/// "vaccines: too warm. 9.2 °C is above 8.0 °C …"; a kind of trouble that this version does not know keeps its name.
fn of_place(changed: &PlaceChanged) -> String {
    let PlaceChanged { place, trouble, state, detail } = changed;
    let trouble = match &**trouble {
        "disagreement" => "its probes disagree".to_owned(),
        "fell_back" => "its first probe is away".to_owned(),
        "second_away" => "its second probe is away".to_owned(),
        other => other.replace('_', " "),
    };
    let ended = if &**state == "ended" { ", which has ended" } else { "" };
    if detail.is_empty() {
        return format!("{place}: {trouble}{ended}");
    }
    format!("{place}: {trouble}{ended} ({detail})")
}

fn of_contact(changed: &InputChanged) -> Option<String> {
    let name = &changed.input;
    match (&*changed.kind, &*changed.state) {
        ("power", "away") => {
            Some(format!("the mains are away at {name}: what hangs on them does not cool. Call the branch"))
        }
        ("alarm", "ringing") => {
            Some(format!("{name} tells an alarm of its own: have somebody look at its display"))
        }
        _ => None,
    }
}

/// A hole that is shorter than a place may be without a reading is no news.
fn of_gap(missed: &ReadingMissed) -> Option<String> {
    if missed.lasted_ms < NO_READING_TOLD_AFTER_MS {
        return None;
    }
    let why = match (&*missed.cause, &missed.reason) {
        ("box_off", _) => "the box was off".to_owned(),
        ("not_asked", _) => "the agent was stopped, or its disk was full".to_owned(),
        ("bus_away", _) => "the line to the sensors was away".to_owned(),
        ("power_away", _) => "the mains were away".to_owned(),
        (_, Some(reason)) => format!("the sensor told no temperature ({reason})"),
        (_, None) => "the sensor told no temperature".to_owned(),
    };
    Some(format!(
        "no readings of {} from {} to {}: {why}",
        missed.sensor,
        moment(missed.from),
        moment(missed.to)
    ))
}

/// By UTC, and said so: where the branch's clock stands is not known here.
fn moment(at: UnixMillis) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let text = at.utc().and_then(|at| at.format(&form).ok());
    text.unwrap_or_else(|| "an unknown moment".to_owned())
}

#[cfg(test)]
mod tests {
    use pestle_domain::{
        fact::{DeviceFault, ProbeCalibrated},
        units::MilliCelsius,
    };

    use super::*;

    fn check(body: impl Into<FactBody>, expected: Option<&str>) {
        let body = body.into();
        assert_eq!(words(&body, "2026-11-21".parse().unwrap()).as_deref(), expected, "{body:?}");
    }

    fn place(trouble: &str, state: &str, detail: &str) -> PlaceChanged {
        PlaceChanged {
            place: "vaccines".into(),
            trouble: trouble.into(),
            state: state.into(),
            detail: detail.into(),
        }
    }

    #[test]
    fn a_place_says_which_it_is_its_trouble_and_its_temperature_and_when_that_has_ended() {
        check(
            place("too_warm", "began", "9.2 °C is above 8.0 °C: shut its door"),
            Some("vaccines: too warm (9.2 °C is above 8.0 °C: shut its door)"),
        );
        check(place("too_warm", "ended", "5.1 °C"), Some("vaccines: too warm, which has ended (5.1 °C)"));
        check(place("no_reading", "ended", ""), Some("vaccines: no reading, which has ended"));
        check(
            place("fell_back", "began", "the second one counts meanwhile: silence"),
            Some("vaccines: its first probe is away (the second one counts meanwhile: silence)"),
        );
        check(place("second_away", "began", ""), Some("vaccines: its second probe is away"));
        check(place("disagreement", "began", ""), Some("vaccines: its probes disagree"));
        check(place("set_on_fire", "began", ""), Some("vaccines: set on fire"));
    }

    #[test]
    fn mains_that_are_away_and_an_alarm_that_rings_are_told_and_doors_and_what_is_at_rest_are_not() {
        let contact = |kind: &str, state: &str| InputChanged {
            input: "fridge-1-mains".into(),
            kind: kind.into(),
            state: state.into(),
            reason: None,
        };
        check(
            contact("power", "away"),
            Some("the mains are away at fridge-1-mains: what hangs on them does not cool. Call the branch"),
        );
        check(
            contact("alarm", "ringing"),
            Some("fridge-1-mains tells an alarm of its own: have somebody look at its display"),
        );
        for (kind, state) in [
            ("power", "here"),
            ("power", "unknown"),
            ("alarm", "quiet"),
            ("door", "open"),
            ("door", "closed"),
        ] {
            check(contact(kind, state), None);
        }
    }

    #[test]
    fn a_device_that_flaps_or_was_swapped_is_told_and_what_a_counter_sees_itself_is_not() {
        let fault = |class: &str| DeviceFault {
            name: "scanner-1".into(),
            class: class.into(),
            reason: "it comes and goes too often".into(),
        };
        check(fault("device"), Some("scanner-1: it comes and goes too often"));
        for class in ["scanner", "printer", "sensor"] {
            check(fault(class), None);
        }
    }

    #[test]
    fn readings_that_were_missed_for_long_are_told_with_from_when_to_when_and_why() {
        let missed = |minutes: i64, cause: &str, reason: Option<&str>| ReadingMissed {
            sensor: "air".into(),
            from: UnixMillis(1_795_250_000_000),
            to: UnixMillis(1_795_250_000_000 + minutes * 60_000),
            lasted_ms: u64::try_from(minutes * 60_000).unwrap(),
            cause: cause.into(),
            reason: reason.map(Into::into),
        };
        check(missed(4, "box_off", None), None);
        let span = "no readings of air from 2026-11-21 08:33 UTC to 2026-11-21 08:43 UTC";
        for (cause, reason, why) in [
            ("box_off", None, "the box was off"),
            ("power_away", None, "the mains were away"),
            ("sensor_silent", Some("timeout"), "the sensor told no temperature (timeout)"),
        ] {
            check(missed(10, cause, reason), Some(&format!("{span}: {why}")));
        }
        let nowhen = ReadingMissed { to: UnixMillis(i64::MAX), ..missed(10, "bus_away", None) };
        assert!(of_gap(&nowhen).unwrap().contains("to an unknown moment: the line"));
    }

    #[test]
    fn a_certificate_that_was_overdue_when_the_box_took_it_up_is_told() {
        let paper = |due: &str| ProbeCalibrated {
            sensor: "air".into(),
            certificate: "K-1042".into(),
            date: "2025-11-20".parse().unwrap(),
            due: due.parse().unwrap(),
            correction: MilliCelsius(-250),
        };
        check(
            paper("2026-11-20"),
            Some("the certificate K-1042 of air was due on 2026-11-20: have the probe calibrated"),
        );
        check(paper("2026-11-21"), None);
    }
}
