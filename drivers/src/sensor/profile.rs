//! Kinds of sensors as data, read from TOML and checked key by key. A branch adds its own in a file of the same form.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Deserialize;

use super::register::{Format, Function, InputPoint, Question, Register};
use crate::tables;

/// A kind of sensor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SensorProfile {
    /// What a person reads.
    pub title: String,
    /// Where its registers are written down: maker, manual, page.
    pub source: String,
    /// The speed that it is delivered with.
    pub baud: u32,
    /// How it is delivered otherwise, where that is not 8N1: `8N2`, `8E1`. Said to the technician.
    #[serde(default)]
    pub line_format: Option<String>,
    /// Its probes by name; the first is "1". Thousandths of a degree Celsius.
    #[serde(default)]
    pub probe: BTreeMap<String, Register>,
    /// Thousandths of relative humidity.
    #[serde(default)]
    pub humidity: Option<Register>,
    /// Its contacts by name.
    #[serde(default)]
    pub input: BTreeMap<String, InputPoint>,
    /// What tells it from others.
    #[serde(default)]
    pub identify: Vec<Identity>,
}

/// A register that tells a kind of device from others.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Modbus function.
    pub function: Function,
    /// Address as sent on the wire, from 0.
    pub register: u16,
    /// What stands there.
    pub is: Expected,
}

/// What an identification register holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// The device's own address.
    Address,
    /// Two words of binary-coded decimals, as a serial number has: no digit above 9.
    Bcd,
    /// One of these words.
    OneOf(Vec<u16>),
}

impl Identity {
    /// What must be asked.
    #[must_use]
    pub fn question(&self) -> Question {
        let count = if self.is == Expected::Bcd { 2 } else { 1 };
        Question { function: self.function, register: self.register, count }
    }

    /// Whether `words` of the device at `slave` are what stands there.
    #[must_use]
    pub fn fits(&self, slave: u8, words: &[u16]) -> bool {
        match (&self.is, words) {
            (Expected::Address, [word]) => *word == u16::from(slave),
            (Expected::OneOf(known), [word]) => known.contains(word),
            (Expected::Bcd, [_, _]) => {
                words.iter().all(|word| (0..4).all(|digit| word >> (digit * 4) & 0xf <= 9)) && words != [0, 0]
            }
            _ => false,
        }
    }
}

impl SensorProfile {
    /// A device that is nothing but one register, as a configuration states it.
    ///
    /// # Errors
    /// The register makes no sense.
    pub fn generic(baud: u32, register: Register) -> Result<SensorProfile, ProfileError> {
        let profile = SensorProfile {
            title: "one register, as configured".into(),
            source: "the configuration".into(),
            baud,
            line_format: None,
            probe: BTreeMap::from([("1".into(), register)]),
            humidity: None,
            input: BTreeMap::new(),
            identify: Vec::new(),
        };
        profile.check().map_err(|(key, what)| ProfileError {
            file: "the configuration".into(),
            profile: Some("generic".into()),
            key: Some(key),
            what,
        })?;
        Ok(profile)
    }

    /// The key that makes no sense, and what to write.
    fn check(&self) -> Result<(), (String, String)> {
        let wrong = |key: &str, what: &str| Err((key.to_owned(), what.to_owned()));
        if self.title.trim().is_empty() {
            return wrong("title", "write what a person calls the device");
        }
        if self.source.trim().is_empty() {
            return wrong("source", "write where the registers are from: maker, manual, page");
        }
        if !(1_200..=460_800).contains(&self.baud) {
            return wrong("baud", "write the speed that it is delivered with, such as 9600");
        }
        if self.probe.is_empty() && self.input.is_empty() {
            return wrong("probe", "a device has a probe or an input: add [NAME.probe.1]");
        }
        for (name, register) in &self.probe {
            register.check().map_err(|(key, what)| (format!("probe.{name}.{key}"), what))?;
        }
        if let Some(humidity) = &self.humidity {
            humidity.check().map_err(|(key, what)| (format!("humidity.{key}"), what))?;
        }
        for (name, point) in &self.input {
            point.check().map_err(|(key, what)| (format!("input.{name}.{key}"), what))?;
        }
        for (index, identity) in self.identify.iter().enumerate() {
            if identity.function.is_bits() {
                return wrong(&format!("identify[{index}].function"), "write 3 or 4: a bit names nothing");
            }
        }
        Ok(())
    }
}

impl Register {
    fn check(&self) -> Result<(), (String, String)> {
        let wrong = |key: &str, what: &str| Err((key.to_owned(), what.to_owned()));
        if self.function.is_bits() {
            return wrong(
                "function",
                "write 3 (holding registers) or 4 (input registers): 1 and 2 read single bits",
            );
        }
        if self.scale == 0 {
            return wrong(
                "scale",
                "write the thousandths that one count stands for: 100 for tenths of a degree",
            );
        }
        if self.per <= 0 {
            return wrong("per", "write how many counts the scale is for: 1, or 16 for sixteenths");
        }
        if self.min >= self.max {
            return wrong("min", "write a smallest value below max, both in thousandths");
        }
        if self.format.words() == 1 && self.no_probe.iter().any(|raw| *raw > u32::from(u16::MAX)) {
            return wrong("no_probe", "write words of 16 bits, 0 to 0xFFFF, for a format of one word");
        }
        if let Some(setting) = &self.scale_by {
            if setting.is.is_empty() || setting.is.iter().any(|(_, scale)| *scale == 0) {
                return wrong(
                    "scale_by.is",
                    "write pairs such as [[0, 1000], [1, 100]]: setting, thousandths",
                );
            }
            if self.format == Format::F32 {
                return wrong("scale_by", "leave it out: a single-precision number carries its own decimals");
            }
        }
        for (index, check) in self.checks.iter().enumerate() {
            if check.mask & check.equals != check.equals {
                return wrong(
                    &format!("checks[{index}].equals"),
                    "write a value of bits that the mask has: otherwise the flag is never up",
                );
            }
        }
        Ok(())
    }
}

impl InputPoint {
    fn check(&self) -> Result<(), (String, String)> {
        let wrong = |key: &str, what: &str| Err((key.to_owned(), what.to_owned()));
        if self.raised_when > 1 {
            return wrong(
                "raised_when",
                "write 0 or 1: the value with which the door is open, the power away",
            );
        }
        match self.bit {
            Some(_) if self.function.is_bits() => {
                wrong("bit", "leave it out: functions 1 and 2 read single bits already")
            }
            Some(16..) => wrong("bit", "write 0 to 15: a word has 16 bits"),
            _ => Ok(()),
        }
    }
}

/// What is wrong with a file of profiles: where, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileError {
    /// Which file.
    pub file: String,
    /// Which profile, if it is known.
    pub profile: Option<String>,
    /// Which key, if it is known.
    pub key: Option<String>,
    /// What is wrong, and what to write.
    pub what: String,
}

impl std::error::Error for ProfileError {}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(profile) = &self.profile {
            write!(f, ", profile {profile}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ", key {key}")?;
        }
        write!(f, ": {}", self.what.trim_end().replace('\n', " "))
    }
}

/// There is no such profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no sensor profile {profile:?}; known are {known}")]
pub struct UnknownProfile {
    /// What was asked for.
    pub profile: String,
    /// What there is.
    pub known: String,
}

const BUILT_IN: &str = include_str!("profiles.toml");

/// All known profiles by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SensorProfiles(BTreeMap<String, SensorProfile>);

impl SensorProfiles {
    /// Those that Pestle comes with.
    ///
    /// # Errors
    /// None in practice: a test reads the embedded file.
    pub fn built_in() -> Result<SensorProfiles, ProfileError> {
        SensorProfiles::read("the built-in sensor profiles", BUILT_IN)
    }

    /// Those of them that `names` names, which takes less time; all where one of the names is none of theirs, for
    /// [`SensorProfiles::get`] to list.
    ///
    /// # Errors
    /// As [`SensorProfiles::built_in`].
    pub fn built_in_of(names: &BTreeSet<&str>) -> Result<SensorProfiles, ProfileError> {
        match tables::only(BUILT_IN, names) {
            Some(some) => SensorProfiles::read("the built-in sensor profiles", &some),
            None => SensorProfiles::built_in(),
        }
    }

    /// Reads profiles from text of no file.
    ///
    /// # Errors
    /// As [`SensorProfiles::read`].
    pub fn parse(toml_text: &str) -> Result<SensorProfiles, ProfileError> {
        SensorProfiles::read("the sensor profiles", toml_text)
    }

    /// Reads the profiles of `file`, whose text is `toml_text`.
    ///
    /// # Errors
    /// Bad TOML, an unknown key, or a value that makes no sense: with file, profile, key, and what to write.
    pub fn read(file: &str, toml_text: &str) -> Result<SensorProfiles, ProfileError> {
        let error = |profile: Option<&str>, key: Option<String>, what: String| ProfileError {
            file: file.to_owned(),
            profile: profile.map(str::to_owned),
            key,
            what,
        };
        let tables: toml::Table = toml_text.parse().map_err(|bad: toml::de::Error| {
            error(None, None, format!("this is no TOML: {}", bad.to_string().replace('\n', " ")))
        })?;
        let mut profiles = BTreeMap::new();
        for (name, table) in tables {
            let good = !name.is_empty()
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
            if !good {
                return Err(error(Some(&name), None, "write its name in a-z, 0-9, - _ or .".into()));
            }
            let profile: SensorProfile = table.try_into().map_err(|bad: toml::de::Error| {
                error(Some(&name), None, bad.to_string().trim().to_owned())
            })?;
            profile.check().map_err(|(key, what)| error(Some(&name), Some(key), what))?;
            profiles.insert(name, profile);
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
    pub fn get(&self, name: &str) -> Result<&SensorProfile, UnknownProfile> {
        self.0.get(name).ok_or_else(|| UnknownProfile {
            profile: name.to_owned(),
            known: self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SensorProfile)> {
        self.0.iter().map(|(name, profile)| (name.as_str(), profile))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::{NoData, register::Answers};

    fn check(profile: &str, probe: &str, words: &[u16], expected: Result<i32, NoData>) {
        let profiles = SensorProfiles::built_in().unwrap();
        let register = &profiles.get(profile).unwrap().probe[probe];
        let answers: Answers =
            register.questions().into_iter().zip(words.iter().map(|word| vec![*word])).collect();
        assert_eq!(register.interpret(&answers), expected, "{profile} {words:04x?}");
    }

    #[test]
    fn a_profile_is_the_same_whether_it_is_read_alone_or_with_all_others() {
        for (name, profile) in SensorProfiles::built_in().unwrap().0 {
            let alone = SensorProfiles::built_in_of(&BTreeSet::from([name.as_str()])).unwrap();
            assert_eq!(alone.0, BTreeMap::from([(name, profile)]));
        }
    }

    #[test]
    fn the_words_of_an_xy_md02_are_signed_tenths_and_sentinels_are_no_degrees() {
        check("xy-md02", "1", &[42], Ok(4_200));
        check("xy-md02", "1", &[0xff33], Ok(-20_500));
        check("xy-md02", "1", &[0], Ok(0));
        check("xy-md02", "1", &[0x8000], Err(NoData::NoProbe));
        check("xy-md02", "1", &[0x7fff], Err(NoData::NoProbe));
        check("xy-md02", "1", &[900], Err(NoData::OutOfRange(90_000)));
    }

    #[test]
    fn a_probe_that_its_controller_calls_broken_or_tells_in_fahrenheit_is_no_reading() {
        check("dixell-xjp60d", "1", &[0x1102, 42], Ok(4_200));
        check("dixell-xjp60d", "1", &[0x0003, 42], Err(NoData::NoProbe));
        check("carel-pjez", "1", &[0, 42], Ok(4_200));
        check("carel-pjez", "1", &[1, 42], Err(NoData::NoProbe));
        check("carel-ir33", "1", &[0, 0, 42], Ok(4_200));
        check("carel-ir33", "1", &[1, 0, 42], Err(NoData::NotCelsius));
        check("wb-m1w2", "2", &[0xffb8], Ok(-4_500));
    }

    #[test]
    fn every_built_in_profile_says_where_its_registers_are_from() {
        let profiles = SensorProfiles::built_in().unwrap();
        assert!(profiles.iter().count() >= 10);
        for (name, profile) in profiles.iter() {
            assert!(profile.source.len() > 20, "{name}: {}", profile.source);
        }
    }

    #[test]
    fn a_profile_that_makes_no_sense_is_refused_with_its_file_its_name_its_key_and_what_to_write() {
        let good = "[mine]\ntitle = \"T\"\nsource = \"manual, page 7\"\nbaud = 9600\n
                    [mine.probe.1]\nfunction = 4\nregister = 1\nscale = 100\nmin = -40_000\nmax = 80_000\n
                    [mine.input.door]\nkind = \"door\"\nfunction = 2\nregister = 0\nraised_when = 1\n";
        assert!(SensorProfiles::read("/etc/pestle/sensors.toml", good).is_ok());
        let said = |from: &str, to: &str| {
            assert!(good.contains(from), "{from}");
            SensorProfiles::read("/etc/pestle/sensors.toml", &good.replace(from, to)).unwrap_err().to_string()
        };
        for (from, to, expected) in [
            (
                "scale = 100",
                "scale = 0",
                "sensors.toml, profile mine, key probe.1.scale: write the thousandths",
            ),
            ("min = -40_000", "min = 90_000", "key probe.1.min: write a smallest value below max"),
            ("function = 4", "function = 2", "key probe.1.function: write 3"),
            ("function = 4", "function = 6", "profile mine: function is 1 (coils)"),
            ("raised_when = 1", "raised_when = 2", "key input.door.raised_when: write 0 or 1"),
            ("raised_when = 1", "raised_when = 1\nbit = 3", "key input.door.bit: leave it out"),
            ("scale = 100", "scal = 100", "unknown field `scal`"),
            ("baud = 9600", "", "missing field `baud`"),
            ("[mine]", "[mine", "this is no TOML"),
            ("manual, page 7", " ", "key source: write where"),
        ] {
            let told = said(from, to);
            assert!(told.starts_with("/etc/pestle/sensors.toml") && told.contains(expected), "{told}");
        }
    }

    #[test]
    fn a_branch_s_own_profile_takes_the_place_of_the_built_in_one_and_a_generic_one_needs_no_file() {
        let register = SensorProfiles::built_in().unwrap().get("xy-md02").unwrap().probe["1"].clone();
        let mine = SensorProfile::generic(19_200, register.clone()).unwrap();
        assert_eq!(mine.probe["1"], register);
        let broken = SensorProfile::generic(19_200, Register { scale: 0, ..register }).unwrap_err();
        assert!(broken.to_string().contains("key probe.1.scale"), "{broken}");
        let text = "[xy-md02]\ntitle = \"ours\"\nsource = \"s\"\nbaud = 4800\n
                    [xy-md02.probe.1]\nfunction = 4\nregister = 1\nscale = 10\nmin = 0\nmax = 1\n";
        let all = SensorProfiles::built_in().unwrap().with(SensorProfiles::parse(text).unwrap());
        assert_eq!(all.get("xy-md02").unwrap().title, "ours");
    }

    #[test]
    fn an_identification_register_fits_or_does_not() {
        let identity = |is| Identity { function: Function::Holding, register: 257, is };
        assert!(identity(Expected::Address).fits(17, &[17]));
        assert!(!identity(Expected::Address).fits(17, &[2]));
        assert!(identity(Expected::OneOf(vec![3, 5])).fits(1, &[5]));
        assert!(identity(Expected::Bcd).fits(1, &[0x1296, 0x0042]));
        assert!(!identity(Expected::Bcd).fits(1, &[0x12a6, 0x0042]));
        assert!(!identity(Expected::Bcd).fits(1, &[0, 0]));
    }
}
