//! A bus as the configuration states it: its line, how Modbus is spoken on it, and what hangs on it. Checked as a whole.

use std::{fmt, str::FromStr, time::Duration};

use super::{
    calibration::Calibration,
    input::InputKind,
    profile::SensorProfile,
    register::{InputPoint, Register},
    timing,
};
use crate::{device::DeviceName, line::LineAddress};

/// How Modbus is spoken on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Modbus RTU: on a serial line, or through a converter that carries its bytes over the network.
    Rtu,
    /// Modbus TCP: with a gateway, which speaks RTU with its own line.
    Tcp,
}

/// Where a bus is, and how Modbus is spoken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusAddress {
    /// Its line.
    pub line: LineAddress,
    /// How Modbus is spoken on it.
    pub framing: Framing,
}

/// The port of Modbus TCP (IANA: mbap, 502).
const MODBUS_TCP_PORT: u16 = 502;

/// As a configuration writes it: `serial:/dev/ttyUSB0?baud=9600` and `tcp://192.0.2.7:4001` (a converter) carry Modbus RTU;
/// `modbus-tcp://192.0.2.8` or `modbus-tcp://192.0.2.8:1502` is a Modbus TCP gateway.
impl FromStr for BusAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<BusAddress, String> {
        let Some(socket) = text.strip_prefix("modbus-tcp://") else {
            return Ok(BusAddress { line: text.parse()?, framing: Framing::Rtu });
        };
        // An IPv6 address has colons of its own, and stands in brackets.
        let has_port =
            socket.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
        let line =
            if has_port { format!("tcp://{socket}") } else { format!("tcp://{socket}:{MODBUS_TCP_PORT}") };
        let line = line.parse().map_err(|_| {
            format!(
                "address is \"{text}\": write \"modbus-tcp://192.0.2.8\" or \"modbus-tcp://192.0.2.8:1502\""
            )
        })?;
        Ok(BusAddress { line, framing: Framing::Tcp })
    }
}

impl fmt::Display for BusAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.line.fmt(f)
    }
}

/// All that a bus needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusSettings {
    /// Its line.
    pub line: LineAddress,
    /// How Modbus is spoken on it.
    pub framing: Framing,
    /// How long a slave may take to answer. A gateway waits for its own line itself: give it more than that.
    pub answer_timeout: Duration,
    /// How long a slave that failed is left alone; doubling from the first to the second. A slow one is left alone longer,
    /// so that it has no more than its share of the line.
    pub rest: (Duration, Duration),
    /// The probes on it.
    pub sensors: Vec<SensorSettings>,
    /// The contacts on it.
    pub inputs: Vec<InputSettings>,
}

/// A probe of a device on a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SensorSettings {
    /// What the branch calls it.
    pub name: DeviceName,
    /// The device's address, 1 to 247.
    pub slave: u8,
    /// What the device is.
    pub profile: SensorProfile,
    /// Which of its probes.
    pub probe: String,
    /// What its certificate says.
    pub calibration: Option<Calibration>,
}

impl SensorSettings {
    /// The first probe of a device, without a certificate.
    #[must_use]
    pub fn new(name: DeviceName, slave: u8, profile: SensorProfile) -> SensorSettings {
        SensorSettings { name, slave, profile, probe: FIRST_PROBE.into(), calibration: None }
    }

    /// Another probe of the same device.
    #[must_use]
    pub fn probe(mut self, probe: impl Into<String>) -> SensorSettings {
        self.probe = probe.into();
        self
    }

    /// With its certificate.
    #[must_use]
    pub fn calibrated(mut self, calibration: Calibration) -> SensorSettings {
        self.calibration = Some(calibration);
        self
    }

    pub(super) fn register(&self) -> Option<&Register> {
        self.profile.probe.get(&self.probe)
    }
}

/// The probe that is meant where none is named.
pub const FIRST_PROBE: &str = "1";

/// A contact of a device on a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSettings {
    /// What the branch calls it.
    pub name: DeviceName,
    /// The device's address, 1 to 247.
    pub slave: u8,
    /// What the device is.
    pub profile: SensorProfile,
    /// Which of its contacts.
    pub input: String,
    /// What hangs on it, where that is not what the profile says: of a module with contacts the branch says it.
    pub kind: Option<InputKind>,
    /// With which value of its bit it is raised, where that is not what the profile says: which way round a contact is wired
    /// is the installer's choice.
    pub raised_when: Option<bool>,
}

impl InputSettings {
    /// A contact as its profile has it.
    #[must_use]
    pub fn new(
        name: DeviceName,
        slave: u8,
        profile: SensorProfile,
        input: impl Into<String>,
    ) -> InputSettings {
        InputSettings { name, slave, profile, input: input.into(), kind: None, raised_when: None }
    }

    /// The contact, with what the branch says of it.
    pub(super) fn point(&self) -> Option<InputPoint> {
        let mut point = self.profile.input.get(&self.input)?.clone();
        point.kind = self.kind.unwrap_or(point.kind);
        point.raised_when = self.raised_when.map_or(point.raised_when, u8::from);
        Some(point)
    }
}

/// Why a bus is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusSettingsError {
    /// Not an address of a slave.
    #[error("{name}: a Modbus address is 1 to 247, not {slave}")]
    Address {
        /// Which sensor.
        name: DeviceName,
        /// Its address.
        slave: u8,
    },
    /// Two devices with one address would answer at once.
    #[error(
        "{first} and {second} both have address {slave}; give one of them another, or name another probe if they are one device"
    )]
    SameAddress {
        /// One.
        first: DeviceName,
        /// The other.
        second: DeviceName,
        /// Their address.
        slave: u8,
    },
    /// The profile has no such probe or contact.
    #[error("{name}: the profile \"{title}\" has no {what} \"{wanted}\"; it has {known}")]
    NoSuch {
        /// Which sensor or contact.
        name: DeviceName,
        /// Its profile.
        title: String,
        /// `probe` or `input`.
        what: &'static str,
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
}

impl BusSettings {
    /// A Modbus RTU bus with usual times: 500 ms for an answer, 1 to 30 s of rest.
    ///
    /// # Errors
    /// An address that is none, or that two sensors share; a probe that the profile does not have.
    pub fn new(line: LineAddress, sensors: Vec<SensorSettings>) -> Result<BusSettings, BusSettingsError> {
        BusSettings::at(BusAddress { line, framing: Framing::Rtu }, sensors, Vec::new())
    }

    /// A bus of any kind, with contacts. A gateway gets 2 s: it waits for its own line itself, a second as most are delivered,
    /// and must have given up before we do.
    ///
    /// # Errors
    /// As [`BusSettings::new`].
    pub fn at(
        address: BusAddress,
        sensors: Vec<SensorSettings>,
        inputs: Vec<InputSettings>,
    ) -> Result<BusSettings, BusSettingsError> {
        let BusAddress { line, framing } = address;
        let rest = (Duration::from_secs(1), Duration::from_secs(30));
        let answer_timeout = match framing {
            Framing::Rtu => Duration::from_millis(500),
            Framing::Tcp => Duration::from_secs(2),
        };
        let settings = BusSettings { line, framing, answer_timeout, rest, sensors, inputs };
        settings.check_points()?;
        settings.check_addresses()?;
        Ok(settings)
    }

    fn check_points(&self) -> Result<(), BusSettingsError> {
        let no_such = |name: &DeviceName, profile: &SensorProfile, what, wanted: &str, known: Vec<&str>| {
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            let (name, title) = (name.clone(), profile.title.clone());
            Err(BusSettingsError::NoSuch { name, title, what, wanted: wanted.into(), known })
        };
        for one in &self.sensors {
            if one.register().is_none() {
                let known = one.profile.probe.keys().map(String::as_str).collect();
                return no_such(&one.name, &one.profile, "probe", &one.probe, known);
            }
        }
        for one in &self.inputs {
            if !one.profile.input.contains_key(&one.input) {
                let known = one.profile.input.keys().map(String::as_str).collect();
                return no_such(&one.name, &one.profile, "input", &one.input, known);
            }
        }
        Ok(())
    }

    /// One address is one device: what shares it has one profile, and no probe or contact twice.
    fn check_addresses(&self) -> Result<(), BusSettingsError> {
        let sensors =
            self.sensors.iter().map(|one| (&one.name, one.slave, &one.profile, ("probe", &one.probe)));
        let inputs =
            self.inputs.iter().map(|one| (&one.name, one.slave, &one.profile, ("input", &one.input)));
        let mut seen: Vec<(&DeviceName, u8, &SensorProfile, (&str, &String))> = Vec::new();
        for (name, slave, profile, point) in sensors.chain(inputs) {
            if !(1..=247).contains(&slave) {
                return Err(BusSettingsError::Address { name: name.clone(), slave });
            }
            let clash = seen
                .iter()
                .find(|(_, other, theirs, at)| *other == slave && (*theirs != profile || *at == point));
            if let Some((first, ..)) = clash {
                return Err(BusSettingsError::SameAddress {
                    first: (*first).clone(),
                    second: name.clone(),
                    slave,
                });
            }
            seen.push((name, slave, profile, point));
        }
        Ok(())
    }

    /// How long a character takes on the serial line, be it ours or the one behind a converter: that one has the slowest
    /// speed that its devices are delivered with, as far as anybody knows here. Nothing where a gateway has it in hand.
    pub(super) fn character(&self) -> Duration {
        let ours = self.line.time_for(1);
        match self.framing {
            Framing::Tcp => Duration::ZERO,
            Framing::Rtu if ours.is_zero() => {
                let profiles = self.sensors.iter().map(|one| &one.profile);
                let slowest =
                    profiles.chain(self.inputs.iter().map(|one| &one.profile)).map(|one| one.baud).min();
                timing::character(slowest.unwrap_or(USUAL_BAUD))
            }
            Framing::Rtu => ours,
        }
    }
}

/// The speed that nearly all sensors are delivered with.
pub(super) const USUAL_BAUD: u32 = 9_600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{line::serial::SerialSettings, sensor::profile::SensorProfiles};

    fn sensor(name: &str, slave: u8, profile: &str, probe: &str) -> SensorSettings {
        let profile = SensorProfiles::built_in().unwrap().get(profile).unwrap().clone();
        SensorSettings::new(DeviceName::new(name), slave, profile).probe(probe)
    }

    fn bus(sensors: Vec<SensorSettings>) -> Result<BusSettings, BusSettingsError> {
        let line = LineAddress::Serial(SerialSettings::new("/dev/ttyUSB0", 9_600).unwrap());
        BusSettings::new(line, sensors)
    }

    #[test]
    fn two_probes_of_one_device_share_its_address_and_two_devices_do_not() {
        let air = sensor("air", 1, "dixell-xr", "1");
        assert!(bus(vec![air.clone(), sensor("evaporator", 1, "dixell-xr", "2")]).is_ok());
        let clash = bus(vec![air.clone(), sensor("other", 1, "dixell-xr", "1")]).unwrap_err();
        assert!(clash.to_string().contains("air and other both have address 1"), "{clash}");
        assert!(bus(vec![air.clone(), sensor("other", 1, "xy-md02", "1")]).is_err());
        assert!(bus(vec![sensor("air", 0, "xy-md02", "1")]).unwrap_err().to_string().contains("1 to 247"));
        let missing = bus(vec![sensor("air", 1, "xy-md02", "2")]).unwrap_err().to_string();
        assert!(missing.contains("has no probe \"2\"; it has 1"), "{missing}");
    }

    #[test]
    fn an_address_says_how_modbus_is_spoken_there() {
        let parse = |text: &str| text.parse::<BusAddress>().map(|at| (at.framing, at.line.to_string()));
        assert_eq!(parse("tcp://192.0.2.7:4001"), Ok((Framing::Rtu, "192.0.2.7:4001".into())));
        assert_eq!(parse("modbus-tcp://192.0.2.8"), Ok((Framing::Tcp, "192.0.2.8:502".into())));
        assert_eq!(parse("modbus-tcp://192.0.2.8:1502"), Ok((Framing::Tcp, "192.0.2.8:1502".into())));
        assert_eq!(parse("modbus-tcp://[2001:db8::1]"), Ok((Framing::Tcp, "[2001:db8::1]:502".into())));
        assert_eq!(parse("serial:/dev/ttyUSB0"), Ok((Framing::Rtu, "/dev/ttyUSB0".into())));
        assert!(parse("modbus-tcp://nowhere:x").unwrap_err().contains("write \"modbus-tcp://"));
    }

    #[test]
    fn behind_a_converter_the_line_is_as_slow_as_its_slowest_device() {
        let converter = "tcp://192.0.2.7:4001".parse().unwrap();
        let settings = BusSettings::new(converter, vec![sensor("air", 1, "xy-md02", "1")]).unwrap();
        assert_eq!(settings.character(), timing::character(9_600));
    }
}
