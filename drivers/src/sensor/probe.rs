//! Which profile fits a device that answers: by what names it, by what its registers hold, and by what it refuses. What
//! cannot be told apart is said, with what each profile would read, so that a person compares with a thermometer; nothing
//! is guessed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use pestle_domain::units::MilliCelsius;
use tokio::time::{self, Instant};

use super::{
    NoData, Reading,
    bus::BusHandle,
    profile::{Expected, SensorProfile, SensorProfiles},
    register::{Answers, Function, Question},
    settings::FIRST_PROBE,
};

/// How long a device is questioned at the most. All questions of all built-in profiles take some seconds at 9,600 baud.
const PROBING_MAX: Duration = Duration::from_secs(30);

/// A function that was answered by silence so often is not asked any more: some devices refuse nothing.
const SILENCES_MAX: usize = 2;

/// What the device answered, question by question.
pub type Evidence = BTreeMap<Question, Result<Vec<u16>, NoData>>;

/// What is known of a device after it was questioned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReport {
    /// Its address.
    pub slave: u8,
    /// What it makes of each function that was asked.
    pub functions: BTreeMap<Function, Support>,
    /// Each profile, and whether it fits.
    pub candidates: Vec<Candidate>,
    /// What follows.
    pub verdict: Verdict,
}

/// What a device makes of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It answers it.
    Answers,
    /// It knows it, and has nothing at the addresses that were asked (exception 2 or another but 1).
    NothingThere,
    /// It does not know it (exception 1).
    Unknown,
    /// It is silent.
    Silent,
}

/// A profile, and whether it fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub profile: String,
    /// What people call it.
    pub title: String,
    /// Whether it fits.
    pub fit: Fit,
    /// What its first probe would tell, if it has one.
    pub reading: Option<Reading>,
}

/// Whether a profile fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// Its values are possible, and what names it stands where it should.
    Named,
    /// Its values are possible; nothing names it, or what names it proves little.
    Possible,
    /// It is another device.
    No {
        /// Why, in a sentence.
        why: String,
    },
}

/// What follows from all that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The device is silent, or nobody can read it.
    Silent(NoData),
    /// It is this.
    Fits(String),
    /// It is one of these, or something that looks like them: a thermometer tells.
    CannotTell(Vec<String>),
    /// It is nothing that is known here.
    Unknown,
}

/// Questions the device at `slave` through the bus's owner, in turn with all else on the bus, bounded in time.
pub async fn probe(bus: &BusHandle, slave: u8, profiles: &SensorProfiles) -> ProbeReport {
    let end = Instant::now() + PROBING_MAX;
    let questions: BTreeSet<Question> = profiles.iter().flat_map(|(_, profile)| questions(profile)).collect();
    let mut evidence = Evidence::new();
    for question in questions {
        if let Some(known) = hopeless(&evidence, question) {
            evidence.insert(question, Err(known));
            continue;
        }
        // What was not asked in time is as good as silent; the report says so of each profile that needs it.
        let answer = time::timeout_at(end, bus.ask(slave, question)).await.unwrap_or(Err(NoData::Timeout));
        evidence.insert(question, answer);
    }
    judge(slave, profiles, &evidence)
}

/// The answer to a question that need not be asked: the function is unknown to the device, or it is silent to it.
fn hopeless(evidence: &Evidence, question: Question) -> Option<NoData> {
    let alike = || evidence.iter().filter(|(asked, _)| asked.function == question.function);
    if alike().any(|(_, answer)| *answer == Err(NoData::Exception(ILLEGAL_FUNCTION))) {
        return Some(NoData::Exception(ILLEGAL_FUNCTION));
    }
    let answered = alike().any(|(_, answer)| matches!(answer, Ok(_) | Err(NoData::Exception(_))));
    let silent = || alike().filter_map(|(_, answer)| answer.as_ref().err()).filter(|why| why.takes_time());
    if !answered && silent().count() >= SILENCES_MAX { silent().next_back().copied() } else { None }
}

/// Exception 1 (Modbus application protocol V1.1b3, 7).
const ILLEGAL_FUNCTION: u8 = 1;

/// All that a profile asks, and that tells it from others.
fn questions(profile: &SensorProfile) -> Vec<Question> {
    let probes = profile.probe.values().chain(profile.humidity.as_ref());
    let numbers = probes.flat_map(super::register::Register::questions);
    let contacts = profile.input.values().map(super::register::InputPoint::question);
    numbers.chain(contacts).chain(profile.identify.iter().map(super::profile::Identity::question)).collect()
}

/// What the evidence says of each profile, and of the device. Pure.
#[must_use]
pub fn judge(slave: u8, profiles: &SensorProfiles, evidence: &Evidence) -> ProbeReport {
    let candidates: Vec<Candidate> =
        profiles.iter().map(|(name, profile)| candidate(slave, name, profile, evidence)).collect();
    let with = |fit: &Fit| -> Vec<String> {
        candidates.iter().filter(|one| one.fit == *fit).map(|one| one.profile.clone()).collect()
    };
    let (named, possible) = (with(&Fit::Named), with(&Fit::Possible));
    let silence = evidence
        .values()
        .all(|answer| matches!(answer, Err(why) if why.takes_time() || *why == NoData::Gone));
    let verdict = match (&named[..], &possible[..]) {
        _ if silence => Verdict::Silent(
            evidence.values().find_map(|answer| answer.clone().err()).unwrap_or(NoData::Timeout),
        ),
        ([one], _) => Verdict::Fits(one.clone()),
        ([], []) => Verdict::Unknown,
        _ => Verdict::CannotTell([named, possible].concat()),
    };
    ProbeReport { slave, functions: functions(evidence), candidates, verdict }
}

fn functions(evidence: &Evidence) -> BTreeMap<Function, Support> {
    let mut functions = BTreeMap::new();
    for (question, answer) in evidence {
        let support = match answer {
            Ok(_) => Support::Answers,
            Err(NoData::Exception(ILLEGAL_FUNCTION)) => Support::Unknown,
            Err(NoData::Exception(_)) => Support::NothingThere,
            Err(_) => Support::Silent,
        };
        let known = functions.entry(question.function).or_insert(support);
        let rank = |support: Support| match support {
            Support::Silent => 0,
            Support::Unknown => 1,
            Support::NothingThere => 2,
            Support::Answers => 3,
        };
        if rank(support) > rank(*known) {
            *known = support;
        }
    }
    functions
}

fn candidate(slave: u8, name: &str, profile: &SensorProfile, evidence: &Evidence) -> Candidate {
    let answers: Answers =
        evidence.iter().filter_map(|(question, answer)| Some((*question, answer.clone().ok()?))).collect();
    let number = |register: &super::register::Register| {
        for question in register.questions() {
            if let Some(Err(why)) = evidence.get(&question) {
                return Err(*why);
            }
        }
        register.interpret(&answers)
    };
    let reading = profile.probe.get(FIRST_PROBE).map(|register| number(register).map(MilliCelsius));
    let fit = match misfit(profile, &number, evidence) {
        Some(why) => Fit::No { why },
        None => named(slave, profile, &answers),
    };
    Candidate { profile: name.to_owned(), title: profile.title.clone(), fit, reading }
}

/// Why the profile cannot be the device's, by what its registers hold.
fn misfit(
    profile: &SensorProfile,
    number: &impl Fn(&super::register::Register) -> Result<i32, NoData>,
    evidence: &Evidence,
) -> Option<String> {
    for (name, register) in &profile.probe {
        match number(register) {
            Ok(_) | Err(NoData::NoProbe) => {}
            // Not every model of a family has every probe.
            Err(NoData::Exception(_)) if name != FIRST_PROBE => {}
            Err(why) => return Some(format!("probe {name}: {}", short(why))),
        }
    }
    if let Some(humidity) = &profile.humidity {
        match number(humidity) {
            Ok(_) | Err(NoData::NoProbe) => {}
            Err(why) => return Some(format!("humidity: {}", short(why))),
        }
    }
    if profile.probe.is_empty() {
        for (name, point) in &profile.input {
            if let Some(Err(why)) = evidence.get(&point.question()) {
                return Some(format!("contact {name}: {}", short(*why)));
            }
        }
    }
    None
}

fn short(why: NoData) -> String {
    match why {
        NoData::OutOfRange(value) => format!("{} is impossible", MilliCelsius(value)),
        NoData::Exception(code) => format!("refused with exception {code}"),
        NoData::Timeout => "no answer".into(),
        other => other.code().replace('_', " "),
    }
}

/// An address below this may stand in any register by chance: settings and codes are small numbers.
const TELLING_ADDRESS_MIN: u8 = 10;

fn named(slave: u8, profile: &SensorProfile, answers: &Answers) -> Fit {
    let mut telling = false;
    for identity in &profile.identify {
        let question = identity.question();
        match answers.get(&question) {
            Some(words) if identity.fits(slave, words) => {
                telling |= identity.is != Expected::Address || slave >= TELLING_ADDRESS_MIN;
            }
            Some(words) => {
                let told: Vec<String> = words.iter().map(|word| format!("{word:#06x}")).collect();
                return Fit::No {
                    why: format!("what names it, register {}, holds {}", question.register, told.join(" ")),
                };
            }
            None => {
                return Fit::No {
                    why: format!("what names it, register {}, is not there", question.register),
                };
            }
        }
    }
    if telling { Fit::Named } else { Fit::Possible }
}

/// For a technician: the verdict, what to do, and what each profile that fits would read.
impl fmt::Display for ProbeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {}: ", self.slave)?;
        match &self.verdict {
            Verdict::Silent(why) => return write!(f, "{why}"),
            Verdict::Fits(profile) => write!(f, "this fits {profile}")?,
            Verdict::CannotTell(profiles) => {
                write!(f, "this may be {}: compare with a thermometer", profiles.join(" or "))?;
                if self.slave < TELLING_ADDRESS_MIN && profiles.len() > 1 {
                    write!(f, ", or give it an address from {TELLING_ADDRESS_MIN} on and probe again")?;
                }
            }
            Verdict::Unknown => {
                f.write_str("it answers, and fits no profile: write one from its manual")?;
            }
        }
        for one in self.candidates.iter().filter(|one| !matches!(one.fit, Fit::No { .. })) {
            let reads = match one.reading {
                Some(Ok(temperature)) => format!("reads {temperature}"),
                Some(Err(why)) => format!("reads nothing ({})", short(why)),
                None => "has contacts alone".into(),
            };
            write!(f, "\n  {} {reads}: {}", one.profile, one.title)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a device with these holding and input registers answers to all that the profiles ask.
    fn evidence(holding: &[(u16, u16)], input: &[(u16, u16)]) -> Evidence {
        let profiles = SensorProfiles::built_in().unwrap();
        let asked: BTreeSet<Question> = profiles.iter().flat_map(|(_, profile)| questions(profile)).collect();
        let answer = |question: &Question| {
            let bank = match question.function {
                Function::Holding => holding,
                Function::Input => input,
                Function::Coils | Function::DiscreteInputs => {
                    return Err(NoData::Exception(ILLEGAL_FUNCTION));
                }
            };
            (question.register..question.register + question.count)
                .map(|wanted| bank.iter().find(|(register, _)| *register == wanted).map(|(_, word)| *word))
                .collect::<Option<Vec<u16>>>()
                .ok_or(NoData::Exception(2))
        };
        asked.into_iter().map(|question| (question, answer(&question))).collect()
    }

    fn verdict(slave: u8, evidence: &Evidence) -> (Verdict, String) {
        let report = judge(slave, &SensorProfiles::built_in().unwrap(), evidence);
        let text = report.to_string();
        (report.verdict, text)
    }

    #[test]
    fn a_clone_that_tells_hundredths_is_not_taken_for_the_one_that_tells_tenths() {
        // 4.21 °C and 45.10 %: as tenths it would be 42.1 °C and 451 %.
        let (clone, text) = verdict(1, &evidence(&[], &[(1, 421), (2, 4_510)]));
        assert_eq!(clone, Verdict::CannotTell(vec!["md02".into()]), "{text}");
        // Its address and its speed stand where a controller has its probes: 0.1 °C is possible too, and is said.
        let (clone, text) = verdict(1, &evidence(&[(256, 1), (257, 2)], &[(1, 421), (2, 4_510)]));
        let all = ["dixell-xjp60d", "dixell-xr", "md02"].map(String::from);
        assert_eq!(clone, Verdict::CannotTell(all.into()), "{text}");
        assert!(text.contains("md02 reads 4.2 °C") && text.contains("compare with a thermometer"), "{text}");
    }

    #[test]
    fn what_cannot_be_told_apart_is_said_with_what_each_profile_would_read() {
        // 4.2 °C and 45.0 %; as hundredths 0.42 °C and 4.5 %, which is dry, and possible.
        let device = |address| evidence(&[(257, address), (258, 0)], &[(1, 42), (2, 450)]);
        let (small, text) = verdict(1, &device(1));
        assert_eq!(small, Verdict::CannotTell(vec!["md02".into(), "xy-md02".into()]), "{text}");
        assert!(text.contains("xy-md02 reads 4.2 °C") && text.contains("md02 reads 0.4 °C"), "{text}");
        assert!(text.contains("an address from 10 on"), "{text}");
        let (named, text) = verdict(17, &device(17));
        assert_eq!(named, Verdict::Fits("xy-md02".into()), "{text}");
        let (other, text) = verdict(17, &device(3));
        assert_eq!(other, Verdict::CannotTell(vec!["md02".into()]), "{text}");
    }

    #[test]
    fn a_status_word_is_not_taken_for_a_probe() {
        let registers: Vec<(u16, u16)> =
            (256..268).map(|register| (register, if register % 2 == 0 { 42 } else { 0x1102 })).collect();
        let (module, text) = verdict(3, &evidence(&registers, &[]));
        assert_eq!(module, Verdict::CannotTell(vec!["dixell-xjp60d".into()]), "{text}");
        let (controller, text) = verdict(3, &evidence(&[(256, 42), (257, 0xffc0), (258, 0x8000)], &[]));
        // Whatever a controller's second probe tells may be a status as well; both read the first one alike.
        assert_eq!(
            controller,
            Verdict::CannotTell(vec!["dixell-xjp60d".into(), "dixell-xr".into()]),
            "{text}"
        );
        assert_eq!(text.matches("reads 4.2 °C").count(), 2, "{text}");
    }

    #[test]
    fn a_serial_number_in_decimals_names_a_transmitter() {
        let comet = |serial| evidence(&[(0x1034, serial), (0x1035, 0x0042), (0x30, 42)], &[]);
        assert_eq!(verdict(1, &comet(0x1296)).0, Verdict::Fits("comet-t".into()));
        assert_eq!(verdict(1, &comet(0x12a6)).0, Verdict::Unknown);
    }

    #[test]
    fn a_device_that_fits_nothing_is_unknown_and_one_that_is_silent_is_silent() {
        let (unknown, text) = verdict(1, &evidence(&[(0, 7)], &[]));
        assert_eq!(unknown, Verdict::Unknown);
        assert!(text.contains("write one from its manual"), "{text}");
        let silent: Evidence =
            evidence(&[], &[]).into_keys().map(|question| (question, Err(NoData::Timeout))).collect();
        assert_eq!(verdict(1, &silent).0, Verdict::Silent(NoData::Timeout));
    }

    #[test]
    fn what_a_device_makes_of_each_function_is_reported() {
        let report = judge(1, &SensorProfiles::built_in().unwrap(), &evidence(&[], &[(1, 42), (2, 450)]));
        let support = |function| report.functions[&function];
        assert_eq!(support(Function::Input), Support::Answers);
        assert_eq!(support(Function::Holding), Support::NothingThere);
        assert_eq!(support(Function::Coils), Support::Unknown);
    }

    #[test]
    fn a_function_that_is_unknown_or_met_with_silence_is_not_asked_for_ever() {
        let ask = |register| Question::one(Function::Coils, register);
        let mut evidence = Evidence::from([(ask(1), Err(NoData::Timeout))]);
        assert_eq!(hopeless(&evidence, ask(9)), None);
        evidence.insert(ask(2), Err(NoData::Crc));
        assert_eq!(hopeless(&evidence, ask(9)), Some(NoData::Crc));
        assert_eq!(hopeless(&evidence, Question::one(Function::Input, 9)), None);
        evidence.insert(ask(3), Err(NoData::Exception(1)));
        assert_eq!(hopeless(&evidence, ask(9)), Some(NoData::Exception(1)));
    }
}
