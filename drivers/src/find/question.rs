//! What only a person can tell: which of two devices stands here. Pure.

use super::{binding::Fingerprint, change::Spot, selector::UsbPort};
use crate::device::DeviceName;

/// Why a device that is plugged in is not used before somebody answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Something else stands at its port.
    OtherDevice {
        /// What was bound.
        bound: Fingerprint,
        /// What is there.
        seen: Fingerprint,
    },
    /// What stands at its port is what was bound as another.
    Swapped {
        /// The other.
        with: DeviceName,
        /// What is there.
        seen: Fingerprint,
    },
    /// It and one that looks the same were unplugged at the same time, one after the other.
    PerhapsSwapped {
        /// The other.
        with: DeviceName,
    },
    /// Its port is empty, and one that looks the same was plugged in elsewhere.
    Moved {
        /// What is there.
        seen: Fingerprint,
        /// Where.
        to: UsbPort,
    },
}

/// What a person says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The cable is right: what stands there is the device of this name from now on.
    UseWhatIsThere,
    /// The cables were exchanged: each name follows its device to its new port.
    FollowTheDevice,
    /// Use nothing under this name until something else is plugged in.
    LeaveAlone,
}

/// A question, and whether it was answered with "leave it alone". That answer may be taken back by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What is asked.
    pub question: Question,
    /// It was decided to use nothing under this name.
    pub left_alone: bool,
    /// What is asked about stands here.
    pub there: Option<Spot>,
}

impl Question {
    /// For a person, with what to do; `called` is what people call a device.
    #[must_use]
    pub fn words(&self, name: &DeviceName, called: impl Fn(&DeviceName) -> String) -> String {
        let name = called(name);
        match self {
            Question::OtherDevice { bound, seen } => format!(
                "Where {name} was plugged in ({bound}), there is now: {seen}. Is this the new {name}?"
            ),
            Question::Swapped { with, seen } => format!(
                "Where {name} was plugged in, there is now what was {} ({seen}). Were the cables exchanged? Then either exchange them back, or let the names follow the devices.",
                called(with)
            ),
            Question::PerhapsSwapped { with } => format!(
                "{name} and {} look the same to the box, and both were unplugged at the same time. Is each back in its own socket? Identify one of them if in doubt.",
                called(with)
            ),
            Question::Moved { seen, to } => format!(
                "{name} is not in its socket, and a device that looks the same ({seen}) is at USB port {to}. Is it {name}?"
            ),
        }
    }

    /// The answers that make sense.
    #[must_use]
    pub fn answers(&self) -> &'static [Answer] {
        match self {
            Question::OtherDevice { .. } | Question::Moved { .. } => {
                &[Answer::UseWhatIsThere, Answer::LeaveAlone]
            }
            Question::Swapped { .. } => {
                &[Answer::FollowTheDevice, Answer::UseWhatIsThere, Answer::LeaveAlone]
            }
            Question::PerhapsSwapped { .. } => &[Answer::UseWhatIsThere, Answer::FollowTheDevice],
        }
    }
}
