//! What becomes of a name when devices come, go, come back elsewhere, are exchanged or flap. Pure: the caller looks
//! and owns the clock.
//!
//! | what is seen | what is decided |
//! |---|---|
//! | a device with its own serial number, at any port | it is the same device; another port is told |
//! | the same kind at the port of its binding | it is the same device |
//! | something else at the port of a binding | a question, and nothing is used under the name |
//! | what was bound as B at the port of A | the question names B |
//! | two that look alike were away at the same time, and did not go together | a question: they may have been exchanged. It stays until it is answered, also when the box begins anew |
//! | the port of A is empty, and what looks like A came at a port that nobody has bound | a question |
//! | a device that goes too often ([`flaps`](super::flaps)) | told once, rested, taken back |

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    binding::{Fingerprint, Wanted},
    change::{Change, NoSuchQuestion, Spot, Standing},
    device::FoundDevice,
    flaps::Flaps,
    question::{Answer, Asked, Question},
    selector::{ResolveError, Selector, UsbPort},
};
use crate::device::DeviceName;

/// Two that go within this time have lost a hub or the mains: then each comes back where it was. A person pulls one
/// cable after the other.
pub const TOGETHER: Duration = Duration::from_secs(2);

/// All names of a box and what became of them.
#[derive(Debug, Clone, Default)]
pub struct Keeping {
    names: BTreeMap<DeviceName, Kept>,
    attached: Vec<FoundDevice>,
}

#[derive(Debug, Clone)]
struct Kept {
    wanted: Wanted,
    state: State,
    present: bool,
    flaps: Flaps,
    /// Where it was last.
    port: Option<UsbPort>,
    /// When it went last, and when it came back; `None` where that raises no doubt.
    absence: Option<(Instant, Option<Instant>)>,
}

/// ```text
/// Away ──► Here ──► Away
///   │        │
///   ▼        ▼
/// Asking ─► LeftAlone          Resting ◄── any, when it flaps; ──► Away
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    // Away => Here | Asking | Resting
    Away(String),
    // Here => Away | Asking | Resting
    Here(Spot),
    // Asking => Away | Here | LeftAlone | Resting
    Asking(Question),
    // LeftAlone => Away | Here | Asking (something else, or another answer) | Resting
    LeftAlone(Question),
    // Resting => Away
    Resting,
}

impl Keeping {
    /// With the names of the configuration.
    #[must_use]
    pub fn new(wanted: impl IntoIterator<Item = Wanted>) -> Keeping {
        let kept = |wanted: Wanted| {
            let state = State::Away("it has not been looked for yet".to_owned());
            let (flaps, port, absence) = (Flaps::default(), None, None);
            (wanted.name.clone(), Kept { wanted, state, present: false, flaps, port, absence })
        };
        Keeping { names: wanted.into_iter().map(kept).collect(), attached: Vec::new() }
    }

    /// Takes in what is attached now.
    pub fn see(&mut self, now: Instant, attached: Vec<FoundDevice>) -> Vec<Change> {
        self.attached = attached;
        let mut changes = Vec::new();
        let names: Vec<DeviceName> = self.names.keys().cloned().collect();
        // First what came and went of all, since the answer for one depends on the others.
        for name in &names {
            let found = self.device_of(name).cloned();
            let Some(kept) = self.names.get_mut(name) else { continue };
            kept.note(now, found.is_ok());
        }
        for name in &names {
            changes.extend(self.note_doubt(name));
        }
        for name in &names {
            let next = self.decide(now, name, &mut changes);
            let Some(kept) = self.names.get_mut(name) else { continue };
            let before = std::mem::replace(&mut kept.state, next);
            tell(name, &before, &kept.state, &mut changes);
        }
        changes
    }

    /// When to look again though nothing happens: a rest ends.
    #[must_use]
    pub fn next_look(&self) -> Option<Instant> {
        let resting = self.names.values().filter(|kept| kept.state == State::Resting);
        resting.filter_map(|kept| kept.flaps.rested_at()).min()
    }

    /// May this be opened? `None` for a name that is not kept.
    #[must_use]
    pub fn standing(&self, name: &DeviceName) -> Option<Standing> {
        let kept = self.names.get(name)?;
        Some(match &kept.state {
            State::Here(spot) => Standing::Here(spot.clone()),
            State::Away(why) => Standing::Not(why.clone()),
            State::Asking(question) => Standing::Not(question.words(name, |one| self.called(one))),
            State::LeftAlone(_) => Standing::Not(format!(
                "another device stands where {name} was, and it was decided not to use it: plug {name} in, or answer otherwise on the page for devices"
            )),
            State::Resting => Standing::Not(format!(
                "{name} came and went {} times within {} s and is left alone until it has kept still for {} s: check its plug, its cable and its hub",
                super::flaps::GOINGS,
                super::flaps::WITHIN.as_secs(),
                super::flaps::REST.as_secs(),
            )),
        })
    }

    /// What is asked about a name, also where it was left alone.
    #[must_use]
    pub fn asked(&self, name: &DeviceName) -> Option<Asked> {
        let asked = |question: &Question, left_alone| Asked {
            question: question.clone(),
            left_alone,
            there: self.asked_about(name, question).map(Spot::of),
        };
        match &self.names.get(name)?.state {
            State::Asking(question) => Some(asked(question, false)),
            State::LeftAlone(question) => Some(asked(question, true)),
            State::Away(_) | State::Here(_) | State::Resting => None,
        }
    }

    /// The device that a question is about.
    fn asked_about(&self, name: &DeviceName, question: &Question) -> Option<&FoundDevice> {
        match question {
            Question::Moved { seen, to } => self.attached.iter().find(|device| {
                device.usb.as_ref().is_some_and(|usb| usb.port == *to)
                    && Fingerprint::of(device).looks_like(seen)
            }),
            _ => self.device_of(name).ok(),
        }
    }

    /// What people call it.
    fn called(&self, name: &DeviceName) -> String {
        self.names.get(name).map_or_else(|| name.to_string(), |kept| kept.wanted.called.clone())
    }

    /// A person has answered. What follows from it is told by the next [`Keeping::see`], which should come at once.
    ///
    /// # Errors
    /// Nothing was asked, or this is no answer to it.
    pub fn answer(&mut self, name: &DeviceName, answer: Answer) -> Result<Vec<Change>, NoSuchQuestion> {
        let none = || NoSuchQuestion::about(name);
        let question = self.asked(name).ok_or_else(none)?.question;
        if !question.answers().contains(&answer) {
            return Err(none());
        }
        let changed = match (answer, question) {
            (Answer::LeaveAlone, question) => {
                self.set(name, |kept| kept.state = State::LeftAlone(question));
                return Ok(Vec::new());
            }
            (Answer::FollowTheDevice, Question::Swapped { with, .. } | Question::PerhapsSwapped { with }) => {
                self.exchange(name, &with);
                vec![name.clone(), with]
            }
            (_, Question::PerhapsSwapped { with }) => {
                for name in [name, &with] {
                    self.set(name, Kept::doubt_no_more);
                }
                vec![name.clone(), with]
            }
            (_, Question::OtherDevice { seen, .. } | Question::Swapped { seen, .. }) => {
                // By its own number, should it have one: the next time it is known at any port.
                let best = self.device_of(name).ok().and_then(|device| device.selectors.first().cloned());
                self.set(name, |kept| {
                    kept.wanted.seen = Some(seen);
                    if let Some(best) = best {
                        kept.wanted.selector = best;
                    }
                });
                vec![name.clone()]
            }
            (_, Question::Moved { to, .. }) => {
                self.set(name, |kept| kept.wanted.selector = moved(&kept.wanted.selector, to));
                vec![name.clone()]
            }
        };
        Ok(changed.iter().filter_map(|name| self.bound(name)).collect())
    }

    fn set(&mut self, name: &DeviceName, change: impl FnOnce(&mut Kept)) {
        if let Some(kept) = self.names.get_mut(name) {
            change(kept);
        }
    }

    /// Each name follows its device to the other's port.
    fn exchange(&mut self, one: &DeviceName, other: &DeviceName) {
        let selector =
            |keeping: &Keeping, name| keeping.names.get(name).map(|kept| kept.wanted.selector.clone());
        if let (Some(first), Some(second)) = (selector(self, one), selector(self, other)) {
            for (name, selector) in [(one, second), (other, first)] {
                self.set(name, |kept| {
                    kept.wanted.selector = selector;
                    kept.doubt_no_more();
                });
            }
        }
    }

    fn bound(&self, name: &DeviceName) -> Option<Change> {
        let binding = self.names.get(name)?.wanted.binding()?;
        Some(Change::Bound { name: name.clone(), binding })
    }

    /// The device that a name's selector leads to.
    fn device_of(&self, name: &DeviceName) -> Result<&FoundDevice, String> {
        let kept = self.names.get(name).ok_or_else(|| format!("{name} is not kept"))?;
        let wanted = &kept.wanted;
        let found = wanted.selector.find(wanted.class, &self.attached).or_else(|error| match &error {
            // A clone with the same number was plugged in beside it: what was used is the one that has not moved.
            ResolveError::Ambiguous { .. } => {
                let unmoved = |device: &&FoundDevice| {
                    wanted.selector.fits(device)
                        && device.class() == wanted.class
                        && kept.port.is_some()
                        && device.usb.as_ref().map(|usb| &usb.port) == kept.port.as_ref()
                };
                self.attached.iter().find(unmoved).ok_or_else(|| error.to_string())
            }
            ResolveError::Absent { .. } => Err(error.to_string()),
        })?;
        let by_number = |other: &&Kept| {
            let selector = &other.wanted.selector;
            matches!(selector, Selector::Usb { .. }) && other.wanted.name != *name && selector.fits(found)
        };
        match (&wanted.selector, self.names.values().find(by_number)) {
            (Selector::UsbPort { .. }, Some(other)) => {
                Err(format!("{} is plugged in where {name} was: give each its socket", other.wanted.name))
            }
            _ => Ok(found),
        }
    }

    /// The state that follows from what was seen.
    fn decide(&mut self, now: Instant, name: &DeviceName, changes: &mut Vec<Change>) -> State {
        let found = self.device_of(name).cloned();
        let Some(kept) = self.names.get_mut(name) else { return State::Resting };
        if kept.state == State::Resting {
            if kept.flaps.rested_at().is_some_and(|end| now < end) {
                return State::Resting;
            }
            kept.flaps.forget();
            changes.push(Change::Rested { name: name.clone() });
        } else if kept.flaps.too_many(now) {
            return State::Resting;
        }
        match found {
            Err(why) => self.moved_to(name).map_or(State::Away(why), |question| self.ask(name, question)),
            Ok(device) => match self.doubt(name, &device) {
                Some(question) => self.ask(name, question),
                None => self.take(name, &device, changes),
            },
        }
    }

    /// A question, unless it was answered with "leave it".
    fn ask(&self, name: &DeviceName, question: Question) -> State {
        match self.names.get(name).map(|kept| &kept.state) {
            Some(State::LeftAlone(left)) if *left == question => State::LeftAlone(question),
            _ => State::Asking(question),
        }
    }

    /// It is what it should be.
    fn take(&mut self, name: &DeviceName, device: &FoundDevice, changes: &mut Vec<Change>) -> State {
        if let Some(kept) = self.names.get_mut(name) {
            let port = device.usb.as_ref().map(|usb| usb.port.clone());
            if let (Some(from), Some(to)) = (&kept.port, &port)
                && from != to
            {
                changes.push(Change::Moved { name: name.clone(), from: from.clone(), to: to.clone() });
            }
            kept.port = port;
            if kept.wanted.seen.is_none() {
                kept.wanted.seen = Some(Fingerprint::of(device));
                changes.extend(self.bound(name));
            }
        }
        State::Here(Spot::of(device))
    }

    /// Why the device at a name's place may not be the one that was bound.
    fn doubt(&self, name: &DeviceName, device: &FoundDevice) -> Option<Question> {
        let kept = self.names.get(name)?;
        let bound = kept.wanted.seen.as_ref()?;
        let seen = Fingerprint::of(device);
        if bound.looks_like(&seen) {
            return self.perhaps_swapped(name);
        }
        let others = self.names.values().filter(|other| other.wanted.name != *name);
        let was = others.map(|other| &other.wanted).find(|other| {
            let is_it = other.seen.as_ref().is_some_and(|was| was.looks_like(&seen));
            // If the other stands where it belongs, this is one more of the same kind.
            is_it && !self.device_of(&other.name).is_ok_and(|there| Fingerprint::of(there).looks_like(&seen))
        });
        Some(match was {
            Some(other) => Question::Swapped { with: other.name.clone(), seen },
            None => Question::OtherDevice { bound: bound.clone(), seen },
        })
    }

    /// A doubt is kept until it is answered, over restarts too.
    fn note_doubt(&mut self, name: &DeviceName) -> Option<Change> {
        let twin = self.names.get(name).filter(|kept| kept.wanted.perhaps_swapped_with.is_none());
        let twin = twin.and_then(|_| self.exchangeable_twin(name))?;
        self.set(name, |kept| kept.wanted.perhaps_swapped_with = Some(twin));
        self.bound(name)
    }

    /// A question that is open, if the two may still be taken for each other.
    fn perhaps_swapped(&self, name: &DeviceName) -> Option<Question> {
        let wanted = &self.names.get(name)?.wanted;
        let twin = &self.names.get(wanted.perhaps_swapped_with.as_ref()?)?.wanted;
        wanted.is_twin_of(twin).then(|| Question::PerhapsSwapped { with: twin.name.clone() })
    }

    /// Was one that looks the same away at the same time, and did not go together with this one?
    fn exchangeable_twin(&self, name: &DeviceName) -> Option<DeviceName> {
        let kept = self.names.get(name)?;
        let (went, came) = kept.absence?;
        let twin = self.names.values().find(|other| {
            kept.wanted.is_twin_of(&other.wanted)
                && other.absence.is_some_and(|(twin_went, twin_came)| {
                    let apart = went.max(twin_went).saturating_duration_since(went.min(twin_went)) > TOGETHER;
                    let before = |end: Option<Instant>, begin| end.is_some_and(|end| end <= begin);
                    apart && !before(came, twin_went) && !before(twin_came, went)
                })
        })?;
        Some(twin.wanted.name.clone())
    }

    /// Its port is empty: does one that looks the same stand at a port that nobody has bound?
    fn moved_to(&self, name: &DeviceName) -> Option<Question> {
        let kept = self.names.get(name)?;
        let (Selector::UsbPort { .. }, Some(bound)) = (&kept.wanted.selector, &kept.wanted.seen) else {
            return None;
        };
        let mut free = self.attached.iter().filter(|device| {
            Fingerprint::of(device).looks_like(bound)
                && !self.names.values().any(|other| other.wanted.selector.fits(device))
        });
        match (free.next(), free.next()) {
            (Some(device), None) => {
                Some(Question::Moved { seen: Fingerprint::of(device), to: device.usb.as_ref()?.port.clone() })
            }
            _ => None,
        }
    }
}

impl Kept {
    fn doubt_no_more(&mut self) {
        self.absence = None;
        self.wanted.perhaps_swapped_with = None;
    }

    /// Notes whether it is there.
    fn note(&mut self, now: Instant, here: bool) {
        if here == self.present {
            return;
        }
        self.present = here;
        self.flaps.changed(now, here);
        self.absence = match (here, self.absence) {
            (false, _) => Some((now, None)),
            (true, Some((went, _))) => Some((went, Some(now))),
            (true, None) => None,
        };
    }
}

/// The same interface at another port.
fn moved(selector: &Selector, to: UsbPort) -> Selector {
    let interface = match selector {
        Selector::Usb { interface, .. } | Selector::UsbPort { interface, .. } => *interface,
        Selector::Tty(_) | Selector::Phys(_) => None,
    };
    Selector::UsbPort { port: to, interface }
}

fn tell(name: &DeviceName, before: &State, after: &State, changes: &mut Vec<Change>) {
    if before == after {
        return;
    }
    let name = || name.clone();
    match (before, after) {
        (State::Here(_), State::Here(spot)) => {
            let file = spot.file.clone();
            changes.extend([Change::Went { name: name() }, Change::Came { name: name(), file }]);
        }
        (State::Here(_), _) => changes.push(Change::Went { name: name() }),
        (_, State::Here(spot)) => changes.push(Change::Came { name: name(), file: spot.file.clone() }),
        _ => {}
    }
    match after {
        State::Asking(question) => changes.push(Change::Asks { name: name(), question: question.clone() }),
        State::Resting => changes.push(Change::Flaps { name: name() }),
        State::Away(_) | State::Here(_) | State::LeftAlone(_) => {}
    }
}

#[cfg(test)]
mod tests;
