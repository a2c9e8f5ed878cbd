//! Names of devices that stay when the system numbers its device files anew. Pure.
//!
//! | written | names |
//! |---|---|
//! | `usb:0c2e:0b61:S123` | the USB device with this vendor, product and serial number, at whatever port it is |
//! | `usb-port:1-2.3` | whatever is plugged into this USB port: bus 1, its port 2, there a hub's port 3 |
//! | `tty:ttyS0` | a serial port that is built into the box |
//! | `phys:isa0060/serio0/input0` | an input device that is not on USB, by its place |
//!
//! The first two may end with the USB interface in two hexadecimal digits (`:01`), for a device that has several
//! lines of one class. Without it they name the only one.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::device::FoundDevice;
use crate::find::device::DeviceClass;

/// A name that stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// A USB device by its serial number.
    Usb {
        /// Who made it, as the USB Implementers Forum numbers makers.
        vendor: u16,
        /// Which of the maker's products.
        product: u16,
        /// Its own number.
        serial: String,
        /// Which of its interfaces; `None` for the only one of the class.
        interface: Option<u8>,
    },
    /// Whatever is at a USB port.
    UsbPort {
        /// As the kernel writes it.
        port: UsbPort,
        /// Which of its interfaces; `None` for the only one of the class.
        interface: Option<u8>,
    },
    /// A serial port of the box: its name under `/dev`.
    Tty(String),
    /// An input device by its place, as its driver tells it.
    Phys(String),
}

/// A USB port: `1-2.3` is bus 1, its port 2, there a hub's port 3 (Linux, Documentation/ABI/stable/sysfs-bus-usb).
/// The bus' number comes from the order in which the kernel found the controllers: on one box it stays, unless a
/// controller is added.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsbPort(String);

/// Why a text is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// It begins with none of the four words.
    #[error(
        "\"{0}\" names no device: write usb:VENDOR:PRODUCT:SERIAL, usb-port:1-2.3 or tty:ttyS0, as `pestle-agent devices list` shows them"
    )]
    Unknown(String),
    /// It begins well and goes on badly.
    #[error("\"{text}\" names no device: {wrong}; copy it from `pestle-agent devices list`")]
    Malformed {
        /// What was written.
        text: String,
        /// What is wrong with it.
        wrong: &'static str,
    },
}

/// Why a selector names none of the devices that are attached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// There is none.
    #[error("{selector} is not attached: check that the device is plugged in and has power")]
    Absent {
        /// What was looked for.
        selector: Selector,
    },
    /// There are several.
    #[error("{selector} fits {files}: bind it by its port instead (`pestle-agent devices list` shows it)")]
    Ambiguous {
        /// What was looked for.
        selector: Selector,
        /// What fits.
        files: String,
    },
}

/// Is this text meant as a selector, and not as a path?
#[must_use]
pub fn looks_like_one(text: &str) -> bool {
    ["usb:", "usb-port:", "tty:", "phys:"].iter().any(|word| text.starts_with(word))
}

impl Selector {
    /// The one device of `class` that this names.
    ///
    /// # Errors
    /// None or several.
    pub fn find<'a>(
        &self,
        class: DeviceClass,
        attached: &'a [FoundDevice],
    ) -> Result<&'a FoundDevice, ResolveError> {
        let mut fitting = attached.iter().filter(|device| device.class() == class && self.fits(device));
        let first = fitting.next().ok_or_else(|| ResolveError::Absent { selector: self.clone() })?;
        // One interface of a keyboard may have several event files (keys, volume buttons): the one that types is meant.
        let mut typing = std::iter::once(first).chain(fitting.clone()).filter(|device| device.types());
        let rest: Vec<&FoundDevice> = fitting.collect();
        match (rest.is_empty(), typing.next(), typing.next()) {
            (true, _, _) => Ok(first),
            (false, Some(only), None) if class == DeviceClass::Input => Ok(only),
            _ => {
                let files =
                    std::iter::once(first).chain(rest).map(|device| device.file.display().to_string());
                let files = files.collect::<Vec<_>>().join(" and ");
                Err(ResolveError::Ambiguous { selector: self.clone(), files })
            }
        }
    }

    /// Does it name this device? The class is not looked at.
    #[must_use]
    pub fn fits(&self, device: &FoundDevice) -> bool {
        match (self, &device.usb) {
            (Selector::Usb { vendor, product, serial, interface }, Some(usb)) => {
                (usb.vendor, usb.product) == (*vendor, *product)
                    && usb.serial.as_ref() == Some(serial)
                    && interface.is_none_or(|interface| interface == usb.interface)
            }
            (Selector::UsbPort { port, interface }, Some(usb)) => {
                usb.port == *port && interface.is_none_or(|interface| interface == usb.interface)
            }
            (Selector::Tty(name), None) => device.class() == DeviceClass::Serial && device.is_named(name),
            (Selector::Phys(phys), None) => device.phys() == Some(phys),
            _ => false,
        }
    }
}

impl UsbPort {
    /// Reads a port as the kernel names it.
    #[must_use]
    pub fn new(text: &str) -> Option<UsbPort> {
        let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (bus, ports) = text.split_once('-')?;
        (number(bus) && ports.split('.').all(number)).then(|| UsbPort(text.to_owned()))
    }

    /// As the kernel names it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UsbPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interface = match self {
            Selector::Usb { vendor, product, serial, interface } => {
                write!(f, "usb:{vendor:04x}:{product:04x}:")?;
                escape(serial, f)?;
                interface
            }
            Selector::UsbPort { port, interface } => {
                write!(f, "usb-port:{port}")?;
                interface
            }
            Selector::Tty(name) => return write!(f, "tty:{name}"),
            Selector::Phys(phys) => return write!(f, "phys:{phys}"),
        };
        interface.map_or(Ok(()), |interface| write!(f, ":{interface:02x}"))
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Selector, SelectorError> {
        let wrong = |wrong| SelectorError::Malformed { text: text.to_owned(), wrong };
        let (word, rest) = text.split_once(':').ok_or_else(|| SelectorError::Unknown(text.to_owned()))?;
        let mut parts = rest.split(':');
        let mut part = || parts.next().unwrap_or_default();
        let selector = match word {
            "usb" => {
                let vendor =
                    hexadecimal(part(), 4).ok_or_else(|| wrong("the vendor is four hexadecimal digits"))?;
                let product =
                    hexadecimal(part(), 4).ok_or_else(|| wrong("the product is four hexadecimal digits"))?;
                let serial =
                    unescape(part()).ok_or_else(|| wrong("the serial number is missing or misspelt"))?;
                Selector::Usb { vendor, product, serial, interface: None }
            }
            "usb-port" => {
                let port = UsbPort::new(part()).ok_or_else(|| wrong("a port is written like 1-2.3"))?;
                Selector::UsbPort { port, interface: None }
            }
            "tty" if rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !rest.is_empty() => {
                return Ok(Selector::Tty(rest.to_owned()));
            }
            "tty" => return Err(wrong("a serial port is written like ttyS0")),
            "phys" if !rest.is_empty() => return Ok(Selector::Phys(rest.to_owned())),
            _ => return Err(SelectorError::Unknown(text.to_owned())),
        };
        let given = match (parts.next(), parts.next()) {
            (None, _) => return Ok(selector),
            (Some(given), None) => given,
            (Some(_), Some(_)) => return Err(wrong("there is more behind the interface")),
        };
        let given = hexadecimal(given, 2).and_then(|number| u8::try_from(number).ok());
        let given = given.ok_or_else(|| wrong("the interface is two hexadecimal digits"))?;
        Ok(selector.on_interface(given))
    }
}

impl Selector {
    /// The same device, on one of its interfaces.
    #[must_use]
    pub fn on_interface(mut self, number: u8) -> Selector {
        if let Selector::Usb { interface, .. } | Selector::UsbPort { interface, .. } = &mut self {
            *interface = Some(number);
        }
        self
    }
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Selector, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

fn hexadecimal(text: &str, digits: usize) -> Option<u16> {
    let good = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    good.then(|| u16::from_str_radix(text, 16).ok()).flatten()
}

/// What stands for itself in a serial number. Makers put anything there: colons, blanks, letters beyond ASCII.
fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

fn escape(serial: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    serial.bytes().try_for_each(|byte| match stands_for_itself(byte) {
        true => write!(f, "{}", char::from(byte)),
        false => write!(f, "%{byte:02X}"),
    })
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digits = std::str::from_utf8(&digits).ok()?;
                u8::try_from(hexadecimal(digits, 2)?).ok()?
            }
            byte if stands_for_itself(byte) => byte,
            _ => return None,
        });
    }
    String::from_utf8(bytes).ok().filter(|serial| !serial.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            "usb:0c2e:0b61:S123",
            "usb:0403:6001:A10LXYZ:01",
            "usb:1a86:7523:00%3A11%20a%C3%BC",
            "usb-port:1-2",
            "usb-port:3-1.4.2:02",
            "tty:ttyS0",
            "tty:ttymxc1",
            "phys:isa0060/serio0/input0",
        ] {
            let selector: Selector = text.parse().unwrap();
            assert_eq!(selector.to_string(), text);
            let json = serde_json::to_string(&selector).unwrap();
            assert_eq!(serde_json::from_str::<Selector>(&json).unwrap(), selector);
        }
    }

    #[test]
    fn any_serial_number_survives_being_written() {
        for serial in ["0001", "a:b", "%41", "Ä ö/\\\"", "\u{1}", "..", "A B"] {
            let selector =
                Selector::Usb { vendor: 0xffff, product: 0, serial: serial.into(), interface: Some(255) };
            assert_eq!(selector.to_string().parse::<Selector>().unwrap(), selector, "{serial:?}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_with_what_to_write() {
        for (text, words) in [
            ("/dev/ttyUSB0", "names no device: write usb:"),
            ("usb:c2e:0b61:S", "the vendor is four"),
            ("usb:0c2e:b61:S", "the product is four"),
            ("usb:0c2e:+b61:S", "the product is four"),
            ("usb:0c2e:0b61", "serial number is missing"),
            ("usb:0c2e:0b61:", "serial number is missing"),
            ("usb:0c2e:0b61:S%4", "serial number is missing"),
            ("usb:0c2e:0b61:S:1", "two hexadecimal digits"),
            ("usb:0c2e:0b61:S:01:02", "more behind"),
            ("usb-port:12", "like 1-2.3"),
            ("usb-port:1-2..3", "like 1-2.3"),
            ("tty:../null", "like ttyS0"),
            ("tty:", "like ttyS0"),
            ("phys:", "names no device"),
        ] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
