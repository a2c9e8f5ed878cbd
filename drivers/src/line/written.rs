//! A line's address as a configuration writes it. Pure.

use std::str::FromStr;

use super::{
    LineAddress,
    place::DevicePlace,
    rfc2217::{FarPort, Wires},
    serial::{FlowControl, Parity, RawSerialSettings, SerialSettings},
};

/// As a configuration writes it; see the table in [`super`].
impl FromStr for LineAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<LineAddress, String> {
        if let Some(socket) = text.strip_prefix("tcp://") {
            return socket.parse().map(LineAddress::Tcp).map_err(|_| usage(text));
        }
        if let Some(place) = text.strip_prefix("usblp:").filter(|place| !place.is_empty()) {
            let place = DevicePlace::written(place).map_err(|error| error.to_string())?;
            return Ok(LineAddress::UsbPrinter(place));
        }
        if let Some(far) = text.strip_prefix("rfc2217://") {
            let (settings, wires) = serial(text, far)?;
            let socket = settings.path().to_str().and_then(|socket| socket.parse().ok());
            let socket = socket.ok_or_else(|| usage(text))?;
            let port = FarPort { wires: wires.unwrap_or_default(), ..settings.far_port() };
            return Ok(LineAddress::Rfc2217(socket, port));
        }
        let line = text.strip_prefix("serial:").ok_or_else(|| usage(text))?;
        match serial(text, line)? {
            (settings, None) => Ok(LineAddress::Serial(settings)),
            (_, Some(_)) => Err(format!("address is \"{text}\": wires can be set for rfc2217:// alone")),
        }
    }
}

impl LineAddress {
    /// As a configuration writes it, without what is so anyway.
    #[must_use]
    pub fn written(&self) -> String {
        match self {
            LineAddress::Serial(settings) => {
                format!("serial:{}{}", settings.place(), of_port(&settings.far_port()))
            }
            LineAddress::UsbPrinter(place) => format!("usblp:{place}"),
            LineAddress::Tcp(socket) => format!("tcp://{socket}"),
            LineAddress::Rfc2217(socket, port) => {
                let wires = if port.wires == Wires::Leave { "&wires=leave" } else { "" };
                format!("rfc2217://{socket}{}{wires}", of_port(port))
            }
        }
    }
}

fn of_port(port: &FarPort) -> String {
    let mut text = format!("?baud={}", port.baud);
    text.push_str(match port.parity {
        Parity::None => "",
        Parity::Even => "&parity=even",
        Parity::Odd => "&parity=odd",
    });
    if port.stop_bits == 2 {
        text.push_str("&stop_bits=2");
    }
    text.push_str(match port.flow {
        FlowControl::None => "",
        FlowControl::Hardware => "&flow=hardware",
        FlowControl::Software => "&flow=software",
    });
    text
}

fn usage(text: &str) -> String {
    format!(
        "address is \"{text}\": write \"tcp://192.0.2.7:9100\", \"usblp:/dev/usb/lp0\", \"serial:/dev/ttyUSB0?baud=19200\" or \"rfc2217://192.0.2.7:2217?baud=19200\"; a name from `pestle-agent devices list` may stand in place of a device file"
    )
}

/// A place and its settings behind a question mark.
fn serial(whole: &str, text: &str) -> Result<(SerialSettings, Option<Wires>), String> {
    let (path, settings) =
        text.split_once('?').map_or((text, None), |(path, settings)| (path, Some(settings)));
    if path.is_empty() {
        return Err(usage(whole));
    }
    let mut raw = RawSerialSettings {
        path: path.into(),
        baud: 9_600,
        parity: Parity::None,
        stop_bits: 1,
        flow: FlowControl::None,
    };
    let mut wires = None;
    for setting in settings.into_iter().flat_map(|settings| settings.split('&')) {
        let (name, value) = setting.split_once('=').ok_or_else(|| usage(whole))?;
        let wrong = |good: &str| format!("address is \"{whole}\": {name} is {good}, not \"{value}\"");
        match name {
            "baud" => raw.baud = value.parse().map_err(|_| wrong("a number such as 9600"))?,
            "stop_bits" => raw.stop_bits = value.parse().map_err(|_| wrong("1 or 2"))?,
            "parity" => {
                raw.parity = match value {
                    "none" => Parity::None,
                    "even" => Parity::Even,
                    "odd" => Parity::Odd,
                    _ => return Err(wrong("none, even or odd")),
                }
            }
            "flow" => {
                raw.flow = match value {
                    "none" => FlowControl::None,
                    "hardware" => FlowControl::Hardware,
                    "software" => FlowControl::Software,
                    _ => return Err(wrong("none, hardware or software")),
                }
            }
            "wires" => {
                wires = match value {
                    "raise" => Some(Wires::Raise),
                    "leave" => Some(Wires::Leave),
                    _ => return Err(wrong("raise or leave")),
                }
            }
            _ => {
                return Err(format!(
                    "address is \"{whole}\": \"{name}\" is no setting of a line; there are baud, parity, stop_bits, flow, and wires behind rfc2217://"
                ));
            }
        }
    }
    let settings = raw.try_into().map_err(|error: super::serial::SettingsError| error.to_string())?;
    Ok((settings, wires))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> LineAddress {
        text.parse().unwrap()
    }

    #[test]
    fn all_kinds_of_lines_are_read() {
        assert_eq!(read("tcp://127.0.0.1:9100"), LineAddress::Tcp("127.0.0.1:9100".parse().unwrap()));
        let LineAddress::Serial(settings) =
            read("serial:/dev/ttyS1?baud=19200&parity=even&stop_bits=2&flow=hardware")
        else {
            panic!()
        };
        let (parity, flow) = (Parity::Even, FlowControl::Hardware);
        assert_eq!(
            settings.far_port(),
            FarPort { baud: 19_200, parity, stop_bits: 2, flow, wires: Wires::Raise }
        );
        assert_eq!(read("serial:/dev/ttyS1"), read("serial:/dev/ttyS1?baud=9600&flow=none"));
        let LineAddress::Rfc2217(socket, port) =
            read("rfc2217://[::1]:2217?baud=115200&parity=odd&wires=leave")
        else {
            panic!()
        };
        assert_eq!((socket.port(), port.baud, port.parity), (2_217, 115_200, Parity::Odd));
        assert_eq!(port.wires, Wires::Leave);
        for text in [
            "usblp:/dev/usb/lp0",
            "usblp:usb:04b8:0e15:J4K1",
            "serial:usb-port:1-2.3:01?baud=9600",
            "serial:tty:ttyS0",
        ] {
            let (place, _class) = read(text).place().map(|(place, class)| (place.clone(), class)).unwrap();
            let place = place.to_string();
            assert!(text.contains(&place), "{text} became {place}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same_line() {
        for text in [
            "tcp://127.0.0.1:9100",
            "usblp:usb:04b8:0e15:J4K1",
            "serial:/dev/ttyS1?baud=9600",
            "serial:usb-port:1-2.3:01?baud=19200&parity=even&stop_bits=2&flow=hardware",
            "rfc2217://[::1]:2217?baud=115200&parity=odd&flow=software&wires=leave",
        ] {
            assert_eq!(read(text).written(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_write() {
        for (text, words) in [
            ("lpt1", "write \"tcp://"),
            ("tcp://printer", "write \"tcp://"),
            ("usblp:", "write \"tcp://"),
            ("usblp:usb:04b8", "four hexadecimal digits"),
            ("serial:", "write \"tcp://"),
            ("serial:?baud=9600", "write \"tcp://"),
            ("serial:/dev/ttyS0?baud", "write \"tcp://"),
            ("serial:/dev/ttyS0?baud=fast", "baud is a number"),
            ("serial:/dev/ttyS0?baud=9601", "not a usual speed"),
            ("serial:/dev/ttyS0?parity=mark", "none, even or odd"),
            ("serial:/dev/ttyS0?stop_bits=3", "stop_bits is 1 or 2"),
            ("serial:/dev/ttyS0?speed=9600", "\"speed\" is no setting"),
            ("serial:usb-port:12", "like 1-2.3"),
            ("rfc2217://converter?baud=9600", "write \"tcp://"),
            ("serial:/dev/ttyS0?wires=leave", "rfc2217:// alone"),
            ("rfc2217://127.0.0.1:2217?flow=dtr", "none, hardware or software"),
        ] {
            let error = text.parse::<LineAddress>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
