//! What finding tells of a device. Pure.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    known,
    selector::{Selector, UsbPort},
};

/// How a device is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceClass {
    /// A serial line: a port of the box, or USB serial.
    Serial,
    /// An input device: what types like a keyboard.
    Input,
    /// A printer on USB.
    Printer,
}

/// A device that is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDevice {
    /// What the system calls it now. It may be another device's name tomorrow.
    pub file: PathBuf,
    /// What it is.
    pub kind: DeviceKind,
    /// Where it is on USB; `None` for what is built in.
    pub usb: Option<UsbDevice>,
    /// Names that stay, the best first. Never empty.
    pub selectors: Vec<Selector>,
    /// What a person who binds it should know.
    pub remark: Option<Remark>,
}

/// What a device is, as far as the system can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceKind {
    /// USB serial: a scanner, a printer, or an adapter with anything behind it.
    UsbSerial {
        /// The kernel's driver, such as `ftdi_sio` or `cdc_acm`.
        driver: String,
    },
    /// A serial port of the box.
    SerialPort,
    /// Something that sends keys or movements.
    Input {
        /// As it calls itself.
        name: String,
        /// Where it is, as its driver tells.
        phys: String,
        /// Its number, for what has one.
        uniq: String,
        /// What it can send.
        sends: Sends,
    },
    /// A printer on USB.
    UsbPrinter {
        /// What it says of itself.
        id: PrinterId,
    },
}

/// What an input device can send, by its capability bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sends {
    /// Letters, digits and Enter: a keyboard, or a scanner that types.
    Text,
    /// Some keys: a power button, volume keys.
    SomeKeys,
    /// No keys of a keyboard: a mouse, a lid switch.
    NoKeys,
}

/// What a printer says of itself (IEEE 1284-2000, 7.6: the device ID's MFG, MDL, SN and CMD).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrinterId {
    /// Maker.
    pub maker: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Serial number; some printers tell it here and not to USB.
    pub serial: Option<String>,
    /// What it understands, such as `ESC/POS`, `ZPL`, `PCL`.
    pub commands: Option<String>,
}

/// A device on USB, one of its interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsbDevice {
    /// Who made it.
    pub vendor: u16,
    /// Which product.
    pub product: u16,
    /// Its number, if it tells one; [`placeholder`] says whether it is to be believed.
    pub serial: Option<String>,
    /// As it calls its maker.
    pub maker_name: Option<String>,
    /// As it calls itself.
    pub product_name: Option<String>,
    /// Which of its interfaces this is.
    pub interface: u8,
    /// Where it is plugged in.
    pub port: UsbPort,
}

/// What a person who binds a device should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// Another attached device is the same in all that it tells.
    Twin {
        /// The other's port.
        other: UsbPort,
    },
    /// It tells no serial number, or one that every device of its kind tells.
    NoSerial,
    /// The kernel writes its messages there.
    Console,
}

impl Remark {
    /// For a person.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Remark::Twin { other } => format!(
                "the one at port {other} is the same in all that it tells: they are told apart by their ports alone, so mark cables and sockets"
            ),
            Remark::NoSerial => {
                "it has no serial number of its own: it is known by its port, so leave it plugged in there"
                    .to_owned()
            }
            Remark::Console => "the system's console: bind nothing to it".to_owned(),
        }
    }
}

impl FoundDevice {
    /// How it is opened.
    #[must_use]
    pub fn class(&self) -> DeviceClass {
        match self.kind {
            DeviceKind::UsbSerial { .. } | DeviceKind::SerialPort => DeviceClass::Serial,
            DeviceKind::Input { .. } => DeviceClass::Input,
            DeviceKind::UsbPrinter { .. } => DeviceClass::Printer,
        }
    }

    /// Does it type letters and digits?
    #[must_use]
    pub fn types(&self) -> bool {
        matches!(self.kind, DeviceKind::Input { sends: Sends::Text, .. })
    }

    /// Is its device file's own name this one?
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.file.file_name().is_some_and(|file| file == name)
    }

    /// Where its driver says that it is.
    #[must_use]
    pub fn phys(&self) -> Option<&String> {
        match &self.kind {
            DeviceKind::Input { phys, .. } => Some(phys),
            _ => None,
        }
    }

    /// What it calls itself, or what is known by its numbers.
    #[must_use]
    pub fn name(&self) -> String {
        let told = |maker: &Option<String>, name: &Option<String>| match (maker, name) {
            // Many repeat the maker in the product's name.
            (Some(maker), Some(name)) if name.starts_with(maker.as_str()) => Some(name.clone()),
            (Some(maker), Some(name)) => Some(format!("{maker} {name}")),
            (None, Some(name)) | (Some(name), None) => Some(name.clone()),
            (None, None) => None,
        };
        let from_kind = match &self.kind {
            DeviceKind::UsbPrinter { id } => told(&id.maker, &id.model),
            DeviceKind::Input { name, .. } if !name.is_empty() => Some(name.clone()),
            _ => None,
        };
        from_kind
            .or_else(|| self.usb.as_ref().and_then(|usb| told(&usb.maker_name, &usb.product_name)))
            .unwrap_or_else(|| match &self.kind {
                DeviceKind::UsbSerial { driver } => format!("USB serial ({driver})"),
                DeviceKind::SerialPort => "serial port".to_owned(),
                DeviceKind::Input { .. } => "input device".to_owned(),
                DeviceKind::UsbPrinter { .. } => "USB printer".to_owned(),
            })
    }

    /// What it is and where, in a sentence's part.
    #[must_use]
    pub fn words(&self) -> String {
        let what = match (&self.kind, &self.usb) {
            (DeviceKind::UsbSerial { .. }, Some(usb)) => known::serial_words(usb.vendor, usb.product),
            (DeviceKind::UsbSerial { .. }, None) => "USB serial",
            (DeviceKind::SerialPort, _) => "serial port of the box",
            (DeviceKind::UsbPrinter { .. }, _) => "printer on USB",
            (DeviceKind::Input { sends: Sends::Text, name, .. }, usb) => {
                match known::is_scanner(usb.as_ref().map(|usb| usb.vendor), name) {
                    true => "barcode scanner that types like a keyboard",
                    false => "keyboard, or a scanner that types like one",
                }
            }
            (DeviceKind::Input { sends: Sends::SomeKeys, .. }, _) => "buttons",
            (DeviceKind::Input { sends: Sends::NoKeys, .. }, _) => "input device without keys",
        };
        match &self.usb {
            Some(usb) => format!("{what}, at USB port {}", usb.port),
            None => what.to_owned(),
        }
    }
}

impl PrinterId {
    /// Reads the device ID: keys and values, `:` between them and `;` behind each. Keys have a long and a short form.
    #[must_use]
    pub fn parse(text: &str) -> PrinterId {
        let value = |keys: [&str; 2]| {
            let mut fields = text.split(';').filter_map(|field| field.split_once(':'));
            let (_, value) =
                fields.find(|(key, _)| keys.iter().any(|k| k.eq_ignore_ascii_case(key.trim())))?;
            Some(value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        PrinterId {
            maker: value(["MFG", "MANUFACTURER"]),
            model: value(["MDL", "MODEL"]),
            serial: value(["SN", "SERN"]),
            commands: value(["CMD", "COMMAND SET"]),
        }
    }
}

/// Is this "serial number" one that a maker's devices all have? CP210x chips leave the factory with 0001, and many
/// clones with a run of digits.
#[must_use]
pub fn placeholder(serial: &str) -> bool {
    let serial = serial.trim();
    let all_same = serial.bytes().all(|byte| serial.bytes().next() == Some(byte));
    let small_number = serial.len() <= 4 && serial.bytes().all(|byte| byte.is_ascii_digit());
    let run = serial.len() >= 4
        && ["0123456789abcdef", "1234567890abcdef"]
            .iter()
            .any(|run| run.starts_with(&serial.to_ascii_lowercase()));
    serial.is_empty() || all_same || small_number || run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_every_clone_has_are_no_serial_numbers() {
        for serial in
            ["", " ", "0", "0001", "0000000000", "12345678", "0123456789ABCDEF", "123456789", "FFFFFFFF"]
        {
            assert!(placeholder(serial), "{serial}");
        }
        for serial in ["A10LXYZ", "21357B0A13", "J4K1", "000012", "S1"] {
            assert!(!placeholder(serial), "{serial}");
        }
    }

    #[test]
    fn a_printer_s_id_is_read_in_its_long_and_its_short_form() {
        let id =
            PrinterId::parse("MFG:EPSON;CMD:ESC/POS;MDL:TM-T20II;CLS:PRINTER;DES:EPSON TM-T20II;SN:J4K1;");
        assert_eq!(id.maker.as_deref(), Some("EPSON"));
        assert_eq!(id.model.as_deref(), Some("TM-T20II"));
        assert_eq!((id.serial.as_deref(), id.commands.as_deref()), (Some("J4K1"), Some("ESC/POS")));
        let id = PrinterId::parse("MANUFACTURER: Zebra ;COMMAND SET:ZPL;MODEL:ZD421;SN:;\n");
        assert_eq!((id.maker.as_deref(), id.model.as_deref()), (Some("Zebra"), Some("ZD421")));
        assert_eq!(id.serial, None);
        assert_eq!(PrinterId::parse("nonsense"), PrinterId::default());
    }
}
