//! One number or one contact of a device: which questions it takes, and what the answers mean. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    NoData,
    input::{InputKind, InputReading, InputState},
};

/// How a device's data is read (Modbus application protocol V1.1b3, 6.1 to 6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "u8")]
pub enum Function {
    /// Function 1: bits that could also be written.
    Coils,
    /// Function 2: bits.
    DiscreteInputs,
    /// Function 3: words that could also be written.
    Holding,
    /// Function 4: words.
    Input,
}

impl Function {
    /// The code that is sent.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Function::Coils => 1,
            Function::DiscreteInputs => 2,
            Function::Holding => 3,
            Function::Input => 4,
        }
    }

    /// Whether it reads single bits.
    #[must_use]
    pub fn is_bits(self) -> bool {
        matches!(self, Function::Coils | Function::DiscreteInputs)
    }
}

impl TryFrom<u8> for Function {
    type Error = String;

    fn try_from(code: u8) -> Result<Function, String> {
        match code {
            1 => Ok(Function::Coils),
            2 => Ok(Function::DiscreteInputs),
            3 => Ok(Function::Holding),
            4 => Ok(Function::Input),
            _ => Err(format!(
                "function is 1 (coils), 2 (discrete inputs), 3 (holding registers) or 4 (input registers), not {code}"
            )),
        }
    }
}

/// What is asked of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// How.
    pub function: Function,
    /// From which address, as sent on the wire, from 0.
    pub register: u16,
    /// How many registers or bits; 1 or 2 here.
    pub count: u16,
}

impl Question {
    /// One register or bit.
    #[must_use]
    pub fn one(function: Function, register: u16) -> Question {
        Question { function, register, count: 1 }
    }

    /// Bytes of data in a right answer.
    #[must_use]
    pub fn data_bytes(&self) -> usize {
        let count = usize::from(self.count);
        if self.function.is_bits() { count.div_ceil(8) } else { count * 2 }
    }

    /// Bytes of a right answer on a serial line: address, function, length, data, check sum.
    #[must_use]
    pub fn answer_bytes(&self) -> usize {
        5 + self.data_bytes()
    }
}

/// Right answers, by question. A bit is 0 or 1.
pub type Answers = BTreeMap<Question, Vec<u16>>;

/// How a number lies in its registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One word, two's complement.
    #[default]
    S16,
    /// One word.
    U16,
    /// Two words, two's complement.
    S32,
    /// Two words.
    U32,
    /// Two words, IEEE 754 single precision. One count is 1.0.
    F32,
}

impl Format {
    /// How many words.
    #[must_use]
    pub fn words(self) -> u16 {
        match self {
            Format::S16 | Format::U16 => 1,
            Format::S32 | Format::U32 | Format::F32 => 2,
        }
    }
}

/// Which of two words comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordOrder {
    /// The one with the higher bits.
    #[default]
    HighFirst,
    /// The one with the lower bits.
    LowFirst,
}

/// A number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Modbus function, 3 or 4.
    pub function: Function,
    /// Address as sent on the wire, from 0.
    pub register: u16,
    /// How the number lies there.
    #[serde(default)]
    pub format: Format,
    /// Which of two words comes first.
    #[serde(default)]
    pub word_order: WordOrder,
    /// Thousandths that `per` counts stand for.
    pub scale: i32,
    /// Counts; 1 unless the device counts in sixteenths or the like.
    #[serde(default = "one")]
    pub per: i32,
    /// The scale is a setting of the device, which is asked each time: it takes the place of `scale`.
    #[serde(default)]
    pub scale_by: Option<ScaleSetting>,
    /// Raw values that mean "no probe".
    #[serde(default)]
    pub no_probe: Vec<u32>,
    /// Other data that says whether the number counts, asked each time before it.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// Smallest value that the device can measure, in thousandths.
    pub min: i32,
    /// Largest.
    pub max: i32,
}

fn one() -> i32 {
    1
}

/// A setting of the device that says how many decimals it tells.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleSetting {
    /// Modbus function.
    pub function: Function,
    /// Address.
    pub register: u16,
    /// Pairs of the setting's value and the scale that it means.
    pub is: Vec<(u16, i32)>,
}

/// A flag beside a number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Modbus function.
    pub function: Function,
    /// Address.
    pub register: u16,
    /// Which bits of a word count; all by default.
    #[serde(default = "all_bits")]
    pub mask: u16,
    /// With which value of those bits the flag is up.
    #[serde(default = "up")]
    pub equals: u16,
    /// What it means then.
    pub means: Meaning,
}

fn all_bits() -> u16 {
    u16::MAX
}

fn up() -> u16 {
    1
}

/// What a flag means for the number beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// The probe is missing or broken.
    NoProbe,
    /// The device tells Fahrenheit.
    NotCelsius,
}

impl Register {
    /// All that must be asked for this number, flags first.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        let checks = self.checks.iter().map(|check| Question::one(check.function, check.register));
        let setting = self.scale_by.iter().map(|setting| Question::one(setting.function, setting.register));
        checks.chain(setting).chain([self.value_question()]).collect()
    }

    fn value_question(&self) -> Question {
        Question { function: self.function, register: self.register, count: self.format.words() }
    }

    /// What the answers mean, in thousandths.
    ///
    /// # Errors
    /// A flag speaks against the number, it means "no probe", or it is a value that the device cannot measure.
    pub fn interpret(&self, answers: &Answers) -> Result<i32, NoData> {
        for check in &self.checks {
            let word = word(answers, Question::one(check.function, check.register))?;
            if word & check.mask == check.equals {
                return Err(match check.means {
                    Meaning::NoProbe => NoData::NoProbe,
                    Meaning::NotCelsius => NoData::NotCelsius,
                });
            }
        }
        let scale = match &self.scale_by {
            None => self.scale,
            Some(setting) => {
                let told = word(answers, Question::one(setting.function, setting.register))?;
                let known = setting.is.iter().find(|(value, _)| *value == told);
                known.ok_or(NoData::UnknownScale(told))?.1
            }
        };
        let raw = self.raw(answers)?;
        if self.no_probe.contains(&raw) {
            return Err(NoData::NoProbe);
        }
        let thousandths = self.scaled(raw, scale)?;
        match i32::try_from(thousandths) {
            Ok(value) if (self.min..=self.max).contains(&value) => Ok(value),
            Ok(value) => Err(NoData::OutOfRange(value)),
            Err(_) => Err(NoData::OutOfRange(if thousandths < 0 { i32::MIN } else { i32::MAX })),
        }
    }

    fn raw(&self, answers: &Answers) -> Result<u32, NoData> {
        match (answers.get(&self.value_question()).map(Vec::as_slice), self.word_order) {
            (Some([word]), _) if self.format.words() == 1 => Ok(u32::from(*word)),
            (Some([high, low]), WordOrder::HighFirst) | (Some([low, high]), WordOrder::LowFirst)
                if self.format.words() == 2 =>
            {
                Ok(u32::from(*high) << 16 | u32::from(*low))
            }
            _ => Err(NoData::Garbled),
        }
    }

    fn scaled(&self, raw: u32, scale: i32) -> Result<i128, NoData> {
        let count = match self.format {
            Format::S16 => i128::from(u16::try_from(raw).map_err(|_| NoData::Garbled)?.cast_signed()),
            Format::U16 | Format::U32 => i128::from(raw),
            Format::S32 => i128::from(raw.cast_signed()),
            Format::F32 => return float_times(raw, scale, self.per),
        };
        Ok(divided(count * i128::from(scale), i128::from(self.per)))
    }
}

fn word(answers: &Answers, question: Question) -> Result<u16, NoData> {
    match answers.get(&question).map(Vec::as_slice) {
        Some([word]) => Ok(*word),
        _ => Err(NoData::Garbled),
    }
}

/// Rounded half away from zero.
fn divided(value: i128, by: i128) -> i128 {
    let half = by.abs() / 2;
    if value < 0 { (value - half) / by } else { (value + half) / by }
}

/// A single-precision number (IEEE 754, 3.4) times `scale / per`, in whole numbers alone: what is no number, or beyond any
/// thermometer, is no value.
fn float_times(bits: u32, scale: i32, per: i32) -> Result<i128, NoData> {
    let exponent = i64::from(bits >> 23 & 0xff);
    let fraction = i128::from(bits & 0x007f_ffff);
    let (mantissa, shift) = match exponent {
        0xff => return Err(NoData::NoProbe),
        0 => (fraction, -149),
        _ => (fraction | 1 << 23, exponent - 150),
    };
    let signed = if bits >> 31 == 1 { -mantissa } else { mantissa };
    let scaled = signed * i128::from(scale);
    match shift {
        // 24 bits of mantissa, 31 of scale: 40 more are beyond any range of thousandths, and do not overflow.
        1.. => Ok(divided(scaled << shift.min(40), i128::from(per))),
        // Behind 100 bits nothing is left of 55.
        _ => Ok(divided(scaled, i128::from(per) << (-shift).min(90))),
    }
}

/// A contact of a device, as a bit of its own or as a bit of a word.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputPoint {
    /// What it tells.
    pub kind: InputKind,
    /// Modbus function.
    pub function: Function,
    /// Address as sent on the wire, from 0.
    pub register: u16,
    /// Which bit of a word, from 0; without it a word counts as 1 when it is not 0.
    #[serde(default)]
    pub bit: Option<u8>,
    /// With which value of the bit the door is open, the power away, the alarm on.
    pub raised_when: u8,
}

impl InputPoint {
    /// What must be asked for it.
    #[must_use]
    pub fn question(&self) -> Question {
        Question::one(self.function, self.register)
    }

    /// What the answer means.
    ///
    /// # Errors
    /// There is none.
    pub fn interpret(&self, answers: &Answers) -> InputReading {
        let word = word(answers, self.question())?;
        let bit = match self.bit {
            Some(bit) => word >> bit & 1,
            None => u16::from(word != 0),
        };
        Ok(if bit == u16::from(self.raised_when) { InputState::Raised } else { InputState::AtRest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(toml_text: &str) -> Register {
        toml::from_str(&format!("function = 4\nregister = 7\nmin = -60_000\nmax = 90_000\n{toml_text}"))
            .unwrap()
    }

    fn check(toml_text: &str, words: &[u16], expected: Result<i32, NoData>) {
        let register = register(toml_text);
        let answers = Answers::from([(register.value_question(), words.to_vec())]);
        assert_eq!(register.interpret(&answers), expected, "{toml_text} {words:04x?}");
    }

    #[test]
    fn words_are_signed_or_not_and_scaled_to_thousandths() {
        check("scale = 100", &[42], Ok(4_200));
        check("scale = 100", &[0xff33], Ok(-20_500));
        check("scale = 1\nformat = \"u16\"", &[0xff33], Ok(65_331));
        check("scale = 100", &[901], Err(NoData::OutOfRange(90_100)));
        check("scale = 100\nno_probe = [0x8000]", &[0x8000], Err(NoData::NoProbe));
    }

    #[test]
    fn sixteenths_are_rounded_half_away_from_zero() {
        let sixteenths = "scale = 1000\nper = 16";
        check(sixteenths, &[0x0191], Ok(25_063)); // 25.0625
        check(sixteenths, &[0xfe6f], Ok(-25_063));
        check(sixteenths, &[0xfff8], Ok(-500));
    }

    #[test]
    fn two_words_are_one_number_in_either_order() {
        check("scale = 10\nformat = \"s32\"", &[0xffff, 0xfe70], Ok(-4_000));
        check("scale = 10\nformat = \"s32\"\nword_order = \"low_first\"", &[0xfe70, 0xffff], Ok(-4_000));
        check("scale = 1\nformat = \"u32\"", &[0, 4_200], Ok(4_200));
        check("scale = 1000\nformat = \"u32\"", &[0xffff, 0xffff], Err(NoData::OutOfRange(i32::MAX)));
        check(
            "scale = 1\nformat = \"u32\"\nno_probe = [0xFFFF_FFFF]",
            &[0xffff, 0xffff],
            Err(NoData::NoProbe),
        );
        check("scale = 10\nformat = \"s32\"", &[1], Err(NoData::Garbled));
    }

    #[test]
    fn single_precision_is_read_without_ever_being_a_float_and_what_is_no_number_is_no_probe() {
        let float = |bits: u32| [(bits >> 16) as u16, (bits & 0xffff) as u16];
        let text = "scale = 1000\nformat = \"f32\"";
        for (value, expected) in [(4.2f32, 4_200), (-20.5, -20_500), (0.0, 0), (0.0004, 0), (-0.0006, -1)] {
            check(text, &float(value.to_bits()), Ok(expected));
        }
        check(text, &float(f32::NAN.to_bits()), Err(NoData::NoProbe));
        check(text, &float(f32::INFINITY.to_bits()), Err(NoData::NoProbe));
        check(text, &float(f32::MAX.to_bits()), Err(NoData::OutOfRange(i32::MAX)));
        check(text, &float(f32::MIN.to_bits()), Err(NoData::OutOfRange(i32::MIN)));
        check(text, &float(1), Ok(0));
    }

    #[test]
    fn a_flag_beside_the_number_takes_it_away_and_a_setting_scales_it() {
        let register = register(
            "scale = 1
             scale_by = { function = 3, register = 90, is = [[0, 1000], [1, 100]] }
             checks = [{ function = 1, register = 41, means = \"not_celsius\" },
                       { function = 3, register = 8, mask = 3, equals = 3, means = \"no_probe\" }]",
        );
        let interpret = |fahrenheit, status, decimals| {
            let words = [vec![fahrenheit], vec![status], vec![decimals], vec![42]];
            register.interpret(&register.questions().into_iter().zip(words).collect())
        };
        assert_eq!(interpret(0, 0x1102, 1), Ok(4_200));
        assert_eq!(interpret(0, 0, 0), Ok(42_000));
        assert_eq!(interpret(0, 0, 2), Err(NoData::UnknownScale(2)));
        assert_eq!(interpret(0, 0x1103, 1), Err(NoData::NoProbe));
        assert_eq!(interpret(1, 0, 1), Err(NoData::NotCelsius));
    }

    #[test]
    fn a_contact_is_a_bit_of_its_own_or_a_bit_of_a_word() {
        let read = |toml_text: &str, word: u16| {
            let point: InputPoint = toml::from_str(toml_text).unwrap();
            point.interpret(&Answers::from([(point.question(), vec![word])]))
        };
        let discrete = "kind = \"door\"\nfunction = 2\nregister = 43\nraised_when = 1";
        assert_eq!((read(discrete, 1), read(discrete, 0)), (Ok(InputState::Raised), Ok(InputState::AtRest)));
        let of_word = "kind = \"power\"\nfunction = 3\nregister = 9\nbit = 3\nraised_when = 0";
        assert_eq!((read(of_word, 8), read(of_word, 7)), (Ok(InputState::AtRest), Ok(InputState::Raised)));
        let whole = "kind = \"alarm\"\nfunction = 3\nregister = 9\nraised_when = 1";
        assert_eq!(read(whole, 2), Ok(InputState::Raised));
    }
}
