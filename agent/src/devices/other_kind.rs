//! A scanner that is set up as the other kind than is configured: it types where a serial one is meant, or the other way round.
//! Its driver does not see it then, and the finder does. Pure.

use std::{collections::BTreeMap, path::PathBuf};

use pestle_drivers::{
    find::{
        binding::Fingerprint,
        device::{DeviceKind, FoundDevice, Sends},
        selector::Selector,
    },
    scanner::programming::{Comes, Purpose},
};

use super::board::{Kind, Listed};

/// What stands there instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherKind {
    /// What it is, and what to do.
    pub words: String,
    /// What makes it the kind that is configured.
    pub purpose: Purpose,
    /// How it comes now.
    pub comes: Comes,
}

/// What stands in this scanner's socket, or has its number, and is of the other kind. `files` are bound to a name. A scanner
/// that is configured by a path has neither socket nor number, and nothing is said of it.
pub(super) fn other_kind(
    listed: &Listed,
    attached: &[FoundDevice],
    files: &BTreeMap<PathBuf, String>,
) -> Option<OtherKind> {
    let selector: Selector = listed.address.parse().ok()?;
    let device = attached.iter().find(|device| {
        is_other_kind(listed.kind, &device.kind)
            && stands_for(&selector, device)
            && !files.contains_key(&device.file)
    })?;
    let (is, name) = (Fingerprint::of(device), &listed.name);
    Some(match listed.kind {
        Kind::SerialScanner => OtherKind {
            words: format!(
                "{is} is plugged in and types like a keyboard, and {name} is configured as a serial scanner. Scan its maker's code for USB serial with it."
            ),
            purpose: Purpose::UsbSerial,
            comes: Comes::AsKeys,
        },
        _ => OtherKind {
            words: format!(
                "{is} is plugged in and is a serial one, and {name} is configured as a scanner that types. Scan its maker's code for USB keyboard with it; or have it configured as a serial scanner, which depends on no country."
            ),
            purpose: Purpose::UsbKeyboard,
            comes: Comes::OverLine,
        },
    })
}

fn is_other_kind(configured: Kind, found: &DeviceKind) -> bool {
    match configured {
        Kind::SerialScanner => matches!(found, DeviceKind::Input { sends: Sends::Text, .. }),
        Kind::KeyboardScanner => matches!(found, DeviceKind::UsbSerial { .. }),
        _ => false,
    }
}

/// A product's number is another in each of a scanner's modes; its maker's and its own stay.
fn stands_for(selector: &Selector, device: &FoundDevice) -> bool {
    let Some(usb) = &device.usb else { return false };
    match selector {
        Selector::UsbPort { port, .. } => usb.port == *port,
        Selector::Usb { vendor, serial, .. } => usb.vendor == *vendor && usb.serial.as_ref() == Some(serial),
        Selector::Tty(_) | Selector::Phys(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_drivers::{
        find::sysfs,
        sim::attached::{SimInterface, SimSystem, SimUsbDevice},
    };

    fn check(kind: Kind, address: &str, device: &SimUsbDevice, expected: Option<Purpose>) {
        let folder = tempfile::tempdir().unwrap();
        let sim = SimSystem::new(folder.path()).unwrap();
        sim.plug_in("1-1", device).unwrap();
        let listed = Listed {
            name: "scanner-1".to_owned(),
            keeper_name: "scanner-1".to_owned(),
            kind,
            till: None,
            till_name: None,
            address: address.to_owned(),
            path: None,
            members: Vec::new(),
            papers: std::collections::BTreeMap::new(),
        };
        let attached = sysfs::scan(&sim.system()).unwrap();
        let found = other_kind(&listed, &attached, &BTreeMap::new());
        assert_eq!(found.map(|other| other.purpose), expected, "{address}");
    }

    #[test]
    fn a_scanner_that_comes_as_the_other_kind_is_known_by_its_socket_or_its_number() {
        let serial = SimUsbDevice::scanner("S1");
        let keys =
            SimUsbDevice { product: 0x1200, interfaces: vec![SimInterface::Keyboard], ..serial.clone() };
        check(Kind::SerialScanner, "usb-port:1-1", &keys, Some(Purpose::UsbSerial));
        check(Kind::SerialScanner, "usb:05e0:1701:S1", &keys, Some(Purpose::UsbSerial));
        check(Kind::KeyboardScanner, "usb:05e0:1200:S1", &serial, Some(Purpose::UsbKeyboard));
        check(Kind::SerialScanner, "usb-port:1-1", &serial, None);
        check(Kind::SerialScanner, "usb-port:1-2", &keys, None);
        check(Kind::SerialScanner, "usb:05e0:1701:S2", &keys, None);
        check(Kind::SerialScanner, "/dev/ttyACM0", &keys, None);
        check(Kind::ReceiptPrinter, "usb-port:1-1", &keys, None);
    }
}
