//! What the keeping of names tells: what changed, and whether a device may be opened. Pure.

use std::path::PathBuf;

use super::{
    binding::{Binding, Fingerprint},
    device::FoundDevice,
    question::Question,
    selector::{Selector, UsbPort},
};
use crate::device::DeviceName;

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It may be opened.
    Came {
        /// Which.
        name: DeviceName,
        /// Its device file as of now.
        file: PathBuf,
    },
    /// It has gone.
    Went {
        /// Which.
        name: DeviceName,
    },
    /// The same device is at another port than before.
    Moved {
        /// Which.
        name: DeviceName,
        /// Where it was.
        from: UsbPort,
        /// Where it is.
        to: UsbPort,
    },
    /// A person must say which device this is; it is not used before.
    Asks {
        /// Which.
        name: DeviceName,
        /// What is asked.
        question: Question,
    },
    /// It comes and goes too often, and is not used until it has kept still.
    Flaps {
        /// Which.
        name: DeviceName,
    },
    /// It kept still: it is used again when it is there.
    Rested {
        /// Which.
        name: DeviceName,
    },
    /// Its binding is to be kept durably, in place of an earlier one.
    Bound {
        /// Which.
        name: DeviceName,
        /// What to keep.
        binding: Binding,
    },
}

/// May it be opened?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Yes, here.
    Here(Spot),
    /// No, and why, for a person.
    Not(String),
}

/// Where a device is, and how it is known that it still is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Its device file as of now: another device may have the same one a moment later.
    pub file: PathBuf,
    port: Option<UsbPort>,
    looks: Fingerprint,
    numbered: bool,
}

impl Spot {
    /// Of an attached device.
    #[must_use]
    pub fn of(device: &FoundDevice) -> Spot {
        let port = device.usb.as_ref().map(|usb| usb.port.clone());
        let numbered = device.selectors.iter().any(|one| matches!(one, Selector::Usb { .. }));
        Spot { file: device.file.clone(), port, looks: Fingerprint::of(device), numbered }
    }

    /// The socket, for a person.
    #[must_use]
    pub fn socket(&self) -> String {
        match &self.port {
            Some(port) => format!("USB port {port}"),
            None => self.file.display().to_string(),
        }
    }

    /// Is it known by a number of its own?
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        self.numbered
    }

    /// Is the device of this file still the one that was meant?
    #[must_use]
    pub fn holds(&self, attached: &[FoundDevice]) -> bool {
        attached.iter().any(|device| Spot::of(device) == *self)
    }
}

/// Why an answer was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is no answer to what is asked now.
    #[error(transparent)]
    NoSuchQuestion(#[from] NoSuchQuestion),
    /// It cannot be kept, so nothing follows from it.
    #[error(
        "the answer about {name} was not taken, since it cannot be kept ({reason}): try again; call support if it stays so"
    )]
    NotKept {
        /// Whose.
        name: DeviceName,
        /// What was said.
        reason: String,
    },
}

/// Nothing was asked about this name, or not so that this is an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing is asked about {name} that this answers: look at the page again")]
pub struct NoSuchQuestion {
    name: DeviceName,
}

impl NoSuchQuestion {
    /// About this name.
    #[must_use]
    pub fn about(name: &DeviceName) -> NoSuchQuestion {
        NoSuchQuestion { name: name.clone() }
    }
}
