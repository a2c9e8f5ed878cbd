//! What a branch has bound: a name of the box, and the device that stood there when it was bound. Pure; kept by the
//! agent.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    device::{DeviceClass, FoundDevice},
    selector::Selector,
};
use crate::device::DeviceName;

/// What is kept of a bound device, durably.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// As the configuration named it. When that changes, a technician has decided anew, and the rest no longer counts.
    pub configured: Selector,
    /// Where it is: as configured, or where a person said that it has gone since.
    pub selector: Selector,
    /// What stood there.
    pub seen: Fingerprint,
    /// It may have been exchanged with this one, which looks the same, and nobody has answered yet. A box that begins anew
    /// has not seen who went and came, and must not take silence for an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perhaps_swapped_with: Option<DeviceName>,
}

/// What a device looked like. Two that look alike cannot be told apart but by their ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// How it is opened.
    pub class: DeviceClass,
    /// Its maker's number on USB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<u16>,
    /// Its product's number on USB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<u16>,
    /// The serial number that it tells, its own or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// As it calls itself; for people.
    pub name: String,
}

/// A device that the box is to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What the branch calls it.
    pub name: DeviceName,
    /// How it is opened.
    pub class: DeviceClass,
    /// As the configuration names it.
    pub configured: Selector,
    /// Where it is.
    pub selector: Selector,
    /// What it looked like; `None` until it is seen for the first time.
    pub seen: Option<Fingerprint>,
    /// It may have been exchanged with this one, and nobody has answered yet.
    pub perhaps_swapped_with: Option<DeviceName>,
    /// What people call it in a sentence: its name, and what else hangs on it.
    pub called: String,
}

impl Wanted {
    /// From the configuration, and what was kept since, if the configuration has not changed.
    #[must_use]
    pub fn new(name: DeviceName, class: DeviceClass, configured: Selector, kept: Option<Binding>) -> Wanted {
        let kept = kept.filter(|kept| kept.configured == configured && kept.seen.class == class);
        let (selector, seen, perhaps_swapped_with) = match kept {
            Some(kept) => (kept.selector, Some(kept.seen), kept.perhaps_swapped_with),
            None => (configured.clone(), None, None),
        };
        let called = name.to_string();
        Wanted { name, class, configured, selector, seen, perhaps_swapped_with, called }
    }

    /// The same, called otherwise before people.
    #[must_use]
    pub fn called(self, called: String) -> Wanted {
        Wanted { called, ..self }
    }

    /// Are both known by their ports alone, and look the same?
    #[must_use]
    pub fn is_twin_of(&self, other: &Wanted) -> bool {
        let by_port = |one: &Wanted| matches!(one.selector, Selector::UsbPort { .. });
        let alike = self.seen.as_ref().zip(other.seen.as_ref()).is_some_and(|(one, two)| one.looks_like(two));
        alike && self.name != other.name && by_port(self) && by_port(other)
    }

    /// What is to be kept of it; `None` until it was seen.
    #[must_use]
    pub fn binding(&self) -> Option<Binding> {
        let seen = self.seen.clone()?;
        let perhaps_swapped_with = self.perhaps_swapped_with.clone();
        let (configured, selector) = (self.configured.clone(), self.selector.clone());
        Some(Binding { configured, selector, seen, perhaps_swapped_with })
    }
}

impl Fingerprint {
    /// Of an attached device.
    #[must_use]
    pub fn of(device: &FoundDevice) -> Fingerprint {
        Fingerprint {
            class: device.class(),
            vendor: device.usb.as_ref().map(|usb| usb.vendor),
            product: device.usb.as_ref().map(|usb| usb.product),
            serial: device.usb.as_ref().and_then(|usb| usb.serial.clone()),
            name: device.name(),
        }
    }

    /// Can the two not be told apart? What they call themselves does not count: new firmware may call itself otherwise.
    #[must_use]
    pub fn looks_like(&self, other: &Fingerprint) -> bool {
        let looks = |one: &Fingerprint| (one.class, one.vendor, one.product, one.serial.clone());
        looks(self) == looks(other)
    }
}

/// For a person: "EPSON TM-T20II, number J4K1".
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.serial.as_ref().map_or(Ok(()), |serial| write!(f, ", number {serial}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_kept_as_text_and_a_new_configuration_makes_it_void() {
        let seen = Fingerprint {
            class: DeviceClass::Serial,
            vendor: Some(0x1a86),
            product: Some(0x7523),
            serial: None,
            name: "USB Serial".into(),
        };
        let selector = |text: &str| text.parse::<Selector>().unwrap();
        let (configured, there) = (selector("usb-port:1-2"), selector("usb-port:1-3"));
        let binding = Binding { configured, selector: there, seen, perhaps_swapped_with: None };
        let text = serde_json::to_string(&binding).unwrap();
        assert!(text.contains(r#""configured":"usb-port:1-2","selector":"usb-port:1-3""#), "{text}");
        assert_eq!(serde_json::from_str::<Binding>(&text).unwrap(), binding);

        let wanted = |configured: &str| {
            let name = DeviceName::new("scanner-1");
            Wanted::new(name, DeviceClass::Serial, selector(configured), Some(binding.clone()))
        };
        assert_eq!(wanted("usb-port:1-2").selector, selector("usb-port:1-3"));
        assert_eq!(wanted("usb-port:1-2").binding(), Some(binding.clone()));
        assert_eq!(wanted("usb-port:1-4").binding(), None);
    }
}
