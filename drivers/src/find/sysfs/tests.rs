use super::*;
use crate::{
    find::device::DeviceClass,
    sim::attached::{SimInterface, SimSystem, SimUsbDevice},
};

struct Box {
    _folder: tempfile::TempDir,
    sim: SimSystem,
}

fn empty_box() -> Box {
    let folder = tempfile::tempdir().unwrap();
    let sim = SimSystem::new(folder.path()).unwrap();
    Box { _folder: folder, sim }
}

impl Box {
    fn scan(&self) -> Vec<FoundDevice> {
        scan(&self.sim.system()).unwrap()
    }

    fn one(&self, file: &str) -> FoundDevice {
        let file = self.sim.system().dev.join(file);
        self.scan().into_iter().find(|device| device.file == file).expect("the device is found")
    }
}

fn selectors_of(device: &FoundDevice) -> Vec<String> {
    device.selectors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_scanner_with_its_own_number_is_named_by_it_and_then_by_its_port() {
    let attached = empty_box();
    attached.sim.plug_in("1-2", &SimUsbDevice::scanner("S21357")).unwrap();
    let scanner = attached.one("ttyACM0");
    assert_eq!(selectors_of(&scanner), ["usb:05e0:1701:S21357", "usb-port:1-2"]);
    assert_eq!(scanner.kind, DeviceKind::UsbSerial { driver: "cdc_acm".into() });
    assert_eq!(scanner.words(), "barcode scanner on USB serial, at USB port 1-2");
    assert_eq!(scanner.remark, None);
}

#[test]
fn two_adapters_without_numbers_are_told_apart_by_port_and_this_is_said() {
    let attached = empty_box();
    for port in ["1-4.1", "1-4.2"] {
        attached.sim.plug_in(port, &SimUsbDevice::clone_adapter()).unwrap();
    }
    let adapter = attached.one("ttyUSB1");
    assert_eq!(selectors_of(&adapter), ["usb-port:1-4.2"]);
    assert_eq!(adapter.words(), "USB serial adapter (CH340), at USB port 1-4.2");
    let remark = adapter.remark.unwrap();
    assert!(remark.words().starts_with("the one at port 1-4.1 is the same"), "{}", remark.words());
    attached.sim.unplug("1-4.1").unwrap();
    assert_eq!(attached.one("ttyUSB1").remark, Some(Remark::NoSerial));
}

#[test]
fn a_number_that_two_devices_share_or_that_all_clones_have_names_neither() {
    let attached = empty_box();
    attached.sim.plug_in("1-1", &SimUsbDevice::scanner("S21357")).unwrap();
    attached.sim.plug_in("1-2", &SimUsbDevice::scanner("S21357")).unwrap();
    attached.sim.plug_in("1-3", &SimUsbDevice::scanner("0001")).unwrap();
    assert_eq!(selectors_of(&attached.one("ttyACM0")), ["usb-port:1-1"]);
    assert_eq!(selectors_of(&attached.one("ttyACM2")), ["usb-port:1-3"]);
    let selector: Selector = "usb:05e0:1701:S21357".parse().unwrap();
    let error = selector.find(DeviceClass::Serial, &attached.scan()).unwrap_err().to_string();
    assert!(error.contains("ttyACM0 and ") && error.contains("by its port"), "{error}");
}

#[test]
fn a_device_with_two_lines_is_named_with_the_interface() {
    let attached = empty_box();
    let lines = vec![SimInterface::Converter("ftdi_sio"), SimInterface::Converter("ftdi_sio")];
    let adapter = SimUsbDevice {
        vendor: 0x0403,
        product: 0x6010,
        serial: Some("FT4XYZ".into()),
        interfaces: lines,
        ..SimUsbDevice::clone_adapter()
    };
    attached.sim.plug_in("2-1", &adapter).unwrap();
    assert_eq!(selectors_of(&attached.one("ttyUSB1")), ["usb:0403:6010:FT4XYZ:01", "usb-port:2-1:01"]);
    let all = attached.scan();
    let of = |text: &str| text.parse::<Selector>().unwrap().find(DeviceClass::Serial, &all).cloned();
    assert_eq!(of("usb:0403:6010:FT4XYZ:00").unwrap().file, attached.one("ttyUSB0").file);
    assert!(of("usb:0403:6010:FT4XYZ").unwrap_err().to_string().contains("fits"));
    assert!(of("usb:0403:6010:FT4XYZ:02").unwrap_err().to_string().contains("is not attached"));
}

#[test]
fn a_printer_tells_what_it_is_and_its_own_number_even_where_usb_has_none() {
    let attached = empty_box();
    let id = "MFG:EPSON;CMD:ESC/POS;MDL:TM-T20II;CLS:PRINTER;SN:J4K1012;";
    let printer =
        SimUsbDevice { interfaces: vec![SimInterface::Printer(id)], ..SimUsbDevice::receipt_printer(None) };
    attached.sim.plug_in("1-3", &printer).unwrap();
    let printer = attached.one("usb/lp0");
    assert_eq!(printer.name(), "EPSON TM-T20II");
    assert_eq!(printer.class(), DeviceClass::Printer);
    assert_eq!(selectors_of(&printer), ["usb:04b8:0e15:J4K1012", "usb-port:1-3"]);
}

#[test]
fn what_types_is_told_from_buttons_and_mice_and_one_selector_names_the_part_that_types() {
    let attached = empty_box();
    attached.sim.add_power_button().unwrap();
    let typist = |vendor, name: &str, kind| SimUsbDevice {
        vendor,
        product: 0x0b61,
        serial: None,
        maker: "ACME".into(),
        name: name.into(),
        interfaces: vec![kind],
    };
    attached.sim.plug_in("1-1", &typist(0x0c2e, "Voyager", SimInterface::Keyboard)).unwrap();
    attached.sim.plug_in("1-2", &typist(0x413c, "Keyboard", SimInterface::Keyboard)).unwrap();
    attached.sim.plug_in("1-3", &typist(0x413c, "Mouse", SimInterface::Mouse)).unwrap();
    let words: Vec<_> = attached.scan().iter().map(FoundDevice::words).collect();
    assert_eq!(
        words,
        [
            "buttons",
            "barcode scanner that types like a keyboard, at USB port 1-1",
            "buttons, at USB port 1-1",
            "keyboard, or a scanner that types like one, at USB port 1-2",
            "buttons, at USB port 1-2",
            "input device without keys, at USB port 1-3",
        ]
    );
    let selector: Selector = "usb-port:1-1".parse().unwrap();
    let found = attached.scan();
    assert_eq!(selector.find(DeviceClass::Input, &found).unwrap().file, attached.one("input/event1").file);
    assert_eq!(selectors_of(&attached.one("input/event0")), ["phys:sim-LNXPWRBN:00/event0"]);
}

#[test]
fn of_the_board_s_serial_ports_only_those_with_a_uart_are_there_and_the_console_is_said() {
    let attached = empty_box();
    for (name, uart) in [("ttyS0", 4), ("ttyS1", 4), ("ttyS2", 0)] {
        attached.sim.add_serial_port(name, uart).unwrap();
    }
    attached.sim.set_console("ttyS0").unwrap();
    let found = attached.scan();
    assert_eq!(found.len(), 2);
    assert_eq!(
        (selectors_of(&found[0]), &found[0].remark),
        (vec!["tty:ttyS0".into()], &Some(Remark::Console))
    );
    assert_eq!((selectors_of(&found[1]), &found[1].remark), (vec!["tty:ttyS1".into()], &None));
}

#[test]
fn without_the_kernel_s_list_it_is_said_that_nothing_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let system = System { sys: folder.path().join("sys"), dev: folder.path().into() };
    assert!(scan(&system).unwrap_err().to_string().contains("must be mounted"));
    std::fs::create_dir_all(folder.path().join("sys/class")).unwrap();
    assert_eq!(scan(&system).unwrap(), [], "no class of devices has come yet");
}

#[test]
fn this_very_machine_s_list_is_read() {
    // Whatever is attached here: each has a name, and the name leads back to it or to its twin.
    for device in scan(&System::default()).unwrap() {
        let selector = device.selectors.first().expect("each device has a selector");
        assert!(selector.fits(&device), "{selector} does not fit {device:?}");
    }
}
