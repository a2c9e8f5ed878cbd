//! Register maps as data, and what a register's word means.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::NoData;

/// A kind of sensor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SensorProfile {
    /// What a person reads.
    pub title: String,
    /// The speed that it is delivered with.
    pub baud: u32,
    /// Thousandths of a degree Celsius.
    pub temperature: Register,
    /// Thousandths of relative humidity.
    #[serde(default)]
    pub humidity: Option<Register>,
}

/// One 16-bit register.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Modbus function.
    pub function: Function,
    /// Address as sent on the wire, from 0.
    pub register: u16,
    /// Thousandths that one count stands for.
    pub scale: i32,
    /// Two's complement?
    pub signed: bool,
    /// Words that mean "no probe".
    #[serde(default)]
    pub no_probe: Vec<u16>,
    /// Smallest value that the device can measure, in thousandths.
    pub min: i32,
    /// Largest.
    pub max: i32,
}

/// How a register is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u8")]
pub enum Function {
    /// Function 3.
    Holding,
    /// Function 4.
    Input,
}

impl TryFrom<u8> for Function {
    type Error = String;

    fn try_from(code: u8) -> Result<Function, String> {
        match code {
            3 => Ok(Function::Holding),
            4 => Ok(Function::Input),
            _ => Err(format!("function is 3 (holding registers) or 4 (input registers), not {code}")),
        }
    }
}

impl Register {
    /// What a word of this register means, in thousandths.
    ///
    /// # Errors
    /// It means "no probe", or is a value that the device cannot measure.
    pub fn interpret(&self, word: u16) -> Result<i32, NoData> {
        if self.no_probe.contains(&word) {
            return Err(NoData::NoProbe);
        }
        let count = if self.signed { i32::from(word.cast_signed()) } else { i32::from(word) };
        let thousandths = count.saturating_mul(self.scale);
        if (self.min..=self.max).contains(&thousandths) {
            Ok(thousandths)
        } else {
            Err(NoData::OutOfRange(thousandths))
        }
    }
}

/// Why a profile cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file is no TOML of this form.
    #[error("the sensor profiles cannot be read")]
    Syntax(#[from] toml::de::Error),
    /// A value that makes no sense.
    #[error("sensor profile {profile}: {what}")]
    Invalid {
        /// Which.
        profile: String,
        /// What is wrong.
        what: &'static str,
    },
    /// No such profile.
    #[error("there is no sensor profile {profile:?}; known are {known}")]
    Unknown {
        /// What was asked for.
        profile: String,
        /// What there is.
        known: String,
    },
}

/// All known profiles by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SensorProfiles(BTreeMap<String, SensorProfile>);

impl SensorProfiles {
    /// Those that Pestle comes with.
    ///
    /// # Errors
    /// None in practice: a test reads the embedded file.
    pub fn built_in() -> Result<SensorProfiles, ProfileError> {
        SensorProfiles::parse(include_str!("profiles.toml"))
    }

    /// Reads a file of profiles.
    ///
    /// # Errors
    /// Bad TOML, an unknown key, or a value that makes no sense.
    pub fn parse(toml_text: &str) -> Result<SensorProfiles, ProfileError> {
        let profiles: BTreeMap<String, SensorProfile> = toml::from_str(toml_text)?;
        for (name, profile) in &profiles {
            let invalid = |what| Err(ProfileError::Invalid { profile: name.clone(), what });
            for register in [Some(&profile.temperature), profile.humidity.as_ref()].into_iter().flatten() {
                if register.scale == 0 {
                    return invalid("scale is not 0");
                }
                if register.min >= register.max {
                    return invalid("min is below max");
                }
            }
        }
        Ok(SensorProfiles(profiles))
    }

    /// These, with `more` added; a name that is in both means the later one.
    #[must_use]
    pub fn with(mut self, more: SensorProfiles) -> SensorProfiles {
        self.0.extend(more.0);
        self
    }

    /// One profile.
    ///
    /// # Errors
    /// There is none of that name; the message lists those that there are.
    pub fn get(&self, name: &str) -> Result<&SensorProfile, ProfileError> {
        self.0.get(name).ok_or_else(|| ProfileError::Unknown {
            profile: name.to_owned(),
            known: self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: u16, expected: Result<i32, NoData>) {
        let profiles = SensorProfiles::built_in().unwrap();
        assert_eq!(profiles.get("xy-md02").unwrap().temperature.interpret(word), expected, "{word:#06x}");
    }

    #[test]
    fn the_words_of_an_xy_md02_are_signed_tenths_and_sentinels_are_no_degrees() {
        check(42, Ok(4_200));
        check(0xff33, Ok(-20_500));
        check(0, Ok(0));
        check(0x8000, Err(NoData::NoProbe));
        check(0x7fff, Err(NoData::NoProbe));
        check(900, Err(NoData::OutOfRange(90_000)));
    }

    #[test]
    fn a_profile_that_makes_no_sense_is_refused_with_its_name() {
        let text = include_str!("profiles.toml");
        let error = |text: String| SensorProfiles::parse(&text).unwrap_err();
        assert!(error(text.replace("scale = 1\n", "scale = 0\n")).to_string().contains("xy-md02: scale"));
        assert!(error(text.replace("function = 3", "function = 6")).to_string().contains("cannot be read"));
    }
}
