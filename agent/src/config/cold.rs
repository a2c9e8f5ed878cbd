//! Cold places, as the configuration names them: of probes and contacts that it names too.

use std::collections::BTreeSet;

use pestle_domain::cold_chain::Limits;
use pestle_drivers::{
    device::DeviceName,
    sensor::{
        input::InputKind,
        place::{ColdPlace, PlaceProbe},
    },
};

use super::{Config, devices::SensorBus, raw};
use crate::cold::settings::{ColdSettings, Place, Probe};

impl Config {
    /// Cold places, and all probes.
    pub fn cold(&self) -> ColdSettings {
        let probes = self.buses.iter().flat_map(|bus| {
            bus.settings.sensors.iter().zip(&bus.intervals).map(|(sensor, (_name, interval))| Probe {
                sensor: sensor.name.clone(),
                interval: *interval,
                calibration: sensor.calibration.clone(),
            })
        });
        ColdSettings { places: self.cold_places.clone(), probes: probes.collect() }
    }
}

pub(super) fn place(raw: raw::ColdPlace, name: DeviceName, buses: &[SensorBus]) -> Result<Place, String> {
    let device = name.clone();
    let said = |what: String| format!("cold_place \"{device}\": {what}");
    let primary = probe(&raw.probe, buses).map_err(said)?;
    let second = raw.second.as_deref().map(|second| probe(second, buses)).transpose().map_err(said)?;
    let contact = |what: &str, named: Option<String>, kind| match named {
        None => Ok(None),
        Some(named) => contact(what, &named, kind, buses).map(Some).map_err(said),
    };
    let mut cold = ColdPlace::new(name, primary);
    cold.second = second;
    cold.power = contact("power", raw.power, InputKind::Power)?;
    cold.door = contact("door", raw.door, InputKind::Door)?;
    cold.difference_max = raw.difference_max_milli.unwrap_or(cold.difference_max);
    let fridge = Limits::FRIDGE;
    let (low, high) = (raw.low_milli.unwrap_or(fridge.low()), raw.high_milli.unwrap_or(fridge.high()));
    let limits = Limits::new(low, high).map_err(|error| said(error.to_string()))?;
    // This error names the place itself.
    let place = cold.checked().map_err(|error| format!("cold_place {error}"))?;
    Ok(Place { place, limits })
}

/// What a probe tells is the temperature of one place.
pub(super) fn each_probe_once(places: &[Place]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for sensor in places.iter().flat_map(Place::sensors) {
        if !seen.insert(sensor) {
            return Err(format!("the sensor \"{sensor}\" is in two cold places: a probe hangs in one"));
        }
    }
    Ok(())
}

fn probe(named: &str, buses: &[SensorBus]) -> Result<PlaceProbe, String> {
    let mut sensors = buses.iter().flat_map(|bus| &bus.settings.sensors);
    match sensors.find(|sensor| sensor.name.as_str() == named) {
        // Its certificate is told of the probe, whatever place it hangs in.
        Some(sensor) => Ok(PlaceProbe { sensor: sensor.name.clone(), calibration: None }),
        None => Err(format!("there is no [[sensor]] named \"{named}\": write the name of one")),
    }
}

fn contact(what: &str, named: &str, kind: InputKind, buses: &[SensorBus]) -> Result<DeviceName, String> {
    let mut inputs = buses.iter().flat_map(|bus| &bus.settings.inputs);
    let Some(input) = inputs.find(|input| input.name.as_str() == named) else {
        return Err(format!("there is no [[input]] named \"{named}\" for its {what}: write the name of one"));
    };
    let profile = input.profile.input.get(&input.input).map(|point| point.kind);
    if input.kind.or(profile) != Some(kind) {
        return Err(format!(
            "the input \"{named}\" is no {what} contact: give it kind = \"{}\"",
            kind.as_str()
        ));
    }
    Ok(input.name.clone())
}
