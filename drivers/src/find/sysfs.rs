//! What is attached, read from the kernel's own list under `/sys`.
//!
//! Each class of device has a folder of links there, and the place that a link leads to tells by its parents what
//! carries the device (Linux, Documentation/admin-guide/sysfs-rules.rst). A file that is gone when it is read belongs
//! to a device that was unplugged meanwhile: then there is no such device.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    device::{DeviceKind, FoundDevice, PrinterId, Remark, Sends, UsbDevice, placeholder},
    selector::{Selector, UsbPort},
};

/// Where the kernel tells of devices, and where their files are. Another place than the system's own is for tests and
/// simulations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
}

impl Default for System {
    fn default() -> System {
        System { sys: "/sys".into(), dev: "/dev".into() }
    }
}

/// Why it is not known what is attached.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be read: the kernel's list of devices must be mounted there")]
pub struct ScanError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// What is at a place of the kernel's list; `None` for what cannot be bound.
type Look = fn(&System, &Path) -> Option<FoundDevice>;

/// The kernel's folders of devices that can be bound, and what a device in each is.
const CLASSES: &[(&str, Look)] = &[("tty", serial), ("input", input), ("usbmisc", usb_printer)];

/// All devices that can be bound, ordered by their files.
///
/// # Errors
/// The kernel's list cannot be read.
pub fn scan(system: &System) -> Result<Vec<FoundDevice>, ScanError> {
    let classes = system.sys.join("class");
    fs::read_dir(&classes).map_err(|source| ScanError { path: classes.clone(), source })?;
    let mut found = Vec::new();
    for (class, look) in CLASSES {
        let folder = classes.join(class);
        let entries = match fs::read_dir(&folder) {
            // The class comes with its first device.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(|source| ScanError { path: folder.clone(), source })?,
        };
        let places = entries.filter_map(|entry| fs::canonicalize(entry.ok()?.path()).ok());
        found.extend(places.filter_map(|place| look(system, &place)));
    }
    found.sort_by_key(|device| natural(&device.file));
    name_all(&mut found);
    Ok(found)
}

/// For ordering: ttyUSB2 stands before ttyUSB10.
fn natural(file: &Path) -> (String, u64) {
    let name = file.to_string_lossy();
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.to_owned(), name[stem.len()..].parse().unwrap_or(0))
}

fn serial(system: &System, place: &Path) -> Option<FoundDevice> {
    let name = place.file_name()?.to_str()?;
    if let Some((usb, interface)) = usb(place) {
        // Serial converters carry their driver on the port, CDC-ACM on the interface.
        let driver = driver(&place.join("device")).or_else(|| driver(&interface)).unwrap_or_default();
        return found(system, place, DeviceKind::UsbSerial { driver }, Some(usb));
    }
    // What has a UART tells its type; 0 is "unknown", a place on the board where nothing is soldered
    // (Linux, include/uapi/linux/serial.h: PORT_UNKNOWN).
    let uart: u32 = attribute(place, "type")?.parse().ok()?;
    if uart == 0 {
        return None;
    }
    let mut device = found(system, place, DeviceKind::SerialPort, None)?;
    let consoles = attribute(&system.sys.join("class/tty/console"), "active").unwrap_or_default();
    device.remark = consoles.split_whitespace().any(|console| console == name).then_some(Remark::Console);
    Some(device)
}

fn input(system: &System, place: &Path) -> Option<FoundDevice> {
    place.file_name()?.to_str()?.strip_prefix("event")?;
    let device = place.join("device");
    let told = |name: &str| attribute(&device, name).unwrap_or_default();
    let kind = DeviceKind::Input {
        name: told("name"),
        phys: told("phys"),
        uniq: told("uniq"),
        sends: sends(&told("capabilities/ev"), &told("capabilities/key")),
    };
    found(system, place, kind, usb(place).map(|(usb, _)| usb))
}

fn usb_printer(system: &System, place: &Path) -> Option<FoundDevice> {
    // The class has other devices too; only usblp's are lp0, lp1, ….
    place.file_name()?.to_str()?.strip_prefix("lp")?.parse::<u8>().ok()?;
    let (mut usb, interface) = usb(place)?;
    // The driver adds this a moment after the device file, and empty for a printer that says nothing. Without it the
    // printer would look like another one.
    let id = fs::read(interface.join("ieee1284_id")).ok()?;
    let id = PrinterId::parse(&String::from_utf8_lossy(&id));
    if usb.serial.is_none() {
        usb.serial.clone_from(&id.serial);
    }
    found(system, place, DeviceKind::UsbPrinter { id }, Some(usb))
}

fn found(system: &System, place: &Path, kind: DeviceKind, usb: Option<UsbDevice>) -> Option<FoundDevice> {
    let event = attribute(place, "uevent")?;
    let name = event.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
    Some(FoundDevice { file: system.dev.join(name), kind, usb, selectors: Vec::new(), remark: None })
}

/// The USB device that carries a place, and the folder of its interface.
fn usb(place: &Path) -> Option<(UsbDevice, PathBuf)> {
    let interface = place.ancestors().find(|folder| folder.join("bInterfaceNumber").exists())?;
    let device = interface.ancestors().find(|folder| folder.join("idVendor").exists())?;
    let number = |folder: &Path, name| u16::from_str_radix(&attribute(folder, name)?, 16).ok();
    let usb = UsbDevice {
        vendor: number(device, "idVendor")?,
        product: number(device, "idProduct")?,
        serial: attribute(device, "serial"),
        maker_name: attribute(device, "manufacturer"),
        product_name: attribute(device, "product"),
        interface: u8::try_from(number(interface, "bInterfaceNumber")?).ok()?,
        port: UsbPort::new(device.file_name()?.to_str()?)?,
    };
    Some((usb, interface.to_owned()))
}

fn driver(folder: &Path) -> Option<String> {
    Some(fs::read_link(folder.join("driver")).ok()?.file_name()?.to_str()?.to_owned())
}

/// An attribute without the blanks around it; `None` where it is empty or there is none. Reading one copies what the
/// kernel holds in memory, it does not ask the device.
fn attribute(folder: &Path, name: &str) -> Option<String> {
    let bytes = fs::read(folder.join(name)).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Event types and keys are written as words of hexadecimal digits, the highest first, each as wide as the machine's
/// own (Linux, drivers/input/input.c: input_print_bitmap); only the last word matters here, which is at least 32 bits
/// wide.
fn sends(events: &str, keys: &str) -> Sends {
    // linux/input-event-codes.h: EV_KEY; the keys 1 to 28 and 30 to 50 are Esc, the digits' row, letters and Enter.
    const EV_KEY: u64 = 1 << 1;
    const DIGITS: u64 = 0b11_1111_1111 << 2;
    const FIRST_LETTERS: u64 = 0b11_1111_1111 << 16;
    const ENTER: u64 = 1 << 28;
    const KEYBOARD: u64 = DIGITS | FIRST_LETTERS | ENTER;
    let word = |text: &str, place: usize| {
        text.split_whitespace()
            .rev()
            .nth(place)
            .and_then(|word| u64::from_str_radix(word, 16).ok())
            .unwrap_or(0)
    };
    if word(events, 0) & EV_KEY == 0 {
        return Sends::NoKeys;
    }
    if word(keys, 0) & KEYBOARD == KEYBOARD {
        return Sends::Text;
    }
    // From key 0x100 on there are the buttons of mice and joysticks: the words before the last four (of 64 bits).
    let has_keys = (0..4).any(|place| word(keys, place) != 0);
    if has_keys { Sends::SomeKeys } else { Sends::NoKeys }
}

/// Gives each its selectors and remarks, which depend on what else is attached.
fn name_all(found: &mut [FoundDevice]) {
    let all = found.to_vec();
    for device in found {
        device.selectors = selectors(device, &all);
        if device.remark.is_none() {
            device.remark = remark(device, &all);
        }
    }
}

fn selectors(device: &FoundDevice, all: &[FoundDevice]) -> Vec<Selector> {
    let Some(usb) = &device.usb else {
        let named = match &device.kind {
            // One without a place has no name that stays: its number is another one after the next start.
            DeviceKind::Input { phys, .. } => (!phys.is_empty()).then(|| Selector::Phys(phys.clone())),
            // A name that cannot be written in a configuration binds nothing.
            _ => device.file.file_name().and_then(|name| format!("tty:{}", name.to_str()?).parse().ok()),
        };
        return named.into_iter().collect();
    };
    let same_device = |other: &&FoundDevice| {
        other.class() == device.class() && other.usb.as_ref().is_some_and(|other| other.port == usb.port)
    };
    // One interface may have several event files, of which one types: the number of the interface is the matter.
    let several = all
        .iter()
        .filter(same_device)
        .any(|other| other.usb.as_ref().map(|u| u.interface) != Some(usb.interface));
    let on_interface =
        |selector: Selector| if several { selector.on_interface(usb.interface) } else { selector };
    let by_serial = own_serial(usb, all).map(|serial| {
        let (vendor, product, serial) = (usb.vendor, usb.product, serial.clone());
        on_interface(Selector::Usb { vendor, product, serial, interface: None })
    });
    let by_port = on_interface(Selector::UsbPort { port: usb.port.clone(), interface: None });
    by_serial.into_iter().chain([by_port]).collect()
}

/// The serial number, if it is this device's alone.
fn own_serial<'a>(usb: &'a UsbDevice, all: &[FoundDevice]) -> Option<&'a String> {
    let serial = usb.serial.as_ref().filter(|serial| !placeholder(serial))?;
    let shared = all.iter().filter_map(|other| other.usb.as_ref()).any(|other| {
        other.port != usb.port
            && (other.vendor, other.product) == (usb.vendor, usb.product)
            && other.serial.as_ref() == Some(serial)
    });
    (!shared).then_some(serial)
}

fn remark(device: &FoundDevice, all: &[FoundDevice]) -> Option<Remark> {
    let usb = device.usb.as_ref()?;
    if own_serial(usb, all).is_some() {
        return None;
    }
    let twin = all
        .iter()
        .filter(|other| other.class() == device.class())
        .filter_map(|other| other.usb.as_ref())
        .find(|other| {
            other.port != usb.port
                && (other.vendor, other.product, &other.serial) == (usb.vendor, usb.product, &usb.serial)
        });
    Some(twin.map_or(Remark::NoSerial, |twin| Remark::Twin { other: twin.port.clone() }))
}

#[cfg(test)]
mod tests;
