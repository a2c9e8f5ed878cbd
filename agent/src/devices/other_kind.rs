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

use super::listed::{Kind, Listed};

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
    let nobody_s = attached.iter().filter(|device| !files.contains_key(&device.file));
    let mut other = nobody_s.filter(|device| is_other_kind(listed.kind, &device.kind));
    let (device, known_by) = other.find_map(|device| Some((device, known_by(&selector, device)?)))?;
    let (is, name) = (Fingerprint::of(device), &listed.name);
    let (now, configured, code, or, purpose, comes) = match listed.kind {
        Kind::SerialScanner => {
            let (purpose, comes) = (Purpose::UsbSerial, Comes::AsKeys);
            ("types like a keyboard", "serial scanner", "USB serial", "", purpose, comes)
        }
        _ => {
            let or = "; or have it configured as a serial scanner, which depends on no country";
            let (purpose, comes) = (Purpose::UsbKeyboard, Comes::OverLine);
            ("is a serial one", "scanner that types", "USB keyboard", or, purpose, comes)
        }
    };
    let stands = format!("{is} is plugged in and {now}, and {name} is configured as a {configured}.");
    let mends = format!("its maker's code for {code} with it{or}.");
    let words = match known_by {
        KnownBy::Number => format!("{stands} Scan {mends}"),
        // Somebody's keyboard, or the adapter of something else, is made no scanner by any code.
        KnownBy::Socket => format!(
            "{stands} If it is the scanner, scan {mends} If it is something else, plug it in elsewhere: this socket is {name}'s."
        ),
    };
    Some(OtherKind { words, purpose, comes })
}

fn is_other_kind(configured: Kind, found: &DeviceKind) -> bool {
    match configured {
        Kind::SerialScanner => matches!(found, DeviceKind::Input { sends: Sends::Text, .. }),
        Kind::KeyboardScanner => matches!(found, DeviceKind::UsbSerial { .. }),
        _ => false,
    }
}

/// By what a device is taken for the scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KnownBy {
    /// Its maker and its own number: it is the scanner.
    Number,
    /// It stands where the scanner stood: it may be anything that has the same plug.
    Socket,
}

/// A product's number is another in each of a scanner's modes; its maker's and its own stay.
fn known_by(selector: &Selector, device: &FoundDevice) -> Option<KnownBy> {
    let usb = device.usb.as_ref()?;
    match selector {
        Selector::UsbPort { port, .. } => (usb.port == *port).then_some(KnownBy::Socket),
        Selector::Usb { vendor, serial, .. } => {
            (usb.vendor == *vendor && usb.serial.as_ref() == Some(serial)).then_some(KnownBy::Number)
        }
        Selector::Tty(_) | Selector::Phys(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_drivers::{
        find::sysfs,
        sim::attached::{SimInterface, SimSystem, SimUsbDevice},
    };

    fn said(kind: Kind, address: &str, device: &SimUsbDevice) -> Option<OtherKind> {
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
        other_kind(&listed, &attached, &BTreeMap::new())
    }

    fn check(kind: Kind, address: &str, device: &SimUsbDevice, expected: Option<Purpose>) {
        assert_eq!(said(kind, address, device).map(|other| other.purpose), expected, "{address}");
    }

    #[test]
    fn what_is_known_by_its_socket_alone_may_be_something_else_and_that_is_said() {
        let serial = SimUsbDevice::scanner("S1");
        let keys =
            SimUsbDevice { product: 0x1200, interfaces: vec![SimInterface::Keyboard], ..serial.clone() };
        let words =
            |kind, address| said(kind, address, if kind == Kind::SerialScanner { &keys } else { &serial });
        let by_number = words(Kind::SerialScanner, "usb:05e0:1701:S1").unwrap().words;
        assert!(
            by_number.ends_with("as a serial scanner. Scan its maker's code for USB serial with it."),
            "{by_number}"
        );
        for kind in [Kind::SerialScanner, Kind::KeyboardScanner] {
            let by_socket = words(kind, "usb-port:1-1").unwrap().words;
            assert!(by_socket.contains("If it is the scanner, scan its maker's code"), "{by_socket}");
            assert!(
                by_socket
                    .ends_with("If it is something else, plug it in elsewhere: this socket is scanner-1's."),
                "{by_socket}"
            );
        }
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
