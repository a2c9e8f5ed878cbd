//! What the page for devices shows, as data: each device with its state in words and what to do next, what is asked, and what
//! is attached without a name. Pure.

use std::{collections::BTreeMap, path::PathBuf};

use pestle_domain::units::UnixMillis;
use pestle_drivers::find::{
    binding::Fingerprint,
    device::{DeviceKind, FoundDevice, Remark, Sends},
};

use super::{
    listed::Listed,
    other_kind::{OtherKind, other_kind},
    questions::Card,
    scanner::Proof,
    work::{AllWork, Work},
};
use crate::counter::view::{DeviceState, DeviceView, ReadingView};

/// All that is known at a moment.
pub struct Sources<'a> {
    /// As configured.
    pub listed: &'a [Listed],
    /// As the drivers told last.
    pub devices: &'a [DeviceView],
    /// As the sensors told last.
    pub readings: &'a [ReadingView],
    /// Since when each is so.
    pub since: &'a BTreeMap<String, UnixMillis>,
    /// What is plugged in.
    pub attached: &'a [FoundDevice],
    /// Device files that have a name.
    pub files: &'a BTreeMap<PathBuf, String>,
    /// What is asked.
    pub cards: Vec<Card>,
    /// How far each scanner is believed.
    pub proofs: &'a BTreeMap<String, Proof>,
    /// What is done by hand.
    pub work: &'a AllWork,
    /// A moment on the branch's clock, where its time zone is known.
    pub local: &'a dyn Fn(UnixMillis) -> Option<String>,
    /// This moment.
    pub now: UnixMillis,
}

impl std::fmt::Debug for Sources<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sources").field("now", &self.now).finish_non_exhaustive()
    }
}

/// What the page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// What is asked.
    pub questions: Vec<Card>,
    /// Each device.
    pub devices: Vec<Shown>,
    /// What is attached and has no name.
    pub loose: Vec<Loose>,
}

/// How a state is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Light {
    /// It works.
    Good,
    /// Somebody should look.
    Look,
    /// It does not work.
    Bad,
}

impl Light {
    /// For the style.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Look => "warn",
            Self::Bad => "bad",
        }
    }
}

/// A device on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// As configured.
    pub listed: Listed,
    /// What stands there, as it calls itself.
    pub is: Option<String>,
    /// What stands there is set up as another kind of scanner than is configured.
    pub other_kind: Option<OtherKind>,
    /// How it is.
    pub state: Told,
    /// What hangs on a line, one by one.
    pub members: Vec<(String, Told)>,
    /// How far a scanner is believed.
    pub proof: Option<Told>,
    /// What is being done with it.
    pub work: Option<Work>,
    /// Seconds that are left of a trial.
    pub left_s: Option<i64>,
}

impl Shown {
    /// Nothing is being done with it, so that something can be begun.
    pub fn is_free(&self) -> bool {
        !matches!(&self.work, Some(Work::Learning(_))) && self.work.as_ref().is_none_or(Work::has_ended)
    }
}

/// A state in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// How it is meant.
    pub light: Light,
    /// In a word or two.
    pub word: String,
    /// What happened and what to do next, where there is something to say.
    pub detail: Option<String>,
}

/// Something that is attached and has no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loose {
    /// As it calls itself.
    pub name: String,
    /// What it is and where.
    pub what: String,
    /// How it can be bound.
    pub selectors: Vec<String>,
    /// What to know before.
    pub remark: Option<String>,
}

/// Puts everything together.
pub fn board(sources: &Sources<'_>) -> Board {
    let loose = sources.attached.iter().filter(|device| is_loose(sources, device));
    Board {
        questions: sources.cards.clone(),
        devices: sources.listed.iter().map(|listed| shown(sources, listed)).collect(),
        loose: loose.map(of_nobody).collect(),
    }
}

/// Nobody binds a mouse, a power button or the system's console.
fn is_loose(sources: &Sources<'_>, device: &FoundDevice) -> bool {
    let useless = matches!(device.kind, DeviceKind::Input { sends: Sends::NoKeys | Sends::SomeKeys, .. })
        || device.remark == Some(Remark::Console);
    // What a question is about stands there.
    let asked = sources.cards.iter().flat_map(|card| &card.seen).any(|seen| *seen == Fingerprint::of(device));
    !useless && !asked && !sources.files.contains_key(&device.file)
}

fn of_nobody(device: &FoundDevice) -> Loose {
    Loose {
        name: device.name(),
        what: device.words(),
        selectors: device.selectors.iter().map(ToString::to_string).collect(),
        remark: device.remark.as_ref().map(Remark::words),
    }
}

fn shown(sources: &Sources<'_>, listed: &Listed) -> Shown {
    let members: Vec<(String, Told)> =
        listed.members.iter().map(|name| (name.clone(), state(sources, name))).collect();
    let work = sources.work.get(&listed.name).cloned();
    let busy = match &work {
        Some(Work::Trying { .. }) => Some("is tried"),
        Some(Work::Learning(learning)) if learning.end.is_none() => Some("learns"),
        _ => None,
    };
    let state = match (asks(sources, listed), busy, members.is_empty()) {
        (Some(told), ..) => told,
        (None, Some(word), _) => Told { light: Light::Look, word: word.to_owned(), detail: None },
        (None, None, true) => state(sources, &listed.name),
        (None, None, false) => of_line(&members),
    };
    let left_s = match &work {
        Some(Work::Trying { until, .. }) => Some((until.0 - sources.now.0 + 999) / 1_000),
        _ => None,
    };
    let there = sources.attached.iter().find(|device| sources.files.get(&device.file) == Some(&listed.name));
    let is = there.map(|device| Fingerprint::of(device).to_string());
    let proof = sources.proofs.get(&listed.name).map(|proof| proof_words(sources, proof));
    let other_kind = other_kind(listed, sources.attached, sources.files).filter(|_| there.is_none());
    Shown { listed: listed.clone(), is, other_kind, state, members, proof, work, left_s }
}

/// A person has to say which device it is.
fn asks(sources: &Sources<'_>, listed: &Listed) -> Option<Told> {
    let card = sources
        .cards
        .iter()
        .find(|card| card.about.iter().any(|name| name.as_str() == listed.keeper_name))?;
    let (word, detail) = match card.left_alone {
        false => ("asks", "It is not used before somebody has answered the question above."),
        true => (
            "left alone",
            "Another device stands in its place, and it was decided not to use it: plug the right one in, or answer otherwise above.",
        ),
    };
    Some(Told { light: Light::Bad, word: word.to_owned(), detail: Some(detail.to_owned()) })
}

/// The worst of what hangs on it.
fn of_line(members: &[(String, Told)]) -> Told {
    let worst = members.iter().map(|(_, told)| told.light).max().unwrap_or(Light::Good);
    let word = match worst {
        Light::Good => "all answer",
        Light::Look => "look at it",
        Light::Bad => "something does not answer",
    };
    Told { light: worst, word: word.to_owned(), detail: None }
}

fn state(sources: &Sources<'_>, name: &str) -> Told {
    let reading = sources.readings.iter().find(|reading| reading.sensor == name);
    let Some(device) = sources.devices.iter().find(|device| device.name == name) else {
        return match reading {
            Some(reading) => of_reading(reading),
            None => Told {
                light: Light::Look,
                word: "not heard of yet".to_owned(),
                detail: Some("The box has just begun to look for it.".to_owned()),
            },
        };
    };
    let since = sources.since.get(name).and_then(|at| (sources.local)(*at));
    let since =
        |word: &str| since.as_ref().map_or_else(|| word.to_owned(), |at| format!("{word} since {at}"));
    match (device.state, reading) {
        (DeviceState::Ok, Some(reading)) => of_reading(reading),
        (DeviceState::Ok, None) => {
            Told { light: Light::Good, word: since("attached"), detail: device.detail.clone() }
        }
        (DeviceState::Trouble, _) => {
            Told { light: Light::Look, word: since("look at it"), detail: device.detail.clone() }
        }
        (DeviceState::Away, _) => {
            Told { light: Light::Bad, word: since("missing"), detail: device.detail.clone() }
        }
    }
}

fn of_reading(reading: &ReadingView) -> Told {
    match (reading.milli_celsius, &reading.missing) {
        (Some(degrees), _) => Told { light: Light::Good, word: degrees.to_string(), detail: None },
        (None, missing) => Told { light: Light::Bad, word: "no reading".to_owned(), detail: missing.clone() },
    }
}

fn proof_words(sources: &Sources<'_>, proof: &Proof) -> Told {
    let told = |light, word: String, detail: &str| Told {
        light,
        word,
        detail: Some(detail.to_owned()).filter(|text| !text.is_empty()),
    };
    match proof {
        Proof::Learned(at) => {
            let at = at.and_then(|at| (sources.local)(at)).map(|at| format!(" at {at}")).unwrap_or_default();
            told(Light::Good, format!("learned{at}"), "")
        }
        Proof::Configured => told(Light::Good, "believed by the configuration".to_owned(), ""),
        Proof::NotEnough => told(
            Light::Look,
            "unproved".to_owned(),
            "It has learned, and cannot be believed as it is set up: lots and serial numbers are not taken from it. Let it learn, and see what mends it.",
        ),
        Proof::Another => told(
            Light::Look,
            "unproved".to_owned(),
            "Another scanner came in its place, or it was set up anew: it sells by the article's number alone until it has learned.",
        ),
        Proof::Never => told(
            Light::Look,
            "unproved".to_owned(),
            "It has not learned yet: it sells by the article's number alone, without lots and serial numbers.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::listed::Kind;
    use pestle_drivers::{
        device::DeviceName,
        find::{
            device::DeviceClass,
            question::{Asked, Question},
            selector::Selector,
        },
    };

    fn listed(name: &str, kind: Kind, members: &[&str]) -> Listed {
        Listed {
            name: name.to_owned(),
            keeper_name: name.to_owned(),
            kind,
            till: None,
            till_name: None,
            address: "usb-port:1-1".to_owned(),
            path: None,
            members: members.iter().map(|name| (*name).to_owned()).collect(),
            papers: BTreeMap::new(),
        }
    }

    fn told(name: &str, state: DeviceState, detail: &str) -> DeviceView {
        let detail = Some(detail.to_owned()).filter(|detail| !detail.is_empty());
        DeviceView { name: name.into(), class: "printer".into(), state, detail }
    }

    /// The board of one device.
    fn shown(listed: &[Listed], devices: &[DeviceView], cards: Vec<Card>) -> Shown {
        let sources = Sources {
            listed,
            devices,
            readings: &[],
            since: &BTreeMap::from([("printer-1".to_owned(), UnixMillis(0))]),
            attached: &[],
            files: &BTreeMap::new(),
            cards,
            proofs: &BTreeMap::new(),
            work: &AllWork::new(),
            local: &|_| Some("15:04".to_owned()),
            now: UnixMillis(0),
        };
        board(&sources).devices.remove(0)
    }

    #[test]
    fn a_missing_device_says_since_when_and_what_to_check() {
        let printer = [listed("printer-1", Kind::ReceiptPrinter, &[])];
        let away = told("printer-1", DeviceState::Away, "check its cable");
        let shown = shown(&printer, &[away], vec![]);
        assert_eq!((shown.state.light, shown.state.word.as_str()), (Light::Bad, "missing since 15:04"));
        assert_eq!(shown.state.detail.as_deref(), Some("check its cable"));
    }

    #[test]
    fn a_device_that_is_asked_about_points_to_the_question_whatever_its_driver_says() {
        let question = Question::OtherDevice {
            bound: Fingerprint {
                class: DeviceClass::Serial,
                vendor: None,
                product: None,
                serial: None,
                name: "A".into(),
            },
            seen: Fingerprint {
                class: DeviceClass::Serial,
                vendor: None,
                product: None,
                serial: None,
                name: "B".into(),
            },
        };
        let asked = BTreeMap::from([(
            DeviceName::new("fridge-1"),
            Asked { question, left_alone: false, there: None },
        )]);
        let cards = super::super::questions::cards(&asked, DeviceName::to_string);
        let line = [listed("fridge-1", Kind::SensorLine, &["fridge-1", "door"])];
        let shown = shown(&line, &[told("door", DeviceState::Ok, "")], cards);
        assert_eq!((shown.state.word.as_str(), shown.members.len()), ("asks", 2));
    }

    #[test]
    fn what_has_no_name_is_listed_and_what_nobody_binds_is_not() {
        let device = |file: &str, sends| FoundDevice {
            file: file.into(),
            kind: DeviceKind::Input { name: "Model".into(), phys: String::new(), uniq: String::new(), sends },
            usb: None,
            selectors: vec!["phys:a".parse::<Selector>().unwrap()],
            remark: None,
        };
        let attached = [
            device("/dev/input/event1", Sends::Text),
            device("/dev/input/event2", Sends::NoKeys),
            device("/dev/input/event3", Sends::Text),
        ];
        let sources = Sources {
            listed: &[],
            devices: &[],
            readings: &[],
            since: &BTreeMap::new(),
            attached: &attached,
            files: &BTreeMap::from([("/dev/input/event3".into(), "scanner".to_owned())]),
            cards: vec![],
            proofs: &BTreeMap::new(),
            work: &AllWork::new(),
            local: &|_| None,
            now: UnixMillis(0),
        };
        let loose = board(&sources).loose;
        assert_eq!(loose.len(), 1);
        assert_eq!(loose[0].selectors, ["phys:a"]);
    }
}
