//! What the page for devices looks like, rendered from the board alone.

use askama::Template;
use axum::{
    extract::{Extension, Path},
    response::{IntoResponse, Redirect, Response},
};
use pestle_domain::{ids::TillId, staff::Permission};
use pestle_drivers::scanner::{
    learn::sheet::TestCode,
    programming::{Comes, Purpose},
};

use super::Desk;
use crate::{
    counter::{
        command::StationId,
        view::{Person, TillView},
    },
    devices::{
        board::{Board, Shown},
        desk::Devices,
        listed::Kind,
        other_kind::OtherKind,
        trial::Tried,
        work::Learning,
    },
    web::{
        assets,
        makers_codes::{ForScanner, MakersCodes},
        pages,
    },
};

/// What a browser sees of the board.
pub(super) struct Seen {
    till: TillId,
    till_name: String,
    person: Option<Person>,
    /// The person may do something.
    may: bool,
    board: Board,
    sheet_printers: std::collections::BTreeMap<String, String>,
    /// Printers that sound alarms.
    sounding: std::collections::BTreeSet<String>,
}

#[derive(Template)]
#[template(path = "devices.html")]
struct DevicesPage<'a> {
    seen: &'a Seen,
    version: &'a str,
    who: String,
    questions: String,
    devices: String,
    loose: String,
}

#[derive(Template)]
#[template(path = "devices_who.html")]
struct Who<'a> {
    seen: &'a Seen,
}

#[derive(Template)]
#[template(path = "devices_questions.html")]
struct Questions<'a> {
    seen: &'a Seen,
}

#[derive(Template)]
#[template(path = "devices_cards.html")]
struct Cards<'a> {
    seen: &'a Seen,
}

#[derive(Template)]
#[template(path = "devices_loose.html")]
struct LooseOnes<'a> {
    seen: &'a Seen,
}

impl Seen {
    /// What the browser of `station` sees.
    pub(super) fn by(station: &StationId, view: &TillView, devices: &Devices) -> Self {
        let view = view.seen_by(station);
        let may = view.signed_in.as_ref().is_some_and(|person| person.role.may(Permission::MendDevices));
        let mut board = devices.board(&view);
        if !may {
            // What a scanner reads is for those who serve here.
            for device in &mut board.devices {
                device.work = None;
            }
        }
        if view.signed_in.is_none() {
            // Where devices are on the network, and their numbers, are nobody else's concern.
            board.loose.clear();
            for device in &mut board.devices {
                device.listed.address.clear();
                (device.is, device.other_kind) = (None, None);
            }
        }
        let printers = board.devices.iter().filter_map(|device| {
            let name = &device.listed.name;
            Some((name.clone(), devices.sheet_printer(name)?))
        });
        let sheet_printers = printers.collect();
        let names = board.devices.iter().map(|device| device.listed.name.clone());
        let sounding = names.filter(|name| devices.sounds(name)).collect();
        Self {
            till: view.till,
            till_name: view.till_name,
            person: view.signed_in,
            may,
            board,
            sheet_printers,
            sounding,
        }
    }

    /// All pieces of the page: the name of each place, and what belongs there.
    ///
    /// # Errors
    /// A template failed, which none of ours can on any board.
    pub(super) fn fragments(&self) -> Result<Vec<pages::Fragment>, askama::Error> {
        Ok(vec![
            ("questions", Questions { seen: self }.render()?),
            ("devices", Cards { seen: self }.render()?),
            ("loose", LooseOnes { seen: self }.render()?),
            ("who", Who { seen: self }.render()?),
        ])
    }

    fn page(&self) -> Result<String, askama::Error> {
        DevicesPage {
            seen: self,
            version: assets::version(),
            who: Who { seen: self }.render()?,
            questions: Questions { seen: self }.render()?,
            devices: Cards { seen: self }.render()?,
            loose: LooseOnes { seen: self }.render()?,
        }
        .render()
    }

    fn sheet_printer(&self, scanner: &str) -> Option<&String> {
        self.sheet_printers.get(scanner)
    }

    /// For the codes of makers: the scanner of a card, which comes as it is configured.
    fn scanner<'a>(&'a self, one: &'a Shown) -> ForScanner<'a> {
        let comes = match one.listed.kind {
            Kind::SerialScanner => Comes::OverLine,
            _ => Comes::AsKeys,
        };
        let name = one.listed.name.as_str();
        ForScanner { till: &self.till, name, comes, printer: self.sheet_printer(name) }
    }

    /// What any maker's codes can do for it.
    fn makers(&self, one: &Shown) -> MakersCodes {
        self.scanner(one).all()
    }

    /// What makes it the kind that is configured.
    fn converts(&self, one: &Shown, other: &OtherKind) -> MakersCodes {
        let scanner = ForScanner { comes: other.comes, ..self.scanner(one) };
        scanner.mending("kind", &[other.purpose])
    }

    /// What mends a fault that learning found.
    fn mends(&self, one: &Shown, purposes: &[Purpose]) -> MakersCodes {
        self.scanner(one).mending("fault", purposes)
    }
}

/// What a device's button says that makes it show itself.
fn identify_words(one: &Shown) -> &'static str {
    match one.listed.kind {
        kind if kind.is_scanner() => "What does it read?",
        Kind::SensorLine => "Let its lamps flicker",
        _ => "Print its name",
    }
}

/// A sentence out of a driver's words: with a capital, unless a device's name stands first, and with its end.
fn sentence(text: &str, name: &str) -> String {
    let mut letters = text.chars();
    let first: String = match letters.next() {
        Some(first) if name.is_empty() || !text.starts_with(name) => first.to_uppercase().collect(),
        Some(first) => first.to_string(),
        None => return String::new(),
    };
    let end = if text.ends_with(['.', '?', '!', ')']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

fn codes(learning: &Learning) -> Vec<(TestCode, bool)> {
    TestCode::ALL.into_iter().map(|code| (code, learning.read.contains(&code))).collect()
}

/// The style of what came of a trial.
fn tried_tone(tried: &Tried) -> &'static str {
    match tried {
        Tried::Works(_) => "ok",
        Tried::CannotTell(_) | Tried::Unknown(_) => "warn",
        Tried::Away(_) | Tried::Broken(_) => "bad",
    }
}

fn tried_words(tried: &Tried, name: &str) -> String {
    match tried {
        Tried::Works(words) | Tried::CannotTell(words) => sentence(words, name),
        Tried::Unknown(reason) => {
            format!("It is not known whether it came out: {reason}. It is not printed again by itself.")
        }
        Tried::Away(reason) => format!("It is not there: {reason}."),
        Tried::Broken(reason) => sentence(reason, name),
    }
}

/// `GET /till/{till}/devices`.
pub(super) async fn page(
    desk: Desk,
    Extension(station): Extension<StationId>,
    Path(till): Path<TillId>,
) -> Response {
    match desk.counter.watch(&till) {
        Some(view) => {
            let view = view.borrow().clone();
            pages::page(Seen::by(&station, &view, &desk.devices).page())
        }
        None => Redirect::to("/devices").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_s_words_become_a_sentence_and_a_device_s_name_stays_as_it_is() {
        assert_eq!(sentence("the printer is out of paper", "printer-1"), "The printer is out of paper.");
        assert_eq!(sentence("printer-1 came and went", "printer-1"), "printer-1 came and went.");
        assert_eq!(sentence("Is it there?", "a"), "Is it there?");
        assert_eq!(sentence("", "a"), "");
        assert_eq!(sentence("it has no number", ""), "It has no number.");
    }
}
