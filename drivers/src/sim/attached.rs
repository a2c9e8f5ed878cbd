//! A box's list of devices that is not the kernel's: folders of the shape of `/sys` and `/dev`, in which devices are
//! plugged in and pulled. The device files themselves are for whoever simulates the devices: they make theirs at the
//! path that they are told.
//!
//! The shapes are those of Linux 6: serial converters (usb-serial), CDC-ACM, usblp, HID keyboards on USB, and serial
//! ports on the board, as Documentation/ABI and the drivers' sources state them.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::find::sysfs::System;

/// The folders. They are removed by whoever made `root`.
#[derive(Debug, Clone)]
pub struct SimSystem {
    root: PathBuf,
}

/// A USB device that can be plugged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimUsbDevice {
    /// Its vendor's number.
    pub vendor: u16,
    /// Its product's number.
    pub product: u16,
    /// Its serial number.
    pub serial: Option<String>,
    /// As it calls its maker.
    pub maker: String,
    /// As it calls itself.
    pub name: String,
    /// What it has, an interface each.
    pub interfaces: Vec<SimInterface>,
}

/// What an interface is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SimInterface {
    /// A serial converter, with the kernel's driver for it: `ftdi_sio`, `ch341-uart`.
    Converter(&'static str),
    /// USB's own serial class.
    Acm,
    /// A printer with its IEEE 1284 device ID.
    Printer(&'static str),
    /// A keyboard, with a second event file for volume keys as most have.
    Keyboard,
    /// A mouse.
    Mouse,
}

/// Where the USB controller of this box is.
const CONTROLLER: &str = "devices/pci0000:00/0000:00:14.0";

impl SimSystem {
    /// A box with nothing attached, in the empty folder `root`.
    ///
    /// # Errors
    /// What the system said.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<SimSystem> {
        let system = SimSystem { root: root.into() };
        for folder in
            ["sys/class/tty/console", "sys/class/input", "sys/class/usbmisc", "dev/input", "dev/usb"]
        {
            fs::create_dir_all(system.root.join(folder))?;
        }
        Ok(system)
    }

    /// For finding.
    #[must_use]
    pub fn system(&self) -> System {
        System { sys: self.root.join("sys"), dev: self.root.join("dev") }
    }

    /// Plugs a device in at a port such as `1-2.3`; returns the paths of its device files, in the order of its
    /// interfaces (a keyboard's two count as the first).
    ///
    /// # Errors
    /// What the system said; the port is taken.
    pub fn plug_in(&self, port: &str, device: &SimUsbDevice) -> io::Result<Vec<PathBuf>> {
        // The link in the class is made last: a device appears there with all its attributes.
        let folder = self.port_folder(port);
        if folder.exists() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("port {port} is taken")));
        }
        for (name, value) in [
            ("idVendor", format!("{:04x}", device.vendor)),
            ("idProduct", format!("{:04x}", device.product)),
            ("manufacturer", device.maker.clone()),
            ("product", device.name.clone()),
        ] {
            write(&folder, name, &value)?;
        }
        if let Some(serial) = &device.serial {
            write(&folder, "serial", serial)?;
        }
        let mut files = Vec::new();
        for (number, interface) in device.interfaces.iter().enumerate() {
            let place = folder.join(format!("{port}:1.{number}"));
            write(&place, "bInterfaceNumber", &format!("{number:02x}"))?;
            files.push(match interface {
                SimInterface::Converter(driver) => self.converter(&place, driver)?,
                SimInterface::Acm => self.acm(&place)?,
                SimInterface::Printer(id) => self.printer(&place, id)?,
                SimInterface::Keyboard => self.keyboard(&place, device)?,
                SimInterface::Mouse => self.event(&place, &device.name, "17", "1f0000 0 0 0 0")?,
            });
        }
        Ok(files)
    }

    /// Pulls what is at a port. The links of the classes go first, as the kernel does it.
    ///
    /// # Errors
    /// What the system said.
    pub fn unplug(&self, port: &str) -> io::Result<()> {
        let folder = self.port_folder(port);
        for class in ["tty", "input", "usbmisc"] {
            for entry in fs::read_dir(self.sys().join("class").join(class))? {
                let link = entry?.path();
                if fs::canonicalize(&link).is_ok_and(|place| place.starts_with(&folder)) {
                    fs::remove_file(link)?;
                }
            }
        }
        fs::remove_dir_all(folder)
    }

    /// Puts a serial port on the board; `uart` is its type, 4 for a 16550A, 0 for a place where none is soldered.
    ///
    /// # Errors
    /// What the system said.
    pub fn add_serial_port(&self, name: &str, uart: u8) -> io::Result<PathBuf> {
        let place = self.sys().join("devices/pnp0/00:04/00:04:0/00:04:0.0/tty").join(name);
        write(&place, "type", &uart.to_string())?;
        self.list("tty", &place, name)
    }

    /// Says where the kernel writes its messages.
    ///
    /// # Errors
    /// What the system said.
    pub fn set_console(&self, name: &str) -> io::Result<()> {
        write(&self.sys().join("class/tty/console"), "active", &format!("tty0 {name}"))
    }

    /// A power button, as every PC has it.
    ///
    /// # Errors
    /// What the system said.
    pub fn add_power_button(&self) -> io::Result<PathBuf> {
        let place = self.sys().join("devices/LNXSYSTM:00/LNXPWRBN:00");
        self.event(&place, "Power Button", "3", "10000000000000 0")
    }

    fn sys(&self) -> PathBuf {
        self.root.join("sys")
    }

    fn port_folder(&self, port: &str) -> PathBuf {
        let bus = port.split('-').next().unwrap_or_default();
        let root = fs::canonicalize(self.sys()).unwrap_or_else(|_| self.sys());
        // Behind a hub the folders are nested: 1-2 holds 1-2.3.
        let mut folder = root.join(CONTROLLER).join(format!("usb{bus}"));
        for (end, _) in port.match_indices('.') {
            folder.push(&port[..end]);
        }
        folder.join(port)
    }

    fn converter(&self, place: &Path, driver: &str) -> io::Result<PathBuf> {
        let name = self.free("tty", "ttyUSB")?;
        let port = place.join(&name);
        fs::create_dir_all(&port)?;
        symlink(format!("../drivers/{driver}"), port.join("driver"))?;
        let tty = port.join("tty").join(&name);
        fs::create_dir_all(&tty)?;
        symlink("../..", tty.join("device"))?;
        self.list("tty", &tty, &name)
    }

    fn acm(&self, place: &Path) -> io::Result<PathBuf> {
        let name = self.free("tty", "ttyACM")?;
        symlink("../drivers/cdc_acm", place.join("driver"))?;
        let tty = place.join("tty").join(&name);
        fs::create_dir_all(&tty)?;
        symlink("../..", tty.join("device"))?;
        self.list("tty", &tty, &name)
    }

    fn printer(&self, place: &Path, id: &str) -> io::Result<PathBuf> {
        let name = self.free("usbmisc", "lp")?;
        write(place, "ieee1284_id", id)?;
        let folder = place.join("usbmisc").join(&name);
        fs::create_dir_all(&folder)?;
        self.list("usbmisc", &folder, &format!("usb/{name}"))
    }

    /// Bits as a PC keyboard on USB has them in `/proc/bus/input/devices`, and its volume keys.
    fn keyboard(&self, place: &Path, device: &SimUsbDevice) -> io::Result<PathBuf> {
        let keys = "1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe";
        let file = self.event(place, &device.name, "120013", keys)?;
        self.event(place, &format!("{} Consumer Control", device.name), "1f", "3f000303ff 0 0 10000002")?;
        Ok(file)
    }

    fn event(&self, place: &Path, name: &str, events: &str, keys: &str) -> io::Result<PathBuf> {
        let event = self.free("input", "event")?;
        let input = place.join(event.replace("event", "input/input"));
        let number = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for (attribute, value) in [
            ("name", name),
            ("phys", &format!("sim-{number}/{event}")),
            ("uniq", ""),
            ("capabilities/ev", events),
            ("capabilities/key", keys),
        ] {
            write(&input, attribute, value)?;
        }
        let folder = input.join(&event);
        fs::create_dir_all(&folder)?;
        symlink("..", folder.join("device"))?;
        self.list("input", &folder, &format!("input/{event}"))
    }

    /// Lists a place in its class; it is seen from now on.
    fn list(&self, class: &str, place: &Path, device_name: &str) -> io::Result<PathBuf> {
        write(place, "uevent", &format!("MAJOR=1\nMINOR=1\nDEVNAME={device_name}"))?;
        let name = place.file_name().unwrap_or_default();
        symlink(place, self.sys().join("class").join(class).join(name))?;
        Ok(self.root.join("dev").join(device_name))
    }

    /// The first free name, as the kernel numbers devices.
    fn free(&self, class: &str, stem: &str) -> io::Result<String> {
        let folder = self.sys().join("class").join(class);
        (0..1_000)
            .map(|number| format!("{stem}{number}"))
            .find(|name| fs::symlink_metadata(folder.join(name)).is_err())
            .ok_or_else(|| io::Error::other("a thousand devices are attached"))
    }
}

impl SimUsbDevice {
    /// A barcode scanner on USB's serial class.
    #[must_use]
    pub fn scanner(serial: &str) -> SimUsbDevice {
        let serial = Some(serial.to_owned());
        SimUsbDevice {
            vendor: 0x05e0,
            product: 0x1701,
            serial,
            maker: "Symbol Technologies, Inc, 2008".into(),
            name: "Symbol Bar Code Scanner".into(),
            interfaces: vec![SimInterface::Acm],
        }
    }

    /// A CH340 adapter: none of them has a serial number.
    #[must_use]
    pub fn clone_adapter() -> SimUsbDevice {
        SimUsbDevice {
            vendor: 0x1a86,
            product: 0x7523,
            serial: None,
            maker: String::new(),
            name: "USB Serial".into(),
            interfaces: vec![SimInterface::Converter("ch341-uart")],
        }
    }

    /// A receipt printer.
    #[must_use]
    pub fn receipt_printer(serial: Option<&str>) -> SimUsbDevice {
        SimUsbDevice {
            vendor: 0x04b8,
            product: 0x0e15,
            serial: serial.map(str::to_owned),
            maker: "EPSON".into(),
            name: "TM-T20II".into(),
            interfaces: vec![SimInterface::Printer("MFG:EPSON;CMD:ESC/POS;MDL:TM-T20II;CLS:PRINTER;")],
        }
    }
}

fn write(folder: &Path, name: &str, value: &str) -> io::Result<()> {
    let file = folder.join(name);
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(file, format!("{value}\n"))
}
